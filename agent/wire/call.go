package wire

import (
	"time"

	"helenus"
	"helenus/internal/assert"
)

// Owner is told of the end of a call, on any goroutine; it must not wait.
type Owner interface {
	Answered(c *Call)
}

// Call is a question. The caller fills the first four fields, leaves it alone
// until Answered, and may use it again from within Answered.
type Call struct {
	Verb    VerbID
	Request Message
	Timeout time.Duration // zero: the verb's
	Owner   Owner

	// Response is valid until Answered returns. Exactly one of it and Err says
	// how the call ended; a verb without a response has neither.
	Response Message
	Err      error // an *Error
}

func (c *Call) end(err error) {
	c.Response, c.Err = nil, err
	c.Owner.Answered(c)
}

// Call asks a node and returns at once; c.Owner is told exactly once, perhaps
// before it returns.
//
// At this node the handler gets the very request, runs on the caller's
// goroutine and ends the call alone: it knows the deadline, and wire does not
// take a message away from it. At another, the request has been encoded when
// Call returns.
func (w *Wire) Call(to Target, c *Call) {
	v := w.verb(c.Verb)
	if v == nil || c.Owner == nil {
		assert.That(false, "wire: call of verb %d with owner %v", c.Verb, c.Owner)
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = v.Timeout
	}
	v.stats.called.Add(1)
	if to.ID == w.opts.Self.ID || to.ID == (helenus.HostID{}) && to.Addr == w.opts.Self.Addr {
		w.callSelf(v, c, timeout)
		return
	}
	for {
		p := w.peer(to)
		if p == nil {
			v.stats.overloaded.Add(1)
			c.end(failed(to, helenus.CodeOverloaded, "too many other nodes are being talked to"))
			return
		}
		if p.links[v.Lane].call(v, c, timeout) {
			return
		}
	}
}

func (w *Wire) callSelf(v *verb, c *Call, timeout time.Duration) {
	v.stats.local.Add(1)
	if v.Handle == nil {
		v.stats.failed.Add(1)
		c.end(failed(w.opts.Self, helenus.CodeProtocol, "this node does not answer "+v.Name))
		return
	}
	r := w.requests.Get().(*Request)
	r.open, r.verb, r.call, r.deadline = true, v, c, w.now()+timeout
	r.Message, r.From = c.Request, w.opts.Self.ID
	v.stats.handled.Add(1)
	v.Handle(r)
}
