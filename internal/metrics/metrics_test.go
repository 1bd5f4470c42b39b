package metrics

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCounterFromManyGoroutines(t *testing.T) {
	var c Counter
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Inc()
			}
		})
	}
	wg.Wait()
	if c.Load() != 8000 {
		t.Errorf("counted %d, want 8000", c.Load())
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	var c Counter
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { c.Inc(); h.Record(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBuckets(t *testing.T) {
	for i := 1; i < bucketCount; i++ {
		if bucketOf(bucketEnd(i)) != i || bucketOf(bucketEnd(i-1)+1) != i {
			t.Fatalf("bucket %d from %d to %d: found in %d and %d", i, bucketEnd(i-1)+1, bucketEnd(i),
				bucketOf(bucketEnd(i-1)+1), bucketOf(bucketEnd(i)))
		}
	}
	if end := bucketEnd(bucketCount - 1); end < 3600*1e6 || end < 1<<40 {
		t.Errorf("the last bucket ends at %d", end)
	}
	if bucketOf(math.MaxInt64) != bucketCount-1 {
		t.Error("the largest value has no bucket")
	}
}

// TestPercentiles compares with sorting all values.
func TestPercentiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []int64
	for range 10000 {
		v := int64(math.Exp(rng.Float64() * 20))
		h.Record(v)
		all = append(all, v)
	}
	slices.Sort(all)
	s := h.Snapshot()
	for _, p := range []float64{0.001, 0.5, 0.75, 0.95, 0.99, 0.999, 1} {
		exact := all[int(math.Ceil(p*10000))-1]
		if got := s.Percentile(p); got < exact || float64(got) > float64(exact)*1.25+1 {
			t.Errorf("percentile %v: %d, exactly %d", p, got, exact)
		}
	}
	if s.Max != all[len(all)-1] || s.Count != 10000 {
		t.Errorf("max %d of %d, count %d", s.Max, all[len(all)-1], s.Count)
	}
	var none Snapshot
	if none.Percentile(0.5) != 0 || !math.IsNaN(none.Mean()) {
		t.Errorf("nothing: median %d, mean %v", none.Percentile(0.5), none.Mean())
	}
	h.Record(-5)
	if again := h.Snapshot(); again.Percentile(0) != 0 || again.Sum != s.Sum {
		t.Error("a negative value does not count as 0")
	}
}

func TestRegisterRefuses(t *testing.T) {
	r := New()
	read := func(func(Value)) {}
	for _, f := range []Fact{
		{Name: "Upper", Help: "x", Read: read}, {Name: "a__b", Help: "x", Read: read}, {Name: "", Help: "x", Read: read},
		{Name: "no_help", Read: read}, {Name: "no_read", Help: "x"},
	} {
		if r.Register(f) == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	ok := Fact{Name: "once", Help: "x", Read: read}
	if err := r.Register(ok); err != nil {
		t.Error(err)
	}
	if r.Register(ok) == nil {
		t.Error("a name was taken twice")
	}
	if _, err := r.Number("never"); !errors.Is(err, ErrNoFact) {
		t.Errorf("error %v", err)
	}
}

func TestExport(t *testing.T) {
	r := New()
	var c Counter
	var g Gauge
	var h Histogram
	c.Add(3)
	g.Set(-2)
	h.Record(1_000_000)
	h.Record(3)
	perTable := Fact{Name: "sstables", Help: "Live SSTables.", Kind: GaugeKind, Labels: []string{"keyspace", "table"},
		Read: func(emit func(Value)) {
			emit(Value{Labels: []string{"ks", "a"}, Number: 1})
			emit(Value{Labels: []string{"ks", "b"}, Number: 2})
		}}
	err := r.Register(CounterFact("commitlog_syncs", "Syncs.", None, &c), GaugeFact("commitlog_size", "Size.", Bytes, &g),
		HistogramFact("write_latency", "Latency of writes.", Microseconds, &h), perTable)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"# HELP helenus_commitlog_syncs_total Syncs.", "helenus_commitlog_syncs_total 3", "helenus_commitlog_size_bytes -2",
		"helenus_write_latency_seconds_count 2", "helenus_write_latency_seconds_sum 1.000003",
		`helenus_write_latency_seconds_bucket{le="3e-06"} 1`, `helenus_write_latency_seconds_bucket{le="1.048575"} 2`,
		`helenus_sstables{keyspace="ks",table="a"} 1`, `helenus_sstables{keyspace="ks",table="b"} 2`, "go_goroutines",
	} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("missing %q", want)
		}
	}
	if t.Failed() {
		t.Log(rec.Body.String())
	}
	if n, err := r.Number("sstables"); n != 3 || err != nil {
		t.Errorf("sstables %v, error %v", n, err)
	}
}

func BenchmarkCounter(b *testing.B) {
	var c Counter
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Inc()
		}
	})
}

func BenchmarkHistogram(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Record(int64(i))
	}
}
