package server

import (
	"fmt"
	"strconv"
	"strings"

	"helenus"
	"helenus/internal/cql/proto"
)

// control handles the messages about the connection itself.
func (c *conn) control(e proto.Envelope) {
	q := &c.request
	switch e.Op {
	case proto.OpOptions:
		c.answer(e.Version, e.Stream, proto.OpSupported, proto.AppendSupported(nil, []proto.Support{
			{Key: "PROTOCOL_VERSIONS", Values: proto.SupportedVersions()},
			{Key: "COMPRESSION", Values: proto.SupportedCompressions()},
			{Key: "CQL_VERSION", Values: []string{helenus.CQLVersion}},
		}))
	case proto.OpStartup:
		c.startup(e, q)
	case proto.OpRegister:
		c.register(e, q)
	case proto.OpAuthResponse:
		c.answerError(e.Version, e.Stream, helenus.Errorf(helenus.CodeProtocol,
			"Unexpected message AUTH_RESPONSE, this node asks for no authentication"))
	}
}

// startup agrees on compression and framing. The answer still goes out the old
// way, everything after it the new way.
func (c *conn) startup(e proto.Envelope, q *proto.Request) {
	if c.ready {
		c.answerError(e.Version, e.Stream, helenus.Errorf(helenus.CodeProtocol,
			"Unexpected message STARTUP, the connection is already initialized"))
		return
	}
	s, err := q.Startup()
	if err != nil {
		c.answerError(e.Version, e.Stream, err)
		return
	}
	c.driver.Store(&s)
	c.answer(e.Version, e.Stream, proto.OpReady, nil)
	c.mu.Lock()
	c.out.SetFraming(s.Framing(e.Version))
	c.out.SetCompression(s.Compression)
	c.mu.Unlock()
	c.decoder.SetFraming(s.Framing(e.Version))
	c.decoder.SetCompression(s.Compression)
	c.ready = true
}

func (c *conn) register(e proto.Envelope, q *proto.Request) {
	var bits eventBits
	for _, name := range q.Events {
		bit, ok := eventBitOf(proto.EventType(strings.ToUpper(name)))
		if !ok {
			c.answerError(e.Version, e.Stream, helenus.Errorf(helenus.CodeProtocol, "Invalid value '%s' for Type", name))
			return
		}
		bits |= bit
	}
	c.answer(e.Version, e.Stream, proto.OpReady, nil)
	c.events.Or(uint32(bits)) // after the answer, so that no event overtakes it
}

// trace begins a tracing session for the request, whose end is the answer.
func (k *call) trace() {
	if k.conn.server.opts.Tracer == nil {
		return
	}
	d := &k.decoded
	request := "Execute CQL3 query"
	parameters := map[string]string{"consistency_level": d.Params.Consistency.String(), "serial_consistency_level": d.Params.Serial.String()}
	switch {
	case d.Text != nil:
		parameters["query"] = string(d.Text)
	case d.Batch != nil:
		request = "Execute batch of CQL3 queries"
	default:
		request = "Execute CQL3 prepared query"
		parameters["query"] = fmt.Sprintf("prepared statement %x", d.ID)
	}
	if d.Params.PageSize > 0 {
		parameters["page_size"] = strconv.Itoa(int(d.Params.PageSize))
	}
	t, end := k.conn.server.opts.Tracer.Begin(k.conn.session.Client.Addr(), d.Op.String(), request, parameters)
	k.request.Trace, k.traced = t, end
	k.extras.Tracing, k.extras.HasTracing = t.ID, true
}
