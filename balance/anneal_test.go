package balance

import (
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
