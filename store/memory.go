package store

import "sync"

// memory watches the bytes of all memtables, active and being flushed: above
// the limit flushes begin, above twice the limit writers wait for one to end.
type memory struct {
	limit int64

	mu     sync.Mutex // guards what follows
	free   *sync.Cond
	used   int64
	closed bool

	full chan struct{} // the flusher: used is above limit
}

func (m *memory) init(limit int64) {
	m.limit, m.full = limit, make(chan struct{}, 1)
	m.free = sync.NewCond(&m.mu)
}

// add notes growth (or, negative, what was given back).
func (m *memory) add(n int64) {
	m.mu.Lock()
	m.used += n
	over := m.used > m.limit
	if n < 0 {
		m.free.Broadcast()
	}
	m.mu.Unlock()
	if over && n > 0 {
		select {
		case m.full <- struct{}{}:
		default:
		}
	}
}

// wait holds a writer back while twice the limit is in use.
func (m *memory) wait() {
	m.mu.Lock()
	for m.used > 2*m.limit && !m.closed {
		m.free.Wait()
	}
	m.mu.Unlock()
}

func (m *memory) close() {
	m.mu.Lock()
	m.closed = true
	m.free.Broadcast()
	m.mu.Unlock()
}

// over tells whether more than the limit is in use.
func (m *memory) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used > m.limit
}
