package balance

import (
	"container/heap"
	"math"
	"math/bits"
	"slices"
	"sort"
)

// smallGround is the ring on which one shape is searched: all tokens that are
// ever held, and what the end is like.
type smallGround struct {
	s      *small
	shape  *shape
	roam   bool // nodes may go anywhere, not only to their seats
	budget int  // moves
	at     []Position
	width  [][]float64 // by place and token: the arc that ends there
	seats  [][]int     // by class: tokens
	final  [][]uint64  // by seat's token, by place: what it stores in the end
	start  smallState
	held   []uint64 // by place and member: arcs at the start
}

// smallState is where members are: a token's index and one, or 0.
type smallState [smallMembers]uint8

// smallNode is a state on the way.
type smallNode struct {
	state smallState
	holds []uint64 // by place and member: arcs
	bytes float64
	rest  float64 // at least this is still to come
	moves int
	from  *smallNode
	index int
}

type smallKey struct {
	state smallState
	moves int
}

type smallHeap []*smallNode

func (h smallHeap) Len() int { return len(h) }
func (h smallHeap) Less(i, j int) bool {
	a, b := h[i].bytes+h[i].rest, h[j].bytes+h[j].rest
	if a != b {
		return a < b
	}
	if h[i].moves != h[j].moves {
		return h[i].moves < h[j].moves
	}
	return h[i].index < h[j].index
}
func (h smallHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *smallHeap) Push(x any)   { *h = append(*h, x.(*smallNode)) }
func (h *smallHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// ground lays a shape out; with roam beside its tokens and those there are also
// places to wait at.
func (s *small) ground(x *shape, roam bool) *smallGround {
	g := &smallGround{s: s, shape: x, roam: roam}
	for i, p := range s.at {
		if s.joins&(1<<i) == 0 {
			g.at = append(g.at, p)
		}
	}
	g.at = append(g.at, x.at...)
	if roam {
		g.at = s.spots(g.at)
	}
	slices.SortFunc(g.at, Position.cmp)
	g.at = slices.Compact(g.at)
	for i, p := range s.at {
		if s.joins&(1<<i) == 0 {
			g.start[i] = uint8(g.find(p) + 1)
		}
	}
	if g.tooLarge() {
		return g // nobody walks there
	}
	for _, pl := range s.places {
		var w []float64
		for i, right := range g.at {
			w = append(w, pl.between(g.at[(i+len(g.at)-1)%len(g.at)], right).float())
		}
		g.width = append(g.width, w)
	}
	g.seats = make([][]int, len(s.classes))
	for i, c := range x.class {
		g.seats[c] = append(g.seats[c], g.find(x.at[i]))
	}
	var end smallState
	s.assign(x, func(member, seat int) { end[member] = uint8(g.find(x.at[seat]) + 1) })
	holds := make([]uint64, len(g.width)*len(s.node))
	g.holdings(&end, holds)
	g.final = make([][]uint64, len(g.at))
	for i := range s.node {
		if end[i] > 0 {
			for k := range g.width {
				g.final[end[i]-1] = append(g.final[end[i]-1], holds[k*len(s.node)+i])
			}
		}
	}
	return g
}

// tooLarge tells that there are more positions than a state can tell apart.
func (g *smallGround) tooLarge() bool {
	return len(g.at) > smallPositions-1 && !(g.s.tiny && len(g.at) == smallPositions)
}

// spots adds the places to wait at: all on a tiny ring, else those beside
// tokens, for between tokens bytes change evenly with the place.
func (s *small) spots(at []Position) []Position {
	size := s.m.size
	if s.tiny {
		at = at[:0]
		for p := range size.lo {
			at = append(at, At(p))
		}
		return s.unblocked(at)
	}
	full := !slices.ContainsFunc(at, func(p Position) bool { return !containsPosition(s.at, p) })
	if s.byMoves || full { // on a full one nobody could ever move
		for _, p := range slices.Clone(at) {
			at = append(at, advance(p, At(1), size), retreat(p, At(1), size))
		}
	}
	return s.unblocked(at)
}

func (s *small) unblocked(at []Position) []Position {
	return slices.DeleteFunc(at, func(p Position) bool { return s.blocked[p] })
}

func (g *smallGround) find(p Position) int {
	return sort.Search(len(g.at), func(i int) bool { return !g.at[i].less(p) })
}

// holdings fills in, by place and member, the arcs that it stores.
func (g *smallGround) holdings(state *smallState, out []uint64) {
	s, m := g.s, g.s.m
	var at [smallPositions]uint8
	for i := range s.node {
		if state[i] > 0 {
			at[state[i]-1] = uint8(i + 1)
		}
	}
	n := len(s.node)
	for k, pl := range s.places {
		holds := out[k*n : k*n+n]
		clear(holds)
		var seq, end [smallMembers]uint8
		count, racks := 0, uint32(0)
		for i := range g.at {
			if at[i] > 0 && m.inDomain(s.node[at[i]-1], pl.domain) {
				seq[count], end[count] = at[i]-1, uint8(i)
				racks |= 1 << s.rackIx[seq[count]]
				count++
			}
		}
		want, rackCount := min(pl.factor, count), bits.OnesCount32(racks)
		for i := range count {
			arc := uint64(2)<<end[i] - 1 // up to the token
			if i > 0 {
				arc &^= uint64(2)<<end[i-1] - 1
			} else {
				arc |= (uint64(1)<<len(g.at) - 1) &^ (uint64(2)<<end[count-1] - 1)
			}
			used, again, got := uint32(0), pl.factor-rackCount, 0
			for j := 0; j < count && got < want; j++ {
				v := seq[(i+j)%count]
				if r := uint32(1) << s.rackIx[v]; pl.rackAware && rackCount > 1 {
					if used&r != 0 {
						if again <= 0 {
							continue
						}
						again--
					}
					used |= r
				}
				holds[v] |= arc
				got++
			}
		}
	}
}

// weigh is the bytes of arcs of a place.
func (g *smallGround) weigh(place int, arcs uint64) (sum float64) {
	w := g.width[place]
	for ; arcs != 0; arcs &= arcs - 1 {
		sum += w[bits.TrailingZeros64(arcs)]
	}
	return sum
}

// bound is what the shape streams at least.
func (g *smallGround) bound() float64 {
	holds := make([]uint64, len(g.width)*len(g.s.node))
	g.holdings(&g.start, holds)
	return g.rest(&g.start, holds)
}

// rest is what must still be streamed, whatever the order: members are matched
// to the seats of their class so that they lack the least.
func (g *smallGround) rest(state *smallState, holds []uint64) (sum float64) {
	for c, seats := range g.seats {
		if len(seats) == 0 {
			continue // any end will do
		}
		var members, free []int
		taken := uint64(0)
		for i := range g.s.node {
			switch {
			case g.s.class[i] != c:
			case !g.roam && state[i] > 0 && slices.Contains(seats, int(state[i]-1)):
				taken |= 1 << (state[i] - 1)
				sum += g.lacks(i, int(state[i]-1), holds)
			default:
				members = append(members, i)
			}
		}
		for _, t := range seats {
			if taken&(1<<t) == 0 {
				free = append(free, t)
			}
		}
		if len(members) > 0 {
			sum += g.match(members, free, holds)
		}
	}
	return sum
}

// match is the least that members lack in seats, over all ways to seat them:
// the assignment problem, by shortest augmenting paths (Kuhn, Munkres).
func (g *smallGround) match(members, free []int, holds []uint64) (sum float64) {
	const most = smallMembers + 1
	var lacks [most][most]float64
	for i, member := range members {
		for j, t := range free {
			lacks[i+1][j+1] = g.lacks(member, t, holds)
		}
	}
	n := len(members)
	var row, col [most]float64
	var owner, way [most]int
	for i := 1; i <= n; i++ {
		var least [most]float64
		var used [most]bool
		for j := range n + 1 {
			least[j] = math.Inf(1)
		}
		owner[0] = i
		at := 0
		for owner[at] != 0 {
			used[at] = true
			next, delta := 0, math.Inf(1)
			for j := 1; j <= n; j++ {
				if used[j] {
					continue
				}
				if d := lacks[owner[at]][j] - row[owner[at]] - col[j]; d < least[j] {
					least[j], way[j] = d, at
				}
				if least[j] < delta {
					delta, next = least[j], j
				}
			}
			for j := range n + 1 {
				if used[j] {
					row[owner[j]] += delta
					col[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			at = next
		}
		for at != 0 {
			owner[at] = owner[way[at]]
			at = way[at]
		}
	}
	for j := 1; j <= n; j++ {
		sum += lacks[owner[j]][j]
	}
	return sum
}

// lacks is what a member stores in a seat and does not have.
func (g *smallGround) lacks(member, seat int, holds []uint64) (sum float64) {
	n := len(g.s.node)
	for k := range g.width {
		sum += g.weigh(k, g.final[seat][k]&^holds[k*n+member])
	}
	return sum
}

// search finds the way that streams least, of those the one of fewest moves.
func (g *smallGround) search(limit float64) (best outcome) {
	g.walk(limit, func(n *smallNode) bool {
		if best.found = g.there(&n.state); best.found {
			best = outcome{bytes: n.bytes, moves: n.moves, found: true, acts: g.acts(n)}
		}
		return best.found
	})
	return best
}

// walk visits states in the order of what they and their rest stream, then of
// moves, until visit says that it is enough.
func (g *smallGround) walk(limit float64, visit func(*smallNode) bool) {
	if g.tooLarge() {
		g.s.states = g.s.most + 1 // cannot be sure
		return
	}
	first := &smallNode{state: g.start, holds: make([]uint64, len(g.width)*len(g.s.node))}
	g.holdings(&g.start, first.holds)
	g.held = first.holds
	first.rest = g.rest(&g.start, first.holds)
	open := smallHeap{first}
	best := map[smallKey]*smallNode{g.key(first): first}
	for len(open) > 0 && g.s.states <= g.s.most {
		node := heap.Pop(&open).(*smallNode)
		if best[g.key(node)] != node {
			continue
		}
		if visit(node) {
			return
		}
		g.expand(node, func(next *smallNode) {
			if next.bytes+next.rest > limit*(1+1e-12) {
				return
			}
			k := g.key(next)
			if old := best[k]; old != nil && (old.bytes < next.bytes || old.bytes == next.bytes && old.moves <= next.moves) {
				return
			}
			best[k] = next
			next.index = len(best)
			heap.Push(&open, next)
		})
	}
}

func (g *smallGround) key(n *smallNode) smallKey {
	if g.s.byMoves && g.roam {
		return smallKey{n.state, n.moves}
	}
	return smallKey{state: n.state}
}

// seated tells whether a member is where it shall be.
func (g *smallGround) seated(member int, state *smallState) bool {
	if g.s.class[member] < 0 {
		return state[member] == 0
	}
	return state[member] > 0 && slices.Contains(g.seats[g.s.class[member]], int(state[member]-1))
}

func (g *smallGround) there(state *smallState) bool {
	for i := range g.s.node {
		if !g.seated(i, state) {
			return false
		}
	}
	return true
}

// expand visits the states one step on.
func (g *smallGround) expand(n *smallNode, visit func(*smallNode)) {
	taken := uint64(0)
	for i := range g.s.node {
		if n.state[i] > 0 {
			taken |= 1 << (n.state[i] - 1)
		}
	}
	for i := range g.s.node {
		c := g.s.class[i]
		switch {
		case c < 0:
			if n.state[i] > 0 && g.mayLeave(i, &n.state) {
				g.step(n, i, 0, visit)
			}
		case g.roam:
			for t := range g.at {
				if taken&(1<<t) == 0 {
					g.step(n, i, t+1, visit)
				}
			}
		case !g.seated(i, &n.state):
			for _, t := range g.seats[c] {
				if taken&(1<<t) == 0 {
					g.step(n, i, t+1, visit)
				}
			}
		}
	}
}

func (g *smallGround) step(n *smallNode, member, to int, visit func(*smallNode)) {
	next := &smallNode{state: n.state, from: n, moves: n.moves}
	if n.state[member] > 0 && to > 0 {
		next.moves++
	}
	next.state[member] = uint8(to)
	left := 0
	for i := range g.s.node {
		if g.s.class[i] >= 0 && next.state[i] > 0 && !g.seated(i, &next.state) {
			left++
		}
	}
	if next.moves+left > g.budget {
		return
	}
	g.s.states++
	next.holds = make([]uint64, len(n.holds))
	g.holdings(&next.state, next.holds)
	if !g.fits(n.holds, next.holds) {
		return
	}
	next.bytes = n.bytes
	for k := range n.holds {
		if came := next.holds[k] &^ n.holds[k]; came != 0 {
			next.bytes += g.weigh(k/len(g.s.node), came)
		}
	}
	next.rest = g.rest(&next.state, next.holds)
	visit(next)
}

// fits tells whether all disks hold what is there during a step: what was and
// what comes. What goes is cleaned up before the next.
func (g *smallGround) fits(was, will []uint64) bool {
	n := len(g.s.node)
	for i, room := range g.s.rooms {
		more := 0.0
		for k := range g.width {
			at := k*n + i
			more += g.weigh(k, was[at]|will[at]) - g.weigh(k, g.held[at])
		}
		if more > room {
			return false
		}
	}
	return true
}

// mayLeave tells whether the others hold all replicas.
func (g *smallGround) mayLeave(member int, state *smallState) bool {
	m := g.s.m
	for _, pl := range g.s.places {
		if !m.inDomain(g.s.node[member], pl.domain) {
			continue
		}
		nodes := 0
		for i, v := range g.s.node {
			if state[i] > 0 && m.inDomain(v, pl.domain) {
				nodes++
			}
		}
		if nodes-1 < pl.factor {
			return false
		}
	}
	return true
}

// acts is the way to a state.
func (g *smallGround) acts(n *smallNode) (out []act) {
	for ; n.from != nil; n = n.from {
		for i, v := range g.s.node {
			was, now := n.from.state[i], n.state[i]
			if was == now {
				continue
			}
			a := act{op: opMove, node: v}
			if was > 0 {
				a.gone = []Position{g.at[was-1]}
			} else {
				a.op = opJoin
			}
			if now > 0 {
				a.came = []Position{g.at[now-1]}
			} else {
				a.op = opLeave
			}
			out = append(out, a)
		}
	}
	slices.Reverse(out)
	return out
}
