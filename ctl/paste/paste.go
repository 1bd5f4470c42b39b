// Package paste reads a ring from what an operator copied off a terminal: the
// output of nodetool ring, status, describering and gossipinfo of Cassandra 3.0
// to 5.0, one of them or several in one text.
//
// Nouns: Parse (text to ring), member (what the outputs say of one node, put
// together), section (one output). ctl balance calls it. It is pure, never
// guesses at a token, and refuses a text that was cut off, saying what is
// missing; what it had to assume stands in the ring's Notes.
package paste

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"

	"helenus/balance"
)

// bytesMax bounds a paste: 3,000 nodes of 256 tokens in nodetool ring's width.
const bytesMax = 128 << 20

// Options say what a paste does not.
type Options struct {
	RF string // as ParseRF takes it; "" leaves it to what is pasted
}

// member is one node, as far as it is known.
type member struct {
	address string // host or host:port, in its shortest form
	hostID  string
	dc      string
	rack    string
	state   string // nodetool's two letters
	load    *big.Int
	owns    float64 // a share; below zero: not shown
	tokens  []string
	seen    section
}

// section is which outputs a member stands in.
type section uint8

const (
	inRing section = 1 << iota
	inStatus
	inDescribe
	inGossip
)

func (s section) String() string {
	var names []string
	for i, name := range []string{"ring", "status", "describering", "gossipinfo"} {
		if s&(1<<i) != 0 {
			names = append(names, "nodetool "+name)
		}
	}
	return strings.Join(names, " and ")
}

// reader goes over the lines once.
type reader struct {
	lines   []string
	at      int // of the line being read
	members []*member
	byName  map[string]*member
	seen    section
	notes   []string

	effective bool // status: owns counts replicas
	ranges    []tokenRange
	vnodes    bool   // status shows several tokens a node
	many      bool   // ring does
	ended     bool   // what stands below the tables is there
	last      string // the last datacenter
}

// Parse reads a ring.
func Parse(text string, opt Options) (*balance.Ring, error) {
	if len(text) > bytesMax {
		return nil, fmt.Errorf("paste: more than %d MiB", bytesMax>>20)
	}
	r := &reader{lines: strings.Split(strings.ReplaceAll(text, "\r", ""), "\n"), byName: map[string]*member{}}
	for r.at < len(r.lines) {
		if err := r.line(); err != nil {
			return nil, err
		}
	}
	if r.seen == 0 {
		return nil, errors.New("paste: nothing of nodetool ring, status, describering or gossipinfo in it")
	}
	if err := r.complete(); err != nil {
		return nil, err
	}
	return r.ring(opt)
}

// line reads one line outside of any table, or all of a table.
func (r *reader) line() error {
	line := r.lines[r.at]
	switch {
	case strings.HasPrefix(strings.TrimSpace(line), "Datacenter: "):
		return r.datacenter()
	case strings.HasPrefix(strings.TrimSpace(line), "TokenRange("):
		return r.tokenRange()
	case isGossipHead(r.lines, r.at):
		return r.gossip()
	case strings.HasPrefix(strings.TrimSpace(line), "Note:"), strings.HasPrefix(strings.TrimSpace(line), "Warning:"):
		r.ended = true
	case isRow(line):
		return r.fail("a line of a node stands before any line \"Datacenter: ...\": the beginning is missing")
	}
	r.at++
	return nil
}

// fail is an error at the present line.
func (r *reader) fail(format string, args ...any) error {
	return fmt.Errorf("paste: line %d: %s", r.at+1, fmt.Sprintf(format, args...))
}

// isRow tells whether a line can only be one of a table's.
func isRow(line string) bool {
	f := strings.Fields(line)
	if len(f) < 5 {
		return false
	}
	if isLetters(f[0]) {
		f = f[1:]
	}
	host, _ := splitPort(f[0])
	return net.ParseIP(host) != nil
}

func isLetters(s string) bool {
	return len(s) == 2 && strings.ContainsRune("UD?", rune(s[0])) && strings.ContainsRune("NLJMS?", rune(s[1]))
}

// splitPort cuts what nodetool -pp prints.
func splitPort(address string) (host, port string) {
	if h, p, err := net.SplitHostPort(address); err == nil && isDigits(p) {
		return h, p
	}
	return address, ""
}

// canonical writes an address as CQL's system tables show it: Java prints IPv6
// with all its zeros.
func canonical(address string) string {
	host, port := splitPort(address)
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	}
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	return host
}

func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// member finds or makes the member of an address.
func (r *reader) member(address string, in section) *member {
	address = canonical(address)
	m := r.byName[address]
	if m == nil {
		m = &member{address: address, owns: -1}
		r.byName[address] = m
		r.members = append(r.members, m)
	}
	if in == inRing && m.seen&inRing == 0 {
		m.tokens = nil // ring shows them all
	}
	m.seen |= in
	r.seen |= in
	return m
}

// place sets datacenter and rack, which all outputs must agree on.
func (r *reader) place(m *member, dc, rack string) error {
	if m.dc != "" && (m.dc != dc || m.rack != rack) {
		return r.fail("%s stands in %s/%s here and in %s/%s before", m.address, dc, rack, m.dc, m.rack)
	}
	m.dc, m.rack = dc, rack
	return nil
}

// complete looks for nodes that one output has and another has not.
func (r *reader) complete() error {
	if len(r.ranges) > 0 {
		if err := r.closeRanges(); err != nil {
			return err
		}
	}
	for _, m := range r.members {
		if missing := r.seen &^ m.seen &^ inDescribe; missing != 0 {
			return fmt.Errorf("paste: %s stands in %s and not in %s: one of them is cut off, or shows names where the other shows addresses", m.address, m.seen, missing)
		}
	}
	return r.checkOwns()
}

// checkOwns holds the printed shares against each other: they add up to a whole
// number of copies unless nodes are missing. Without them only what nodetool
// prints below its tables tells that these are whole.
func (r *reader) checkOwns() error {
	sum, unknown := 0.0, false
	for _, m := range r.members {
		if m.owns >= 0 {
			sum += m.owns
		} else if m.state == "" || m.state[1] != 'J' {
			unknown = true
		}
	}
	switch {
	case r.seen == inStatus && unknown && !r.ended:
		return fmt.Errorf("paste: nodetool status shows no shares, and below its tables no line \"Note: ...\" that says why: it may be cut off")
	case r.seen&inRing != 0 && !r.ended && (unknown || r.many):
		r.notes = append(r.notes, "what nodetool ring prints below its tables is missing: if there is a datacenter behind "+r.last+", paste it too")
	}
	if unknown {
		return nil
	}
	copies := float64(int(sum + 0.5))
	off := 0.0006 * float64(len(r.members)+1) // shares are rounded to a tenth of a percent
	if sum > 0 && (copies < 1 || sum < copies-off || sum > copies+off) {
		return fmt.Errorf("paste: the %d nodes own %.1f %% together, no whole number of copies: nodes are missing", len(r.members), 100*sum)
	}
	return nil
}

// ring puts together what was read.
func (r *reader) ring(opt Options) (*balance.Ring, error) {
	if err := r.tokensKnown(); err != nil {
		return nil, err
	}
	out, err := balance.NewRing(r.partitioner())
	if err != nil {
		return nil, err
	}
	names := r.ids()
	for i, m := range r.members {
		n := balance.Node{ID: names[i], HostID: m.hostID, DC: m.dc, Rack: m.rack, Weight: balance.WeightOne, State: m.state, Load: m.load}
		for _, t := range m.tokens {
			p, err := out.ParseToken(t)
			if err != nil {
				return nil, fmt.Errorf("paste: node %s: %w", m.address, err)
			}
			n.Tokens = append(n.Tokens, p)
		}
		out.Nodes = append(out.Nodes, n)
	}
	if err := r.keyspaces(out, opt); err != nil {
		return nil, err
	}
	out.Notes = append(out.Notes, r.notes...)
	return out, out.Check()
}

// tokensKnown refuses outputs that do not show all tokens.
func (r *reader) tokensKnown() error {
	switch tokens := r.tokenCount(); {
	case r.seen == inGossip:
		return errors.New("paste: gossipinfo shows neither how many nodes there are nor more than one token of each: paste \"nodetool ring\" too")
	case r.seen&(inRing|inDescribe) == 0 && r.vnodes:
		return fmt.Errorf("paste: %s shows how many tokens a node has, not which: paste \"nodetool ring\" too", r.seen)
	case r.seen&inRing == 0 && len(r.ranges) > 0 && tokens != len(r.ranges):
		return fmt.Errorf("paste: describering shows %d ranges, and of %d tokens it is known whose they are: paste \"nodetool ring\" too", len(r.ranges), tokens)
	}
	for _, m := range r.members {
		if len(m.tokens) > 0 {
			continue
		}
		if m.seen == inStatus {
			return fmt.Errorf("paste: nodetool status shows no tokens here: paste \"nodetool ring\" too")
		}
		if m.state != "" && m.state[1] == 'J' {
			continue // it has none yet
		}
		return fmt.Errorf("paste: no token of %s is in it: paste \"nodetool ring\" too", m.address)
	}
	return nil
}

func (r *reader) tokenCount() (n int) {
	for _, m := range r.members {
		n += len(m.tokens)
	}
	return n
}

// ids are the addresses, without ports where they are not needed to tell nodes
// apart: nodetool -h takes none.
func (r *reader) ids() []string {
	count := map[string]int{}
	for _, m := range r.members {
		host, _ := splitPort(m.address)
		count[host]++
	}
	var out []string
	for _, m := range r.members {
		host, _ := splitPort(m.address)
		if count[host] > 1 {
			host = m.address
		}
		out = append(out, host)
	}
	return out
}

// partitioner is told from the tokens: only Murmur3 has negative ones, only
// Random such large ones.
func (r *reader) partitioner() string {
	large := new(big.Int).Lsh(big.NewInt(1), 63)
	name := "Murmur3Partitioner"
	for _, m := range r.members {
		for _, t := range m.tokens {
			n, ok := new(big.Int).SetString(t, 10)
			switch {
			case !ok || len(t) > 45:
				return "ByteOrderedPartitioner"
			case n.Sign() < 0:
				return "Murmur3Partitioner"
			case n.Cmp(large) >= 0:
				name = "RandomPartitioner"
			}
		}
	}
	return name
}

// dcs are the datacenters in the order of their names.
func (r *reader) dcs() []string {
	var out []string
	for _, m := range r.members {
		if !slices.Contains(out, m.dc) {
			out = append(out, m.dc)
		}
	}
	slices.Sort(out)
	return out
}
