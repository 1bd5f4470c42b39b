package balance

import (
	"math/big"
	"math/bits"
	"slices"
)

// keeper is a token that stays, and which slot of the balanced ring it is.
type keeper struct {
	index int // of problem.held
	slot  int // from the first keeper's
}

// rotation is a set of keepers: between them the free slots stand evenly.
type rotation struct {
	keep []keeper
}

// link is one way a token may stand in the ring: rising and falling are its
// distances from the two edges of the cone of tolerance, and along a chain of
// keepers neither shrinks. So the longest chain is the longest non-decreasing
// subsequence of falling, in the order of rising.
type link struct {
	rising, falling uint64
	index, slot     int32
}

// chains finds the largest sets of tokens that may all stay, at most limit of
// them. Each starts from another token, or is another residue class.
func (p *problem) chains(limit int) []rotation {
	n := p.slots()
	if len(p.held) == 0 {
		return nil
	}
	y := make([]Position, len(p.held))
	for i, h := range p.held {
		y[i] = p.axis.of(h)
	}
	if p.hi.sub(p.lo).times(uint64(n)).less(p.lo) {
		return p.thinChains(y, limit)
	}
	best := make([][]keeper, len(y))
	done := make([]bool, len(y))
	most := 0
	// A best chain of k keepers misses n-k tokens, so that one of any n-k+1
	// tokens is in it and may be its start.
	batch := batchStarts
	if n > sizeHuge {
		batch = hugeStarts // and no more: solveLarge says that it is no proof
	}
	for from := 0; from < len(y) && (most == 0 || from <= len(y)-most && n <= sizeHuge); from += batch {
		p.each(min(batch, len(y)-from), func(i int) { best[from+i] = p.chainFrom(y, from+i, nil) })
		for i := from; i < min(from+batch, len(y)); i++ {
			done[i] = true
			most = max(most, len(best[i]))
		}
	}
	var out []rotation
	for i := range best {
		if done[i] && len(best[i]) == most && len(out) < limit {
			out = append(out, rotation{best[i]})
		}
	}
	return distinct(out)
}

// nearest is, for tokens all around, the largest set that may stay with each:
// first the tokens whose even ring the others are nearest to, at most limit.
// Every token's distance from its place in an even ring is measured, and the
// median of those distances is the turn from which they are least in sum.
func (p *problem) nearest(limit int) []rotation {
	if len(p.held) == 0 {
		return nil
	}
	if p.freeTargets() && p.slots() > sizeHuge {
		limit = min(limit, hugeStarts)
	}
	y := make([]Position, len(p.held))
	off, order := make([]float64, len(y)), make([]int, len(y))
	step := p.axis.size.float() / float64(len(y))
	for i, h := range p.held {
		y[i] = p.axis.of(h)
		off[i], order[i] = y[i].float()-float64(step*float64(i)), i
	}
	median := slices.Sorted(slices.Values(off))[len(off)/2]
	slices.SortStableFunc(order, func(a, b int) int {
		return compareFloat(abs(off[a]-median), abs(off[b]-median))
	})
	out := make([]rotation, min(len(order), limit))
	p.each(len(out), func(i int) { out[i] = rotation{p.chainFrom(y, order[i], nil)} })
	return distinct(out)
}

// batchStarts is how many starts are tried before the bound is looked at again.
const batchStarts = 32

// hugeStarts is all that is tried on rings so large that one start takes long.
const hugeStarts = 4

func (p *problem) each(n int, f func(int)) {
	if p.goal.For != nil && n > 1 {
		p.goal.For(n, f)
		return
	}
	for i := range n {
		f(i)
	}
}

// thinChains is for bounds so narrow that tokens can only stay together when
// their distances to the slots are nearly the same: they are sorted by that.
func (p *problem) thinChains(y []Position, limit int) []rotation {
	n := p.slots()
	step := p.lo.big()
	rest := make([]Position, len(y))
	order := make([]int, len(y))
	for i := range y {
		rest[i] = positionOf(new(big.Int).Rem(y[i].big(), step))
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return rest[a].cmp(rest[b]) })
	// Two keepers' rests differ by at most this, around the step's end too.
	reach := p.hi.sub(p.lo).times(uint64(n)).add(p.axis.size.sub(p.lo.times(uint64(n))))
	var out []rotation
	most := 0
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && !reach.less(rest[order[to]].sub(rest[order[to-1]])) {
			to++
		}
		group := order[from:to]
		if from == 0 { // and those that come before the step's end
			k := len(order)
			for k > to && !reach.less(rest[order[0]].add(p.lo).sub(rest[order[k-1]])) {
				k--
			}
			if k < len(order) {
				group = append(slices.Clone(group), order[k:]...)
			}
		}
		from = to
		if len(group) < most {
			continue
		}
		slices.Sort(group)
		tried := 0
		for _, start := range group {
			if tried++; most > 0 && tried > len(group)-most+1 {
				break
			}
			keep := p.chainFrom(y, start, group)
			if len(keep) > most {
				most, out = len(keep), out[:0]
			}
			if len(keep) == most {
				out = append(out, rotation{keep})
			}
		}
	}
	out = distinct(out)
	if len(out) > limit { // some from all around
		for i := range limit {
			out[i] = out[i*len(out)/limit]
		}
		out = out[:limit]
	}
	return out
}

// distinct drops chains that keep the same tokens.
func distinct(all []rotation) (out []rotation) {
	if len(all) < 2 {
		return all
	}
	seen := make(map[uint64]bool)
	for _, r := range all {
		kept := make([]int, len(r.keep))
		for i, k := range r.keep {
			kept[i] = k.index
		}
		slices.Sort(kept)
		h := uint64(14695981039346656037)
		for _, k := range kept {
			h = (h ^ uint64(k)) * 1099511628211
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, r)
		}
	}
	return out
}

// chainFrom is a longest chain that begins with token start; among restricts
// the tokens, nil being all.
func (p *problem) chainFrom(y []Position, start int, among []int) []keeper {
	n := uint64(p.slots())
	topRising, topFalling := p.axis.size.sub(p.lo.times(n)), p.hi.times(n).sub(p.axis.size)
	shift := coarseBy(topRising, topFalling)
	links := make([]link, 0, len(y))
	add := func(i int) {
		if i == start {
			return
		}
		d := after(y[start], y[i], p.axis.size)
		if d.isZero() {
			return
		}
		for k := p.firstSlot(d); k < n; k++ {
			low, high := p.lo.times(k), p.hi.times(k)
			if d.less(low) {
				break
			}
			if high.less(d) {
				continue
			}
			rising, falling := d.sub(low), high.sub(d)
			if topRising.less(rising) || topFalling.less(falling) {
				continue
			}
			links = append(links, link{coarse(rising, shift), coarse(falling, shift), int32(i), int32(k)})
		}
	}
	if among == nil {
		for i := range y {
			add(i)
		}
	} else {
		for _, i := range among {
			add(i)
		}
	}
	return longest(sortLinks(links), start)
}

// before is the order of links: by rising, then by falling.
func (a link) before(b link) int {
	switch {
	case a.rising != b.rising:
		if a.rising < b.rising {
			return -1
		}
		return 1
	case a.falling != b.falling:
		if a.falling < b.falling {
			return -1
		}
		return 1
	}
	return int(a.slot) - int(b.slot)
}

// Links are many and are sorted for every start: by counting, radixBits at a
// time, the top radixPasses*radixBits bits in use; what ties there by comparing.
const (
	radixBits   = 11
	radixPasses = 3
	radixFrom   = 256 // fewer are sorted by comparing at once
)

func sortLinks(links []link) []link {
	if len(links) < radixFrom {
		slices.SortFunc(links, link.before)
		return links
	}
	top := uint64(0)
	for i := range links {
		top = max(top, links[i].rising)
	}
	shift := max(0, bits.Len64(top)-radixPasses*radixBits)
	from, to := links, make([]link, len(links))
	for pass := range radixPasses {
		var at [1<<radixBits + 1]int
		down := shift + pass*radixBits
		for i := range from {
			at[from[i].rising>>down&(1<<radixBits-1)+1]++
		}
		for i := 1; i < len(at); i++ {
			at[i] += at[i-1]
		}
		for i := range from {
			k := from[i].rising >> down & (1<<radixBits - 1)
			to[at[k]] = from[i]
			at[k]++
		}
		from, to = to, from
	}
	for i := 0; i < len(from); {
		k := i + 1
		for k < len(from) && from[k].rising>>shift == from[i].rising>>shift {
			k++
		}
		if k > i+1 {
			slices.SortFunc(from[i:k], link.before)
		}
		i = k
	}
	return from
}

// coarseBy is by how many bits positions up to a and b are too long for a link.
func coarseBy(a, b Position) int { return bits.Len64(a.hi | b.hi) }

func coarse(p Position, shift int) uint64 {
	if shift == 0 {
		return p.lo
	}
	return p.hi<<(64-shift) | p.lo>>shift
}

// firstSlot is the first slot that a token at distance d may be.
func (p *problem) firstSlot(d Position) uint64 {
	if p.hi.hi == 0 {
		q, _ := d.div(p.hi.lo)
		return max(1, q.lo)
	}
	q := new(big.Int).Quo(d.big(), p.hi.big())
	return max(1, q.Uint64())
}

// longest is the longest subsequence in which falling never falls, behind the
// start.
func longest(links []link, start int) []keeper {
	var tails []int32 // index of the last link of the best chain of each length
	var tops []uint64 // what falling is there
	before := make([]int32, len(links))
	for i := range links {
		falling := links[i].falling
		at := len(tops)
		if at > 0 && tops[at-1] > falling {
			low := 0 // written out: this is where plans with tolerance spend their time
			for low < at {
				if mid := int(uint(low+at) / 2); tops[mid] > falling {
					at = mid
				} else {
					low = mid + 1
				}
			}
		}
		before[i] = -1
		if at > 0 {
			before[i] = tails[at-1]
		}
		if at == len(tops) {
			tails, tops = append(tails, int32(i)), append(tops, falling)
		} else {
			tails[at], tops[at] = int32(i), falling
		}
	}
	out := make([]keeper, len(tails)+1)
	out[0] = keeper{start, 0}
	if len(tails) > 0 {
		for i, k := tails[len(tails)-1], len(tails); i >= 0; i, k = before[i], k-1 {
			out[k] = keeper{int(links[i].index), int(links[i].slot)}
		}
	}
	return out
}

// ring is the slots of a rotation in ring order from the first keeper, and
// which token stays in each: -1 for a free slot.
func (p *problem) ring(r rotation) (at []Position, kept []int) {
	n := p.slots()
	at, kept = make([]Position, n), make([]int, n)
	for i := range kept {
		kept[i] = -1
	}
	for i, k := range r.keep {
		next := keeper{r.keep[0].index, n}
		if i+1 < len(r.keep) {
			next = r.keep[i+1]
		}
		from, to := p.held[k.index], p.held[next.index]
		at[k.slot], kept[k.slot] = p.held[k.index], k.index
		gaps := next.slot - k.slot
		for f := 1; f < gaps; f++ {
			at[k.slot+f] = p.axis.part(from, to, uint64(f), uint64(gaps))
		}
	}
	return at, kept
}
