// Package fakenet is a network inside one process, for tests: bytes take time,
// a direction between two hosts can be stalled, as TCP is while packets are
// lost, connections can be broken, hosts can be gone, and what is not read
// stops its writer.
//
// Nouns: Net (the network), Host (one address' view of it), Listener, Conn.
//
// Tests of agent/wire and agent/coord use it, inside a testing/synctest bubble
// as a rule. It never reorders what goes over one connection and loses nothing
// without breaking the connection.
package fakenet

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Net is a network.
type Net struct {
	latency time.Duration
	window  int // bytes written and not read

	mu        sync.Mutex // guards what follows
	listeners map[string]*Listener
	conns     []*Conn
	stalled   map[[2]netip.Addr]bool
	dials     []time.Time
}

// New makes a network whose bytes take latency from host to host.
func New(latency time.Duration) *Net {
	return &Net{latency: latency, window: 256 << 10, listeners: map[string]*Listener{}, stalled: map[[2]netip.Addr]bool{}}
}

// Listener takes the connections to one address.
type Listener struct {
	n      *Net
	addr   netip.AddrPort
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen takes an address; it is free again when the Listener is closed.
func (n *Net) Listen(addr netip.AddrPort) *Listener {
	l := &Listener{n: n, addr: addr, queue: make(chan net.Conn, 1024), closed: make(chan struct{})}
	n.mu.Lock()
	n.listeners[addr.String()] = l
	n.mu.Unlock()
	return l
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		delete(l.n.listeners, l.addr.String())
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Host gives a host's view of the network.
func (n *Net) Host(addr netip.Addr) Host { return Host{n, addr} }

// Host is where connections are made from.
type Host struct {
	n    *Net
	addr netip.Addr
}

// Dial connects to a Listener.
func (h Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.n.dials = append(h.n.dials, time.Now())
	l := h.n.listeners[address]
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	from := netip.AddrPortFrom(h.addr, 1)
	there, back := newPipe(h.n, h.addr, l.addr.Addr()), newPipe(h.n, l.addr.Addr(), h.addr)
	client := &Conn{in: back, out: there, local: from, remote: l.addr}
	server := &Conn{in: there, out: back, local: l.addr, remote: from}
	h.n.conns = append(h.n.conns, client)
	l.queue <- server
	return client, ctx.Err()
}

// Stall holds back what goes from one host to another, or lets it go.
func (n *Net) Stall(from, to netip.Addr, on bool) {
	n.mu.Lock()
	n.stalled[[2]netip.Addr{from, to}] = on
	conns := n.conns
	n.mu.Unlock()
	for _, c := range conns {
		c.in.wake()
		c.out.wake()
	}
}

func (n *Net) isStalled(from, to netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stalled[[2]netip.Addr{from, to}]
}

// Break resets every connection of a host.
func (n *Net) Break(of netip.Addr) {
	n.mu.Lock()
	conns := n.conns
	n.mu.Unlock()
	for _, c := range conns {
		if c.local.Addr() == of || c.remote.Addr() == of {
			c.in.end(syscall.ECONNRESET)
			c.out.end(syscall.ECONNRESET)
		}
	}
}

// Dials are the times at which somebody tried to connect.
func (n *Net) Dials() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.dials...)
}

type chunk struct {
	at   time.Time
	data []byte
}

// pipe is one direction of a connection.
type pipe struct {
	n        *Net
	from, to netip.Addr

	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	chunks   []chunk
	size     int
	err      error // for both sides
	eof      bool
	readBy   time.Time
	writeBy  time.Time
	received int
}

func newPipe(n *Net, from, to netip.Addr) *pipe {
	p := &pipe{n: n, from: from, to: to}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) wake() {
	p.mu.Lock()
	p.changed.Broadcast()
	p.mu.Unlock()
}

func (p *pipe) end(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.changed.Broadcast()
	p.mu.Unlock()
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return 0, p.err
		case passed(p.readBy):
			return 0, os.ErrDeadlineExceeded
		case p.n.isStalled(p.from, p.to):
		case len(p.chunks) > 0 && !time.Now().Before(p.chunks[0].at):
			c := &p.chunks[0]
			n := copy(b, c.data)
			if c.data = c.data[n:]; len(c.data) == 0 {
				p.chunks = p.chunks[1:]
			}
			p.size -= n
			p.changed.Broadcast()
			return n, nil
		case len(p.chunks) == 0 && p.eof:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (done int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		switch {
		case p.err != nil || p.eof:
			return done, net.ErrClosed
		case passed(p.writeBy):
			return done, os.ErrDeadlineExceeded
		case p.size >= p.n.window:
			p.changed.Wait()
			continue
		}
		n := min(len(b), p.n.window-p.size)
		p.chunks = append(p.chunks, chunk{time.Now().Add(p.n.latency), append([]byte(nil), b[:n]...)})
		p.size += n
		p.received += n
		done += n
		b = b[n:]
		if p.n.latency > 0 {
			time.AfterFunc(p.n.latency, p.wake)
		}
		p.changed.Broadcast()
	}
	return done, nil
}

func (p *pipe) deadline(of *time.Time, t time.Time) {
	p.mu.Lock()
	*of = t
	p.changed.Broadcast()
	p.mu.Unlock()
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), p.wake)
	}
}

// Conn is one end of a connection.
type Conn struct {
	in, out       *pipe
	local, remote netip.AddrPort
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.out.mu.Lock()
	c.out.eof = true
	c.out.changed.Broadcast()
	c.out.mu.Unlock()
	c.in.end(net.ErrClosed)
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.deadline(&c.in.readBy, t)
	c.out.deadline(&c.out.writeBy, t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.deadline(&c.in.readBy, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.deadline(&c.out.writeBy, t)
	return nil
}

// Sent is how many bytes were written to this end so far.
func (c *Conn) Sent() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.received
}

// Connections are the ends of those who dialled, oldest first.
func (n *Net) Connections() []*Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conns
}
