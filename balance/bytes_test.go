package balance

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestBytesFirst has two nodes that could stay, far from where all others are:
// where bytes come first, they move as well.
func TestBytesFirst(t *testing.T) {
	r := &Ring{Min: new(big.Int), Circumference: big.NewInt(2000), Keyspaces: []Keyspace{{Name: "k", Strategy: simple, RF: 1}}}
	for k, j := 0, 1; k < 20; k++ {
		at := 100*k + 50
		if k%10 != 0 {
			at, j = 100*k+j, j+1
		}
		r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", k), DC: "d", Rack: "r", Weight: WeightOne, Tokens: []Position{At(uint64(at))}})
	}
	for _, c := range []struct {
		goal  Goal
		moves int
		bytes float64
	}{
		{Goal{}, 18, 729},
		{Goal{Objective: []string{ByBytes}}, 19, 161}, // slots at 10, 110, ...
		{Goal{Objective: []string{ByRack, ByBytes}}, 19, 161},
	} {
		p, err := MakePlan(r, c.goal)
		if err != nil {
			t.Fatal(err)
		}
		if bound := p.Summary.LowerBound.Float(); p.Summary.Moves != c.moves || p.Summary.Bytes.Float() != c.bytes || bound > c.bytes || bound < c.bytes*0.99 {
			t.Errorf("%v: %d moves, %s bytes, at least %s by %s", c.goal.Objective, p.Summary.Moves, p.Summary.Bytes, p.Summary.LowerBound, p.Summary.Proof)
		}
	}
}

// TestBytesFirstAgainstRotations holds plans in which bytes come first, and what
// they say that any plan streams, to the moves to every even ring that begins at
// a token, seated in ring order.
func TestBytesFirstAgainstRotations(t *testing.T) {
	for seed := range count(t, "BALANCE_BYTES", 8) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 31))
		n, rf := 13+rnd.IntN(12), 1+seed%3
		r := bigRing(t, n, 1, 1, rf, []float64{0, 0.3}[seed/3%2])
		for i := range r.Nodes {
			if seed%2 == 0 {
				r.Nodes[i].Tokens[0] = At(rnd.Uint64())
			}
		}
		for k := range rnd.IntN(4) { // some that could stay
			r.Nodes[n-1-k].Tokens[0] = advance(r.Nodes[0].Tokens[0], r.size().fraction(uint64(n-1-k), uint64(n)), r.size())
		}
		p, err := MakePlan(r, Goal{Objective: []string{ByBytes}})
		if err != nil {
			t.Fatal(err)
		}
		for _, slots := range evenRings(r) {
			seats := leastDistance(r, slots)
			moves, bytes := bring(t, r, slots, seats)
			if p.Summary.Bytes.Float() > bytes*(1+1e-9) {
				t.Errorf("seed %d, %d nodes, RF %d: plan %s bytes, %s; %.0f do, in %d moves", seed, n, rf, p.Summary.Bytes, p.Summary.Proof, bytes, moves)
			}
			if p.Summary.LowerBound.Float() > bytes*(1+1e-9) {
				t.Errorf("seed %d, %d nodes, RF %d: no plan with less than %s bytes, and %.0f do", seed, n, rf, p.Summary.LowerBound, bytes)
			}
		}
	}
}
