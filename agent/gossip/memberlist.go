package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// Net is how memberlist reaches others.
type Net interface {
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// swim is Members by memberlist (SWIM with Lifeguard). A node's name there is
// its host id; names that metadata does not know are refused.
type swim struct {
	self wire.Target
	net  Net
	key  []byte
	log  *slog.Logger
	rng  *rand.Rand // of Run's goroutine

	mu      sync.Mutex // guards what follows
	members []wire.Target
	byName  map[string]helenus.HostID
	port    *port // nil while Run does not run
	reports Reports
	epoch   meta.Epoch
	queue   *memberlist.TransmitLimitedQueue // nil while Run does not run
}

func newMemberlist(o *Options) (*swim, error) {
	if o.Net == nil {
		return nil, errors.New("gossip: memberlist needs a network")
	}
	if len(o.Key) > 0 {
		if err := checkKey(o.Key); err != nil {
			return nil, fmt.Errorf("gossip: %w", err)
		}
	}
	var seed [8]byte
	o.Rand(seed[:])
	return &swim{self: o.Self, net: o.Net, key: o.Key, log: o.Log, byName: map[string]helenus.HostID{},
		rng: rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:]), 0))}, nil
}

// joinInterval is between attempts to reach a member that memberlist does not
// have: it forgets those that were dead for long, and a partition may heal.
const joinInterval = 10 * time.Second

// Run implements Members.
func (p *swim) Run(ctx context.Context, room Room) error {
	t := newPort(p.net, room.Packets, p.self.Addr)
	// Before the rest of memberlist, so that no attempt to join holds up the end.
	stop := context.AfterFunc(ctx, func() { _ = t.Shutdown() }) // of a socket that is not used any more
	defer stop()
	p.mu.Lock()
	p.reports, p.port = room.Reports, t
	p.mu.Unlock()
	list, err := memberlist.Create(p.config(room.Cluster, t))
	if err != nil {
		return errors.Join(fmt.Errorf("gossip: start memberlist: %w", err), t.Shutdown())
	}
	p.mu.Lock()
	p.queue = &memberlist.TransmitLimitedQueue{NumNodes: p.size, RetransmitMult: retransmits}
	epoch := p.epoch
	p.epoch = 0
	p.mu.Unlock()
	p.Spread(epoch)
	p.joinUntilDone(ctx, list)
	p.mu.Lock()
	p.queue, p.port = nil, nil
	p.mu.Unlock()
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("gossip: stop memberlist: %w", err)
	}
	return nil
}

// size is how many nodes a broadcast is meant for.
func (p *swim) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.members) + 1
}

// retransmits times the logarithm of the cluster's size is how often a
// broadcast is sent.
const retransmits = 4

func (p *swim) config(cluster wire.ClusterID, t *port) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.Transport = p.self.ID.String(), cluster.String(), t
	c.BindPort, c.AdvertisePort = int(p.self.Addr.Port()), int(p.self.Addr.Port())
	c.SecretKey = p.key
	c.RetransmitMult = retransmits
	// What others have compressed would be decompressed before anything is known
	// of them; there is little to gain in packets this small.
	c.EnableCompression = false
	c.DeadNodeReclaimTime = time.Second // a node may come back at another address
	c.TCPTimeout = 2 * time.Second
	c.Delegate, c.Events, c.Alive, c.Ping = (*delegate)(p), (*delegate)(p), (*delegate)(p), (*delegate)(p)
	// What it logs is for its own developers; what operators need to know is
	// logged by the room.
	c.Logger = slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
	return c
}

// joinUntilDone introduces this node to members that memberlist has not met.
func (p *swim) joinUntilDone(ctx context.Context, list *memberlist.Memberlist) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := joinInterval
		if to, ok := p.stranger(list.Members()); ok {
			n, _ := list.Join([]string{to.ID.String() + "/" + to.Addr.String()}) // its error was logged
			if n == 0 && list.NumMembers() == 1 {
				wait = interval // alone: the others may just be starting
			}
		}
		timer.Reset(wait)
	}
}

// stranger is a random member that is not in the list.
func (p *swim) stranger(list []*memberlist.Node) (wire.Target, bool) {
	met := make(map[string]bool, len(list))
	for _, n := range list {
		met[n.Name] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var strangers []wire.Target
	for _, m := range p.members {
		if !met[m.ID.String()] {
			strangers = append(strangers, m)
		}
	}
	if len(strangers) == 0 {
		return wire.Target{}, false
	}
	return strangers[p.rng.IntN(len(strangers))], true
}

// Know implements Members.
func (p *swim) Know(members []wire.Target) {
	byName := make(map[string]helenus.HostID, len(members))
	for _, m := range members {
		byName[m.ID.String()] = m.ID
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members, p.byName = members, byName
}

// Spread implements Members. Only an epoch that this node has itself is spread:
// a number that somebody invented goes no further than one hop.
func (p *swim) Spread(e meta.Epoch) {
	p.mu.Lock()
	if e <= p.epoch {
		p.mu.Unlock()
		return
	}
	p.epoch = e
	queue := p.queue
	p.mu.Unlock()
	if queue != nil {
		queue.QueueBroadcast(epochBroadcast(p.note(e)))
	}
}

// Accept implements Members.
func (p *swim) Accept(first byte, nc net.Conn) bool {
	p.mu.Lock()
	t := p.port
	p.mu.Unlock()
	if first != firstMemberlist {
		return false
	}
	if t == nil { // not in a cluster yet; it comes again
		_ = nc.Close()
		return true
	}
	return t.accept(nc)
}

// note is the one value that is broadcast: an epoch, and who has it.
func (p *swim) note(e meta.Epoch) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(e)), p.self.ID[:]...)
}

// noteBytes is how long a note is.
const noteBytes = 8 + 16

// epochBroadcast is a note on its way; a newer one takes its place.
type epochBroadcast []byte

// Name implements memberlist.NamedBroadcast.
func (epochBroadcast) Name() string { return "epoch" }

// Invalidates implements memberlist.Broadcast.
func (epochBroadcast) Invalidates(memberlist.Broadcast) bool { return true }

// Message implements memberlist.Broadcast.
func (b epochBroadcast) Message() []byte { return b }

// Finished implements memberlist.Broadcast.
func (epochBroadcast) Finished() {}

// delegate is what memberlist tells and asks; under locks of its own, so nothing
// here waits or calls back into it.
type delegate swim

func (d *delegate) find(name string) (helenus.HostID, Reports, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.byName[name]
	return id, d.reports, ok
}

// NotifyAlive refuses whom metadata does not know.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	if _, _, ok := d.find(n.Name); !ok && n.Name != d.self.ID.String() {
		return fmt.Errorf("%.64q is no member of the cluster", n.Name)
	}
	return nil
}

func (d *delegate) NotifyJoin(n *memberlist.Node)   { d.report(n, false) }
func (d *delegate) NotifyLeave(n *memberlist.Node)  { d.report(n, true) }
func (d *delegate) NotifyUpdate(n *memberlist.Node) {}

func (d *delegate) report(n *memberlist.Node, failed bool) {
	if id, reports, ok := d.find(n.Name); ok {
		reports.Failed(id, failed)
	}
}

func (d *delegate) AckPayload() []byte { return nil }

func (d *delegate) NotifyPingComplete(n *memberlist.Node, trip time.Duration, _ []byte) {
	if id, reports, ok := d.find(n.Name); ok {
		reports.RoundTrip(id, trip)
	}
}

func (d *delegate) NodeMeta(int) []byte { return nil }

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	d.mu.Lock()
	queue := d.queue
	d.mu.Unlock()
	if queue == nil {
		return nil
	}
	return queue.GetBroadcasts(overhead, limit)
}

func (d *delegate) LocalState(bool) []byte {
	d.mu.Lock()
	e := d.epoch
	d.mu.Unlock()
	return (*swim)(d).note(e)
}

func (d *delegate) MergeRemoteState(b []byte, _ bool) { d.NotifyMsg(b) }

func (d *delegate) NotifyMsg(b []byte) {
	if len(b) != noteBytes {
		return
	}
	var from helenus.HostID
	copy(from[:], b[8:])
	d.mu.Lock()
	reports := d.reports
	d.mu.Unlock()
	reports.Epoch(from, meta.Epoch(binary.BigEndian.Uint64(b)))
}
