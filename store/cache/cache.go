// Package cache keeps decompressed blocks of table files in memory outside the
// Go heap, within a byte limit.
//
// Nouns: Cache, Key (a component of a table and a block of it), Handle (a
// pinned block: its bytes stay where they are until Release), Stats.
//
// store/sstable calls it for every block it reads. It never reads a file: who
// misses reserves room, fills it and inserts it. Nobody waits in it but for
// short locks.
package cache

import (
	"math/bits"
	"sync/atomic"

	"helenus/internal/assert"
	"helenus/internal/budget"
)

// Key names a block. File numbers come from NextFile and are never reused, so
// that blocks of a removed table can never be taken for those of a new one.
type Key struct {
	File  uint64
	Block uint64
}

const (
	slabMax  = 1 << 20
	slabMin  = 64 << 10
	classMin = 9 // 512 bytes
	shardMax = 64
	perShard = 8 * slabMax // below this many bytes a shard is not worth its lock
	noSlot   = -1
	poisoned = 0xDB
)

// Cache is a set of blocks. All methods may be called by many goroutines.
type Cache struct {
	budget   *budget.Budget
	slabSize int
	shards   []shard
	nextFile atomic.Uint64
}

// Stats are counts since the cache was made, and what it holds now.
type Stats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	BytesMapped             int64
	BytesUsed               int64
	LimitBytes              int64
}

// New makes a cache that charges all its memory to b, and so is bounded by b's
// limit. A limit too small for one slab makes a cache that holds nothing.
func New(b *budget.Budget) *Cache {
	n := min(shardMax, max(1, b.Limit()/perShard))
	n = 1 << (bits.Len64(uint64(n)) - 1)
	slab := int64(slabMax)
	for slab > slabMin && b.Limit()/n/slab < 8 {
		slab /= 2
	}
	c := &Cache{budget: b, slabSize: int(slab), shards: make([]shard, n)}
	for i := range c.shards {
		c.shards[i].init(c)
	}
	return c
}

// NextFile gives a number for a file whose blocks will be cached.
func (c *Cache) NextFile() uint64 { return c.nextFile.Add(1) }

// hash spreads keys over shards; blocks of one file land in different ones.
func (k Key) hash() uint64 {
	h := (k.File*0x9e3779b97f4a7c15 ^ k.Block) * 0xff51afd7ed558ccd
	return h ^ h>>32
}

func (c *Cache) shardOf(k Key) int { return int(k.hash() & uint64(len(c.shards)-1)) }

// Get pins a block if it is there. It never blocks for I/O.
func (c *Cache) Get(k Key) (Handle, bool) {
	s := &c.shards[c.shardOf(k)]
	s.mu.Lock()
	i, ok := s.entries[k]
	if !ok {
		s.misses++
		s.mu.Unlock()
		return Handle{}, false
	}
	s.hits++
	s.use[s.slabs[s.slots[i].slab].class-classMin].hits++
	h := s.pinLocked(i)
	s.mu.Unlock()
	return h, true
}

// Reserve gives room for a block of size bytes, pinned and not yet visible to
// anybody; it always succeeds, if need be with memory that Insert will not keep.
func (c *Cache) Reserve(k Key, size int) Handle {
	if class := classOf(size); 1<<class <= c.slabSize {
		s := &c.shards[c.shardOf(k)]
		s.mu.Lock()
		if i := s.allocLocked(class); i != noSlot {
			s.slots[i].size, s.slots[i].pins = int32(size), 1
			h := Handle{shard: s, slot: i, data: s.bytesLocked(i)}
			s.mu.Unlock()
			return h
		}
		s.mu.Unlock()
	}
	return Handle{data: make([]byte, size)}
}

// Insert makes a reserved and filled block visible under k and returns it, or
// the one that somebody else inserted meanwhile. h is used up.
func (c *Cache) Insert(k Key, h Handle) Handle {
	if h.shard == nil {
		return h
	}
	s := h.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Invariant(s == &c.shards[c.shardOf(k)], "cache: block inserted under another key than reserved")
	if i, ok := s.entries[k]; ok {
		s.freeLocked(h.slot)
		return s.pinLocked(i)
	}
	slot := &s.slots[h.slot]
	slot.key, slot.cached, slot.recent = k, true, true
	s.entries[k] = h.slot
	return h
}

// DropFile forgets all blocks of a file; those pinned go when they are released.
func (c *Cache) DropFile(file uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k, slot := range s.entries {
			if k.File == file {
				s.dropLocked(slot)
			}
		}
		s.mu.Unlock()
	}
}

// Stats sums over all shards.
func (c *Cache) Stats() Stats {
	st := Stats{LimitBytes: c.budget.Limit()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Hits += s.hits
		st.Misses += s.misses
		st.Evictions += s.evictions
		st.Entries += len(s.entries)
		st.BytesMapped += int64(len(s.slabs)) * int64(c.slabSize)
		for _, slot := range s.entries {
			st.BytesUsed += int64(s.slots[slot].size)
		}
		s.mu.Unlock()
	}
	return st
}

// Close gives all memory back. No handle may be in use.
func (c *Cache) Close() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, sl := range s.slabs {
			unmap(sl.mem)
			c.budget.Release(int64(c.slabSize))
		}
		s.init(c)
		s.mu.Unlock()
	}
}

// Handle is a pinned block. The zero Handle holds nothing and may be released.
type Handle struct {
	shard *shard // nil: memory of the Go heap, never cached
	slot  int32
	data  []byte
}

// Bytes is the block, valid until Release.
func (h *Handle) Bytes() []byte { return h.data }

// Release unpins the block; a reserved one that was not inserted is freed. The
// Handle is zero afterwards.
func (h *Handle) Release() {
	s := h.shard
	if s == nil {
		h.data = nil
		return
	}
	s.mu.Lock()
	slot := &s.slots[h.slot]
	if slot.pins <= 0 {
		assert.That(false, "cache: released more often than pinned")
	}
	slot.pins--
	if slot.pins == 0 && !slot.cached {
		s.freeLocked(h.slot)
	}
	s.mu.Unlock()
	*h = Handle{}
}
