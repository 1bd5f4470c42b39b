package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAnneal holds what the annealer thinks that moves stream to the exact
// evaluator, and that it finds better orders than polishing alone.
func TestAnneal(t *testing.T) {
	better := 0
	for seed := range 6 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 21))
		r := bigRing(t, 20+rnd.IntN(30), 1, 1, 2+rnd.IntN(2), 0)
		for i := range r.Nodes {
			r.Nodes[i].Tokens[0] = At(rnd.Uint64())
		}
		r.Keyspaces = append(r.Keyspaces, Keyspace{Name: "all", Strategy: simple, RF: 1 + rnd.IntN(3), PerToken: "3"})
		w, err := newWork(r, Goal{Mode: ModePrimary})
		if err != nil {
			t.Fatal(err)
		}
		p := w.m.newProblem(&w.goal, w.planCircles()[0], w.leaving)
		at := p.evenFrom(p.held[0])
		kept, _ := p.keptIn(at)
		target := p.newTarget(at, kept)
		acts := p.follow(&target).acts
		total := func(acts []act) (sum float64) {
			replay := p.newLocalReplay()
			for _, a := range acts {
				sum += replay.apply(a, nil).bytes.float()
			}
			return sum
		}
		a := p.newAnnealer(acts)
		if a == nil {
			t.Fatal("it does not try")
		}
		sum := func() (sum float64) {
			for _, c := range a.cost {
				sum += c
			}
			return sum
		}
		before := total(acts)
		if diff := sum()/before - 1; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("seed %d: %.0f bytes, not %.0f", seed, sum(), before)
		}
		a.run(len(p.held), annealTriesMax*len(acts)/len(p.m.ring.Nodes))
		ordered := p.anneal(acts)
		if diff := sum()/total(ordered) - 1; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("seed %d: after it %.0f bytes, not %.0f", seed, sum(), total(ordered))
		}
		if total(ordered) < before {
			better++
		}
		was, will := slices.Clone(acts), slices.Clone(ordered)
		byNode := func(a, b act) int { return a.node - b.node }
		slices.SortFunc(was, byNode)
		slices.SortFunc(will, byNode)
		for i := range was {
			if was[i].node != will[i].node || was[i].gone[0] != will[i].gone[0] {
				t.Fatalf("seed %d: other moves", seed)
			}
		}
	}
	if better < 3 {
		t.Errorf("%d rings streamed less", better)
	}
}

// TestExponential holds the numbers of annealing to what they shall be spread as.
func TestExponential(t *testing.T) {
	a := &annealer{rnd: rand.New(rand.NewPCG(1, 2))}
	const n = 200000
	sum, above := 0.0, map[float64]int{0.5: 0, 1: 0, 2: 0, 4: 0}
	for range n {
		x := a.exponential()
		sum += x
		for at := range above {
			if x > at {
				above[at]++
			}
		}
	}
	if mean := sum / n; math.Abs(mean-1) > 0.01 {
		t.Errorf("%.4f on average", mean)
	}
	for at, got := range above {
		if want := n * math.Exp(-at); math.Abs(float64(got)-want) > 5*math.Sqrt(want) {
			t.Errorf("%d above %v, not %.0f", got, at, want)
		}
	}
}
