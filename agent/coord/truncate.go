package coord

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

// Truncate removes all data of a table at every member, this one included, and
// waits: a node that is no replica may keep hints of the table. All of them must live: what one missed would come
// back.
func (c *Coordinator) Truncate(ctx context.Context, state *meta.State, t *schema.Table) error {
	p := c.placement(state, t.Keyspace)
	if p == nil {
		return helenus.Invalid("keyspace %s does not exist", t.Keyspace)
	}
	if c.opts.Wire == nil {
		return helenus.Errorf(helenus.CodeServer, "coord: truncate %s: this node has no way to others", t.QualifiedName())
	}
	var members []wire.Target
	live := 0
	_, local := p.Strategy.(ring.Local)
	for _, n := range p.Topology.Nodes() {
		if local && n.HostID != c.opts.Self {
			continue
		}
		members = append(members, target(n))
		if c.alive(n) {
			live++
		}
	}
	if live < len(members) {
		return helenus.Unavailable(helenus.All, len(members), live)
	}
	for _, hints := range []bool{true, false} {
		// Calls of their own: late answers may still come to the first ones.
		run := truncation{message: replica.Truncation{Epoch: state.Epoch, Table: t.ID, Hints: hints}}
		for _, to := range members {
			run.calls = append(run.calls, truncateCall{to: to})
		}
		if err := run.do(ctx, c.opts.Wire, c.timeouts().Truncate); err != nil {
			return err
		}
	}
	return nil
}

// truncation is one TRUNCATE under way.
type truncation struct {
	message replica.Truncation
	calls   []truncateCall
	ends    chan *truncateCall
}

type truncateCall struct {
	to   wire.Target
	call wire.Call
	all  *truncation
}

// Answered implements wire.Owner.
func (t *truncateCall) Answered(*wire.Call) { t.all.ends <- t }

func (r *truncation) do(ctx context.Context, w Caller, timeout time.Duration) error {
	r.ends = make(chan *truncateCall, len(r.calls)) // answers that nobody waits for have room
	for i := range r.calls {
		t := &r.calls[i]
		t.all = r
		t.call = wire.Call{Verb: replica.VerbTruncate, Request: &r.message, Timeout: timeout, Owner: t}
		w.Call(t.to, &t.call)
	}
	// Wire does not time a call to this node out.
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for n := range r.calls {
		select {
		case t := <-r.ends:
			switch {
			case wire.KindOf(t.call.Err) == wire.Timeout:
				return truncateTimeout(n)
			case t.call.Err != nil:
				return helenus.Errorf(helenus.CodeTruncate, "Truncate failed on replica /%s -> %s (%s)", t.to.Addr,
					reasonName(replica.ReasonOf(t.call.Err)), cause(t.call.Err))
			}
		case <-ctx.Done():
			return truncateTimeout(n)
		}
	}
	return nil
}

func truncateTimeout(received int) error {
	return fmt.Errorf("Truncate timed out - received only %d responses", received)
}

// cause is a call's error without the node, which is named already.
func cause(err error) string {
	var call *wire.Error
	if errors.As(err, &call) {
		return call.Reason
	}
	return err.Error()
}
