package server

import (
	"time"

	"helenus"
	"helenus/internal/cql/proto"
)

// writeTimeout is how long a client may leave its answers unread.
const writeTimeout = 30 * time.Second

// flush ends the reader's round: what was answered inline leaves in one write,
// unless somebody else is at it.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = false
	if !c.writing {
		c.writeLocked()
	}
}

// writeLocked writes until nothing waits. It lets go of the lock while the
// socket takes the bytes; what is answered meanwhile leaves with the next write.
func (c *conn) writeLocked() {
	c.writing = true
	for !c.closed && c.out.Len() > 0 {
		// Owed counts bytes before compression, as appendLocked does.
		taken := c.out.Len()
		b := c.out.Take(c.spare)
		c.mu.Unlock()
		err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = c.nc.Write(b)
		}
		c.mu.Lock()
		c.spare = keep(b)
		c.owed -= taken
		c.room.Signal()
		if err != nil {
			c.mu.Unlock()
			c.note(err)
			c.close()
			c.mu.Lock()
		}
	}
	c.writing = false
}

// spareMax is the largest buffer that a connection keeps between writes.
const spareMax = 256 << 10

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
	default:
	}
}

// answer appends a whole answer that the reader made itself; it leaves with the
// reader's next flush.
func (c *conn) answer(v proto.Version, stream int16, op proto.Opcode, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendLocked(proto.Header{Version: v, Response: true, Stream: stream, Op: op}, body, nil)
}

func (c *conn) appendLocked(h proto.Header, body []byte, x *proto.Extras) {
	before := c.out.Len()
	c.out.End(append(c.out.Begin(h), body...), x)
	c.owed += c.out.Len() - before
}

func (c *conn) answerError(v proto.Version, stream int16, err *helenus.Error) {
	c.server.stats.Errors.Add(1)
	c.answer(v, stream, proto.OpError, proto.AppendError(nil, v, err))
}
