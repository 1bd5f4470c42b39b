package balance

import (
	"math/big"
	"slices"
)

// problem is one circle to balance: members that hold one token each or come
// in, members that go, and the bounds of an arc.
type problem struct {
	m      *model
	goal   *Goal
	c      circle
	stay   []int      // nodes of the final circle; those with tokens first, in ring order
	held   []Position // tokens of stay[:len(held)]
	leave  []int
	gone   []Position // tokens of leave
	lo, hi Position   // bounds of an arc of weight one, in the coordinates of axis
	axis   axis
	even   bool // all weights are equal
	// exact tells that what happens outside the circle neither costs nor
	// changes costs inside, so that its best plan is part of the whole's best.
	exact bool
	// blocked are tokens that nodes outside the circle hold for good; nil when
	// the circles are planned as if alone.
	blocked map[Position]bool
	places  []*place // as seen from inside the circle
}

// axis maps tokens to a coordinate in which equal steps are equal shares: the
// token itself where data is spread evenly, else the data up to it.
type axis struct {
	size  Position
	m     *model
	c     *circle
	total amount
	plain bool
	cuts  []Position // where densities change, the ring's start first
	sums  []*big.Int // the data up to them
	rates []*big.Int // the data per token behind them
}

// axisBits is how fine a coordinate of data is: below a token on all rings but the
// largest, and twice the axis is still a Position.
const axisBits = 126

func (m *model) newAxis(c *circle) axis {
	a := axis{size: m.size, m: m, c: c, plain: true}
	var spaces []*space
	for _, p := range m.places {
		if p.domain == c.domain || p.domain == everywhere {
			spaces = append(spaces, p.spaces...)
		}
	}
	if !slices.ContainsFunc(spaces, func(s *space) bool { return len(s.cut) > 1 }) {
		return a
	}
	a.total = c.measure(m, Position{}, Position{})
	if a.total.isZero() {
		return a
	}
	a.plain, a.size = false, Position{1 << (axisBits - 64), 0}
	for _, s := range spaces {
		a.cuts = append(a.cuts, s.cut...)
	}
	slices.SortFunc(a.cuts, Position.cmp)
	a.cuts = slices.Compact(a.cuts)
	for _, cut := range a.cuts {
		rate := new(big.Int)
		for _, s := range spaces {
			rate.Add(rate, new(big.Int).SetUint64(s.densityAt(cut)))
		}
		a.sums, a.rates = append(a.sums, a.upTo(cut)), append(a.rates, rate)
	}
	return a
}

// upTo is the data up to a token.
func (a *axis) upTo(p Position) *big.Int {
	if p.isZero() {
		return new(big.Int)
	}
	return a.c.measure(a.m, Position{}, p).big()
}

func (a *axis) of(p Position) Position {
	if a.plain {
		return p
	}
	n := a.upTo(p)
	return positionOf(n.Quo(n.Lsh(n, axisBits), a.total.big()))
}

// back is the last token whose coordinate is not above y.
func (a *axis) back(y Position) Position {
	if a.plain {
		return y
	}
	below := y.add(At(1)).big() // its data is below that of this coordinate
	below.Mul(below, a.total.big()).Sub(below, big.NewInt(1))
	return a.last(below.Rsh(below, axisBits))
}

// last is the last token up to which no more data lies than that.
func (a *axis) last(data *big.Int) Position {
	i, found := slices.BinarySearchFunc(a.sums, data, (*big.Int).Cmp)
	if !found {
		i--
	}
	for i+1 < len(a.sums) && a.sums[i+1].Cmp(data) <= 0 { // nothing lies between such cuts
		i++
	}
	end := a.m.size
	if i+1 < len(a.cuts) {
		end = a.cuts[i+1]
	}
	end = end.sub(At(1))
	if a.rates[i].Sign() == 0 {
		return end
	}
	way := new(big.Int).Sub(data, a.sums[i])
	if way.Quo(way, a.rates[i]); way.Cmp(end.sub(a.cuts[i]).big()) >= 0 {
		return end
	}
	return a.cuts[i].add(positionOf(way))
}

// part is where num/den end of what lies from one token to another; from a token
// to itself that is all. It is exact, where a coordinate may be coarser than a
// token.
func (a *axis) part(from, to Position, num, den uint64) Position {
	if a.plain {
		d := after(from, to, a.size)
		if d.isZero() {
			d = a.size
		}
		return advance(from, d.fraction(num, den), a.size)
	}
	d, total := a.c.measure(a.m, from, to).big(), a.total.big()
	d.Mul(d, new(big.Int).SetUint64(num)).Quo(d, new(big.Int).SetUint64(den))
	if d.Add(d, a.upTo(from)); d.Cmp(total) >= 0 {
		d.Sub(d, total)
	}
	return a.last(d)
}

func (p Position) half() Position { return Position{p.hi >> 1, p.lo>>1 | p.hi<<63} }

func (m *model) newProblem(g *Goal, c circle, leaving []bool) *problem {
	p := &problem{m: m, goal: g, c: c}
	p.axis = m.newAxis(&p.c)
	inside := func(v int) bool {
		return m.inDomain(v, c.domain) && (c.rack < 0 || m.rackOf[v] == c.rack)
	}
	for v := range m.ring.Nodes {
		if leaving[v] && inside(v) {
			p.leave, p.gone = append(p.leave, v), append(p.gone, m.ring.Nodes[v].Tokens[0])
		}
	}
	var joins []int
	for _, v := range c.nodes {
		if len(m.ring.Nodes[v].Tokens) == 0 {
			joins = append(joins, v)
		} else {
			p.stay = append(p.stay, v)
		}
	}
	token := func(v int) Position { return m.ring.Nodes[v].Tokens[0] }
	slices.SortFunc(p.stay, func(a, b int) int { return token(a).cmp(token(b)) })
	for _, v := range p.stay {
		p.held = append(p.held, token(v))
	}
	p.stay = append(p.stay, joins...)
	p.even = true
	for _, v := range p.stay {
		p.even = p.even && m.ring.Nodes[v].Weight.value() == m.ring.Nodes[p.stay[0]].Weight.value()
	}
	p.localPlaces()
	p.lo, p.hi = p.bounds(1, uint64(len(p.stay)))
	return p
}

// localPlaces looks at the placements from inside the circle. A rack that holds
// one replica of everything places it as if the rest were not there.
func (p *problem) localPlaces() {
	p.exact = true
	for _, pl := range p.m.places {
		switch {
		case pl.domain != p.c.domain && pl.domain != everywhere:
			continue
		case p.c.mode == ModeRack:
			p.places = append(p.places, &place{p.c.domain, 1, false, pl.spaces})
			p.exact = p.exact && pl.rackAware && pl.factor == p.m.racksOf(p.c.domain)
		default:
			p.places = append(p.places, &place{p.c.domain, pl.factor, pl.rackAware, pl.spaces})
			p.exact = p.exact && (pl.domain == p.c.domain || len(p.m.dcs) == 1)
		}
	}
	if len(p.places) == 0 { // nothing is stored here: tokens count
		s := &space{cut: []Position{{}}, density: []uint64{1}, cum: []amount{{}}, total: spread(p.m.size, 1)}
		p.places = append(p.places, &place{p.c.domain, 1, false, []*space{s}})
		p.exact = false
	}
}

func (m *model) racksOf(domain int) (n int) {
	for _, dc := range m.rackDC {
		if int(dc) == domain || domain == everywhere {
			n++
		}
	}
	return n
}

// bounds are the smallest and the largest arc that is balanced for num/den of
// the circle.
func (p *problem) bounds(num, den uint64) (lo, hi Position) {
	share := new(big.Rat).SetInt(p.axis.size.big())
	share.Mul(share, new(big.Rat).SetFrac(new(big.Int).SetUint64(num), new(big.Int).SetUint64(den)))
	off := new(big.Rat).Mul(share, p.goal.Tolerance.rat())
	unit := big.NewRat(1, 1)
	if !p.axis.plain { // a token's worth of data, in the axis's steps
		unit.SetFrac(new(big.Int).SetUint64(p.c.slackUnit(p.m)), p.axis.total.big())
		unit.Mul(unit, new(big.Rat).SetInt(p.axis.size.big()))
	}
	off.Add(off, new(big.Rat).Mul(unit, new(big.Rat).SetInt(new(big.Int).SetUint64(p.goal.Slack))))
	floor := func(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }
	low, high := new(big.Rat).Sub(share, off), new(big.Rat).Add(share, off)
	least := new(big.Int).Neg(floor(new(big.Rat).Neg(low)))
	most := floor(high)
	if f := floor(share); least.Cmp(f) > 0 {
		least = f
	}
	if c := new(big.Int).Neg(floor(new(big.Rat).Neg(share))); most.Cmp(c) < 0 {
		most = c
	}
	if least.Sign() < 1 {
		least.SetInt64(1)
	}
	return positionOf(least), positionOf(most)
}

// slots is how many tokens the circle has in the end.
func (p *problem) slots() int { return len(p.stay) }
