package stress

import (
	"math"
	"sync/atomic"
	"time"
)

// Latency sums up a histogram, in microseconds.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P95  float64 `json:"p95_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

func (c *Counts) latency() Latency {
	us := func(ns float64) float64 { return math.Round(ns) / 1e3 }
	return Latency{us(c.Mean()), us(float64(c.Quantile(.5))), us(float64(c.Quantile(.95))), us(float64(c.Quantile(.99))),
		us(float64(c.Quantile(.999))), us(float64(c.Max))}
}

// KindResult is the part of one kind of operation.
type KindResult struct {
	Kind       string  `json:"kind"`
	Operations int64   `json:"operations"`
	Latency    Latency `json:"latency"`
}

// ScheduleResult tells how well an open loop kept its schedule. Operations
// that began late have their latency counted from when they should have begun.
type ScheduleResult struct {
	Rate       uint64 `json:"rate"`        // operations a second, meant
	Due        uint64 `json:"due"`         // operations that should have begun
	NotStarted uint64 `json:"not_started"` // due and never begun: they have no latency
	Late       int64  `json:"late"`        // begun more than LateAfter late
	// Lateness is how much later than meant the operations began.
	Lateness Latency `json:"lateness"`
	// Service is the latency from the moment of sending: what the server took.
	Service Latency `json:"service"`
}

// LateAfter is how late an operation counts as late.
const LateAfter = time.Millisecond

// Missed tells whether the schedule was not kept: operations were not begun,
// or more than one in a hundred late.
func (s *ScheduleResult) Missed() bool {
	return s.NotStarted > 0 || uint64(s.Late) > s.Due/100
}

// Result is what a run found. Operations, Rate and Latency are of operations
// that succeeded; Errors counts the others.
type Result struct {
	Seconds    float64          `json:"seconds"`
	Operations int64            `json:"operations"`
	Rows       int64            `json:"rows"`
	Rate       float64          `json:"operations_per_second"`
	Latency    Latency          `json:"latency"`
	Kinds      []KindResult     `json:"kinds"`
	Schedule   *ScheduleResult  `json:"schedule,omitempty"` // nil: a closed loop
	Errors     map[string]int64 `json:"errors"`
	Samples    []string         `json:"error_samples,omitempty"` // the first errors
	// Interrupted: the run was ended before its time.
	Interrupted bool `json:"interrupted"`
	// Unanswered requests were given up at the end; they count as errors, too.
	Unanswered int `json:"unanswered"`
	// ClientCPU is the time of this process, user and kernel, for an operation
	// (in microseconds).
	ClientCPU float64 `json:"client_cpu_us"`

	Counts Counts `json:"-"` // what Latency sums up
}

// ErrorCount is the number of failed operations.
func (r *Result) ErrorCount() int64 {
	var n int64
	for _, c := range r.Errors {
		n += c
	}
	return n
}

// Interval is what happened since the interval before.
type Interval struct {
	Elapsed    time.Duration // since the run began
	Operations int64         // since the run began, succeeded
	Rate       float64
	Latency    Latency
	Errors     int64 // since the run began
	// Behind is how many operations are due and have not begun.
	Behind uint64
}

// recorder counts for some of the lanes.
type recorder struct {
	latency       [kindCount]Histogram
	service, wait Histogram // in an open loop
	rows          atomic.Int64
	errors        [errorKindCount]atomic.Int64
}

// totals adds up what all recorders have.
type totals struct {
	kinds              [kindCount]Counts
	all, service, wait Counts
	rows, errors       int64
	errorsByKind       [errorKindCount]int64
}
