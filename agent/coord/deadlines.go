package coord

import (
	"sync"
	"time"
)

// deadlines wake writes whose time is over: one timer for all. Writes that wait
// equally long stand in one list, which is appended to at its end; there are as
// many lists as there are such times, which is few.
type deadlines struct {
	began time.Time

	mu     sync.Mutex // guards what follows, and the fields of writings that say so
	queues []*dueQueue
	timer  *time.Timer
	wakes  time.Duration // when the timer fires; 0: it does not
}

// dueQueue is a list of writes by their deadlines. after is how long all of them
// waited or will wait since they began; those in their second half are listed
// later than others that end as soon.
type dueQueue struct {
	after       time.Duration
	secondHalf  bool
	first, last *writing
}

// dueQueuesMax bounds the lists. Whoever does not find one of its own stands in
// the last, at the place that is looked for from its end.
const dueQueuesMax = 16

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
	d.insertLocked(op, false)
	d.wakeLocked(now)
}

// queueLocked is the list of an equal wait, a new one if there is none.
func (d *deadlines) queueLocked(after time.Duration, secondHalf bool) *dueQueue {
	var free *dueQueue
	for _, q := range d.queues {
		switch {
		case q.after == after && q.secondHalf == secondHalf:
			return q
		case q.first == nil:
			free = q
		}
	}
	if free == nil && len(d.queues) == dueQueuesMax {
		return d.queues[dueQueuesMax-1]
	}
	if free == nil {
		free = new(dueQueue)
		d.queues = append(d.queues, free)
	}
	free.after, free.secondHalf = after, secondHalf
	return free
}

func (d *deadlines) insertLocked(op *writing, secondHalf bool) {
	q := d.queueLocked(op.at-op.began, secondHalf)
	op.queue = q
	op.prev = q.last
	for op.prev != nil && op.prev.at > op.at { // nobody, but for a race of two
		op.prev = op.prev.prev
	}
	if op.prev != nil {
		op.next, op.prev.next = op.prev.next, op
	} else {
		op.next, q.first = q.first, op
	}
	if op.next != nil {
		op.next.prev = op
	} else {
		q.last = op
	}
}

func (d *deadlines) unlinkLocked(op *writing) {
	q := op.queue
	if op.prev != nil {
		op.prev.next = op.next
	} else {
		q.first = op.next
	}
	if op.next != nil {
		op.next.prev = op.prev
	} else {
		q.last = op.prev
	}
	op.next, op.prev, op.queue = nil, nil, nil
}

// firstLocked is the write that is due first, nil if none is listed.
func (d *deadlines) firstLocked() (first *writing) {
	for _, q := range d.queues {
		if q.first != nil && (first == nil || q.first.at < first.at) {
			first = q.first
		}
	}
	return first
}

// wakeLocked sets the timer to the first deadline. It is not set back when that
// is met early: it fires for nothing, once in a time-out.
func (d *deadlines) wakeLocked(now time.Duration) {
	first := d.firstLocked()
	if first == nil || d.wakes != 0 && d.wakes <= first.at {
		return
	}
	d.wakes = first.at
	wait := max(first.at-now, deadlineStep)
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
	if op.queue == nil {
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
	for op := d.firstLocked(); op != nil && op.at <= now; op = d.firstLocked() {
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
