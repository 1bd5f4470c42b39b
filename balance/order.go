package balance

import "slices"

// orderer puts moves into an order that wastes little: bytes that come to a node
// that does not keep them, or leave one that gets them back. What is not wasted
// must be streamed in any order. Loose moves keep nothing of what they hold, so
// that who of them goes where is left to the moment: the one that leaves best
// goes where somebody arrives best. When all moves waste, others come loose.
type orderer struct {
	p       *problem
	r       *replay
	d       *domain
	final   *layout
	todo    []act
	loose   []bool
	done    []bool
	parked  []bool
	blocked []bool    // the target is taken
	keep    []float64 // what a mover need not stream only if it goes where it shall
	worth   []worth
	ofNode  map[int]int // node to index of todo
	byEnd   []int       // todo by target
	endAt   []int       // todo's place in byEnd
	buf     []int32
}

// worth is what a move does now.
type worth struct {
	waste  float64 // if it is done as it stands
	leaves float64 // waste of leaving for anywhere
	comes  float64 // waste of anybody's coming to its target
	cost   float64
}

// of is what a move wastes, loose or not.
func (w worth) of(loose bool) float64 {
	if loose {
		return w.leaves + w.comes
	}
	return w.waste
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
	r.lay(p.c.domain)
	return r
}

// order arranges acts and tells what they stream. Nodes that wait for each
// other's tokens are parked beside them, at one more move.
func (p *problem) order(acts []act, loose []bool, keep []float64) (out []act, bytes float64) {
	n := len(acts)
	o := &orderer{p: p, r: p.newLocalReplay(), todo: acts, loose: loose, keep: keep, done: make([]bool, n), blocked: make([]bool, n), endAt: make([]int, n),
		worth: make([]worth, n), ofNode: map[int]int{}}
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
		_, o.blocked[i] = o.d.now.index(o.todo[i].came[0])
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
		o.block(o.todo[i])
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

func (o *orderer) try(i int) { o.worth[i] = o.evaluate(i) }

// evaluate looks at a move as the next one, and at its two halves.
func (o *orderer) evaluate(i int) (w worth) {
	a := o.todo[i]
	if !o.isLoose(i) {
		w.waste, w.cost = o.trial(a)
	}
	if o.loose == nil || len(a.came) == 0 {
		return w
	}
	if len(a.gone) > 0 {
		w.leaves, _ = o.trial(act{op: opLeave, node: a.node, gone: a.gone})
	}
	nobody := len(o.r.tokens) - 1
	k, _ := o.final.index(a.came[0])
	o.final.own[k] = int32(nobody)
	w.comes, _ = o.trial(act{op: opJoin, node: nobody, came: a.came})
	o.final.own[k] = int32(a.node)
	if !o.loose[i] {
		w.comes += o.keep[i]
	}
	return w
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
	at, done := -1, Position{} // how far from the arc's left end
	if len(o.final.pos) > 0 {
		at = o.final.holder(advance(left, At(1), size))
	}
	for last := false; !last; {
		right := c.right
		last = true
		o.buf = o.buf[:0]
		if at >= 0 {
			end := o.final.pos[at]
			if d := after(c.left, end, size); done.less(d) && d.less(width) {
				right, last, done = end, false, d
			}
			o.buf, _ = pl.walk(o.r.m, o.final, terms, at, o.buf)
			if at++; at == len(o.final.pos) {
				at = 0
			}
		}
		kept, came := o.piece(c)
		w := pl.between(left, right).float()
		waste, cost = waste+float64(w*float64(kept)), cost+float64(w*float64(came))
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

// choice is a move that may come next: todo[goes], to the target of todo[to].
type choice struct {
	goes, to int
	waste    float64
}

// choicesMax is how many wasteful moves are looked at closely.
const choicesMax = 6

// next is the move to do: one that wastes nothing if there is one, else of
// those that waste least the one after which the others waste least; -1 if none
// is possible.
func (o *orderer) next() int {
	all := o.choices()
	if len(all) == 0 {
		return -1
	}
	c := all[0]
	if !near(c.waste, 0) && len(all) > 1 {
		best := o.ahead(c)
		for _, other := range all[1:] {
			if v := o.ahead(other); v < best && !near(v, best) {
				c, best = other, v
			}
		}
	}
	if c.goes != c.to {
		o.swap(c.goes, c.to)
		o.loose[c.to] = true
		o.try(c.to)
	}
	return c.goes
}

// choices are the possible moves of least waste.
func (o *orderer) choices() []choice {
	var all, goes, to []choice
	for i := range o.todo {
		if o.done[i] {
			continue
		}
		may := o.possible(i)
		if may && !o.isLoose(i) {
			all = least(all, choice{i, i, o.worth[i].waste})
		}
		if o.loose == nil || len(o.todo[i].came) == 0 {
			continue
		}
		goes = least(goes, choice{i, i, o.worth[i].leaves})
		if may {
			to = least(to, choice{i, i, o.worth[i].comes})
		}
	}
	if len(to) == 0 {
		return all
	}
	for _, g := range goes {
		all = least(all, choice{g.goes, to[0].to, g.waste + to[0].waste})
	}
	for _, t := range to[1:] {
		all = least(all, choice{goes[0].goes, t.to, goes[0].waste + t.waste})
	}
	return all
}

// least adds a choice to those of least waste.
func least(all []choice, c choice) []choice {
	at := len(all)
	for at > 0 && c.waste < all[at-1].waste && !near(c.waste, all[at-1].waste) {
		at--
	}
	if at >= choicesMax {
		return all
	}
	all = slices.Insert(all, at, c)
	return all[:min(len(all), choicesMax)]
}

// ahead is what a choice wastes, and how much more the moves near it do after
// it than before.
func (o *orderer) ahead(c choice) float64 {
	sum := c.waste
	wasLoose := o.isLoose(c.to)
	if c.goes != c.to {
		o.swap(c.goes, c.to)
		sum -= o.worth[c.to].waste
		o.loose[c.to] = true
	}
	a := o.todo[c.goes]
	o.r.apply(a, nil)
	for i := range o.around(a) {
		if i != c.goes {
			sum += o.evaluate(i).of(o.isLoose(i)) - o.worth[i].of(o.isLoose(i))
		}
	}
	o.r.apply(act{op: a.op, node: a.node, gone: a.came, came: a.gone}, nil)
	if c.goes != c.to {
		o.swap(c.goes, c.to)
		o.loose[c.to] = wasLoose
	}
	return sum
}

func (o *orderer) isLoose(i int) bool { return o.loose != nil && o.loose[i] }

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
	o.blocked[i], o.blocked[j] = o.blocked[j], o.blocked[i]
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
	return !o.blocked[i]
}

// block keeps which targets are taken, after a was done.
func (o *orderer) block(a act) {
	set := func(p Position, taken bool) {
		k, ok := slices.BinarySearchFunc(o.byEnd, p, func(i int, p Position) int { return o.todo[i].came[0].cmp(p) })
		if ok {
			o.blocked[o.byEnd[k]] = taken
		}
	}
	for _, p := range a.gone {
		set(p, false)
	}
	for _, p := range a.came {
		set(p, true)
	}
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
			if _, wanted := o.final.index(a.gone[0]); wanted && (best < 0 || o.worth[i].cost < o.worth[best].cost) {
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
		o.block(step)
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
	for i := range o.around(a) {
		o.try(i)
	}
}

func (o *orderer) around(a act) map[int]bool {
	again := map[int]bool{}
	reach := 1
	for _, pl := range o.r.places {
		reach = max(reach, pl.factor)
	}
	l := o.d.now
	if len(l.pos) == 0 {
		return again
	}
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
	return again
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
