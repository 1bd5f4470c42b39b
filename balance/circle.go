package balance

import (
	"math/big"
	"slices"
)

// circle is a set of nodes that balance among themselves: those of a rack where
// every rack holds one replica of everything, else those of a datacenter.
type circle struct {
	mode   string // primary, rack or replicated
	domain int
	rack   int32 // -1: all racks of the domain
	nodes  []int // those that own tokens in the end
}

// circles splits the nodes that alive tells of.
func (m *model) circles(mode string, alive func(node int) bool) []circle {
	var out []circle
	domains := []int{everywhere}
	if len(m.dcs) == 1 || slices.ContainsFunc(m.places, func(p *place) bool { return p.domain != everywhere }) {
		domains = domains[:0]
		for dc := range m.dcs {
			domains = append(domains, dc)
		}
	}
	for _, d := range domains {
		members := map[int32][]int{}
		var all []int
		vnodes := false
		for node := range m.ring.Nodes {
			if m.inDomain(node, d) && alive(node) {
				members[m.rackOf[node]] = append(members[m.rackOf[node]], node)
				all = append(all, node)
				vnodes = vnodes || len(m.ring.Nodes[node].Tokens) > 1
			}
		}
		if len(all) == 0 {
			continue
		}
		how := mode
		if how == ModeAuto {
			how = m.modeOf(d, len(members), vnodes)
		}
		if how != ModeRack {
			out = append(out, circle{how, d, -1, all})
			continue
		}
		for rack := range m.racks {
			if nodes := members[int32(rack)]; len(nodes) > 0 {
				out = append(out, circle{how, d, int32(rack), nodes})
			}
		}
	}
	return out
}

// modeOf is what auto means in a domain: by rack when every keyspace there has
// as many replicas as there are racks, for then a node's arc in its own rack's
// ring is all it stores.
func (m *model) modeOf(domain, racks int, vnodes bool) string {
	perRack, any := racks > 1, false
	for _, p := range m.places {
		if p.domain == domain || p.domain == everywhere {
			any = true
			perRack = perRack && p.rackAware && p.factor == racks
		}
	}
	switch {
	case any && perRack:
		return ModeRack
	case vnodes:
		return ModeReplicated
	}
	return ModePrimary
}

// resolved is the one mode of all circles; auto if they differ.
func resolved(circles []circle) string {
	for _, c := range circles {
		if c.mode != circles[0].mode {
			return ModeAuto
		}
	}
	if len(circles) == 0 {
		return ModeAuto
	}
	return circles[0].mode
}

// measure is what counts as a node's share in a circle: bytes of one replica of
// every keyspace there, or tokens if there is no keyspace.
func (c *circle) measure(m *model, left, right Position) (sum amount) {
	any := false
	for _, p := range m.places {
		if p.domain == c.domain || p.domain == everywhere {
			sum = sum.add(p.between(left, right))
			any = true
		}
	}
	if !any {
		w := after(left, right, m.size)
		if w.isZero() {
			w = m.size
		}
		return spread(w, 1)
	}
	return sum
}

// owned is what each node of the ring owns in the sense of c, and the total.
func (c *circle) owned(m *model, tokens [][]Position, stored []amount) (own map[int]amount, total amount) {
	own = make(map[int]amount, len(c.nodes))
	if c.mode == ModeReplicated {
		for _, v := range c.nodes {
			own[v] = stored[v]
			total = total.add(stored[v])
		}
		return own, total
	}
	type claim struct {
		at   Position
		node int
	}
	var claims []claim
	for _, v := range c.nodes {
		own[v] = amount{}
		for _, p := range tokens[v] {
			claims = append(claims, claim{p, v})
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { return a.at.cmp(b.at) })
	for i, k := range claims {
		w := c.measure(m, claims[(i+len(claims)-1)%len(claims)].at, k.at)
		own[k.node] = own[k.node].add(w)
		total = total.add(w)
	}
	return own, total
}

// slackUnit is what one token of slack is worth.
func (c *circle) slackUnit(m *model) uint64 {
	n := uint64(0)
	for _, p := range m.places {
		if (p.domain == c.domain || p.domain == everywhere) && (c.mode != ModeReplicated || p.factor < len(c.nodes)) {
			for _, s := range p.spaces {
				n += slices.Max(s.density)
			}
		}
	}
	return max(n, 1)
}

// divides tells whether all ideal shares are whole tokens. Then none is given
// away in replicated mode, where a token would count once per keyspace.
func (c *circle) divides(m *model) bool {
	for _, v := range c.nodes {
		if m.ring.Nodes[v].Weight.value() != m.ring.Nodes[c.nodes[0]].Weight.value() {
			return false
		}
	}
	_, rest := m.size.div(uint64(len(c.nodes)))
	return rest == 0 && m.uniform()
}

// judgement is how far a circle is from balance.
type judgement struct {
	deviation map[int]float64 // from the ideal, as part of it
	worst     float64
	worstNode int
	balanced  bool
}

// judge compares what nodes own with their ideal shares, exactly: off by less
// than one token, or by no more than tolerance and slack.
func (c *circle) judge(m *model, g *Goal, tokens [][]Position, stored []amount) judgement {
	own, total := c.owned(m, tokens, stored)
	j := judgement{deviation: make(map[int]float64, len(c.nodes)), balanced: true, worstNode: -1}
	weights := uint64(0)
	for _, v := range c.nodes {
		weights += m.ring.Nodes[v].Weight.value()
	}
	tol := g.Tolerance.rat()
	whole := c.mode == ModeReplicated && c.divides(m)
	unit := new(big.Int).SetUint64(c.slackUnit(m))
	w := new(big.Int).SetUint64(weights)
	token := new(big.Int).Mul(unit, w)
	t := total.big()
	for _, v := range c.nodes {
		weight := new(big.Int).SetUint64(m.ring.Nodes[v].Weight.value())
		ideal := new(big.Int).Mul(t, weight) // times w
		off := new(big.Int).Mul(own[v].big(), w)
		off.Sub(off, ideal)
		if ideal.Sign() > 0 {
			f, _ := new(big.Float).Quo(new(big.Float).SetInt(off), new(big.Float).SetInt(ideal)).Float64()
			j.deviation[v] = f
			if abs(f) > j.worst || j.worstNode < 0 {
				j.worst, j.worstNode = abs(f), v
			}
		}
		off.Abs(off)
		if off.Sign() == 0 || !whole && off.Cmp(token) < 0 {
			continue
		}
		limit := new(big.Int).Mul(ideal, tol.Num())
		extra := new(big.Int).Mul(token, new(big.Int).SetUint64(g.Slack))
		limit.Add(limit, extra.Mul(extra, tol.Denom()))
		if off.Mul(off, tol.Denom()).Cmp(limit) > 0 {
			j.balanced = false
		}
	}
	return j
}

func abs(f float64) float64 { return max(f, -f) }

// rackScore counts the windows of consecutive tokens of a datacenter that
// repeat a rack though there are racks enough: 0 is alternating.
func (m *model) rackScore(r *replay) int {
	score := 0
	for dc := range m.dcs {
		l := r.domains[dc].now
		score += windows(m, l.own, m.window(dc, l.racks))
	}
	return score
}

// window is how many consecutive tokens shall differ in rack.
func (m *model) window(dc, racks int) int {
	rf := 2
	for _, p := range m.places {
		if p.domain == dc || p.domain == everywhere {
			rf = max(rf, p.factor)
		}
	}
	return min(racks, rf)
}

func windows(m *model, own []int32, k int) (score int) {
	if k < 2 {
		return 0
	}
	for i := range own {
		if repeats(m, own, i, k) {
			score++
		}
	}
	return score
}

func repeats(m *model, own []int32, i, k int) bool {
	for a := 1; a < k; a++ {
		for b := range a {
			if m.rackOf[own[(i+a)%len(own)]] == m.rackOf[own[(i+b)%len(own)]] {
				return true
			}
		}
	}
	return false
}
