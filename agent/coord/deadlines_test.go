package coord

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlinesAreAppended: however many writes wait, and some of them for a
// second look first, none is put before another of its list.
func TestDeadlinesAreAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		d := &c.deadlines
		for i := range 3000 {
			op := newWriting(c)
			op.refs, op.unsettled = 2, 1
			again := time.Duration(0)
			if i%3 == 0 {
				again = time.Second
			}
			d.add(op, 2*time.Second, again)
			d.mu.Lock()
			if len(d.queues) > 3 || op.queue.last != op {
				t.Fatalf("write %d stands elsewhere, in one of %d lists", i, len(d.queues))
			}
			d.mu.Unlock()
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		time.Sleep(2*time.Second + deadlineStep)
		synctest.Wait()
		if d.firstLocked() != nil {
			t.Error("a write is still listed")
		}
	})
}

// TestDeadlines lists writes with all kinds of times and takes some of them
// back: each other one is visited once, when it is due and not before.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		c := New(Options{})
		type listed struct {
			op  *writing
			end time.Duration
		}
		var all []listed
		for range 3000 {
			switch rng.IntN(4) {
			case 0, 1:
				op := newWriting(c)
				op.refs, op.unsettled = 2, 1 // this test's, so that it is not recycled, and the list's
				timeout, again := time.Duration(1+rng.IntN(2000))*time.Millisecond, time.Duration(0)
				if rng.IntN(3) == 0 {
					again = timeout / 2
				}
				c.deadlines.add(op, timeout, again)
				all = append(all, listed{op, c.deadlines.now() + timeout})
			case 2:
				if len(all) > 0 {
					i := rng.IntN(len(all))
					if due := references(all[i].op) == 1; c.deadlines.remove(all[i].op) == due {
						t.Fatalf("removed, though it was due: %v", due)
					}
					all = append(all[:i], all[i+1:]...)
				}
			}
			time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond)
			synctest.Wait()
			for _, x := range all {
				if now, refs := c.deadlines.now(), references(x.op); refs == 1 && now < x.end || refs == 2 && now > x.end+deadlineStep {
					t.Fatalf("at %v a write that is due at %v has %d references", now, x.end, refs)
				}
			}
		}
	})
}

func references(op *writing) int {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.refs
}
