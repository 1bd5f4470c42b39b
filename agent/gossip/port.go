package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// firstMemberlist is the first byte of memberlist's connections: the mark of
	// the label, which is always there.
	firstMemberlist byte = 244
	// streamsMax bounds the connections that others have open. The count in a
	// header alone makes memberlist allocate up to 110 MB.
	streamsMax = 4
	// streamBytesMax bounds what is read from one: the state of 10,000 nodes.
	streamBytesMax = 4 << 20
	// packetReadBytes is the longest UDP packet there is.
	packetReadBytes = 64 << 10
	dialTimeout     = 2 * time.Second
	readPause       = 50 * time.Millisecond
)

// port is the storage port as memberlist uses it: memberlist.NodeAwareTransport.
type port struct {
	net     Net
	pc      net.PacketConn
	self    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	open    atomic.Int32 // streams
	closed  chan struct{}
	once    sync.Once
	reader  sync.WaitGroup
}

func newPort(n Net, pc net.PacketConn, self netip.AddrPort) *port {
	t := &port{net: n, pc: pc, self: self, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn, streamsMax),
		closed: make(chan struct{})}
	t.reader.Go(t.read)
	return t
}

func (t *port) read() {
	buf := make([]byte, packetReadBytes)
	for {
		n, from, err := t.pc.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n == 0:
			// Maybe about something sent earlier, as "port unreachable"; the pause
			// keeps one that lasts from becoming a busy loop.
			pause := time.NewTimer(readPause)
			select {
			case <-t.closed:
				pause.Stop()
				return
			case <-pause.C:
				continue
			}
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case t.packets <- p:
		case <-t.closed:
			return
		}
	}
}

// accept takes a connection that another node has opened; too many are closed.
func (t *port) accept(nc net.Conn) bool {
	s := &stream{Conn: nc, port: t, left: streamBytesMax}
	if t.open.Add(1) > streamsMax {
		_ = s.Close() // it comes again
		return true
	}
	t.streams <- s // never more than it holds
	select {
	case <-t.closed:
		t.discard()
	default:
	}
	return true
}

// discard closes the connections that nobody will read.
func (t *port) discard() {
	for {
		select {
		case nc := <-t.streams:
			_ = nc.Close() // nothing was promised on it
		default:
			return
		}
	}
}

// stream is a connection that is counted and read to a limit.
type stream struct {
	net.Conn
	port *port
	left int
	once sync.Once
}

func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, fmt.Errorf("gossip: more than %d bytes on one connection: %w", streamBytesMax, io.ErrUnexpectedEOF)
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

func (s *stream) Close() error {
	s.once.Do(func() { s.port.open.Add(-1) })
	return s.Conn.Close()
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.self.Addr().Unmap().AsSlice(), int(t.self.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (t *port) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	_, err = t.pc.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return now, err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *port) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh implements memberlist.Transport.
func (t *port) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *port) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout implements memberlist.Transport.
func (t *port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, dialTimeout))
	defer cancel()
	go func() {
		select {
		case <-t.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return t.net.Dial(ctx, addr)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *port) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown implements memberlist.Transport.
func (t *port) Shutdown() error {
	var err error
	t.once.Do(func() {
		close(t.closed)
		err = t.pc.Close()
		t.reader.Wait()
		t.discard()
	})
	return err
}
