package balance

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// smallRing is one datacenter of single tokens.
func smallRing(rnd *rand.Rand, n, size int) *Ring {
	r := &Ring{Min: new(big.Int), Circumference: big.NewInt(int64(size))}
	racks := 1 + rnd.IntN(3)
	free := rnd.Perm(size)
	for i := range n {
		r.Nodes = append(r.Nodes, Node{ID: fmt.Sprint("n", i), DC: "d", Rack: fmt.Sprint("r", i%racks), Weight: WeightOne, Tokens: []Position{At(uint64(free[i]))}})
	}
	for k := range 1 + rnd.IntN(4)/3 {
		space := Keyspace{Name: fmt.Sprint("k", k), PerToken: Decimal(strconv.Itoa(1 + rnd.IntN(3)))}
		rf := 1 + rnd.IntN(min(3, n))
		if rnd.IntN(2) == 0 {
			space.Strategy, space.RF = simple, rf
		} else {
			space.Strategy, space.DCs = network, map[string]int{"d": rf}
		}
		r.Keyspaces = append(r.Keyspaces, space)
	}
	return r
}

// perRack makes every keyspace have as many replicas as there are racks.
func perRack(r *Ring) {
	racks := map[string]bool{}
	for _, n := range r.Nodes {
		racks[n.Rack] = true
	}
	for i := range r.Keyspaces {
		k := &r.Keyspaces[i]
		k.Strategy, k.RF, k.DCs = network, 0, map[string]int{"d": len(racks)}
	}
}

func randomGoal(rnd *rand.Rand) Goal {
	g := Goal{Mode: []string{ModePrimary, ModeRack, ModeReplicated}[rnd.IntN(3)]}
	g.Racks = []string{RacksTiebreak, RacksIgnore, RacksTiebreak, RacksRequire}[rnd.IntN(4)]
	switch rnd.IntN(6) {
	case 0:
		g.Objective = []string{ByBytes, ByMoves, ByRack}
	case 1:
		g.Objective = []string{ByMoves, ByRack, ByBytes}
	}
	return g
}

// walkSize is how many tokens the plain solver can walk in moderate time.
func walkSize(rnd *rand.Rand, g Goal, n int) int {
	sizes := []int{12, 14, 15, 18, 20, 21}
	switch {
	case len(g.Objective) > 0 && g.Objective[0] == ByBytes:
		return []int{8, 9, 10, 12, 12, 10, 9, 8}[n]
	case g.Mode == ModeReplicated || g.Racks == RacksRequire || n > 5 && g.Tolerance != "":
		sizes = []int{10, 12, 14}
	}
	return sizes[rnd.IntN(len(sizes))]
}

// randomCase is a small ring and a goal. Mixed ones have all there may be:
// weights, tolerance, uneven data, two datacenters, joins and leaves.
func randomCase(rnd *rand.Rand, most int) (r *Ring, g Goal) {
	n, mixed := 2+rnd.IntN(most-1), rnd.IntN(2) == 0
	g = randomGoal(rnd)
	if mixed {
		g.Tolerance = []Decimal{"", "0.2", "0.4"}[rnd.IntN(3)]
	}
	r = smallRing(rnd, n, walkSize(rnd, g, n))
	if mixed {
		mix(rnd, r)
	}
	if g.Mode == ModeRack && r.Nodes[n-1].DC == "d" {
		perRack(r)
	}
	if rnd.IntN(4) == 0 {
		g.Join = []Join{{r.Nodes[n-1].ID, r.Nodes[n-1].DC, r.Nodes[n-1].Rack}}
		r.Nodes = r.Nodes[:n-1]
	}
	if len(r.Nodes) > 1 && rnd.IntN(4) == 0 {
		g.Leave = []string{r.Nodes[0].ID}
	}
	return r, g
}

func mix(rnd *rand.Rand, r *Ring) {
	if rnd.IntN(2) == 0 {
		r.Nodes[0].Weight *= 2
	}
	if n := len(r.Nodes); rnd.IntN(3) == 0 && n > 2 {
		for i := range r.Nodes {
			r.Nodes[i].DC = []string{"d", "e"}[i%2]
		}
		for i := range r.Keyspaces {
			r.Keyspaces[i].Strategy, r.Keyspaces[i].RF, r.Keyspaces[i].DCs = network, 0, map[string]int{"d": 1 + rnd.IntN(2), "e": 1}
		}
	}
	if rnd.IntN(4) == 0 {
		r.Keyspaces[0].Density = []Density{{At(2), "2"}, {At(5), "1"}}
	}
}

// walked is what the plain solver found for a seed's ring: a line of
// testdata/walk.txt.
type walked struct {
	walkResult
	ok  bool
	sum uint32 // of ring and goal
}

func (w walked) String() string {
	return fmt.Sprintf("%08x %v %d %d %d", w.sum, w.ok, w.moves, w.bytes, w.score)
}

// walkCase is a seed's ring and goal, and both as text.
func walkCase(t *testing.T, seed int) (r *Ring, g Goal, text string) {
	t.Helper()
	r, g = randomCase(rand.New(rand.NewPCG(uint64(seed), 2)), 7)
	ring, _ := json.Marshal(r)
	goal, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	return r, g, string(ring) + "\n" + string(goal)
}

// walkSeed has the plain solver solve a seed's ring, and compares. With -v its
// answer stands in the log as in testdata/walk.txt.
func walkSeed(t *testing.T, seed int, kinds map[string]int) {
	t.Helper()
	r, g, text := walkCase(t, seed)
	goal, err := g.normal()
	if err != nil {
		t.Fatal(err)
	}
	members, err := goal.member(r)
	if err != nil {
		t.Fatal(err)
	}
	want := walked{sum: crc32.ChecksumIEEE([]byte(text))}
	want.walkResult, want.ok = newWalker(slowOf(t, members), goal).best()
	t.Log("walked", seed, want)
	compareWalk(t, seed, want, kinds)
}

// TestPlanAgainstWalk compares plans of up to seven nodes with the plain solver.
func TestPlanAgainstWalk(t *testing.T) {
	kinds := map[string]int{}
	for seed := range count(t, "BALANCE_WALK", 20) {
		walkSeed(t, seed+count(t, "BALANCE_WALK_FROM", 0), kinds)
	}
	logKinds(t, kinds)
}

// TestManyEnds does so where datacenters have ends of their own, too many
// together: bytes come before moves, or after them (444).
func TestManyEnds(t *testing.T) {
	kinds := map[string]int{}
	for _, seed := range []int{444, 862, 1195, 1378} {
		walkSeed(t, seed, kinds)
	}
	if kinds["rack 7 exhaustive"] != 1 || kinds["rack 6 exhaustive"] != 1 {
		t.Error(kinds)
	}
}

func logKinds(t *testing.T, kinds map[string]int) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		t.Log(kinds[k], k)
	}
}

// TestPlanAgainstWalked compares plans with what the plain solver found before:
// it takes hours for all these rings, plans take seconds.
func TestPlanAgainstWalked(t *testing.T) {
	text, err := os.ReadFile("testdata/walk.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	kinds := map[string]int{}
	for _, line := range lines[:min(len(lines), count(t, "BALANCE_WALKED", 150))] {
		var seed int
		var want walked
		if _, err := fmt.Sscanf(line, "%d %x %t %d %d %d", &seed, &want.sum, &want.ok, &want.moves, &want.bytes, &want.score); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		compareWalk(t, seed, want, kinds)
	}
	logKinds(t, kinds)
}

// beside tells that circles want the same tokens, and the plan gives way.
func beside(p *Plan) bool {
	return strings.Contains(strings.Join(p.Warnings, " "), "tokens beside")
}

func compareWalk(t *testing.T, seed int, want walked, kinds map[string]int) {
	t.Helper()
	r, g, text := walkCase(t, seed)
	if sum := crc32.ChecksumIEEE([]byte(text)); sum != want.sum {
		t.Fatalf("seed %d makes another ring than it did: %08x, not %08x", seed, sum, want.sum)
	}
	p, err := MakePlan(r, g)
	what := fmt.Sprintf("%s %d", g.Mode, len(r.Nodes)+len(g.Join))
	switch {
	case err != nil && want.ok:
		t.Errorf("seed %d: no plan (%v), there is one: %+v\n%s", seed, err, want.walkResult, text)
		return
	case err != nil:
		kinds[what+" impossible"]++
		return
	case beside(p) && (!want.ok || p.Summary.Moves < want.moves):
		kinds[what+" a token beside"]++ // rather than more moves, or none
		return
	}
	got := walkResult{p.Summary.Moves, int(p.Summary.Bytes.Float()), p.Summary.RackScore}
	if g.Racks == RacksIgnore {
		got.score = 0
	}
	if !want.ok || got != want.walkResult {
		t.Errorf("seed %d: plan %+v (%s), exhaustive %+v %v\n%s", seed, got, p.Summary.Proof, want.walkResult, want.ok, text)
		return
	}
	kinds[what+" "+p.Summary.Proof]++
}

// TestWalkerAgainstSlow holds the plain solver's view of a ring to the plain
// evaluator's.
func TestWalkerAgainstSlow(t *testing.T) {
	for seed := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 11))
		r, g := randomCase(rnd, 7)
		g.Join, g.Leave = nil, nil
		if g.Tolerance == "" {
			g.Tolerance = "0"
		}
		s := slowOf(t, r)
		w := newWalker(s, g)
		h, want := w.replicas(w.from), s.holders()
		for k := range s.spaces {
			for p := range s.size {
				for v, n := range s.nodes {
					if h[k*len(s.nodes)+v]>>p&1 == 1 != slices.Contains(want[k][p], n.id) {
						t.Fatalf("seed %d: keyspace %d, token %d, node %d", seed, k, p, v)
					}
				}
			}
		}
		all := true
		for _, group := range w.apart() {
			all = all && w.balanced(group, w.endOf(w.from))
		}
		if all != s.balanced(g) {
			t.Fatalf("seed %d: balanced: %v", seed, all)
		}
	}
}

// scaled is a ring of larger numbers. Where all arcs are whole numbers its best
// plan is the same, so many times as large.
func scaled(r *Ring, times uint64) *Ring {
	out := r.Clone()
	out.Circumference = r.size().times(times).big()
	for i := range out.Nodes {
		out.Nodes[i].Tokens[0] = out.Nodes[i].Tokens[0].times(times)
	}
	return out
}

// wholeArcs tells that every circle divides the ring.
func wholeArcs(r *Ring, mode string) bool {
	racks := map[string]uint64{}
	for i := range r.Nodes {
		if mode == ModeRack {
			racks[r.Nodes[i].Rack]++
		} else {
			racks[""]++
		}
	}
	for _, n := range racks {
		if r.size().lo%n != 0 {
			return false
		}
	}
	return true
}

// TestPlanScaled plans rings whose arcs are whole also many times as large,
// where not every token can be looked at: the plan is the same.
func TestPlanScaled(t *testing.T) {
	compared := 0
	for seed := range count(t, "BALANCE_SCALED", 60) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		n := 3 + rnd.IntN(5)
		r := smallRing(rnd, n, []int{12, 15, 18, 20, 21, 24}[rnd.IntN(6)])
		g := Goal{Mode: ModePrimary}
		if rnd.IntN(2) == 0 && r.Nodes[1].Rack != "r0" {
			g.Mode = ModeRack
			perRack(r)
		}
		if !wholeArcs(r, g.Mode) {
			continue
		}
		p, err := MakePlan(r, g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		compared++
		for _, times := range []uint64{25, 1000, 1 << 59} {
			got, err := MakePlan(scaled(r, times), g)
			if err != nil {
				t.Errorf("seed %d: %d times: %v", seed, times, err)
				continue
			}
			if beside(got) && got.Summary.Moves <= p.Summary.Moves {
				continue // two racks want a token: on the small ring that is another plan
			}
			want := p.Summary.Bytes.Float() * float64(times)
			if got.Summary.Moves != p.Summary.Moves || !near(got.Summary.Bytes.Float(), want) || got.Summary.RackScore != p.Summary.RackScore {
				text, _ := json.Marshal(r)
				t.Errorf("seed %d: %d times: %d moves, %s bytes, score %d, %s; not %d, %.0f, %d: %s", seed, times, got.Summary.Moves, got.Summary.Bytes,
					got.Summary.RackScore, got.Summary.Proof, p.Summary.Moves, want, p.Summary.RackScore, text)
			}
		}
	}
	t.Log(compared)
}

// TestCircleAgainstWhole holds the search of one circle to that of the ring.
func TestCircleAgainstWhole(t *testing.T) {
	compared := 0
	for seed := range 150 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 5))
		n := 3 + rnd.IntN(4)
		r := smallRing(rnd, n, []int{12, 15, 18, 20}[rnd.IntN(4)])
		if seed%2 == 0 {
			r = scaled(r, 1<<59)
		}
		w, err := newWork(r, Goal{Mode: ModePrimary, Objective: []string{ByMoves, ByBytes, ByRack}})
		if err != nil {
			t.Fatal(err)
		}
		whole, ok := w.solveSmall()
		circle := w.m.newProblem(&w.goal, w.planCircles()[0], w.leaving).solve()
		if !ok || circle.proof != ProofExhaustive {
			continue
		}
		compared++
		if whole.moves != circle.moves || !near(whole.bytes, circle.bytes) || whole.score != circle.score {
			t.Errorf("seed %d: %d moves, %.0f bytes, score %d, not %d, %.0f, %d", seed, circle.moves, circle.bytes, circle.score, whole.moves, whole.bytes, whole.score)
		}
	}
	if compared < 100 {
		t.Errorf("%d rings compared", compared)
	}
}
