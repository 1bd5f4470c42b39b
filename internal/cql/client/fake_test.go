package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"

	"helenus"
	"helenus/internal/cql/proto"
	"helenus/internal/cql/types"
)

// fakeNode speaks enough of the protocol, over pipes, to test against. Texts
// are its commands: "rows N", "page N" (N rows, page by page), "error",
// "silent" (never answered), "later" (answered after the next request),
// "event N" (N events), "hangup"; anything else is a void.
type fakeNode struct {
	highest  proto.Version
	password string

	mu       sync.Mutex
	known    map[string]bool // prepared texts; the id is the text
	newID    []byte          // given with rows when the client's is another
	requests int
	writes   int // reads that brought something: how well requests were gathered
}

func newFakeNode() *fakeNode {
	return &fakeNode{highest: proto.V5, known: map[string]bool{}, newID: []byte("meta1")}
}

func (f *fakeNode) dial(context.Context, string) (net.Conn, error) {
	here, there := net.Pipe()
	go (&fakeConn{node: f, nc: there, w: proto.NewWriter()}).serve()
	return here, nil
}

type fakeConn struct {
	node    *fakeNode
	nc      net.Conn
	dec     proto.Decoder
	w       *proto.Writer
	req     proto.Request
	version proto.Version
	held    []func()
}

func (c *fakeConn) serve() {
	defer c.nc.Close()
	for {
		n, err := c.nc.Read(c.dec.Buffer())
		if err != nil {
			return
		}
		c.dec.Fill(n)
		c.node.mu.Lock()
		c.node.writes++
		c.node.mu.Unlock()
		if !c.answerAll() {
			return
		}
	}
}

func (c *fakeConn) answerAll() bool {
	for {
		e, ok, perr := c.dec.Next()
		if perr == nil && ok && e.Version > c.node.highest {
			perr = &proto.ProtocolError{Stream: e.Stream, Fatal: true, Err: helenus.Errorf(helenus.CodeProtocol, "unsupported")}
		}
		if perr != nil {
			h := proto.Header{Version: c.node.highest, Response: true, Stream: perr.Stream, Op: proto.OpError}
			c.w.Append(h, proto.AppendError(nil, h.Version, perr.Err))
			_, _ = c.nc.Write(c.w.Take(nil))
			return false
		}
		if !ok {
			out := c.w.Take(nil)
			if len(out) == 0 {
				return true
			}
			_, err := c.nc.Write(out)
			return err == nil
		}
		c.version = e.Version
		if err := c.req.Decode(e); err != nil {
			c.send(proto.OpError, func(b []byte) []byte { return proto.AppendError(b, c.version, err) })
			continue
		}
		c.node.mu.Lock()
		c.node.requests++
		alive := c.answer()
		c.node.mu.Unlock()
		if !alive {
			return false
		}
	}
}

func (c *fakeConn) send(op proto.Opcode, build func([]byte) []byte) {
	c.sendOn(c.req.Stream, op, build)
}

func (c *fakeConn) sendOn(stream int16, op proto.Opcode, build func([]byte) []byte) {
	h := proto.Header{Version: c.version, Response: true, Stream: stream, Op: op}
	c.w.End(build(c.w.Begin(h)), &proto.Extras{Warnings: []string{"w"}})
}

func nothing(b []byte) []byte { return b }

func (c *fakeConn) answer() bool {
	switch c.req.Op {
	case proto.OpStartup:
		s, err := c.req.Startup()
		if err != nil {
			c.send(proto.OpError, func(b []byte) []byte { return proto.AppendError(b, c.version, err) })
			return true
		}
		if c.node.password == "" {
			c.send(proto.OpReady, nothing)
		} else {
			c.send(proto.OpAuthenticate, func(b []byte) []byte { return proto.AppendAuthenticate(b, "Fake") })
		}
		c.dec.SetFraming(s.Framing(c.version))
		c.w.SetFraming(s.Framing(c.version))
		c.dec.SetCompression(s.Compression)
		c.w.SetCompression(s.Compression)
	case proto.OpAuthResponse:
		if !bytes.HasSuffix(c.req.Token, []byte("\x00"+c.node.password)) {
			bad := helenus.Errorf(helenus.CodeBadCredentials, "wrong")
			c.send(proto.OpError, func(b []byte) []byte { return proto.AppendError(b, c.version, bad) })
			return true
		}
		c.send(proto.OpAuthSuccess, func(b []byte) []byte { return proto.AppendToken(b, nil) })
	case proto.OpPrepare:
		c.node.known[string(c.req.Text)] = true
		c.send(proto.OpResult, func(b []byte) []byte {
			return proto.AppendPrepared(b, c.version, &proto.Prepared{ID: c.req.Text, ResultID: c.node.newID,
				Params: c.columns(1), KeyIndexes: []int{0}, Result: c.columns(2)})
		})
	case proto.OpExecute:
		if !c.node.known[string(c.req.ID)] {
			unknown := &helenus.Error{Code: helenus.CodeUnprepared, Message: "unknown", ID: c.req.ID}
			c.send(proto.OpError, func(b []byte) []byte { return proto.AppendError(b, c.version, unknown) })
			return true
		}
		return c.command(string(c.req.ID))
	case proto.OpQuery:
		return c.command(string(c.req.Text))
	default:
		c.send(proto.OpResult, proto.AppendVoid)
	}
	return true
}

func (c *fakeConn) columns(n int) *proto.Columns {
	cols := make([]proto.Column, n)
	for i := range cols {
		cols[i] = proto.Column{Keyspace: "ks", Table: "t", Name: "c" + strconv.Itoa(i), Type: types.Native(types.Text)}
	}
	return proto.EncodeColumns(c.version, cols)
}

func (c *fakeConn) command(text string) bool {
	verb, arg, _ := bytes.Cut([]byte(text), []byte(" "))
	n, _ := strconv.Atoi(string(arg))
	held := c.held
	c.held = nil
	switch string(verb) {
	case "rows":
		c.rows(0, n, nil)
	case "page":
		from, _ := strconv.Atoi(string(c.req.Params.PagingState))
		to := min(n, from+int(c.req.Params.PageSize))
		var state []byte
		if to < n {
			state = []byte(strconv.Itoa(to))
		}
		c.rows(from, to, state)
	case "error":
		e := helenus.Unavailable(helenus.Quorum, 2, 1)
		c.send(proto.OpError, func(b []byte) []byte { return proto.AppendError(b, c.version, e) })
	case "silent":
	case "later":
		stream := c.req.Stream
		c.held = append(held, func() { c.sendOn(stream, proto.OpResult, proto.AppendVoid) })
		return true
	case "event":
		for range n {
			c.sendOn(proto.EventStream, proto.OpEvent, func(b []byte) []byte {
				return proto.AppendEvent(b, c.version, &proto.Event{Type: proto.EventSchema,
					Schema: proto.SchemaChange{Change: "CREATED", Target: "KEYSPACE", Keyspace: "ks"}})
			})
		}
		c.send(proto.OpResult, proto.AppendVoid)
	case "hangup":
		return false
	default:
		c.send(proto.OpResult, proto.AppendVoid)
	}
	for _, answer := range held {
		answer()
	}
	return true
}

func (c *fakeConn) rows(from, to int, state []byte) {
	c.send(proto.OpResult, func(b []byte) []byte {
		var w proto.RowsWriter
		head := proto.RowsHead{Columns: c.columns(2), Skip: c.req.Params.Has(proto.ParamSkipMetadata)}
		if head.Skip && !bytes.Equal(c.req.ResultID, c.node.newID) {
			head.NewID = c.node.newID
		}
		w.Begin(b, head)
		for i := from; i < to; i++ {
			w.Cell([]byte(strconv.Itoa(i)))
			w.Cell(nil)
			w.EndRow()
		}
		return w.End(state)
	})
}

func code(t *testing.T, err error) helenus.ErrorCode {
	t.Helper()
	var e *helenus.Error
	if !errors.As(err, &e) {
		t.Fatalf("not from the node: %v", err)
	}
	return e.Code
}
