package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"helenus/agent/query"
	"helenus/internal/budget"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

func TestIdle(t *testing.T) {
	inBubble(t, func(o *Options) { o.IdleTimeout = time.Minute }, func(h *harness) {
		silent, mute := h.connect(proto.V5, proto.CompressNone), h.dialFrom("10.0.0.2")
		beating, waiting := h.connect(proto.V4, proto.CompressNone), h.connect(proto.V5, proto.CompressLZ4)
		defer mute.Close()
		for _, c := range []*client.Conn{silent, beating, waiting} {
			defer c.Close()
		}
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := waiting.Query(h.Context(), "park"); err != nil {
				h.Error(err)
			}
		})
		for i := range 10 {
			time.Sleep(20 * time.Second)
			if _, err := beating.Options(h.Context()); err != nil {
				h.Fatal(err)
			}
			want := int64(4)
			if i >= 4 { // 100 s
				want = 2
			}
			if n := h.server.stats.Connections.Load(); n != want && (i < 2 || i >= 4) {
				h.Errorf("%d connections after %d seconds, want %d", n, 20*(i+1), want)
			}
		}
		h.complete(h.engine.takeParked(h.T, 1))
		all.Wait()
		if silent.Err() == nil {
			h.Error("the silent client was not told")
		}
	})
}

func TestLimits(t *testing.T) {
	inBubble(t, func(o *Options) { o.ConnectionsMax, o.ConnectionsPerHost = 4, 2 }, func(h *harness) {
		refused := func(nc net.Conn) bool {
			_, hungUp := exchange(h.T, nc, nil)
			return hungUp
		}
		var open []net.Conn
		for _, c := range []struct {
			host    string
			refused bool
		}{{"10.0.0.1", false}, {"10.0.0.1", false}, {"10.0.0.1", true}, {"::ffff:10.0.0.1", true},
			{"10.0.0.2", false}, {"10.0.0.3", false}, {"10.0.0.4", true}} {
			nc := h.dialFrom(c.host)
			defer nc.Close()
			if got := refused(nc); got != c.refused {
				h.Errorf("%s as number %d: refused %v", c.host, len(open), got)
			} else if !got {
				open = append(open, nc)
			}
		}
		if n := h.server.stats.Refused.Load(); n != 3 {
			h.Errorf("%d refused, want 3", n)
		}
		open[0].Close()
		synctest.Wait()
		nc := h.dialFrom("10.0.0.1")
		defer nc.Close()
		if refused(nc) {
			h.Error("no room after one has left")
		}
	})
}

// TestClosedInFlight: the connection's memory lives until its last request is
// done, whoever closed it.
func TestClosedInFlight(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		nc := h.raw("10.0.0.1")
		send(nc, queries(3, "park"))
		parked := h.engine.takeParked(h.T, 3)
		nc.Close()
		synctest.Wait()
		if n := h.server.stats.Connections.Load(); n != 1 {
			h.Errorf("%d connections with 3 requests in flight, want 1", n)
		}
		h.complete(parked[:2])
		synctest.Wait()
		if n := h.server.stats.Connections.Load(); n != 1 || h.budget.Used() == 0 {
			h.Errorf("%d connections with 1 request in flight, want 1", n)
		}
		h.complete(parked[2:])
		h.wantQuiet()
		if n := h.server.stats.Connections.Load(); n != 0 {
			h.Errorf("%d connections, want 0", n)
		}
	})
	inBubble(t, nil, func(h *harness) {
		nc := h.raw("10.0.0.1")
		defer nc.Close()
		send(nc, queries(3, "park"))
		parked := h.engine.takeParked(h.T, 3)
		h.cancel()
		synctest.Wait()
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			h.Errorf("read: %v, want EOF", err)
		}
		select {
		case <-h.ended:
			h.Fatal("Run returned before the last request")
		default:
		}
		h.complete(parked)
	})
}

// TestErrorBehindWrite: the reason for hanging up waits its turn behind answers
// that the writer is busy with.
func TestErrorBehindWrite(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		nc := h.raw("10.0.0.1")
		send(nc, queries(1, "park"))
		h.complete(h.engine.takeParked(h.T, 1))
		synctest.Wait() // the writer waits for somebody to read
		send(nc, frame(66, 5, 7))
		synctest.Wait()
		reply, hungUp := exchange(h.T, nc, nil)
		want := "v4 0 RESULT\nv4 7 ERROR 000a Invalid message version. Got 66/v66 but previous messages on this connection had version 4/v4"
		if got := story(h.T, proto.FramingNone, reply); got != want || !hungUp {
			h.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestPoolStaysSmall: a large request does not stay in memory for the next.
func TestPoolStaysSmall(t *testing.T) {
	for name, k := range map[string]*call{"body": {body: make([]byte, bodyMax+1)}, "values": {values: make([]query.Value, valuesMax+1)}} {
		var pool sync.Pool
		if k.release(&pool); pool.Get() != nil {
			t.Errorf("pooled with a large %s", name)
		}
	}
	var pool sync.Pool
	k := &call{answer: make([]byte, bodyMax+1)}
	if k.release(&pool); k.answer != nil {
		t.Error("pooled with a large answer")
	}
}

// TestStopWhileWriting: neither a stuck write nor a held reader delays the end.
func TestStopWhileWriting(t *testing.T) {
	inBubble(t, func(o *Options) { o.InFlightBytes = 10 << 10 }, func(h *harness) {
		stuck, held := h.raw("10.0.0.1"), h.raw("10.0.0.2")
		defer stuck.Close()
		defer held.Close()
		send(stuck, queries(1000, "rows 1 1000"))
		send(held, queries(1000, "park"))
		parked := h.engine.takeParked(h.T, 3)
		h.cancel()
		synctest.Wait()
		h.complete(parked)
		began := time.Now()
		h.stop()
		h.ended <- nil // for the harness's own stop
		if d := time.Since(began); d != 0 {
			h.Errorf("stopping took %v", d)
		}
	})
}

func TestAcceptErrors(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		c := h.connect(proto.V5, proto.CompressNone)
		defer c.Close()
		failure := errors.New("too many open files")
		h.ln.failed.Store(&failure)
		other := h.connect(proto.V4, proto.CompressNone) // wakes Accept, which fails the next time
		defer other.Close()
		third := h.connect(proto.V4, proto.CompressNone)
		defer third.Close()
		if h.ln.failed.Load() != nil {
			h.Error("Accept has not failed")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ln := newMemListener()
		s := New(Options{Engine: noop{}, State: newFakeState(), Log: slog.New(slog.DiscardHandler), Budget: budget.New("b", 1<<20)})
		ln.Close()
		if err := s.Run(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run on a closed listener: %v", err)
		}
	})
}

// TestLastWords: the reason for hanging up reaches a client that is still
// sending.
func TestLastWords(t *testing.T) {
	addr := loopback(t, noop{})
	for range 20 {
		nc, err := dialTCP(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = nc.Write(append(frame(66, 5, 7), make([]byte, 500<<10)...)) }()
		reply, err := io.ReadAll(nc)
		if err != nil || !strings.Contains(string(reply), "Invalid or unsupported protocol version (66)") {
			t.Errorf("%q, %v", reply, err)
		}
		nc.Close()
	}
}

// TestHangingUp is for the race detector: clients leave in the midst of it
// while completions come from elsewhere and operators look.
func TestHangingUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, state := budget.New("native", 64<<20), newFakeState()
	s := New(Options{Engine: &fakeEngine{}, State: state, Tracer: &fakeTracer{}, Log: slog.New(slog.DiscardHandler), Budget: b})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() { hangUp(t, ln.Addr().String(), i) })
	}
	for i := range 200 {
		_ = s.Clients()
		state.publish(withTables([]string{"a", "b"}[i%2]))
	}
	clients.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if b.Used() != 0 || s.stats.InFlight.Load() != 0 || s.stats.Connections.Load() != 0 {
		t.Errorf("left: %d bytes, %d requests, %d connections", b.Used(), s.stats.InFlight.Load(), s.stats.Connections.Load())
	}
}

func hangUp(t *testing.T, addr string, seed int) {
	for i := range 20 {
		d := dialects[(seed+i)%len(dialects)]
		c, err := client.Connect(t.Context(), addr, client.Config{Dial: dialTCP, Version: d.version, Compression: d.compression})
		if err != nil {
			t.Error(err)
			return
		}
		if err := c.Register(t.Context(), proto.EventSchema); err != nil {
			t.Error(err)
		}
		if _, err := c.Query(t.Context(), "use ks"); err != nil {
			t.Error(err)
		}
		done := make(chan struct{}, 1000)
		for j := range 300 {
			call := &client.Call{Request: c.QueryRequest([]string{"async", "void", "rows 3 3000"}[j%3]), Done: func(*client.Call) { done <- struct{}{} }}
			if err := c.Go(call); err != nil {
				t.Error(err)
			}
		}
		for range 10 * (i % 10) {
			<-done
		}
		c.Close()
	}
}
