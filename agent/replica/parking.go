package replica

import (
	"sync"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// parkedMax bounds the requests that wait for metadata.
const parkedMax = 4096

// parking holds requests of coordinators that know more than this node.
type parking struct {
	mu    sync.Mutex // guards what follows
	list  []parkedRequest
	timer *time.Timer
	wakes time.Time // when the timer fires; zero: it does not
	ended bool
}

type parkedRequest struct {
	epoch   meta.Epoch
	request *wire.Request
	run     func(*Replica, *wire.Request)
}

// add takes a request; false when there are too many.
func (p *parking) add(r *Replica, q parkedRequest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.list) >= parkedMax {
		return false
	}
	p.list = append(p.list, q)
	p.wakeLocked(r, q.request.Deadline())
	return true
}

// wakeLocked makes the timer fire at a deadline at the latest.
func (p *parking) wakeLocked(r *Replica, at time.Time) {
	if !p.wakes.IsZero() && !at.Before(p.wakes) {
		return
	}
	p.wakes = at
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Until(at), func() { p.release(r) })
		return
	}
	p.timer.Reset(time.Until(at))
}

// release runs what need not wait any more and drops what waited for too long.
func (p *parking) release(r *Replica) {
	var ready []parkedRequest
	p.mu.Lock()
	// Read under the lock: an add that comes later sees at least this state.
	epoch := r.opts.States.State().Epoch
	p.wakes = time.Time{}
	kept := p.list[:0]
	for _, q := range p.list {
		if q.epoch <= epoch || q.request.Expired() {
			ready = append(ready, q)
		} else {
			kept = append(kept, q)
			p.wakeLocked(r, q.request.Deadline())
		}
	}
	clear(p.list[len(kept):])
	p.list = kept
	p.mu.Unlock()
	for _, q := range ready {
		if q.request.Expired() {
			q.request.Drop()
		} else {
			q.run(r, q.request)
		}
	}
}

// end refuses what waits.
func (p *parking) end() {
	p.mu.Lock()
	list := p.list
	p.list, p.ended = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, q := range list {
		q.request.Fail(helenus.Errorf(helenus.CodeOverloaded, "this node is stopping"))
	}
}
