package coord

import (
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

// Caller asks other nodes; *wire.Wire is one.
type Caller interface {
	Call(to wire.Target, c *wire.Call)
}

// Liveness is what this node believes of others.
type Liveness interface {
	Alive(id helenus.HostID) bool
}

// Hints keep what a replica missed.
type Hints interface {
	// Store keeps a mutation for a node until it can be delivered; false when it
	// will not be: the node is away for too long, hints are off or full. age is how
	// long ago its write began, so that a truncation meanwhile covers it. It does
	// not wait and does not keep mutation.
	Store(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration) bool
	// StoreSynced is Store that says when the hint is durable: done is called
	// once, maybe before it returns, and does not wait.
	StoreSynced(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration, done func(kept bool))
}

// Proximity knows which nodes answer soonest.
type Proximity interface {
	// Sort puts the nodes that should be asked first in front.
	Sort(nodes []*ring.Node)
	// Record notes how long an answer took.
	Record(id helenus.HostID, took time.Duration)
}

// Timeouts are how long clients are kept waiting for other nodes. A time that
// is zero is the one of Cassandra.
type Timeouts struct {
	Read     time.Duration // 5 s: one partition
	Range    time.Duration // 10 s
	Write    time.Duration // 2 s
	Truncate time.Duration // 60 s
}

func (t Timeouts) filled() Timeouts {
	for _, d := range []struct {
		at        *time.Duration
		otherwise time.Duration
	}{{&t.Read, 5 * time.Second}, {&t.Range, 10 * time.Second}, {&t.Write, 2 * time.Second}, {&t.Truncate, time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.otherwise
		}
	}
	return t
}

// timeouts are those of a request that begins now.
func (c *Coordinator) timeouts() Timeouts {
	if c.opts.Timeouts == nil {
		return Timeouts{}.filled()
	}
	return c.opts.Timeouts().filled()
}

// target is how wire names a node.
func target(n *ring.Node) wire.Target { return wire.Target{ID: n.HostID, Addr: n.Endpoint} }
