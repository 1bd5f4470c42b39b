package memtable

import (
	"sync/atomic"
	"unsafe"

	"helenus/internal/assert"
	"helenus/internal/budget"
)

// ref is a place in an arena: the slab's number and the offset within. 0 is
// no place.
type ref uint64

const (
	slabFirst = 64 << 10 // a table that is hardly written costs little
	slabMost  = 1 << 20
	slabAlign = 8
	poison    = 0xdb
)

// arena hands out memory that is freed as a whole. One writer at a time, which
// the shard's lock sees to; readers follow refs without lock, because what they
// can reach was written before they could.
type arena struct {
	slabs  atomic.Pointer[[]slab] // replaced to grow, never changed
	used   int                    // bytes of the last slab
	heap   bool                   // tests: where the race detector looks
	budget *budget.Budget
	total  *atomic.Int64 // of all arenas
	mapped int64
	handed int64
}

type slab struct {
	bytes  []byte
	mapped bool
}

// alloc returns n zeroed bytes at an address divisible by 8.
func (a *arena) alloc(n int) (ref, []byte) {
	size := (n + slabAlign - 1) &^ (slabAlign - 1)
	slabs := *a.slabs.Load()
	if len(slabs) == 0 || a.used+size > len(slabs[len(slabs)-1].bytes) {
		slabs = a.grow(slabs, size)
	}
	last := len(slabs) - 1
	at := a.used
	a.used += size
	a.handed += int64(size)
	return ref(last)<<32 | ref(at), slabs[last].bytes[at : at+n : at+n]
}

// grow appends a slab that holds at least size bytes. What is left of the one
// before stays unused: it is less than what was asked for.
func (a *arena) grow(slabs []slab, size int) []slab {
	want := slabFirst
	if n := len(slabs); n > 0 {
		want = min(2*len(slabs[n-1].bytes), slabMost)
	}
	a.used = 0
	if len(slabs) == 0 {
		a.used = slabAlign // so that no ref is 0
	}
	want = max(want, (size+a.used+slabFirst-1)&^(slabFirst-1))
	var s slab
	if !a.heap {
		s.bytes = mapSlab(want)
		s.mapped = s.bytes != nil
	}
	if s.bytes == nil {
		s.bytes = make([]byte, want)
	}
	a.charge(int64(want))
	slabs = append(slabs[:len(slabs):len(slabs)], s)
	a.slabs.Store(&slabs)
	return slabs
}

// charge counts memory that free gives back. It is forced: a write in the log
// can no longer be refused.
func (a *arena) charge(n int64) {
	a.mapped += n
	a.total.Add(n)
	if a.budget != nil {
		a.budget.Force(n)
	}
}

// release takes back what was charged.
func (a *arena) release(n int64) {
	a.mapped -= n
	a.total.Add(-n)
	if a.budget != nil {
		a.budget.Release(n)
	}
}

// free gives everything back. Nobody may hold a slice any more.
func (a *arena) free() {
	for _, s := range *a.slabs.Load() {
		if assert.Invariants {
			for i := range s.bytes {
				s.bytes[i] = poison
			}
		}
		if s.mapped {
			unmapSlab(s.bytes)
		}
	}
	a.slabs.Store(new([]slab))
	if a.budget != nil {
		a.budget.Release(a.mapped)
	}
	a.total.Add(-a.mapped)
	a.mapped = 0
}

// from is the memory from r to the end of its slab.
func (a *arena) from(r ref) []byte {
	return (*a.slabs.Load())[r>>32].bytes[uint32(r):]
}

// word is an atomic 64-bit word; r must be divisible by 8.
func (a *arena) word(r ref) *uint64 {
	b := a.from(r)
	if len(b) < 8 {
		assert.That(false, "memtable: a word beyond its slab")
	}
	return (*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
}

func (a *arena) load(r ref) ref     { return ref(atomic.LoadUint64(a.word(r))) }
func (a *arena) store(r ref, v ref) { atomic.StoreUint64(a.word(r), uint64(v)) }
