package hint

import (
	"context"
	"sync"
	"time"

	"helenus"
)

// Run writes and delivers until ctx ends; then everything is on disk. It runs
// once, and w is the way to other nodes.
func (h *Hints) Run(ctx context.Context, w Caller) error {
	h.wire = w
	var deliveries sync.WaitGroup
	tick := time.NewTicker(h.opts.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		h.look()
		h.each(h.flush)
		h.each(h.collect)
		h.writeNotes()
		h.deliverAll(ctx, &deliveries)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-h.wake:
		}
	}
	deliveries.Wait()
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.each(h.flush)
	h.each(h.collect)
	h.writeNotes()
	h.each(h.closeFile)
	return nil
}

// Close writes down what came after Run had ended: it is not kept, and its nodes
// need repair. Nothing may come any more.
func (h *Hints) Close() { h.writeNotes() }

// each calls f for every queue, without the lock.
func (h *Hints) each(f func(*queue)) {
	h.mu.Lock()
	queues := append([]*queue(nil), h.queues...)
	h.mu.Unlock()
	for _, q := range queues {
		f(q)
	}
}

// look notes who is down since when, and drops what is for nodes that are no
// members any more.
func (h *Hints) look() {
	state := h.opts.State()
	now := h.opts.Now().UnixMilli()
	for _, n := range state.Nodes {
		if n.HostID == h.opts.Self {
			continue
		}
		alive := h.opts.Liveness.Alive(n.HostID)
		h.mu.Lock()
		if q := h.findLocked(n.HostID); q == nil && !alive || q != nil && alive == (q.downSince != 0) {
			q, since := h.queueLocked(n.HostID), now
			if alive {
				since = 0
			}
			q.downSince, h.dirty = since, true
		}
		h.mu.Unlock()
	}
	if !state.Founded() {
		return
	}
	h.mu.Lock()
	var gone []*queue
	kept := h.queues[:0:0]
	for _, q := range h.queues {
		if state.Node(q.host) == nil {
			h.buffered -= int64(len(q.buffer))
			q.buffer = nil
			q.skipLocked()
			gone = append(gone, q)
			h.dirty = true
		} else {
			kept = append(kept, q)
		}
	}
	h.queues = kept
	h.mu.Unlock()
	for _, q := range gone {
		h.opts.Log.Info("hints of a node that is no member any more are dropped", "node", q.host.String())
		h.collect(q)
	}
}

// deliverAll begins to serve the nodes that are back, a few at a time.
func (h *Hints) deliverAll(ctx context.Context, wg *sync.WaitGroup) {
	if h.opts.Settings().Paused {
		return
	}
	now := h.opts.Now()
	h.each(func(q *queue) {
		if !h.opts.Liveness.Alive(q.host) {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		written := q.bytes > int64(len(q.buffer))
		if !written || q.delivering || h.delivering >= h.opts.DeliveriesMax || now.Before(q.retryAt) {
			return
		}
		q.delivering = true
		h.delivering++
		wg.Go(func() {
			err := h.deliver(ctx, q)
			h.mu.Lock()
			defer h.mu.Unlock()
			q.delivering = false
			h.delivering--
			if err != nil {
				q.retryAt = h.opts.Now().Add(retryAfter)
				h.opts.Log.Info("delivery of hints stopped", "node", q.host.String(), "error", err)
			}
		})
	})
}

// retryAfter is how long a node that did not take hints is left alone.
const retryAfter = 5 * time.Second

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// share is this node's part of what one node gets from all.
func (h *Hints) share(bytesPerSec int64) int64 {
	others := 0
	for _, n := range h.opts.State().Nodes {
		if n.HostID != h.opts.Self {
			others++
		}
	}
	return bytesPerSec / int64(max(1, others))
}

// reachable tells whether a delivery may go on.
func (h *Hints) reachable(host helenus.HostID) bool {
	return !h.opts.Settings().Paused && h.opts.Liveness.Alive(host) && h.opts.State().Node(host) != nil
}
