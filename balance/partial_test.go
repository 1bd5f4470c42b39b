package balance

import (
	"math/rand/v2"
	"testing"
)

// TestFewMovesByMeasure has an even ring with most of the data in one arc: one
// move that halves it is what helps.
func TestFewMovesByMeasure(t *testing.T) {
	r := parse(t, `{"circumference":600,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[100]},{"id":"c","tokens":[200]},
		{"id":"d","tokens":[300]},{"id":"e","tokens":[400]},{"id":"f","tokens":[500]}],
		"keyspaces":[{"name":"k","strategy":"SimpleStrategy","rf":1,"density":[["0","1"],["200","9"],["300","1"]]}]}`)
	p, err := MakePlan(r, Goal{MovesMax: 1, Mode: ModePrimary})
	if err != nil {
		t.Fatal(err)
	}
	before, after := p.Ownership.Stats.Before.Worst, p.Ownership.Stats.After.Worst
	if p.Summary.Moves != 1 || after > 0.95 || before < 2 {
		t.Errorf("%d moves, worst deviation %.3f, then %.3f: %+v", p.Summary.Moves, before, after, p.Steps)
	}
}

// TestFrontierOfFewMoves holds that a bound on moves leaves the frontier up to
// it, and that its last point is the plan.
func TestFrontierOfFewMoves(t *testing.T) {
	r := bigRing(t, 20, 1, 1, 1, 0)
	p, err := MakePlan(r, Goal{MovesMax: 3, Frontier: 5})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Frontier); n < 3 || p.Frontier[0].Moves != 0 || p.Frontier[n-1].Moves != p.Summary.Moves || p.Summary.Moves > 3 || p.Goal.MovesMax != 3 {
		t.Errorf("%d moves: %+v", p.Summary.Moves, p.Frontier)
	}
	for i, point := range p.Frontier[1:] {
		if point.Moves <= p.Frontier[i].Moves || point.Worst > p.Frontier[i].Worst {
			t.Errorf("after %d moves the worst deviation is %.3f, after %d %.3f", p.Frontier[i].Moves, p.Frontier[i].Worst, point.Moves, point.Worst)
		}
	}
}

// TestFewMovesOfVnodes holds the best few moves of single tokens to the first
// few of the whole plan, in ring order.
func TestFewMovesOfVnodes(t *testing.T) {
	for _, racks := range []int{1, 3} {
		r := bigRing(t, 24, 8, racks, 3, 0)
		for i := range r.Nodes {
			rnd := rand.New(rand.NewPCG(uint64(i), 34))
			for k := range r.Nodes[i].Tokens {
				r.Nodes[i].Tokens[k] = At(rnd.Uint64())
			}
		}
		g := Goal{Tolerance: "0.05"}
		whole, err := MakePlan(r, g)
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWork(r, g)
		if err != nil {
			t.Fatal(err)
		}
		acts := w.actsOf(whole)
		g.Frontier = 12
		p, err := MakePlan(r, g)
		if err != nil {
			t.Fatal(err)
		}
		replay := newReplay(w.m)
		first := []float64{w.worst(replay)}
		for _, a := range acts {
			replay.apply(a, nil)
			first = append(first, w.worst(replay))
		}
		better := 0
		for _, point := range p.Frontier[1 : len(p.Frontier)-1] {
			if point.Worst > first[point.Moves]*(1+1e-9) {
				t.Errorf("%d racks: %d moves leave %.3f, the first ones %.3f", racks, point.Moves, point.Worst, first[point.Moves])
			}
			if point.Worst < first[point.Moves]*0.9 {
				better++
			}
		}
		g.MovesMax, g.Frontier = 6, 0
		few, err := MakePlan(r, g)
		if err != nil {
			t.Fatal(err)
		}
		if few.Summary.Moves > 6 || few.Ownership.Stats.After.Worst > 0.9*few.Ownership.Stats.Before.Worst {
			t.Errorf("%d racks: %d moves, from %.3f to %.3f", racks, few.Summary.Moves, few.Ownership.Stats.Before.Worst, few.Ownership.Stats.After.Worst)
		}
		if better < 6 {
			t.Errorf("%d racks: %d points are clearly better", racks, better)
		}
	}
}
