package wire

import (
	"fmt"
	"time"

	"helenus"
	"helenus/internal/assert"
)

// Request is a question at its handler, which ends it by exactly one of Reply,
// Fail and Drop and does not touch it afterwards.
type Request struct {
	Message Message // valid until the request is ended
	From    helenus.HostID

	w        *Wire
	verb     *verb
	open     bool
	deadline time.Duration

	call *Call // of this node itself

	// Of another node.
	conn *inbound
	id   uint64
	cost int // bytes charged for it
	body []byte
	enc  encoder
}

// requestBytes is what a request costs whatever its body: its own size and an
// allowance for what its handler hangs on it.
const requestBytes = 1 << 10

// Deadline is when the caller gives up.
func (r *Request) Deadline() time.Time { return r.w.began.Add(r.deadline) }

// Expired tells whether the caller has given up, so that no work is worth it.
func (r *Request) Expired() bool { return r.w.now() >= r.deadline }

// Reply answers. m may be used again when Reply returns.
func (r *Request) Reply(m Message) {
	r.finish()
	if c := r.call; c != nil {
		r.release()
		c.Response, c.Err = m, nil
		c.Owner.Answered(c)
		return
	}
	if r.wanted() {
		o := &r.w.opts
		r.enc.encode(m, r.conn.lz4, o.CompressBytes)
		if n := len(r.enc.body); n > o.FrameBytesMax {
			r.encodeFailure(helenus.CodeServer, fmt.Sprintf("the answer has %d bytes; the limit is %d", n, o.FrameBytesMax))
		} else {
			r.send(kindResponse, 0)
			return
		}
	}
	r.conn.leave(r)
}

// Fail answers with an error: its code and message if it is an *helenus.Error.
func (r *Request) Fail(err error) {
	code, reason := failureOf(err)
	r.finish()
	if c := r.call; c != nil {
		r.verb.stats.failed.Add(1)
		to := r.w.opts.Self
		r.release()
		c.end(failed(to, code, reason))
		return
	}
	if r.wanted() {
		r.encodeFailure(code, reason)
		return
	}
	r.conn.leave(r)
}

// Drop ends a request that expired before its work was done. Its caller, which
// may be this node, gets a time-out.
func (r *Request) Drop() {
	r.finish()
	r.verb.stats.expired.Add(1)
	if c := r.call; c != nil {
		r.verb.stats.timedOut.Add(1)
		e := &Error{Kind: Timeout, To: r.w.opts.Self, Reason: "no answer to " + r.verb.Name + " in time"}
		r.release()
		c.end(e)
		return
	}
	r.conn.leave(r)
}

func (r *Request) finish() {
	assert.That(r.open, "wire: a request was ended twice")
	r.open = false
}

// wanted tells whether anybody waits for the answer.
func (r *Request) wanted() bool {
	if r.w.now() >= r.deadline || r.conn.isClosed() {
		r.verb.stats.unanswered.Add(1)
		return false
	}
	return true
}

func (r *Request) encodeFailure(code helenus.ErrorCode, reason string) {
	r.enc.encodeText(reason)
	r.send(kindFailure, uint32(code))
}

func (e *encoder) encodeText(s string) {
	e.body = append(e.body[:0], s...)
	e.payload, e.flags = e.body, 0
	e.sum = checksum(e.payload)
}

func (r *Request) send(k kind, arg uint32) {
	h := r.enc.header(k, r.verb.ID, r.id, arg)
	r.conn.answer(r, h)
}

// release gives the request back to the pool.
func (r *Request) release() {
	w, v := r.w, r.verb
	if r.call == nil && v.NewRequest != nil {
		recycle(&v.requests, r.Message)
	}
	if cap(r.body) > keepBytes {
		r.body = nil
	}
	r.enc.shrink()
	r.Message, r.verb, r.call, r.conn = nil, nil, nil, nil
	w.requests.Put(r)
}
