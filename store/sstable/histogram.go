package sstable

import (
	"math"
	"slices"
	"sort"
)

// Histogram counts values in buckets that grow by a fifth: Counts[i] values in
// (Offsets[i-1], Offsets[i]], and those beyond the last offset in the last.
type Histogram struct {
	Offsets []int64
	Counts  []int64
}

// The numbers of offsets that Cassandra gives the two histograms.
const (
	sizeOffsets = 150
	cellOffsets = 118
)

func newHistogram(offsets int) Histogram {
	h := Histogram{make([]int64, offsets), make([]int64, offsets+1)}
	last := int64(1)
	for i := range h.Offsets {
		h.Offsets[i] = last
		last = max(last+1, int64(math.Round(float64(last)*1.2)))
	}
	return h
}

// add counts v and returns its bucket. Where the one before went is looked at
// first: partitions of a table are much alike.
func (h *Histogram) add(v int64, before int) int {
	i := before
	if v > h.Offsets[i] || i == 0 || v <= h.Offsets[i-1] {
		i, _ = slices.BinarySearch(h.Offsets, v)
	}
	h.Counts[i]++
	return min(i, len(h.Offsets)-1)
}

// Total is the number of values.
func (h *Histogram) Total() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Mean estimates the average by the buckets' upper ends, as Cassandra does.
func (h *Histogram) Mean() int64 {
	var n, sum int64
	for i, c := range h.Counts {
		if i < len(h.Offsets) {
			n += c
			sum += c * h.Offsets[i]
		}
	}
	if n == 0 {
		return 0
	}
	return (sum + n - 1) / n
}

func (h *Histogram) append(dst []byte) []byte {
	dst = appendU32(dst, uint32(len(h.Counts)))
	for i, c := range h.Counts {
		dst = appendU64(dst, uint64(h.Offsets[max(0, i-1)]))
		dst = appendU64(dst, uint64(c))
	}
	return dst
}

func (d *decoder) histogram() (h Histogram) {
	n := d.count(uint64(d.u32()), 16)
	if d.err == nil && n < 2 {
		d.failf("a histogram of %d buckets", n)
	}
	for i := range n {
		offset := d.i64()
		if i > 0 {
			h.Offsets = append(h.Offsets, offset)
		}
		h.Counts = append(h.Counts, d.i64())
		if c := h.Counts[i]; c < 0 || (i > 1 && offset <= h.Offsets[i-2]) {
			d.failf("histogram bucket %d: offset %d, count %d", i, offset, c)
		}
	}
	return h
}

// DropTimes is a histogram of when tombstones and expiring cells become
// droppable (their local deletion times), in at most dropTimesMax bins.
type DropTimes []DropTime

// DropTime is one bin.
type DropTime struct {
	LocalTime int64
	Count     int64
}

const (
	dropTimesMax   = 100
	dropTimeRound  = 60 // seconds
	dropTimesSpool = 4096
)

// Before estimates how many became droppable before the second t: whole bins
// below it, and of the one in which t lies the part that interpolation gives.
func (dt DropTimes) Before(t int64) float64 {
	var sum float64
	for i, b := range dt {
		if b.LocalTime >= t {
			break
		}
		if i+1 < len(dt) && dt[i+1].LocalTime > t {
			// The bin and its neighbour share what lies between them.
			share := float64(t-b.LocalTime) / float64(dt[i+1].LocalTime-b.LocalTime)
			end := float64(b.Count) + (float64(dt[i+1].Count)-float64(b.Count))*share
			return sum + float64(b.Count)/2 + (float64(b.Count)+end)*share/2
		}
		sum += float64(b.Count)
	}
	return sum
}

// dropTimesBuilder counts exactly up to dropTimesSpool distinct minutes, then
// merges the closest.
type dropTimesBuilder struct{ counts map[int64]int64 }

func (b *dropTimesBuilder) add(localTime int64) {
	if b.counts == nil {
		b.counts = make(map[int64]int64)
	}
	if r := localTime % dropTimeRound; r > 0 {
		localTime += dropTimeRound - r
	}
	b.counts[localTime]++
	if len(b.counts) > dropTimesSpool {
		merged := b.bins()
		clear(b.counts)
		for _, bin := range merged {
			b.counts[bin.LocalTime] = bin.Count
		}
	}
}

// bins gives at most dropTimesMax bins, ascending.
func (b *dropTimesBuilder) bins() DropTimes {
	all := make(DropTimes, 0, len(b.counts))
	for t, n := range b.counts {
		all = append(all, DropTime{t, n})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].LocalTime < all[j].LocalTime })
	for len(all) > dropTimesMax {
		best := 0
		for i := 1; i+1 < len(all); i++ {
			if all[i+1].LocalTime-all[i].LocalTime < all[best+1].LocalTime-all[best].LocalTime {
				best = i
			}
		}
		x, y := all[best], all[best+1]
		n := x.Count + y.Count
		// The weighted middle; times are far from where the product overflows a float's range.
		mid := x.LocalTime + int64(float64(y.LocalTime-x.LocalTime)*float64(y.Count)/float64(n))
		all[best] = DropTime{mid, n}
		all = slices.Delete(all, best+1, best+2)
	}
	return all
}
