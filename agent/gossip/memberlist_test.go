package gossip

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/internal/meta"
)

// fakeNet is what memberlists of a world send by: packets and connections that
// arrive at once.
type fakeNet struct {
	mu    sync.Mutex // guards what follows
	ports map[string]*fakePort
}

// fakePort is a node's storage port.
type fakePort struct {
	n      *fakeNet
	addr   netip.AddrPort
	door   func(byte, net.Conn) bool
	in     chan fakePacket
	closed chan struct{}
	once   sync.Once
	deaf   bool // under n.mu: nothing comes in or goes out
}

type fakePacket struct {
	from net.Addr
	data []byte
}

// host is the network as one node has it.
type host struct {
	*fakeNet
	self netip.AddrPort
	door func(byte, net.Conn) bool
}

// listen opens the node's storage port.
func (h *host) listen() net.PacketConn {
	p := &fakePort{n: h.fakeNet, addr: h.self, door: h.door, in: make(chan fakePacket, 1000), closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports[h.self.String()] = p
	return p
}

func (n *fakeNet) Dial(context.Context, string) (net.Conn, error) { return nil, os.ErrInvalid }

func (n *fakeNet) find(addr string) *fakePort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.ports[addr]; p != nil && !p.deaf {
		return p
	}
	return nil
}

func (n *fakeNet) setDeaf(addr string, deaf bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[addr].deaf = deaf
}

func (h *host) Dial(_ context.Context, address string) (net.Conn, error) {
	p := h.find(address)
	if p == nil || h.find(h.self.String()) == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	here, there := net.Pipe()
	go func() {
		var first [1]byte
		if _, err := io.ReadFull(there, first[:]); err != nil || !p.door(first[0], &again{there, first[:]}) {
			_ = there.Close()
		}
	}()
	return here, nil
}

// again is a connection of which the first byte is read again.
type again struct {
	net.Conn
	first []byte
}

func (a *again) Read(b []byte) (int, error) {
	if len(a.first) > 0 && len(b) > 0 {
		n := copy(b, a.first)
		a.first = a.first[n:]
		return n, nil
	}
	return a.Conn.Read(b)
}

func (p *fakePort) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case in := <-p.in:
		return copy(b, in.data), in.from, nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *fakePort) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	if q := p.n.find(to.String()); q != nil && p.n.find(p.addr.String()) != nil {
		packet := fakePacket{net.UDPAddrFromAddrPort(p.addr), bytes.Clone(b)}
		time.AfterFunc(time.Millisecond, func() {
			select {
			case q.in <- packet:
			default: // as UDP does
			}
		})
	}
	return len(b), nil
}

func (p *fakePort) Close() error {
	p.once.Do(func() {
		p.n.mu.Lock()
		if p.n.ports[p.addr.String()] == p {
			delete(p.n.ports, p.addr.String())
		}
		p.n.mu.Unlock()
		close(p.closed)
	})
	return nil
}

func (p *fakePort) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(p.addr) }
func (p *fakePort) SetDeadline(time.Time) error      { return nil }
func (p *fakePort) SetReadDeadline(time.Time) error  { return nil }
func (p *fakePort) SetWriteDeadline(time.Time) error { return nil }

// withMemberlist makes the nodes of a world use it.
func withMemberlist(n *fakeNet, key []byte) func(*member, *Options) {
	return func(m *member, o *Options) {
		door := func(first byte, nc net.Conn) bool {
			m.mu.Lock()
			g := m.Gossip
			m.mu.Unlock()
			return g.Door(first, nc)
		}
		o.Members, o.Net, o.Key = nil, &host{n, m.self.Addr, door}, key
		o.Cluster = func() wire.ClusterID { return wire.ClusterID{4} }
	}
}

// probed tells whether all these nodes have had answers from each other.
func (w *world) probed(nodes ...int) bool {
	for _, i := range nodes {
		for _, j := range nodes {
			if i != j && w.nodes[i].fact(j).RoundTrip == 0 {
				return false
			}
		}
	}
	return true
}

// TestMemberlist asserts bounds, not replay: memberlist has randomness of its own.
func TestMemberlist(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "encrypted": bytes.Repeat([]byte{7}, 32)} {
		t.Run(name, func(t *testing.T) {
			n := &fakeNet{ports: map[string]*fakePort{}}
			inWorld(t, 31, 5, func(w *world) {
				took := w.until(60*time.Second, "all have met", func() bool { return w.probed(upTo(5)...) })
				t.Logf("met after %v", took)
				w.run(60 * time.Second)
				if !w.allSee(upTo(5)...) {
					t.Error("somebody is down")
				}
				w.stop(4)
				took = w.until(17*time.Second, "down by both opinions", func() bool { return w.sees(0, false, 4) })
				t.Logf("down after %v: %s", took, w.nodes[0].fact(4).Reason)
				if !strings.Contains(w.nodes[0].fact(4).Reason, "no answer to probes") {
					t.Errorf("%+v", w.nodes[0].fact(4))
				}
				w.start(4, wallAt+100)
				w.until(60*time.Second, "back", func() bool { return w.allSee(upTo(5)...) && !w.nodes[0].fact(4).ProbeFailed })

				// Cut off for so long that memberlist forgets it, and back again.
				n.setDeaf(target(5).Addr.String(), true)
				w.until(180*time.Second, "failed", func() bool { return w.nodes[0].fact(4).ProbeFailed && w.nodes[4].fact(0).ProbeFailed })
				if !w.allSee(upTo(5)...) {
					t.Error("a node that gossips was counted down for its probes alone")
				}
				w.run(90 * time.Second)
				n.setDeaf(target(5).Addr.String(), false)
				w.until(90*time.Second, "probes are answered again", func() bool {
					return !w.nodes[0].fact(4).ProbeFailed && !w.nodes[4].fact(0).ProbeFailed
				})
			}, withMemberlist(n, key))
		})
	}
}

// TestMemberlistEpoch: the number that memberlist spreads arrives with nothing
// else to carry it, and whoever has it itself spreads it on.
func TestMemberlistEpoch(t *testing.T) {
	n := &fakeNet{ports: map[string]*fakePort{}}
	inWorld(t, 33, 3, func(w *world) {
		w.until(60*time.Second, "all have met", func() bool { return w.probed(upTo(3)...) })
		for i := range 3 {
			for j := range 3 {
				w.set(i, j, true)
			}
		}
		w.nodes[1].epoch.Store(7)
		heard := func(i int, what string) func() bool {
			return func() bool { return strings.Contains(strings.Join(w.nodes[i].hears(), " "), what) }
		}
		w.until(5*time.Second, "node 0 hears of it", heard(0, "7 from "+target(2).Addr.String()))
		w.until(5*time.Second, "node 2 hears of it", heard(2, "7 from "+target(2).Addr.String()))
		if strings.Contains(strings.Join(w.nodes[2].hears(), " "), "from "+target(1).Addr.String()) {
			t.Errorf("node 0 spreads what it does not have: %q", w.nodes[2].hears())
		}
		w.nodes[0].epoch.Store(8)
		w.until(5*time.Second, "node 2 hears of the next", heard(2, "8 from "+target(1).Addr.String()))
	}, withMemberlist(n, nil))
}

// TestMemberlistStrangers: another cluster, another key, and a node that
// metadata does not know stay outside.
func TestMemberlistStrangers(t *testing.T) {
	n := &fakeNet{ports: map[string]*fakePort{}}
	key := bytes.Repeat([]byte{7}, 16)
	inWorld(t, 35, 6, func(w *world) {
		w.until(60*time.Second, "two have met", func() bool { return w.probed(0, 1) })
		w.run(60 * time.Second)
		for i := range 2 {
			for j := 2; j < 6; j++ {
				if f := w.nodes[i].fact(j); f.RoundTrip != 0 {
					t.Errorf("node %d probes node %d: %+v", i, j, f)
				}
			}
		}
	}, withMemberlist(n, key), func(m *member, o *Options) {
		switch m.number {
		case 2:
			o.Cluster = func() wire.ClusterID { return wire.ClusterID{5} }
		case 3:
			o.Key = bytes.Repeat([]byte{8}, 16)
		case 4:
			o.Cluster = func() wire.ClusterID { return wire.ClusterID{} } // it waits
		case 0, 1:
			o.Peers = func() []wire.Target { return m.peers()[:5] } // without node 5
		}
	})
	d := (*delegate)(&swim{self: target(1), byName: map[string]helenus.HostID{target(2).ID.String(): target(2).ID}})
	for name, want := range map[string]bool{target(1).ID.String(): true, target(2).ID.String(): true, target(3).ID.String(): false, "": false} {
		if err := d.NotifyAlive(&memberlist.Node{Name: name}); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestMemberlistGarbage: what is no memberlist's does no harm, and few
// connections are held at a time.
func TestMemberlistGarbage(t *testing.T) {
	n := &fakeNet{ports: map[string]*fakePort{}}
	inWorld(t, 37, 2, func(w *world) {
		w.until(60*time.Second, "both have met", func() bool { return w.probed(0, 1) })
		addr := target(1).Addr.String()
		port := n.find(addr)
		rng := rand.NewChaCha8([32]byte{3})
		label := append([]byte{firstMemberlist, 36}, wire.ClusterID{4}.String()...)
		for i := range 2000 {
			b := make([]byte, i%100)
			_, _ = rng.Read(b)
			if i%2 == 0 {
				b = append(bytes.Clone(label), b...)
			}
			port.in <- fakePacket{net.UDPAddrFromAddrPort(target(50).Addr), b}
			if i%500 == 0 {
				w.run(10 * time.Millisecond)
			}
		}
		w.run(10 * time.Millisecond)
		crowdPort(w, n, addr, label)
		w.run(30 * time.Second)
		if !w.allSee(0, 1) || w.nodes[1].fact(0).ProbeFailed {
			t.Error("garbage did harm")
		}
	}, withMemberlist(n, nil))

	s := &stream{Conn: &again{first: make([]byte, 100)}, port: &port{}, left: 60}
	if b, err := io.ReadAll(s); len(b) != 60 || err == nil {
		t.Errorf("%d bytes and %v from a stream that is too long", len(b), err)
	}
}

// crowdPort opens ten connections at once, some of them no memberlist's, that
// say no more after their first bytes.
func crowdPort(w *world, n *fakeNet, addr string, label []byte) {
	stranger := &host{fakeNet: n, self: target(50).Addr}
	defer stranger.listen().Close()
	var closed atomic.Int32
	for i := range 10 {
		nc, err := stranger.Dial(w.t.Context(), addr)
		if err != nil {
			w.t.Fatal(err)
		}
		b := bytes.Clone(label)
		if i > 6 {
			b = []byte{0xC2, 1, 2, 3}
		}
		go func() {
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			_, _ = nc.Write(b)
			if _, err := io.Copy(io.Discard, nc); err == nil {
				closed.Add(1)
			}
			_ = nc.Close()
		}()
		w.run(10 * time.Millisecond)
	}
	if c := closed.Load(); c != 10-streamsMax {
		w.t.Errorf("%d of 10 connections were closed at once", c)
	}
	w.run(10 * time.Second)
	if c := closed.Load(); c != 10 {
		w.t.Errorf("%d of 10 connections were closed in the end", c)
	}
}

// realNet is the network of the machine.
type realNet struct{}

func (realNet) Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// tap passes on what Members reports.
type tap struct {
	Members
	trips chan helenus.HostID
}

func (p *tap) Run(ctx context.Context, room Room) error {
	room.Reports = &tapped{room.Reports, p.trips}
	return p.Members.Run(ctx, room)
}

type tapped struct {
	Reports
	trips chan helenus.HostID
}

func (r *tapped) RoundTrip(id helenus.HostID, d time.Duration) {
	r.Reports.RoundTrip(id, d)
	select {
	case r.trips <- id:
	default:
	}
}

// listen takes a port for TCP and UDP.
func listen(t *testing.T) (net.Listener, net.PacketConn) {
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return ln, pc
		}
		_ = ln.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil, nil
}

// next waits for as long as nobody would.
func next[T any](t *testing.T, from <-chan T) (v T) {
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatal("nothing comes")
	}
	return v
}

// TestSockets runs two nodes with wire and memberlist on real sockets.
func TestSockets(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var ends sync.WaitGroup
	var nodes [2]*Gossip
	var trips [2]chan helenus.HostID
	var lns [2]net.Listener
	var packets [2]net.PacketConn
	var peers []wire.Target
	heard := make(chan meta.Epoch, 100)
	for i := range nodes {
		lns[i], packets[i] = listen(t)
		peers = append(peers, wire.Target{ID: target(i + 1).ID, Addr: lns[i].Addr().(*net.TCPAddr).AddrPort()})
	}
	for i := range nodes {
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		o := Options{Self: peers[i], Generation: time.Now().Unix(), Peers: func() []wire.Target { return peers },
			Epoch: func() meta.Epoch { return meta.Epoch(i + 1) }, Heard: func(_ wire.Target, e meta.Epoch) { heard <- e },
			Rand: func(b []byte) { _, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(b) }, Log: log, Now: time.Now, Net: realNet{}}
		m, err := newMemberlist(&o)
		if err != nil {
			t.Fatal(err)
		}
		trips[i] = make(chan helenus.HostID, 1)
		o.Members = &tap{m, trips[i]}
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = g
		w, err := wire.New(wire.Options{Self: peers[i], Identity: func() wire.Identity { return wire.Identity{Cluster: wire.ClusterID{1}} },
			Verbs: g.Verbs(), Net: realNet{}, Rand: o.Rand, Log: log, Budget: budget.New("test", 64<<20), Doors: g.Door})
		if err != nil {
			t.Fatal(err)
		}
		ends.Go(func() {
			if err := w.Run(ctx, lns[i]); err != nil {
				t.Error(err)
			}
		})
		ends.Go(func() {
			if err := g.Run(ctx, w, packets[i]); err != nil {
				t.Error(err)
			}
		})
	}
	for i, g := range nodes {
		for changed := g.Changed(); !g.Alive(peers[1-i].ID); changed = g.Changed() {
			next(t, changed)
		}
		if id := next(t, trips[i]); id != peers[1-i].ID {
			t.Errorf("node %d has probed %v", i, id)
		}
	}
	if e := next(t, heard); e != 2 {
		t.Errorf("heard of epoch %d", e)
	}
	nodes[1].Leave(ctx)
	if nodes[0].Alive(peers[1].ID) {
		t.Error("alive after it said that it goes")
	}
	stop()
	ends.Wait()
}
