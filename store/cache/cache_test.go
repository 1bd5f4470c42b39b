package cache

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"helenus/internal/assert"
	"helenus/internal/budget"
)

// pattern is what the block of a key holds, so that a mix-up shows.
func pattern(dst []byte, k Key) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], k.File)
	binary.BigEndian.PutUint64(b[8:], k.Block)
	for i := range dst {
		dst[i] = b[i%16]
	}
}

func sizeOf(k Key) int { return 1 + int(k.hash()>>7)%40000 }

func load(c *Cache, k Key) Handle {
	if h, ok := c.Get(k); ok {
		return h
	}
	h := c.Reserve(k, sizeOf(k))
	pattern(h.Bytes(), k)
	return c.Insert(k, h)
}

func check(t *testing.T, h *Handle, k Key) {
	t.Helper()
	want := make([]byte, sizeOf(k))
	pattern(want, k)
	if !bytes.Equal(h.Bytes(), want) {
		t.Fatalf("block %v holds other bytes", k)
	}
}

func TestRandomUseStaysWithinTheLimitAndNeverMixesBlocksUp(t *testing.T) {
	root := budget.New("cache", 4<<20)
	c := New(root)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(1, uint64(g)))
			type pin struct {
				h Handle
				k Key
			}
			var held []pin
			for range 20000 {
				k := Key{r.Uint64N(3), r.Uint64N(300)}
				held = append(held, pin{load(c, k), k})
				if i := r.IntN(len(held)); len(held) > 8 {
					check(t, &held[i].h, held[i].k)
					held[i].h.Release()
					held[i] = held[len(held)-1]
					held = held[:len(held)-1]
				}
				if r.IntN(2000) == 0 {
					c.DropFile(r.Uint64N(3))
				}
			}
			for i := range held {
				check(t, &held[i].h, held[i].k)
				held[i].h.Release()
			}
		}()
	}
	wg.Wait()
	st := c.Stats()
	if st.Hits == 0 || st.Misses == 0 || st.Evictions == 0 || st.BytesMapped > 4<<20 || root.Used() != st.BytesMapped {
		t.Fatalf("stats %+v, budget %d", st, root.Used())
	}
	c.Close()
	if root.Used() != 0 {
		t.Fatalf("%d bytes charged after Close", root.Used())
	}
}

func TestAllPinnedFallsBackToTheHeap(t *testing.T) {
	c := New(budget.New("cache", slabMin))
	var held []Handle
	for i := range uint64(4) {
		k := Key{1, i}
		h := c.Reserve(k, slabMin)
		pattern(h.Bytes(), k)
		held = append(held, c.Insert(k, h))
	}
	if n := c.Stats().Entries; n != 1 {
		t.Fatalf("%d entries in room for one", n)
	}
	for i := range held {
		held[i].Release()
	}
	if _, ok := c.Get(Key{1, 3}); ok {
		t.Fatal("a block of the heap was kept")
	}
}

func TestWithoutRoomNothingIsKept(t *testing.T) {
	c := New(budget.New("cache", 0))
	k := Key{1, 1}
	h := load(c, k)
	check(t, &h, k)
	h.Release()
	if st := c.Stats(); st.Entries != 0 || st.BytesMapped != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestAClassThatNeedsRoomTakesItFromAnother(t *testing.T) {
	c := New(budget.New("cache", 1<<20))
	put := func(k Key, size int) {
		h := c.Reserve(k, size)
		h = c.Insert(k, h)
		h.Release()
	}
	for i := range uint64(100) {
		put(Key{1, i}, 32<<10)
	}
	for i := range uint64(5000) {
		put(Key{2, i}, 4<<10)
	}
	found := 0
	for i := range uint64(5000) {
		if h, ok := c.Get(Key{2, i}); ok {
			found++
			h.Release()
		}
	}
	if found < 200 {
		t.Fatalf("only %d small blocks of 256 that fit", found)
	}
}

// TestSmallBlocksThatAreHitStay: keys are read at random; each read needs one of
// few small blocks, which are hit often, and one of many large ones.
func TestSmallBlocksThatAreHitStay(t *testing.T) {
	c := New(budget.New("cache", 4<<20))
	r := rand.New(rand.NewPCG(1, 2))
	hits, small := 0, 0
	const rounds = 200_000
	for i := range rounds {
		for _, k := range []Key{{1, r.Uint64N(1000)}, {2, r.Uint64N(2000)}} {
			size := 2 << 10
			if k.File == 2 {
				size = 16 << 10
			}
			h, ok := c.Get(k)
			if !ok {
				h = c.Insert(k, c.Reserve(k, size))
			}
			h.Release()
			if i < rounds/2 || k.File == 2 {
				continue
			}
			small++
			if ok {
				hits++
			}
		}
	}
	// 2 of 4 MiB hold them all; by CLOCK with equal rights they would have a sixth.
	if hits*10 < small*9 {
		t.Errorf("%d of %d small blocks were hit", hits, small)
	}
}

func TestFreedBlocksArePoisoned(t *testing.T) {
	if !assert.Invariants {
		t.Skip("needs -tags invariants")
	}
	c := New(budget.New("cache", 1<<20))
	k := Key{1, 1}
	h := load(c, k)
	stale := h.Bytes()
	c.DropFile(1)
	check(t, &h, k)
	h.Release()
	if stale[0] != poisoned {
		t.Fatal("not poisoned")
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	c := New(budget.New("cache", 1<<20))
	k := Key{1, 1}
	h := load(c, k)
	h.Release()
	if n := testing.AllocsPerRun(100, func() {
		h, _ := c.Get(k)
		h.Release()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
