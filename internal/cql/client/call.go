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

	keep bool // copy the answer, so that it outlives Done
	buf  []byte
}

// Go sends a request. An error means it was not sent and Done is not called:
// ErrBusy, or the connection's end.
func (c *Conn) Go(call *Call) error {
	select {
	case stream := <-c.streams:
		return c.send(call, stream)
	default:
		if err := c.Err(); err != nil {
			return err
		}
		return ErrBusy
	}
}

func (c *Conn) send(call *Call, stream int16) error {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	call.Err = nil
	c.pending[stream] = call
	req := call.Request
	c.w.End(req.AppendBody(c.w.Begin(req.HeaderFor(c.version, stream)), c.version), nil)
	later := c.reading
	c.mu.Unlock()
	if !later {
		c.wake()
	}
	return nil
}

func (c *Conn) wake() {
	select {
	case c.kick <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// writeLoop writes whatever has gathered while the write before was under way.
func (c *Conn) writeLoop() {
	defer c.finished.Done()
	var room []byte
	for {
		select {
		case <-c.kick:
		case <-c.dead:
			return
		}
		c.mu.Lock()
		out := c.w.Take(room)
		c.mu.Unlock()
		if len(out) == 0 { // an earlier round took what this kick was for
			room = out
			continue
		}
		if _, err := c.nc.Write(out); err != nil {
			c.fail(fmt.Errorf("client: write to %s: %w", c.addr, err))
			return
		}
		if room = out; cap(room) > roomMax {
			room = nil
		}
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
	wake := !on && c.w.Len() > 0
	c.mu.Unlock()
	if wake {
		c.wake()
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
		c.streams <- e.Stream
		return nil
	case call.keep:
		call.buf = append(call.buf[:0], e.Body...)
		e.Body = call.buf
	}
	err := call.Response.Decode(e)
	if call.Err = err; err == nil && call.Response.Err != nil {
		call.Err = call.Response.Err
	}
	c.streams <- e.Stream // before Done, which may want one
	call.Done(call)
	return err
}

func (c *Conn) take(stream int16) *Call {
	if stream < 0 || int(stream) >= len(c.pending) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.pending[stream]
	c.pending[stream] = nil
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

// Do sends a request and waits for its answer until ctx ends.
func (c *Conn) Do(ctx context.Context, req *proto.Request) (*Result, error) {
	var stream int16
	select {
	case stream = <-c.streams:
	default:
		select {
		case stream = <-c.streams:
		case <-c.dead:
			return nil, c.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	done := make(chan struct{})
	call := &Call{Request: req, keep: true, Done: func(*Call) { close(done) }}
	if err := c.send(call, stream); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		if c.forget(call, stream) {
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
func (c *Conn) forget(call *Call, stream int16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[stream] != call {
		return false
	}
	c.pending[stream] = &Call{}
	return true
}
