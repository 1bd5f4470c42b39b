package token

import "slices"

// Range is the arc (Left, Right] of the ring: Left is outside, Right inside.
// Left == Right is the whole ring. The minimum token on the right side means
// the end of the ring: (x, min] is everything after x.
type Range struct {
	Left, Right Token
}

// Whole is the whole ring.
func Whole() Range { return Range{} }

// Contains tells whether t lies in r.
func (r Range) Contains(t Token) bool {
	if r.Left.Compare(r.Right) >= 0 {
		return r.Left.Less(t) || !r.Right.Less(t)
	}
	return r.Left.Less(t) && !r.Right.Less(t)
}

// Wraps tells whether r runs over the end of the ring, (x, min] included.
func (r Range) Wraps() bool { return r.Left.Compare(r.Right) >= 0 }

// TrulyWraps tells whether r holds tokens on both sides of the end of the ring.
func (r Range) TrulyWraps() bool { return r.Wraps() && !r.Right.IsMin() }

// Unwrap splits r so that no part truly wraps: (l, min] and (min, r].
func (r Range) Unwrap() []Range {
	if !r.TrulyWraps() {
		return []Range{r}
	}
	if r.Left == r.Right {
		return []Range{Whole()}
	}
	return []Range{{Left: r.Left}, {Right: r.Right}}
}

// Intersect is what r and o share: none, one or two ranges in ring order, where
// only the last may truly wrap.
func (r Range) Intersect(o Range) []Range {
	var parts []Range
	for _, a := range r.Unwrap() {
		for _, b := range o.Unwrap() {
			p := Range{Left: maxToken(a.Left, b.Left), Right: minEnd(a.Right, b.Right)}
			if p.Right.IsMin() || p.Left.Less(p.Right) {
				parts = append(parts, p)
			}
		}
	}
	slices.SortFunc(parts, func(a, b Range) int { return a.Left.Compare(b.Left) })
	if n := len(parts); n > 1 && parts[0].Left.IsMin() && parts[n-1].Right.IsMin() {
		// The cut at the end of the ring was ours: sew it.
		parts[n-1].Right = parts[0].Right
		parts = parts[1:]
	}
	return parts
}

// Intersects tells whether r and o share a token.
func (r Range) Intersects(o Range) bool {
	return r.Contains(o.Right) || o.Contains(r.Right)
}

// Normalize returns the same tokens as the fewest ranges that do not truly
// wrap, ordered by their left end and neither overlapping nor adjacent.
func Normalize(ranges []Range) []Range {
	var out []Range
	for _, r := range ranges {
		out = append(out, r.Unwrap()...)
	}
	slices.SortFunc(out, func(a, b Range) int { return a.Left.Compare(b.Left) })
	n := 0
	for _, r := range out {
		if n > 0 {
			last := &out[n-1]
			if last.Right.IsMin() {
				break
			}
			if !last.Right.Less(r.Left) {
				last.Right = maxEnd(last.Right, r.Right)
				continue
			}
		}
		out[n] = r
		n++
	}
	return out[:n]
}

func maxToken(a, b Token) Token {
	if a.Less(b) {
		return b
	}
	return a
}

// minEnd and maxEnd compare right ends, where the minimum is the ring's end.
func minEnd(a, b Token) Token {
	if a.IsMin() || (!b.IsMin() && b.Less(a)) {
		return b
	}
	return a
}

func maxEnd(a, b Token) Token {
	if minEnd(a, b) == a {
		return b
	}
	return a
}
