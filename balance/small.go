package balance

import (
	"math"
	"slices"
)

// small searches a small ring as a whole, all its circles together: every
// balanced end (shape), and to each every assignment and order of moves, best
// first by what is streamed and what must still be. Tokens that circles want
// both, and nodes that wait for each other, are part of the search.
type small struct {
	w        *work
	probs    []*problem
	node     []int      // by member: of the model
	at       []Position // by member; joiners hold none
	class    []int      // by member: who may sit in the same seat; -1: leaves
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
	fewest   []int // by circle: moves
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
	smallMembers   = 12
	smallTokens    = 64 // all places of a ring that has no more are looked at
	smallShapes    = 10000
	smallStates    = 100000
	tinyShapes     = 60000
	tinyStates     = 2000000 // the same on a ring of few tokens, where nodes may wait anywhere
	smallPositions = 64      // that a search may use: a word of bits
	smallDetours   = 2       // moves above the fewest that are tried
)

// shape is an end: which class sits where.
type shape struct {
	at    []Position
	class []uint8
	moves int // nodes of the ring that cannot stay
	score int
	bound float64
}

// solveSmall is the best plan there is; ok is false if the ring is too large to
// be sure, or there is none.
func (w *work) solveSmall() (best outcome, ok bool) {
	s := &small{w: w, thin: true}
	s.tiny, s.most = !At(smallTokens).less(w.m.size), smallStates
	if s.tiny {
		s.most = tinyStates
	}
	s.byMoves = slices.Index(w.goal.Objective, ByMoves) < slices.Index(w.goal.Objective, ByBytes)
	circles := w.planCircles()
	if w.m.nodesIn(circles, w.leaving) > smallMembers {
		return best, false
	}
	for _, c := range circles {
		s.probs = append(s.probs, w.m.newProblem(&w.goal, c, w.leaving))
	}
	s.seat()
	for {
		shapes, sure := s.shapes()
		if sure && s.collided && s.thin {
			s.thin, s.collided = false, false
			continue
		}
		if sure {
			best, ok = s.best(shapes)
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
func (s *small) seat() {
	goal := &s.w.goal
	for i, p := range s.probs {
		byRack := p.racks() > 1 && (goal.Racks != RacksIgnore || !p.slotsDecide())
		for k, v := range p.stay {
			c := smallClass{circle: i, rack: -1, weight: p.weight(k)}
			if byRack {
				c.rack = s.w.m.rackOf[v]
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
	for v, leaves := range s.w.leaving {
		if leaves {
			s.leaves |= 1 << len(s.node)
			s.node, s.class, s.at = append(s.node, v), append(s.class, -1), append(s.at, s.w.m.ring.Nodes[v].Tokens[0])
		}
	}
	racks := map[int32]uint8{}
	for _, v := range s.node {
		r := s.w.m.rackOf[v]
		if _, ok := racks[r]; !ok {
			racks[r] = uint8(len(racks))
		}
		s.rackIx = append(s.rackIx, racks[r])
	}
}

// shapes lists the ends that may be best, by circle put together; ok is false
// if they are too many.
func (s *small) shapes() (out []shape, ok bool) {
	lists := make([][]shape, len(s.probs))
	s.fewest = nil
	product := 1.0
	for i, p := range s.probs {
		if lists[i], ok = s.ringsOf(i, p); !ok || len(lists[i]) == 0 {
			return nil, false
		}
		product *= float64(len(lists[i]))
		s.fewest = append(s.fewest, slices.MinFunc(lists[i], func(a, b shape) int { return a.moves - b.moves }).moves)
	}
	if product > smallShapes && !s.tiny || product > tinyShapes {
		return nil, false
	}
	s.put(lists, shape{}, &out)
	return out, true
}

// put joins one ring of every circle.
func (s *small) put(lists [][]shape, x shape, out *[]shape) {
	if len(lists) == 0 {
		if s.w.goal.Racks != RacksIgnore {
			x.score = s.score(&x)
		}
		*out = append(*out, x)
		return
	}
	for _, r := range lists[0] {
		if slices.ContainsFunc(r.at, func(p Position) bool { return containsPosition(x.at, p) }) {
			s.collided = true
			continue
		}
		s.put(lists[1:], shape{at: slices.Concat(x.at, r.at), class: slices.Concat(x.class, r.class), moves: x.moves + r.moves}, out)
	}
}

// score is the rack score of an end.
func (s *small) score(x *shape) (score int) {
	m := s.w.m
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

func (s *small) racksFirst() bool {
	return s.w.goal.Racks == RacksRequire || s.w.goal.Objective[0] == ByRack
}

// best goes through the shapes in the order of the goal.
func (s *small) best(shapes []shape) (best outcome, sure bool) {
	for i := range shapes {
		shapes[i].bound = s.ground(&shapes[i], false).bound()
	}
	byScore := s.racksFirst() || s.byMoves && slices.Index(s.w.goal.Objective, ByRack) < slices.Index(s.w.goal.Objective, ByBytes)
	slices.SortStableFunc(shapes, func(a, b shape) int {
		if a.score != b.score && byScore {
			return a.score - b.score
		}
		return compareFloat(a.bound, b.bound)
	})
	for len(shapes) > 0 {
		n := len(shapes)
		if s.racksFirst() {
			if n = slices.IndexFunc(shapes, func(x shape) bool { return x.score > shapes[0].score }); n < 0 {
				n = len(shapes)
			}
		}
		if best = s.bestOf(shapes[:n]); best.found || s.states > s.most {
			return best, s.states <= s.most && (s.tiny || s.sureOf(&best))
		}
		shapes = shapes[n:]
	}
	return best, false
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
	if best.found && slices.Index(s.w.goal.Objective, ByRack) > slices.Index(s.w.goal.Objective, ByBytes) || best.found && s.racksFirst() {
		limit = best.bytes
	} else if best.found && x.score > best.score {
		return
	} else if best.found && x.score == best.score {
		limit = best.bytes
	}
	if s.states > s.most || x.bound > limit*(1+1e-12) {
		return
	}
	g := s.ground(x, !s.byMoves || moves > x.moves)
	g.budget = moves
	if o := g.search(limit); o.found {
		o.score = x.score
		if o.less(best, s.w.goal.Objective) {
			*best = o
		}
	}
}

// sureOf tells whether ends that keep no token of a circle, which are not
// listed on a large ring, are out of the question.
func (s *small) sureOf(best *outcome) bool {
	if !s.byMoves {
		return !s.collided && s.leaves == 0 && len(s.probs) == 1
	}
	sum := 0
	for _, moves := range s.fewest {
		sum += moves
	}
	for i, p := range s.probs {
		if best.moves >= sum-s.fewest[i]+len(p.held) {
			return false
		}
	}
	return true
}
