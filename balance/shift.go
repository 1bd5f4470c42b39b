package balance

import (
	"math"
	"slices"
)

// shifter balances nodes of many tokens by shifting single tokens between their
// neighbours. While no token passes another, the replicas of every arc stay who
// they are, so that what a shift takes and gives is linear in its length, and a
// token is streamed once per byte that changes hands.
type shifter struct {
	m      *model
	at     []Position // tokens of the domain in ring order, as shifted
	start  []Position
	own    []int32
	effect [][]share  // by token: what a step forward does, per token of the ring
	held   []float64  // bytes by node
	lo, hi []float64  // band by node
	margin []float64  // by which the band is narrower than the goal's, for rounding
	least  []Position // what a token keeps between itself and the one before
}

// share is what a node gains per token that a shift goes forward.
type share struct {
	node int32
	rate float64
}

// newShifter is for one domain; what a node holds and may hold is in bytes of
// places.
func (m *model) newShifter(domain int, places []*place, tokens [][]Position) *shifter {
	l := m.newLayout(domain, tokens)
	s := &shifter{m: m, at: slices.Clone(l.pos), start: slices.Clone(l.pos), own: l.own, margin: make([]float64, len(tokens)),
		held: make([]float64, len(tokens)), lo: make([]float64, len(tokens)), hi: make([]float64, len(tokens))}
	s.effect = make([][]share, len(l.pos))
	for _, p := range places {
		t := p.terms(l)
		var here, next []int32
		for i := range l.pos {
			left := l.pos[(i+len(l.pos)-1)%len(l.pos)]
			here, _ = p.walk(m, l, t, i, here[:0])
			next, _ = p.walk(m, l, t, (i+1)%len(l.pos), next[:0])
			w := p.between(left, l.pos[i]).float()
			rate := p.densityAt(l.pos[i])
			for _, v := range here {
				s.held[v] += w
				if !contains(next, v) {
					s.add(i, v, rate)
				}
			}
			for _, v := range next {
				if !contains(here, v) {
					s.add(i, v, -rate)
				}
			}
		}
	}
	usual, _ := m.size.div(uint64(arcShare * max(1, len(l.pos))))
	for i := range l.pos {
		arc := after(l.pos[(i+len(l.pos)-1)%len(l.pos)], l.pos[i], m.size).sub(At(1))
		if usual.less(arc) {
			arc = usual
		}
		s.least = append(s.least, arc)
	}
	return s
}

func (s *shifter) add(i int, v int32, rate float64) {
	for k := range s.effect[i] {
		if s.effect[i][k].node == v {
			s.effect[i][k].rate += rate
			return
		}
	}
	s.effect[i] = append(s.effect[i], share{v, rate})
}

// densityAt is the bytes per token just after p.
func (p *place) densityAt(at Position) (sum float64) {
	for _, s := range p.spaces {
		sum += float64(s.densityAt(at))
	}
	return sum
}

// arcShare is the part of the usual arc that shifts leave: a ring of tokens side
// by side cannot be balanced any more.
const arcShare = 8

// room is how far token i can go forward or back.
func (s *shifter) room(i int, forward bool) float64 {
	n := len(s.at)
	if n < 2 {
		return 0
	}
	left, right := (i+n-1)%n, i
	if forward {
		left, right = i, (i+1)%n
	}
	d := after(s.at[left], s.at[right], s.m.size)
	if !s.least[right].less(d) {
		return 0
	}
	return max(0, float64(d.sub(s.least[right]).float()*(1-1e-9))-1)
}

// gain is what shifting token i so far in a direction is worth: the way, by how
// much less the nodes are out of their bands, and what is streamed.
func (s *shifter) gain(i int, forward bool) (way, worth, bytes float64) {
	sign := 1.0
	if !forward {
		sign = -1
	}
	limit, want := s.room(i, forward), 0.0
	for _, e := range s.effect[i] {
		rate := e.rate * sign
		switch held := s.held[e.node]; {
		case rate == 0:
		case rate > 0:
			if held >= s.hi[e.node] {
				return 0, 0, 0
			}
			limit = min(limit, (s.hi[e.node]-held)/rate)
			if held < s.lo[e.node] {
				want = max(want, (s.lo[e.node]-held)/rate)
			}
		default:
			if held <= s.lo[e.node] {
				return 0, 0, 0
			}
			limit = min(limit, (held-s.lo[e.node])/-rate)
			if held > s.hi[e.node] {
				want = max(want, (held-s.hi[e.node])/-rate)
			}
		}
	}
	way = min(limit, want)
	if way <= 0 {
		return 0, 0, 0
	}
	for _, e := range s.effect[i] {
		change := float64(e.rate * sign * way)
		worth += s.outside(e.node, s.held[e.node]) - s.outside(e.node, s.held[e.node]+change)
		bytes += max(0, change)
	}
	return way, worth, bytes
}

func (s *shifter) outside(v int32, held float64) float64 {
	return max(0, held-s.hi[v], s.lo[v]-held)
}

// apply shifts token i.
func (s *shifter) apply(i int, forward bool, way float64) {
	d := positionOfFloat(way)
	sign := 1.0
	if forward {
		s.at[i] = advance(s.at[i], d, s.m.size)
	} else {
		s.at[i], sign = retreat(s.at[i], d, s.m.size), -1
	}
	for _, e := range s.effect[i] {
		s.held[e.node] += float64(e.rate * sign * d.float())
	}
}

// shiftsMax bounds the search per token.
const shiftsMax = 4

// run shifts tokens until all nodes are in their bands, first those shifts that
// help at both ends per byte, of those the ones that help most. It tells whether
// all are.
func (s *shifter) run() bool {
	for range shiftsMax * len(s.at) {
		best, forward, way := -1, false, 0.0
		top, most := 0.0, 0.0
		for i := range s.at {
			for _, f := range []bool{true, false} {
				w, worth, bytes := s.gain(i, f)
				if worth <= 0 || bytes <= 0 {
					continue
				}
				per := math.Round(worth / bytes * 4) // 8: helps both ends
				if per > top || per == top && worth > most {
					best, forward, way, top, most = i, f, w, per, worth
				}
			}
		}
		if best < 0 || way < 1 {
			if s.content() {
				return true
			}
			if !s.detour() {
				return false
			}
			continue
		}
		s.apply(best, forward, way)
	}
	return s.content()
}

func (s *shifter) content() bool {
	for _, v := range s.own {
		if s.outside(v, s.held[v]) > 0 {
			return false
		}
	}
	return true
}

// detour passes data on from a node outside its band through others that have
// no room themselves: the shortest way by breadth.
func (s *shifter) detour() bool {
	worst := int32(-1)
	for _, v := range s.own {
		if worst < 0 || s.outside(v, s.held[v]) > s.outside(worst, s.held[worst]) {
			worst = v
		}
	}
	if worst < 0 || s.outside(worst, s.held[worst]) <= 0 {
		return false
	}
	giving := s.held[worst] > s.hi[worst]
	type hop struct {
		from    int32
		token   int
		forward bool
		amount  float64
	}
	seen := map[int32]hop{worst: {from: -1}}
	queue := []int32{worst}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		room := s.held[v] - s.lo[v]
		if giving {
			room = s.hi[v] - s.held[v]
		}
		if v != worst && room > 0 {
			amount := min(room, s.outside(worst, s.held[worst]))
			for u := v; u != worst; u = seen[u].from {
				amount = min(amount, seen[u].amount)
			}
			if amount <= 0 {
				return false
			}
			for u := v; u != worst; u = seen[u].from {
				h := seen[u]
				s.apply(h.token, h.forward, amount/s.rate(h.token))
			}
			return true
		}
		for i := range s.at {
			if len(s.effect[i]) != 2 {
				continue
			}
			a, b := s.effect[i][0], s.effect[i][1]
			if b.node == v {
				a, b = b, a
			}
			if a.node != v {
				continue
			}
			if _, ok := seen[b.node]; ok {
				continue
			}
			forward := (a.rate < 0) == giving
			if way := s.room(i, forward) / 4; way > 1 {
				seen[b.node] = hop{v, i, forward, way * s.rate(i)}
				queue = append(queue, b.node)
			}
		}
	}
	return false
}

// rate is what shifting token i moves per token of the ring.
func (s *shifter) rate(i int) (r float64) {
	for _, e := range s.effect[i] {
		r = max(r, abs(e.rate))
	}
	return r
}

// acts are the shifts as moves of single tokens, each after the one it would
// pass.
func (s *shifter) acts() []act {
	n := len(s.at)
	var out []act
	done := make([]bool, n)
	var visit func(i int)
	visit = func(i int) {
		if done[i] || s.at[i] == s.start[i] {
			return
		}
		done[i] = true
		ahead, back := (i+1)%n, (i+n-1)%n
		way := after(s.start[i], s.at[i], s.m.size)
		if after(s.start[i], s.start[ahead], s.m.size).less(way) && way.less(s.m.size.half()) {
			visit(ahead)
		}
		if wayBack := after(s.at[i], s.start[i], s.m.size); after(s.start[back], s.start[i], s.m.size).less(wayBack) && wayBack.less(s.m.size.half()) {
			visit(back)
		}
		out = append(out, act{op: opMoveToken, node: int(s.own[i]), gone: []Position{s.start[i]}, came: []Position{s.at[i]}})
	}
	for i := range n {
		visit(i)
	}
	return out
}

// retreat is p moved back by d < size.
func retreat(p, d, size Position) Position {
	if p.less(d) {
		p = p.add(size)
	}
	return p.sub(d)
}
