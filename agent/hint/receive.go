package hint

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/store"
)

// credits bound the bytes of hints that others bring at once: each asks first,
// gets what is free, and has it for a while. Pure.
type credits struct {
	limit int
	used  int
	given []credit
}

type credit struct {
	to    helenus.HostID
	bytes int
	until time.Time
}

// give reserves up to want bytes for a node, in place of what it had; 0 when
// there are not even need. One hint that is larger than the limit may come when
// nothing else does.
func (c *credits) give(to helenus.HostID, need, want int, now time.Time) int {
	c.take(to, now)
	free := c.limit - c.used
	if c.used == 0 {
		free = max(free, min(need, mutationBytesMax))
	}
	bytes := min(want, free)
	if bytes <= 0 || bytes < need {
		return 0
	}
	c.used += bytes
	c.given = append(c.given, credit{to, bytes, now.Add(creditTime)})
	return bytes
}

// take ends what was reserved for a node, and says how much it was.
func (c *credits) take(to helenus.HostID, now time.Time) (bytes int) {
	kept := c.given[:0]
	for _, g := range c.given {
		switch {
		case g.to == to:
			bytes = g.bytes
			c.used -= g.bytes
		case !now.Before(g.until):
			c.used -= g.bytes
		default:
			kept = append(kept, g)
		}
	}
	c.given = kept
	return bytes
}

// creditTime is how long a node may take to send what it asked for.
const creditTime = 10 * time.Second

// receive applies what another node kept for this one.
func (h *Hints) receive(q *wire.Request) {
	m := q.Message.(*batch)
	if m.Epoch > h.opts.State().Epoch {
		from, epoch := q.From, m.Epoch
		q.Fail(helenus.Errorf(helenus.CodeOverloaded, "this node learns of newer metadata first"))
		if h.opts.Behind != nil {
			h.opts.Behind(from, epoch)
		}
		return
	}
	size := m.size()
	r := &h.receiving
	r.mu.Lock()
	credit := r.credits.take(q.From, h.opts.Now())
	if size <= credit {
		r.credits.used += size // until it is applied
	}
	r.mu.Unlock()
	switch {
	case size > credit:
		q.Fail(helenus.Errorf(helenus.CodeOverloaded, "%d bytes of hints for a grant of %d", size, credit))
	case len(m.Hints) == 0:
		h.replyGrant(q, m, 0)
	default:
		h.apply(q, m, size)
	}
}

// arrival is a batch on its way to the store.
type arrival struct {
	h      *Hints
	q      *wire.Request
	size   int
	left   atomic.Int64
	writes []store.Write

	mu  sync.Mutex // guards err
	err error
}

func (h *Hints) apply(q *wire.Request, m *batch, size int) {
	a := &arrival{h: h, q: q, size: size, writes: make([]store.Write, len(m.Hints))}
	a.left.Store(int64(len(m.Hints)))
	h.stats.Received.Add(uint64(len(m.Hints)))
	for i := range a.writes {
		a.writes[i].Mutation, a.writes[i].Owner = m.Hints[i], a
		h.opts.Replica.Write(&a.writes[i])
	}
}

// Written implements store.Owner.
func (a *arrival) Written(w *store.Write) {
	var told *helenus.Error
	if err := w.Err; err != nil && !(errors.As(err, &told) && told.Code == helenus.CodeInvalid) { // of a table that was dropped: nothing to do
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
	}
	if a.left.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	err := a.err
	a.mu.Unlock()
	if err != nil {
		a.h.release(a.size)
		a.q.Fail(fmt.Errorf("apply hints: %w", err))
		return
	}
	a.h.replyGrant(a.q, a.q.Message.(*batch), a.size)
}

func (h *Hints) release(bytes int) {
	h.receiving.mu.Lock()
	h.receiving.credits.used -= bytes
	h.receiving.mu.Unlock()
}

// replyGrant answers a batch whose bytes are done with.
func (h *Hints) replyGrant(q *wire.Request, m *batch, done int) {
	r := &h.receiving
	r.mu.Lock()
	r.credits.used -= done
	bytes := r.credits.give(q.From, int(m.Need), int(min(m.Want, mutationBytesMax)), h.opts.Now())
	r.mu.Unlock()
	q.Reply(&grant{uint32(bytes)})
}
