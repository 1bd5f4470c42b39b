package store

import (
	"sync"

	"helenus/internal/budget"
)

// memory watches the bytes of all memtables, active and being flushed: above
// the limit flushes begin, above twice the limit writers wait for one to end.
type memory struct {
	budget *budget.Budget // charged by the memtables
	limit  int64
	full   chan struct{} // the flusher: more than the limit is in use

	mu     sync.Mutex // guards what follows
	free   *sync.Cond
	closed bool
}

func (m *memory) init(b *budget.Budget, limit int64) {
	m.budget, m.limit, m.full = b, limit, make(chan struct{}, 1)
	m.free = sync.NewCond(&m.mu)
}

// over tells whether more than the limit is in use.
func (m *memory) over() bool { return m.budget.Used() > m.limit }

// grown wakes the flusher if need be.
func (m *memory) grown() {
	if !m.over() {
		return
	}
	select {
	case m.full <- struct{}{}:
	default:
	}
}

// wait holds a writer back while twice the limit is in use.
func (m *memory) wait() {
	if m.budget.Used() <= 2*m.limit {
		return
	}
	m.mu.Lock()
	for m.budget.Used() > 2*m.limit && !m.closed {
		m.free.Wait()
	}
	m.mu.Unlock()
}

// freed lets waiting writers look again.
func (m *memory) freed() {
	m.mu.Lock()
	m.free.Broadcast()
	m.mu.Unlock()
}

func (m *memory) close() {
	m.mu.Lock()
	m.closed = true
	m.free.Broadcast()
	m.mu.Unlock()
}
