package balance

import (
	"fmt"
	"math/big"
	"testing"
)

// pairs is an even ring whose racks stand two by two: A, A, B, B, and so on.
func pairs(n, rf int) *Ring {
	r := &Ring{Min: new(big.Int), Circumference: big.NewInt(int64(100 * n))}
	for i := range n {
		r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", i), DC: "d", Rack: string("AB"[i/2%2]), Weight: WeightOne, Tokens: []Position{At(uint64(100 * i))}})
	}
	r.Keyspaces = []Keyspace{{Name: "k", Strategy: network, DCs: map[string]int{"d": rf}}}
	return r
}

// TestRacksFirst has rings that are balanced but for their racks: where those
// come before moves, a plan lets them alternate, and does not call its standing
// still the best there is.
func TestRacksFirst(t *testing.T) {
	for _, c := range []struct {
		nodes, rf int
		goal      Goal
		moves     bool
		score     int
	}{
		{20, 1, Goal{Mode: ModePrimary}, false, 10},
		{20, 1, Goal{Mode: ModePrimary, Objective: []string{ByRack}}, true, 0},
		{20, 1, Goal{Mode: ModePrimary, Objective: []string{ByRack, ByBytes}}, true, 0},
		{20, 1, Goal{Mode: ModePrimary, Racks: RacksRequire}, true, 0},
		{8, 1, Goal{Mode: ModePrimary, Objective: []string{ByRack}}, true, 0},
		// Every node holds all, so that moves stream nothing.
		{4, 4, Goal{Mode: ModePrimary, Objective: []string{ByMoves}}, false, 2},
		{4, 4, Goal{Mode: ModePrimary, Objective: []string{ByBytes, ByMoves}}, false, 2},
		{4, 4, Goal{Mode: ModePrimary, Objective: []string{ByBytes, ByRack}}, true, 0},
	} {
		p, err := MakePlan(pairs(c.nodes, c.rf), c.goal)
		if err != nil {
			t.Errorf("%d nodes, %+v: %v", c.nodes, c.goal, err)
			continue
		}
		if p.Summary.RackScore != c.score || c.moves != (p.Summary.Moves > 0) {
			t.Errorf("%d nodes, %v: %d moves, rack score %d, %s", c.nodes, c.goal.Objective, p.Summary.Moves, p.Summary.RackScore, p.Summary.Proof)
		}
		if !c.moves && p.Summary.Proof != ProofExhaustive {
			t.Errorf("%d nodes, %v: proof %s of no moves", c.nodes, c.goal.Objective, p.Summary.Proof)
		}
	}
}

// TestNothingDoneIsNoProof has rings in which no better plan is found though
// racks come first and repeat: it is not said that there is none.
func TestNothingDoneIsNoProof(t *testing.T) {
	r := pairs(20, 2) // the datacenter's racks are planned apart
	r.Nodes[0].Rack, r.Nodes[1].Rack = "B", "B"
	for _, g := range []Goal{
		{Objective: []string{ByRack}},
		{Objective: []string{ByBytes, ByRack}, Tolerance: "0.9"},
	} {
		p, err := MakePlan(r, g)
		if err != nil {
			t.Fatal(err)
		}
		if p.Summary.RackScore > 0 && p.Summary.Proof == ProofExhaustive {
			t.Errorf("%v: %d moves, rack score %d, %s", g.Objective, p.Summary.Moves, p.Summary.RackScore, p.Summary.Proof)
		}
	}
	for i := range r.Nodes { // and with more tokens
		r.Nodes[i].Tokens = append(r.Nodes[i].Tokens, r.Nodes[i].Tokens[0].add(At(50)))
	}
	p, err := MakePlan(r, Goal{Mode: ModePrimary, Objective: []string{ByRack}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Summary.Moves > 0 || p.Summary.RackScore == 0 || p.Summary.Proof == ProofExhaustive {
		t.Errorf("vnodes: %d moves, rack score %d, %s", p.Summary.Moves, p.Summary.RackScore, p.Summary.Proof)
	}
}
