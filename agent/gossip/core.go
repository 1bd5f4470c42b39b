package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// instant is the time, as the core is told of it.
type instant struct {
	at   time.Duration // since this node started
	wall int64         // seconds since 1970
}

// GenerationAhead bounds how far in the future a generation may be, in seconds:
// it is the time of a start, and clocks are wrong by less.
const GenerationAhead = 365 * 24 * 60 * 60

// node is what the core knows of one node.
type node struct {
	target     wire.Target
	generation int64 // zero: nothing
	heartbeat  uint64
	version    uint64  // the highest of heartbeat and values
	values     []value // by key; never changed in place, Endpoints share it

	arrivals arrivals
	liveness Liveness
	reason   string
	since    time.Duration // of the liveness
	failed   bool          // Members got no answer
	trip     time.Duration // of the last probe; zero: none yet

	shown *Endpoint // nil: has changed since it was last shown
}

// event is a change of liveness.
type event struct {
	target   wire.Target
	liveness Liveness
	reason   string
}

// tally counts what came in since the start.
type tally struct {
	unknown  uint64 // deltas of nodes that are no members
	rejected uint64 // generations too far in the future, values beyond their number
	refuted  uint64 // claims that this node is newer than it is
	pauses   uint64 // of this process
}

// core is the rules of gossip: a pure value, which its owner locks.
type core struct {
	self      *node
	members   []*node // but self, by host id
	byID      map[helenus.HostID]*node
	peers     []wire.Target // as they were handed in
	threshold float64

	judgedAt, pausedAt time.Duration
	paused             bool

	changed bool // something that a View shows
	events  []event
	tally   tally
}

func newCore(self wire.Target, generation int64, threshold float64) *core {
	n := &node{target: self, generation: generation, liveness: Up}
	c := &core{self: n, byID: map[helenus.HostID]*node{self.ID: n}, threshold: threshold}
	c.say(KeyHostID, self.ID.String())
	c.touch(n)
	return c
}

func (c *core) touch(n *node) { n.shown, c.changed = nil, true }

// setPeers makes these, and nobody else, the members; what is known of those
// that stay is kept. It tells whether anything changed.
func (c *core) setPeers(peers []wire.Target) bool {
	if slices.Equal(peers, c.peers) {
		return false
	}
	c.peers = slices.Clone(peers)
	old := c.byID
	c.byID, c.members = map[helenus.HostID]*node{c.self.target.ID: c.self}, nil
	for _, p := range peers {
		if p.ID == (helenus.HostID{}) || c.byID[p.ID] != nil {
			continue // a seed whose name is not known yet, or this node
		}
		n := old[p.ID]
		switch {
		case n == nil:
			n = &node{}
			fallthrough
		case n.target != p:
			n.target = p
			c.touch(n)
		}
		c.byID[p.ID] = n
		c.members = append(c.members, n)
	}
	slices.SortFunc(c.members, func(a, b *node) int { return bytes.Compare(a.target.ID[:], b.target.ID[:]) })
	c.changed = true
	return true
}

// beat is this node's heartbeat.
func (c *core) beat() {
	c.self.version++
	c.self.heartbeat = c.self.version
}

// say sets a value of this node.
func (c *core) say(k Key, text string) {
	if len(text) > valueBytesMax {
		text = strings.ToValidUTF8(text[:valueBytesMax], "")
	}
	if i, ok := find(c.self.values, k); ok && c.self.values[i].text == text {
		return
	}
	c.self.version++
	c.self.put(value{key: k, version: c.self.version, text: text})
	c.touch(c.self)
}

func (n *node) put(v value) {
	i, ok := find(n.values, v.key)
	n.values = slices.Clone(n.values)
	if ok {
		n.values[i] = v
	} else {
		n.values = slices.Insert(n.values, i, v)
	}
}

// syn says what this node knows: of itself, of whom it asks, and of the others
// from a random one on until the message is full.
func (c *core) syn(out *packet, to helenus.HostID, start int) {
	out.reset()
	out.addDigest(c.self.digest())
	if n := c.byID[to]; n != nil && n != c.self {
		out.addDigest(n.digest())
	}
	for i := range c.members {
		n := c.members[(start+i)%len(c.members)]
		if n.target.ID != to && !out.addDigest(n.digest()) {
			return
		}
	}
}

func (n *node) digest() digest { return digest{n.target.ID, n.generation, n.version} }

// answer compares digests with what this node knows: it gives what is newer
// here, and asks for what is newer there.
func (c *core) answer(digests []digest, out *packet, now instant) {
	out.reset()
	for i := range digests {
		d := &digests[i]
		n := c.byID[d.id]
		if n == nil {
			continue
		}
		if n == c.self {
			c.refute(d.generation, d.version, now)
		}
		switch {
		case d.generation < n.generation || d.generation == n.generation && d.version < n.version:
			out.addDelta(n.newer(d))
		case n != c.self && (d.generation > n.generation || d.version > n.version):
			out.addDigest(n.digest())
		}
	}
}

// give has the deltas that an ACK asks for.
func (c *core) give(digests []digest, out *packet, now instant) {
	c.answer(digests, out, now)
	out.digests, out.digestBytes = out.digests[:0], 0
}

// newer is what somebody lacks who knows as much as the digest says.
func (n *node) newer(d *digest) delta {
	out := delta{id: n.target.ID, generation: n.generation, heartbeat: n.heartbeat}
	if d.generation != n.generation {
		out.values = n.values
		return out
	}
	for _, v := range n.values {
		if v.version > d.version {
			out.values = append(out.values, v)
		}
	}
	return out
}

// merge takes what another node says. It returns the epoch that this one has
// itself, if it says so.
func (c *core) merge(deltas []delta, from helenus.HostID, now instant) (epoch meta.Epoch) {
	for i := range deltas {
		d := &deltas[i]
		n := c.byID[d.id]
		switch {
		case n == nil:
			c.tally.unknown++
		case n == c.self:
			c.refute(d.generation, d.version(), now)
		case d.generation > c.generationMax(now):
			c.tally.rejected++
		default:
			c.apply(n, d, d.id == from, now.at)
			if d.id == from {
				epoch = epochOf(n.values)
			}
		}
	}
	return epoch
}

// generationMax is the highest generation to be believed. This node's own one
// counts too, lest a clock that was set back makes it reject everybody.
func (c *core) generationMax(now instant) int64 {
	return max(now.wall, c.self.generation) + GenerationAhead
}

// refute makes this node newer than somebody claims it is: all that is true of
// it comes from here. Otherwise a false claim, or a start whose generation was
// not remembered, would hide it from all others.
func (c *core) refute(generation int64, version uint64, now instant) bool {
	s := c.self
	switch {
	case generation < s.generation || generation == s.generation && version <= s.version:
		return false
	case generation > c.generationMax(now):
		c.tally.rejected++
		return false
	}
	s.generation = generation + 1
	c.tally.refuted++
	c.touch(s)
	return true
}

// apply makes n as new as d, where d is newer.
func (c *core) apply(n *node, d *delta, direct bool, at time.Duration) {
	switch {
	case d.generation < n.generation || d.generation == 0:
		return
	case d.generation > n.generation:
		n.generation, n.heartbeat, n.version, n.values = d.generation, 0, 0, d.values
		c.touch(n)
	}
	for _, v := range d.values {
		i, ok := find(n.values, v.key)
		switch {
		case ok && v.version <= n.values[i].version:
		case !ok && len(n.values) >= valuesMax:
			c.tally.rejected++
		default:
			n.put(v)
			c.touch(n)
		}
	}
	beaten := d.heartbeat > n.heartbeat
	n.heartbeat = max(n.heartbeat, d.heartbeat)
	n.version = max(n.version, d.version())
	rhythm := beaten && n.arrivals.add(at)
	switch {
	case textOf(n.values, KeyStatus) == StatusShutdown:
		c.mark(n, Down, "it was shut down", at)
	case beaten && (direct || rhythm):
		// One heartbeat by hearsay may be that of a node long dead.
		c.mark(n, Up, "", at)
	}
}

func (c *core) mark(n *node, l Liveness, reason string, at time.Duration) {
	if n.liveness == l {
		return
	}
	n.liveness, n.reason, n.since = l, reason, at
	c.events = append(c.events, event{n.target, l, reason})
	c.touch(n)
}

// judge counts those down whose heartbeats do not come any more. After a pause
// of this process everybody seems silent: nobody is judged until there was time
// to hear of them again.
func (c *core) judge(at time.Duration) {
	gap := at - c.judgedAt
	c.judgedAt = at
	if gap > localPauseMax {
		c.paused, c.pausedAt = true, at
		c.tally.pauses++
	}
	if c.paused && at-c.pausedAt < localPauseMax {
		return
	}
	c.paused = false
	for _, n := range c.members {
		if n.liveness != Up {
			continue
		}
		phi, silence := n.arrivals.phi(at), (at - n.arrivals.last).Round(time.Millisecond)
		switch {
		case phi > c.threshold:
			c.mark(n, Down, fmt.Sprintf("no heartbeat for %v (phi %.1f)", silence, phi), at)
		case n.failed && phi > c.threshold*failedThreshold:
			c.mark(n, Down, fmt.Sprintf("no heartbeat for %v (phi %.1f), and no answer to probes", silence, phi), at)
		}
	}
}

// answers notes what Members found.
func (c *core) answers(id helenus.HostID, failed bool) {
	if n := c.byID[id]; n != nil && n != c.self {
		n.failed = failed
	}
}

// show is a View if there is anything new in it, else nil.
func (c *core) show() *View {
	if !c.changed {
		return nil
	}
	c.changed = false
	v := &View{byID: make(map[helenus.HostID]*Endpoint, len(c.byID))}
	for i := -1; i < len(c.members); i++ {
		n := c.self
		if i >= 0 {
			n = c.members[i]
		}
		if n.shown == nil {
			n.shown = &Endpoint{Target: n.target, Liveness: n.liveness, Reason: n.reason, Generation: n.generation, values: n.values}
		}
		v.byID[n.target.ID] = n.shown
	}
	return v
}

// setOwn says what the owner wants said. Whoever has said that it goes does not
// take that back.
func (c *core) setOwn(o *Own) {
	leaving := textOf(c.self.values, KeyStatus) == StatusShutdown
	for _, v := range o.texts() {
		if !leaving || v.key != KeyStatus && v.key != KeyRPCReady {
			c.say(v.key, v.text)
		}
	}
}

// setEpoch says which epoch this node has.
func (c *core) setEpoch(e meta.Epoch) { c.say(KeyEpoch, strconv.FormatUint(uint64(e), 10)) }
