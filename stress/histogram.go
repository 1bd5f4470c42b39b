package stress

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// The buckets are HdrHistogram's with three significant digits from 1 up: 2048
// of width one, then 1024 to each power of two. A part holds 1024 and exists
// only if a value fell into it.
const (
	partBits  = 10
	partSize  = 1 << partBits
	valueBits = 42 // 73 minutes in nanoseconds
	partCount = valueBits - partBits
	valueMax  = 1<<valueBits - 1
)

type part [partSize]atomic.Int64

// Histogram counts how often which value came. The zero Histogram is ready.
// Record may be called by many goroutines and allocates nothing once all parts
// in use exist: at most 33 of 8 KiB.
type Histogram struct {
	parts [partCount + 1]atomic.Pointer[part]
	max   atomic.Int64
	sum   atomic.Int64
}

// Record counts one value; negative ones count as 0, too large ones as the
// largest there is.
func (h *Histogram) Record(v int64) {
	v = min(max(v, 0), valueMax)
	i := bucketOf(v)
	p := h.parts[i>>partBits].Load()
	if p == nil {
		p = h.grow(i >> partBits)
	}
	p[i&(partSize-1)].Add(1)
	h.sum.Add(v)
	for {
		old := h.max.Load()
		if v <= old || h.max.CompareAndSwap(old, v) {
			return
		}
	}
}

func (h *Histogram) grow(i int) *part {
	h.parts[i].CompareAndSwap(nil, new(part))
	return h.parts[i].Load()
}

// bucketOf keeps the eleven leading bits of a value.
func bucketOf(v int64) int {
	shift := bits.Len64(uint64(v)|(2*partSize-1)) - partBits - 1
	return shift<<partBits + int(v>>shift)
}

// bucketEnd is the largest value of a bucket.
func bucketEnd(i int) int64 {
	shift := max(i>>partBits-1, 0)
	return int64(i-shift<<partBits+1)<<shift - 1
}

// Counts is what histograms held at one moment. The zero Counts is empty.
type Counts struct {
	Total, Sum, Max int64
	parts           [partCount + 1]*[partSize]int64
}

// Add adds what a histogram holds. Values recorded meanwhile may be in it or not.
func (c *Counts) Add(h *Histogram) {
	c.Sum += h.sum.Load()
	c.Max = max(c.Max, h.max.Load())
	for i := range h.parts {
		p := h.parts[i].Load()
		if p == nil {
			continue
		}
		into := c.part(i)
		for j := range p {
			n := p[j].Load()
			into[j] += n
			c.Total += n
		}
	}
}

// Merge adds other counts.
func (c *Counts) Merge(o *Counts) {
	c.Max = max(c.Max, o.Max)
	c.combine(o, 1)
}

// Since takes away what was there at an earlier moment. The maximum is then
// known only as well as the buckets are.
func (c *Counts) Since(earlier *Counts) {
	c.combine(earlier, -1)
	if c.Max != earlier.Max {
		return // it came since then
	}
	c.Max = 0
	for i := partCount; i >= 0; i-- {
		for j := partSize - 1; c.parts[i] != nil && j >= 0; j-- {
			if c.parts[i][j] > 0 {
				c.Max = bucketEnd(i<<partBits + j)
				return
			}
		}
	}
}

func (c *Counts) combine(o *Counts, sign int64) {
	c.Total += sign * o.Total
	c.Sum += sign * o.Sum
	for i, p := range o.parts {
		if p == nil {
			continue
		}
		into := c.part(i)
		for j, n := range p {
			into[j] += sign * n
		}
	}
}

func (c *Counts) part(i int) *[partSize]int64 {
	if c.parts[i] == nil {
		c.parts[i] = new([partSize]int64)
	}
	return c.parts[i]
}

// Mean is the average; 0 of nothing.
func (c *Counts) Mean() float64 {
	if c.Total == 0 {
		return 0
	}
	return float64(c.Sum) / float64(c.Total)
}

// Quantile is a value that the share q (0 to 1) of all values does not exceed:
// the end of its bucket, never more than the largest value seen.
func (c *Counts) Quantile(q float64) int64 {
	rank := max(1, int64(math.Ceil(q*float64(c.Total))))
	var seen int64
	for i, p := range c.parts {
		if p == nil {
			continue
		}
		for j, n := range p {
			if seen += n; seen >= rank {
				return min(bucketEnd(i<<partBits+j), c.Max)
			}
		}
	}
	return c.Max
}

// Above is how many values are larger than v, as well as the buckets know.
func (c *Counts) Above(v int64) int64 {
	var n int64
	first := bucketOf(min(v, valueMax)) + 1
	for i, p := range c.parts {
		if p == nil || (i+1)<<partBits <= first {
			continue
		}
		for j := max(first-i<<partBits, 0); j < partSize; j++ {
			n += p[j]
		}
	}
	return n
}
