package coord

import (
	"sync"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
)

// A copy for several replicas of another datacenter crosses once: the first of
// them passes it on. Each of the others answers this node itself, by an Ack. A
// copy of which nothing is heard in half of the write's time, or whose forwarder
// failed, is sent directly: a mutation may be applied twice.

// acks finds the writes that some replicas answer by an Ack.
type acks struct {
	mu   sync.Mutex // guards what follows; taken before a writing's
	last uint64
	of   map[uint64]*writing
}

func (a *acks) add(op *writing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = make(map[uint64]*writing)
	}
	a.last++
	op.id = a.last
	a.of[op.id] = op
}

func (a *acks) remove(op *writing) {
	if op.id == 0 {
		return
	}
	a.mu.Lock()
	delete(a.of, op.id)
	a.mu.Unlock()
	op.id = 0
}

// group chooses in each other datacenter who passes a copy on.
func (op *writing) group() {
	for i := range op.copies {
		x := &op.copies[i]
		if !x.alive || x.via || x.node.Datacenter == op.c.opts.Datacenter {
			continue
		}
		op.forward(i)
	}
	if op.id == 0 {
		return
	}
	for i := range op.copies {
		if x := &op.copies[i]; len(x.message.Forward) > 0 {
			x.message.AckTo, x.message.ID = op.c.opts.Self, op.id
		}
	}
}

// forward gives the copies behind i that have its datacenter and payload
// to it. Which replica comes first depends on the key, so the work is spread.
func (op *writing) forward(i int) {
	x := &op.copies[i]
	for j := i + 1; j < len(op.copies); j++ {
		y := &op.copies[j]
		if !y.alive || y.via || y.node.Datacenter != x.node.Datacenter || &y.payload[0] != &x.payload[0] || len(x.message.Forward) == forwardMax {
			continue
		}
		y.via = true
		x.message.Forward = append(x.message.Forward, y.node.HostID)
		if op.id == 0 {
			op.c.acks.add(op)
		}
	}
}

// forwardMax bounds the list of those that a copy is passed on to.
const forwardMax = 255

// askFollowers sends directly what x should have passed on.
func (op *writing) askFollowers(x *copyOf) {
	for i := range op.copies {
		y := &op.copies[i]
		if y.via && y.node.Datacenter == x.node.Datacenter && &y.payload[0] == &x.payload[0] {
			op.askDirectly(y)
		}
	}
}

// askAgain is called in the middle of a write's time.
func (op *writing) askAgain() {
	for i := range op.copies {
		if y := &op.copies[i]; y.via {
			op.askDirectly(y)
		}
	}
	d := &op.c.deadlines
	d.mu.Lock()
	op.at, op.asksAgain = op.end, false
	d.insertLocked(op, true)
	d.wakeLocked(d.now())
	d.mu.Unlock()
	op.mu.Lock()
	op.refs++ // to leave, in case all was settled while the list did not have it
	op.mu.Unlock()
	op.leave()
}

// askDirectly takes a copy out of the hands of its forwarder.
func (op *writing) askDirectly(y *copyOf) {
	left := op.end - op.c.deadlines.now()
	op.mu.Lock()
	ask := !y.asked && !y.settled && left > 0
	y.asked = y.asked || ask
	op.mu.Unlock()
	if ask {
		op.ask(y, left)
	}
}

func newAck() wire.Message { return new(replica.Ack) }

// Verbs are what this room answers other nodes.
func (c *Coordinator) Verbs() []wire.Verb {
	return []wire.Verb{{ID: replica.VerbAck, Name: "MUTATION_ACK", Lane: wire.Small, Timeout: 5 * time.Second, NewRequest: newAck, Handle: c.acked}}
}

// acked hears of a copy that another replica passed on.
func (c *Coordinator) acked(q *wire.Request) {
	ack, from := *q.Message.(*replica.Ack), q.From
	q.Reply(nil)
	op, x := c.acks.find(ack.ID, from)
	if op == nil {
		return // it is over
	}
	var err error
	if ack.Failed {
		err = replica.Failed(ack.Reason, "a replica failed")
	}
	op.settle(x, err)
	op.leave()
}

// find gives a write, with a reference to it, and the copy of a node.
func (a *acks) find(id uint64, from helenus.HostID) (*writing, *copyOf) {
	a.mu.Lock()
	defer a.mu.Unlock()
	op := a.of[id]
	if op == nil {
		return nil, nil
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	if op.refs == 0 {
		return nil, nil // it is being recycled, and waits for a.mu
	}
	for i := range op.copies {
		if x := &op.copies[i]; x.node.HostID == from {
			op.refs++
			return op, x
		}
	}
	return nil, nil
}
