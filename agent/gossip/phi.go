package gossip

import (
	"math"
	"time"
)

// The phi accrual failure detector (Hayashibara and others, 2004) with the
// numbers of Cassandra, so that phi_convict_threshold means the same: phi grows
// with the silence, in units of the mean interval between heartbeats, and is 8
// after 18.4 of them.
const (
	arrivalsMax     = 1000
	arrivalFirst    = 2 * time.Second // assumed before the first interval is known
	arrivalMax      = 2 * time.Second // a longer one is an outage, not a rhythm
	phiConvict      = 8.0
	phiFactor       = 1 / math.Ln10
	localPauseMax   = 5 * time.Second
	failedThreshold = 0.5 // of phiConvict, when Members says that it does not answer either
)

// arrivals are when heartbeats of one node came.
type arrivals struct {
	heard  bool
	last   time.Duration
	micros []uint32 // a ring of intervals once it is full
	next   int
	sum    uint64
}

// add notes a heartbeat; true if it has a rhythm with the one before.
func (a *arrivals) add(at time.Duration) bool {
	interval := at - a.last
	first := !a.heard
	a.heard, a.last = true, at
	switch {
	case first:
		a.put(arrivalFirst)
		return false
	case interval > arrivalMax || interval < 0:
		return false
	}
	a.put(interval)
	return true
}

func (a *arrivals) put(interval time.Duration) {
	m := uint32(interval.Microseconds())
	a.sum += uint64(m)
	if len(a.micros) < arrivalsMax {
		a.micros = append(a.micros, m)
		return
	}
	a.sum -= uint64(a.micros[a.next])
	a.micros[a.next] = m
	a.next = (a.next + 1) % arrivalsMax
}

func (a *arrivals) mean() time.Duration {
	if len(a.micros) == 0 {
		return 0
	}
	return time.Duration(a.sum) * time.Microsecond / time.Duration(len(a.micros))
}

// phi is how sure one may be that no heartbeat will come any more: it is wrong
// in one of 10^phi cases.
func (a *arrivals) phi(at time.Duration) float64 {
	if !a.heard {
		return 0
	}
	// A burst of heartbeats must not make the next millisecond a silence.
	mean := max(a.mean(), time.Millisecond)
	return phiFactor * float64(max(at-a.last, 0)) / float64(mean)
}
