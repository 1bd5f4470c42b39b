package balance

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// rival is how others balance a ring of single tokens: the even rings that they
// look at, each in ring order, and who goes where in one.
type rival struct {
	name  string
	rings func(r *Ring) [][]Position
	seats func(r *Ring, slots []Position) []int // by node, in ring order
}

// inRingOrder seats node i of the ring order in slot i+turn, for every turn.
func inRingOrder(r *Ring, n int) (out [][]int) {
	for turn := range n {
		seats := make([]int, n)
		for i := range seats {
			seats[i] = (i + turn) % n
		}
		out = append(out, seats)
	}
	return out
}

// evenSlots is the even ring that begins at a token.
func evenSlots(r *Ring, first Position) (out []Position) {
	n := len(r.Nodes)
	for i := range n {
		out = append(out, advance(first, r.size().fraction(uint64(i), uint64(n)), r.size()))
	}
	slices.SortFunc(out, Position.cmp)
	return out
}

// ringOrder are the nodes by token.
func ringOrder(r *Ring) []int {
	order := make([]int, len(r.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return r.Nodes[a].Tokens[0].cmp(r.Nodes[b].Tokens[0]) })
	return order
}

// evenRings are those that begin at a token.
func evenRings(r *Ring) (out [][]Position) {
	for i := range r.Nodes {
		out = append(out, evenSlots(r, r.Nodes[i].Tokens[0]))
	}
	return out
}

// leastDistance seats nodes in ring order, so that they go the least way in sum.
func leastDistance(r *Ring, slots []Position) (seats []int) {
	best := -1.0
	for _, way := range inRingOrder(r, len(slots)) {
		if d := distance(r, slots, way); best < 0 || d < best {
			best, seats = d, way
		}
	}
	return seats
}

// fewestMoves does so with as few moves as that ring takes.
func fewestMoves(r *Ring, slots []Position) (seats []int) {
	for _, way := range inRingOrder(r, len(slots)) {
		if seats == nil || fewer(r, slots, way, slots, seats) {
			seats = way
		}
	}
	return seats
}

// fewer tells whether seats a take fewer moves than b, or as many and less way.
func fewer(r *Ring, slotsA []Position, a []int, slotsB []Position, b []int) bool {
	moves := func(slots []Position, seats []int) (n int) {
		for i, node := range ringOrder(r) {
			if r.Nodes[node].Tokens[0] != slots[seats[i]] {
				n++
			}
		}
		return n
	}
	if x, y := moves(slotsA, a), moves(slotsB, b); x != y {
		return x < y
	}
	return distance(r, slotsA, a) < distance(r, slotsB, b)
}

// distance is how far nodes go in sum.
func distance(r *Ring, slots []Position, seats []int) (sum float64) {
	for i, node := range ringOrder(r) {
		d := after(r.Nodes[node].Tokens[0], slots[seats[i]], r.size()).float()
		sum += min(d, r.size().float()-d)
	}
	return sum
}

var rivals = []rival{
	{"distance rule", evenRings, fewestMoves},
	{"calculator", func(r *Ring) [][]Position { return [][]Position{evenSlots(r, Position{})} }, func(r *Ring, slots []Position) []int {
		return inRingOrder(r, len(slots))[0]
	}},
	{"host names", func(r *Ring) [][]Position { return evenRings(r)[:1] }, func(r *Ring, slots []Position) []int {
		order := ringOrder(r)
		byName := slices.Clone(order)
		slices.SortFunc(byName, func(a, b int) int { return strings.Compare(r.Nodes[a].ID, r.Nodes[b].ID) })
		seats := make([]int, len(slots))
		for slot, node := range byName {
			seats[slices.Index(order, node)] = slot
		}
		return seats
	}},
}

// bring moves nodes to their seats, the precedence of fact and need: whoever
// stands on a target goes first. It tells moves and bytes.
func bring(t *testing.T, r *Ring, slots []Position, seats []int) (moves int, bytes float64) {
	t.Helper()
	m, err := newModel(r)
	if err != nil {
		t.Fatal(err)
	}
	re := newReplay(m)
	order := ringOrder(r)
	var todo []act
	for i, v := range order {
		if at := r.Nodes[v].Tokens[0]; at != slots[seats[i]] {
			todo = append(todo, act{op: opMove, node: v, gone: []Position{at}, came: []Position{slots[seats[i]]}})
		}
	}
	for len(todo) > 0 {
		next := -1
		for i, a := range todo { // nobody passes a node that has yet to move, if that can be
			if re.owner(a.came[0]) >= 0 {
				continue
			}
			if next < 0 {
				next = i
			}
			if !passes(re, a) {
				next = i
				break
			}
		}
		if next < 0 {
			t.Fatal("nobody can move")
		}
		bytes += re.apply(todo[next], nil).bytes.float()
		todo = slices.Delete(todo, next, next+1)
		moves++
	}
	return moves, bytes
}

// passes tells whether a token lies on the shorter way of a move.
func passes(re *replay, a act) bool {
	l := re.domains[0].now
	from, to := a.gone[0], a.came[0]
	forward := after(from, to, re.m.size)
	if re.m.size.half().less(forward) {
		from, to = to, from
	}
	i, there := l.index(from)
	if there && from == a.gone[0] {
		i++
	}
	next := l.pos[i%len(l.pos)]
	return next != a.gone[0] && after(from, next, re.m.size).less(after(from, to, re.m.size))
}

// least is the way of a rival with the fewest moves, of those the one of least
// distance.
func (v rival) least(r *Ring) (slots []Position, seats []int) {
	for _, ring := range v.rings(r) {
		if way := v.seats(r, ring); slots == nil || fewer(r, ring, way, slots, seats) {
			slots, seats = ring, way
		}
	}
	return slots, seats
}

// TestNeverWorseThanRivals plans larger rings and compares.
func TestNeverWorseThanRivals(t *testing.T) {
	sum := map[string]float64{}
	rounds := count(t, "BALANCE_RIVALS", 12)
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 4))
		n, rf := 8+rnd.IntN(60), 1+seed%3
		r := bigRing(t, n, 1, 1, rf, 0)
		for i := range r.Nodes {
			r.Nodes[i].Tokens[0] = At(rnd.Uint64())
		}
		p, err := MakePlan(r, Goal{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range rivals {
			slots, seats := v.least(r)
			moves, bytes := bring(t, r, slots, seats)
			if p.Summary.Moves > moves || p.Summary.Moves == moves && p.Summary.Bytes.Float() > bytes*(1+1e-9) {
				t.Errorf("seed %d, %d nodes, RF %d: plan %d moves, %s bytes; %s %d moves, %.0f bytes",
					seed, n, rf, p.Summary.Moves, p.Summary.Bytes, v.name, moves, bytes)
			}
			sum[v.name] += bytes / p.Summary.Bytes.Float() / float64(rounds)
		}
	}
	for _, v := range rivals {
		t.Logf("%s: %.2f times the plan's bytes on average", v.name, sum[v.name])
	}
}

// TestGap reports how far plans are above the bound.
func TestGap(t *testing.T) {
	rounds := count(t, "BALANCE_GAP", 1)
	for _, n := range []int{100, 1000} {
		for _, c := range []struct{ racks, rf int }{{1, 1}, {1, 2}, {1, 3}, {3, 3}} {
			if testing.Short() && n > 100 {
				continue
			}
			gap := 0.0
			for seed := range rounds {
				rnd := rand.New(rand.NewPCG(uint64(seed), 5))
				r := bigRing(t, n, 1, c.racks, c.rf, 0)
				for i := range r.Nodes {
					r.Nodes[i].Tokens[0] = At(rnd.Uint64())
				}
				p, err := MakePlan(r, Goal{})
				if err != nil {
					t.Fatal(err)
				}
				if p.Summary.Gap < 0 || p.Summary.Gap > 0.25 {
					t.Errorf("%d nodes, %d racks, RF %d: gap %v", n, c.racks, c.rf, p.Summary.Gap)
				}
				gap += p.Summary.Gap / float64(rounds)
			}
			t.Logf("%d nodes, %d racks, RF %d: %.1f %% above the bound on average", n, c.racks, c.rf, 100*gap)
		}
	}
}
