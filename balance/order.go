package balance

import "slices"

// orderer puts moves into an order that wastes little: bytes that come to a node
// that does not keep them, or leave one that gets them back. What is not wasted
// must be streamed in any order. Loose moves keep nothing of what they hold, so
// that who of them goes where is left to the moment: the one that leaves best
// goes where somebody arrives best. When all moves waste, others come loose.
type orderer struct {
	p      *problem
	r      *replay
	d      *domain
	final  *layout
	todo   []act
	loose  []bool
	done   []bool
	parked []bool
	keep   []float64 // what a mover need not stream only if it goes where it shall
	waste  []float64 // of a fixed move
	leaves []float64 // waste of leaving for anywhere
	comes  []float64 // waste of anybody's coming to a move's target
	cost   []float64
	ofNode map[int]int // node to index of todo
	byEnd  []int       // todo by target
	endAt  []int       // todo's place in byEnd
	buf    []int32
}

// newLocalReplay is the circle's ring alone, and one node more that is nobody:
// it stands for whoever will come to a token.
func (p *problem) newLocalReplay() *replay {
	n := len(p.m.ring.Nodes) + 1
	m := *p.m
	m.rackOf = append(slices.Clone(m.rackOf), m.rackOf[p.stay[0]])
	m.dcOf = append(slices.Clone(m.dcOf), m.dcOf[p.stay[0]])
	r := &replay{m: &m, places: p.places, domains: map[int]*domain{}, stored: make([]amount, n),
		gain: make([]amount, n), loss: make([]amount, n), mark: make([]uint8, n), tokens: make([][]Position, n)}
	r.differ.m = &m
	for i, h := range p.held {
		r.tokens[p.stay[i]] = []Position{h}
	}
	for i, h := range p.gone {
		r.tokens[p.leave[i]] = []Position{h}
	}
	r.domains[p.c.domain] = &domain{m.newLayout(p.c.domain, r.tokens), m.newLayout(p.c.domain, r.tokens)}
	return r
}

// order arranges acts and tells what they stream. Nodes that wait for each
// other's tokens are parked beside them, at one more move.
func (p *problem) order(acts []act, loose []bool, keep []float64) (out []act, bytes float64) {
	n := len(acts)
	o := &orderer{p: p, r: p.newLocalReplay(), todo: acts, loose: loose, keep: keep, done: make([]bool, n), endAt: make([]int, n),
		waste: make([]float64, n), leaves: make([]float64, n), comes: make([]float64, n), cost: make([]float64, n), ofNode: map[int]int{}}
	o.d = o.r.domains[p.c.domain]
	o.finish()
	for i, a := range o.todo {
		o.ofNode[a.node] = i
		o.try(i)
		if len(a.came) > 0 {
			o.byEnd = append(o.byEnd, i)
		}
	}
	slices.SortFunc(o.byEnd, func(a, b int) int { return o.todo[a].came[0].cmp(o.todo[b].came[0]) })
	for k, i := range o.byEnd {
		o.endAt[i] = k
	}
	for range acts {
		i := o.next()
		if i < 0 {
			if i = o.park(&out, &bytes); i < 0 {
				break // nothing is possible: the caller's check says so
			}
		}
		o.done[i] = true
		out = append(out, o.todo[i])
		e := o.r.apply(o.todo[i], nil)
		bytes += e.bytes.float()
		o.refresh(o.todo[i])
	}
	return out, bytes
}

// finish lays out the end.
func (o *orderer) finish() {
	tokens := make([][]Position, len(o.r.tokens))
	copy(tokens, o.r.tokens)
	for _, a := range o.todo {
		tokens[a.node] = a.came
	}
	o.final = o.r.m.newLayout(o.p.c.domain, tokens)
}

// try evaluates a move as the next one, and its two halves.
func (o *orderer) try(i int) {
	a := o.todo[i]
	if o.loose == nil || !o.loose[i] {
		o.waste[i], o.cost[i] = o.trial(a)
	}
	if o.loose == nil || len(a.came) == 0 {
		return
	}
	o.leaves[i] = 0
	if len(a.gone) > 0 {
		o.leaves[i], _ = o.trial(act{op: opLeave, node: a.node, gone: a.gone})
	}
	nobody := len(o.r.tokens) - 1
	k, _ := o.final.index(a.came[0])
	o.final.own[k] = int32(nobody)
	o.comes[i], _ = o.trial(act{op: opJoin, node: nobody, came: a.came})
	o.final.own[k] = int32(a.node)
	if !o.loose[i] {
		o.comes[i] += o.keep[i]
	}
}

func (o *orderer) trial(a act) (waste, cost float64) {
	o.d.next.apply(o.r.m, a)
	for _, pl := range o.r.places {
		terms := pl.terms(o.final)
		o.r.differ.diff(pl, o.d.now, o.d.next, a.gone, a.came, func(c change) {
			w, b := o.weigh(pl, terms, c)
			waste, cost = waste+w, cost+b
		})
	}
	o.d.next.apply(o.r.m, act{op: a.op, node: a.node, gone: a.came, came: a.gone})
	return waste, cost
}

// weigh adds a changed arc, piece by piece of the final ring.
func (o *orderer) weigh(pl *place, terms terms, c change) (waste, cost float64) {
	size := o.p.m.size
	width, left := after(c.left, c.right, size), c.left
	if width.isZero() {
		width = size
	}
	at := -1
	if len(o.final.pos) > 0 {
		at = o.final.holder(advance(left, At(1), size))
	}
	for last := false; !last; {
		right := c.right
		last = true
		o.buf = o.buf[:0]
		if at >= 0 {
			end := o.final.pos[at]
			if d := after(c.left, end, size); !d.isZero() && d.less(width) {
				right, last = end, false
			}
			o.buf, _ = pl.walk(o.r.m, o.final, terms, at, o.buf)
			if at++; at == len(o.final.pos) {
				at = 0
			}
		}
		kept, came := o.piece(c)
		w := pl.between(left, right).float()
		waste, cost = waste+w*float64(kept), cost+w*float64(came)
		left = right
	}
	return waste, cost
}

// piece counts the replicas that an arc wastes, and those that it streams; the
// final ones are in o.buf.
func (o *orderer) piece(c change) (wasted, came int) {
	for _, v := range c.after {
		if !contains(c.before, v) {
			came++
			if !contains(o.buf, v) {
				wasted++
			}
		}
	}
	for _, v := range c.before {
		if !contains(c.after, v) && contains(o.buf, v) {
			wasted++
		}
	}
	return wasted, came
}

// next is the possible move of least waste; -1 if none is possible.
func (o *orderer) next() int {
	best, goes, to := -1, -1, -1
	less := func(a, b float64) bool { return a < b && !near(a, b) }
	for i := range o.todo {
		if o.done[i] {
			continue
		}
		may := o.possible(i)
		if may && (o.loose == nil || !o.loose[i]) && (best < 0 || less(o.waste[i], o.waste[best])) {
			best = i
		}
		if o.loose == nil || len(o.todo[i].came) == 0 {
			continue
		}
		if goes < 0 || less(o.leaves[i], o.leaves[goes]) {
			goes = i
		}
		if may && (to < 0 || less(o.comes[i], o.comes[to])) {
			to = i
		}
	}
	if to < 0 || best >= 0 && !less(o.leaves[goes]+o.comes[to], o.waste[best]) {
		return best
	}
	if goes != to {
		o.swap(goes, to)
		o.loose[to] = true
		o.try(to)
	}
	return goes
}

// swap exchanges the targets of two loose moves.
func (o *orderer) swap(i, j int) {
	a, b := &o.todo[i], &o.todo[j]
	a.came, b.came = b.came, a.came
	for _, x := range []*act{a, b} {
		if k, ok := o.final.index(x.came[0]); ok {
			o.final.own[k] = int32(x.node)
		}
	}
	o.endAt[i], o.endAt[j] = o.endAt[j], o.endAt[i]
	o.byEnd[o.endAt[i]], o.byEnd[o.endAt[j]] = i, j
}

func (o *orderer) possible(i int) bool {
	a := o.todo[i]
	if len(a.came) == 0 {
		for _, pl := range o.r.places {
			if o.d.now.nodes-1 < pl.factor {
				return false
			}
		}
		return true
	}
	_, taken := o.d.now.index(a.came[0])
	return !taken
}

// park breaks a circle of nodes that stand on each other's targets: one steps
// to a free token beside its own target and moves on later. It returns the move
// that has become possible; -1 if parking is of no use.
func (o *orderer) park(out *[]act, bytes *float64) int {
	if o.parked == nil {
		o.parked = make([]bool, len(o.todo))
	}
	for {
		best := -1
		for i, a := range o.todo {
			if o.done[i] || o.loose != nil && o.loose[i] || o.parked[i] || len(a.came) == 0 || len(a.gone) == 0 {
				continue
			}
			if _, wanted := o.final.index(a.gone[0]); wanted && (best < 0 || o.cost[i] < o.cost[best]) {
				best = i
			}
		}
		if best < 0 {
			return -1
		}
		a := o.todo[best]
		spot := a.came[0]
		for range len(o.d.now.pos) + len(o.final.pos) + 1 {
			spot = advance(spot, At(1), o.p.m.size)
			_, taken := o.d.now.index(spot)
			if _, wanted := o.final.index(spot); !taken && !wanted {
				break
			}
		}
		if _, taken := o.d.now.index(spot); taken {
			return -1
		}
		o.parked[best] = true
		step := act{op: opMove, node: a.node, gone: a.gone, came: []Position{spot}}
		*out = append(*out, step)
		*bytes += o.r.apply(step, nil).bytes.float()
		o.todo[best].gone = step.came
		o.try(best)
		o.refresh(step)
		if i := o.next(); i >= 0 {
			return i
		}
	}
}

// refresh evaluates again the moves from and to the neighbourhood of a's ends.
func (o *orderer) refresh(a act) {
	reach := 1
	for _, pl := range o.r.places {
		reach = max(reach, pl.factor)
	}
	l := o.d.now
	if len(l.pos) == 0 {
		return
	}
	again := map[int]bool{}
	for _, p := range append(slices.Clone(a.gone), a.came...) {
		at := l.holder(p)
		span := min(reach, (len(l.pos)-1)/2)
		for k := -span; k <= span; k++ {
			if i, ok := o.ofNode[int(l.own[(at+k+len(l.pos))%len(l.pos)])]; ok && !o.done[i] {
				again[i] = true
			}
		}
		first, last := l.pos[(at-span-1+2*len(l.pos))%len(l.pos)], l.pos[(at+span)%len(l.pos)]
		o.targets(first, last, again)
	}
	for i := range again {
		o.try(i)
	}
}

// targets adds the moves that end in (first, last].
func (o *orderer) targets(first, last Position, into map[int]bool) {
	if len(o.byEnd) == 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(o.byEnd, first, func(i int, p Position) int { return o.todo[i].came[0].cmp(p) })
	width := after(first, last, o.p.m.size)
	for n := range o.byEnd {
		i := o.byEnd[(at+n)%len(o.byEnd)]
		if width.less(after(first, o.todo[i].came[0], o.p.m.size)) {
			break
		}
		if !o.done[i] {
			into[i] = true
		}
	}
}
