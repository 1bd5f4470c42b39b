package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestThrottle: a megabyte a second takes four seconds for the five that ask,
// and an end of the context ends the waiting.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := &throttle{bytesPerSec: 1 << 20}
		started := time.Now()
		for range 5 {
			if err := th.wait(context.Background(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if err := th.wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
