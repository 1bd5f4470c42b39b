package wire

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/fakenet"
)

// TestDeadlinesTravel: the handler knows how long the caller waits, and what
// expired is not handled.
func TestDeadlinesTravel(t *testing.T) {
	two(t, nil, func(a, b *node) {
		began := time.Now()
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), true)
		a.ask(b.self, verbPark, nil, 300*time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), false)
		time.Sleep(50 * time.Millisecond)
		r := b.unpark()[0]
		// What the request waited for its connection is taken off; what the
		// network took, one millisecond, nobody knows.
		if d := r.Deadline().Sub(began); d < 300*time.Millisecond || d > 301*time.Millisecond {
			t.Errorf("the deadline is %v after the call", d)
		}
		time.Sleep(300 * time.Millisecond)
		if !r.Expired() {
			t.Error("not expired")
		}
		r.Drop()
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), true)
		short := a.ask(b.self, verbPark, nil, time.Nanosecond)
		time.Sleep(10 * time.Millisecond)
		short.want(t, Timeout)
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), false)
		time.Sleep(10 * time.Millisecond)
		if f := facts(b, "PARK"); f.Expired != 2 || f.Handled != 1 {
			t.Errorf("%+v", f)
		}
	})
}

// TestLateAnswer finds nobody.
func TestLateAnswer(t *testing.T) {
	two(t, nil, func(a, b *node) {
		a.net.Stall(b.self.Addr.Addr(), a.self.Addr.Addr(), false)
		w := a.ask(b.self, verbPark, nil, 100*time.Millisecond)
		time.Sleep(50 * time.Millisecond)
		a.net.Stall(b.self.Addr.Addr(), a.self.Addr.Addr(), true)
		b.unpark()[0].Reply(&text{[]byte("on its way")})
		time.Sleep(100 * time.Millisecond)
		w.want(t, Timeout)
		again := a.ask(b.self, verbEcho, []byte("in the same slot"), 0)
		a.net.Stall(b.self.Addr.Addr(), a.self.Addr.Addr(), false)
		time.Sleep(100 * time.Millisecond)
		w.want(t, Timeout)
		again.want(t, 0)
		if string(again.body) != "in the same slot" || facts(a, "PARK").Late != 1 {
			t.Errorf("%q %+v", again.body, facts(a, "PARK"))
		}
	})
}

// TestSlowReader: what a peer does not take fills the bound and no more; calls
// beyond it fail at once, and nobody is blocked.
func TestSlowReader(t *testing.T) {
	limit := 1 << 20
	two(t, func(o *Options) { o.PeerBytes, o.NoCompression = limit, true }, func(a, b *node) {
		a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), true)
		var ws []*waiter
		for range 3000 {
			ws = append(ws, a.ask(b.self, verbEcho, make([]byte, 1000), 0))
			if u := a.budget.Used(); u > int64(limit) {
				t.Fatalf("%d bytes are charged, the limit is %d", u, limit)
			}
			synctest.Wait()
		}
		full := 0
		for _, w := range ws {
			if w.ended.Load() == 1 {
				w.want(t, Overloaded)
				full++
			}
		}
		// The network holds 256 KiB, the calls count 256 bytes each until answered.
		if full < 1500 || full > 2300 {
			t.Errorf("%d of 3000 failed at once", full)
		}
		time.Sleep(3 * time.Second)
		for _, w := range ws {
			if n := w.ended.Load(); n != 1 {
				t.Fatalf("ended %d times", n)
			}
		}
		if u := a.budget.Used(); u > int64(limit-100<<10) {
			t.Errorf("all calls are over, and %d bytes are charged", u)
		}
		a.net.Stall(a.self.Addr.Addr(), b.self.Addr.Addr(), false)
		time.Sleep(time.Second)
		// What had not left when its callers gave up is not sent any more.
		if f := facts(b, "ECHO"); f.Handled+f.Expired > 1200 {
			t.Errorf("%+v", f)
		}
		w := a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
	})
}

// TestNodeBound: the node's budget bounds what all peers hold together.
func TestNodeBound(t *testing.T) {
	two(t, nil, func(a, b *node) {
		a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		a.budget.SetLimit(100)
		a.ask(b.self, verbEcho, nil, 0).want(t, Overloaded)
		a.budget.SetLimit(256 << 20)
		b.budget.SetLimit(100)
		w := a.ask(b.self, verbEcho, nil, 0)
		large := a.ask(b.self, verbEcho, noise(1<<20), 0) // not even its frame has room
		time.Sleep(100 * time.Millisecond)
		w.want(t, Overloaded)
		large.want(t, Overloaded)
		b.budget.SetLimit(256 << 20)
		a.budget.SetLimit(200 << 10)
		answer := a.ask(b.self, verbBig, make([]byte, 1000), 0)
		time.Sleep(100 * time.Millisecond)
		answer.want(t, Overloaded)
		w = a.ask(b.self, verbEcho, []byte("after what was passed over"), 0)
		time.Sleep(100 * time.Millisecond)
		w.want(t, 0)
		if facts(b, "ECHO").Refused != 2 {
			t.Errorf("%+v", facts(b, "ECHO"))
		}
		a.ask(b.self, verbEcho, make([]byte, 33<<20), 0).want(t, Failed)
	})
}

// TestFlood: a peer that asks without end and takes no answer costs its bound.
func TestFlood(t *testing.T) {
	for _, verb := range []VerbID{verbEcho, verbPark, verbBig} {
		synctest.Test(t, func(t *testing.T) {
			fn := fakenet.New(0)
			limit := 1 << 20
			b := start(t, fn, 2, func(o *Options) { o.PeerBytes = limit })
			synctest.Wait()
			nc := raw(t, fn, b)
			_, _ = nc.Write(appendHello(nil, &hello{min: 1, max: 1, lane: Small, cluster: testCluster, from: target(9).ID}))
			body := make([]byte, 500)
			frame := appendFrame(nil, header{kind: kindRequest, verb: verb, length: 500, sum: checksum(body), arg: 1e9}, body)
			flood := make(chan struct{})
			go func() {
				defer close(flood)
				for range 50000 {
					if _, err := nc.Write(frame); err != nil {
						return
					}
				}
			}()
			most := int64(0)
			for range 200 {
				time.Sleep(100 * time.Millisecond)
				most = max(most, b.budget.Used())
			}
			if most > int64(5*limit) || verb == verbPark && most < int64(limit)/2 {
				t.Errorf("verb %d: up to %d bytes charged with a bound of %d", verb, most, limit)
			}
			if f := b.Facts(); f.Inbound != 0 || f.HalfOpen != 1 {
				t.Errorf("verb %d: who takes no answers is kept: %+v", verb, f)
			}
			_ = nc.Close()
			<-flood
			b.end(t)
		})
	}
}

func TestInFlightMax(t *testing.T) {
	two(t, func(o *Options) { o.InFlightMax = 3 }, func(a, b *node) {
		for range 3 {
			a.ask(b.self, verbPark, nil, 0)
		}
		a.ask(b.self, verbPark, nil, 0).want(t, Overloaded)
		time.Sleep(3 * time.Second)
		w := a.ask(b.self, verbEcho, nil, 0) // b still holds three
		time.Sleep(10 * time.Millisecond)
		w.want(t, Overloaded)
	})
}

// TestManyLargeAnswers: a peer that takes its answers gets them all, though
// those of one round are more than may wait.
func TestManyLargeAnswers(t *testing.T) {
	two(t, func(o *Options) { o.PeerBytes = 1 << 20 }, func(a, b *node) {
		a.ask(b.self, verbBig, nil, 0)
		time.Sleep(10 * time.Millisecond)
		var ws []*waiter
		for range 60 {
			ws = append(ws, a.ask(b.self, verbBig, make([]byte, 100), 0))
		}
		time.Sleep(5 * time.Second)
		for _, w := range ws {
			w.want(t, 0)
		}
	})
}

// TestFloodOfRefusals: while an answer is not taken, what the reader answers
// itself does not gather either.
func TestFloodOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(0)
		limit := 1 << 20
		b := start(t, fn, 2, func(o *Options) { o.PeerBytes = limit })
		synctest.Wait()
		nc := raw(t, fn, b)
		_, _ = nc.Write(appendHello(nil, &hello{min: 1, max: 1, lane: Small, cluster: testCluster, from: target(9).ID}))
		_, _ = nc.Write(appendFrame(nil, header{kind: kindRequest, verb: verbPark, arg: 1e9}, nil))
		synctest.Wait()
		b.unpark()[0].Reply(&text{noise(limit / 2)})
		synctest.Wait() // until the writer is at it, and not the reader, which would then stop by itself
		unknown := appendFrame(nil, header{kind: kindRequest, verb: 999, arg: 1e9}, nil)
		flood := make(chan struct{})
		go func() {
			defer close(flood)
			for range 100000 {
				if _, err := nc.Write(unknown); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Second)
		if u := b.budget.Used(); u < int64(limit) || u > int64(2*limit) {
			t.Errorf("%d bytes are charged with a bound of %d", u, limit)
		}
		_ = nc.Close()
		<-flood
		b.end(t)
	})
}

// TestTooLarge: what no frame holds is refused here, and not as by a node that
// knows other tables.
func TestTooLarge(t *testing.T) {
	two(t, func(o *Options) { o.FrameBytesMax = 1000 }, func(a, b *node) {
		w := a.ask(b.self, verbEcho, make([]byte, 1001), 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, Failed)
		var e *Error
		if !errors.As(w.err, &e) || e.Code != helenus.CodeServer {
			t.Error(w.err)
		}
	})
}
