package client

import (
	"context"
	"fmt"

	"helenus/internal/cql/proto"
)

// Call is one request on its way, the form for load generators: Go neither
// waits nor allocates.
type Call struct {
	Request *proto.Request
	// Done is called exactly once for each Go that returned nil, on the
	// connection's reader: it must not block, and may call Go.
	Done func(*Call)

	// Response is the answer. What it points to is the connection's and valid
	// until Done returns.
	Response proto.Response
	// Err is the node's *helenus.Error or why the connection ended.
	Err error

	keep   bool // copy the answer, so that it outlives Done
	buf    []byte
	stream int16 // it was sent on
}

// Go sends a request. An error means it was not sent and Done is not called:
// ErrBusy, or the connection's end.
func (c *Conn) Go(call *Call) error {
	c.mu.Lock()
	if c.err == nil && len(c.free) == 0 {
		c.mu.Unlock()
		return ErrBusy
	}
	return c.sendLocked(call)
}

// sendLocked sends a request on a free stream, which must exist, and unlocks.
func (c *Conn) sendLocked(call *Call) error {
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	stream := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.nextWaiterLocked()
	call.Err = nil
	call.stream = stream
	c.pending[stream] = call
	req := call.Request
	c.w.End(req.AppendBody(c.w.Begin(req.HeaderFor(c.version, stream)), c.version), nil)
	later := c.reading || c.writing
	c.mu.Unlock()
	if !later {
		c.flush()
	}
	return nil
}

// flush writes what has gathered unless somebody is at it, who then takes this
// along. It does not wait: what the socket has no room for goes to writeLoop.
func (c *Conn) flush() {
	c.mu.Lock()
	for !c.writing && c.err == nil && c.w.Len() > 0 {
		c.writing = true
		c.out = c.w.Take(c.room)
		c.mu.Unlock()
		c.room = c.out
		if c.out = c.out[c.try(c.out):]; len(c.out) > 0 {
			c.kick <- struct{}{} // has room: only who writes kicks
			return
		}
		c.mu.Lock()
		c.doneWritingLocked()
	}
	c.mu.Unlock()
}

func (c *Conn) doneWritingLocked() {
	c.writing = false
	if cap(c.room) > roomMax {
		c.room = nil
	}
}

// writeLoop writes what would have made others wait, and whatever has gathered
// meanwhile.
func (c *Conn) writeLoop() {
	defer c.finished.Done()
	for {
		select {
		case <-c.kick:
		case <-c.dead:
			return
		}
		if _, err := c.nc.Write(c.out); err != nil {
			c.fail(fmt.Errorf("client: write to %s: %w", c.addr, err))
			return
		}
		c.mu.Lock()
		c.doneWritingLocked()
		c.mu.Unlock()
		c.flush()
	}
}

// roomMax is the largest buffer that is kept for the next write.
const roomMax = 1 << 20

func (c *Conn) readLoop() {
	defer c.finished.Done()
	err := c.read()
	c.fail(fmt.Errorf("client: read from %s: %w", c.addr, err))
	c.abandon()
	close(c.events)
}

func (c *Conn) read() error {
	for {
		n, err := c.nc.Read(c.dec.Buffer())
		if n == 0 && err != nil {
			return err
		}
		c.dec.Fill(n)
		c.setReading(true)
		err = c.dispatchAll()
		c.setReading(false)
		if err != nil {
			return err
		}
	}
}

// setReading makes what callbacks send leave together, once all answers that
// have come are dealt with.
func (c *Conn) setReading(on bool) {
	c.mu.Lock()
	c.reading = on
	c.mu.Unlock()
	if !on {
		c.flush()
	}
}

func (c *Conn) dispatchAll() error {
	for {
		e, ok, perr := c.dec.Next()
		if perr != nil {
			return perr
		}
		if !ok {
			return nil
		}
		if err := c.dispatch(e); err != nil {
			return err
		}
	}
}

func (c *Conn) dispatch(e proto.Envelope) error {
	if e.Stream == proto.EventStream {
		return c.event(e)
	}
	call := c.take(e.Stream)
	switch {
	case call == nil:
		return fmt.Errorf("answer on stream %d, which has no request", e.Stream)
	case c.forgotten(call):
		return nil
	case call.keep:
		call.buf = append(call.buf[:0], e.Body...)
		e.Body = call.buf
	}
	err := call.Response.Decode(e)
	if call.Err = err; err == nil && call.Response.Err != nil {
		call.Err = call.Response.Err
	}
	call.Done(call)
	return err
}

// take frees a stream whose answer has come, and tells whose it is.
func (c *Conn) take(stream int16) *Call {
	if stream < 0 || int(stream) >= len(c.pending) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.pending[stream]
	if call == nil {
		return nil
	}
	c.pending[stream] = nil
	c.free = append(c.free, stream)
	c.nextWaiterLocked()
	return call
}

func (c *Conn) event(e proto.Envelope) error {
	var resp proto.Response
	if err := resp.Decode(e); err != nil {
		return err
	}
	if resp.Err != nil {
		return resp.Err // about the connection as a whole
	}
	select {
	case c.events <- resp.Event:
	default:
		c.eventsMissed.Add(1)
	}
	return nil
}

// abandon completes what will never be answered.
func (c *Conn) abandon() {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	for stream := range c.pending {
		if call := c.take(int16(stream)); call != nil && !c.forgotten(call) {
			call.Response = proto.Response{}
			call.Err = err
			call.Done(call)
		}
	}
}

// nextWaiterLocked wakes one of those who wait for a stream.
func (c *Conn) nextWaiterLocked() {
	if c.waiting > 0 && len(c.free) > 0 {
		select {
		case c.freed <- struct{}{}:
		default: // one is being woken, and will wake the next
		}
	}
}

// lockFree locks with a free stream there, which it may have to wait for.
func (c *Conn) lockFree(ctx context.Context) error {
	c.mu.Lock()
	for c.err == nil && len(c.free) == 0 {
		c.waiting++
		c.mu.Unlock()
		var err error
		select {
		case <-c.freed:
		case <-c.dead:
		case <-ctx.Done():
			err = ctx.Err()
		}
		c.mu.Lock()
		c.waiting--
		if err != nil {
			c.mu.Unlock()
			return err
		}
	}
	return nil
}

// Do sends a request and waits for its answer until ctx ends.
func (c *Conn) Do(ctx context.Context, req *proto.Request) (*Result, error) {
	done := make(chan struct{})
	call := &Call{Request: req, keep: true, Done: func(*Call) { close(done) }}
	if err := c.lockFree(ctx); err != nil {
		return nil, err
	}
	if err := c.sendLocked(call); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		if c.forget(call) {
			return nil, ctx.Err()
		}
		<-done // the reader has it in its hands
	}
	if call.Err != nil {
		return nil, call.Err
	}
	return &Result{Response: call.Response}, nil
}

// forget takes a call out of pending unless its answer has been taken up.
func (c *Conn) forget(call *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[call.stream] != call {
		return false
	}
	c.pending[call.stream] = &Call{}
	return true
}
