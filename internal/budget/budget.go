// Package budget holds one tree of memory limits.
//
// Nouns: Budget (a node of the tree: a name, a limit, what is used), the root
// (memory_limit), a charge (bytes taken before they are allocated).
//
// Whoever is about to hold memory in bulk charges first: front rooms before
// they decode a frame, the store's memtables and caches. A refused charge is
// the caller's to answer: Overloaded to a client, back-pressure to a producer.
// The package never allocates, frees or waits, and takes no lock after a
// Budget has been made.
package budget

import (
	"math"
	"sync"
	"sync/atomic"

	"helenus/internal/assert"
)

// Unlimited is the limit of a Budget that only its ancestors bound.
const Unlimited = math.MaxInt64

// Budget is one limit below its parent's. All methods may be called by many
// goroutines at once.
type Budget struct {
	name   string
	parent *Budget
	limit  atomic.Int64
	used   atomic.Int64
	denied atomic.Uint64

	mu       sync.Mutex
	children []*Budget // guarded by mu; only grows
}

// New makes a root of limitBytes.
func New(name string, limitBytes int64) *Budget {
	assert.That(limitBytes >= 0, "budget %s: limit %d", name, limitBytes)
	b := &Budget{name: name}
	b.limit.Store(limitBytes)
	return b
}

// Child makes a Budget whose charges also count in b and all above it. The
// limits of children may add up to more than b's: b's holds all the same.
func (b *Budget) Child(name string, limitBytes int64) *Budget {
	c := New(b.name+"."+name, limitBytes)
	c.parent = b
	b.mu.Lock()
	b.children = append(b.children, c)
	b.mu.Unlock()
	return c
}

// Charge takes n bytes here and in every ancestor, or takes nothing and says no.
func (b *Budget) Charge(n int64) bool {
	if n < 0 {
		assert.That(false, "budget %s: charge of %d", b.name, n)
	}
	for at := b; at != nil; at = at.parent {
		if at.take(n) {
			continue
		}
		at.denied.Add(1)
		for undo := b; undo != at; undo = undo.parent {
			undo.used.Add(-n)
		}
		return false
	}
	return true
}

// take compares before it adds, so that a large charge that will be refused
// never makes a small one beside it fail.
func (b *Budget) take(n int64) bool {
	for {
		used := b.used.Load()
		if n > b.limit.Load()-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Force takes n bytes even beyond the limits: for memory that exists already,
// and for what must go on for memory to become free again.
func (b *Budget) Force(n int64) {
	if n < 0 {
		assert.That(false, "budget %s: charge of %d", b.name, n)
	}
	for at := b; at != nil; at = at.parent {
		at.used.Add(n)
	}
}

// Release gives back n bytes that were charged to this very Budget.
func (b *Budget) Release(n int64) {
	if n < 0 {
		assert.That(false, "budget %s: release of %d", b.name, n)
	}
	for at := b; at != nil; at = at.parent {
		left := at.used.Add(-n)
		if left < 0 {
			assert.That(false, "budget %s: released %d bytes more than were charged", at.name, -left)
		}
	}
}

// Name is the path from the root, joined by dots.
func (b *Budget) Name() string { return b.name }

// Used is what is charged now, descendants included.
func (b *Budget) Used() int64 { return b.used.Load() }

// Limit is the most that Charge lets Used become.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Denied counts the charges that failed because of this Budget's own limit.
func (b *Budget) Denied() uint64 { return b.denied.Load() }

// SetLimit changes the limit at run time. What is charged stays charged.
func (b *Budget) SetLimit(limitBytes int64) {
	assert.That(limitBytes >= 0, "budget %s: limit %d", b.name, limitBytes)
	b.limit.Store(limitBytes)
}

// Walk calls fn for b and all below it, parents first, in the order of making.
func (b *Budget) Walk(fn func(*Budget)) {
	fn(b)
	b.mu.Lock()
	children := b.children[:len(b.children):len(b.children)]
	b.mu.Unlock()
	for _, c := range children {
		c.Walk(fn)
	}
}
