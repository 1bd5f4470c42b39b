package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
)

// inbound is a connection that another node has opened: requests come, answers
// go. What is not guarded or atomic is the reader's.
type inbound struct {
	w       *Wire
	nc      net.Conn
	from    helenus.HostID
	lane    Lane
	lz4     bool
	pressed bool    // the round should pause: much is waiting to be written
	enc     encoder // of what the reader answers itself

	moved atomic.Int64 // when a byte last came or went, since Wire.began

	mu        sync.Mutex // guards what follows
	room      *sync.Cond // the reader, and nobody else, waits here
	work      *sync.Cond // the writer, and nobody else, waits here
	out       []byte
	spare     []byte
	unwritten int // bytes taken from out that the socket has not taken
	inFlight  int // requests
	bodies    int // what they cost in bytes
	charged   int // bytes charged, never less than owedLocked
	writing   bool
	draining  bool // the reader will write
	closed    bool
}

// flushBytes is how much may gather in a round before it is written, and
// writeBytesMax how much is given to the socket at once.
const (
	flushBytes    = 64 << 10
	writeBytesMax = 256 << 10
)

func (w *Wire) accept(nc net.Conn) {
	w.stats.accepted.Add(1)
	w.mu.Lock()
	ok := w.running && len(w.accepted)+len(w.inbound) < w.opts.ConnectionsMax
	if ok {
		w.accepted[nc] = struct{}{}
		w.run.Go(func() { w.greet(nc) })
	}
	w.mu.Unlock()
	if !ok {
		w.stats.refused.Add(1)
		_ = nc.Close() // nothing was promised to it
	}
}

// greet finds out what a connection carries and serves it.
func (w *Wire) greet(nc net.Conn) {
	c, err := w.meet(nc)
	if c != nil {
		w.isBack(c.from)
		w.run.Go(c.writeLoop) // within another goroutine of run
		c.note(c.readLoop())
		c.close()
		w.leave(c)
		return
	}
	w.mu.Lock()
	delete(w.accepted, nc)
	w.mu.Unlock()
	if err == nil {
		return // somebody else has it
	}
	_ = nc.Close() // err says more
	w.noteGreeting(nc, err)
}

// errRefused is a peer that was told why.
var errRefused = errors.New("refused")

func (w *Wire) noteGreeting(nc net.Conn, err error) {
	log := w.opts.Log.With("address", nc.RemoteAddr().String(), "reason", err.Error())
	switch {
	case errors.Is(err, errRefused):
		w.stats.refused.Add(1)
		log.Warn("connection of another node refused")
	case isGarbage(err):
		w.stats.garbage.Add(1)
		log.Warn("garbage on the storage port, connection cut")
	default:
		log.Debug("connection ended before it said hello")
	}
}

// meet reads the first byte and the hello; nil and no error if the connection
// was handed over.
func (w *Wire) meet(nc net.Conn) (*inbound, error) {
	if err := nc.SetDeadline(time.Now().Add(w.opts.ConnectTimeout)); err != nil {
		return nil, err
	}
	var first [1]byte
	if _, err := io.ReadFull(nc, first[:]); err != nil {
		return nil, err
	}
	if first[0] != FirstMessages {
		if err := nc.SetDeadline(time.Time{}); err != nil {
			return nil, err
		}
		if !w.opts.Doors(first[0], &unread{Conn: nc, first: first[:]}) {
			return nil, garbagef("a connection that begins with byte %#02x", first[0])
		}
		w.stats.handedOver.Add(1)
		return nil, nil
	}
	h, err := readHello(nc, first[0])
	if err != nil {
		return nil, err
	}
	me := w.hello(h.lane, helenus.HostID{})
	answer := judge(&me, &h)
	if _, err := nc.Write(appendWelcome(nil, &answer)); err != nil {
		return nil, err
	}
	if answer.status != statusWelcome {
		return nil, fmt.Errorf("%w: host %s: %s", errRefused, h.from, answer.reason)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return w.admit(nc, &h, answer.lz4)
}

func (w *Wire) admit(nc net.Conn, h *hello, lz4 bool) (*inbound, error) {
	c := &inbound{w: w, nc: nc, from: h.from, lane: h.lane, lz4: lz4}
	c.room, c.work = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	now := w.now()
	c.moved.Store(int64(now))
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return nil, errClosing
	}
	delete(w.accepted, nc)
	w.inbound = append(w.inbound, c)
	w.wakeAt(now + w.opts.SilenceMax)
	return c, nil
}

func (w *Wire) leave(c *inbound) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.inbound, c); i >= 0 {
		w.inbound = slices.Delete(w.inbound, i, i+1)
	}
}

// unread is a connection of which the first byte will be read again.
type unread struct {
	net.Conn
	first []byte
}

func (u *unread) Read(b []byte) (int, error) {
	if len(u.first) > 0 && len(b) > 0 {
		n := copy(b, u.first)
		u.first = u.first[n:]
		return n, nil
	}
	return u.Conn.Read(b)
}

// readLoop starts the requests that come until the connection ends.
func (c *inbound) readLoop() error {
	r := frameReader{bodyMax: c.w.opts.FrameBytesMax + rawBytes, budget: c.w.opts.Budget}
	defer r.release()
	for {
		n, err := c.nc.Read(r.room())
		now := c.w.now()
		c.moved.Store(int64(now))
		r.fill(n)
		c.setDraining()
		broken := c.drain(&r, now)
		c.flush()
		switch {
		case broken != nil:
			return broken
		case err != nil:
			return err
		case !c.waitForRoom():
			return net.ErrClosed
		}
	}
}

func (c *inbound) note(err error) {
	log := c.w.opts.Log.With("host", c.from.String(), "address", c.nc.RemoteAddr().String(), "lane", c.lane.String(), "reason", err.Error())
	if isGarbage(err) {
		c.w.stats.garbage.Add(1)
		log.Warn("peer sent garbage, connection cut")
		return
	}
	log.Debug("connection of another node ended")
}

func (c *inbound) setDraining() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
}

func (c *inbound) drain(r *frameReader, came time.Duration) error {
	for {
		h, body, denied, ok, err := r.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return nil
		case h.kind == kindPing:
			c.append(header{kind: kindPong}, nil)
			continue
		case h.kind != kindRequest:
			return garbagef("a frame of kind %d as a request", h.kind)
		}
		if err := c.start(&h, body, denied, came+time.Duration(h.arg)*time.Microsecond); err != nil {
			return err
		}
		if c.pressed {
			c.pressed = false
			c.flush()
			if !c.waitForRoom() {
				return net.ErrClosed
			}
			c.setDraining()
		}
	}
}

// start hands a request to its handler, unless it came too late or there is no
// room for it. It may be over, and another's, when Handle returns.
func (c *inbound) start(h *header, body []byte, denied bool, deadline time.Duration) error {
	v := c.w.verb(h.verb)
	if v == nil || v.Handle == nil {
		c.refuse(h, helenus.CodeProtocol, fmt.Sprintf("this node does not know verb %d", h.verb))
		return nil
	}
	if c.w.now() >= deadline {
		v.stats.expired.Add(1)
		return nil
	}
	n, err := h.rawLen(body, c.w.opts.FrameBytesMax)
	if err != nil {
		return err
	}
	if cost := requestBytes + n; denied || !c.charge(cost) {
		v.stats.refused.Add(1)
		c.refuse(h, helenus.CodeOverloaded, "too many requests are under way at this node")
		return nil
	}
	r := c.w.requests.Get().(*Request)
	r.open, r.verb, r.conn, r.id, r.cost = true, v, c, h.id, requestBytes+n
	r.deadline, r.From = deadline, c.from
	if h.flags&frameLZ4 == 0 {
		r.body = append(r.body[:0], body...)
	} else if r.body, err = h.unpack(r.body, body, n); err != nil {
		r.open = false
		c.leave(r)
		return err
	}
	if r.Message, err = decode(&v.requests, v.NewRequest, r.body); err != nil {
		r.open = false
		r.encodeFailure(helenus.CodeProtocol, bounded(fmt.Sprintf("the request %s does not decode: %v", v.Name, err)))
		return nil
	}
	v.stats.handled.Add(1)
	v.Handle(r)
	return nil
}

func (c *inbound) refuse(h *header, code helenus.ErrorCode, reason string) {
	c.enc.encodeText(reason)
	c.append(c.enc.header(kindFailure, h.verb, h.id, uint32(code)), c.enc.payload)
}

// charge takes the memory of a request before it is kept. The bound of the
// requests of one connection is that of a peer.
func (c *inbound) charge(cost int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.w.opts
	if c.inFlight >= o.InFlightMax || c.bodies+cost > o.PeerBytes || !c.coverLocked(cost) {
		return false
	}
	c.inFlight++
	c.bodies += cost
	c.pressed = len(c.out) >= flushBytes
	return true
}

// coverLocked makes the charge cover n more bytes.
func (c *inbound) coverLocked(n int) bool {
	need := c.owedLocked() + n - c.charged
	if need <= 0 {
		return true
	}
	b := c.w.opts.Budget
	for _, n := range [...]int{max(need, chargeBytes), need} {
		if b.Charge(int64(n)) {
			c.charged += n
			return true
		}
	}
	return false
}

// owedLocked is how much memory the peer's requests hold here. It is computed,
// not kept, so that it cannot drift.
func (c *inbound) owedLocked() int { return c.bodies + len(c.out) + c.unwritten }

func (c *inbound) settleLocked() {
	if d := c.charged - c.owedLocked(); d > 0 {
		c.w.opts.Budget.Release(int64(d))
		c.charged -= d
	}
}

// append queues what the reader answers itself: it is small and goes out with
// the round, so it is charged whether or not there is room.
func (c *inbound) append(h header, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendLocked(h, body)
	c.pressed = len(c.out) >= flushBytes
}

func (c *inbound) appendLocked(h header, body []byte) {
	if c.closed {
		return
	}
	c.out = appendFrame(c.out, h, body)
	if d := c.owedLocked() - c.charged; d > 0 {
		c.w.opts.Budget.Force(int64(d))
		c.charged += d
	}
}

// answer queues the answer to a request and ends it. An answer that nobody
// takes for too long becomes a failure, which is small.
func (c *inbound) answer(r *Request, h header) {
	const reason = "this node has no memory for the answer"
	c.mu.Lock()
	c.dropLocked(r)
	size := headerBytes + len(r.enc.payload)
	waiting := len(c.out) + c.unwritten
	if waiting > 0 && waiting+size > 2*c.w.opts.PeerBytes || !c.coverLocked(size) {
		r.enc.encodeText(reason)
		h = r.enc.header(kindFailure, h.verb, h.id, uint32(helenus.CodeOverloaded))
		r.verb.stats.refused.Add(1)
	}
	c.appendLocked(h, r.enc.payload)
	if !c.draining && !c.writing {
		c.work.Signal()
	}
	if c.closed {
		c.settleLocked()
	}
	c.mu.Unlock()
	r.release()
}

// leave ends a request without an answer.
func (c *inbound) leave(r *Request) {
	c.mu.Lock()
	c.dropLocked(r)
	c.settleLocked()
	c.mu.Unlock()
	r.release()
}

func (c *inbound) dropLocked(r *Request) {
	c.inFlight--
	c.bodies -= r.cost
}

func (c *inbound) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// flush ends the reader's round: what was answered inline leaves in one write,
// unless somebody else is at it.
func (c *inbound) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = false
	if !c.writing {
		c.writeLocked()
	}
	c.settleLocked()
}

// writeLocked writes until nothing waits. It lets go of the lock while the
// socket takes the bytes.
func (c *inbound) writeLocked() {
	c.writing = true
	for !c.closed && len(c.out) > 0 {
		b := c.out
		c.out, c.spare, c.unwritten = c.spare[:0], nil, len(b)
		c.mu.Unlock()
		err := c.write(b)
		if err != nil {
			c.close()
		}
		c.mu.Lock()
		if cap(b) <= 2*keepBytes {
			c.spare = b
		}
		c.unwritten = 0
		c.room.Signal()
	}
	c.writing = false
	c.settleLocked()
}

func (c *inbound) write(b []byte) error {
	for len(b) > 0 {
		n, err := c.nc.Write(b[:min(len(b), writeBytesMax)])
		if err != nil {
			return err
		}
		c.moved.Store(int64(c.w.now()))
		b = b[n:]
	}
	return nil
}

// writeLoop writes the answers of requests that had to wait.
func (c *inbound) writeLoop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		if len(c.out) > 0 && !c.writing && !c.draining {
			c.writeLocked()
			continue
		}
		c.work.Wait()
	}
}

// waitForRoom holds the reader back while the peer takes no answers.
func (c *inbound) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out)+c.unwritten > c.w.opts.PeerBytes && !c.closed {
		c.room.Wait()
	}
	return !c.closed
}

// tick cuts a connection on which nothing moves: its peer sends heartbeats and
// takes its answers, or is not there.
func (c *inbound) tick(now time.Duration) time.Duration {
	due := time.Duration(c.moved.Load()) + c.w.opts.SilenceMax
	if now < due {
		return due
	}
	if !c.isClosed() {
		c.w.stats.halfOpen.Add(1)
		c.close()
	}
	return never
}

func (c *inbound) close() {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.out = nil
	c.settleLocked()
	c.room.Broadcast()
	c.work.Broadcast()
	c.mu.Unlock()
	if !was {
		_ = c.nc.Close() // it is over, whatever this says
	}
}
