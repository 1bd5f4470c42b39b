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

// outcome is how good a way is, and the way.
type outcome struct {
	bytes float64
	moves int
	score int
	acts  []act
	found bool
	// alts are ways that end elsewhere and are as good: what lies outside the
	// circle may tell between them. acts is one of them.
	alts [][]act
	// others are ways that are worse, for where a disk is too full for the best.
	others [][]act
}

// altsMax bounds them.
const altsMax = 24

// less compares outcomes in the order of an objective.
func (o *outcome) less(b *outcome, objective []string) bool {
	if o.found != b.found {
		return o.found
	}
	for _, by := range objective {
		switch {
		case by == ByMoves && o.moves != b.moves:
			return o.moves < b.moves
		case by == ByBytes && !near(o.bytes, b.bytes):
			return o.bytes < b.bytes
		case by == ByRack && o.score != b.score:
			return o.score < b.score
		}
	}
	return false
}

// near tells whether two sums of bytes differ by rounding only.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*(math.Abs(a)+math.Abs(b)) }

// rotationsMax is how many equally good sets of keepers are looked at closely.
const rotationsMax = 32

// solve finds a way for the circle: a small one is searched as a whole, or its
// likely ends are.
func (p *problem) solve() solution {
	if s, ok := p.solveSmall(); ok {
		return s
	}
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
	guessed, ok := p.guess()
	if ok && guessed.proof == ProofExhaustive {
		return guessed
	}
	s := p.solveMany()
	if ok && !s.less(&guessed.outcome, p.goal.Objective) { // the bound holds for both
		guessed.others = s.others
		s.outcome, s.steps = guessed.outcome, guessed.steps
	}
	return s
}

// solveMany is for circles too large to search.
func (p *problem) solveMany() solution {
	if !p.even || p.racksLead() {
		return p.solveArranged()
	}
	if p.c.mode == ModeReplicated {
		if s, ok := p.solveReplicated(); ok {
			return s
		}
	}
	return p.solveLarge()
}

// racksLead tells that the racks of the circle have to alternate as they can: it
// is asked for, or decides about what nodes store.
func (p *problem) racksLead() bool {
	return p.c.rack < 0 && p.racks() > 1 && (p.goal.racksFirst() || p.c.mode == ModeReplicated && !p.slotsDecide())
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

// evenFrom is the even ring that begins somewhere.
func (p *problem) evenFrom(first Position) []Position {
	n := p.slots()
	at := make([]Position, n)
	for i := range at {
		at[i] = p.axis.part(first, first, uint64(i), uint64(n))
	}
	slices.SortFunc(at, Position.cmp)
	return at
}

// score counts repeating windows of nodes in ring order, per datacenter.
func (p *problem) score(own []int32) (score int) {
	if p.c.domain != everywhere {
		return windows(p.m, own, p.m.window(p.c.domain, p.racks()))
	}
	for dc := range p.m.dcs {
		var part []int32
		racks := map[int32]bool{}
		for _, v := range own {
			if int(p.m.dcOf[v]) == dc {
				part = append(part, v)
				racks[p.m.rackOf[v]] = true
			}
		}
		score += windows(p.m, part, p.m.window(dc, len(racks)))
	}
	return score
}

// racks is how many racks the circle has in the end.
func (p *problem) racks() int {
	racks := map[int32]bool{}
	for _, v := range p.stay {
		racks[p.m.rackOf[v]] = true
	}
	return len(racks)
}
