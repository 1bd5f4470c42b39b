package agent

import (
	"context"
	"sync"
	"time"
)

// throttle spreads bytes over time: compaction_throughput. Whoever asks waits
// until what was granted before has had its time, so a burst is one request.
type throttle struct {
	bytesPerSec int64

	mu   sync.Mutex // guards what follows
	next time.Time
}

// wait grants bytes; its error is the context's.
func (t *throttle) wait(ctx context.Context, bytes int64) error {
	now := time.Now()
	t.mu.Lock()
	if t.next.Before(now) {
		t.next = now
	}
	pause := t.next.Sub(now)
	t.next = t.next.Add(time.Duration(float64(bytes) / float64(t.bytesPerSec) * float64(time.Second)))
	t.mu.Unlock()
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
