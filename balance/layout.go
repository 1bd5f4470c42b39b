package balance

import (
	"slices"
	"sort"
)

// layout is the tokens of one domain in ring order with their owners.
type layout struct {
	pos    []Position
	own    []int32
	held   []int32 // tokens by node
	inRack []int32 // nodes with tokens by rack
	nodes  int
	racks  int
}

func (m *model) newLayout(domain int, tokens [][]Position) *layout {
	l := &layout{held: make([]int32, len(tokens)), inRack: make([]int32, len(m.racks))}
	type claim struct {
		at  Position
		own int32
	}
	count := 0
	for node, at := range tokens {
		if m.inDomain(node, domain) {
			count += len(at)
		}
	}
	claims := make([]claim, 0, count)
	for node, at := range tokens {
		if !m.inDomain(node, domain) {
			continue
		}
		for _, p := range at {
			claims = append(claims, claim{p, int32(node)})
		}
		l.count(m, node, int32(len(at)))
	}
	slices.SortFunc(claims, func(a, b claim) int { return a.at.cmp(b.at) })
	l.pos, l.own = make([]Position, len(claims)), make([]int32, len(claims))
	for i, c := range claims {
		l.pos[i], l.own[i] = c.at, c.own
	}
	return l
}

func (l *layout) clone() *layout {
	c := *l
	c.pos, c.own = slices.Clone(l.pos), slices.Clone(l.own)
	c.held, c.inRack = slices.Clone(l.held), slices.Clone(l.inRack)
	return &c
}

// count adds tokens to a node's number, and keeps those of nodes and racks.
func (l *layout) count(m *model, node int, tokens int32) {
	was := l.held[node]
	l.held[node] += tokens
	rack := m.rackOf[node]
	switch {
	case was == 0 && tokens > 0:
		l.nodes++
		if l.inRack[rack]++; l.inRack[rack] == 1 {
			l.racks++
		}
	case was > 0 && l.held[node] == 0:
		l.nodes--
		if l.inRack[rack]--; l.inRack[rack] == 0 {
			l.racks--
		}
	}
}

// index is where p stands or would stand.
func (l *layout) index(p Position) (int, bool) {
	i := sort.Search(len(l.pos), func(i int) bool { return !l.pos[i].less(p) })
	return i, i < len(l.pos) && l.pos[i] == p
}

// holder is the index of the token whose arc holds p.
func (l *layout) holder(p Position) int {
	if i, _ := l.index(p); i < len(l.pos) {
		return i
	}
	return 0
}

func (l *layout) insert(m *model, p Position, node int) {
	i, _ := l.index(p)
	l.pos, l.own = slices.Insert(l.pos, i, p), slices.Insert(l.own, i, int32(node))
	l.count(m, node, 1)
}

func (l *layout) remove(m *model, p Position) {
	if i, ok := l.index(p); ok {
		node := l.own[i]
		l.pos, l.own = slices.Delete(l.pos, i, i+1), slices.Delete(l.own, i, i+1)
		l.count(m, int(node), -1)
	}
}

// terms are what a placement takes from the numbers of nodes and racks; while
// they stay, a change of tokens is felt only near those tokens.
type terms struct{ want, repeats int }

func (p *place) terms(l *layout) terms {
	t := terms{want: min(p.factor, l.nodes)}
	if p.rackAware {
		// The configured factor, not the nodes there are, as Cassandra counts.
		t.repeats = p.factor - l.racks
	}
	return t
}

// walk appends the replicas of the arc that ends at token i, primary first, and
// tells how many tokens it looked at.
func (p *place) walk(m *model, l *layout, t terms, i int, dst []int32) (replicas []int32, seen int) {
	for seen < len(l.own) && len(dst) < t.want {
		own := l.own[i]
		if i++; i == len(l.own) {
			i = 0
		}
		seen++
		if slices.Contains(dst, own) {
			continue
		}
		if p.rackAware && l.racks > 1 {
			used := false
			for _, r := range dst {
				if m.rackOf[r] == m.rackOf[own] {
					used = true
					break
				}
			}
			if used {
				if t.repeats <= 0 {
					continue
				}
				t.repeats--
			}
		}
		dst = append(dst, own)
	}
	return dst, seen
}

// change is one arc whose replicas differ before and after a step.
type change struct {
	place         *place
	left, right   Position
	before, after []int32 // reused after visit returns
}

// differ finds the arcs that change from one layout to the next, and reuses its
// buffers.
type differ struct {
	m             *model
	before, after []int32
	ends          []Position
}

// diff visits the arcs of place p whose replicas differ between layouts b and a
// of its domain, given the positions that left b and came into a. A walk that
// does not reach a changed token is the same in both layouts, and how far walks
// reach is monotone along the ring, so that only arcs before a changed token
// and within reach of it are looked at.
func (d *differ) diff(p *place, b, a *layout, gone, came []Position, visit func(change)) {
	tb, ta := p.terms(b), p.terms(a)
	d.ends = d.ends[:0]
	if tb != ta || len(b.pos) == 0 || len(a.pos) == 0 {
		d.ends = append(append(d.ends, b.pos...), a.pos...)
	} else {
		for _, g := range gone {
			d.reach(p, b, a, tb, g)
		}
		for _, c := range came {
			d.reach(p, a, b, ta, c)
		}
	}
	slices.SortFunc(d.ends, Position.cmp)
	d.ends = slices.Compact(d.ends)
	for _, right := range d.ends {
		c := change{place: p, right: right, left: d.m.leftOf(b, a, right)}
		if len(b.pos) > 0 {
			d.before, _ = p.walk(d.m, b, tb, b.holder(right), d.before[:0])
		} else {
			d.before = d.before[:0]
		}
		if len(a.pos) > 0 {
			d.after, _ = p.walk(d.m, a, ta, a.holder(right), d.after[:0])
		} else {
			d.after = d.after[:0]
		}
		c.before, c.after = d.before, d.after
		if !slices.Equal(c.before, c.after) {
			visit(c)
		}
	}
}

// reach collects the arcs whose walk in l meets the token at, cut also at the
// tokens of the other layout.
func (d *differ) reach(p *place, l, other *layout, t terms, at Position) {
	i, ok := l.index(at)
	if !ok {
		return
	}
	first := 0 // tokens before i whose walk gets to i
	for first < len(l.pos)-1 {
		j := i - first - 1
		if j < 0 {
			j += len(l.pos)
		}
		var seen int
		d.before, seen = p.walk(d.m, l, t, j, d.before[:0])
		if seen <= first+1 {
			break
		}
		first++
	}
	for k := 0; k <= first; k++ {
		d.ends = append(d.ends, l.pos[(i-k+len(l.pos))%len(l.pos)])
	}
	left := l.pos[(i-first-1+2*len(l.pos))%len(l.pos)]
	span := after(left, at, d.m.size)
	if first == len(l.pos)-1 {
		span = d.m.size // left is at itself
	}
	k, ok := other.index(at)
	if !ok {
		k--
	}
	for n := 0; n < len(other.pos); n++ {
		q := other.pos[(k-n+2*len(other.pos))%len(other.pos)]
		if q == left && span != d.m.size || q != left && !after(left, q, d.m.size).less(span) && q != at {
			break
		}
		d.ends = append(d.ends, q)
	}
}

// leftOf is the nearest token of either layout before right.
func (m *model) leftOf(b, a *layout, right Position) Position {
	best, have := right, false
	for _, l := range []*layout{b, a} {
		if len(l.pos) == 0 {
			continue
		}
		i, _ := l.index(right)
		q := l.pos[(i-1+len(l.pos))%len(l.pos)]
		if q == right {
			continue // its only token
		}
		if !have || after(q, right, m.size).less(after(best, right, m.size)) {
			best, have = q, true
		}
	}
	return best
}
