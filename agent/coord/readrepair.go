package coord

import (
	"fmt"
	"sync"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
)

// repair is what the replicas of one part get that they lack. The read is
// answered when so many have it as the level wants: else a later read at the
// same level could find what is older (blocking read repair).
type repair struct {
	mu       sync.Mutex // guards what follows
	x        *reading   // waits; nil: not any more
	need     int        // acknowledgements that it waits for
	left     int        // that may still come
	blockFor int
	level    helenus.Consistency
}

// repairCall is the mutation of one replica.
type repairCall struct {
	repair   *repair
	node     wire.Target
	call     wire.Call
	mutation replica.Mutation
}

// repair sends what the replicas of a part lack of what was gone through.
func (x *reading) repair(o *gathered) {
	var calls []*repairCall
	r := &repair{x: x, blockFor: o.g.who.blockFor, level: x.r.Consistency}
	for i := range o.sources {
		b, some := o.lacks.Take(nil, i)
		if !some {
			continue
		}
		c := &repairCall{repair: r, node: target(o.g.slots[o.of[i]].node)}
		c.mutation = replica.Mutation{Epoch: x.r.State.Epoch, Bytes: b}
		c.call = wire.Call{Verb: replica.VerbMutation, Request: &c.mutation, Timeout: x.c.timeouts().Read, Owner: c}
		calls = append(calls, c)
	}
	if calls == nil {
		return
	}
	o.lacks.Renew()
	x.c.stats.Repairs.Add(uint64(len(calls)))
	x.r.Trace.Event("Sending read repair to replicas that missed something")
	r.left = len(calls)
	if r.need = r.blockFor - (len(o.sources) - len(calls)); r.need > 0 {
		x.mu.Lock()
		x.repairs++
		x.mu.Unlock()
	} else {
		r.x = nil
	}
	for _, c := range calls {
		x.c.opts.Wire.Call(c.node, &c.call)
	}
}

// Answered implements wire.Owner.
func (c *repairCall) Answered(call *wire.Call) {
	r := c.repair
	r.mu.Lock()
	r.left--
	if call.Err == nil {
		r.need--
	}
	x := r.x
	var err error
	switch {
	case x == nil || r.need > 0 && r.left >= r.need:
		r.mu.Unlock()
		return
	case r.need > 0:
		err = &helenus.Error{Code: helenus.CodeReadTimeout, Consistency: r.level, Required: r.blockFor,
			Alive: r.blockFor - 1, DataPresent: true,
			Message: fmt.Sprintf("Operation timed out - received only %d responses: a replica did not take what it had missed", r.blockFor-1)}
	}
	r.x = nil
	r.mu.Unlock()
	x.repaired(err)
}
