package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"helenus"
	"helenus/agent/coord"
	"helenus/agent/query"
	"helenus/internal/budget"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// memListener is a network of pipes without buffers: a write returns when the
// other side has read it all.
type memListener struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
	failed atomic.Pointer[error] // what Accept answers next
}

func newMemListener() *memListener {
	return &memListener{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	if err := l.failed.Swap(nil); err != nil {
		return nil, *err
	}
	select {
	case c := <-l.dialed:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return &net.TCPAddr{} }

// memConn is the server's end of a pipe.
type memConn struct {
	net.Conn
	from   netip.AddrPort
	writes atomic.Int64
	read   atomic.Int64 // bytes
}

func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

func (c *memConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func (c *memConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// fakeEngine obeys the words of a statement's text, or of a prepared one's id:
//
//	void, error, fail, use K, change, prepare, warn
//	rows N S      N rows of S bytes
//	page S        a row and a paging state
//	park          void once told to
//	async         void from another goroutine, perhaps before Execute returns
//	echo          the values, one row; then their names if there are any
//	batch         the statements of a batch, a row each
//	skip          a row; its columns skipped if the client wants that
//	keyspace      the session's keyspace, a row
type fakeEngine struct {
	mu       sync.Mutex
	parked   []*query.Request
	executed int
	always   string // obeyed in place of the text
}

var textColumn = &query.ResultMetadata{ID: [16]byte{1}, Columns: []query.ColumnSpec{
	{Keyspace: "ks", Table: "t", Name: "c", Type: types.Native(types.Text)}}}

func (e *fakeEngine) Execute(r *query.Request) {
	e.mu.Lock()
	e.executed++
	e.mu.Unlock()
	r.Result = query.Result{}
	r.Trace.Event("executing")
	text := e.always
	switch {
	case text != "":
	case r.Verb == query.VerbPrepare:
		text = "prepare"
	case r.Verb == query.VerbBatch:
		text = "batch"
	case r.Verb == query.VerbExecute:
		text = string(r.ID)
	default:
		text = r.Text
	}
	verb, rest, _ := strings.Cut(text, " ")
	e.obey(r, verb, rest)
}

func (e *fakeEngine) obey(r *query.Request, verb, rest string) {
	res := &r.Result
	switch verb {
	case "void":
	case "park":
		e.mu.Lock()
		e.parked = append(e.parked, r)
		e.mu.Unlock()
		return
	case "async":
		go r.Owner.RequestDone(r)
		return
	case "error":
		res.Kind, res.Err = query.ResultError, helenus.Invalid("as you wish")
	case "warn":
		res.Warnings = []string{"one", "two"}
	case "use":
		res.Kind, res.Keyspace = query.ResultSetKeyspace, rest
		r.Session.Keyspace = rest
	case "keyspace":
		writeRows(r, r.Session.Keyspace)
	case "change":
		res.Kind = query.ResultSchemaChange
		res.Change = query.SchemaChange{Change: "CREATED", Target: "TABLE", Keyspace: "ks", Name: "t"}
	case "prepare":
		res.Kind = query.ResultPrepared
		res.Prepared = &query.Prepared{ID: [16]byte{7}, Params: textColumn.Columns, KeyIndexes: []int{0}, Result: textColumn}
	default:
		e.rows(r, verb, rest)
	}
	r.Owner.RequestDone(r)
}

func (e *fakeEngine) rows(r *query.Request, verb, rest string) {
	switch verb {
	case "rows":
		var n, size int
		_, _ = fmt.Sscan(rest, &n, &size) // the test's own text
		writeRows(r, make([]string, n)...)
		if size > 0 {
			r.Out.Begin(textColumn, false, false) // a read that starts over
			cell := make([]byte, size)
			for range n {
				r.Out.Cell(cell)
				r.Out.EndRow()
			}
			r.Out.End(nil)
		}
	case "page":
		r.Result.Kind = query.ResultRows
		r.Out.Begin(textColumn, false, false)
		r.Out.Cell(r.Params.PagingState)
		r.Out.EndRow()
		r.Out.End([]byte("next"))
	case "skip":
		r.Result.Kind = query.ResultRows
		r.Out.Begin(textColumn, r.Params.SkipMetadata, string(r.ResultMetadataID) == "stale")
		r.Out.Cell([]byte("x"))
		r.Out.EndRow()
		r.Out.End(nil)
	case "echo":
		var cells []string
		for _, v := range r.Params.Values {
			cells = append(cells, valueText(v))
		}
		writeRows(r, append(cells, r.Params.Names...)...)
	case "batch":
		var cells []string
		for _, item := range r.Batch {
			s := item.Text + "/" + string(item.ID)
			for _, v := range item.Values {
				s += "," + valueText(v)
			}
			cells = append(cells, s)
		}
		writeRows(r, cells...)
	default:
		r.Result.Kind, r.Result.Err = query.ResultError, helenus.Errorf(helenus.CodeSyntax, "line 1:0 %s", verb)
	}
}

func valueText(v query.Value) string {
	switch {
	case v.Unset:
		return "unset"
	case v.Bytes == nil:
		return "null"
	}
	return string(v.Bytes)
}

func writeRows(r *query.Request, cells ...string) {
	r.Result.Kind = query.ResultRows
	r.Out.Begin(textColumn, false, false)
	for _, c := range cells {
		r.Out.Cell([]byte(c))
		r.Out.EndRow()
	}
	r.Out.End(nil)
}

// takeParked waits for n parked requests, which only a bubble can.
func (e *fakeEngine) takeParked(t *testing.T, n int) []*query.Request {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.parked) != n {
		t.Fatalf("%d requests are parked, want %d", len(e.parked), n)
	}
	out := e.parked
	e.parked = nil
	return out
}

func (e *fakeEngine) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.executed
}

// fakeState publishes states as agent/cluster does.
type fakeState struct {
	mu      sync.Mutex
	now     *meta.State
	changed chan struct{}
}

func newFakeState() *fakeState {
	return &fakeState{now: meta.New(nil), changed: make(chan struct{})}
}

func (s *fakeState) State() *meta.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *fakeState) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *fakeState) publish(now *meta.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	close(s.changed)
	s.changed = make(chan struct{})
}

type fakeTracer struct {
	mu   sync.Mutex
	said []string
}

func (f *fakeTracer) note(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, s)
}

func (f *fakeTracer) Begin(_ netip.Addr, command, request string, parameters map[string]string) (*query.Trace, func()) {
	f.note(command + ": " + request + ": " + parameters["query"])
	return coord.NewTrace([16]byte{9}, f.note), func() { f.note("end") }
}

// harness is a Server over pipes inside a bubble.
type harness struct {
	*testing.T
	server *Server
	ln     *memListener
	engine *fakeEngine
	state  *fakeState
	tracer *fakeTracer
	budget *budget.Budget
	conns  []*memConn // in order of dialling
	ended  chan error
	cancel context.CancelFunc
}

// inBubble runs f against a Server, stops it and checks that nothing is left:
// no goroutine, no charged byte, no request.
func inBubble(t *testing.T, change func(*Options), f func(h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{T: t, ln: newMemListener(), engine: &fakeEngine{}, state: newFakeState(), tracer: &fakeTracer{},
			budget: budget.New("native", 64<<20), ended: make(chan error, 1)}
		opts := Options{Engine: h.engine, State: h.state, Tracer: h.tracer, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Budget: h.budget, FrameBytesMax: 1 << 20, InFlightBytes: 32 << 20}
		if change != nil {
			change(&opts)
		}
		h.server = New(opts)
		ctx, cancel := context.WithCancel(t.Context())
		h.cancel = cancel
		go func() { h.ended <- h.server.Run(ctx, h.ln) }()
		f(h)
		h.stop()
	})
}

func (h *harness) stop() {
	h.Helper()
	h.cancel()
	if err := <-h.ended; err != nil {
		h.Errorf("Run: %v", err)
	}
	if n := h.budget.Used(); n != 0 {
		h.Errorf("%d bytes stay charged", n)
	}
	if n := h.server.stats.InFlight.Load(); n != 0 {
		h.Errorf("%d requests stay in flight", n)
	}
	if n := h.server.stats.Connections.Load(); n != 0 || len(h.server.conns) != 0 || len(h.server.hosts) != 0 {
		h.Errorf("%d connections stay", n)
	}
}

// wantQuiet checks that open connections without requests cost nothing.
func (h *harness) wantQuiet() {
	h.Helper()
	synctest.Wait()
	for _, c := range h.server.all() {
		c.mu.Lock()
		if n := c.owedLocked(); n != 0 || c.bodies != 0 || c.inFlight != 0 || c.charged != 0 {
			h.Errorf("%v owes %d (bodies %d, charged %d) with %d in flight", c.session.Client, n, c.bodies, c.charged, c.inFlight)
		}
		c.mu.Unlock()
	}
	if n := h.budget.Used(); n != 0 {
		h.Errorf("%d bytes charged though nothing is under way", n)
	}
}

// dialFrom is a pipe to the server from a made-up address.
func (h *harness) dialFrom(host string) net.Conn {
	here, there := net.Pipe()
	from := netip.AddrPortFrom(netip.MustParseAddr(host), uint16(len(h.conns)+1))
	c := &memConn{Conn: there, from: from}
	h.conns = append(h.conns, c)
	h.ln.dialed <- c
	return here
}

func (h *harness) dial(context.Context, string) (net.Conn, error) { return h.dialFrom("10.0.0.1"), nil }

// connect gives the real client.
func (h *harness) connect(v proto.Version, c proto.Compression) *client.Conn {
	h.Helper()
	conn, err := client.Connect(h.Context(), "mem", client.Config{Dial: h.dial, Version: v, Compression: c, DriverName: "test", InFlightMax: 1 << 15})
	if err != nil {
		h.Fatal(err)
	}
	return conn
}

// texts runs a statement and gives the first column of its rows.
func (h *harness) texts(c *client.Conn, req *proto.Request) []string {
	h.Helper()
	res, err := c.Do(h.Context(), req)
	if err != nil {
		h.Fatal(err)
	}
	rows, err := res.All()
	if err != nil {
		h.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, string(r[0]))
	}
	return out
}

// wantError checks the kind and the words of a client's error.
func wantError(t *testing.T, err error, code helenus.ErrorCode, words string) {
	t.Helper()
	var e *helenus.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, words) {
		t.Errorf("error %v, want code %04x and %q", err, code, words)
	}
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func unlimited() *budget.Budget { return budget.New("unlimited", budget.Unlimited) }
