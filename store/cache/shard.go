package cache

import (
	"math/bits"
	"sync"
)

// shard is one part of the cache under one lock. Slabs are cut into blocks of
// one size class each; eviction is CLOCK within a class, and a class that
// evicts much takes a slab from the one that makes the least of its own: the
// fewest hits for each slab. So what is small and often needed (the parts of an
// index) is not driven out by what is large (chunks of data).
type shard struct {
	mu    sync.Mutex
	cache *Cache

	// entries and slots hold no pointers: the collector does not look inside.
	entries map[Key]int32
	slots   []slot
	unused  []int32 // indexes of slots no slab owns
	slabs   []slab
	free    [slabClasses][]int32
	hands   [slabClasses]hand
	thief   int // which slab was last looked at for taking
	use     [slabClasses]use

	hits, misses, evictions uint64
}

// slabClasses counts sizes from 2^classMin to 2^(classMin+slabClasses-1), slabMax.
const slabClasses = 12

type slot struct {
	key    Key
	slab   int32
	offset int32
	size   int32
	pins   int32
	cached bool // in entries
	recent bool // CLOCK's second chance
}

// use is what a class makes of its memory.
type use struct {
	slabs int
	hits  int // of late: halved now and then
}

// worse tells whether a slab of u gives fewer hits than one of o.
func (u use) worse(o use) bool { return u.hits*o.slabs < o.hits*u.slabs }

type slab struct {
	mem   []byte
	class int
	slots []int32
}

// hand is where CLOCK goes on in a class: a slab and a slot of it.
type hand struct {
	slab, slot int
	evictions  int // since a slab was last taken for this class
}

func (s *shard) init(c *Cache) {
	s.cache = c
	s.entries = make(map[Key]int32)
	s.slots, s.unused, s.slabs = nil, nil, nil
	s.free = [slabClasses][]int32{}
	s.hands = [slabClasses]hand{}
	s.use = [slabClasses]use{}
}

// classOf gives the exponent of the block size for size bytes.
func classOf(size int) int { return max(classMin, bits.Len(uint(max(size, 1)-1))) }

func (s *shard) bytesLocked(i int32) []byte {
	sl := &s.slots[i]
	return s.slabs[sl.slab].mem[sl.offset : sl.offset+sl.size : sl.offset+sl.size]
}

func (s *shard) pinLocked(i int32) Handle {
	s.slots[i].pins++
	s.slots[i].recent = true
	return Handle{shard: s, slot: i, data: s.bytesLocked(i)}
}

// allocLocked gives a block of a class, by a new slab, by eviction, or not at all.
func (s *shard) allocLocked(class int) int32 {
	c := class - classMin
	if len(s.free[c]) == 0 && !s.growLocked(class) {
		h := &s.hands[c]
		// One slab is taken per so many evictions as fill a slab twice.
		if h.evictions > 2*(s.cache.slabSize>>class) || !s.evictLocked(class) {
			h.evictions = 0
			if !s.takeSlabLocked(class) && !s.evictLocked(class) {
				return noSlot
			}
			for i := range s.use {
				s.use[i].hits /= 2
			}
		}
	}
	list := s.free[c]
	i := list[len(list)-1]
	s.free[c] = list[:len(list)-1]
	return i
}

// growLocked maps one more slab if the budget allows.
func (s *shard) growLocked(class int) bool {
	c := s.cache
	share := c.budget.Limit() / int64(len(c.shards))
	if int64(len(s.slabs)+1)*int64(c.slabSize) > max(share, int64(c.slabSize)) || !c.budget.Charge(int64(c.slabSize)) {
		return false
	}
	mem, err := mapAnonymous(c.slabSize)
	if err != nil {
		c.budget.Release(int64(c.slabSize))
		return false
	}
	s.slabs = append(s.slabs, slab{mem: mem})
	s.cutLocked(len(s.slabs)-1, class)
	return true
}

// cutLocked divides a slab into blocks of a class.
func (s *shard) cutLocked(index, class int) {
	sl := &s.slabs[index]
	sl.class, sl.slots = class, sl.slots[:0]
	s.use[class-classMin].slabs++
	for off := 0; off < len(sl.mem); off += 1 << class {
		var i int32
		if n := len(s.unused); n > 0 {
			i, s.unused = s.unused[n-1], s.unused[:n-1]
		} else {
			i = int32(len(s.slots))
			s.slots = append(s.slots, slot{})
		}
		s.slots[i] = slot{slab: int32(index), offset: int32(off)}
		sl.slots = append(sl.slots, i)
		s.free[class-classMin] = append(s.free[class-classMin], i)
	}
}

// evictLocked frees one block of a class that nobody pins.
func (s *shard) evictLocked(class int) bool {
	if len(s.slabs) == 0 {
		return false
	}
	h := &s.hands[class-classMin]
	// Two rounds: the first may only take second chances away.
	for visited := 0; visited <= 2*len(s.slabs); {
		if h.slab >= len(s.slabs) {
			h.slab, h.slot = 0, 0
		}
		sl := &s.slabs[h.slab]
		if sl.class != class || h.slot >= len(sl.slots) {
			h.slab, h.slot = h.slab+1, 0
			visited++
			continue
		}
		i := sl.slots[h.slot]
		h.slot++
		at := &s.slots[i]
		if at.pins > 0 || !at.cached {
			continue
		}
		if at.recent {
			at.recent = false
			continue
		}
		s.evictions++
		h.evictions++
		s.dropLocked(i)
		return true
	}
	return false
}

// dropLocked takes a block out of the index and frees it unless it is pinned.
func (s *shard) dropLocked(i int32) {
	at := &s.slots[i]
	delete(s.entries, at.key)
	at.cached = false
	if at.pins == 0 {
		s.freeLocked(i)
	}
}

func (s *shard) freeLocked(i int32) {
	at := &s.slots[i]
	poison(s.bytesLocked(i))
	*at = slot{slab: at.slab, offset: at.offset}
	c := s.slabs[at.slab].class - classMin
	s.free[c] = append(s.free[c], i)
}

// takeSlabLocked empties a slab that nobody pins, of a class that makes less of
// it, and cuts it anew.
func (s *shard) takeSlabLocked(class int) bool {
	var tried [slabClasses]bool
	tried[class-classMin] = true
	for range s.use {
		worst := -1
		for c, u := range s.use {
			if !tried[c] && u.slabs > 0 && (worst < 0 || u.worse(s.use[worst])) {
				worst = c
			}
		}
		if worst < 0 {
			break
		}
		// What nobody hits is free to take, and a class without a slab cannot have
		// hits yet.
		mine, least := s.use[class-classMin], s.use[worst]
		if mine.slabs > 0 && least.hits > 0 && !least.worse(mine) {
			break
		}
		if s.takeFromLocked(worst+classMin, class) {
			return true
		}
		tried[worst] = true
	}
	return false
}

// takeFromLocked takes one of the slabs of a class, in turn.
func (s *shard) takeFromLocked(from, class int) bool {
	for range s.slabs {
		s.thief = (s.thief + 1) % len(s.slabs)
		sl := &s.slabs[s.thief]
		if sl.class != from || s.pinnedLocked(sl) {
			continue
		}
		for _, i := range sl.slots {
			if s.slots[i].cached {
				s.evictions++
				s.dropLocked(i)
			}
		}
		old := from - classMin
		s.use[old].slabs--
		kept := s.free[old][:0]
		for _, i := range s.free[old] {
			if int(s.slots[i].slab) != s.thief {
				kept = append(kept, i)
			}
		}
		s.free[old] = kept
		s.unused = append(s.unused, sl.slots...)
		s.cutLocked(s.thief, class)
		return true
	}
	return false
}

func (s *shard) pinnedLocked(sl *slab) bool {
	for _, i := range sl.slots {
		if s.slots[i].pins > 0 {
			return true
		}
	}
	return false
}
