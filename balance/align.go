package balance

import (
	"math"
	"slices"
	"sort"
)

// aligner matches tokens to slots so that no matched node passes another one:
// tokens and slots are two sequences along the ring, and the matching is their
// alignment of most weight, what a node keeps being its weight. Whoever passes
// a token that leaves or a slot that is filled from afar wastes bytes whatever
// the order of moves, so that leaving out a token or a slot costs something
// where the alignment passes it.
type aligner struct {
	p         *problem
	was, will *intervals
	tokens    []aligned // in ring order from the first kept one
	slots     []aligned
	from, to  []int // by slot: how many tokens may be behind us there
	back      [][]uint8
}

// aligned is one token or slot.
type aligned struct {
	at    float64 // bytes behind the first kept token
	index int     // of held or of the target; -1: a token that leaves
	fixed int     // the slot or token that it is kept with; -1: none
}

// The ways into a cell of the alignment.
const (
	stepNone uint8 = iota
	stepToken
	stepSlot
	stepMatch
)

// alignCellsMax bounds the alignment of rings in which nearly all tokens lie in
// one place.
const alignCellsMax = 1 << 26

// align matches movers to free slots; -1: none. nil: the ring is too uneven.
func (p *problem) align(t *target, was, will *intervals) []int {
	a := aligner{p: p, was: was, will: will}
	a.lay(t)
	if !a.bands() {
		return nil
	}
	bySlot := a.trace(a.fill())
	match := make([]int, len(t.movers))
	mover := make(map[int]int, len(t.movers))
	for i, v := range t.movers {
		match[i] = -1
		mover[v] = i
	}
	for f, slot := range t.free {
		if v := bySlot[slot]; v >= 0 {
			match[mover[v]] = f
		}
	}
	return match
}

// lay puts both sequences along the ring.
func (a *aligner) lay(t *target) {
	p, widest := a.p, a.p.widest()
	total := a.was.total[widest]
	gone := p.along(p.places[widest], p.gone)
	first := slices.IndexFunc(t.kept, func(k int) bool { return k >= 0 })
	origin := a.will.end[widest][max(first, 0)]
	offset := func(x float64) float64 {
		if x -= origin; x < 0 {
			x += total
		}
		return x
	}
	fixed := make(map[int]int)
	for slot, k := range t.kept {
		f := -1
		if k >= 0 {
			f = k
			fixed[k] = slot
		}
		a.slots = append(a.slots, aligned{offset(a.will.end[widest][slot]), slot, f})
	}
	for i := range p.held {
		f := -1
		if slot, ok := fixed[i]; ok {
			f = slot
		}
		a.tokens = append(a.tokens, aligned{offset(a.was.end[widest][i]), i, f})
	}
	for _, x := range gone {
		a.tokens = append(a.tokens, aligned{offset(x), -1, -1})
	}
	byPlace := func(x, y aligned) int { return compareFloat(x.at, y.at) }
	slices.SortStableFunc(a.slots, byPlace)
	slices.SortStableFunc(a.tokens, byPlace)
}

// widest is the place of the largest factor.
func (p *problem) widest() (k int) {
	for i, pl := range p.places {
		if pl.factor > p.places[k].factor {
			k = i
		}
	}
	return k
}

// bands bounds the tokens to look at for every slot: nobody farther keeps
// anything there.
func (a *aligner) bands() bool {
	widest := a.p.widest()
	reach := a.was.total[widest] / float64(len(a.slots)) * float64(a.p.places[widest].factor+1)
	for j := 1; j < len(a.slots); j++ {
		reach = max(reach, a.slots[j].at-a.slots[j-1].at)
	}
	cells := 0
	for j := range a.slots {
		behind := func(x float64) int {
			return sort.Search(len(a.tokens), func(i int) bool { return a.tokens[i].at > x })
		}
		from, to := behind(a.slots[j].at-reach), behind(a.slots[j].at+reach)
		if j == 0 {
			from = 0
		}
		if j == len(a.slots)-1 {
			to = len(a.tokens)
		}
		a.from, a.to = append(a.from, from), append(a.to, to)
		cells += to - from + 1
	}
	return cells <= alignCellsMax
}

// fill works the alignment out, slot after slot: value[i] is the best with i
// tokens behind us.
func (a *aligner) fill() [][]uint8 {
	none := math.Inf(-1)
	prev, prevFrom := make([]float64, len(a.tokens)+1), 0
	for i := range prev { // before the first slot
		if i > 0 {
			prev[i] = prev[i-1] - a.skipToken(i-1, -1)
		}
	}
	if len(a.slots) > 0 {
		prev = prev[:a.to[0]+1]
	}
	for j := range a.slots {
		from, to := a.from[j], a.to[j]
		cur, back := make([]float64, to-from+1), make([]uint8, to-from+1)
		for i := from; i <= to; i++ {
			best, way := none, stepNone
			if k := i - prevFrom; k >= 0 && k < len(prev) {
				if v := prev[k] - a.skipSlot(j, i); v > best {
					best, way = v, stepSlot
				}
			}
			if k := i - 1 - prevFrom; k >= 0 && k < len(prev) {
				if v := prev[k] + a.match(i-1, j); v > best {
					best, way = v, stepMatch
				}
			}
			if i > from {
				if v := cur[i-1-from] - a.skipToken(i-1, j); v > best {
					best, way = v, stepToken
				}
			}
			cur[i-from], back[i-from] = best, way
		}
		a.back = append(a.back, back)
		prev, prevFrom = cur, from
	}
	return a.back
}

// match is what a token keeps in a slot.
func (a *aligner) match(token, slot int) float64 {
	x, s := &a.tokens[token], &a.slots[slot]
	switch {
	case x.index < 0 || (x.fixed >= 0 || s.fixed >= 0) && x.fixed != s.index:
		return math.Inf(-1)
	case x.fixed >= 0:
		return 0
	}
	if keep := a.was.overlap(x.index, a.will, s.index); keep > 0 {
		return keep
	}
	return math.Inf(-1)
}

// skipToken is the waste when a token leaves that is passed: slots up to last
// have been matched.
func (a *aligner) skipToken(token, last int) float64 {
	x := &a.tokens[token]
	if x.fixed >= 0 {
		return math.Inf(1)
	}
	if !(last >= 0 && a.slots[last].at > x.at || last+1 < len(a.slots) && a.slots[last+1].at < x.at) {
		return 0
	}
	arc := x.at
	if token > 0 {
		arc -= a.tokens[token-1].at
	}
	return arc
}

// skipSlot is the waste when a slot is filled from afar that is passed: so many
// tokens are behind us.
func (a *aligner) skipSlot(slot, behind int) float64 {
	s := &a.slots[slot]
	if s.fixed >= 0 {
		return math.Inf(1)
	}
	if !(behind > 0 && a.tokens[behind-1].at > s.at || behind < len(a.tokens) && a.tokens[behind].at < s.at) {
		return 0
	}
	if slot > 0 {
		return (s.at - a.slots[slot-1].at)
	}
	return a.was.total[a.p.widest()]
}

// trace walks back and tells for every slot of the target who sits there: index
// of held, or -1.
func (a *aligner) trace(back [][]uint8) []int {
	out := make([]int, len(a.slots))
	for i := range out {
		out[i] = -1
	}
	i := len(a.tokens)
	for j := len(a.slots) - 1; j >= 0; {
		switch back[j][i-a.from[j]] {
		case stepToken:
			i--
		case stepMatch:
			i--
			out[a.slots[j].index] = a.tokens[i].index
			j--
		default:
			j--
		}
	}
	return out
}
