package balance

import (
	"fmt"
	"math"
	"slices"
)

// allocate chooses count tokens for a node that joins: jointly, each where the
// node and those it takes from come nearest to their shares, and each again
// while that helps.
func allocate(r *Ring, j Join, count int, g Goal) ([]Position, error) {
	g.Join = append(slices.Clone(g.Join), j)
	w, err := newWork(r, g)
	if err != nil {
		return nil, err
	}
	if count < 1 || count > tokensMax/len(w.m.ring.Nodes) {
		return nil, fmt.Errorf("balance: %d tokens for a node", count)
	}
	tokens := make([][]Position, len(w.m.ring.Nodes))
	for v := range tokens {
		tokens[v] = slices.Clone(w.m.ring.Nodes[v].Tokens)
	}
	return w.allocate(tokens, w.m.byID[j.ID], count)
}

// allocator places tokens of one node.
type allocator struct {
	w      *work
	r      *replay
	d      *domain
	domain int
	node   int
	ideal  []float64 // by node; 0: does not count
	target float64   // of node, for as many tokens as it has got
	gains  [2][]float64
	seen   []int32
	marked []bool
	arcs   []Position // where arcs end that are looked at
}

// Bounds of the search.
const (
	allocateArcs   = 256     // arcs looked at for every token
	allocateEffort = 1 << 23 // tokens of the ring times arcs looked at
	allocateRounds = 2       // how often every token is placed again
)

// allocate chooses tokens for node v in a ring of tokens.
func (w *work) allocate(tokens [][]Position, v, count int) ([]Position, error) {
	a := w.newAllocator(tokens, v)
	a.candidates()
	for k := range count {
		a.target = a.ideal[v] * float64(k+1) / float64(count)
		if !a.place() {
			return nil, fmt.Errorf("balance: the ring has no room for %d more tokens of %s", count-k, w.m.ring.Nodes[v].ID)
		}
	}
	for range allocateRounds {
		before := a.total()
		for range count {
			first := a.r.tokens[v][0]
			a.r.apply(act{op: opMoveToken, node: v, gone: []Position{first}}, nil)
			a.place()
		}
		if a.total() > before*(1-1e-3) {
			break
		}
	}
	return giveWay(a.r.tokens[v], tokens, w.m.size), nil
}

func (w *work) newAllocator(tokens [][]Position, v int) *allocator {
	c := w.circleOf(v)
	places, seen := w.counted(c, tokens)
	n := len(tokens)
	r := &replay{m: w.m, places: places, domains: map[int]*domain{}, stored: make([]amount, n),
		gain: make([]amount, n), loss: make([]amount, n), mark: make([]uint8, n), tokens: make([][]Position, n)}
	r.differ.m = w.m
	for u := range seen {
		r.tokens[u] = slices.Clone(seen[u])
	}
	r.lay(c.domain)
	for _, p := range places {
		r.fill(p)
	}
	a := &allocator{w: w, r: r, d: r.domains[c.domain], domain: c.domain, node: v, ideal: make([]float64, n), marked: make([]bool, n)}
	for i := range a.gains {
		a.gains[i] = make([]float64, n)
	}
	total, weights := 0.0, 0.0
	for _, p := range places {
		for _, s := range p.spaces {
			total += float64(s.total.float() * float64(min(p.factor, len(c.nodes))))
		}
	}
	for _, u := range c.nodes {
		weights += float64(w.m.ring.Nodes[u].Weight.value())
	}
	for _, u := range c.nodes {
		a.ideal[u] = total * float64(w.m.ring.Nodes[u].Weight.value()) / weights
	}
	return a
}

// counted are the placements that a circle's mode counts, and the tokens they
// are of.
func (w *work) counted(c *circle, tokens [][]Position) (places []*place, seen [][]Position) {
	for _, p := range w.m.places {
		if p.domain == c.domain || p.domain == everywhere {
			places = append(places, &place{c.domain, p.factor, p.rackAware, p.spaces})
		}
	}
	if c.mode == ModeReplicated {
		return places, tokens
	}
	for i, p := range places {
		places[i] = &place{c.domain, 1, false, p.spaces}
	}
	seen = make([][]Position, len(tokens))
	for _, v := range c.nodes {
		seen[v] = tokens[v]
	}
	return places, seen
}

// candidates picks the arcs to look at: those whose halves would help most.
func (a *allocator) candidates() {
	pos := a.d.now.pos
	type arc struct {
		end  Position
		cost float64
	}
	most := max(2, min(allocateArcs, allocateEffort/(len(pos)+1)))
	all := make([]arc, len(pos))
	for i, p := range pos { // at first by width and by how much its owner holds
		own := a.d.now.own[i]
		held := 1.0
		if a.ideal[own] > 0 {
			held = a.r.stored[own].float() / a.ideal[own]
		}
		all[i] = arc{p, -a.width(i).float() * held * held}
	}
	slices.SortFunc(all, func(x, y arc) int { return compareFloat(x.cost, y.cost) })
	for _, x := range all[:min(len(all), most)] {
		a.arcs = append(a.arcs, x.end)
	}
}

// width is that of the arc that ends at token i.
func (a *allocator) width(i int) Position {
	pos := a.d.now.pos
	width := after(pos[(i+len(pos)-1)%len(pos)], pos[i], a.w.m.size)
	if width.isZero() {
		return a.w.m.size
	}
	return width
}

// place gives the node one more token, where it helps most.
func (a *allocator) place() bool {
	if len(a.d.now.pos) == 0 {
		a.arcs = append(a.arcs, Position{})
		a.r.apply(act{op: opJoin, node: a.node, came: []Position{{}}}, nil)
		return true
	}
	best, _, found := a.find()
	if found {
		a.r.apply(act{op: opMoveToken, node: a.node, came: []Position{best}}, nil)
	}
	return found
}

// find is where one more token helps most, and by how much the cost falls.
func (a *allocator) find() (best Position, least float64, found bool) {
	least = math.Inf(1)
	for _, end := range a.arcs {
		if at, cost, ok := a.within(end); ok && cost < least {
			best, least, found = at, cost, true
		}
	}
	return best, least, found
}

// jump is the move of one of node v's tokens to elsewhere that helps most; ok is
// false if none does.
func (w *work) jump(tokens [][]Position, v int) (out act, ok bool) {
	a := w.newAllocator(tokens, v)
	a.candidates()
	a.target = a.ideal[v]
	least := a.total() * (1 - 1e-3)
	for _, p := range tokens[v] {
		a.r.apply(act{op: opMoveToken, node: v, gone: []Position{p}}, nil)
		at, cost, found := a.find()
		if cost += a.total(); found && cost < least && at != p {
			least, ok = cost, true
			out = act{op: opMoveToken, node: v, gone: []Position{p}, came: giveWay([]Position{at}, tokens, w.m.size)}
		}
		a.r.apply(act{op: opMoveToken, node: v, came: []Position{p}}, nil)
	}
	return out, ok
}

// within is the best place in an arc: what nodes hold is linear in the token's
// position there, so that two probes tell all, and the cost is convex.
func (a *allocator) within(end Position) (at Position, cost float64, ok bool) {
	i, there := a.d.now.index(end)
	if !there {
		return at, 0, false
	}
	left, width := a.d.now.pos[(i+len(a.d.now.pos)-1)%len(a.d.now.pos)], a.width(i)
	if width.less(At(8)) {
		return at, 0, false
	}
	for _, v := range a.seen {
		a.gains[0][v], a.gains[1][v], a.marked[v] = 0, 0, false
	}
	a.seen = a.seen[:0]
	for k, quarter := range []uint64{1, 3} {
		a.probe(advance(left, width.fraction(quarter, 4), a.w.m.size), a.gains[k])
	}
	f, cost := a.lowest()
	return advance(left, width.fraction(uint64(f*(1<<20)), 1<<20), a.w.m.size), cost, true
}

// probe adds up what a token at p would give to nodes and take from them.
func (a *allocator) probe(p Position, into []float64) {
	step := act{op: opMoveToken, node: a.node, came: []Position{p}}
	a.d.next.apply(a.w.m, step)
	for _, pl := range a.r.places {
		a.r.differ.diff(pl, a.d.now, a.d.next, nil, step.came, func(c change) {
			w := pl.between(c.left, c.right).float()
			for _, v := range c.after {
				if !contains(c.before, v) {
					a.note(v, into, w)
				}
			}
			for _, v := range c.before {
				if !contains(c.after, v) {
					a.note(v, into, -w)
				}
			}
		})
	}
	a.d.next.apply(a.w.m, act{op: opMoveToken, node: a.node, gone: step.came})
}

func (a *allocator) note(v int32, into []float64, w float64) {
	if !a.marked[v] {
		a.marked[v] = true
		a.seen = append(a.seen, v)
	}
	into[v] += w
}

// lowest finds the part of the arc at which the cost of the nodes that change is
// lowest, and by how much it is lower than without the token.
func (a *allocator) lowest() (f, cost float64) {
	at := func(f float64) (sum float64) {
		for _, v := range a.seen {
			g0, g1 := a.gains[0][v], a.gains[1][v]
			sum += a.cost(v, a.r.stored[v].float()+g0+float64(float64((g1-g0)*(f-0.25))*2))
		}
		return sum
	}
	lo, hi := 1.0/16, 15.0/16
	for range 20 {
		x, y := lo+(hi-lo)/3, hi-(hi-lo)/3
		if at(x) <= at(y) {
			hi = y
		} else {
			lo = x
		}
	}
	f = float64((lo + hi) / 2)
	if at(0.5) <= at(f) {
		f = 0.5
	}
	cost = at(f)
	for _, v := range a.seen {
		cost -= a.cost(v, a.r.stored[v].float())
	}
	return f, cost
}

// cost is how bad it is that a node holds so much.
func (a *allocator) cost(v int32, held float64) float64 {
	ideal := a.ideal[v]
	if ideal == 0 {
		return 0
	}
	off := held/ideal - 1
	if int(v) == a.node {
		off = (held - a.target) / ideal
	}
	return float64(off * off)
}

func (a *allocator) total() (sum float64) {
	for v := range a.ideal {
		sum += a.cost(int32(v), a.r.stored[v].float())
	}
	return sum
}

func (w *work) circleOf(v int) *circle {
	for i := range w.circles {
		if slices.Contains(w.circles[i].nodes, v) {
			return &w.circles[i]
		}
	}
	return &w.circles[0]
}

// usualTokens is how many tokens the other nodes of a datacenter have.
func (w *work) usualTokens(v int) int {
	n := 1
	for u := range w.m.ring.Nodes {
		if w.m.dcOf[u] == w.m.dcOf[v] {
			n = max(n, len(w.m.ring.Nodes[u].Tokens))
		}
	}
	return n
}
