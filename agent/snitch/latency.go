package snitch

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are counted in buckets, 16 for every doubling, so that a bucket's
// ends are at most 6 % apart. Below a millisecond nodes count as equally fast:
// there, a node that knows the keys is worth more than one that is faster.
const (
	latencyUnit   = time.Millisecond / bucketParts
	bucketParts   = 16
	bucketDoubles = 16 // up to 65 seconds
	bucketCount   = 1 + bucketParts*bucketDoubles
)

// bucketOf is where a latency is counted.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0)) / uint64(latencyUnit)
	if n < bucketParts {
		return 0
	}
	doubles := bits.Len64(n) - bits.Len64(bucketParts)
	if doubles >= bucketDoubles {
		return bucketCount - 1
	}
	return 1 + doubles*bucketParts + int(n>>doubles) - bucketParts
}

// boundsOf are the ends of a bucket, in milliseconds.
func boundsOf(bucket int) (low, high float64) {
	if bucket == 0 {
		return 1, 1
	}
	doubles, part := (bucket-1)/bucketParts, (bucket-1)%bucketParts
	step := float64(uint64(1)<<doubles) / bucketParts
	low = float64(bucketParts+part) * step
	return low, low + step
}

// decayPerSecond is the exponent by which a latency loses weight: after a second
// it counts as 0.47 of a new one.
const decayPerSecond = 0.75

// reservoir holds latencies by weight, which decays exponentially.
type reservoir struct {
	weights [bucketCount]float32
	at      time.Time // when the weights were what they are
}

// fold adds new latencies. As long as none come, the old ones keep their weight
// among each other, and it makes no difference when they are decayed.
func (r *reservoir) fold(fresh *[bucketCount]uint32, now time.Time) {
	keep := float32(0)
	if !r.at.IsZero() {
		keep = float32(math.Exp(-decayPerSecond * now.Sub(r.at).Seconds()))
	}
	r.at = now
	for i := range r.weights {
		r.weights[i] = r.weights[i]*keep + float32(fresh[i])
	}
}

// median is in milliseconds; 0 when there is nothing.
func (r *reservoir) median() float64 {
	total := 0.0
	for _, w := range r.weights {
		total += float64(w)
	}
	if total == 0 {
		return 0
	}
	below := 0.0
	for i, w := range r.weights {
		if weight := float64(w); below+weight >= total/2 && weight > 0 {
			low, high := boundsOf(i)
			return low + (high-low)*(total/2-below)/weight
		}
		below += float64(w)
	}
	return 0
}

// latencies are those of one node.
type latencies struct {
	fresh [bucketCount]atomic.Uint32 // since the last update; counted by everybody
	score atomic.Uint64              // a float64's bits; read by everybody

	// What is below belongs to update.
	kept   reservoir
	middle float64
}

// record counts a latency.
func (l *latencies) record(d time.Duration) { l.fresh[bucketOf(d)].Add(1) }

// drain takes what was counted into the reservoir.
func (l *latencies) drain(now time.Time) {
	var fresh [bucketCount]uint32
	any := false
	for i := range l.fresh {
		if l.fresh[i].Load() > 0 {
			fresh[i] = l.fresh[i].Swap(0)
			any = true
		}
	}
	if any {
		l.kept.fold(&fresh, now)
		l.middle = l.kept.median()
	}
}

func (l *latencies) loadScore() float64 { return math.Float64frombits(l.score.Load()) }
