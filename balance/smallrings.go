package balance

import (
	"encoding/binary"
	"math"
	"slices"
)

// ringLister lists the balanced rings of one circle: tokens, and the classes
// that may sit there.
type ringLister struct {
	s      *small
	p      *problem
	circle int
	left   []int // by class: seats still to give
	lo, hi []Position
	at     []Position
	class  []uint8
	seen   map[string]bool
	alike  map[string]int
	out    []shape
	kept   int // seats whose nodes stay
	fewest int // moves of a ring so far
	visits int
	most   int
	judged bool // arcs alone do not tell
	free   bool // arcs tell nothing
	mixed  bool // what is outside decides too
}

// Bounds of how many partial rings are looked at.
const (
	listVisits     = 1 << 18
	tinyListVisits = 1 << 22
)

// ringsOf lists the rings of a circle; ok is false if they are too many, or
// nobody knows where they begin.
func (s *small) ringsOf(circle int, p *problem) (out []shape, ok bool) {
	l := &ringLister{s: s, p: p, circle: circle, seen: map[string]bool{}, alike: map[string]int{}, free: p.c.mode == ModeReplicated}
	l.judged = l.free || !p.axis.plain
	l.most, l.fewest = listVisits, math.MaxInt-smallDetours
	if s.tiny {
		l.most = tinyListVisits
	}
	if s.goal.Exhaustive {
		l.most *= exhaustiveTimes
	}
	if l.judged && !s.tiny {
		return nil, false
	}
	for _, pl := range s.m.places {
		l.mixed = l.mixed || pl.domain == everywhere && p.c.domain != everywhere && len(s.m.dcs) > 1
	}
	if l.free && l.mixed {
		return nil, false
	}
	total := uint64(0)
	for k := range p.stay {
		total += p.weight(k)
	}
	for i := range s.classes {
		c := &s.classes[i]
		n := c.count
		if c.circle != circle {
			n = 0
		}
		lo, hi := p.bounds(max(c.weight, 1), total)
		if p.even {
			lo, hi = p.lo, p.hi
		}
		l.left, l.lo, l.hi = append(l.left, n), append(l.lo, lo), append(l.hi, hi)
	}
	if !s.tiny && l.wide() {
		return nil, false
	}
	if s.tiny {
		for first := range p.m.size.lo {
			l.begin(At(first))
		}
	} else {
		for _, first := range slices.Concat(p.held, p.gone) {
			l.begin(first)
		}
		if len(p.held) == 0 {
			return nil, false
		}
	}
	return l.out, l.visits < l.most
}

// wide tells that arcs may have so many lengths that rings are too many.
func (l *ringLister) wide() bool {
	ways := 1.0
	for c, n := range l.left {
		ways *= math.Pow(1+l.hi[c].sub(l.lo[c]).float(), float64(n))
	}
	return ways > float64(l.most)
}

// begin lists the rings that have a token at first: on a tiny ring none before
// it, else where its holder stays.
func (l *ringLister) begin(first Position) {
	k, held := slices.BinarySearchFunc(l.p.held, first, Position.cmp)
	for c := range l.left {
		if l.left[c] == 0 || !l.s.tiny && l.s.byMoves && !(held && l.s.class[l.member(k)] == c) {
			continue
		}
		l.next(first, c)
	}
}

// member is the number of the circle's node.
func (l *ringLister) member(k int) int { return slices.Index(l.s.node, l.p.stay[k]) }

// next seats a class and goes on.
func (l *ringLister) next(at Position, c int) {
	if l.visits++; l.visits >= l.most {
		return
	}
	l.at, l.class = append(l.at, at), append(l.class, uint8(c))
	l.left[c]--
	stays := l.s.stays(l.p, at, uint8(c))
	if stays {
		l.kept++
	}
	switch {
	case l.tooMany():
	case len(l.at) == len(l.p.stay):
		if l.fits(int(l.class[0]), at, l.at[0]) {
			l.visit()
		}
	default:
		for d := range l.left {
			if l.left[d] > 0 {
				l.after(at, d)
			}
		}
	}
	if stays {
		l.kept--
	}
	l.left[c]++
	l.at, l.class = l.at[:len(l.at)-1], l.class[:len(l.class)-1]
}

// tooMany tells that a ring that begins so takes more moves than are tried,
// where moves come first.
func (l *ringLister) tooMany() bool {
	open := len(l.p.stay) - len(l.at)
	return l.s.byMoves && !l.s.goal.racksFirst() && len(l.p.held)-l.kept-open > l.fewest+smallDetours
}

// after tries the seats of class c that may follow a token.
func (l *ringLister) after(at Position, c int) {
	size := l.p.m.size
	gone := after(l.at[0], at, size)
	if l.judged { // any place up to the ring's end
		for to := at.add(At(1)); to.less(size); to = to.add(At(1)) {
			if l.fits(c, at, to) {
				l.next(to, c)
			}
		}
		return
	}
	rest := size.sub(gone)
	var least, most Position
	for d, n := range l.left {
		least, most = least.add(l.lo[d].times(uint64(n))), most.add(l.hi[d].times(uint64(n)))
	}
	first := int(l.class[0])
	least, most = least.add(l.lo[first]), most.add(l.hi[first])
	if rest.less(least) || most.less(rest) {
		return
	}
	for arc := l.lo[c]; !l.hi[c].less(arc); arc = arc.add(At(1)) {
		to := at.add(arc)
		if l.s.tiny && !to.less(size) || !arc.less(rest) {
			return
		}
		if !to.less(size) {
			to = to.sub(size)
		}
		l.next(to, c)
		if l.visits >= l.most {
			return
		}
	}
}

// fits tells whether a node of class c may own an arc.
func (l *ringLister) fits(c int, left, right Position) bool {
	if l.free {
		return true
	}
	if l.judged { // roughly; the judge is exact
		share := l.p.c.measure(l.p.m, left, right).float()
		total := l.p.c.measure(l.p.m, Position{}, Position{}).float()
		weights := 0.0
		for k := range l.p.stay {
			weights += float64(l.p.weight(k))
		}
		return l.near(share, total*float64(l.s.classes[c].weight)/weights)
	}
	arc := after(left, right, l.p.m.size)
	if arc.isZero() {
		arc = l.p.m.size
	}
	return !arc.less(l.lo[c]) && !l.hi[c].less(arc)
}

func (l *ringLister) near(share, ideal float64) bool {
	tol, _ := l.p.goal.Tolerance.rat().Float64()
	unit := float64(l.p.c.slackUnit(l.p.m))
	return math.Abs(share-ideal) <= max(unit, float64(tol*ideal)+float64(float64(l.p.goal.Slack)*unit))*(1+1e-9)
}

// visit keeps a ring, if it is balanced and new.
func (l *ringLister) visit() {
	if slices.ContainsFunc(l.at, func(p Position) bool { return l.s.blocked[p] }) {
		l.s.collided = true
		return
	}
	x := l.s.shapeOf(l.p, l.at, l.class)
	key := keyOf(x.at) + string(x.class)
	if !l.s.tiny && l.seen[key] {
		return
	}
	if l.judged && !l.balanced(&x) {
		return
	}
	l.seen[key] = true
	l.fewest = min(l.fewest, x.moves)
	if l.s.thin && !l.s.tiny && l.p.m.size.float() > 1<<50 { // the same but for rounding
		turn := keyOf(l.at[:1]) + string(l.class)
		if i, ok := l.alike[turn]; ok {
			if x.moves < l.out[i].moves {
				l.out[i] = x
			}
			return
		}
		l.alike[turn] = len(l.out)
	}
	l.out = append(l.out, x)
}

// shapeOf is a ring of a circle from its first token on.
func (s *small) shapeOf(p *problem, at []Position, class []uint8) shape {
	from := 0
	for i := range at {
		if at[i].less(at[from]) {
			from = i
		}
	}
	x := shape{at: append(slices.Clone(at[from:]), at[:from]...), class: append(slices.Clone(class[from:]), class[:from]...), moves: len(p.held)}
	for i, at := range x.at {
		if s.stays(p, at, x.class[i]) {
			x.moves--
		}
	}
	return x
}

// stays tells whether a node of that class holds the token.
func (s *small) stays(p *problem, at Position, class uint8) bool {
	k, ok := slices.BinarySearchFunc(p.held, at, Position.cmp)
	return ok && s.class[slices.Index(s.node, p.stay[k])] == int(class)
}

// keyOf names tokens.
func keyOf(at []Position) string {
	b := make([]byte, 0, 16*len(at))
	for _, p := range at {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, p.hi), p.lo)
	}
	return string(b)
}

// balanced holds a ring to the judge of plans.
func (l *ringLister) balanced(x *shape) bool {
	m := l.p.m
	var stored []amount
	tokens := make([][]Position, len(m.ring.Nodes))
	l.s.assign(x, func(member, seat int) { tokens[l.s.node[member]] = []Position{x.at[seat]} })
	if l.free {
		stored = make([]amount, len(m.ring.Nodes))
		lay := m.newLayout(l.p.c.domain, tokens)
		var buf []int32
		for _, pl := range m.places {
			if pl.domain != l.p.c.domain && pl.domain != everywhere {
				continue
			}
			t := pl.terms(lay)
			for i, right := range lay.pos {
				w := pl.between(lay.pos[(i+len(lay.pos)-1)%len(lay.pos)], right)
				buf, _ = pl.walk(m, lay, t, i, buf[:0])
				for _, v := range buf {
					stored[v] = stored[v].add(w)
				}
			}
		}
		if !l.roughly(stored) {
			return false
		}
	}
	return l.p.c.judge(m, l.p.goal, tokens, stored).balanced
}

// roughly spares the judge what is far from balanced.
func (l *ringLister) roughly(stored []amount) bool {
	total, weights := 0.0, 0.0
	for k, v := range l.p.stay {
		total += stored[v].float()
		weights += float64(l.p.weight(k))
	}
	for k, v := range l.p.stay {
		if !l.near(stored[v].float(), total*float64(l.p.weight(k))/weights) {
			return false
		}
	}
	return true
}
