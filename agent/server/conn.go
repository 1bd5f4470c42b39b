package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/cql/proto"
)

// conn is one connection.
type conn struct {
	server  *Server
	nc      net.Conn
	decoder proto.Decoder
	request proto.Request // of the reader
	session query.Session
	version proto.Version // 0 until the first frame
	ready   bool          // STARTUP is done
	driver  atomic.Pointer[proto.Startup]
	events  atomic.Uint32 // eventBits
	count   atomic.Uint64 // requests

	mu       sync.Mutex // guards what follows
	room     *sync.Cond // the reader waits here for owed to shrink
	out      *proto.Writer
	owed     int  // bytes of requests in flight and of answers not written
	inFlight int  // requests
	writing  bool // somebody is in Write
	draining bool // the reader starts requests and will write what they answer
	closed   bool

	wake  chan struct{} // the writer: there is something to write
	spare []byte        // of whoever is writing
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, out: proto.NewWriter(), wake: make(chan struct{}, 1)}
	c.room = sync.NewCond(&c.mu)
	c.decoder.FrameSizeMax = s.opts.FrameBytesMax
	if a, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.session.Client = a
	}
	return c
}

func (c *conn) describe() Client {
	d := Client{Address: c.session.Client, Requests: c.count.Load()}
	if s := c.driver.Load(); s != nil {
		d.Driver, d.Release, d.Version = s.DriverName, s.DriverVersion, int(c.version)
	}
	return d
}

// readLoop reads and starts requests until the connection ends, then waits for
// those in flight: their memory is shared with the connection's.
func (c *conn) readLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if c.server.opts.IdleTimeout > 0 {
			if err := c.nc.SetReadDeadline(time.Now().Add(c.server.opts.IdleTimeout)); err != nil {
				break
			}
		}
		n, err := c.nc.Read(c.decoder.Buffer())
		c.decoder.Fill(n)
		c.mu.Lock()
		c.draining = true
		c.mu.Unlock()
		if n > 0 && !c.drain() {
			c.flush()
			break
		}
		c.flush()
		if err != nil {
			c.note(err)
			break
		}
		if !c.waitForRoom() {
			break
		}
	}
	c.close()
	c.waitForCalls()
}

func (c *conn) note(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.server.opts.Log.Debug("connection lost", "client", c.session.Client, "error", err)
}

// drain starts all requests that have arrived whole; false ends the connection.
func (c *conn) drain() bool {
	for {
		e, ok, perr := c.decoder.Next()
		if perr != nil {
			c.refuse(perr)
			if perr.Fatal {
				return false
			}
			continue
		}
		if !ok {
			return true
		}
		if !c.envelope(e) {
			return false
		}
	}
}

// refuse answers what could not be taken apart. The version in the answer is
// one that the client can learn from: ours, if its own is unknown here.
func (c *conn) refuse(perr *proto.ProtocolError) {
	v := c.version
	if perr.VersionMismatch || v == 0 {
		v = proto.Highest
	}
	c.answerError(v, perr.Stream, perr.Err)
}

// envelope handles one request; false ends the connection.
func (c *conn) envelope(e proto.Envelope) bool {
	if c.version == 0 {
		c.version = e.Version
		c.session.Version = int(e.Version)
		c.decoder.SetVersion(e.Version)
	}
	c.count.Add(1)
	c.server.stats.Requests.Add(1)
	switch e.Op {
	case proto.OpQuery, proto.OpPrepare, proto.OpExecute, proto.OpBatch:
		if !c.ready {
			c.answerError(e.Version, e.Stream, helenus.Errorf(helenus.CodeProtocol,
				"Unexpected message %s, expecting STARTUP or OPTIONS", e.Op))
			return false
		}
		c.start(e)
		return true
	}
	if err := c.request.Decode(e); err != nil {
		c.answerError(e.Version, e.Stream, err)
		return true
	}
	return c.control(e)
}

// waitForRoom holds the reader back while the client owes too many reads, or
// the node too many answers.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.owed > c.server.opts.InFlightBytes && !c.closed {
		c.room.Wait()
	}
	return !c.closed
}

func (c *conn) waitForCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.inFlight > 0 {
		c.room.Wait()
	}
}

// close ends the connection; both loops notice.
func (c *conn) close() {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	if !was {
		_ = c.nc.Close() // a connection that is gone needs no more
		close(c.wake)
	}
}
