package server

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/budget"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// script is a client that sends given bytes in given pieces, reads everything
// and hangs up.
type script struct {
	left  []byte
	piece int
	atEnd func()
	mu    sync.Mutex
	got   []byte
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.left[:min(s.piece, len(s.left))])
	s.left = s.left[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, b...)
	return len(b), nil
}

// Close is the reader's when it gives up, at the end or before.
func (s *script) Close() error                     { s.atEnd(); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// moody completes some requests at once, some from another goroutine, and some
// only when the next one comes or the client goes.
type moody struct {
	mu     sync.Mutex
	parked *query.Request
}

func (m *moody) Execute(r *query.Request) {
	r.Result = query.Result{}
	mood := len(r.Text) + len(r.ID) + len(r.Batch) + len(r.Params.Values)
	switch mood % 5 {
	case 0:
		r.Owner.RequestDone(r)
	case 1:
		go r.Owner.RequestDone(r)
	case 2:
		r.Result.Warnings = []string{"w"}
		writeRows(r, "a", string(make([]byte, 10_000)))
		r.Owner.RequestDone(r)
	case 3:
		r.Result.Kind, r.Result.Err = query.ResultError, helenus.Invalid("mood")
		go r.Owner.RequestDone(r)
	case 4:
		m.swap(r)
	}
}

func (m *moody) swap(r *query.Request) {
	m.mu.Lock()
	before := m.parked
	m.parked = r
	m.mu.Unlock()
	if before != nil {
		before.Owner.RequestDone(before)
	}
}

// conversation is a well-formed one with everything in it.
func conversation(v proto.Version, comp proto.Compression) []byte {
	name := map[proto.Compression]string{proto.CompressLZ4: "lz4", proto.CompressSnappy: "snappy"}[comp]
	start := startupWith(proto.Option{Key: "CQL_VERSION", Value: "3.0.0"}, proto.Option{Key: "COMPRESSION", Value: name})
	head := func(op proto.Opcode) proto.Header { return proto.Header{Op: op} }
	one := proto.Params{Consistency: helenus.One}
	traced := queryOf("traced")
	traced.Flags = proto.FlagTracing
	named := queryOf("named")
	named.Params.Values, named.Params.Names = []proto.Value{client.Text("v"), client.Unset()}, [][]byte{[]byte("a"), []byte("b")}
	named.Payload = named.Payload.AppendEntry("k", []byte("v"))
	w := proto.NewWriter()
	put := func(stream int16, req *proto.Request) {
		w.End(req.AppendBody(w.Begin(req.HeaderFor(v, stream)), v), nil)
	}
	put(1, &proto.Request{Header: head(proto.OpOptions)})
	put(2, start)
	b := w.Take(nil)
	s := proto.Startup{Compression: comp}
	w.SetFraming(s.Framing(v))
	w.SetCompression(comp)
	for i, req := range []*proto.Request{
		{Header: head(proto.OpRegister), Events: []string{"SCHEMA_CHANGE"}}, queryOf("q"), traced, named,
		{Header: head(proto.OpPrepare), Text: []byte("p"), Keyspace: []byte("ks")},
		{Header: head(proto.OpExecute), ID: []byte("id"), ResultID: []byte("rid"), Params: proto.Params{Consistency: helenus.One,
			Values: []proto.Value{client.Bytes(make([]byte, 3000))}, PageSize: 5, PagingState: []byte("s")}},
		{Header: head(proto.OpBatch), Params: one, Batch: []proto.BatchItem{{Text: []byte("t")}, {ID: []byte("i"), Values: []proto.Value{client.Text("x")}}}},
		{Header: head(proto.OpAuthResponse), Token: []byte("t")}, {Header: head(proto.OpOptions)}, start,
	} {
		put(int16(i+3), req)
	}
	return slices.Concat(b, w.Take(nil))
}

// FuzzConn feeds a connection any bytes: it must neither fall over nor hang nor
// keep anything, and whatever it says must be well formed.
func FuzzConn(f *testing.F) {
	for i, d := range dialects {
		all := conversation(d.version, d.compression)
		f.Add(all, uint16(1<<15))
		f.Add(all, uint16(1+7*i))
		f.Add(slices.Concat(all, all), uint16(100))
		f.Add(all[:len(all)-3], uint16(1<<15))
	}
	f.Add(frame(66, 5, 1), uint16(3))
	f.Add(bytes.Repeat(frame(4, 5, 1), 100), uint16(50))
	f.Add(slices.Concat(message(proto.V4, 1, plainStartup), queries(50, "0123")), uint16(1000))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		const limit = 2 << 20
		b, engine := budget.New("fuzz", limit), &moody{}
		s := New(Options{Engine: engine, State: newFakeState(), Tracer: &fakeTracer{}, Log: slog.New(slog.DiscardHandler),
			Budget: b, FrameBytesMax: 64 << 10, InFlightBytes: 128 << 10})
		nc := &script{left: data, piece: int(piece) + 1, atEnd: func() { engine.swap(nil) }}
		c := newConn(s, nc)
		var loops sync.WaitGroup
		loops.Go(c.writeLoop)
		loops.Go(func() { c.readLoop(t.Context()) })
		loops.Wait()
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes stay charged", n)
		}
		if n := c.decoder.HeldBytes(); n > 1<<20 {
			t.Errorf("the decoder holds %d bytes", n)
		}
		wellFormed(t, c, nc.got)
	})
}

// wellFormed reads back what was said, switching as a client does.
func wellFormed(t *testing.T, c *conn, b []byte) {
	dec := proto.Decoder{Responses: true}
	started := false
	for {
		n := copy(dec.Buffer(), b)
		dec.Fill(n)
		b = b[n:]
		for {
			e, ok, perr := dec.Next()
			if perr != nil {
				t.Fatalf("an answer that cannot be read: %v", perr)
			}
			if !ok {
				break
			}
			var r proto.Response
			if err := r.Decode(e); err != nil {
				t.Fatalf("%s: %v", e.Op, err)
			}
			if e.Op == proto.OpReady && !started {
				started = true
				s := c.driver.Load()
				dec.SetFraming(s.Framing(e.Version))
				dec.SetCompression(s.Compression)
			}
		}
		if len(b) == 0 {
			return
		}
	}
}
