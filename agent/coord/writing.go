package coord

import (
	"sync"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/ring"
	"helenus/store/row"
)

// writing is a write on its way to several replicas. It outlives the answer to
// the client: what answers late is counted, what does not answer is hinted. It
// goes back to its pool when nothing refers to it any more.
type writing struct {
	c  *Coordinator
	id uint64 // among acks; 0: no replica answers by an Ack

	mu        sync.Mutex // guards what follows
	w         *Write     // nil once it is answered
	state     *meta.State
	level     helenus.Consistency
	mutation  []byte // its own copy: w's is gone with the answer
	updates   [][]byte
	tallies   []tally // of each partition
	copies    []copyOf
	unsettled int // copies whose fate is not known
	refs      int // calls, the local write, the deadline, and whoever is at work here
	own       ownWrite

	began, end time.Duration // of deadlines.now; they do not change

	// Of the list of deadlines, which guards them.
	at         time.Duration
	asksAgain  bool      // at is not the end yet, but when forwarded copies are sent directly
	queue      *dueQueue // nil: it is not listed
	next, prev *writing
}

// copyOf is what one replica gets of a write.
type copyOf struct {
	op      *writing
	node    *ring.Node
	parts   []int32 // partitions, by their numbers
	payload []byte  // their updates, as a mutation
	alive   bool
	settled bool // its fate is known; counted soon if not yet
	failed  bool
	reason  uint16
	via     bool // another replica passes it on
	asked   bool // directly, though via
	message replica.Mutation
	call    wire.Call
}

// ownWrite is this node's share.
type ownWrite struct {
	op    *writing
	index int // of copies
	local replica.Write
}

// keepBytes bounds what a pooled writing holds on to.
const keepBytes = 64 << 10

func newWriting(c *Coordinator) *writing {
	op := &writing{c: c}
	op.own.op, op.own.local.Owner = op, &op.own
	return op
}

// writeToAll sends a write, which enough replicas live for, to all of them.
func (c *Coordinator) writeToAll(w *Write) {
	op := c.writings.Get().(*writing)
	op.refs = 1 // this function; nobody else knows the write yet
	op.w, op.state, op.level = w, w.State, w.Consistency
	op.mutation = append(op.mutation[:0], w.Mutation...)
	if w.Err = op.plan(); w.Err != nil {
		op.w = nil
		op.leave()
		c.stats.WriteErrors.Add(1)
		w.Done.WriteDone(w)
		return
	}
	w.Trace.Event("Determining replicas for mutation")
	op.group()
	timeout := c.timeouts().Write
	again := time.Duration(0)
	if op.id != 0 {
		again = timeout / 2
	}
	op.refs++ // the list of deadlines
	c.deadlines.add(op, timeout, again)
	op.hintDead()
	op.mu.Lock()
	answer := op.judgeLocked()
	op.mu.Unlock()
	answer.tell(c)
	op.send(timeout)
	op.leave()
}

// plan finds the replicas of every partition and what each of them gets.
func (op *writing) plan() error {
	c, w := op.c, op.w
	op.copies = op.copies[:0]
	op.setTallies(len(w.Targets))
	for i := range w.Targets {
		t := &w.Targets[i]
		p := c.placement(w.State, t.Keyspace)
		tok := c.opts.Partition.Token(t.Key.Bytes)
		natural, pending := p.Replicas(tok), p.Pending(tok)
		op.tallies[i].reset(op.level, p.Strategy, c.opts.Datacenter, pending)
		if _, ok := p.Strategy.(ring.Local); ok {
			natural = w.State.Topology.Nodes()
			natural = natural[indexOf(natural, c.opts.Self):][:1]
		}
		for _, n := range natural {
			op.add(n, int32(i))
		}
		for _, n := range pending {
			op.add(n, int32(i))
		}
	}
	op.unsettled = len(op.copies)
	if !op.here() {
		c.stats.RemoteWrites.Add(1)
	}
	return op.split()
}

// here tells whether this node gets all partitions.
func (op *writing) here() bool {
	for i := range op.copies {
		if x := &op.copies[i]; x.node.HostID == op.c.opts.Self {
			return len(x.parts) == len(op.tallies)
		}
	}
	return false
}

func indexOf(nodes []*ring.Node, id helenus.HostID) int {
	for i, n := range nodes {
		if n.HostID == id {
			return i
		}
	}
	return 0 // a node that writes is a member
}

func (op *writing) setTallies(n int) {
	for cap(op.tallies) < n {
		op.tallies = append(op.tallies[:cap(op.tallies)], tally{})
	}
	op.tallies = op.tallies[:n]
}

// add notes that a node gets a partition.
func (op *writing) add(n *ring.Node, part int32) {
	var x *copyOf
	for i := range op.copies {
		if op.copies[i].node.HostID == n.HostID {
			x = &op.copies[i]
			break
		}
	}
	if x == nil {
		if len(op.copies) < cap(op.copies) {
			op.copies = op.copies[:len(op.copies)+1] // with the buffers of the last time
		} else {
			op.copies = append(op.copies, copyOf{})
		}
		x = &op.copies[len(op.copies)-1]
		*x = copyOf{op: op, node: n, alive: op.c.alive(n), parts: x.parts[:0], message: replica.Mutation{Forward: x.message.Forward[:0]}}
	}
	x.parts = append(x.parts, part)
	if x.alive || op.level == helenus.Any {
		op.tallies[part].expect(n.Datacenter)
	}
}

// split gives each replica its own updates: the mutation as it is where it holds
// all partitions, as it does when there is only one.
func (op *writing) split() error {
	if len(op.mutation) == 0 {
		return helenus.Errorf(helenus.CodeServer, "coord: an empty mutation")
	}
	op.updates = op.updates[:0]
	for i := range op.copies {
		x := &op.copies[i]
		if len(x.parts) == len(op.tallies) {
			x.payload = op.mutation
			continue
		}
		if len(op.updates) == 0 {
			m := row.ReadMutation(op.mutation)
			for update, ok := m.Next(); ok; update, ok = m.Next() {
				op.updates = append(op.updates, update)
			}
			if m.Err() != nil || len(op.updates) != len(op.tallies) {
				return helenus.Errorf(helenus.CodeServer, "coord: a mutation of %d updates for %d partitions: %v", len(op.updates), len(op.tallies), m.Err())
			}
		}
		if x.payload = op.same(i); x.payload == nil {
			mine := make([][]byte, 0, len(x.parts))
			for _, part := range x.parts {
				mine = append(mine, op.updates[part])
			}
			x.payload = row.AppendMutation(nil, mine...)
		}
	}
	return nil
}

// same is the payload of an earlier copy with the partitions of copy i.
func (op *writing) same(i int) []byte {
	for j := range i {
		if equalParts(op.copies[j].parts, op.copies[i].parts) {
			return op.copies[j].payload
		}
	}
	return nil
}

func equalParts(a, b []int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// hintDead keeps what the dead miss.
func (op *writing) hintDead() {
	for i := range op.copies {
		x := &op.copies[i]
		switch {
		case x.alive:
		case op.level == helenus.Any:
			op.settle(x, errDead)
		default:
			x.settled, x.failed, x.reason = true, true, replica.ReasonNodeDown
			op.unsettled--
			op.hint(x)
		}
	}
}

func (op *writing) hint(x *copyOf) {
	if h := op.c.opts.Hints; h != nil && x.node.HostID != op.c.opts.Self {
		h.Store(x.node.HostID, op.state, x.payload, op.age())
	}
}

// age is how long ago the write began.
func (op *writing) age() time.Duration { return op.c.deadlines.now() - op.began }

// hintForAny keeps what a replica misses of a write at ANY: a hint is as good as
// an answer, once it is durable.
func (op *writing) hintForAny(x *copyOf, err error) {
	h := op.c.opts.Hints
	if h == nil || x.node.HostID == op.c.opts.Self {
		op.count(x, err)
		return
	}
	op.mu.Lock()
	op.refs++
	op.mu.Unlock()
	h.StoreSynced(x.node.HostID, op.state, x.payload, op.age(), func(kept bool) {
		if kept {
			err = nil
		}
		op.count(x, err)
		op.leave()
	})
}

// send asks the replicas. Answers may come before it returns.
func (op *writing) send(timeout time.Duration) {
	own := -1
	for i := range op.copies {
		x := &op.copies[i]
		switch {
		case x.node.HostID == op.c.opts.Self:
			own = i
		case x.alive && !x.via:
			op.ask(x, timeout)
		}
	}
	if own < 0 {
		return
	}
	op.mu.Lock()
	op.refs++
	op.mu.Unlock()
	op.own.index, op.own.local.Mutation = own, op.copies[own].payload
	op.c.opts.Replica.Write(&op.own.local)
}

// ask sends a replica its copy directly.
func (op *writing) ask(x *copyOf, timeout time.Duration) {
	op.mu.Lock()
	op.refs++
	op.mu.Unlock()
	x.message.Epoch, x.message.Bytes = op.state.Epoch, x.payload
	x.call = wire.Call{Verb: replica.VerbMutation, Request: &x.message, Timeout: timeout + callSlack, Owner: x}
	op.c.opts.Wire.Call(target(x.node), &x.call)
}

// Answered implements wire.Owner.
func (x *copyOf) Answered(call *wire.Call) {
	op, err := x.op, call.Err
	op.settle(x, err)
	if err != nil && wire.KindOf(err) != wire.Failed && len(x.message.Forward) > 0 {
		op.askFollowers(x) // had it been asked at all, it would have passed the copy on first
	}
	op.leave()
}

// Written implements replica.Owner: this node's share is done.
func (o *ownWrite) Written(*replica.Write) {
	op, err := o.op, o.local.Err
	o.local.Mutation, o.local.Err = nil, nil
	op.settle(&op.copies[o.index], err)
	op.leave()
}

// settle notes how a copy went, unless that is known, and answers the client if
// it decides the write.
func (op *writing) settle(x *copyOf, err error) {
	op.mu.Lock()
	known := x.settled
	x.settled = true
	op.mu.Unlock()
	switch {
	case known:
		return
	case err == nil || !missed(err):
	case op.level == helenus.Any:
		op.hintForAny(x, err)
		return
	default:
		op.hint(x)
	}
	op.count(x, err)
}

// count is the end of settle.
func (op *writing) count(x *copyOf, err error) {
	op.mu.Lock()
	op.unsettled--
	x.failed = err != nil
	if x.failed {
		x.reason = replica.ReasonOf(err)
	}
	for _, part := range x.parts {
		if t := &op.tallies[part]; err == nil {
			t.acked(x.node.Datacenter)
		} else {
			t.failed(x.node.Datacenter)
		}
	}
	answer := op.judgeLocked()
	op.mu.Unlock()
	answer.tell(op.c)
}

// missed tells whether a replica may do at another time what it did not now.
func missed(err error) bool {
	return replica.ReasonOf(err) != replica.ReasonSchema
}

// judgeLocked gives the write to be answered, with its error, as soon as its
// fate is clear.
func (op *writing) judgeLocked() *Write {
	w := op.w
	if w == nil {
		return nil
	}
	for i := range op.tallies {
		if op.tallies[i].hopeless() {
			w.Err = op.failureLocked(i)
			op.w = nil
			return w
		}
	}
	for i := range op.tallies {
		if !op.tallies[i].met() {
			return nil
		}
	}
	w.Err, op.w = nil, nil
	return w
}

// failureLocked is what the client is told of a partition that cannot reach its
// level: a time-out if nothing worse happened.
func (op *writing) failureLocked(part int) error {
	var failures []helenus.Failure
	late := false
	for i := range op.copies {
		x := &op.copies[i]
		if !x.failed || !containsPart(x.parts, int32(part)) || op.level.IsLocal() && x.node.Datacenter != op.c.opts.Datacenter {
			continue
		}
		late = late || x.reason == replica.ReasonTimeout
		if x.alive || op.level == helenus.Any {
			failures = append(failures, helenus.Failure{From: x.node.Endpoint, Reason: x.reason})
		}
	}
	t := &op.tallies[part]
	if late || len(failures) == 0 {
		return writeTimeout(op.level, op.w.Type, t.received(), t.blockFor)
	}
	return writeFailure(op.level, op.w.Type, t.received(), t.blockFor, failures)
}

func containsPart(parts []int32, part int32) bool {
	for _, p := range parts {
		if p == part {
			return true
		}
	}
	return false
}

// expired ends a write whose time is over: what has not answered is late.
func (op *writing) expired() {
	for i := range op.copies {
		op.settle(&op.copies[i], errLate)
	}
	if op.level == helenus.Any {
		op.giveUp()
	}
	op.leave()
}

// giveUp ends a write at ANY whose hint does not become durable in time.
func (op *writing) giveUp() {
	op.mu.Lock()
	answer := op.w
	if answer != nil {
		answer.Err = writeTimeout(op.level, answer.Type, 0, 1)
		op.w = nil
	}
	op.mu.Unlock()
	answer.tell(op.c)
}

// tell gives an answer to the client, if there is one.
func (w *Write) tell(c *Coordinator) {
	if w == nil {
		return
	}
	if w.Err != nil {
		c.stats.WriteErrors.Add(1)
	}
	w.Trace.Event("Write finished")
	w.Done.WriteDone(w)
}

// leave drops a reference. A write whose copies are all settled does not wait
// for its deadline.
func (op *writing) leave() {
	op.mu.Lock()
	if op.unsettled == 0 && op.c.deadlines.remove(op) {
		op.refs--
	}
	op.refs--
	last := op.refs == 0
	op.mu.Unlock()
	if last {
		op.recycle()
	}
}

// recycle gives a write's memory back. Nobody else knows it any more.
func (op *writing) recycle() {
	c := op.c
	c.acks.remove(op)
	if cap(op.mutation) > keepBytes {
		op.mutation = nil
	}
	clear(op.updates)
	for i := range op.copies {
		x := &op.copies[i]
		x.op, x.node, x.payload, x.message.Bytes, x.call = nil, nil, nil, nil, wire.Call{}
	}
	op.state, op.w = nil, nil
	c.writings.Put(op)
}
