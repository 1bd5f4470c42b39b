package stress

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHdrHistogram compares with what hdrhistogram-go 1.4.0 says of the same
// values, New(1, 1<<42-1, 3).
func TestHdrHistogram(t *testing.T) {
	var h Histogram
	for i := uint64(1); i <= 100000; i++ {
		x := mix(i)
		h.Record(int64(x >> 22 >> (x & 31)))
	}
	var c Counts
	c.Add(&h)
	for q, want := range map[float64]int64{.01: 319, .10: 4587, .25: 126079, .50: 32096255, .75: 8464105471, .90: 256221642751,
		.95: 886910746623, .99: 2995739688959, .999: 4260607557631, .9999: 4389456576511} {
		if got := c.Quantile(q); got != want {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
	for v, want := range map[int64]int64{0: 0, 1: 1, 2047: 2047, 2048: 2049, 2049: 2049, 4095: 4095, 4096: 4099, 123456: 123519,
		1234567890: 1235222527, valueMax: valueMax} {
		if got := bucketEnd(bucketOf(v)); got != want {
			t.Errorf("the bucket of %d ends at %d, want %d", v, got, want)
		}
	}
}

// TestCounts compares with sorted values.
func TestCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var one, two Histogram
	var values []int64
	record := func(n int) {
		for range n {
			v := rng.Int64N(1 << rng.IntN(40))
			values = append(values, v)
			if v%2 == 0 {
				one.Record(v)
			} else {
				two.Record(v)
			}
		}
	}
	read := func() (c Counts) {
		c.Add(&one)
		c.Add(&two)
		return c
	}
	record(1000)
	early := read()
	largest := slices.Max(values)
	late := read()
	late.Since(&early)
	if late.Total != 0 || late.Sum != 0 || late.Max != 0 || late.Quantile(.5) != 0 {
		t.Errorf("nothing came, and yet %d values up to %d", late.Total, late.Max)
	}
	values = nil
	record(5000)
	late = read()
	late.Since(&early)
	slices.Sort(values)
	if top := values[len(values)-1]; late.Total != 5000 || top > largest && late.Max != top {
		t.Errorf("%d values up to %d, want 5000 up to %d", late.Total, late.Max, top)
	}
	for _, q := range []float64{0, .001, .5, .9, .99, .999, 1} {
		exact := values[max(0, int(q*5000+.999999)-1)]
		if got := late.Quantile(q); got < exact || float64(got-exact) > float64(exact)/1000 {
			t.Errorf("quantile %v: %d, want %d and a thousandth more at most", q, got, exact)
		}
	}
	for _, v := range []int64{0, 100, 5000, 1 << 30} {
		exact := int64(0)
		for _, x := range values {
			if x > bucketEnd(bucketOf(v)) {
				exact++
			}
		}
		if got := late.Above(v); got != exact {
			t.Errorf("above %d: %d, want %d", v, got, exact)
		}
	}
	early.Merge(&late)
	all := read()
	if early.Total != all.Total || early.Sum != all.Sum || early.Max != all.Max || early.Quantile(.7) != all.Quantile(.7) {
		t.Error("merged, the parts are not the whole")
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	var h Histogram
	v := int64(12345)
	if n := testing.AllocsPerRun(100, func() { h.Record(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
