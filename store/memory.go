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

	mu      sync.Mutex      // guards what follows
	waiting []chan struct{} // writers, the first to come first
	closed  bool
}

func (m *memory) init(b *budget.Budget, limit int64) {
	m.budget, m.limit, m.full = b, limit, make(chan struct{}, 1)
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

// crowded tells whether writers must wait.
func (m *memory) crowded() bool { return m.budget.Used() > 2*m.limit }

// wait holds a writer back while twice the limit is in use; after its write it
// calls freed, so that they go on one by one in the order in which they came.
func (m *memory) wait() (waited bool) {
	for m.crowded() {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return waited
		}
		turn := make(chan struct{})
		m.waiting = append(m.waiting, turn)
		m.mu.Unlock()
		m.grown()
		if !m.crowded() { // freed may have looked just before
			m.freed()
		}
		<-turn
		waited = true
	}
	return waited
}

// freed lets the first waiting writer look again.
func (m *memory) freed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) > 0 && !m.crowded() {
		close(m.waiting[0])
		m.waiting = m.waiting[1:]
	}
}

// close lets all writers go on, and keeps none from now on.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, turn := range m.waiting {
		close(turn)
	}
	m.waiting = nil
}
