package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/cql/proto"
)

// conn is one connection. What is not guarded or atomic is the reader's; that
// includes the session, as requests are started by the reader alone and in the
// order they came.
type conn struct {
	server   *Server
	nc       net.Conn
	decoder  proto.Decoder
	request  proto.Request // of control messages
	session  query.Session
	version  proto.Version // 0 until the first frame; fixed from then on
	ready    bool          // STARTUP is done
	pressed  bool          // the round should pause: much is waiting to be written
	held     int           // bytes charged for the decoder's buffers
	requests uint64

	driver   atomic.Pointer[proto.Startup]
	keyspace atomic.Pointer[string] // the session's, for operators
	events   atomic.Uint32          // eventBits
	count    atomic.Uint64          // requests, as far as told
	moved    atomic.Uint64          // changes whenever the client sends or takes something

	mu        sync.Mutex // guards what follows
	room      *sync.Cond // the reader, and nobody else, waits here
	out       *proto.Writer
	inFlight  int    // requests
	bodies    int    // what requests in flight cost in bytes
	unwritten int    // bytes taken from out that the socket has not taken
	charged   int    // bytes charged to the budget, never less than owedLocked
	reported  int    // inFlight as the server's counters have it
	spare     []byte // the room of whoever writes next
	writing   bool   // somebody is in write
	draining  bool   // the reader starts requests and will write what they answer
	closed    bool   // nothing is appended or written any more
	gone      bool   // nc is closed

	wake chan struct{} // the writer: there is something to write

	// The watchdog's.
	seen  uint64 // moved when it last looked
	since time.Time
}

const (
	// inFlightMax bounds the requests of one connection without an answer;
	// stream ids would allow 32768, each of which costs callBytes.
	inFlightMax = 4096
	// flushBytes is how much may gather in a round before it is written.
	flushBytes = 64 << 10
	// chargeBytes is the least that is charged at once: a round's small
	// requests share one charge.
	chargeBytes = 16 << 10
	// bufferFree is what a connection's read buffers may take uncharged: about
	// what a decoder keeps at rest, so that idle connections do not take the
	// budget away from requests. The number of connections bounds it.
	bufferFree = 512 << 10
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, out: proto.NewWriter(), wake: make(chan struct{}, 1), since: time.Now()}
	c.room = sync.NewCond(&c.mu)
	c.decoder.FrameSizeMax = s.opts.FrameBytesMax
	if a, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.session.Client = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return c
}

func (c *conn) describe() Client {
	d := Client{Address: c.session.Client, Requests: c.count.Load()}
	if s := c.driver.Load(); s != nil { // version was set before driver
		d.Driver, d.Release, d.Version = s.DriverName, s.DriverVersion, int(c.version)
	}
	if ks := c.keyspace.Load(); ks != nil {
		d.Keyspace = *ks
	}
	return d
}

// readLoop reads and starts requests until the connection ends, then waits for
// those in flight: their memory is shared with the connection's.
func (c *conn) readLoop(ctx context.Context) {
	for ctx.Err() == nil {
		room := c.decoder.Buffer()
		if !c.chargeBuffers(c.decoder.HeldBytes()) {
			c.server.opts.Log.Warn("connection closed for lack of memory for its frames", "client", c.session.Client)
			break
		}
		n, err := c.nc.Read(room)
		c.decoder.Fill(n)
		c.moved.Add(1)
		c.setDraining()
		alive := c.drain()
		c.flush()
		if !alive {
			c.part()
			break
		}
		if err != nil {
			c.note(err)
			break
		}
		if !c.waitForRoom() {
			break
		}
	}
	c.end()
}

func (c *conn) note(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	c.server.opts.Log.Debug("connection lost", "client", c.session.Client, "error", err)
}

// chargeBuffers makes the charge for the decoder follow its size. Frames that
// have come in part are the only memory a client can take without a request.
func (c *conn) chargeBuffers(held int) bool {
	want := max(0, held-bufferFree)
	switch b := c.server.opts.Budget; {
	case want > c.held:
		if !b.Charge(int64(want - c.held)) {
			return false
		}
	case want < c.held:
		b.Release(int64(c.held - want))
	}
	c.held = want
	return true
}

// drain starts all requests that have arrived whole; false ends the connection.
func (c *conn) drain() bool {
	for {
		e, ok, perr := c.decoder.Next()
		switch {
		case perr != nil:
			c.refuse(perr)
			if perr.Fatal {
				return false
			}
		case !ok:
			return true
		case !c.envelope(e):
			return false
		}
		if c.pressed && !c.relieve() {
			return false
		}
	}
}

// relieve writes in the middle of a round, and waits if that is not enough.
func (c *conn) relieve() bool {
	c.pressed = false
	c.flush()
	if !c.waitForRoom() {
		return false
	}
	c.setDraining()
	return true
}

func (c *conn) setDraining() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
}

// refuse answers what could not be taken apart. The version in the answer is
// one that the client can learn from: ours, if its own is unknown here.
func (c *conn) refuse(perr *proto.ProtocolError) {
	c.answerError(cmp.Or(c.version, proto.Highest), perr.Stream, perr.Err)
}

// envelope handles one request; false ends the connection.
func (c *conn) envelope(e proto.Envelope) bool {
	if c.version == 0 {
		c.version = e.Version
		c.session.Version = int(e.Version)
		c.decoder.SetVersion(e.Version)
	}
	c.requests++
	if !c.ready && e.Op.IsRequest() && e.Op != proto.OpStartup && e.Op != proto.OpOptions {
		c.answerError(e.Version, e.Stream, helenus.Errorf(helenus.CodeProtocol, "Unexpected message %s, expecting STARTUP or OPTIONS", e.Op))
		return false
	}
	switch e.Op {
	case proto.OpQuery, proto.OpPrepare, proto.OpExecute, proto.OpBatch:
		c.start(e)
		return true
	}
	if err := c.request.Decode(e); err != nil {
		c.answerError(e.Version, e.Stream, err)
		return true
	}
	c.control(e)
	return true
}

// owedLocked is how much memory the client's doings hold here: requests in
// flight and answers that it has not taken. It is computed, not kept, so that
// no framing or compression can make it drift.
func (c *conn) owedLocked() int { return c.bodies + c.unreadLocked() }

func (c *conn) unreadLocked() int { return c.out.Len() + c.unwritten }

func (c *conn) fullLocked() bool {
	return c.owedLocked() > c.server.opts.InFlightBytes || c.inFlight >= inFlightMax
}

// roomyLocked is the opposite of full with some distance, so that a reader that
// had to wait wakes up for more than one request.
func (c *conn) roomyLocked() bool {
	return c.owedLocked() <= c.server.opts.InFlightBytes/2 && c.inFlight <= inFlightMax/2
}

// waitForRoom holds the reader back while the client owes too many reads, or
// the node too many answers.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fullLocked() {
		// Whatever makes room is written, and the end of a write wakes us.
		for !c.roomyLocked() && !c.closed {
			c.room.Wait()
		}
	}
	return !c.closed
}

// settleLocked brings the server's counters and the budget in line. Between
// rounds they may lag behind by one.
func (c *conn) settleLocked() {
	if d := c.inFlight - c.reported; d != 0 {
		c.server.stats.InFlight.Add(int64(d))
		c.reported = c.inFlight
	}
	if d := c.charged - c.owedLocked(); d > 0 {
		c.server.opts.Budget.Release(int64(d))
		c.charged -= d
	}
}

// part gives the client the time to read why it is being left: closing a
// socket with unread bytes in it would take the last answer away again.
func (c *conn) part() {
	c.mu.Lock()
	for (c.writing || c.out.Len() > 0) && !c.closed {
		c.room.Wait()
	}
	c.closed = true
	c.mu.Unlock()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(partTime)) != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for left := partBytes; left > 0; {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

const (
	partTime  = time.Second
	partBytes = 1 << 20
)

// close ends the connection; both loops notice.
func (c *conn) close() {
	c.mu.Lock()
	was := c.gone
	c.closed, c.gone = true, true
	c.room.Signal()
	c.mu.Unlock()
	if !was {
		_ = c.nc.Close() // a connection that is gone needs no more
		close(c.wake)    // nobody sends once closed is set
	}
}

// end is the reader's last act: it waits for all who share the connection's
// memory and gives back what was charged.
func (c *conn) end() {
	c.close()
	c.mu.Lock()
	for c.inFlight > 0 || c.writing {
		c.room.Wait()
	}
	c.out.Take(nil)
	c.spare = nil
	c.settleLocked()
	c.mu.Unlock()
	c.server.opts.Budget.Release(int64(c.held))
	c.held = 0
}
