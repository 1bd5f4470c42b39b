package paste

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// datacenter reads one block of nodetool ring or status.
func (r *reader) datacenter() error {
	name := strings.TrimPrefix(strings.TrimSpace(r.lines[r.at]), "Datacenter: ")
	first := r.at
	r.last = name
	for r.at++; r.at < len(r.lines); r.at++ {
		line := strings.TrimSpace(r.lines[r.at])
		switch {
		case line == "" || strings.Trim(line, "=") == "" || strings.HasPrefix(line, "Status=") || strings.HasPrefix(line, "|"):
			continue
		case strings.HasPrefix(line, "--"):
			return r.status(name, line)
		case strings.HasPrefix(line, "Address"):
			return r.ringTable(name)
		}
		return r.fail("%q is no heading of nodetool ring or status, and datacenter %s has none yet", clip(line), name)
	}
	r.at = first
	return r.fail("datacenter %s: the paste ends before its table", name)
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// tableEnd tells whether a table's last row was before this line.
func tableEnd(line string) bool {
	line = strings.TrimSpace(line)
	for _, p := range []string{"Datacenter:", "Warning:", "Note:", "Non-system keyspaces", "$", "#", "TokenRange", "Schema Version"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return line == ""
}

// ringTable reads the rows of nodetool ring. Its first row holds the last token
// alone, which tells whether the block was cut off.
func (r *reader) ringTable(dc string) error {
	last, wrap := "", ""
	rows := 0
	for r.at++; r.at < len(r.lines); r.at++ {
		line := r.lines[r.at]
		f := strings.Fields(line)
		if rows == 0 && wrap == "" && (len(f) == 0 || len(f) == 1) {
			if len(f) == 1 {
				wrap = cleanToken(f[0])
			}
			continue
		}
		if tableEnd(line) {
			break
		}
		m, token, err := r.ringRow(dc, f)
		if err != nil {
			return err
		}
		last = token
		m.tokens = append(m.tokens, token)
		r.many = r.many || len(m.tokens) > 1
		rows++
	}
	switch {
	case rows == 0:
		return fmt.Errorf("paste: datacenter %s: nodetool ring's table has no rows", dc)
	case wrap == "" && rows > 1:
		return fmt.Errorf("paste: datacenter %s: the first row of nodetool ring, which holds the last token alone, is missing", dc)
	case wrap != "" && wrap != last:
		return fmt.Errorf("paste: datacenter %s: nodetool ring is cut off: its last token is %s, the last row has %s", dc, wrap, last)
	}
	return nil
}

var (
	ringUp    = map[string]string{"Up": "U", "Down": "D", "?": "?"}
	ringState = map[string]string{"Normal": "N", "Joining": "J", "Leaving": "L", "Moving": "M", "?": "N"}
)

// gluedMin is how long a rack is when nodetool ring puts no space behind it.
const gluedMin = 12

// ringRow reads Address Rack Status State Load Owns Token from its right end:
// a rack may hold spaces, and a long one touches the status.
func (r *reader) ringRow(dc string, f []string) (*member, string, error) {
	short := func() (*member, string, error) {
		return nil, "", r.fail("%q is no whole row of nodetool ring (Address Rack Status State Load Owns Token)", clip(strings.Join(f, " ")))
	}
	if len(f) < 6 {
		return short()
	}
	n := len(f)
	token := cleanToken(f[n-1])
	owns, ok := share(f[n-2])
	load, used, okLoad := size(f[:n-2])
	stateAt := n - 3 - used
	if !ok || !okLoad || stateAt < 2 || !isToken(token) {
		return short()
	}
	state, ok := ringState[f[stateAt]]
	if !ok {
		return short()
	}
	up, glued := "", ""
	if letter, whole := ringUp[f[stateAt-1]]; whole && stateAt >= 3 {
		up = letter
	} else {
		for word, letter := range ringUp {
			if cut, found := strings.CutSuffix(f[stateAt-1], word); found && len(strings.Join(append(f[1:stateAt-1:stateAt-1], cut), " ")) >= gluedMin {
				up, glued = letter, cut
			}
		}
	}
	if up == "" {
		return short()
	}
	rack := append([]string{}, f[1:stateAt-1]...)
	if glued != "" {
		rack = append(rack, glued)
	}
	m := r.member(f[0], inRing)
	if err := r.place(m, dc, strings.Join(rack, " ")); err != nil {
		return nil, "", err
	}
	m.set(up+state, load, owns)
	return m, token, nil
}

// set takes what is known; what an output does not show stays as it was.
func (m *member) set(state string, load *big.Int, owns float64) {
	if m.state == "" || m.state == "UN" {
		m.state = state
	}
	if load != nil {
		m.load = load
	}
	if owns >= 0 {
		m.owns = owns
	}
}

// status reads the rows of nodetool status.
func (r *reader) status(dc, heading string) error {
	columns := strings.Fields(heading)
	one := false // the layout of nodes with a single token shows it
	many := false
	for _, c := range columns {
		one = one || c == "Token"
		many = many || c == "Tokens"
	}
	if !one && !many {
		return r.fail("the heading of nodetool status is cut off: neither Token nor Tokens is in it")
	}
	r.effective = r.effective || strings.Contains(heading, "(effective)")
	rows := 0
	for r.at++; r.at < len(r.lines) && !tableEnd(r.lines[r.at]); r.at++ {
		if err := r.statusRow(dc, strings.Fields(r.lines[r.at]), one); err != nil {
			return err
		}
		rows++
	}
	if rows == 0 {
		return fmt.Errorf("paste: datacenter %s: nodetool status' table has no rows", dc)
	}
	return nil
}

// statusRow reads -- Address Load Tokens Owns HostID Rack, or -- Address Load
// Owns HostID Token Rack.
func (r *reader) statusRow(dc string, f []string, one bool) error {
	short := func() error {
		return r.fail("%q is no whole row of nodetool status", clip(strings.Join(f, " ")))
	}
	if len(f) < 6 || !isLetters(f[0]) {
		return short()
	}
	rest := f[2:]
	load, used, ok := size(rest[:min(2, len(rest))])
	if used == 1 && len(rest) > 1 && rest[0] != "?" || !ok {
		return short()
	}
	rest = rest[used:]
	count := 1
	if !one {
		n, err := strconv.Atoi(rest[0])
		if err != nil {
			return short()
		}
		count, rest = n, rest[1:]
	}
	if len(rest) < 3 || one && len(rest) < 4 {
		return short()
	}
	owns, ok := share(rest[0])
	if !ok {
		return short()
	}
	m := r.member(f[1], inStatus)
	m.hostID = rest[1]
	r.vnodes = r.vnodes || count > 1
	rest = rest[2:]
	if one {
		if len(m.tokens) == 0 && isToken(cleanToken(rest[0])) {
			m.tokens = []string{cleanToken(rest[0])}
		}
		rest = rest[1:]
	}
	m.set(f[0], load, owns)
	return r.place(m, dc, strings.Join(rest, " "))
}

// share reads 33.3% or ?.
func share(s string) (float64, bool) {
	if s == "?" {
		return -1, true
	}
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.Replace(number, ",", ".", 1), 64)
	return v / 100, ok && err == nil && v >= 0 && v < 1e9
}

// units are those of all versions: KB is KiB's older name.
var units = map[string]int{"bytes": 0, "byte": 0, "B": 0, "KB": 10, "KiB": 10, "MB": 20, "MiB": 20, "GB": 30, "GiB": 30, "TB": 40, "TiB": 40, "PB": 50, "PiB": 50}

// size reads the load that fields end with (or, of two fields, are): "1.5 GiB"
// or "?". It tells how many fields it takes.
func size(f []string) (n *big.Int, used int, ok bool) {
	if len(f) == 0 {
		return nil, 0, false
	}
	if f[len(f)-1] == "?" || f[0] == "?" && len(f) == 2 {
		return nil, 1, true
	}
	if len(f) < 2 {
		return nil, 1, false
	}
	shift, ok := units[f[len(f)-1]]
	v, err := strconv.ParseFloat(strings.Replace(f[len(f)-2], ",", ".", 1), 64)
	if !ok || err != nil || !(v >= 0 && v < 1e9) {
		return nil, 2, false
	}
	n, _ = big.NewFloat(v * float64(uint64(1)<<shift)).Int(nil)
	return n, 2, true
}

// cleanToken unwraps the byte-ordered partitioner's Token(bytes[..]).
func cleanToken(s string) string {
	if inner, ok := strings.CutPrefix(s, "Token(bytes["); ok {
		return strings.TrimSuffix(inner, "])")
	}
	return s
}

func isToken(s string) bool {
	if isDigits(strings.TrimPrefix(s, "-")) {
		return true
	}
	for _, c := range s {
		if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return s != ""
}
