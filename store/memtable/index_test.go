package memtable

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndex compares the index with a sorted slice, over keys that share
// prefixes, inserted in random, ascending and descending order.
func TestIndex(t *testing.T) {
	type entry struct {
		prefix uint64
		r      ref // stands for the key too
	}
	order := func(a, b entry) int { return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.r, b.r)) }
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []entry
		for i := range 5000 {
			all = append(all, entry{uint64(r.IntN(1000)), ref(i)})
		}
		switch seed % 3 {
		case 1:
			slices.SortFunc(all, order)
		case 2:
			slices.SortFunc(all, func(a, b entry) int { return order(b, a) })
		}
		var x index
		search := func(e entry) (position, bool) {
			return x.search(e.prefix, func(r ref) int { return cmp.Compare(e.r, r) })
		}
		for _, e := range all {
			p, found := search(e)
			if found {
				t.Fatalf("seed %d: %v found before it was there", seed, e)
			}
			x.insert(p, e.prefix, e.r)
		}
		slices.SortFunc(all, order)
		p := position{}
		for _, e := range all {
			prefix, r := x.at(p)
			if prefix != e.prefix || r != e.r {
				t.Fatalf("seed %d: %d/%d where %v must be", seed, prefix, r, e)
			}
			if at, found := search(e); !found || at != p {
				t.Fatalf("seed %d: %v found %v at %v, not %v", seed, e, found, at, p)
			}
			p = x.next(p)
		}
		if !x.end(p) {
			t.Fatalf("seed %d: more than was put in", seed)
		}
		if seed%3 == 1 && len(x.leaves) > len(all)/leafSize+1 {
			t.Fatalf("ascending keys fill %d leaves", len(x.leaves))
		}
	}
}

// TestLowerBound: the guess may be as wrong as it likes.
func TestLowerBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for range 3000 {
		s := make([]uint64, 1+r.IntN(leafSize))
		shift := r.IntN(64)
		for i := range s {
			s[i] = r.Uint64() >> shift
		}
		slices.Sort(s)
		next := uint64(math.MaxUint64)
		if r.IntN(2) == 0 {
			next = s[len(s)-1]
		}
		for range 20 {
			x := s[0] + r.Uint64N(s[len(s)-1]-s[0]+2)
			want, _ := slices.BinarySearch(s, x)
			if got := lowerBound(s, x, s[0], next); got != want {
				t.Fatalf("%d in %v: %d, want %d", x, s, got, want)
			}
		}
	}
}
