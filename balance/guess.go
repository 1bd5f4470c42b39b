package balance

import (
	"math"
	"slices"
)

// guessesMax is how many likely ends are searched.
const guessesMax = 6000

// guess searches the likely ends of a small circle whose ends are too many to
// list. ok is false if the circle is too large, or nothing was found.
func (p *problem) guess() (solution, bool) {
	s := p.newSmall()
	if s == nil || len(p.held) == 0 {
		return solution{}, false
	}
	shapes, complete := p.guesses(s)
	if len(shapes) == 0 {
		return solution{}, false
	}
	best := s.best(shapes)
	return p.solution(best, complete && s.states <= s.most), best.found
}

// guesses are rings that keep the most tokens where all arcs are alike, else
// rings of ideal arcs from every token, in all orders of classes; complete tells
// that the best is among them.
func (p *problem) guesses(s *small) (out []shape, complete bool) {
	rings, complete := p.likelyRings()
	if p.even && len(rings) == 0 {
		return nil, false
	}
	seen := map[string]bool{}
	add := func(at []Position, class []uint8) {
		if slices.ContainsFunc(at, func(x Position) bool { return p.blocked[x] }) {
			return
		}
		x := s.shapeOf(p, at, class)
		if key := keyOf(x.at) + string(x.class); !seen[key] {
			seen[key] = true
			x.score = s.score(&x)
			out = append(out, x)
		}
	}
	s.sequences(func(class []uint8) bool {
		for _, at := range rings {
			add(at, class)
		}
		if !p.even {
			for _, h := range p.held {
				add(p.weighted(s, class, h), class)
			}
		}
		return len(out) <= guessesMax
	})
	if len(out) > guessesMax {
		return nil, false
	}
	if p.c.mode == ModeReplicated && !p.slotsDecide() {
		least := math.MaxInt // others are not balanced
		for i := range out {
			least = min(least, out[i].score)
		}
		out = slices.DeleteFunc(out, func(x shape) bool { return x.score > least })
	}
	if p.goal.Racks == RacksIgnore {
		for i := range out {
			out[i].score = 0
		}
	}
	return out, complete
}

// likelyRings are the rings to look at, if all arcs are alike.
func (p *problem) likelyRings() (out [][]Position, complete bool) {
	if !p.even {
		return nil, false
	}
	if g := p.period(); p.c.mode == ModeReplicated && g > 1 && p.axis.plain {
		out, complete = p.interleaved(g)
		return out, complete && len(p.leave) == 0
	}
	for _, r := range p.rotations(rotationsMax) {
		at, _ := p.ring(r)
		slices.SortFunc(at, Position.cmp)
		out = append(out, at)
	}
	return out, false
}

// sequences visits the orders of classes around the ring until visit says that
// it is enough.
func (s *small) sequences(visit func([]uint8) bool) {
	left := make([]int, len(s.classes))
	n := 0
	for c := range s.classes {
		left[c] = s.classes[c].count
		n += left[c]
	}
	class := make([]uint8, 0, n)
	var next func() bool
	next = func() bool {
		if len(class) == n {
			return visit(class)
		}
		for c := range left {
			if left[c] == 0 {
				continue
			}
			left[c]--
			class = append(class, uint8(c))
			on := next()
			class = class[:len(class)-1]
			left[c]++
			if !on {
				return false
			}
		}
		return true
	}
	next()
}

// weighted is the ring in which nodes of those classes have arcs by weight, the
// first of them at a place.
func (p *problem) weighted(s *small, class []uint8, first Position) []Position {
	total := uint64(0)
	for _, c := range class {
		total += s.classes[c].weight
	}
	at := make([]Position, len(class))
	at[0] = first
	sum := uint64(0)
	for i, c := range class[1:] {
		sum += s.classes[c].weight
		at[i+1] = p.axis.part(first, first, sum, total)
	}
	return at
}
