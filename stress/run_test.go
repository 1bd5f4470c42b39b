package stress

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/sim"
)

// writes is a load of writes on a fake node, in a bubble: time stands still
// unless everybody waits for it.
func writes(f *fakeNode) Config {
	cfg := Config{Addresses: []string{"fake"}, Dial: f.dial, Connections: 1, Depth: 8, Consistency: helenus.LocalOne, Sleep: time.Sleep,
		Workload: Workload{Table: Table{Keyspace: "ks", Name: "t", Partitions: 1000, Rows: 1, Columns: 1, ColumnBytes: 10}}}
	cfg.Workload.Mix[Insert] = 1
	return cfg
}

func mustRun(t *testing.T, cfg Config) *Result {
	t.Helper()
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestStall: a node that stands still for a second in the middle costs every
// operation that should have begun meanwhile, although few were in flight.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNode{answer: func(n int64) action {
			if n == 1001 {
				return action{after: time.Second}
			}
			return action{}
		}}
		cfg := writes(f)
		cfg.Rate, cfg.Duration = 1000, 4*time.Second
		res := mustRun(t, cfg)
		s := res.Schedule
		if res.Operations != 4000 || s.Due != 4000 || s.NotStarted != 0 || s.Late < 980 || s.Late > 1000 || !s.Missed() {
			t.Errorf("%d operations, %+v", res.Operations, s)
		}
		// A quarter waited, from a second down to nothing.
		if near(res.Latency.Max, 1e6) && near(res.Latency.P95, 8e5) && near(res.Latency.P99, 9.6e5) && res.Latency.P50 == 0 && near(s.Lateness.P95, 8e5) {
			return
		}
		t.Errorf("%+v\n%+v", res.Latency, s)
	})
}

func near(a, b float64) bool { return a > b*.98 && a < b*1.02 }

// TestTooSlow: what a node cannot keep up with is told, not left out.
func TestTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := writes(&fakeNode{answer: func(int64) action { return action{after: 2 * time.Millisecond} }})
		cfg.Rate, cfg.Duration = 1000, 4*time.Second
		var behind []uint64
		cfg.Interval, cfg.Progress = time.Second, func(i Interval) { behind = append(behind, i.Behind) }
		res := mustRun(t, cfg)
		s := res.Schedule
		if s.Due != 4000 || s.NotStarted < 1980 || s.NotStarted > 2010 || uint64(res.Operations)+s.NotStarted != 4000 || !s.Missed() {
			t.Errorf("%d operations, %+v", res.Operations, s)
		}
		if len(behind) < 3 || behind[0] < 450 || behind[0] > 550 || behind[2] < 1450 || behind[2] > 1550 {
			t.Errorf("behind %v", behind)
		}
		if !near(res.Latency.Max, 2e6) {
			t.Errorf("%+v", res.Latency)
		}
	})
}

// TestKept: a schedule that is kept is not called missed.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := writes(&fakeNode{answer: func(int64) action { return action{after: 100 * time.Microsecond} }})
		cfg.Rate, cfg.Operations = 1000, 500
		res := mustRun(t, cfg)
		if s := res.Schedule; res.Operations != 500 || s.Missed() || s.Late != 0 || s.Due != 500 || res.Latency.Max != 100 || res.Rate < 999 || res.Rate > 1003 {
			t.Errorf("%+v %+v", res, s)
		}
	})
}

// TestClosed: all slots are always in use, and the bounds hold.
func TestClosed(t *testing.T) {
	for _, bound := range []string{"operations", "duration"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeNode{answer: func(int64) action { return action{after: time.Millisecond} }}
			cfg := writes(f)
			cfg.Connections = 3
			if bound == "operations" {
				cfg.Operations = 1234
			} else {
				cfg.Duration = time.Second
			}
			res := mustRun(t, cfg)
			want := int64(3000 + 3*8) // three nodes at once, and what was in flight
			if bound == "operations" {
				want = 1234
			}
			if res.Operations > want || res.Operations < want-50 || bound == "operations" && res.Operations != want || res.Schedule != nil || res.Operations != f.requests.Load() {
				t.Errorf("%s: %d operations, %d requests", bound, res.Operations, f.requests.Load())
			}
			if !near(res.Latency.P50, 8000) {
				t.Errorf("with 8 in flight at 1 ms each: %+v", res.Latency)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := writes(&fakeNode{answer: func(n int64) action {
			switch {
			case n%10 == 0:
				return action{err: &helenus.Error{Code: helenus.CodeWriteTimeout, Message: "too late", WriteType: helenus.WriteSimple}}
			case n%25 == 1:
				return action{err: helenus.Unavailable(helenus.Quorum, 2, 1)}
			}
			return action{}
		}})
		cfg.Operations = 1000
		res := mustRun(t, cfg)
		if res.Operations != 860 || res.Errors["write timeout"] != 100 || res.Errors["unavailable"] != 40 || len(res.Errors) != 2 || res.ErrorCount() != 140 {
			t.Errorf("%d succeeded, errors %v", res.Operations, res.Errors)
		}
		if len(res.Samples) != samplesMax || !strings.HasPrefix(res.Samples[0], "unavailable, insert: key = 0: Cannot achieve") || !strings.Contains(strings.Join(res.Samples, "\n"), ": too late") {
			t.Errorf("%q", res.Samples)
		}
	})
}

// TestConnectionsEnd: a run outlives a connection, but not the last one.
func TestConnectionsEnd(t *testing.T) {
	for _, rate := range []uint64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			cfg := writes(&fakeNode{answer: func(n int64) action { return action{hangup: n == 100} }})
			cfg.Connections, cfg.Operations, cfg.Rate = 2, 1000, rate
			res := mustRun(t, cfg)
			if lost := res.Errors["connection"]; res.Operations+lost != 1000 || lost < 1 || lost > 8 {
				t.Errorf("rate %d: %d succeeded, errors %v", rate, res.Operations, res.Errors)
			}
			cfg.Dial = (&fakeNode{answer: func(n int64) action { return action{hangup: n >= 100} }}).dial
			res, err := Run(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), "all connections have ended") || res == nil || res.Operations == 0 || res.Operations > 100 {
				t.Errorf("rate %d: %v, %+v", rate, err, res)
			}
		})
	}
}

// TestUnanswered: a node that never answers ends the run all the same.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := writes(&fakeNode{answer: func(n int64) action { return action{silent: n > 100} }})
		cfg.Duration, cfg.Rate = time.Second, 500
		res := mustRun(t, cfg)
		if res.Unanswered != 8 || res.Errors["connection"] != 8 || res.Operations != 100 || res.Schedule.NotStarted != 500-108 || res.Interrupted {
			t.Errorf("%+v %+v", res, res.Schedule)
		}
	})
}

func TestInterrupted(t *testing.T) {
	for _, rate := range []uint64{0, 500} {
		synctest.Test(t, func(t *testing.T) {
			cfg := writes(&fakeNode{answer: func(int64) action { return action{after: time.Millisecond} }})
			cfg.Duration, cfg.Rate = time.Hour, rate
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			res, err := Run(ctx, cfg)
			if err != nil || !res.Interrupted || res.Seconds < 2.4 || res.Seconds > 3 || res.Operations < 1000 || res.Unanswered != 0 {
				t.Errorf("rate %d: %v, %+v", rate, err, res)
			}
			if rate > 0 && (res.Schedule.Due < 1240 || res.Schedule.Due > 1260 || res.Schedule.Missed()) {
				t.Errorf("%+v", res.Schedule)
			}
		})
	}
}

func TestNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := writes(&fakeNode{})
		cfg.Dial, cfg.Operations = (&fakeNode{answer: func(int64) action { return action{hangup: true} }}).dial, 1
		cfg.Workload.Table.Name = ""
		if res, err := Run(t.Context(), cfg); res != nil || err == nil || !strings.HasPrefix(err.Error(), "stress: table ") {
			t.Errorf("%+v %v", res, err)
		}
	})
}

// TestAgainstAnAgent runs every kind of operation against a whole agent, and
// shows that reads find what is wrong.
func TestAgainstAnAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, err := sim.New(t, 1).NewNode(sim.Options{Free: true})
		if err == nil {
			err = node.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer node.Stop()
		synctest.Wait() // it listens
		base := Config{Addresses: []string{node.Address()}, Dial: node.Dial, Connections: 2, Depth: 4, Consistency: helenus.One, Sleep: time.Sleep, Operations: 300,
			Workload: Workload{Table: Table{Keyspace: "ks", Name: "t", Partitions: 30, Rows: 10, Columns: 3, ColumnBytes: 13, Window: 7}}}
		load := func(kind Kind, change func(*Config)) *Result {
			cfg := base
			cfg.Workload.Mix[kind] = 1
			cfg.Workload.SliceRows = 4
			if change != nil {
				change(&cfg)
			}
			if err := Setup(t.Context(), cfg, "{'class': 'SimpleStrategy', 'replication_factor': 1}"); err != nil {
				t.Fatal(err)
			}
			return mustRun(t, cfg)
		}
		expect := func(what string, res *Result, rows int64, errors string) {
			t.Helper()
			total := res.Operations + res.ErrorCount()
			if total != 300 || res.Rows != rows || errors == "" && len(res.Errors) > 0 || errors != "" && res.Errors[errors] == 0 {
				t.Errorf("%s: %+v", what, res)
			}
		}
		revision := func(n uint64) func(*Config) { return func(c *Config) { c.Workload.Revision = n } }
		expect("read too early", load(Select, nil), 0, "lost")
		expect("insert", load(Insert, nil), 300, "")
		expect("select", load(Select, nil), 300, "")
		expect("select, uniform, text", load(Select, func(c *Config) { c.Workload.Order, c.Unprepared = Uniform, true }), 300, "")
		expect("slice", load(Slice, func(c *Config) { c.Workload.Order = Uniform }), 1200, "")
		expect("missing", load(Missing, nil), 300, "")
		expect("LZ4", load(Select, func(c *Config) { c.LZ4 = true }), 300, "")
		stale := load(Select, revision(1))
		expect("select of what is not there yet", stale, 0, "stale")
		if len(stale.Samples) == 0 || !strings.Contains(stale.Samples[0], "AND row = ") || !strings.Contains(stale.Samples[0], ": column c0: expected \"") {
			t.Errorf("%q", stale.Samples)
		}
		expect("update", load(Update, func(c *Config) { c.Workload.Revision, c.Unprepared = 1, true }), 300, "")
		expect("select of the update", load(Select, revision(1)), 300, "")
		expect("select of other data", load(Select, revision(0)), 0, "corrupt")
		expect("mixed", load(Select, func(c *Config) { c.Workload.Mix[Insert], c.Workload.Order = 1, Uniform; c.Workload.Revision = 1 }), 300, "")
	})
}
