package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// The buckets are four to each power of two: an error of at most a fifth, and
// the index of a value is a few shifts. The last one ends above an hour in
// microseconds and above a TiB in bytes.
const (
	bucketBits  = 2
	bucketCount = (42-bucketBits)<<bucketBits + 1<<bucketBits
)

// Histogram counts how often which size came. The zero Histogram is ready;
// Record takes no lock and allocates nothing.
type Histogram struct {
	counts [bucketCount]atomic.Int64
	sum    atomic.Int64
	max    atomic.Int64
}

// Record counts one value; negative ones count as 0, too large ones as the largest.
func (h *Histogram) Record(v int64) {
	v = max(v, 0)
	h.counts[bucketOf(v)].Add(1)
	h.sum.Add(v)
	for {
		old := h.max.Load()
		if v <= old || h.max.CompareAndSwap(old, v) {
			return
		}
	}
}

// bucketOf is exact below 4, then the position of the leading bit and the two
// bits behind it.
func bucketOf(v int64) int {
	const exact = 1 << bucketBits
	if v < exact {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 1 - bucketBits
	return min(shift<<bucketBits+int(v>>shift), bucketCount-1)
}

// bucketEnd is the largest value that falls into a bucket.
func bucketEnd(i int) int64 {
	const exact = 1 << bucketBits
	if i < exact {
		return int64(i)
	}
	shift := i>>bucketBits - 1
	return int64(exact+i&(exact-1)+1)<<shift - 1
}

// Snapshot is a histogram at one moment.
type Snapshot struct {
	Count, Sum, Max int64
	counts          [bucketCount]int64
}

// Snapshot reads the histogram. Values recorded meanwhile may be in it or not.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: h.sum.Load(), Max: h.max.Load()}
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	return s
}

// Mean is the average, NaN of nothing.
func (s *Snapshot) Mean() float64 {
	if s.Count == 0 {
		return math.NaN()
	}
	return float64(s.Sum) / float64(s.Count)
}

// Percentile is a value that the share p (0 to 1) of all values does not
// exceed: the end of its bucket, never more than the largest value seen.
func (s *Snapshot) Percentile(p float64) int64 {
	rank := int64(math.Ceil(p * float64(s.Count)))
	var seen int64
	for i, n := range s.counts {
		seen += n
		if seen >= rank && seen > 0 {
			return min(bucketEnd(i), s.Max)
		}
	}
	return s.Max
}

// Buckets visits the end of each power of two with the count up to it.
func (s *Snapshot) Buckets(visit func(end int64, cumulated int64)) {
	var seen int64
	for i, n := range s.counts {
		seen += n
		if i&(1<<bucketBits-1) == 1<<bucketBits-1 {
			visit(bucketEnd(i), seen)
		}
	}
}
