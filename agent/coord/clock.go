package coord

import (
	"sync/atomic"
	"time"
)

// Clock gives write timestamps: microseconds, never the same twice, never
// backwards within the process. Plain and conditional writes of a node share
// one, so that of two writes the later has the greater timestamp.
type Clock struct {
	now  func() time.Time
	last atomic.Int64
}

// NewClock makes a Clock that follows now.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Micros is the next timestamp.
func (c *Clock) Micros() int64 {
	now := c.now().UnixMicro()
	for {
		last := c.last.Load()
		if now <= last {
			now = last + 1
		}
		if c.last.CompareAndSwap(last, now) {
			return now
		}
	}
}
