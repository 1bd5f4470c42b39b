package token

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The slow model: a ring of 12 positions, a set of positions for each range.
// Position 0 is the minimum token, which no key has but the empty one; it lies
// at the end of the ring.
const ringSize = 12

func at(n int) Token { return Token{Prefix: uint64(n)} }

type set [ringSize]bool

func model(l, r int) (s set) {
	for i := (l + 1) % ringSize; ; i = (i + 1) % ringSize {
		s[i] = true
		if i == r {
			return s
		}
	}
}

func members(ranges ...Range) (s set) {
	for i := range s {
		for _, r := range ranges {
			s[i] = s[i] || r.Contains(at(i))
		}
	}
	return s
}

func TestContainsUnwrapIntersect(t *testing.T) {
	var all []Range
	for l := range ringSize {
		for r := range ringSize {
			all = append(all, Range{at(l), at(r)})
			got, want := members(Range{at(l), at(r)}), model(l, r)
			if got != want {
				t.Fatalf("(%d, %d]: %v, want %v", l, r, got, want)
			}
		}
	}
	for _, a := range all {
		if parts := a.Unwrap(); members(parts...) != members(a) || slices.ContainsFunc(parts, Range.TrulyWraps) {
			t.Fatalf("unwrap %v: %v", a, parts)
		}
		for _, b := range all {
			parts := a.Intersect(b)
			sa, sb := members(a), members(b)
			var want set
			for i := range want {
				want[i] = sa[i] && sb[i]
			}
			if got := members(parts...); got != want || len(parts) > 2 {
				t.Fatalf("%v and %v: %v", a, b, parts)
			}
			if a.Intersects(b) != (want != set{}) {
				t.Fatalf("Intersects(%v, %v)", a, b)
			}
			for i := range parts {
				if parts[i].TrulyWraps() && i != len(parts)-1 {
					t.Fatalf("%v and %v: %v: a wrapping part must be last", a, b, parts)
				}
			}
		}
	}
}

func TestNormalize(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		var in []Range
		for range rnd.IntN(5) {
			in = append(in, Range{at(rnd.IntN(ringSize)), at(rnd.IntN(ringSize))})
		}
		out := Normalize(slices.Clone(in))
		if members(in...) != members(out...) {
			t.Fatalf("%v -> %v", in, out)
		}
		for i, r := range out {
			if r.TrulyWraps() {
				t.Fatalf("%v -> %v wraps", in, out)
			}
			if i > 0 && (out[i-1].Right.IsMin() || !out[i-1].Right.Less(r.Left)) {
				t.Fatalf("%v -> %v overlaps or touches", in, out)
			}
		}
	}
}

func TestWraps(t *testing.T) {
	for _, c := range []struct {
		r            Range
		wraps, truly bool
	}{
		{Range{at(1), at(5)}, false, false},
		{Range{at(0), at(5)}, false, false},
		{Range{at(5), at(0)}, true, false},
		{Range{at(5), at(1)}, true, true},
		{Range{at(5), at(5)}, true, true},
		{Whole(), true, false},
	} {
		if c.r.Wraps() != c.wraps || c.r.TrulyWraps() != c.truly {
			t.Errorf("%v: %v %v", c.r, c.r.Wraps(), c.r.TrulyWraps())
		}
	}
}
