package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// boundOf is what the planner for large circles thinks that any plan streams.
func boundOf(t *testing.T, r *Ring, g Goal) (bound float64, ok bool) {
	t.Helper()
	w, err := newWork(r, g)
	if err != nil {
		return 0, false
	}
	for _, c := range w.planCircles() {
		p := w.m.newProblem(&w.goal, c, w.leaving)
		if !p.even || p.racksLead() || p.c.mode == ModeReplicated {
			return 0, false
		}
		s := p.solveLarge()
		if s.bound0 || !s.found {
			return 0, false
		}
		bound += s.bound / math.Pow10(w.m.scale)
	}
	return bound, true
}

// TestBoundsBelowWalked holds bounds to what the plain solver found: no plan of
// as few moves streams less.
func TestBoundsBelowWalked(t *testing.T) {
	text, err := os.ReadFile("testdata/walk.txt")
	if err != nil {
		t.Fatal(err)
	}
	compared, telling := 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var seed int
		var want walked
		if _, err := fmt.Sscanf(line, "%d %x %t %d %d %d", &seed, &want.sum, &want.ok, &want.moves, &want.bytes, &want.score); err != nil {
			t.Fatal(err)
		}
		r, g, _ := walkCase(t, seed)
		bound, ok := boundOf(t, r, g)
		if !ok || !want.ok {
			continue
		}
		compared++
		if bound > float64(want.bytes)*(1+1e-9) {
			t.Errorf("seed %d: at least %.1f bytes, and %d do", seed, bound, want.bytes)
		}
		if bound > 0.5*float64(want.bytes) {
			telling++
		}
	}
	if compared < 400 || telling < 50 {
		t.Errorf("%d bounds compared, of which %d tell something", compared, telling)
	}
}

// TestBoundsBelowBest does so on rings that are searched as a whole, where arcs
// are not rounded.
func TestBoundsBelowBest(t *testing.T) {
	closer := 0
	for seed := range count(t, "BALANCE_BEST", 40) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 35))
		r := bigRing(t, 5+rnd.IntN(4), 1, 1, 1+seed%3, 0)
		for i := range r.Nodes {
			r.Nodes[i].Tokens[0] = At(rnd.Uint64())
		}
		if seed%4 == 0 { // one that is nearly even
			for i := range r.Nodes {
				r.Nodes[i].Tokens[0] = r.size().fraction(uint64(i), uint64(len(r.Nodes))).add(At(rnd.Uint64N(1 << 60)))
			}
		}
		best, err := MakePlan(r, Goal{Mode: ModePrimary})
		if err != nil {
			t.Fatal(err)
		}
		bound, ok := boundOf(t, r, Goal{Mode: ModePrimary})
		if !ok || best.Summary.Proof != ProofExhaustive {
			t.Fatalf("seed %d: %s", seed, best.Summary.Proof)
		}
		if bytes := best.Summary.Bytes.Float(); bound > bytes*(1+1e-9) {
			t.Errorf("seed %d, %d nodes, RF %d: at least %.0f bytes, and %.0f do", seed, len(r.Nodes), 1+seed%3, bound, bytes)
		} else if bound > 0.95*bytes {
			closer++
		}
	}
	if closer < 20 {
		t.Errorf("%d bounds are near", closer)
	}
}

// TestStepsTellMore holds that with one replica moves tell more than slots do.
func TestStepsTellMore(t *testing.T) {
	r := bigRing(t, 100, 1, 1, 1, 0)
	w, err := newWork(r, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	p := w.m.newProblem(&w.goal, w.planCircles()[0], w.leaving)
	was := p.intervalsOf(p.held)
	var nets, steps []float64
	for _, rotation := range p.rotations(p.rotationsLimit()) {
		target := p.newTarget(p.ring(rotation))
		p.promise(&target, &was)
		will := p.intervalsOf(target.at)
		nets, steps = append(nets, target.net), append(steps, p.stepwise(&target, &was, &will))
	}
	if slots, each := slices.Min(nets), slices.Min(steps); each < slots*1.005 {
		t.Errorf("at least %.4g bytes by slots, %.4g by moves", slots, each)
	}
}
