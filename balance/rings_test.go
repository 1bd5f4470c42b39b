package balance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parade is the plain solver for more nodes than wander can walk: it lists all
// balanced rings by brute force, and for those that keep the most nodes all
// assignments and all orders.
type parade struct {
	wander
	group []int // by node
	memo  map[string][2]int
}

// targets lists the ways to choose size positions so that every arc is balanced.
func (s *slow) targets(n int, tol float64, visit func([]int)) {
	fits := func(arc int) bool {
		off := max(arc*n-s.size, s.size-arc*n)
		return off < n || float64(off) <= tol*float64(s.size)+1e-9
	}
	at := make([]int, 0, n)
	var choose func(from int)
	choose = func(from int) {
		if len(at) == n {
			if n == 1 || fits(at[0]+s.size-at[n-1]) {
				visit(at)
			}
			return
		}
		for p := from; p < s.size; p++ {
			if len(at) > 0 && !fits(p-at[len(at)-1]) {
				continue
			}
			at = append(at, p)
			choose(p + 1)
			at = at[:len(at)-1]
		}
	}
	choose(0)
}

// finish is the least bytes, then rack score, from a state to a target ring
// where todo tells who still moves, each once and within its group.
func (w *parade) finish(key string, todo uint32, target [][]int) [2]int {
	if todo == 0 {
		w.set(key)
		return [2]int{0, w.s.score()}
	}
	id := key + string([]byte{byte(todo), byte(todo >> 8)})
	if v, ok := w.memo[id]; ok {
		return v
	}
	best := [2]int{1 << 40, 0}
	for i := range w.s.nodes {
		if todo&(1<<i) == 0 {
			continue
		}
		for _, to := range target[w.group[i]] {
			if slices.Contains([]byte(key), byte(to)) {
				continue
			}
			k := []byte(key)
			k[i] = byte(to)
			rest := w.finish(string(k), todo&^(1<<i), target)
			rest[0] += w.cost(key, string(k))
			if rest[0] < best[0] || rest[0] == best[0] && rest[1] < best[1] {
				best = rest
			}
		}
	}
	w.memo[id] = best
	return best
}

// noPlan are the moves where there is no end.
const noPlan = 1 << 20

func (w *parade) best(tol float64) (moves int, best [2]int) {
	groups := slices.Max(w.group) + 1
	sizes := make([]int, groups)
	for _, g := range w.group {
		sizes[g]++
	}
	choices := make([][][]int, groups)
	for g := range choices {
		w.s.targets(sizes[g], tol, func(at []int) { choices[g] = append(choices[g], slices.Clone(at)) })
	}
	start := ""
	for _, n := range w.s.nodes {
		start += string([]byte{byte(n.tokens[0])})
	}
	moves = noPlan
	var each func(g int, target [][]int)
	each = func(g int, target [][]int) {
		if g < groups {
			for _, c := range choices[g] {
				each(g+1, append(target, c))
			}
			return
		}
		var todo uint32
		m := 0
		used := map[int]bool{}
		for _, at := range target {
			for _, p := range at {
				if used[p] {
					return
				}
				used[p] = true
			}
		}
		for i := range w.s.nodes {
			if !slices.Contains(target[w.group[i]], int(start[i])) {
				todo |= 1 << i
				m++
			}
		}
		if m > moves {
			return
		}
		w.memo = map[string][2]int{}
		got := w.finish(start, todo, target)
		if got[0] < 1<<39 && (m < moves || got[0] < best[0] || got[0] == best[0] && got[1] < best[1]) {
			moves, best = m, got
		}
	}
	each(0, nil)
	return moves, best
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

// beside tells that circles want the same tokens, and the plan gives way.
func beside(p *Plan) bool {
	return strings.Contains(strings.Join(p.Warnings, " "), "tokens beside")
}

func compareScaled(t *testing.T, seed int, r *Ring, g Goal, p *Plan) {
	t.Helper()
	racks := map[string]uint64{}
	for i := range r.Nodes {
		racks[r.Nodes[i].Rack]++
	}
	if g.Mode != ModeRack {
		racks = map[string]uint64{"": uint64(len(r.Nodes))}
	}
	for _, n := range racks {
		if r.size().lo%n != 0 || g.Tolerance != "" {
			return
		}
	}
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

// TestPlanAgainstParade compares plans for up to seven nodes with the plain
// solver.
func TestPlanAgainstParade(t *testing.T) {
	kinds := map[string]int{}
	most := count(t, "BALANCE_PARADE_NODES", 5)
	for seed := range count(t, "BALANCE_PARADE", 40) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		n := 4 + rnd.IntN(most-3)
		r := smallRing(rnd, n, []int{12, 15, 18, 20, 21, 24}[rnd.IntN(6)])
		g := Goal{Mode: ModePrimary}
		tol := 0.0
		if rnd.IntN(2) == 0 && r.Nodes[1].Rack != "r0" {
			g.Mode = ModeRack
			perRack(r)
		} else if rnd.IntN(3) == 0 {
			tol, g.Tolerance = 0.3, "0.3"
		}
		p, err := MakePlan(r, g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s := slowOf(t, r)
		w := &parade{wander: wander{s: s, plan: p, held: map[string][][]uint32{}}}
		for i := range s.nodes {
			if g.Mode == ModeRack {
				w.group = append(w.group, int(s.nodes[i].rack[1]-'0'))
			} else {
				w.group = append(w.group, 0)
			}
		}
		moves, best := w.best(tol)
		want := fmt.Sprint(moves, " ", strconv.Itoa(best[0]), " ", best[1])
		got := fmt.Sprint(p.Summary.Moves, " ", p.Summary.Bytes, " ", p.Summary.RackScore)
		what := fmt.Sprint(g.Mode, " ", n, " tolerance ", tol > 0, " ", p.Summary.Proof)
		switch {
		case moves == noPlan && beside(p): // no balanced rings of the racks go together
			what += ", a token beside"
		case got != want:
			what += " differs"
			text, _ := json.Marshal(r)
			t.Errorf("seed %d: plan %s (%s), exhaustive %s: %s", seed, got, p.Summary.Proof, want, text)
		}
		compareScaled(t, seed, r, g, p)
		kinds[what]++
	}
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range kinds {
			if !yield(k) {
				return
			}
		}
	}) {
		t.Log(kinds[k], k)
	}
}
