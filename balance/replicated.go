package balance

import (
	"math/big"
	"slices"
)

// solveReplicated is for balance of what nodes store, where slots decide it:
// every factor consecutive arcs have to sum up alike. With g the greatest common
// divisor of the nodes and the factors that holds exactly when arcs repeat with
// period g: the ring is g even rings, each turned as it likes.
func (p *problem) solveReplicated() (solution, bool) {
	g := p.period()
	if g < 2 || !p.axis.plain {
		return solution{}, false
	}
	rings, _ := p.interleaved(g)
	was := p.intervalsOf(p.held)
	best := solution{proof: ProofHeuristic, bound0: true}
	for _, at := range rings[:min(len(rings), 16)] {
		kept, _ := p.keptIn(at)
		t := p.newTarget(at, kept)
		p.promise(&t, &was)
		if o := p.follow(&t); o.less(&best.outcome, p.goal.Objective) {
			best.outcome, best.steps = o, o.acts
		}
	}
	return best, best.found
}

// period is of how many even rings a ring may be made where slots decide about
// what is stored; 0 where they do not.
func (p *problem) period() int {
	g := len(p.stay)
	for _, pl := range p.places {
		if pl.factor < len(p.stay) { // else every node holds it all
			g = gcd(g, pl.factor)
		}
	}
	if !p.slotsDecide() {
		return 0
	}
	return g
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// interleavedMax bounds the rings that are listed.
const interleavedMax = 6000

// interleaved lists rings of g even rings that keep the most tokens; complete
// tells that they are all of those.
func (p *problem) interleaved(g int) (out [][]Position, complete bool) {
	n := len(p.stay)
	period, rest := p.axis.size.div(uint64(n / g))
	complete = rest == 0 && p.goal.Tolerance.rat().Sign() == 0 && p.goal.Slack == 0 && p.goal.Objective[0] == ByMoves
	counts := map[Position]int{}
	for _, h := range p.held {
		counts[positionOf(new(big.Int).Rem(h.big(), period.big()))]++
	}
	residues := make([]Position, 0, len(counts))
	for r := range counts {
		residues = append(residues, r)
	}
	slices.SortFunc(residues, func(a, b Position) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return a.cmp(b)
	})
	for k := 0; len(residues) < g; k++ { // free classes: between those there are
		complete = false
		r := period.fraction(uint64(2*k+1), uint64(2*g+1))
		if counts[r] == 0 {
			counts[r] = 0
			residues = append(residues, r)
		}
	}
	most := 0
	for _, r := range residues[:g] {
		most += counts[r]
	}
	var chosen []Position
	var pick func(from, kept int)
	pick = func(from, kept int) {
		if len(out) >= interleavedMax {
			complete = false
			return
		}
		if len(chosen) == g {
			if kept == most || p.goal.Objective[0] != ByMoves {
				out = append(out, p.interleave(chosen, n/g))
			}
			return
		}
		for i := from; i < len(residues); i++ {
			if left := g - len(chosen); p.goal.Objective[0] == ByMoves && kept+left*counts[residues[i]] < most {
				return
			}
			chosen = append(chosen, residues[i])
			pick(i+1, kept+counts[residues[i]])
			chosen = chosen[:len(chosen)-1]
		}
	}
	pick(0, 0)
	return out, complete
}

func (p *problem) interleave(residues []Position, turns int) []Position {
	var at []Position
	for _, r := range residues {
		for k := range turns {
			at = append(at, advance(r, p.axis.size.fraction(uint64(k), uint64(turns)), p.axis.size))
		}
	}
	slices.SortFunc(at, Position.cmp)
	return at
}
