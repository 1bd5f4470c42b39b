package wire

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// clock wakes one goroutine when the first of all deadlines comes.
type clock struct {
	at atomic.Int64 // when the timer fires, in time.Duration since Wire.began

	mu    sync.Mutex // guards setting at and timer together
	timer *time.Timer
}

const (
	never = time.Duration(math.MaxInt64)
	// clockStep is the least time between two walks; a deadline may be met so
	// much late.
	clockStep = time.Millisecond
	// clockWalkMax is the most: connections without calls are looked at then.
	clockWalkMax = time.Minute
)

func (c *clock) init() {
	c.at.Store(int64(never))
	c.timer = time.NewTimer(never)
}

// wakeAt makes the clock fire at that time at the latest.
func (w *Wire) wakeAt(at time.Duration) {
	c := &w.clock
	if int64(at) >= c.at.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(at) < c.at.Load() {
		c.at.Store(int64(at))
		c.timer.Reset(at - w.now())
	}
}

// watchClock visits every link and connection when something is due.
func (w *Wire) watchClock(ctx context.Context) {
	defer w.clock.timer.Stop()
	forget := w.now() + clockWalkMax
	for {
		w.wakeAt(forget)
		select {
		case <-ctx.Done():
			return
		case <-w.clock.timer.C:
		}
		w.clock.mu.Lock()
		w.clock.at.Store(int64(never))
		w.clock.mu.Unlock()
		now := w.now()
		if now >= forget {
			w.forget(now)
			forget = now + clockWalkMax
		}
		w.wakeAt(max(w.tick(now), now+clockStep))
	}
}

// tick settles what is due and says when the next thing is.
func (w *Wire) tick(now time.Duration) time.Duration {
	w.mu.Lock()
	order, inbound := w.order, append([]*inbound(nil), w.inbound...)
	w.mu.Unlock()
	next := never
	for _, p := range order {
		for i := range p.links {
			next = min(next, p.links[i].tick(now))
		}
	}
	for _, c := range inbound {
		next = min(next, c.tick(now))
	}
	return next
}
