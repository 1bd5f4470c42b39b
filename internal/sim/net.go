package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Network connects hosts. What is sent takes time, arrives once and in order,
// and stops arriving while its link is cut; what is under way on a connection is
// bounded, and its writer waits. Of two connections either may be the faster.
type Network struct {
	sim *Sim
	// free: everything arrives at once, without the scheduler.
	free bool

	mu     sync.Mutex // guards what follows; no other lock is taken below it
	hosts  []*Host    // by age
	byIP   map[netip.Addr]*Host
	byName map[string]*Host
	links  map[[2]*Host]*link
	pairs  []*pair        // open connections, by age
	serial map[string]int // connections by what is known of them
	usual  Link
}

// Link is what one direction between two hosts is like.
type Link struct {
	Delay  time.Duration // of everything
	Jitter time.Duration // at most, on top
	// Loss is the share of packets that get lost: what they carry comes later,
	// when it was sent again.
	Loss float64
	// BytesPerSecond bounds what gets through; 0: nothing does.
	BytesPerSecond int
}

const (
	// windowBytes is what may be under way and unread on a connection.
	windowBytes = 256 << 10
	// resendAfter is when lost bytes are sent again, doubled each time.
	resendAfter = 200 * time.Millisecond
	resendMax   = 6
	// backlog is how many connections may wait to be accepted.
	backlog = 1024
)

// usualLink is within one datacenter.
var usualLink = Link{Delay: 50 * time.Microsecond, Jitter: 300 * time.Microsecond}

type link struct {
	Link
	cut  bool
	busy time.Time // until when what was sent before occupies it
}

func newNetwork(s *Sim) *Network {
	return &Network{sim: s, byIP: map[netip.Addr]*Host{}, byName: map[string]*Host{}, links: map[[2]*Host]*link{}, serial: map[string]int{}, usual: usualLink}
}

// Host is a machine on the network, with one address.
type Host struct {
	net  *Network
	name string
	addr netip.Addr

	// Guarded by net.mu.
	listeners map[uint16]*listener
	life      int
	nextPort  uint16
	down      bool // without power
	paused    bool
}

func (h *Host) String() string { return h.name }

// clientsAt is where hosts that are no nodes have their addresses.
var clientsAt = netip.MustParseAddr("10.9.0.0")

// Host finds a host or makes one with an address of its own.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.byName[name]; h != nil {
		return h
	}
	b := clientsAt.As4()
	b[2], b[3] = byte(len(n.hosts)>>8), byte(len(n.hosts))
	return n.addLocked(name, netip.AddrFrom4(b))
}

func (n *Network) addLocked(name string, addr netip.Addr) *Host {
	h := &Host{net: n, name: name, addr: addr, listeners: map[uint16]*listener{}, nextPort: 40000}
	n.hosts = append(n.hosts, h)
	n.byName[name], n.byIP[addr] = h, h
	return h
}

// add makes the host of a node.
func (n *Network) add(name, address string) (*Host, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("sim: address of %s: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byName[name] != nil || n.byIP[addr] != nil {
		return nil, fmt.Errorf("sim: there is a host %s or an address %s already", name, addr)
	}
	return n.addLocked(name, addr), nil
}

func (n *Network) linkLocked(from, to *Host) *link {
	l := n.links[[2]*Host{from, to}]
	if l == nil {
		l = &link{Link: n.usual}
		n.links[[2]*Host{from, to}] = l
	}
	return l
}

// SetLink changes what one direction is like, for what is sent from now on; nil
// makes it usual again.
func (n *Network) SetLink(from, to *Host, l *Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l == nil {
		l = &n.usual
	}
	n.linkLocked(from, to).Link = *l
}

// SetUsual changes what links are like that nobody has changed or used.
func (n *Network) SetUsual(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.usual = l
}

// Cut stops one direction or lets it go on.
func (n *Network) Cut(from, to *Host, cut bool) {
	n.mu.Lock()
	n.linkLocked(from, to).cut = cut
	n.mu.Unlock()
	n.sim.unhold()
}

// Break resets all connections between two hosts.
func (n *Network) Break(a, b *Host) {
	for _, p := range n.open() {
		if p.hosts == [2]*Host{a, b} || p.hosts == [2]*Host{b, a} {
			p.reset(0, syscall.ECONNRESET)
			p.reset(1, syscall.ECONNRESET)
		}
	}
}

func (n *Network) open() []*pair {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*pair(nil), n.pairs...)
}

// blocked tells whether nothing gets from one host to another now.
func (n *Network) blocked(from, to *Host) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.linkLocked(from, to).cut || from.paused || to.paused || to.down
}

// delay draws how long bytes take from one host to another.
func (n *Network) delay(r *rand.Rand, from, to *Host, bytes int) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.linkLocked(from, to)
	d := 1 + l.Delay
	if l.Jitter > 0 {
		d += time.Duration(r.Int64N(int64(l.Jitter)))
	}
	again := resendAfter
	for range resendMax {
		if l.Loss <= 0 || r.Float64() >= l.Loss {
			break
		}
		d += again
		again *= 2
	}
	if l.BytesPerSecond > 0 {
		now := time.Now()
		if l.busy.Before(now) {
			l.busy = now
		}
		l.busy = l.busy.Add(time.Duration(bytes) * time.Second / time.Duration(l.BytesPerSecond))
		d += l.busy.Sub(now)
	}
	return d
}

// begin gives a host its power, and to a new life of its node.
func (h *Host) begin() *port {
	h.net.mu.Lock()
	h.life++
	h.down = false
	p := &port{h, h.life}
	h.net.mu.Unlock()
	h.net.sim.unhold()
	return p
}

// end takes everything from the present life that it has on the network. The
// others are told, as a kernel does whose process has died, or not, if silent.
func (h *Host) end(silent bool) {
	n := h.net
	n.mu.Lock()
	listeners := h.listeners
	h.listeners = map[uint16]*listener{}
	h.life++ // whoever is left of this life reaches nobody
	h.down = silent
	n.mu.Unlock()
	pairs := n.open()
	for _, p := range pairs { // before the dead can notice, and say so
		for side, host := range p.hosts {
			if host == h {
				p.sever(side)
			}
		}
	}
	for _, p := range pairs {
		for side, host := range p.hosts {
			if host == h && !silent {
				p.reset(1-side, syscall.ECONNRESET)
			}
		}
	}
	for _, l := range listeners {
		l.shut()
	}
}

// pause holds back everything of a host, or lets it go.
func (h *Host) pause(on bool) {
	h.net.mu.Lock()
	h.paused = on
	h.net.mu.Unlock()
	h.net.sim.unhold()
}

// port is the network as one life of a host's node sees it. It is agent.Net.
type port struct {
	host *Host
	life int
}

type listener struct {
	host   *Host
	life   int
	addr   netip.AddrPort
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var errNoPackets = errors.New("sim: this network carries no packets; a simulated node needs a stand-in for gossip's Members")

// ListenPacket refuses.
func (p *port) ListenPacket(_ context.Context, address string) (net.PacketConn, error) {
	return nil, &net.OpError{Op: "listen", Net: "udp", Err: fmt.Errorf("%s: %w", address, errNoPackets)}
}

// Listen implements agent.Net. A loopback address is the host's own.
func (p *port) Listen(_ context.Context, address string) (net.Listener, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	h := p.host
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	switch {
	case p.life != h.life:
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: net.ErrClosed}
	case addr.Addr() != h.addr && !addr.Addr().IsLoopback() && !addr.Addr().IsUnspecified():
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.EADDRNOTAVAIL)}
	case h.listeners[addr.Port()] != nil:
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.EADDRINUSE)}
	}
	l := &listener{host: h, life: p.life, addr: addr, queue: make(chan net.Conn, backlog), closed: make(chan struct{})}
	h.listeners[addr.Port()] = l
	return l, nil
}

// Accept gives connections on which something was sent: what it says tells two
// connections apart that were made at the same time.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	if l.host.listeners[l.addr.Port()] == l {
		delete(l.host.listeners, l.addr.Port())
	}
	n.mu.Unlock()
	l.shut()
	return nil
}

// shut ends a listener; who was not accepted is sent away.
func (l *listener) shut() {
	l.once.Do(func() { close(l.closed) })
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Dial connects as the host's present life.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	h.net.mu.Lock()
	p := &port{h, h.life}
	h.net.mu.Unlock()
	return p.Dial(ctx, address)
}

// dialing is a Dial under way.
type dialing struct {
	ended chan struct{}
	mu    sync.Mutex // guards what follows
	over  bool       // the caller has gone, or has its answer
	conn  net.Conn
	err   error
}

func (d *dialing) end(c net.Conn, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return false
	}
	d.over, d.conn, d.err = true, c, err
	close(d.ended)
	return true
}

// Dial implements agent.Net: there and back, as long as it takes.
func (p *port) Dial(ctx context.Context, address string) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	h, n := p.host, p.host.net
	n.mu.Lock()
	to, life := n.byIP[addr.Addr()], h.life
	if addr.Addr().IsLoopback() && to == nil {
		to = h
	}
	n.mu.Unlock()
	switch {
	case p.life != life || n.sim.isOver():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	case to == nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, syscall.EHOSTUNREACH)}
	case n.free:
		return n.connect(p, to, addr)
	}
	d := &dialing{ended: make(chan struct{})}
	gone := func() { d.end(nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}) }
	n.carry(h, to, fmt.Sprintf("%s>%s:%d dial", h, to, addr.Port()), gone, func() {
		c, err := n.connect(p, to, addr)
		answer := "accepted"
		if err != nil {
			answer = "refused"
		}
		n.carry(to, h, fmt.Sprintf("%s>%s:%d %s", h, to, addr.Port(), answer), gone, func() {
			if !d.end(c, err) && c != nil {
				_ = c.Close()
			}
		})
	})
	select {
	case <-d.ended:
	case <-ctx.Done():
		n.giveUp(fmt.Sprintf("%s>%s:%d gives up", h, to, addr.Port()))
		d.end(nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, ctx.Err())})
	}
	return d.conn, d.err
}

// giveUp is the end of a dial whose time is over: an event, for two that began
// at one moment end at one, and who of them is first must follow from the seed.
func (n *Network) giveUp(name string) {
	given := make(chan struct{})
	end := func() { close(given) }
	n.sim.post(&event{name: name, do: end, abandon: end, delay: upTo(time.Microsecond)})
	<-given
}

// carry posts what is no part of a connection's stream; abandon may be nil.
func (n *Network) carry(from, to *Host, name string, abandon, do func()) {
	n.sim.post(&event{name: name, do: do, abandon: abandon, blocked: func() bool { return n.blocked(from, to) },
		delay: func(r *rand.Rand) time.Duration { return n.delay(r, from, to, 64) }})
}

// connect makes a connection if somebody listens.
func (n *Network) connect(from *port, to *Host, addr netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	l := to.listeners[addr.Port()]
	if l == nil || from.life != from.host.life {
		n.mu.Unlock()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)}
	}
	p := newPair(n, [2]*Host{from.host, to}, l)
	n.pairs = append(n.pairs, p)
	n.mu.Unlock()
	if n.free {
		p.identify(nil)
		p.settle()
		if !p.accept() {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)}
		}
	}
	return p.ends[0], nil
}

func (n *Network) forget(p *pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.pairs {
		if n.pairs[i] == p {
			n.pairs = append(n.pairs[:i], n.pairs[i+1:]...)
			return
		}
	}
}
