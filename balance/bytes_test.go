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

// TestLackingOfSeveralFactors has two keyspaces, each in one half of the ring,
// of one and of three replicas: hardly anything is amiss, and the bound says no
// more than that.
func TestLackingOfSeveralFactors(t *testing.T) {
	r := &Ring{Min: new(big.Int), Circumference: big.NewInt(2000), Keyspaces: []Keyspace{
		{Name: "k1", Strategy: simple, RF: 1, Density: []Density{{At(0), "1"}, {At(1000), "0"}}},
		{Name: "k3", Strategy: simple, RF: 3, Density: []Density{{At(0), "0"}, {At(1000), "1"}}}}}
	for k := range 20 {
		r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", k), DC: "d", Rack: "r", Weight: WeightOne, Tokens: []Position{At(uint64(100 * k))}})
	}
	r.Nodes[19].Tokens[0] = At(1905)
	p, err := MakePlan(r, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Summary.Moves != 1 || p.Summary.Bytes != "5" || p.Summary.Proof == ProofBound {
		t.Errorf("%d moves, %s bytes, at least %s by %s", p.Summary.Moves, p.Summary.Bytes, p.Summary.LowerBound, p.Summary.Proof)
	}
}

// TestBoundsBelowPlans holds bounds of rings with data that is not even, of one
// or more factors, to what plans stream.
func TestBoundsBelowPlans(t *testing.T) {
	for seed := range count(t, "BALANCE_BOUNDS", 30) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 32))
		n := 13 + rnd.IntN(6)
		size := []uint64{uint64(n * 100), 1 << 40}[rnd.IntN(2)]
		r := &Ring{Min: new(big.Int), Circumference: new(big.Int).SetUint64(size)}
		for i := range n { // nearly balanced: what is amiss is little
			at := size/uint64(n)*uint64(i) + rnd.Uint64N(size/uint64(n)/20)
			r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", i), DC: "d", Rack: "r", Weight: WeightOne, Tokens: []Position{At(at)}})
		}
		half := At(size / 2)
		for k := range 1 + rnd.IntN(3) {
			space := Keyspace{Name: fmt.Sprint("k", k), Strategy: simple, RF: 1 + rnd.IntN(4), Density: []Density{{At(0), "1"}, {half, "0"}}}
			if k%2 == 1 {
				space.Density[0].Factor, space.Density[1].Factor = "0", "1"
			}
			r.Keyspaces = append(r.Keyspaces, space)
		}
		g := Goal{Tolerance: []Decimal{"0", "0.02"}[rnd.IntN(2)]}
		w, err := newWork(r, g)
		if err != nil {
			t.Fatal(err)
		}
		p := w.m.newProblem(&w.goal, w.planCircles()[0], w.leaving)
		s := p.solveLarge()
		if !s.found {
			t.Errorf("seed %d: no plan", seed)
		}
		if s.bound > s.bytes*(1+1e-9) {
			t.Errorf("seed %d, %d nodes, tolerance %s: %.0f bytes, at least %.0f: %+v", seed, n, g.Tolerance, s.bytes, s.bound, r.Keyspaces)
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
