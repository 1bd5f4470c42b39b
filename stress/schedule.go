package stress

import (
	"math"
	"math/bits"
)

// Schedule says when the n-th operation is meant to begin, in nanoseconds from
// the start of the run.
type Schedule struct {
	// Rate is operations per second; 0 is a closed loop, which has no schedule.
	Rate uint64
}

const second = 1_000_000_000

// at is exact at every rate: whole nanoseconds between operations would drift.
func (s Schedule) at(n uint64) int64 {
	hi, lo := bits.Mul64(n, second)
	if hi >= s.Rate {
		return math.MaxInt64 // centuries from now
	}
	q, _ := bits.Div64(hi, lo, s.Rate)
	return int64(min(q, math.MaxInt64))
}

// due is how many operations are meant to have begun before a moment.
func (s Schedule) due(before int64) uint64 {
	if before <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(before), s.Rate)
	lo, carry := bits.Add64(lo, second-1, 0)
	q, _ := bits.Div64(hi+carry, lo, second)
	return q
}
