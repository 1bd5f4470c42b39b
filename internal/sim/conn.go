package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// pair is a connection with its two ends; end 0 is the dialer's.
//
// Connections that one host makes to another at the same time are told apart by
// what is first said on them: only then they get a name, a port and the ear of
// the listener.
type pair struct {
	net      *Network
	hosts    [2]*Host
	listener *listener
	ends     [2]*conn

	base string // the scheduler's, until name is made of it

	mu       sync.Mutex // guards what follows, and the streams
	name     string
	from     netip.AddrPort // the dialer's
	accepted bool
}

// conn is one end of a connection.
type conn struct {
	pair    *pair
	side    int
	in, out *stream
	// Guarded by pair.mu.
	closed  bool
	severed bool // its owner is dead
}

// stream is one direction of a connection; guarded by pair.mu.
type stream struct {
	changed  sync.Cond
	fresh    []byte    // written since the scheduler last looked
	segments []segment // under way, oldest first
	ready    []byte    // arrived and unread
	size     int       // bytes written and unread
	posted   bool      // the scheduler has been asked to look
	finished bool      // nothing will be written any more
	eof      bool      // and the reader knows
	readErr  error
	writeErr error
	last     time.Time // when the newest segment arrives at the earliest
	readBy   deadline
	writeBy  deadline
}

type segment struct {
	data []byte
	fin  bool
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func newPair(n *Network, hosts [2]*Host, l *listener) *pair {
	p := &pair{net: n, hosts: hosts, listener: l}
	var streams [2]*stream
	for i := range streams {
		streams[i] = &stream{changed: sync.Cond{L: &p.mu}}
	}
	for i := range p.ends {
		p.ends[i] = &conn{pair: p, side: i, in: streams[1-i], out: streams[i]}
	}
	return p
}

// identify finds out what is known of a new connection.
func (p *pair) identify(said []byte) string {
	if p.base == "" {
		h := fnv.New32a()
		_, _ = h.Write(said) // a hash takes everything
		p.base = fmt.Sprintf("%s>%s:%d/%04x", p.hosts[0], p.hosts[1], p.listener.addr.Port(), h.Sum32()&0xffff)
	}
	return p.base
}

// settle makes the name.
func (p *pair) settle() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == "" {
		p.net.mu.Lock()
		p.net.serial[p.base]++
		p.name = fmt.Sprintf("%s#%d", p.base, p.net.serial[p.base])
		h := p.hosts[0]
		h.nextPort++
		p.from = netip.AddrPortFrom(h.addr, h.nextPort)
		p.net.mu.Unlock()
	}
	return p.name
}

// accept gives the other end to the listener; false: nobody takes it.
func (p *pair) accept() bool {
	select {
	case <-p.listener.closed:
		return false
	default:
	}
	p.mu.Lock()
	p.accepted = true
	p.mu.Unlock()
	select {
	case p.listener.queue <- p.ends[1]:
		return true
	default:
		return false
	}
}

// String names the connection as far as that can be done.
func (p *pair) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name != "" {
		return p.name
	}
	return fmt.Sprintf("%s>%s:%d", p.hosts[0], p.hosts[1], p.listener.addr.Port())
}

// reset tells one end, as soon as the network lets it, that the other is gone.
func (p *pair) reset(side int, err error) {
	if p.net.free {
		p.ends[side].fail(err)
		return
	}
	p.net.carry(p.hosts[1-side], p.hosts[side], fmt.Sprintf("%s reset %d", p, side), nil, func() { p.ends[side].fail(err) })
}

// fail makes everything on a connection's end fail.
func (c *conn) fail(err error) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.closed || c.severed {
		return
	}
	c.failLocked(err)
}

func (c *conn) failLocked(err error) {
	if c.in.readErr == nil {
		c.in.readErr = err
	}
	if c.out.writeErr == nil {
		c.out.writeErr = err
	}
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
}

// sever takes an end away from its owner, who is dead.
func (p *pair) sever(side int) {
	c := p.ends[side]
	p.mu.Lock()
	c.severed = true
	c.failLocked(net.ErrClosed)
	over := p.overLocked()
	p.mu.Unlock()
	if over {
		p.net.forget(p)
	}
}

// overLocked tells whether nobody holds an end any more, or will.
func (p *pair) overLocked() bool {
	held := func(c *conn) bool { return !c.closed && !c.severed }
	there := p.ends[0].out
	coming := !p.accepted && (there.posted || len(there.segments) > 0)
	return !held(p.ends[0]) && !coming && (!p.accepted || !held(p.ends[1]))
}

func (c *conn) Read(b []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	s := c.in
	for {
		switch {
		case s.readErr != nil:
			return 0, s.readErr
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.ready) > 0:
			n := copy(b, s.ready)
			s.ready = s.ready[n:]
			s.size -= n
			s.changed.Broadcast()
			return n, nil
		case s.eof:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (c *conn) Write(b []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	s, n := c.out, 0
	for {
		switch {
		case s.writeErr != nil:
			return n, s.writeErr
		case s.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case n == len(b):
			return n, nil
		case s.size < windowBytes:
			k := min(len(b)-n, windowBytes-s.size)
			c.sendLocked(b[n : n+k])
			n += k
		default:
			s.changed.Wait()
		}
	}
}

func (c *conn) sendLocked(b []byte) {
	s := c.out
	s.size += len(b)
	if c.pair.net.free {
		s.ready = append(s.ready, b...)
		s.changed.Broadcast()
		return
	}
	s.fresh = append(s.fresh, b...)
	c.postLocked()
}

// postLocked asks the scheduler to take what is fresh.
func (c *conn) postLocked() {
	s := c.out
	if s.posted {
		return
	}
	s.posted = true
	p, n := c.pair, c.pair.net
	from, to := p.hosts[c.side], p.hosts[1-c.side]
	arrow := [...]string{" ->", " <-"}[c.side]
	size := 0
	n.sim.post(&event{
		identify: func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.identify(s.fresh) + arrow
		},
		settle: func() string {
			name := p.settle() + arrow
			p.mu.Lock()
			defer p.mu.Unlock()
			s.posted = false
			size = len(s.fresh)
			s.segments = append(s.segments, segment{s.fresh, s.finished})
			s.fresh = nil
			return name
		},
		delay: func(r *rand.Rand) time.Duration {
			at := time.Now().Add(n.delay(r, from, to, size))
			p.mu.Lock()
			defer p.mu.Unlock()
			if at.Before(s.last) {
				at = s.last
			}
			s.last = at
			return time.Until(at)
		},
		detail: func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			seg := s.segments[0]
			if seg.fin {
				return fmt.Sprintf(" %d and the end", len(seg.data))
			}
			return fmt.Sprintf(" %d", len(seg.data))
		},
		blocked: func() bool { return n.blocked(from, to) },
		do:      func() { p.arrive(c.side) },
	})
}

// arrive hands the oldest segment to its reader.
func (p *pair) arrive(side int) {
	p.mu.Lock()
	s, reader := p.ends[side].out, p.ends[1-side]
	seg := s.segments[0]
	s.segments = s.segments[1:]
	unheard := side == 0 && !p.accepted && len(seg.data) > 0
	p.mu.Unlock()
	if unheard && !p.accept() {
		p.reset(side, syscall.ECONNRESET)
	}
	p.mu.Lock()
	over, dead := p.overLocked(), reader.severed
	p.handLocked(s, reader, seg)
	p.mu.Unlock()
	if dead {
		p.reset(side, syscall.ECONNRESET)
	}
	if over {
		p.net.forget(p)
	}
}

func (p *pair) handLocked(s *stream, reader *conn, seg segment) {
	if reader.closed || reader.severed {
		s.size -= len(seg.data)
		return
	}
	s.ready = append(s.ready, seg.data...)
	s.changed.Broadcast()
	if seg.fin {
		s.eof = true
		if reader.out.writeErr == nil {
			reader.out.writeErr = syscall.EPIPE
			reader.out.changed.Broadcast()
		}
	}
}

func (c *conn) Close() error {
	p := c.pair
	p.mu.Lock()
	if c.closed {
		p.mu.Unlock()
		return nil
	}
	c.closed = true
	lives := c.out.writeErr == nil
	c.failLocked(net.ErrClosed)
	c.in.readErr, c.in.ready = net.ErrClosed, nil
	c.out.writeErr = net.ErrClosed
	c.in.readBy.stop()
	c.out.writeBy.stop()
	if lives {
		c.finishLocked()
	}
	over := p.overLocked()
	p.mu.Unlock()
	if over {
		p.net.forget(p)
	}
	return nil
}

// finishLocked says that nothing will follow.
func (c *conn) finishLocked() {
	s := c.out
	s.finished = true
	if !c.pair.net.free {
		c.postLocked()
		return
	}
	s.eof = true
	s.changed.Broadcast()
	if back := c.in; back.writeErr == nil {
		back.writeErr = syscall.EPIPE
		back.changed.Broadcast()
	}
}

func (c *conn) addr(side int) net.Addr {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if side == 1 {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.pair.hosts[1].addr, c.pair.listener.addr.Port()))
	}
	if !c.pair.from.IsValid() {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.pair.hosts[0].addr, 0))
	}
	return net.TCPAddrFromAddrPort(c.pair.from)
}

func (c *conn) LocalAddr() net.Addr  { return c.addr(c.side) }
func (c *conn) RemoteAddr() net.Addr { return c.addr(1 - c.side) }

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t) // neither has an error
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.until(c.in, &c.in.readBy, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.until(c.out, &c.out.writeBy, t)
	return nil
}

func (c *conn) until(s *stream, d *deadline, t time.Time) {
	mu := &c.pair.mu
	mu.Lock()
	defer mu.Unlock()
	d.stop()
	d.at, d.timer = t, nil
	if t.IsZero() || c.closed {
		return
	}
	s.changed.Broadcast() // it may have passed already
	d.timer = time.AfterFunc(time.Until(t), func() {
		mu.Lock()
		defer mu.Unlock()
		s.changed.Broadcast()
	})
}
