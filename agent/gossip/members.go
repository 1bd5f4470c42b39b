package gossip

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// Members is a second opinion on who answers, and a fast way to many for one
// number. It speaks of members only and never makes one.
type Members interface {
	// Run works until ctx ends.
	Run(ctx context.Context, room Room) error
	// Know says who the members are from now on.
	Know(members []wire.Target)
	// Spread lets others know soon that this node has the epoch. It must not wait.
	Spread(e meta.Epoch)
	// Accept takes a connection to the storage port, of which the first byte will
	// be read again; false: it is not for this. It must not wait.
	Accept(first byte, nc net.Conn) bool
}

// Room is what Members works with.
type Room struct {
	Self    wire.Target
	Cluster wire.ClusterID
	Wire    Messenger
	Packets net.PacketConn // the storage port by UDP, to be closed
	Reports Reports
}

// Reports is whom Members tells, on any goroutine.
type Reports interface {
	// Failed: a node does not answer probes, or does so again.
	Failed(id helenus.HostID, failed bool)
	// RoundTrip is how long an answer took.
	RoundTrip(id helenus.HostID, d time.Duration)
	// Epoch: that node has the epoch.
	Epoch(from helenus.HostID, e meta.Epoch)
}

// reports is a Gossip as Members sees it.
type reports Gossip

func (r *reports) Failed(id helenus.HostID, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.core.answers(id, failed)
}

func (r *reports) RoundTrip(id helenus.HostID, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.core.byID[id]; n != nil {
		n.trip = d
	}
}

func (r *reports) Epoch(from helenus.HostID, e meta.Epoch) {
	if e <= r.opts.Epoch() {
		return
	}
	r.mu.Lock()
	n := r.core.byID[from]
	var target wire.Target
	if n != nil && n != r.core.self {
		target = n.target
	}
	r.mu.Unlock()
	if target.Addr.IsValid() {
		r.opts.Heard(target, e)
	}
}

// Probes is the Members of simulations, where memberlist would not repeat: once
// a second it asks one member, each in turn and in an order from the seed, for
// an answer over wire. It spreads nothing: epochs go by what nodes say.
type Probes struct {
	seed uint64

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand // of Run
	members []wire.Target
	queue   []wire.Target
}

// NewProbes makes a Probes; the same seed asks in the same order, and at other
// times at each node.
func NewProbes(seed uint64) *Probes { return &Probes{seed: seed} }

// probeTimeout is that of memberlist in a LAN.
const probeTimeout = 500 * time.Millisecond

// Run implements Members.
func (p *Probes) Run(ctx context.Context, room Room) error {
	id := room.Self.ID
	rng := rand.New(rand.NewPCG(p.seed^binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])))
	phase := time.Duration(rng.Int64N(int64(interval)))
	p.mu.Lock()
	p.rng = rng
	p.mu.Unlock()
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(interval)
		if to, ok := p.next(); ok {
			x := &probe{to: to.ID, reports: room.Reports, began: time.Now()}
			x.call = wire.Call{Verb: verbSyn, Request: new(packet), Timeout: probeTimeout, Owner: x}
			room.Wire.Call(to, &x.call)
		}
	}
}

func (p *Probes) next() (wire.Target, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue = slices.Clone(p.members)
		p.rng.Shuffle(len(p.queue), func(i, j int) { p.queue[i], p.queue[j] = p.queue[j], p.queue[i] })
	}
	if len(p.queue) == 0 {
		return wire.Target{}, false
	}
	to := p.queue[0]
	p.queue = p.queue[1:]
	return to, true
}

// Know implements Members.
func (p *Probes) Know(members []wire.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = slices.DeleteFunc(slices.Clone(members), func(t wire.Target) bool { return t.ID == (helenus.HostID{}) })
	p.queue = nil
}

// Spread implements Members.
func (p *Probes) Spread(meta.Epoch) {}

// Accept implements Members.
func (p *Probes) Accept(byte, net.Conn) bool { return false }

type probe struct {
	to      helenus.HostID
	reports Reports
	began   time.Time
	call    wire.Call
}

// Answered implements wire.Owner.
func (x *probe) Answered(c *wire.Call) {
	x.reports.Failed(x.to, c.Err != nil)
	if c.Err == nil {
		x.reports.RoundTrip(x.to, time.Since(x.began))
	}
}
