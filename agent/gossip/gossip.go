package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// The verbs; docs/format/wire.md lists all of them.
const (
	verbSyn  wire.VerbID = 16
	verbAck2 wire.VerbID = 17
)

const (
	interval    = time.Second             // between rounds
	callTimeout = 1900 * time.Millisecond // never at the moment of a round
)

// Messenger sends calls: *wire.Wire.
type Messenger interface {
	Call(to wire.Target, c *wire.Call)
}

// Options are what a Gossip works with.
type Options struct {
	Self       wire.Target
	Generation int64                // of this start: seconds since 1970, higher than at any start before
	Peers      func() []wire.Target // the members by metadata; those without a host id are passed over
	Seeds      []helenus.Endpoint
	Epoch      func() meta.Epoch                    // that this node has
	Heard      func(from wire.Target, e meta.Epoch) // a member has a newer one; it must not wait; nil: nobody cares
	Cluster    func() wire.ClusterID                // zero while this node is in none; nil: it is in one
	Rand       func(b []byte)
	Log        *slog.Logger
	Now        func() time.Time // to judge generations by; intervals go by the monotonic clock
	// PhiConvictThreshold is Cassandra's setting of that name; 0 is 8.
	PhiConvictThreshold float64

	// Members is the second opinion; nil: memberlist, with the next two.
	Members Members
	Net     Net
	Key     []byte // of 16, 24 or 32 bytes, encrypts what memberlist sends; nil: nothing is
}

// Gossip is a node's end of gossip.
type Gossip struct {
	opts      Options
	members   Members
	began     time.Time
	published atomic.Pointer[publication]
	packets   sync.Pool // *packet, for answers
	counts    counts

	mu    sync.Mutex // guards what follows
	core  *core
	rng   *rand.Rand
	seeds []helenus.Endpoint
	wire  Messenger // once Run has been called
}

type publication struct {
	view    *View
	changed chan struct{} // closed when a newer one is published
}

// counts are of messages since the start.
type counts struct {
	rounds, sent, failed, answered, bytesOut, bytesIn atomic.Uint64
	roundBytes                                        atomic.Uint64 // sent since the last round began
	roundBytesMax                                     atomic.Uint64
}

// New makes a Gossip. Its verbs answer at once; it asks others while it runs.
func New(opts Options) (*Gossip, error) {
	switch {
	case opts.Self.ID == (helenus.HostID{}):
		return nil, errors.New("gossip: this node has no host id")
	case opts.Generation <= 0 || opts.Generation > numberMax:
		return nil, errors.New("gossip: the generation of this start is not a time after 1970; check the clock")
	case opts.PhiConvictThreshold < 0:
		return nil, errors.New("gossip: phi_convict_threshold is negative; leave it out for 8")
	}
	if opts.PhiConvictThreshold == 0 {
		opts.PhiConvictThreshold = phiConvict
	}
	if opts.Heard == nil {
		opts.Heard = func(wire.Target, meta.Epoch) {}
	}
	if opts.Cluster == nil {
		opts.Cluster = func() wire.ClusterID { return wire.ClusterID{1} }
	}
	g := &Gossip{opts: opts, members: opts.Members, began: time.Now(), seeds: slices.Clone(opts.Seeds)}
	if g.members == nil {
		m, err := newMemberlist(&opts)
		if err != nil {
			return nil, err
		}
		g.members = m
	}
	var seed [16]byte
	opts.Rand(seed[:])
	g.rng = rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:]), binary.BigEndian.Uint64(seed[8:])))
	g.packets.New = func() any { return new(packet) }
	g.core = newCore(opts.Self, opts.Generation, opts.PhiConvictThreshold)
	g.publishLocked()
	return g, nil
}

// Verbs are what wire has to bring here.
func (g *Gossip) Verbs() []wire.Verb {
	fresh := func() wire.Message { return new(packet) }
	return []wire.Verb{
		{ID: verbSyn, Name: "GOSSIP_SYN", Lane: wire.Urgent, Timeout: callTimeout, NewRequest: fresh, NewResponse: fresh, Handle: g.handleSyn},
		{ID: verbAck2, Name: "GOSSIP_ACK2", Lane: wire.Urgent, Timeout: callTimeout, NewRequest: fresh, Handle: g.handleAck2},
	}
}

// Door takes connections to the storage port that are the second opinion's:
// wire.Options.Doors.
func (g *Gossip) Door(first byte, nc net.Conn) bool { return g.members.Accept(first, nc) }

// View is the newest one.
func (g *Gossip) View() *View { return g.published.Load().view }

// Changed is closed when a View newer than now's is published. Take the channel
// first, then View, then wait. Heartbeats alone change nothing.
func (g *Gossip) Changed() <-chan struct{} { return g.published.Load().changed }

// Alive tells whether requests should go to a node; this one is always alive.
func (g *Gossip) Alive(id helenus.HostID) bool { return g.View().Alive(id) }

// Set is what this node says of itself from the next round on.
func (g *Gossip) Set(o Own) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.core.setOwn(&o)
	g.publishLocked()
}

// Seeds are those in use, without this node.
func (g *Gossip) Seeds() []helenus.Endpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.seeds), func(s helenus.Endpoint) bool { return s == g.opts.Self.Addr })
}

// SetSeeds replaces them.
func (g *Gossip) SetSeeds(seeds []helenus.Endpoint) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seeds = slices.Clone(seeds)
}

// Run makes a round each second, from a random part of the first one on, until
// ctx ends. packets, the storage port by UDP, are for the second opinion; nil if
// it needs none. Run closes them. Its error is that of the second opinion.
func (g *Gossip) Run(ctx context.Context, w Messenger, packets net.PacketConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if packets != nil {
		defer func() { _ = packets.Close() }() // Members have closed them, if they ran
	}
	g.mu.Lock()
	g.wire = w
	phase := time.Duration(g.rng.Int64N(int64(interval)))
	g.mu.Unlock()
	g.meet(g.opts.Peers())
	var members sync.WaitGroup
	var err error // of the second opinion, once members are done
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for running := false; ; {
		select {
		case <-ctx.Done():
			members.Wait()
			return err
		case <-timer.C:
		}
		timer.Reset(interval)
		g.round(w)
		if cluster := g.opts.Cluster(); !running && cluster != (wire.ClusterID{}) {
			running = true
			members.Go(func() {
				if err = g.members.Run(ctx, Room{Self: g.opts.Self, Cluster: cluster, Wire: w, Packets: packets, Reports: (*reports)(g)}); err != nil {
					cancel()
				}
			})
		}
	}
}

// meet learns who the members are.
func (g *Gossip) meet(peers []wire.Target) {
	g.mu.Lock()
	moved := g.core.setPeers(peers)
	var members []wire.Target
	if moved {
		for _, n := range g.core.members {
			members = append(members, n.target)
		}
	}
	g.publishLocked()
	g.mu.Unlock()
	if moved {
		g.members.Know(members)
	}
}

// round judges, and asks a few others what they know.
func (g *Gossip) round(w Messenger) {
	g.meet(g.opts.Peers())
	epoch := g.opts.Epoch()
	g.members.Spread(epoch)
	g.counts.rounds.Add(1)
	g.counts.roundBytes.Store(0)
	g.mu.Lock()
	g.core.setEpoch(epoch)
	g.core.beat()
	g.core.judge(g.now().at)
	targets := g.core.choose(g.rng, g.seeds)
	exchanges := make([]*exchange, len(targets))
	for i, to := range targets {
		x := &exchange{g: g, w: w, to: to}
		g.core.syn(&x.syn, to.ID, g.rng.IntN(max(1, len(g.core.members))))
		exchanges[i] = x
	}
	events := g.publishLocked()
	g.mu.Unlock()
	g.tell(events)
	for _, x := range exchanges {
		x.send(verbSyn, &x.syn)
	}
}

func (g *Gossip) now() instant { return instant{time.Since(g.began), g.opts.Now().Unix()} }

// publishLocked shows what changed, and returns the events that led to it.
func (g *Gossip) publishLocked() []event {
	events := g.core.events
	g.core.events = nil
	if v := g.core.show(); v != nil {
		if old := g.published.Swap(&publication{v, make(chan struct{})}); old != nil {
			close(old.changed)
		}
	}
	return events
}

func (g *Gossip) tell(events []event) {
	for _, e := range events {
		if e.liveness == Up {
			g.opts.Log.Info("node is up", "address", e.target.Addr.String(), "host_id", e.target.ID.String())
		} else {
			g.opts.Log.Warn("node is down", "address", e.target.Addr.String(), "host_id", e.target.ID.String(), "reason", e.reason)
		}
	}
}

// exchange is one conversation: SYN, its answer, and ACK2 if that asks for
// anything.
type exchange struct {
	g        *Gossip
	w        Messenger
	to       wire.Target
	call     wire.Call
	syn, ack packet
}

func (x *exchange) send(v wire.VerbID, p *packet) {
	x.g.counts.out(p.size())
	x.call = wire.Call{Verb: v, Request: p, Owner: x}
	x.w.Call(x.to, &x.call)
}

func (c *counts) out(n int) {
	c.sent.Add(1)
	c.bytesOut.Add(uint64(n))
	sum := c.roundBytes.Add(uint64(n))
	if sum > c.roundBytesMax.Load() {
		c.roundBytesMax.Store(sum) // racing rounds may lose a little; it is for operators
	}
}

// Answered implements wire.Owner.
func (x *exchange) Answered(c *wire.Call) {
	if c.Err != nil {
		x.g.counts.failed.Add(1)
		x.g.opts.Log.Debug("gossip failed", "address", x.to.Addr.String(), "error", c.Err)
		return
	}
	answer, ok := c.Response.(*packet)
	if !ok || c.Verb != verbSyn {
		return
	}
	x.g.counts.bytesIn.Add(uint64(answer.size()))
	x.g.take(answer, x.to.ID, &x.ack)
	if len(x.ack.deltas) > 0 {
		x.send(verbAck2, &x.ack)
	}
}

// take merges what another node said, and fills out, if there is one, with what
// it asked for.
func (g *Gossip) take(in *packet, from helenus.HostID, out *packet) {
	epoch, now := g.opts.Epoch(), g.now()
	g.mu.Lock()
	g.core.setEpoch(epoch)
	heard := g.core.merge(in.deltas, from, now)
	if out != nil {
		g.core.give(in.digests, out, now)
	}
	g.endLocked(from, epoch, heard)
}

// endLocked ends the handling of a message and unlocks.
func (g *Gossip) endLocked(from helenus.HostID, epoch, heard meta.Epoch) {
	events := g.publishLocked()
	var target wire.Target
	if n := g.core.byID[from]; n != nil {
		target = n.target
	}
	g.mu.Unlock()
	g.tell(events)
	if heard > epoch && target.Addr.IsValid() {
		g.opts.Heard(target, heard)
	}
}

func (g *Gossip) handleSyn(r *wire.Request) {
	in, ok := r.Message.(*packet)
	if !ok {
		r.Fail(helenus.Errorf(helenus.CodeProtocol, "GOSSIP_SYN without digests"))
		return
	}
	out := g.packets.Get().(*packet)
	g.answer(in, r.From, out)
	r.Reply(out)
	g.packets.Put(out)
}

// answer fills out with the ACK to a SYN.
func (g *Gossip) answer(in *packet, from helenus.HostID, out *packet) {
	epoch, now := g.opts.Epoch(), g.now()
	g.counts.answered.Add(1)
	g.counts.bytesIn.Add(uint64(in.size()))
	g.mu.Lock()
	g.core.setEpoch(epoch)
	g.core.answer(in.digests, out, now)
	g.endLocked(from, epoch, 0)
	g.counts.bytesOut.Add(uint64(out.size()))
}

func (g *Gossip) handleAck2(r *wire.Request) {
	if in, ok := r.Message.(*packet); ok {
		g.acked(in, r.From)
	}
	r.Reply(nil)
}

// acked merges an ACK2.
func (g *Gossip) acked(in *packet, from helenus.HostID) {
	g.counts.bytesIn.Add(uint64(in.size()))
	g.take(in, from, nil)
}
