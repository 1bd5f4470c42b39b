package balance

import (
	"math"
	"slices"
)

// target is a balanced ring that a circle may come to, and what is known of it
// before the order of moves is.
type target struct {
	at     []Position // in ring order
	kept   []int      // index of stay, or -1
	movers []int      // index of stay
	free   []int      // slots
	match  []int      // mover to index of free, by what is kept; -1: any
	net    float64    // at least this is streamed
}

// solveLarge looks at the most promising rings, matches movers to slots by what
// they need not stream, orders the moves, and proves a bound.
func (p *problem) solveLarge() solution {
	rotations := p.rotations(p.rotationsLimit())
	var targets []target
	for _, r := range rotations {
		at, kept := p.ring(r)
		targets = append(targets, p.newTarget(at, kept))
	}
	if len(rotations) == 0 {
		at := p.evenFrom(Position{})
		kept, _ := p.keptIn(at)
		targets = append(targets, p.newTarget(at, kept))
	}
	was := p.intervalsOf(p.held)
	p.each(len(targets), func(i int) { p.promise(&targets[i], &was) })
	slices.SortStableFunc(targets, func(a, b target) int { return compareFloat(a.net, b.net) })
	tries := min(len(targets), p.tries())
	found := make([]outcome, tries)
	p.each(tries, func(i int) { found[i] = p.follow(&targets[i]) })
	slices.SortStableFunc(found, func(a, b outcome) int { return compareFloat(a.bytes, b.bytes) })
	p.each(min(tries, polished), func(i int) {
		if len(p.held) == 0 || !found[i].found {
			return
		}
		if acts, saved := p.polish(found[i].acts); saved > 0 {
			found[i].acts, found[i].bytes = acts, found[i].bytes-saved
			found[i].score = p.scoreAfter(acts)
		}
	})
	var best outcome
	for i := range found {
		if found[i].less(&best, p.goal.Objective) {
			best = found[i]
		}
	}
	for i := range found { // least bytes first
		if found[i].found {
			best.others = append(best.others, found[i].acts)
		}
	}
	s := solution{outcome: best, steps: best.acts, proof: ProofHeuristic, bound0: !p.slotsDecide() || !p.exact}
	if !s.bound0 {
		all := len(rotations) < p.rotationsLimit()
		once := p.goal.movesFirst() && best.moves <= p.movesTo(&targets[0])
		s.bound = p.bound(targets, &was, all, once)
		if s.bytes <= s.bound*(1+1e-9) {
			s.proof = ProofBound
		}
	}
	return s
}

// bound is what any way streams that serves the goal as well: one of as few
// moves, where those come first. All tells that targets, in the order of what
// they stream at the least, are all that take as few moves; once, that no node
// moves twice in such a way.
func (p *problem) bound(targets []target, was *intervals, all, once bool) float64 {
	switch {
	case p.freeTargets() || !p.axis.plain && len(p.places) > 1:
		return p.lacking(was)
	case all && once && p.axis.plain:
		least := math.Inf(1)
		for i := range targets {
			if targets[i].net >= least {
				break
			}
			will := p.intervalsOf(targets[i].at)
			least = min(least, max(targets[i].net, p.stepwise(&targets[i], was, &will)))
		}
		return max(0, least-3*p.drift(was))
	}
	return max(0, p.boundOverRotations(was, p.boundSamples(), once)-3*p.drift(was))
}

// movesTo counts the moves to a target if nobody has to move twice.
func (p *problem) movesTo(t *target) (n int) {
	for _, v := range t.movers {
		if v < len(p.held) {
			n++
		}
	}
	return n
}

// rotations are the rings to look at: those in which most tokens stay or, where
// bytes come before moves, those that tokens are nearest to.
func (p *problem) rotations(limit int) []rotation {
	if p.goal.movesFirst() {
		return p.chains(limit)
	}
	return p.nearest(limit)
}

// polished is how many of the best ways are worked over.
const polished = 2

// Sizes from which less is tried, so that 10,000 nodes take seconds.
const (
	sizeMany = 300
	sizeHuge = 2000
)

func (p *problem) rotationsLimit() int {
	if n := p.slots(); n > sizeHuge || n > sizeMany && !p.axis.plain {
		return 64
	}
	return 400
}

func (p *problem) tries() int {
	if p.slots() > sizeMany {
		return 1
	}
	return 16
}

// slotsDecide tells whether a slot's replicas are the same whoever sits there
// and wherever the racks lie.
func (p *problem) slotsDecide() bool {
	for _, pl := range p.places {
		everybody := pl.factor >= max(len(p.stay), len(p.held)+len(p.leave))
		if pl.rackAware && pl.factor > 1 && p.racks() > 1 && !everybody {
			return false
		}
	}
	return true
}

// freeTargets tells that the free slots are not bound to their places.
func (p *problem) freeTargets() bool {
	return p.goal.Tolerance.rat().Sign() > 0 || p.goal.Slack > 0
}

func (p *problem) newTarget(at []Position, kept []int) target {
	t := target{}
	byPlace := func(a, b int) int { return at[a].cmp(at[b]) }
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	// Rings come in ring order, most of them not from their first token on.
	if wrap := slices.IndexFunc(order[1:], func(i int) bool { return at[i].less(at[i-1]) }); wrap >= 0 {
		order = append(order[wrap+1:], order[:wrap+1]...)
	}
	if !slices.IsSortedFunc(order, byPlace) {
		slices.SortFunc(order, byPlace)
	}
	stays := make([]bool, len(p.stay))
	for i, k := range order {
		t.at, t.kept = append(t.at, at[k]), append(t.kept, kept[k])
		if kept[k] >= 0 {
			stays[kept[k]] = true
		} else {
			t.free = append(t.free, i)
		}
	}
	for i := range p.stay {
		if !stays[i] {
			t.movers = append(t.movers, i)
		}
	}
	return t
}

// promise matches movers to free slots for the most kept, and bounds the bytes.
func (p *problem) promise(t *target, was *intervals) {
	will := p.intervalsOf(t.at)
	p.promiseIn(t, was, &will)
}

func (p *problem) promiseIn(t *target, was, will *intervals) {
	edges := p.edges(t.movers, t.free, was, will)
	match, most := auction(edges, len(t.free))
	t.match = match
	for k, pl := range p.places {
		t.net += float64(will.total[k] * float64(min(pl.factor, len(t.at))))
	}
	for slot, member := range t.kept {
		if member >= 0 {
			t.net -= was.overlap(member, will, slot)
		}
	}
	t.net = max(0, t.net-most)
}

// follow orders the moves to a target, by two ways to match, and takes the
// better one.
func (p *problem) follow(t *target) outcome {
	var best outcome
	was, will := p.intervalsOf(p.held), p.intervalsOf(t.at)
	for _, match := range [][]int{p.align(t, &was, &will), t.match, nil} {
		whole := p.complete(t, match)
		acts := p.acts(t, whole)
		loose, keep := make([]bool, len(acts)), make([]float64, len(acts))
		for i, v := range t.movers {
			loose[i] = v >= len(p.held)
			if !loose[i] {
				keep[i] = was.overlap(v, &will, t.free[whole[i]])
				loose[i] = keep[i] == 0
			}
		}
		ordered, bytes := p.order(acts, loose, keep)
		o := outcome{bytes: bytes, moves: countMoves(ordered), acts: ordered, found: len(ordered) >= len(acts)}
		o.score = p.scoreAfter(ordered)
		if o.less(&best, p.goal.Objective) {
			best = o
		}
		if p.slots() > sizeMany {
			break
		}
	}
	return best
}

// complete sends the movers that a matching leaves over to the slots that are
// left, by distance and in order; nil leaves all over.
func (p *problem) complete(t *target, match []int) []int {
	out := make([]int, len(t.movers))
	taken := make([]bool, len(t.free))
	var rest, joins []int
	for i, v := range t.movers {
		out[i] = -1
		if match != nil && match[i] >= 0 {
			out[i] = match[i]
			taken[match[i]] = true
		} else if v < len(p.held) {
			rest = append(rest, i)
		} else {
			joins = append(joins, i)
		}
	}
	var slots []int
	for f := range t.free {
		if !taken[f] {
			slots = append(slots, f)
		}
	}
	// Joiners take slots evenly among those left.
	if extra := len(slots) - len(rest); len(joins) > 0 && extra > 0 {
		var left []int
		k := 0
		for i, f := range slots {
			if k < len(joins) && k < extra && i == k*len(slots)/extra {
				out[joins[k]] = f
				k++
			} else {
				left = append(left, f)
			}
		}
		slots = left
	}
	size := p.m.size.float()
	from, to := make([]float64, len(rest)), make([]float64, len(rest))
	for i, r := range rest {
		from[i], to[i] = p.held[t.movers[r]].float(), t.at[t.free[slots[i]]].float()
	}
	for i, k := range circular(from, to, size) {
		out[rest[i]] = slots[k]
	}
	return out
}

// acts are the moves of a matching, joins and leaves with them, in no order.
func (p *problem) acts(t *target, match []int) (out []act) {
	for i, v := range t.movers {
		a := act{op: opMove, node: p.stay[v], came: []Position{t.at[t.free[match[i]]]}}
		if v < len(p.held) {
			a.gone = []Position{p.held[v]}
		} else {
			a.op = opJoin
		}
		out = append(out, a)
	}
	for i, v := range p.leave {
		out = append(out, act{op: opLeave, node: v, gone: []Position{p.gone[i]}})
	}
	return out
}

// scoreAfter is the rack score at the end.
func (p *problem) scoreAfter(acts []act) int {
	if p.goal.Racks == RacksIgnore || p.c.rack >= 0 || p.racks() < 2 {
		return 0
	}
	tokens := make([][]Position, len(p.m.ring.Nodes))
	for i, h := range p.held {
		tokens[p.stay[i]] = []Position{h}
	}
	for _, a := range acts {
		tokens[a.node] = a.came
	}
	return p.score(p.m.newLayout(p.c.domain, tokens).own)
}

func countMoves(acts []act) (n int) {
	for _, a := range acts {
		if a.op == opMove {
			n++
		}
	}
	return n
}

// boundSamples is at how many rotations a bound over all of them is worked out.
func (p *problem) boundSamples() int {
	if n := p.slots(); n > sizeHuge || n > sizeMany && !p.axis.plain {
		return 48
	}
	return 200
}

// drift is what the rounding of arcs may put slots off those of a rotation: it
// counts on rings of few tokens only.
func (p *problem) drift(was *intervals) (sum float64) {
	n := float64(p.slots())
	off := p.hi.sub(p.lo).float() / p.axis.size.float()
	if !p.axis.plain {
		off += 2 * p.tokenShare()
	}
	for _, total := range was.total {
		sum += float64(n * n * total * off)
	}
	return sum
}

// boundOverRotations proves what any rotation streams. What a matching keeps is
// linear in the rotation but where slots meet tokens, so that the most that any
// keeps is convex in between, and no rotation streams less than all of those at
// which a slot is a token. Where tokens are more than samples, one between two
// that are looked at differs from the nearer by no more than every slot's shift,
// or three times that where moves are bounded one by one.
func (p *problem) boundOverRotations(was *intervals, samples int, once bool) float64 {
	n := p.slots()
	turns, shift := []float64{0}, 0.0
	if len(p.held) <= samples {
		for _, end := range was.end[0] {
			arcs := float64(end / was.total[0] * float64(n))
			turns = append(turns, arcs-math.Floor(arcs))
		}
	} else {
		for i := range samples {
			turns = append(turns, float64(2*i+1)/float64(2*samples))
		}
		for k := range p.places {
			shift += was.total[k] / float64(2*samples)
		}
	}
	least := make([]float64, len(turns))
	p.each(len(turns), func(i int) {
		t := target{at: make([]Position, n)}
		for k := range n {
			t.kept, t.free = append(t.kept, -1), append(t.free, k)
			t.movers = append(t.movers, k)
		}
		will := p.turned(was, turns[i])
		p.promiseIn(&t, was, &will)
		least[i] = t.net - shift
		if once {
			least[i] = max(least[i], p.stepwise(&t, was, &will)-3*shift)
		}
	})
	return max(0, slices.Min(least))
}

// lacking is what comes to nodes in any plan: what they hold less than they may
// have at least in the end. Where data is not even, an arc is a share of the sum
// over all places, maybe of one of them alone: of arcs that a node holds for all
// places there are only as many as the smallest factor.
func (p *problem) lacking(was *intervals) (sum float64) {
	arc := p.leastArc()
	few := math.MaxInt
	for _, pl := range p.places {
		few = min(few, pl.factor)
	}
	for v := range p.stay {
		need := 0.0
		for k, pl := range p.places {
			factor := pl.factor
			if !p.axis.plain {
				factor = few
			}
			need += float64(was.total[k] * min(1, arc*float64(factor)))
			if v < len(p.held) {
				need -= was.end[k][v] - was.begin[k][v]
			}
		}
		sum += max(0, need)
	}
	return sum
}

// leastArc is the part of the circle that the smallest balanced arc is.
func (p *problem) leastArc() float64 {
	arc := p.lo.float() / p.axis.size.float()
	if !p.axis.plain { // the judge gives a token away, the coordinates do not
		arc -= p.tokenShare()
	}
	return max(0, arc)
}

// tokenShare is the part of the circle's data that a token may be.
func (p *problem) tokenShare() float64 { return float64(p.c.slackUnit(p.m)) / p.axis.total.float() }

// turned is the even ring so many arcs from the start. All places grow alike
// along the ring: there is one, or data is even.
func (p *problem) turned(was *intervals, arcs float64) (out intervals) {
	n := p.slots()
	for k, pl := range p.places {
		arc := was.total[k] / float64(n)
		begin, end := make([]float64, n), make([]float64, n)
		for i := range n {
			end[i] = float64(arc * (float64(i) + arcs))
			begin[i] = end[i] - float64(arc*float64(min(pl.factor, n)))
		}
		out.total, out.begin, out.end = append(out.total, was.total[k]), append(out.begin, begin), append(out.end, end)
	}
	return out
}
