package server

import (
	"helenus"
	"helenus/internal/cql/proto"
)

// flush ends the reader's round: what was answered inline leaves in one write,
// unless somebody else is at it.
func (c *conn) flush() {
	told := c.count.Load()
	c.count.Store(c.requests)
	c.server.stats.Requests.Add(c.requests - told)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = false
	if !c.writing {
		c.writeLocked()
	}
	c.settleLocked()
}

// writeLocked writes until nothing waits. It lets go of the lock while the
// socket takes the bytes; what is answered meanwhile leaves with the next write.
func (c *conn) writeLocked() {
	c.writing = true
	for !c.closed && c.out.Len() > 0 {
		b := c.out.Take(c.spare)
		c.unwritten = len(b)
		c.mu.Unlock()
		err := c.write(b)
		if err != nil {
			c.note(err)
			c.close()
		}
		c.mu.Lock()
		c.spare = keep(b)
		c.unwritten = 0
		c.room.Signal() // the reader may wait for room, or for the end of writing
	}
	c.writing = false
	c.settleLocked()
}

// writeBytesMax is the most that is given to the socket at once, so that the
// watchdog sees a slow client make progress.
const writeBytesMax = 256 << 10

func (c *conn) write(b []byte) error {
	c.moved.Add(1)
	for len(b) > 0 {
		n, err := c.nc.Write(b[:min(len(b), writeBytesMax)])
		if err != nil {
			return err
		}
		c.moved.Add(1)
		b = b[n:]
	}
	return nil
}

// spareMax is the largest buffer that a connection keeps between writes.
const spareMax = 2 * flushBytes

func keep(b []byte) []byte {
	if cap(b) > spareMax {
		return nil
	}
	return b[:0]
}

// writeLoop writes the answers of requests that had to wait.
func (c *conn) writeLoop() {
	for range c.wake {
		c.mu.Lock()
		if !c.writing {
			c.writeLocked()
		}
		c.mu.Unlock()
	}
}

// wakeWriterLocked makes the writer write what waits, if nobody will.
func (c *conn) wakeWriterLocked() {
	if c.writing || c.draining || c.closed {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// answer appends a whole answer that the reader made itself; it leaves with the
// reader's next flush.
func (c *conn) answer(v proto.Version, stream int16, op proto.Opcode, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendLocked(proto.Header{Version: v, Response: true, Stream: stream, Op: op}, body, nil)
	c.pressed = c.out.Len() >= flushBytes || c.fullLocked()
}

// appendLocked adds an answer to what has to be written. Answers exist already,
// so they are charged whether or not there is room: new requests pay for it.
func (c *conn) appendLocked(h proto.Header, body []byte, x *proto.Extras) {
	if c.closed {
		return
	}
	c.out.End(append(c.out.Begin(h), body...), x)
	if d := c.owedLocked() - c.charged; d > 0 {
		c.server.opts.Budget.Force(int64(d))
		c.charged += d
	}
}

func (c *conn) answerError(v proto.Version, stream int16, err *helenus.Error) {
	c.server.stats.Errors.Add(1)
	c.answer(v, stream, proto.OpError, proto.AppendError(nil, v, err))
}
