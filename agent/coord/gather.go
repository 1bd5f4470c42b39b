package coord

import (
	"fmt"
	"sync"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/internal/ring"
	"helenus/store/row"
)

// gather asks the replicas of one key, or of one arc of a range, until enough
// of them have answered. The first is asked for data and the others for
// digests, if digests will do; when those differ, all are asked for data.
//
// It is kept for the next one when nobody needs it and all calls have ended.
type gather struct {
	c        *Coordinator
	x        *reading // told when it is over
	command  row.Command
	key      [1]row.Key // of command, if it has one
	encoded  []byte
	verb     wire.VerbID
	bytesMax int
	who      contacts

	mu       sync.Mutex // guards what follows; nothing is called under it
	slots    []*slot    // the first asked of them belong to who.nodes
	votes    []vote
	full     bool // digests will not do
	began    time.Time
	deadline time.Time
	fireAt   time.Time
	timer    *time.Timer
	calls    int  // under way
	over     bool // the owner has been told, or is about to be
	let      bool // the owner has let go
	charged  int64

	// What came out, for the owner. one is the slot that speaks for all, or -1.
	err    error
	one    int
	opened gathered // the same as Partitions, while it is gone through
}

// slot is one replica that is asked.
type slot struct {
	g       *gather
	node    *ring.Node
	call    wire.Call
	request replica.ReadRequest
	sent    time.Time

	data       []byte
	more       bool
	rows       int
	tombstones int
}

// slotKeepBytes is how much room a slot keeps for the next answer.
const slotKeepBytes = 64 << 10

func (c *Coordinator) newGather() *gather {
	if g, ok := c.gathers.Get().(*gather); ok {
		return g
	}
	return &gather{c: c}
}

// prepare makes a gather ready; command, who, verb and bytesMax are set.
func (g *gather) prepare(x *reading, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.x, g.full, g.over, g.let, g.err, g.one = x, full, false, false, nil, -1
	g.encoded = row.AppendCommand(g.encoded[:0], &g.command)
	g.votes = g.votes[:0]
}

// start asks the first replicas.
func (g *gather) start(timeout, speculateAfter time.Duration) {
	var buf [8]*slot
	g.mu.Lock()
	g.began = time.Now()
	g.deadline = g.began.Add(timeout)
	n := min(g.who.blockFor, len(g.who.nodes))
	spare := len(g.who.nodes) > n
	if spare && speculateAfter == 0 {
		n++
	}
	send := buf[:0]
	for i := range n {
		send = append(send, g.askLocked(g.full || i == 0))
	}
	g.fireAt = g.deadline
	if spare && speculateAfter > 0 && speculateAfter < timeout {
		g.fireAt = g.began.Add(speculateAfter)
	}
	g.watchLocked(g.began)
	g.mu.Unlock()
	g.send(send)
}

func (g *gather) watchLocked(now time.Time) {
	if g.timer == nil {
		g.timer = time.AfterFunc(g.fireAt.Sub(now), g.fire)
		return
	}
	g.timer.Reset(g.fireAt.Sub(now))
}

// askLocked makes the next replica one that is waited for.
func (g *gather) askLocked(data bool) *slot {
	i := len(g.votes)
	g.votes = append(g.votes, vote{})
	if i == len(g.slots) {
		s := &slot{g: g}
		s.call.Owner = s
		g.slots = append(g.slots, s)
	}
	g.slots[i].node = g.who.nodes[i]
	return g.putLocked(i, data)
}

// putLocked makes a replica that is not being waited for one that is.
func (g *gather) putLocked(i int, data bool) *slot {
	g.votes[i] = vote{waiting: true, asksData: data}
	g.calls++
	s := g.slots[i]
	s.request = replica.ReadRequest{Epoch: g.x.r.State.Epoch, Data: data, Digest: !g.full && g.who.blockFor > 1,
		BytesMax: g.bytesMax, Command: g.encoded}
	s.sent = time.Now()
	s.call.Verb, s.call.Request, s.call.Timeout = g.verb, &s.request, max(g.deadline.Sub(s.sent), 0)+callSlack
	return s
}

// send puts the questions, to this node last: its answer may be found at once,
// and the others should be at it by then. An answer to the first may let another
// goroutine ask further replicas meanwhile.
func (g *gather) send(slots []*slot) {
	var local *slot
	for _, s := range slots {
		if s.node.HostID == g.c.opts.Self {
			local = s
			continue
		}
		g.c.opts.Wire.Call(target(s.node), &s.call)
	}
	if local != nil {
		g.c.opts.Wire.Call(target(local.node), &local.call)
	}
}

// Answered implements wire.Owner.
func (s *slot) Answered(call *wire.Call) {
	g := s.g
	if p := g.c.opts.Proximity; p != nil {
		took := time.Since(s.sent)
		if call.Err != nil { // one that fails at once is no nearer for it
			took = max(took, g.c.timeouts().Read)
		}
		p.Record(s.node.HostID, took)
	}
	var buf [8]*slot
	g.mu.Lock()
	g.calls--
	if g.over {
		g.freeLocked()
		return
	}
	s.noteLocked(call)
	g.proceedLocked(buf[:0])
}

func (s *slot) noteLocked(call *wire.Call) {
	g := s.g
	v := &g.votes[s.index()]
	v.waiting = false
	if call.Err != nil {
		v.failed, v.reason, v.overloaded = true, replica.ReasonOf(call.Err), wire.KindOf(call.Err) == wire.Overloaded
		return
	}
	m := call.Response.(*replica.ReadAnswer)
	if v.summed = m.HasDigest; v.summed {
		v.sum = m.Digest
	}
	s.more, s.rows, s.tombstones = m.More, m.Rows, m.Tombstones
	if !m.HasData {
		return
	}
	if n := int64(len(m.Data)); g.c.opts.Memory != nil {
		if !g.c.opts.Memory.Charge(n) {
			v.failed, v.overloaded, v.summed = true, true, false
			return
		}
		g.charged += n
	}
	v.data = true
	s.data = append(s.data[:0], m.Data...)
}

func (s *slot) index() int {
	for i, other := range s.g.slots {
		if other == s {
			return i
		}
	}
	return -1
}

// proceedLocked decides how to go on, does it, and unlocks.
func (g *gather) proceedLocked(send []*slot) {
	for {
		v, one := decide(g.votes, g.who.blockFor, g.full)
		switch v {
		case agreed:
			g.one = one
			g.endLocked(nil)
			return
		case differing:
			if send = g.readAllLocked(send); len(send) == 0 {
				continue
			}
		case short:
			if g.hopeless() || len(g.votes) == len(g.who.nodes) {
				g.endLocked(g.lost())
				return
			}
			send = append(send, g.askLocked(g.full || !g.dataComes()))
			continue
		}
		g.mu.Unlock()
		g.send(send)
		return
	}
}

// readAllLocked goes on to the second round: data of all that have answered.
func (g *gather) readAllLocked(send []*slot) []*slot {
	g.full = true
	g.c.stats.Mismatches.Add(1)
	g.x.r.Trace.Event("Digest mismatch, reading the data of all replicas asked")
	for i := range g.votes {
		if v := &g.votes[i]; v.summed && !v.data && !v.waiting && !v.failed {
			send = append(send, g.putLocked(i, true))
		}
	}
	return send
}

// dataComes tells whether there is data, or somebody is asked for it.
func (g *gather) dataComes() bool {
	for i := range g.votes {
		if v := &g.votes[i]; v.data || v.waiting && v.asksData {
			return true
		}
	}
	return false
}

// hopeless tells whether a replica failed in a way that others would, too.
func (g *gather) hopeless() bool {
	for i := range g.votes {
		if v := &g.votes[i]; v.failed && v.reason == replica.ReasonTombstones {
			return true
		}
	}
	return false
}

// fire is called when the first replicas have been waited for long enough, and
// at the deadline.
func (g *gather) fire() {
	var buf [8]*slot
	g.mu.Lock()
	now := time.Now()
	switch {
	case g.over || g.let || now.Before(g.fireAt):
		g.mu.Unlock() // it was for another time
	case !now.Before(g.deadline):
		g.endLocked(g.lost())
	default:
		g.fireAt = g.deadline
		g.watchLocked(now)
		if len(g.votes) == len(g.who.nodes) {
			g.mu.Unlock()
			return
		}
		g.c.stats.Speculative.Add(1)
		g.x.r.Trace.Event("Speculating read retry on another replica")
		dataIsHere := false
		for i := range g.votes {
			dataIsHere = dataIsHere || g.votes[i].data
		}
		send := append(buf[:0], g.askLocked(g.full || !dataIsHere))
		g.mu.Unlock()
		g.send(send)
	}
}

// endLocked tells the owner, and unlocks.
func (g *gather) endLocked(err error) {
	g.over, g.err = true, err
	g.timer.Stop()
	x := g.x
	g.mu.Unlock()
	x.gathered(g)
}

// lost is the error of a read that cannot get enough answers any more.
func (g *gather) lost() error {
	received, failed, overloaded, timedOut := 0, 0, 0, 0
	e := &helenus.Error{Code: helenus.CodeReadTimeout, Consistency: g.x.r.Consistency, Required: g.who.blockFor}
	for i := range g.votes {
		v := &g.votes[i]
		switch {
		case v.failed && v.overloaded:
			overloaded++
			fallthrough
		case v.failed:
			failed++
			if v.reason == replica.ReasonTimeout {
				timedOut++
			}
			e.Failures = append(e.Failures, helenus.Failure{From: g.slots[i].node.Endpoint, Reason: v.reason})
		case v.data || v.summed && !g.full:
			received++
		}
		e.DataPresent = e.DataPresent || v.data
	}
	e.Alive = received
	switch {
	case failed == timedOut:
		e.Failures = nil
		e.Message = fmt.Sprintf("Operation timed out - received only %d responses.", received)
	case overloaded == failed:
		return helenus.Errorf(helenus.CodeOverloaded, "Too many requests are under way at %d of the replicas asked, or here; try again later", overloaded)
	default:
		e.Code = helenus.CodeReadFailure
		e.Message = fmt.Sprintf("Operation failed - received %d responses and %d failures: %s", received, failed, failureText(e.Failures))
	}
	return e
}

// rows is how many live rows there may be: those of the replica with the most.
func (g *gather) rows() (n int) {
	for i := range g.votes {
		if g.votes[i].data {
			n = max(n, g.slots[i].rows)
		}
	}
	return n
}

// tombstones is the most that a replica met.
func (g *gather) tombstones() (n int) {
	for i := range g.votes {
		if g.votes[i].data || g.votes[i].summed {
			n = max(n, g.slots[i].tombstones)
		}
	}
	return n
}

// bytes is how much its answers hold.
func (g *gather) bytes() (n int) {
	for i := range g.votes {
		if g.votes[i].data {
			n += len(g.slots[i].data)
		}
	}
	return n
}

// giveUp lets go of a gather that was not started.
func (g *gather) giveUp() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.free()
}

// free lets go of a gather that is over.
func (g *gather) free() {
	g.mu.Lock()
	g.let = true
	if g.charged > 0 {
		g.c.opts.Memory.Release(g.charged)
		g.charged = 0
	}
	g.freeLocked()
}

// freeLocked keeps the gather for another read once nobody needs it. It unlocks.
func (g *gather) freeLocked() {
	if !g.let || g.calls > 0 {
		g.mu.Unlock()
		return
	}
	for _, s := range g.slots {
		if cap(s.data) > slotKeepBytes {
			s.data = nil
		}
		s.node, s.data, s.request, s.call.Request, s.call.Response = nil, s.data[:0], replica.ReadRequest{}, nil, nil
	}
	g.x, g.command, g.key = nil, row.Command{}, [1]row.Key{}
	g.opened.x, g.opened.ps, g.opened.lacks = nil, nil, nil
	g.mu.Unlock()
	g.c.gathers.Put(g)
}
