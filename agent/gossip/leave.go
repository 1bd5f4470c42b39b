package gossip

import (
	"context"
	"sync/atomic"

	"helenus/agent/wire"
)

// farewell counts the nodes that have not been told yet.
type farewell struct {
	missing atomic.Int64
	done    chan struct{}
}

// Answered implements wire.Owner.
func (f *farewell) Answered(*wire.Call) { f.less() }

func (f *farewell) less() {
	if f.missing.Add(-1) == 0 {
		close(f.done)
	}
}

// Leave tells all nodes that are up that this one is going down, so that they
// need not find out. It returns when all have been told, or ctx ends; Run must
// be running still.
func (g *Gossip) Leave(ctx context.Context) {
	g.mu.Lock()
	w := g.wire
	g.core.say(KeyStatus, StatusShutdown)
	g.core.say(KeyRPCReady, "false")
	g.core.beat()
	d := g.core.self.newer(&digest{})
	var targets []wire.Target
	for _, n := range g.core.members {
		if n.liveness == Up {
			targets = append(targets, n.target)
		}
	}
	g.publishLocked()
	g.mu.Unlock()
	if w == nil {
		return
	}
	f := &farewell{done: make(chan struct{})}
	f.missing.Store(int64(len(targets)) + 1)
	for _, to := range targets {
		p := new(packet)
		p.addDelta(d)
		g.counts.out(p.size())
		w.Call(to, &wire.Call{Verb: verbAck2, Request: p, Owner: f})
	}
	f.less()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
}
