package balance

import (
	"math"
	"slices"
)

// small searches a small ring as a whole, all its circles together, or one
// circle of a larger one: every balanced end (shape), and to each every
// assignment and order of moves, best first by what is streamed and what must
// still be. Tokens that circles want both, and nodes that wait for each other,
// are part of the search.
type small struct {
	m        *model
	goal     *Goal
	places   []*place
	probs    []*problem
	blocked  map[Position]bool // held for good by others
	node     []int             // by member: of the model
	at       []Position        // by member; joiners hold none
	class    []int             // by member: who may sit in the same seat; -1: leaves
	classes  []smallClass
	joins    uint32 // members
	leaves   uint32
	tiny     bool // all tokens of the ring are looked at
	byMoves  bool // before bytes
	thin     bool // rings that differ by the rounding of their arcs count once
	collided bool // ends were left out: two circles want the same token
	states   int  // looked at
	most     int  // of them
	rackIx   []uint8
	fewest   []int     // by circle: moves
	rooms    []float64 // by member: what it may hold more than now; nil: anything
}

// smallClass is nodes of the same circle, rack and weight.
type smallClass struct {
	circle int
	rack   int32
	weight uint64
	count  int
}

// Bounds of the search; what is larger is for the heuristics.
const (
	smallMembers    = 12
	circleMembers   = 8     // of one circle among others
	circleStates    = 20000 // the same
	smallTokens     = 64    // all places of a ring that has no more are looked at
	smallShapes     = 10000
	smallStates     = 100000
	tinyShapes      = 60000
	tinyStates      = 2000000 // the same on a ring of few tokens, where nodes may wait anywhere
	smallPositions  = 64      // that a search may use: a word of bits
	exhaustiveTimes = 50      // how much more is looked at where that is the goal
	smallDetours    = 2       // moves above the fewest that are tried
)

// shape is an end: which class sits where.
type shape struct {
	at    []Position
	class []uint8
	moves int // nodes of the ring that cannot stay
	score int
	bound float64
}

func newSmall(m *model, goal *Goal, places []*place, probs []*problem, leave []int) *small {
	s := &small{m: m, goal: goal, places: places, probs: probs, thin: true}
	s.tiny, s.most = !At(smallTokens).less(m.size), smallStates
	if s.tiny {
		s.most = tinyStates
	}
	if goal.Exhaustive {
		s.most *= exhaustiveTimes
	}
	s.byMoves = goal.movesFirst()
	s.seat(leave)
	if rooms := m.rooms(goal); rooms != nil {
		for _, v := range s.node {
			s.rooms = append(s.rooms, rooms[v])
		}
	}
	return s
}

// solveSmall is the best plan there is; ok is false if the ring is too large to
// be sure, or there is none.
func (w *work) solveSmall() (best outcome, ok bool) {
	circles := w.circlesByRack(true)
	if w.m.nodesIn(circles, w.leaving) > smallMembers {
		return best, false
	}
	var probs []*problem
	for _, c := range circles {
		probs = append(probs, w.m.newProblem(&w.goal, c, w.leaving))
	}
	var leave []int
	for v, leaves := range w.leaving {
		if leaves {
			leave = append(leave, v)
		}
	}
	return newSmall(w.m, &w.goal, w.m.places, probs, leave).solve()
}

// newSmall is the search of one circle; nil if it is too large.
func (p *problem) newSmall() *small {
	if n := len(p.stay) + len(p.leave); n > smallMembers || n > circleMembers && !p.goal.Exhaustive {
		return nil
	}
	s := newSmall(p.m, p.goal, p.places, []*problem{p}, p.leave)
	s.blocked, s.thin = p.blocked, len(p.blocked) == 0
	if !p.goal.Exhaustive {
		s.most = circleStates
	}
	return s
}

// solution is what a search of the circle has found.
func (p *problem) solution(best outcome, complete bool) solution {
	s := solution{outcome: best, steps: best.acts, proof: ProofHeuristic, bound0: true}
	if complete && p.exact && len(p.blocked) == 0 {
		s.proof, s.bound, s.bound0 = ProofExhaustive, best.bytes, false
	}
	return s
}

// solveSmall is the best way of one circle, if it is small enough to be sure.
func (p *problem) solveSmall() (solution, bool) {
	s := p.newSmall()
	if s == nil {
		return solution{}, false
	}
	best, ok := s.solve()
	return p.solution(best, true), ok
}

func (s *small) solve() (best outcome, ok bool) {
	for {
		lists, sure := s.rings()
		if sure && s.walkable() {
			best = s.cheapest(lists)
			return best, best.found && s.states <= s.most
		}
		var shapes []shape
		if sure {
			shapes, sure = s.shapes(lists)
		}
		if sure && s.collided && s.thin {
			s.thin, s.collided = false, false
			continue
		}
		if sure {
			best = s.best(shapes)
			ok = best.found && s.states <= s.most && (s.tiny || s.sureOf(&best))
		}
		return best, ok
	}
}

// nodesIn counts who takes part.
func (m *model) nodesIn(circles []circle, leaving []bool) (n int) {
	for _, c := range circles {
		n += len(c.nodes)
	}
	for _, l := range leaving {
		if l {
			n++
		}
	}
	return n
}

// seat numbers members and classes. Racks tell classes apart where they count.
func (s *small) seat(leave []int) {
	for i, p := range s.probs {
		byRack := p.racks() > 1 && (s.goal.Racks != RacksIgnore || !p.slotsDecide())
		for k, v := range p.stay {
			c := smallClass{circle: i, rack: -1, weight: p.weight(k)}
			if byRack {
				c.rack = s.m.rackOf[v]
			}
			at := slices.IndexFunc(s.classes, func(o smallClass) bool {
				o.count = 0
				return o == c
			})
			if at < 0 {
				at = len(s.classes)
				s.classes = append(s.classes, c)
			}
			s.classes[at].count++
			if k < len(p.held) {
				s.at = append(s.at, p.held[k])
			} else {
				s.joins |= 1 << len(s.node)
				s.at = append(s.at, Position{})
			}
			s.node, s.class = append(s.node, v), append(s.class, at)
		}
	}
	for _, v := range leave {
		s.leaves |= 1 << len(s.node)
		s.node, s.class, s.at = append(s.node, v), append(s.class, -1), append(s.at, s.m.ring.Nodes[v].Tokens[0])
	}
	racks := map[int32]uint8{}
	for _, v := range s.node {
		r := s.m.rackOf[v]
		if _, ok := racks[r]; !ok {
			racks[r] = uint8(len(racks))
		}
		s.rackIx = append(s.rackIx, racks[r])
	}
}

// rings lists the balanced rings of every circle; ok is false if they are too
// many, or one has none.
func (s *small) rings() (lists [][]shape, ok bool) {
	lists = make([][]shape, len(s.probs))
	s.fewest = nil
	for i, p := range s.probs {
		if lists[i], ok = s.ringsOf(i, p); !ok || len(lists[i]) == 0 {
			return nil, false
		}
		s.fewest = append(s.fewest, slices.MinFunc(lists[i], func(a, b shape) int { return a.moves - b.moves }).moves)
	}
	return lists, true
}

// shapes lists the ends that may be best, rings of circles put together; ok is
// false if they are too many.
func (s *small) shapes(lists [][]shape) (out []shape, ok bool) {
	product := 1.0
	for _, l := range lists {
		product *= float64(len(l))
	}
	limit := smallShapes
	if s.tiny {
		limit = tinyShapes
	}
	if s.goal.Exhaustive {
		limit *= exhaustiveTimes
	}
	if product <= float64(limit) {
		ok = s.put(lists, shape{}, math.MaxInt, limit, &out)
		return out, ok
	}
	if len(lists) == 1 && s.goal.racksFirst() { // those whose racks alternate best
		least := math.MaxInt
		for i := range lists[0] {
			x := &lists[0][i]
			if x.score = s.score(x); x.score < least {
				out, least = out[:0], x.score
			}
			if x.score == least {
				out = append(out, *x)
			}
		}
		return out, len(out) <= limit
	}
	if !s.byMoves {
		return nil, false
	}
	for most := sum(s.fewest) + smallDetours; ; most++ { // those with more moves are no better
		out = out[:0]
		if !s.put(lists, shape{}, most, limit, &out) {
			return nil, false
		}
		if !s.goal.racksFirst() || most > len(s.node) || slices.ContainsFunc(out, func(x shape) bool { return x.score == 0 }) {
			return out, true
		}
	}
}

func sum(all []int) (n int) {
	for _, x := range all {
		n += x
	}
	return n
}

// put joins one ring of every circle to ends of at most that many moves; false
// if they are more than limit.
func (s *small) put(lists [][]shape, x shape, most, limit int, out *[]shape) bool {
	if len(lists) == 0 {
		if s.goal.Racks != RacksIgnore {
			x.score = s.score(&x)
		}
		*out = append(*out, x)
		return len(*out) <= limit
	}
	still := sum(s.fewest[len(s.fewest)-len(lists)+1:])
	for _, r := range lists[0] {
		switch {
		case x.moves+r.moves+still > most:
		case slices.ContainsFunc(r.at, func(p Position) bool { return containsPosition(x.at, p) }):
			s.collided = true
		case !s.put(lists[1:], shape{at: slices.Concat(x.at, r.at), class: slices.Concat(x.class, r.class), moves: x.moves + r.moves}, most, limit, out):
			return false
		}
	}
	return true
}

// score is the rack score of an end.
func (s *small) score(x *shape) (score int) {
	m := s.m
	tokens := make([][]Position, len(m.ring.Nodes))
	s.assign(x, func(member, seat int) { tokens[s.node[member]] = []Position{x.at[seat]} })
	for dc := range m.dcs {
		l := m.newLayout(dc, tokens)
		score += windows(m, l.own, m.window(dc, l.racks))
	}
	return score
}

// assign seats members of every class in the order of seats.
func (s *small) assign(x *shape, seat func(member, seat int)) {
	var used uint32
	for i, c := range x.class {
		for k := range s.node {
			if used&(1<<k) == 0 && s.class[k] == int(c) {
				used |= 1 << k
				seat(k, i)
				break
			}
		}
	}
}

// best goes through the shapes in the order of the goal.
func (s *small) best(shapes []shape) (best outcome) {
	for i := range shapes {
		g := s.ground(&shapes[i], false)
		g.roam = !s.byMoves // who is in a seat may leave it where that saves bytes
		shapes[i].bound = g.bound()
	}
	byScore := s.goal.racksFirst() || s.byMoves && slices.Index(s.goal.Objective, ByRack) < slices.Index(s.goal.Objective, ByBytes)
	slices.SortStableFunc(shapes, func(a, b shape) int {
		if a.score != b.score && byScore {
			return a.score - b.score
		}
		if c := compareFloat(a.bound, b.bound); c != 0 {
			return c
		}
		return a.score - b.score
	})
	for len(shapes) > 0 {
		n := len(shapes)
		if s.goal.racksFirst() {
			if n = slices.IndexFunc(shapes, func(x shape) bool { return x.score > shapes[0].score }); n < 0 {
				n = len(shapes)
			}
		}
		if best = s.bestOf(shapes[:n]); best.found || s.states > s.most {
			return best
		}
		shapes = shapes[n:]
	}
	return best
}

// bestOf is the best way to any of the shapes.
func (s *small) bestOf(shapes []shape) (best outcome) {
	if !s.byMoves {
		for i := range shapes {
			s.try(&shapes[i], math.MaxInt, &best)
		}
		return best
	}
	least := math.MaxInt
	for i := range shapes {
		least = min(least, shapes[i].moves)
	}
	for moves := least; moves <= least+smallDetours && !best.found; moves++ {
		for i := range shapes {
			if shapes[i].moves <= moves {
				s.try(&shapes[i], moves, &best)
			}
		}
	}
	return best
}

// try searches a shape unless its bound is above what was found.
func (s *small) try(x *shape, moves int, best *outcome) {
	limit := math.Inf(1)
	if best.found && slices.Index(s.goal.Objective, ByRack) > slices.Index(s.goal.Objective, ByBytes) || best.found && s.goal.racksFirst() {
		limit = best.bytes
	} else if best.found && x.score > best.score {
		return
	} else if best.found && x.score == best.score {
		limit = best.bytes
	}
	likely := outcome{bytes: x.bound, moves: x.moves, score: x.score, found: true}
	if !s.byMoves && best.found && best.less(&likely, s.goal.Objective) {
		return
	}
	detour := s.byMoves && moves > x.moves // of which the bound does not know
	if s.states > s.most || !detour && x.bound > limit*(1+1e-12) {
		return
	}
	g := s.ground(x, !s.byMoves || detour)
	g.budget = moves
	if o := g.search(limit); o.found {
		o.score = x.score
		switch {
		case o.less(best, s.goal.Objective):
			*best = o
			best.alts = [][]act{o.acts}
		case !best.less(&o, s.goal.Objective) && len(best.alts) < altsMax:
			best.alts = append(best.alts, o.acts)
		}
	}
}

// sureOf tells whether ends that keep no token of a circle, which are not
// listed on a large ring, are out of the question.
func (s *small) sureOf(best *outcome) bool {
	if !s.byMoves {
		return !s.collided && s.leaves == 0 && len(s.probs) == 1
	}
	for i, p := range s.probs {
		if best.moves >= sum(s.fewest)-s.fewest[i]+len(p.held) {
			return false
		}
	}
	return true
}
