package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// network connects what is inside one process. What is written arrives at once
// and in order; a connection breaks only by Close.
type network struct {
	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	nextPort  uint16
}

func newNetwork() *network { return &network{listeners: map[string]*listener{}, nextPort: 40000} }

type listener struct {
	n      *network
	addr   netip.AddrPort
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// backlog is how many connections may wait to be accepted.
const backlog = 128

// Listen implements agent.Net.
func (n *network) Listen(_ context.Context, address string) (net.Listener, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	l := &listener{n: n, addr: addr, queue: make(chan net.Conn, backlog), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

// ListenPacket implements agent.Net: packets are memberlist's, which would not
// repeat, so a simulation has other Members.
func (n *network) ListenPacket(context.Context, string) (net.PacketConn, error) {
	return nil, errors.New("sim: there are no packets")
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		delete(l.n.listeners, l.addr.String())
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Dial connects to a listener.
func (n *network) Dial(_ context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.nextPort++
	from := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), n.nextPort)
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	there, back := newStream(), newStream()
	client := &conn{in: back, out: there, local: from, remote: l.addr}
	server := &conn{in: there, out: back, local: l.addr, remote: from}
	select {
	case l.queue <- server:
		return client, nil
	default:
		return nil, fmt.Errorf("sim: dial %s: nobody accepts", address)
	}
}

// stream is one direction of a connection.
type stream struct {
	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	data     []byte
	closed   bool // by the writer: the reader gets what is left, then the end
	broken   bool // by the reader: nobody gets anything any more
	deadline time.Time
	timer    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

type conn struct {
	in, out       *stream
	local, remote netip.AddrPort
}

func (c *conn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.closed:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (c *conn) Write(p []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.broken {
		return 0, net.ErrClosed
	}
	s.data = append(s.data, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (c *conn) Close() error {
	c.out.end(func(s *stream) { s.closed = true })
	c.in.end(func(s *stream) { s.broken = true })
	return nil
}

func (s *stream) end(change func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.changed.Broadcast()
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline has nothing to do: writes never wait.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) SetReadDeadline(t time.Time) error {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.deadline = t
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	return nil
}
