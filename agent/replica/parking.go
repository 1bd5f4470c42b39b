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
	p.watchLocked(r)
	return true
}

// watchLocked sets the timer to the first deadline.
func (p *parking) watchLocked(r *Replica) {
	if len(p.list) == 0 {
		return
	}
	first := p.list[0].request.Deadline()
	for _, q := range p.list[1:] {
		if d := q.request.Deadline(); d.Before(first) {
			first = d
		}
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Until(first), func() { p.release(r) })
		return
	}
	p.timer.Reset(time.Until(first))
}

// release runs what need not wait any more and drops what waited for too long.
func (p *parking) release(r *Replica) {
	var ready []parkedRequest
	p.mu.Lock()
	// Read under the lock: an add that comes later sees at least this state.
	epoch := r.opts.States.State().Epoch
	kept := p.list[:0]
	for _, q := range p.list {
		if q.epoch <= epoch || q.request.Expired() {
			ready = append(ready, q)
		} else {
			kept = append(kept, q)
		}
	}
	clear(p.list[len(kept):])
	p.list = kept
	if ready != nil {
		p.watchLocked(r)
	}
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
