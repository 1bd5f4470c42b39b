package replica

import (
	"context"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// The verbs of this room; docs/format/replica.md has their bytes.
const (
	VerbMutation  wire.VerbID = 32
	VerbAck       wire.VerbID = 33 // of a forwarded mutation, to its coordinator: coord answers it
	VerbRead      wire.VerbID = 34
	VerbTruncate  wire.VerbID = 35
	VerbReadLarge wire.VerbID = 36 // the same as a read, on the lane of large answers
)

// States is the metadata whose tables the store has. Changed's channel is
// closed when there is another State than the one that was given before.
type States interface {
	State() *meta.State
	Changed() <-chan struct{}
}

// Caller asks other nodes; *wire.Wire is one.
type Caller interface {
	Call(to wire.Target, c *wire.Call)
}

// Verbs are what this node answers others.
func (r *Replica) Verbs() []wire.Verb { return append(r.writeVerbs(), r.readVerbs()...) }

// Connect gives the way to other nodes. It comes before the first request.
func (r *Replica) Connect(w Caller) { r.wire = w }

// Run lets requests go on that waited for newer metadata, until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	if r.opts.States == nil {
		<-ctx.Done()
		return nil
	}
	for {
		changed := r.opts.States.Changed()
		r.parking.release(r)
		select {
		case <-ctx.Done():
			r.parking.end()
			return nil
		case <-changed:
		}
	}
}

// atEpoch runs a request of a coordinator whose State has epoch e, at once as a
// rule. If this node's is older the request waits until it is not, or until its
// deadline. run, a method of Replica, ends the request.
func (r *Replica) atEpoch(e meta.Epoch, q *wire.Request, run func(*Replica, *wire.Request)) {
	if r.opts.States == nil || e <= r.opts.States.State().Epoch {
		run(r, q)
		return
	}
	from := q.From // q may be ended by others once it is parked
	if !r.parking.add(r, parkedRequest{e, q, run}) {
		q.Fail(helenus.Errorf(helenus.CodeOverloaded, "%d requests wait for newer metadata", parkedMax))
	}
	if r.opts.Behind != nil {
		r.opts.Behind(from, e)
	}
	if e <= r.opts.States.State().Epoch { // it came in between
		r.parking.release(r)
	}
}
