package balance

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// anyRing is a ring of some partitioner, with whatever a cluster may have.
func anyRing(t *testing.T, rnd *rand.Rand) *Ring {
	t.Helper()
	r, err := NewRing([]string{murmur3, random, byteOrdered}[rnd.IntN(3)])
	if err != nil {
		t.Fatal(err)
	}
	place := func() Position {
		n := new(big.Int).SetUint64(rnd.Uint64())
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(rnd.Uint64()))
		return positionOf(n.Rem(n, r.Circumference))
	}
	tokens, dcs := []int{1, 1, 1, 4}[rnd.IntN(4)], 1+rnd.IntN(2)
	for dc := range dcs {
		racks := 1 + rnd.IntN(3)
		for i := range 4 + rnd.IntN(12) {
			n := Node{ID: fmt.Sprintf("%d-%d", dc, i), DC: fmt.Sprint("dc", dc), Rack: fmt.Sprint("r", i%racks), Weight: WeightOne}
			if rnd.IntN(8) == 0 {
				n.Weight *= 2
			}
			for range tokens {
				n.Tokens = append(n.Tokens, place())
			}
			n.DiskFree = new(big.Int).Lsh(big.NewInt(1), 130)
			r.Nodes = append(r.Nodes, n)
		}
	}
	for k := range 1 + rnd.IntN(2) {
		space := Keyspace{Name: fmt.Sprint("k", k), Strategy: network, DCs: map[string]int{}, PerToken: "0.001"}
		for dc := range dcs {
			space.DCs[fmt.Sprint("dc", dc)] = 1 + rnd.IntN(3)
		}
		if rnd.IntN(3) == 0 {
			for range 5 {
				space.Density = append(space.Density, Density{place(), Decimal(fmt.Sprint(1 + rnd.IntN(4)))})
			}
			slices.SortFunc(space.Density, func(a, b Density) int { return a.After.cmp(b.After) })
		}
		r.Keyspaces = append(r.Keyspaces, space)
	}
	return r
}

func anyGoal(rnd *rand.Rand, r *Ring) Goal {
	g := Goal{Tolerance: []Decimal{"0.1", "0.05", "0"}[rnd.IntN(3)], Headroom: "0.1", Throughput: "1000000"}
	g.Racks = []string{RacksTiebreak, RacksIgnore, RacksTiebreak, RacksRequire}[rnd.IntN(4)]
	g.Cleanup = []string{CleanupEach, CleanupNeeded}[rnd.IntN(2)]
	if len(r.Nodes[0].Tokens) > 1 {
		g.Tolerance = "0.2"
	}
	if rnd.IntN(3) == 0 {
		for i := range 1 + rnd.IntN(2) {
			g.Join = append(g.Join, Join{fmt.Sprint("new", i), "dc0", r.Nodes[0].Rack})
		}
	}
	if rnd.IntN(3) == 0 {
		g.Leave = append(g.Leave, r.Nodes[rnd.IntN(len(r.Nodes))].ID)
	}
	if rnd.IntN(6) == 0 && len(g.Join)+len(g.Leave) == 0 {
		g.MovesMax = 2
	}
	return g
}

// TestAxisBack holds the inverse of the data up to a token to a plain search.
func TestAxisBack(t *testing.T) {
	for seed := range 30 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		r := parse(t, `{"circumference":97,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[50]}]}`)
		for k := range 2 {
			space := Keyspace{Name: fmt.Sprint(k), Strategy: simple, RF: 1}
			for i := range 4 {
				space.Density = append(space.Density, Density{At(uint64(20*i + rnd.IntN(20))), Decimal(fmt.Sprint(rnd.IntN(5)))})
			}
			space.Density[0].Factor = "3"
			r.Keyspaces = append(r.Keyspaces, space)
		}
		m, err := newModel(r)
		if err != nil {
			t.Fatal(err)
		}
		c := circle{mode: ModePrimary, rack: -1, nodes: []int{0, 1}}
		a := m.newAxis(&c)
		for range 40 {
			y := a.size.fraction(uint64(rnd.IntN(1<<20)), 1<<20)
			want := Position{}
			for p := range uint64(97) {
				if !y.less(a.of(At(p))) {
					want = At(p)
				}
			}
			if got := a.back(y); got != want {
				t.Fatalf("seed %d: %v is at %v, not at %v", seed, y, want, got)
			}
		}
	}
}

// TestWeightsOnAnyRing plans rings in which a node counts twice, of every size of
// circle there is: tokens, and shares of measured data.
func TestWeightsOnAnyRing(t *testing.T) {
	for seed := range uint64(12) {
		partitioner := []string{murmur3, random, byteOrdered}[seed%3]
		r, err := NewRing(partitioner)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(seed, 33))
		n := 13 + rnd.IntN(8)
		place := func(i int) Position { // near an even ring
			step, _ := r.size().div(uint64(8 * n))
			return step.times(uint64(8*i + rnd.IntN(3)))
		}
		for i := range n {
			r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", i), DC: "d", Rack: "r", Weight: WeightOne, Tokens: []Position{place(i)}})
		}
		r.Nodes[rnd.IntN(n)].Weight *= 2
		r.Keyspaces = []Keyspace{{Name: "k", Strategy: simple, RF: 1, PerToken: "0.001"}}
		if seed%2 == 0 {
			r.Keyspaces[0].Density = []Density{{place(0), "3"}, {place(n / 2), "2"}}
		}
		p, err := MakePlan(r, Goal{Tolerance: "0.1"})
		if err != nil {
			t.Errorf("seed %d, %s, %d nodes: %v", seed, partitioner, n, err)
			continue
		}
		if p.Summary.Moves > n-2 {
			t.Errorf("seed %d, %s: %d of %d nodes move", seed, partitioner, p.Summary.Moves, n)
		}
	}
}

// TestAnyRing plans whatever there may be, all at once: datacenters, racks,
// weights, densities, several tokens, joins and leaves. What is planned holds
// before Verify, also after a way through JSON; what is not is impossible for a
// reason that is no step of the planner's own.
func TestAnyRing(t *testing.T) {
	impossible := map[string]int{}
	for seed := range count(t, "BALANCE_ANY", 60) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 6))
		r := anyRing(t, rnd)
		g := anyGoal(rnd, r)
		p, err := MakePlan(r, g)
		if err != nil {
			reason := err.Error()
			short := len(r.Nodes[0].Tokens) > 1 && (strings.Contains(reason, "unbalanced end") || strings.Contains(reason, "no moves of tokens were found"))
			if !short && !strings.Contains(reason, "RF above nodes") && !strings.Contains(reason, "more moves or bytes") {
				t.Errorf("seed %d: %v", seed, err)
			}
			impossible[reason[:min(len(reason), 75)]]++
			continue
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePlan(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Verify(back, r)
		if err != nil || !v.Valid || !v.Balanced && g.MovesMax == 0 {
			t.Errorf("seed %d: %v %+v", seed, err, v.Reason)
		}
		if p.Summary.Gap < 0 && p.Summary.Proof != ProofHeuristic || p.Summary.Gap != 0 && p.Summary.Proof != ProofHeuristic {
			t.Errorf("seed %d: gap %v, proof %s", seed, p.Summary.Gap, p.Summary.Proof)
		}
		if bytes := p.Summary.Bytes.Float(); p.Summary.LowerBound.Float() > bytes*(1+1e-9) {
			t.Errorf("seed %d: %s bytes are below the bound %s", seed, p.Summary.Bytes, p.Summary.LowerBound)
		}
	}
	t.Log(impossible)
}
