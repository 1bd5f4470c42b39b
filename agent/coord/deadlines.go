package coord

import (
	"sync"
	"time"
)

// deadlines wake writes whose time is over: one timer for all. Since nearly all
// have the same time, a sorted list is appended to at its end.
type deadlines struct {
	began time.Time

	mu          sync.Mutex // guards what follows, and the fields of writings that say so
	first, last *writing
	timer       *time.Timer
	wakes       time.Duration // when the timer fires; 0: it does not
}

// deadlineStep is the least time between two wakes.
const deadlineStep = time.Millisecond

func (d *deadlines) now() time.Duration { return time.Since(d.began) }

// add lists a write, which then has a reference here: until remove says true, or
// expired is called. After again, if that is not 0, copies that others should
// have passed on are asked for directly.
func (d *deadlines) add(op *writing, timeout, again time.Duration) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	op.began, op.end = now, now+timeout
	op.at, op.asksAgain = op.end, again > 0
	if again > 0 {
		op.at = now + again
	}
	d.insertLocked(op)
	d.wakeLocked(now)
}

func (d *deadlines) insertLocked(op *writing) {
	op.listed = true
	op.prev = d.last
	for op.prev != nil && op.prev.at > op.at {
		op.prev = op.prev.prev
	}
	if op.prev != nil {
		op.next, op.prev.next = op.prev.next, op
	} else {
		op.next, d.first = d.first, op
	}
	if op.next != nil {
		op.next.prev = op
	} else {
		d.last = op
	}
}

func (d *deadlines) unlinkLocked(op *writing) {
	if op.prev != nil {
		op.prev.next = op.next
	} else {
		d.first = op.next
	}
	if op.next != nil {
		op.next.prev = op.prev
	} else {
		d.last = op.prev
	}
	op.next, op.prev, op.listed = nil, nil, false
}

// wakeLocked sets the timer to the first deadline. It is not set back when that
// is met early: it fires for nothing, once in a time-out.
func (d *deadlines) wakeLocked(now time.Duration) {
	if d.first == nil || d.wakes != 0 && d.wakes <= d.first.at {
		return
	}
	d.wakes = d.first.at
	wait := max(d.first.at-now, deadlineStep)
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.fire)
	} else {
		d.timer.Reset(wait)
	}
}

// remove takes a write from the list and tells whether it was there.
func (d *deadlines) remove(op *writing) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !op.listed {
		return false
	}
	d.unlinkLocked(op)
	return true
}

// fire visits the writes that are due.
func (d *deadlines) fire() {
	now := d.now()
	var due, again []*writing
	d.mu.Lock()
	d.wakes = 0
	for d.first != nil && d.first.at <= now {
		op := d.first
		d.unlinkLocked(op)
		if op.asksAgain {
			again = append(again, op)
		} else {
			due = append(due, op)
		}
	}
	d.wakeLocked(now)
	d.mu.Unlock()
	for _, op := range again {
		op.askAgain()
	}
	for _, op := range due {
		op.expired()
	}
}

// callSlack is by how much a call to another node outlives the request that made
// it: the request's own deadline decides how it ends, not which of two timers of
// the same moment comes first.
const callSlack = 50 * time.Millisecond
