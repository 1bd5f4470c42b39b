package balance

import (
	"container/heap"
	"math"
	"math/bits"
	"slices"

	"helenus"
	"helenus/internal/ring"
)

// walker is the plain solver of small rings: it lists every balanced end by
// brute force, and walks from the ring as it is through all states, any node to
// any free token at any time. It knows nothing of slots, rotations or keepers.
type walker struct {
	s      *slow
	goal   Goal
	from   walkState
	joins  []bool
	leaves []bool
	parts  [][]int
	class  []int // by node: any of a class may sit where an end wants one; -1: leaves
	held   map[walkState][]uint32
}

// walkState is by node where it is: its token and one; 0 before it joined,
// walkGone once it left.
type walkState [8]uint8

const walkGone = 255

// walkResult is how good the best way is.
type walkResult struct{ moves, bytes, score int }

// walkEnd is by class the tokens of a balanced ring.
type walkEnd [8]uint32

// newWalker is for members, whose joiners have no token yet.
func newWalker(s *slow, goal Goal) *walker {
	w := &walker{s: s, goal: goal, held: map[walkState][]uint32{}}
	for i, n := range s.nodes {
		w.leaves = append(w.leaves, slices.Contains(goal.Leave, n.id))
		w.joins = append(w.joins, len(n.tokens) == 0)
		if len(n.tokens) > 0 {
			w.from[i] = uint8(n.tokens[0] + 1)
		}
	}
	type kind struct {
		dc, rack string
		weight   int
	}
	var kinds []kind
	for i, n := range s.nodes {
		k := kind{n.dc, n.rack, n.weight}
		if w.leaves[i] {
			w.class = append(w.class, -1)
			continue
		}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
		w.class = append(w.class, slices.Index(kinds, k))
	}
	return w
}

// replicas are, by keyspace and node, the points it holds.
func (w *walker) replicas(at walkState) []uint32 {
	if h, ok := w.held[at]; ok {
		return h
	}
	n := len(w.s.nodes)
	h := make([]uint32, len(w.s.spaces)*n)
	for k := range w.s.spaces {
		strategy := w.s.spaces[k].strategy
		if _, ok := strategy.(ring.Simple); ok {
			w.place(at, "", strategy.Factor(), h[k*n:k*n+n])
			continue
		}
		var dcs []string
		for _, node := range w.s.nodes {
			if dc := node.dc; !slices.Contains(dcs, dc) {
				dcs = append(dcs, dc)
				w.place(at, dc, strategy.FactorIn(helenus.Datacenter(dc)), h[k*n:k*n+n])
			}
		}
	}
	w.held[at] = h
	return h
}

// place walks from every point on, in one datacenter by racks, else in all.
func (w *walker) place(at walkState, dc string, factor int, h []uint32) {
	owner := make([]int, w.s.size)
	for p := range owner {
		owner[p] = -1
	}
	var racks []string
	nodes := 0
	for v, n := range w.s.nodes {
		if at[v] == 0 || at[v] == walkGone || dc != "" && n.dc != dc {
			continue
		}
		owner[at[v]-1] = v
		nodes++
		if !slices.Contains(racks, n.rack) {
			racks = append(racks, n.rack)
		}
	}
	for p := range owner {
		var used []string
		repeats := factor - len(racks)
		for i, got := 0, 0; i < len(owner) && got < min(factor, nodes); i++ {
			v := owner[(p+i)%len(owner)]
			if v < 0 {
				continue
			}
			if rack := w.s.nodes[v].rack; dc != "" && slices.Contains(used, rack) {
				if repeats <= 0 {
					continue
				}
				repeats--
			} else {
				used = append(used, rack)
			}
			h[v] |= 1 << p
			got++
		}
	}
}

func (w *walker) weigh(space int, points uint32) (sum int) {
	for ; points != 0; points &= points - 1 {
		sum += w.s.spaces[space].weight[bits.TrailingZeros32(points)]
	}
	return sum
}

// streamed is what comes to nodes from one state to another.
func (w *walker) streamed(from, to walkState) (sum int) {
	before, after := w.replicas(from), w.replicas(to)
	for i := range after {
		if came := after[i] &^ before[i]; came != 0 {
			sum += w.weigh(i/len(w.s.nodes), came)
		}
	}
	return sum
}

// steps visits all states one step on.
func (w *walker) steps(at walkState, visit func(next walkState, moves int)) {
	taken := uint32(0)
	for _, p := range at {
		if p != 0 && p != walkGone {
			taken |= 1 << (p - 1)
		}
	}
	for v := range w.s.nodes {
		next := at
		if w.leaves[v] {
			if at[v] != walkGone && w.mayLeave(at, v) {
				next[v] = walkGone
				visit(next, 0)
			}
			continue
		}
		moves := 1
		if at[v] == 0 {
			moves = 0
		}
		for p := range w.s.size {
			if taken&(1<<p) == 0 {
				next[v] = uint8(p + 1)
				visit(next, moves)
			}
		}
	}
}

func (w *walker) mayLeave(at walkState, v int) bool {
	w.put(at)
	return w.s.leavable(&w.s.nodes[v]) == ""
}

// put lays a state out for the slow evaluator.
func (w *walker) put(at walkState) {
	for i := range w.s.nodes {
		w.s.nodes[i].tokens = nil
		if at[i] != 0 && at[i] != walkGone {
			w.s.nodes[i].tokens = []int{int(at[i] - 1)}
		}
	}
}

func (w *walker) endOf(at walkState) (e walkEnd) {
	for v, c := range w.class {
		if c >= 0 && at[v] != 0 {
			e[c] |= 1 << (at[v] - 1)
		}
	}
	return e
}

// seat is a state that is the end.
func (w *walker) seat(e walkEnd) (at walkState) {
	for v, c := range w.class {
		if c < 0 {
			at[v] = walkGone
			continue
		}
		at[v] = uint8(bits.TrailingZeros32(e[c]) + 1)
		e[c] &= e[c] - 1
	}
	return at
}

// ends lists the balanced rings: those of every group that balances alone, put
// together where they want different tokens.
func (w *walker) ends() (all []walkEnd) {
	all = []walkEnd{{}}
	for _, group := range w.apart() {
		here := w.endsOf(group)
		var both []walkEnd
		for _, a := range all {
			for _, b := range here {
				if a.tokens()&b.tokens() == 0 {
					both = append(both, a.with(b))
				}
			}
		}
		all = both
	}
	return all
}

// endsOf lists the rings of some nodes alone.
func (w *walker) endsOf(group []int) (out []walkEnd) {
	left := make([]int, len(w.class))
	for _, v := range group {
		left[w.class[v]]++
	}
	var choose func(p, rest int, e walkEnd)
	choose = func(p, rest int, e walkEnd) {
		if rest == 0 {
			if w.balanced(group, e) {
				out = append(out, e)
			}
			return
		}
		if w.s.size-p < rest {
			return
		}
		choose(p+1, rest, e)
		for c := range left {
			if left[c] > 0 {
				left[c]--
				next := e
				next[c] |= 1 << p
				choose(p+1, rest-1, next)
				left[c]++
			}
		}
	}
	choose(0, len(group), walkEnd{})
	return out
}

// apart are the nodes whose balance does not depend on the others: the groups,
// or all where SimpleStrategy stores over datacenters.
func (w *walker) apart() [][]int {
	groups := w.groups()
	simple := slices.ContainsFunc(w.s.spaces, func(s slowSpace) bool { _, ok := s.strategy.(ring.Simple); return ok })
	if w.goal.Mode == ModeReplicated && simple {
		return [][]int{slices.Concat(groups...)}
	}
	return groups
}

func (e walkEnd) tokens() (m uint32) {
	for _, x := range e {
		m |= x
	}
	return m
}

func (e walkEnd) with(o walkEnd) walkEnd {
	for c := range e {
		e[c] |= o[c]
	}
	return e
}

// groups are the nodes that balance among themselves.
func (w *walker) groups() (out [][]int) {
	if w.parts != nil {
		return w.parts
	}
	var keys []string
	for v, n := range w.s.nodes {
		if w.leaves[v] {
			continue
		}
		key := w.s.groupOf(w.goal, &n)
		at := slices.Index(keys, key)
		if at < 0 {
			at = len(keys)
			keys, out = append(keys, key), append(out, nil)
		}
		out[at] = append(out[at], v)
	}
	w.parts = out
	return out
}

// balanced judges the groups among some nodes.
func (w *walker) balanced(nodes []int, e walkEnd) bool {
	at := walkState{}
	for v := range w.s.nodes {
		at[v] = walkGone
	}
	for _, v := range nodes {
		c := w.class[v]
		at[v] = uint8(bits.TrailingZeros32(e[c]) + 1)
		e[c] &= e[c] - 1
	}
	var h []uint32
	if w.goal.Mode == ModeReplicated {
		h = w.replicas(at)
		delete(w.held, at)
	} else {
		h = w.arcs(at)
	}
	for _, group := range w.groups() {
		if slices.Contains(nodes, group[0]) && !w.s.even(w.goal, group, func(k, v int) int {
			if k < 0 {
				return bits.OnesCount32(h[v])
			}
			return w.weigh(k, h[k*len(w.s.nodes)+v])
		}) {
			return false
		}
	}
	return true
}

// arcs are, by keyspace and node, the points up to its token.
func (w *walker) arcs(at walkState) []uint32 {
	n := len(w.s.nodes)
	h := make([]uint32, max(1, len(w.s.spaces))*n)
	for p := range w.s.size {
		best, least := -1, math.MaxInt
		for v := range n {
			if at[v] == walkGone {
				continue
			}
			if d := (int(at[v]-1) - p + w.s.size) % w.s.size; d < least {
				best, least = v, d
			}
		}
		for k := range w.s.spaces {
			h[k*n+best] |= 1 << p
		}
	}
	return h
}

// best is the best way there is; ok is false if there is none.
func (w *walker) best() (best walkResult, ok bool) {
	ends := map[walkEnd]int{}
	least := math.MaxInt
	for _, e := range w.ends() {
		w.put(w.seat(e))
		ends[e] = w.s.score()
		if w.goal.Racks == RacksIgnore {
			ends[e] = 0
		}
		least = min(least, ends[e])
	}
	before := func(a, b string) bool { return slices.Index(w.goal.Objective, a) < slices.Index(w.goal.Objective, b) }
	for ; len(ends) > 0 && !ok; least++ {
		some := ends
		if w.goal.Racks == RacksRequire || w.goal.Objective[0] == ByRack {
			some = map[walkEnd]int{}
			for e, score := range ends {
				if score == least {
					some[e] = score
				}
			}
			if least > w.s.size {
				return best, false
			}
		}
		take := func(r walkResult) {
			if !ok || w.less(r, best) {
				best, ok = r, true
			}
		}
		if before(ByMoves, ByBytes) {
			w.fewest(some, take)
		} else {
			w.cheapest(some, take)
		}
		if len(some) == len(ends) && !ok {
			return best, false
		}
	}
	return best, ok
}

func (w *walker) less(a, b walkResult) bool {
	for _, by := range w.goal.Objective {
		x, y := a.score, b.score
		switch by {
		case ByMoves:
			x, y = a.moves, b.moves
		case ByBytes:
			x, y = a.bytes, b.bytes
		}
		if x != y {
			return x < y
		}
	}
	return false
}

// walkDetours is how many moves above the fewest are tried.
const walkDetours = 6

// fewest takes every end that is reached with the fewest moves, at the least
// bytes. From states that cannot be in an end with the moves that are left it
// does not go on.
func (w *walker) fewest(ends map[walkEnd]int, take func(walkResult)) {
	start := w.from
	others := 0 // steps that are no moves
	for v := range w.s.nodes {
		if w.joins[v] || w.leaves[v] {
			others++
		}
	}
	list := make([]walkEnd, 0, len(ends))
	least := math.MaxInt
	for e := range ends {
		list = append(list, e)
		least = min(least, w.away(start, list[len(list)-1:]))
	}
	for budget := least; len(list) > 0 && budget <= least+walkDetours; budget++ {
		near := slices.DeleteFunc(slices.Clone(list), func(e walkEnd) bool { return w.away(start, []walkEnd{e}) > budget })
		w.held = map[walkState][]uint32{}
		layers := make([][]map[walkState]int, budget+2)
		for m := range layers {
			for range others + 2 {
				layers[m] = append(layers[m], map[walkState]int{})
			}
		}
		layers[0][0][start] = 0
		found := false
		for m := 0; m <= budget; m++ {
			for o := range others + 1 {
				for at, bytes := range layers[m][o] {
					if score, ok := ends[w.endOf(at)]; ok && o == others && m == budget {
						found = true
						take(walkResult{m, bytes, score})
					}
					w.steps(at, func(next walkState, moves int) {
						if m+moves+w.away(next, near) > budget {
							return
						}
						layer := layers[m+moves][o+1-moves]
						b := bytes + w.streamed(at, next)
						if old, seen := layer[next]; !seen || b < old {
							layer[next] = b
						}
					})
				}
			}
		}
		if found {
			return
		}
	}
}

// away is how many nodes have yet to move, at least.
func (w *walker) away(at walkState, ends []walkEnd) int {
	least := math.MaxInt
	e, present := w.endOf(at), 0
	for c := range e {
		present += bits.OnesCount32(e[c])
	}
	for i := range ends {
		n := present
		for c, tokens := range e {
			n -= bits.OnesCount32(tokens & ends[i][c])
		}
		least = min(least, n)
	}
	return least
}

// walkItem is a state on the way, walkHeap those that come next.
type walkItem struct {
	bytes, moves int
	at           walkState
}

type walkHeap []walkItem

func (h walkHeap) Len() int      { return len(h) }
func (h walkHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h walkHeap) Less(i, j int) bool {
	return h[i].bytes < h[j].bytes || h[i].bytes == h[j].bytes && h[i].moves < h[j].moves
}
func (h *walkHeap) Push(x any) { *h = append(*h, x.(walkItem)) }
func (h *walkHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// cheapest takes every end that is reached with the least bytes (Dijkstra).
func (w *walker) cheapest(ends map[walkEnd]int, take func(walkResult)) {
	start := w.from
	done := map[walkState]bool{}
	seen := map[walkState]walkItem{start: {at: start}}
	open := walkHeap{{at: start}}
	limit := math.MaxInt
	for len(open) > 0 {
		it := heap.Pop(&open).(walkItem)
		if it.bytes > limit {
			return
		}
		if done[it.at] {
			continue
		}
		done[it.at] = true
		if score, ok := ends[w.endOf(it.at)]; ok && w.settled(it.at) {
			limit = it.bytes
			take(walkResult{it.moves, it.bytes, score})
		}
		w.steps(it.at, func(at walkState, moves int) {
			next := walkItem{it.bytes + w.streamed(it.at, at), it.moves + moves, at}
			if old, ok := seen[at]; !ok || (walkHeap{next, old}).Less(0, 1) {
				seen[at] = next
				heap.Push(&open, next)
			}
		})
	}
}

// settled tells that all who join have, and all who leave.
func (w *walker) settled(at walkState) bool {
	for v := range w.s.nodes {
		if at[v] == 0 || w.leaves[v] && at[v] != walkGone {
			return false
		}
	}
	return true
}
