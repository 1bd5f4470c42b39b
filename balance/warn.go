package balance

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// warnings are what a reader should know of a ring and what is asked of it;
// stays tells who is in it at the end.
func (m *model) warnings(g *Goal, stays func(node int) bool) (out []string) {
	r := m.ring
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.assumed {
		warn("no keyspace is given: one replica in every datacenter is assumed, and a byte per token")
	}
	warnDisks(g, r, warn)
	m.warnMembers(g, r, stays, warn)
	nodes := make([]int, len(m.dcs))
	rackNodes := make([]int, len(m.racks))
	total := 0
	for v := range m.ring.Nodes {
		if stays(v) {
			nodes[m.dcOf[v]]++
			rackNodes[m.rackOf[v]]++
			total++
		}
	}
	for _, k := range r.Keyspaces {
		for _, dc := range slices.Sorted(maps.Keys(k.DCs)) {
			if !slices.Contains(m.dcs, dc) && k.DCs[dc] > 0 {
				warn("keyspace %s wants %d replicas in datacenter %s, which has no node", k.Name, k.DCs[dc], dc)
			}
		}
	}
	for _, p := range m.places {
		count, where := total, "the cluster"
		if p.domain != everywhere {
			count, where = nodes[p.domain], "datacenter "+m.dcs[p.domain]
		}
		if p.factor > count {
			warn("RF above nodes: keyspace %s wants %d replicas in %s, which has %d nodes", p.spaces[0].name, p.factor, where, count)
		}
		switch {
		case p.domain != everywhere:
			m.warnRacks(g, p, rackNodes, count, warn)
		case g.Mode == ModeRack && len(m.racks) > 1:
			warn("mode rack balances arcs within racks, and SimpleStrategy, of keyspace %s, does not look at racks: what nodes store may differ", p.spaces[0].name)
		}
		m.warnHot(p, max(1, count), warn)
	}
	return out
}

// warnDisks tells that disks are not checked where somebody may think they are.
func warnDisks(g *Goal, r *Ring, warn func(string, ...any)) {
	free := slices.ContainsFunc(r.Nodes, func(n Node) bool { return n.DiskFree != nil })
	switch {
	case free && !r.Measured():
		warn("how many bytes there are is not known: that the disks can hold them is not checked")
	case !free && g.Headroom != "":
		warn("how much disk is free is not known on any node: headroom has no effect")
	}
}

// warnMembers looks at nodes that are left out, and at joins to places that
// nobody is in.
func (m *model) warnMembers(g *Goal, r *Ring, stays func(node int) bool, warn func(string, ...any)) {
	for _, j := range g.Join {
		same := func(n Node) bool { return n.DC == j.DC && n.ID != j.ID }
		switch {
		case !slices.ContainsFunc(r.Nodes, same):
			warn("datacenter %q, which %s joins, has no other node", j.DC, j.ID)
		case !slices.ContainsFunc(r.Nodes, func(n Node) bool { return same(n) && n.Rack == j.Rack }):
			warn("rack %q of datacenter %q, which %s joins, has no other node", j.Rack, j.DC, j.ID)
		}
	}
	for v := range r.Nodes {
		n := &r.Nodes[v]
		if len(n.Tokens) == 0 && !stays(v) {
			warn("%s has no token and does not join: it is left out", n.ID)
		}
	}
}

// warnRacks looks at racks that cannot share alike, and at a mode that does not
// balance what is stored.
func (m *model) warnRacks(g *Goal, p *place, rackNodes []int, nodes int, warn func(string, ...any)) {
	var racks []int
	for rack, dc := range m.rackDC {
		if int(dc) == p.domain && rackNodes[rack] > 0 {
			racks = append(racks, rack)
		}
	}
	if g.Mode == ModeRack && len(racks) != p.factor {
		warn("mode rack balances arcs within racks, and keyspace %s has %d replicas for %d racks of datacenter %s: what nodes store may differ",
			p.spaces[0].name, p.factor, len(racks), m.dcs[p.domain])
	}
	if p.factor < len(racks) || len(racks) < 2 || nodes == len(racks) {
		return
	}
	for _, rack := range racks {
		if rackNodes[rack] == 1 {
			warn("rack %s holds 1 of %d nodes: its node must hold 100 %% of the data of keyspace %s", m.racks[rack], nodes, p.spaces[0].name)
		}
	}
}

// warnHot looks for tokens that weigh more than a node's share: nothing divides
// them.
func (m *model) warnHot(p *place, nodes int, warn func(string, ...any)) {
	for _, s := range p.spaces {
		share := new(big.Int).Quo(s.total.big(), big.NewInt(int64(nodes)))
		at := slices.Index(s.density, slices.Max(s.density))
		if len(s.cut) > 1 && new(big.Int).SetUint64(s.density[at]).Cmp(share) > 0 {
			token := advance(s.cut[at], At(1), m.size)
			warn("a partition of keyspace %s at token %s holds %s bytes, more than the ideal share of a node, %s: no ring divides it",
				s.name, m.ring.FormatToken(token), show(new(big.Int).SetUint64(s.density[at]), m.scale), show(share, m.scale))
		}
	}
}
