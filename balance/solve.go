package balance

import (
	"math"
	"slices"
)

// solution is the best way found for one circle.
type solution struct {
	outcome
	bound  float64 // no way to balance this circle with as few moves streams less
	bound0 bool    // there is no bound
	proof  string
	steps  []act
}

// rotationsMax is how many equally good sets of keepers are looked at closely.
const rotationsMax = 32

// solve finds a way for the circle.
func (p *problem) solve() solution {
	s := p.solveAny()
	if p.c.mode == ModeReplicated && (p.goal.Racks == RacksRequire || !p.slotsDecide() || !p.c.divides(p.m)) && s.proof == ProofExhaustive {
		// Rings of other shapes than those searched may do, too.
		s.proof, s.bound0 = ProofHeuristic, true
	}
	if p.goal.Objective[0] == ByBytes && len(p.leave) > 0 && s.proof == ProofExhaustive {
		// A node may save bytes by two moves, around one that has yet to leave.
		s.proof, s.bound0 = ProofHeuristic, true
	}
	return s
}

func (p *problem) solveAny() solution {
	alternate := p.c.mode == ModeReplicated && p.c.rack < 0 && !p.slotsDecide()
	if !p.even || alternate || p.goal.Racks == RacksRequire && p.racks() > 1 && p.c.rack < 0 {
		return p.solveArranged()
	}
	if p.c.mode == ModeReplicated {
		if s, ok := p.solveReplicated(); ok {
			return s
		}
	}
	if len(p.stay)+len(p.leave) <= tinyMovers+3 {
		if s, ok := p.solveTiny(); ok {
			return s
		}
	}
	return p.solveLarge()
}

// solveTiny searches everything, if it is little enough.
func (p *problem) solveTiny() (solution, bool) {
	rings, complete := p.rings()
	if len(rings) == 0 {
		return solution{}, false
	}
	return p.searchRings(rings, complete)
}

// searchRings takes the best way to any of the rings.
func (p *problem) searchRings(rings [][]Position, complete bool) (solution, bool) {
	type target struct {
		tiny  *tiny
		moves int
	}
	var all []target
	fewest := math.MaxInt
	for _, at := range rings {
		if slices.ContainsFunc(at, func(x Position) bool { return p.blocked[x] }) {
			complete = false
			continue
		}
		kept, stays := p.keptIn(at)
		if p.goal.Objective[0] != ByMoves { // who could stay may move all the same
			for i := range kept {
				kept[i] = -1
			}
		}
		t := p.newTiny(at, kept)
		if t == nil || len(t.movers) > tinyMovers {
			complete = false
			continue
		}
		all = append(all, target{t, len(p.held) - stays})
		fewest = min(fewest, len(p.held)-stays)
	}
	byMoves := p.goal.Objective[0] == ByMoves
	results := make([]outcome, len(all))
	limit := math.Inf(1)
	// Bytes may bound the search only where nothing comes before them but moves.
	bounded := p.goal.Objective[0] == ByBytes || byMoves && p.goal.Objective[1] == ByBytes
	for i, t := range all {
		if byMoves && t.moves > fewest {
			continue
		}
		results[i] = t.tiny.search(limit)
		if bounded && results[i].found {
			limit = min(limit, results[i].bytes)
		}
	}
	var best outcome
	for i := range results {
		switch {
		case results[i].less(&best, p.goal.Objective):
			best = results[i]
		case results[i].found && !best.less(&results[i], p.goal.Objective):
			best.alts = append(best.alts, results[i].alts...)
		}
	}
	if !best.found {
		return solution{}, false
	}
	s := solution{outcome: best, steps: best.acts, proof: ProofHeuristic}
	if complete && p.exact {
		s.proof, s.bound = ProofExhaustive, best.bytes
	} else {
		s.bound0 = true
	}
	return s, true
}

// keptIn tells who stays in each slot of a ring, as index of stay, or -1.
func (p *problem) keptIn(at []Position) (kept []int, stays int) {
	kept = make([]int, len(at))
	for i, slot := range at {
		kept[i] = -1
		if k, ok := slices.BinarySearchFunc(p.held, slot, Position.cmp); ok {
			kept[i] = k
			stays++
		}
	}
	return kept, stays
}

// rings lists all balanced rings that hold at least one present token; complete
// tells that they are all there are. One of them is best: while a ring turns
// without touching a token, bytes change evenly in the angle.
func (p *problem) rings() (out [][]Position, complete bool) {
	n := p.slots()
	if len(p.held) == 0 {
		return [][]Position{p.evenFrom(Position{})}, false
	}
	wide := p.hi.sub(p.lo).times(uint64(n))
	spare := p.axis.size.sub(p.lo.times(uint64(n)))
	patterns := 1.0
	if !wide.isZero() {
		span := p.hi.sub(p.lo).float()
		for i := range n - 1 {
			if p.hi.sub(p.lo) == At(1) {
				patterns = patterns * float64(n-i) / float64(i+1)
			} else {
				patterns *= min(span, spare.float()) + 1
			}
			if patterns > tinyRings {
				break
			}
		}
	}
	if !p.axis.plain || patterns*float64(len(p.held)) > 4*tinyRings {
		for _, r := range p.chains(rotationsMax) {
			at, _ := p.ring(r)
			slices.SortFunc(at, Position.cmp)
			out = append(out, at)
		}
		return out, false
	}
	seen := map[string]bool{}
	for _, anchor := range p.held {
		p.compose(anchor, make([]Position, 0, n), spare, func(at []Position) {
			at = slices.Clone(at)
			slices.SortFunc(at, Position.cmp)
			key := keyOf(at)
			if !seen[key] {
				seen[key] = true
				out = append(out, at)
			}
		})
	}
	return out, true
}

func keyOf(at []Position) string {
	b := make([]byte, 0, 16*len(at))
	for _, p := range at {
		for _, w := range []uint64{p.hi, p.lo} {
			for s := 0; s < 64; s += 8 {
				b = append(b, byte(w>>s))
			}
		}
	}
	return string(b)
}

// compose visits all rings from an anchor; spare is what its arcs have together
// above the lower bound.
func (p *problem) compose(next Position, at []Position, spare Position, visit func([]Position)) {
	at = append(at, next)
	left := p.slots() - len(at) // arcs to come after the next one
	span := p.hi.sub(p.lo)
	if left == 0 {
		if !span.less(spare) {
			visit(at)
		}
		return
	}
	for extra := (Position{}); !span.less(extra) && !spare.less(extra); extra = extra.add(At(1)) {
		if rest := spare.sub(extra); !span.times(uint64(left)).less(rest) {
			p.compose(advance(next, p.lo.add(extra), p.axis.size), at, rest, visit)
		}
	}
}

// evenFrom is the even ring that begins somewhere.
func (p *problem) evenFrom(first Position) []Position {
	n := p.slots()
	at := make([]Position, n)
	for i := range at {
		at[i] = p.axis.back(advance(p.axis.of(first), p.axis.size.fraction(uint64(i), uint64(n)), p.axis.size))
	}
	slices.SortFunc(at, Position.cmp)
	return at
}
