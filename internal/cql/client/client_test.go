package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/cql/proto"
)

// with runs a test against a fake node inside a bubble, where a deadlock is a
// failure and time costs nothing.
func with(t *testing.T, f *fakeNode, cfg Config, test func(t *testing.T, c *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Dial = f.dial
		c, err := Connect(t.Context(), "fake", cfg)
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNegotiation(t *testing.T) {
	for _, s := range []struct {
		highest proto.Version
		cfg     Config
		want    proto.Version
	}{
		{proto.V5, Config{}, proto.V5},
		{proto.V4, Config{}, proto.V4},
		{proto.V5, Config{Version: proto.V4}, proto.V4},
		{proto.V5, Config{Compression: proto.CompressLZ4}, proto.V5},
		{proto.V4, Config{Compression: proto.CompressLZ4}, proto.V4},
		{proto.V5, Config{Version: proto.V4, Compression: proto.CompressSnappy}, proto.V4},
	} {
		f := newFakeNode()
		f.highest = s.highest
		with(t, f, s.cfg, func(t *testing.T, c *Conn) {
			if c.Version() != s.want {
				t.Errorf("%+v: %s", s, c.Version())
			}
			res, err := c.Query(t.Context(), "rows 20000") // several segments
			if err != nil || res.Rows.Count != 20000 || len(res.Warnings) != 1 {
				t.Fatalf("%+v: %v", s, err)
			}
			rows, err := res.All()
			if err != nil || string(rows[19999][0]) != "19999" || rows[7][1] != nil || res.Rows.Columns[1].Name != "c1" {
				t.Errorf("%+v: %v", s, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNode()
		f.highest = proto.V4
		_, err := Connect(t.Context(), "fake", Config{Dial: f.dial, Version: proto.V5})
		if code(t, err) != helenus.CodeProtocol {
			t.Error(err)
		}
	})
}

func TestPassword(t *testing.T) {
	f := newFakeNode()
	f.password = "secret"
	with(t, f, Config{Username: "joe", Password: "secret"}, func(t *testing.T, c *Conn) {
		if _, err := c.Query(t.Context(), "x"); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		for _, cfg := range []Config{{}, {Username: "joe", Password: "guess"}} {
			cfg.Dial = f.dial
			if _, err := Connect(t.Context(), "fake", cfg); code(t, err) != helenus.CodeBadCredentials {
				t.Error(err)
			}
		}
	})
}

func TestPrepared(t *testing.T) {
	f := newFakeNode()
	with(t, f, Config{}, func(t *testing.T, c *Conn) {
		p, err := c.Prepare(t.Context(), "rows 3", "")
		if err != nil || len(p.Params) != 1 || len(p.KeyIndexes) != 1 || len(p.Columns()) != 2 {
			t.Fatal(p, err)
		}
		run := func(what string) {
			t.Helper()
			res, err := c.Execute(t.Context(), p, Text("v"))
			if err != nil || res.Rows.Count != 3 || len(res.Rows.Columns) != 2 {
				t.Fatalf("%s: %v", what, err)
			}
		}
		run("as prepared")
		f.mu.Lock()
		f.newID = []byte("meta2")
		f.mu.Unlock()
		run("changed columns")
		if got := string(c.ExecuteRequest(p).ResultID); got != "meta2" {
			t.Errorf("the new id is %q", got)
		}
		f.mu.Lock()
		clear(f.known)
		before := f.requests
		f.mu.Unlock()
		run("forgotten")
		if n := f.requests - before; n != 3 {
			t.Errorf("%d requests for EXECUTE, PREPARE, EXECUTE", n)
		}
	})
}

func TestRows(t *testing.T) {
	with(t, newFakeNode(), Config{}, func(t *testing.T, c *Conn) {
		req := c.QueryRequest("page 1001")
		req.Params.PageSize = 100
		n := 0
		for cells, err := range c.Rows(t.Context(), req) {
			if err != nil || string(cells[0]) != fmt.Sprint(n) {
				t.Fatalf("row %d is %q, %v", n, cells[0], err)
			}
			n++
		}
		if n != 1001 || req.Params.PagingState != nil {
			t.Errorf("%d rows, state %q", n, req.Params.PagingState)
		}
		for cells, err := range c.Rows(t.Context(), c.QueryRequest("error")) {
			if cells != nil || code(t, err) != helenus.CodeUnavailable {
				t.Error(cells, err)
			}
		}
	})
}

func TestErrorsAreTyped(t *testing.T) {
	with(t, newFakeNode(), Config{}, func(t *testing.T, c *Conn) {
		_, err := c.Query(t.Context(), "error")
		var e *helenus.Error
		if !errors.As(err, &e) || e.Required != 2 || e.Alive != 1 || e.Consistency != helenus.Quorum {
			t.Errorf("%+v", err)
		}
		if _, err := c.Query(t.Context(), "x"); err != nil {
			t.Errorf("the connection did not survive an ERROR: %v", err)
		}
	})
}

// TestDeadline: a caller that goes away frees its stream only when the answer
// has come, and nobody else gets that answer.
func TestDeadline(t *testing.T) {
	with(t, newFakeNode(), Config{InFlightMax: 2}, func(t *testing.T, c *Conn) {
		for _, text := range []string{"later", "silent"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := c.Query(ctx, text); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", text, err)
			}
			cancel()
		}
		// "silent" made the node answer "later": one stream is free again.
		if res, err := c.Query(t.Context(), "rows 1"); err != nil || res.Rows.Count != 1 {
			t.Errorf("%+v %v", res, err)
		}
		done := make(chan error, 1)
		go func() { _, err := c.Query(t.Context(), "silent"); done <- err }()
		synctest.Wait()
		if err := c.Go(&Call{Request: c.QueryRequest("x"), Done: func(*Call) {}}); !errors.Is(err, ErrBusy) {
			t.Errorf("with all streams taken: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Query(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a stream: %v", err)
		}
		_ = c.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestEvents(t *testing.T) {
	with(t, newFakeNode(), Config{}, func(t *testing.T, c *Conn) {
		if err := c.Register(t.Context(), proto.EventSchema); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Query(t.Context(), fmt.Sprint("event ", eventsMax+5)); err != nil {
			t.Fatal(err)
		}
		if e := <-c.Events(); e.Schema.Keyspace != "ks" || c.EventsMissed() != 5 {
			t.Errorf("%+v, %d missed", e, c.EventsMissed())
		}
		_ = c.Close()
		for range c.Events() { // ends, as the channel is closed
		}
	})
}

// TestHangup: whatever waits learns that the connection is gone.
func TestHangup(t *testing.T) {
	with(t, newFakeNode(), Config{}, func(t *testing.T, c *Conn) {
		const n = 50
		errs := make(chan error, n)
		for range n {
			call := &Call{Request: c.QueryRequest("silent"), Done: func(call *Call) { errs <- call.Err }}
			if err := c.Go(call); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Query(t.Context(), "hangup"); err == nil {
			t.Error("an answer from a node that hung up")
		}
		for range n {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "read from fake") {
				t.Error(err)
			}
		}
		<-c.Dead()
		if err := c.Go(&Call{Request: c.QueryRequest("x")}); err == nil {
			t.Error("sent on a dead connection")
		}
	})
}

// TestGathering: what callbacks send while many answers come in leaves in few
// writes, and nothing is lost.
func TestGathering(t *testing.T) {
	f := newFakeNode()
	with(t, f, Config{}, func(t *testing.T, c *Conn) {
		const depth, total = 64, 6400
		sent, finished := 0, make(chan struct{})
		answered := 0
		done := func(call *Call) {
			if call.Err != nil || call.Response.Kind != proto.ResultVoid {
				t.Errorf("%+v", call.Err)
			}
			if answered++; answered == total {
				close(finished)
			}
			if sent < total {
				sent++
				if err := c.Go(call); err != nil {
					t.Error(err)
				}
			}
		}
		sent = depth // before the first answer can run done
		for range depth {
			if err := c.Go(&Call{Request: c.QueryRequest("x"), Done: done}); err != nil {
				t.Fatal(err)
			}
		}
		<-finished
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.requests != total+1 || f.writes > total/4 {
			t.Errorf("%d requests in %d writes", f.requests, f.writes)
		}
	})
}

// TestWaitingForStreams: more callers than streams are all served, also when
// some of those who wait go away.
func TestWaitingForStreams(t *testing.T) {
	with(t, newFakeNode(), Config{InFlightMax: 2}, func(t *testing.T, c *Conn) {
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = gone
				}
				if _, err := c.Query(ctx, "x"); err != nil && !(ctx == gone && errors.Is(err, context.Canceled)) {
					t.Error(err)
				}
			})
		}
		cancel()
		all.Wait()
	})
}

// TestStreamsLeft: who takes a stream while others are left wakes the next who
// waits, for two may have become free before anybody looked.
func TestStreamsLeft(t *testing.T) {
	with(t, newFakeNode(), Config{InFlightMax: 2}, func(t *testing.T, c *Conn) {
		c.waiting = 1
		if err := c.Go(&Call{Request: c.QueryRequest("x"), Done: func(*Call) {}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.freed:
		default:
			t.Error("nobody is woken")
		}
		synctest.Wait()
		c.waiting = 0
	})
}

// TestGatheringOnSockets is TestGathering where callbacks could write.
func TestGatheringOnSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			(&fakeConn{node: newFakeNode(), nc: nc, w: proto.NewWriter()}).serve()
		}
	}()
	c, err := Connect(t.Context(), l.Addr().String(), Config{Dial: dialTCP})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const depth, total = 64, 6400
	writes, try := 0, c.try
	c.try = func(b []byte) int { writes++; return try(b) }
	sent, answered, finished := depth, 0, make(chan struct{})
	done := func(call *Call) {
		if answered++; answered == total {
			close(finished)
		}
		if sent < total {
			sent++
			if err := c.Go(call); err != nil {
				t.Error(err)
			}
		}
	}
	for range depth {
		if err := c.Go(&Call{Request: c.QueryRequest("x"), Done: done}); err != nil {
			t.Fatal(err)
		}
	}
	<-finished
	if writes > total/4 {
		t.Errorf("%d requests in %d writes", total, writes)
	}
}

// TestFullSocket: a node that does not read makes neither Go nor the reader
// wait, and in the end everything has arrived.
func TestFullSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, read := newFakeNode(), make(chan struct{})
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		n := &fakeConn{node: f, nc: &deafConn{nc, read}, w: proto.NewWriter()}
		n.serve()
	}()
	c, err := Connect(t.Context(), l.Addr().String(), Config{Dial: dialTCP})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const calls, size = 64, 1 << 20
	var all sync.WaitGroup
	all.Add(calls)
	for range calls {
		call := &Call{Request: c.QueryRequest("x", Bytes(make([]byte, size))), Done: func(call *Call) {
			if call.Err != nil {
				t.Error(call.Err)
			}
			all.Done()
		}}
		if err := c.Go(call); err != nil {
			t.Fatal(err)
		}
	}
	close(read) // only now, so none of the above has waited for it
	all.Wait()
}

// deafConn reads the small messages of the start, and nothing behind the first
// larger one until it is told to.
type deafConn struct {
	net.Conn
	read <-chan struct{}
}

func (d *deafConn) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if n > 1000 {
		<-d.read
	}
	return n, err
}

func TestConnectGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		mute := func(context.Context, string) (net.Conn, error) {
			here, _ := net.Pipe()
			return here, nil
		}
		_, err := Connect(ctx, "fake", Config{Dial: mute})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestGoDoesNotAllocate drives a connection without its goroutines.
func TestGoDoesNotAllocate(t *testing.T) {
	c := &Conn{version: proto.V5, w: proto.NewWriter(), free: []int16{0, 1, 2, 3}, pending: make([]*Call, 4), reading: true}
	c.w.SetFraming(proto.FramingPlain)
	p := &Prepared{ID: []byte("0123456789abcdef")}
	p.result.Store(&resultColumns{id: []byte("0123456789abcdef")})
	answered := 0
	call := &Call{Request: c.ExecuteRequest(p, Text("key"), Text("value")), Done: func(*Call) { answered++ }}
	var room []byte
	void := proto.AppendVoid(nil)
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Go(call); err != nil {
			t.Fatal(err)
		}
		stream := int16(-1)
		for i, p := range c.pending {
			if p != nil {
				stream = int16(i)
			}
		}
		room = c.w.Take(room)
		if err := c.dispatch(proto.Envelope{Header: proto.Header{Version: proto.V5, Response: true, Stream: stream, Op: proto.OpResult}, Body: void}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 || answered != 101 {
		t.Errorf("%v allocations, %d answers", n, answered)
	}
}

// BenchmarkGo is a load generator's loop over loopback TCP, 64 in flight; the
// node's share of the work is in the time.
func BenchmarkGo(b *testing.B) {
	f := newFakeNode()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			(&fakeConn{node: f, nc: nc, w: proto.NewWriter()}).serve()
		}
	}()
	c, err := Connect(b.Context(), l.Addr().String(), Config{Dial: dialTCP})
	if err != nil {
		b.Fatal(err)
	}
	left, finished := b.N, make(chan struct{})
	waiting := min(64, b.N)
	done := func(call *Call) {
		if left--; left >= waiting {
			_ = c.Go(call)
		} else if left == 0 {
			close(finished)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	calls := make([]*Call, waiting)
	for i := range calls {
		calls[i] = &Call{Request: c.QueryRequest("x"), Done: done}
	}
	for _, call := range calls {
		_ = c.Go(call)
	}
	<-finished
	_ = c.Close()
}
