package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/budget"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// raw is a connection after STARTUP whose bytes are the test's.
func (h *harness) raw(host string) net.Conn {
	h.Helper()
	nc := h.dialFrom(host)
	startUp(h.T, nc, proto.V4)
	return nc
}

// queries is n times the same statement, on streams from 0.
func queries(n int, text string) []byte {
	w := proto.NewWriter()
	req := queryOf(text)
	for i := range n {
		w.End(req.AppendBody(w.Begin(req.HeaderFor(proto.V4, int16(i))), proto.V4), nil)
	}
	return w.Take(nil)
}

// send writes as far as the server reads; the goroutine ends with nc.
func send(nc net.Conn, b []byte) {
	go func() { _, _ = nc.Write(b) }() // fails when the test is over
}

// readAnswers reads n answers of v4 within a minute of bubble time.
func (h *harness) readAnswers(nc net.Conn, n int) {
	h.Helper()
	if err := nc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		h.Fatal(err)
	}
	if err := answers(nc, &proto.Decoder{Responses: true}, n); err != nil {
		h.Fatalf("reading %d answers: %v", n, err)
	}
}

func (h *harness) complete(all []*query.Request) {
	for _, r := range all {
		r.Owner.RequestDone(r)
	}
}

// TestFewWrites: a round's answers leave together, whoever gave them.
func TestFewWrites(t *testing.T) {
	t.Run("inline", func(t *testing.T) {
		inBubble(t, nil, func(h *harness) {
			nc := h.raw("10.0.0.1")
			defer nc.Close()
			before, read := h.conns[0].writes.Load(), h.conns[0].read.Load()
			send(nc, queries(5000, "void"))
			h.readAnswers(nc, 5000)
			// A round is what one read brought, 16 KiB or more.
			rounds := (h.conns[0].read.Load()-read)/(12<<10) + 1
			if n := h.conns[0].writes.Load() - before; n > rounds {
				h.Errorf("%d writes for 5000 answers, want at most %d", n, rounds)
			}
			h.wantQuiet()
		})
	})
	t.Run("later", func(t *testing.T) {
		inBubble(t, nil, func(h *harness) {
			nc := h.raw("10.0.0.1")
			defer nc.Close()
			before := h.conns[0].writes.Load()
			send(nc, queries(4000, "park"))
			// Nobody reads, yet nobody is held up who completes.
			h.complete(h.engine.takeParked(h.T, 4000))
			h.readAnswers(nc, 4000)
			if n := h.conns[0].writes.Load() - before; n > 2 {
				h.Errorf("%d writes for 4000 answers, want at most 2", n)
			}
			h.wantQuiet()
		})
	})
}

// TestOutOfOrder: answers find their requests, completed backwards, from many
// goroutines.
func TestOutOfOrder(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		h.engine.always = "park"
		const n = 200
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				want := fmt.Sprintf("%d %s", i, strings.Repeat("x", i*10))
				if got := h.texts(c, c.QueryRequest(want)); len(got) != 1 || got[0] != want {
					h.Errorf("request %d has another's answer %.20q", i, got)
				}
			})
		}
		parked := h.engine.takeParked(h.T, n)
		if got := h.server.stats.InFlight.Load(); got != n {
			h.Errorf("%d in flight, want %d", got, n)
		}
		for i := len(parked) - 1; i >= 0; i-- {
			all.Go(func() {
				writeRows(parked[i], parked[i].Text)
				parked[i].Owner.RequestDone(parked[i])
			})
		}
		all.Wait()
	})
}

// TestSameStream: a client that confuses its streams confuses only itself.
func TestSameStream(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		nc := h.raw("10.0.0.1")
		defer nc.Close()
		one := message(proto.V4, 5, queryOf("park"))
		send(nc, bytes.Repeat(one, 3))
		h.complete(h.engine.takeParked(h.T, 3))
		reply, _ := exchange(h.T, nc, message(proto.V4, 5, queryOf("void")))
		if got, want := story(h.T, proto.FramingNone, reply), strings.TrimSuffix(strings.Repeat("v4 5 RESULT\n", 4), "\n"); got != want {
			h.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestDeafClient: who never reads is no longer read from, costs a bounded
// amount, bothers nobody else, and is dropped in the end.
func TestDeafClient(t *testing.T) {
	inBubble(t, func(o *Options) { o.InFlightBytes = 1 << 20 }, func(h *harness) {
		deaf, good := h.raw("10.0.0.1"), h.connect(proto.V5, proto.CompressNone)
		defer deaf.Close()
		defer good.Close()
		send(deaf, queries(10_000, "rows 1 100000"))
		synctest.Wait()
		if n := h.engine.count(); n > 100 {
			h.Errorf("%d requests of a client that does not read were executed", n)
		}
		if n := h.budget.Used(); n < 100_000 || n > 3<<20 {
			h.Errorf("a client that does not read is charged %d bytes", n)
		}
		used, other := h.budget.Used(), h.raw("10.0.0.2")
		send(other, queries(1, "rows 1 200000"))
		synctest.Wait()
		if n := h.budget.Used() - used; n < 200_000 {
			h.Errorf("one answer that waits is charged %d bytes", n)
		}
		other.Close()
		for range 100 {
			if _, err := good.Query(h.Context(), "rows 10 100"); err != nil {
				h.Fatal(err)
			}
		}
		time.Sleep(writeTimeout - time.Second)
		if n := h.server.stats.Connections.Load(); n != 2 {
			h.Errorf("%d connections, want 2 before the timeout", n)
		}
		time.Sleep(writeTimeout/4 + 2*time.Second)
		if n := h.server.stats.Connections.Load(); n != 1 {
			h.Errorf("%d connections, want 1 after the timeout", n)
		}
		h.wantQuiet()
	})
}

// TestSlowClient: who reads, if slowly, is not dropped.
func TestSlowClient(t *testing.T) {
	inBubble(t, nil, func(h *harness) {
		nc := h.raw("10.0.0.1")
		defer nc.Close()
		send(nc, queries(1, "rows 1 2000000"))
		buf := make([]byte, 16<<10)
		for left := 2_000_000; left > 0; {
			n, err := nc.Read(buf)
			if err != nil {
				h.Fatalf("%d bytes before the end: %v", left, err)
			}
			left -= n
			time.Sleep(time.Second)
		}
	})
}

// TestRoundIsBounded: small requests with large answers, all in one read, must
// not pile up their answers.
func TestRoundIsBounded(t *testing.T) {
	var peak atomic.Int64
	inBubble(t, func(o *Options) {
		o.InFlightBytes = 1 << 20
		inner := o.Engine
		o.Engine = engineFunc(func(r *query.Request) {
			peak.Store(max(peak.Load(), o.Budget.Used()))
			inner.Execute(r)
		})
	}, func(h *harness) {
		nc := h.raw("10.0.0.1")
		defer nc.Close()
		send(nc, queries(150, "rows 1 300000"))
		h.readAnswers(nc, 150)
		if n := peak.Load(); n > 1<<20 {
			h.Errorf("%d bytes at once", n)
		}
		h.wantQuiet()
	})
}

type engineFunc func(*query.Request)

func (f engineFunc) Execute(r *query.Request) { f(r) }

// TestHeldBack: the reader stops at the limits and goes on below them.
func TestHeldBack(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		inBubble(t, func(o *Options) { o.InFlightBytes = 100 << 10 }, func(h *harness) {
			nc := h.raw("10.0.0.1")
			defer nc.Close()
			go func() { _, _ = io.Copy(io.Discard, nc) }() // until nc is closed
			send(nc, queries(50, "park "+strings.Repeat("x", 20<<10)))
			// Above 100 KiB with the fifth of 24 KiB; below 50 KiB with two left. One
			// at a time, as the reader goes on while others are being completed.
			parked := h.engine.takeParked(h.T, 5)
			for done := 0; done < 50; done++ {
				h.complete(parked[:1])
				more := 0
				if len(parked) == 3 {
					more = min(3, 50-done-3)
				}
				parked = append(parked[1:], h.engine.takeParked(h.T, more)...)
			}
			h.wantQuiet()
		})
	})
	t.Run("requests", func(t *testing.T) {
		inBubble(t, func(o *Options) { o.InFlightBytes = 1 << 30 }, func(h *harness) {
			nc := h.raw("10.0.0.1")
			defer nc.Close()
			send(nc, queries(inFlightMax+1000, "park"))
			parked := h.engine.takeParked(h.T, inFlightMax)
			go func() { _, _ = io.Copy(io.Discard, nc) }() // until nc is closed
			h.complete(parked[:inFlightMax/2-1])
			h.engine.takeParked(h.T, 0)
			h.complete(parked[inFlightMax/2-1:])
			h.complete(h.engine.takeParked(h.T, 1000))
			h.wantQuiet()
		})
	})
}

// TestOverloaded: no memory, no service, but no hard feelings.
func TestOverloaded(t *testing.T) {
	inBubble(t, func(o *Options) {
		o.Budget = budget.New("native", 52<<10) // room for one large and then for less than chargeBytes
		o.FrameBytesMax = 40 << 10
	}, func(h *harness) {
		c := h.connect(proto.V5, proto.CompressNone)
		defer c.Close()
		big := client.Bytes(make([]byte, 35<<10))
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.Query(h.Context(), "park", big); err != nil {
				h.Error(err)
			}
		})
		parked := h.engine.takeParked(h.T, 1)
		_, err := c.Query(h.Context(), "void", big)
		wantError(h.T, err, helenus.CodeOverloaded, "Too many requests are in flight")
		if _, err := c.Query(h.Context(), "void"); err != nil {
			h.Errorf("a small one: %v", err)
		}
		h.complete(parked)
		all.Wait()
		if _, err := c.Query(h.Context(), "void", big); err != nil {
			h.Error(err)
		}
		if n := h.engine.count(); n != 3 {
			h.Errorf("%d executed, want 3", n)
		}
	})
}

// TestHalfFrames: memory for frames that have not come whole is charged too.
func TestHalfFrames(t *testing.T) {
	inBubble(t, func(o *Options) { o.FrameBytesMax = 16 << 20 }, func(h *harness) {
		h.budget.SetLimit(20 << 20)
		var open []net.Conn
		for range 20 {
			nc := h.raw("10.0.0.1")
			defer nc.Close()
			open = append(open, nc)
			send(nc, append([]byte{4, 0, 0, 1, 7, 0, 0x80, 0, 0}, make([]byte, 1500<<10)...))
			synctest.Wait()
		}
		if n := h.budget.Used(); n == 0 || n > 20<<20 {
			h.Errorf("%d bytes are charged", n)
		}
		if n := h.server.stats.Connections.Load(); n == 0 || n == 20 {
			h.Errorf("%d of 20 connections are left", n)
		}
		for _, nc := range open {
			nc.Close()
		}
		h.wantQuiet()
	})
}

// TestDeafToEvents: a client that would miss events is sent away.
func TestDeafToEvents(t *testing.T) {
	inBubble(t, func(o *Options) { o.InFlightBytes = 2000 }, func(h *harness) {
		nc := h.raw("10.0.0.1")
		defer nc.Close()
		send(nc, frame(4, 0x0b, 1, append([]byte{0, 1, 0, 13}, "SCHEMA_CHANGE"...)...))
		h.readAnswers(nc, 1)
		for i := range 100 {
			h.state.publish(withTables(fmt.Sprint("t", i)))
			synctest.Wait()
		}
		if n := h.server.stats.Connections.Load(); n != 0 {
			h.Error("it is still there")
		}
		h.wantQuiet()
	})
}
