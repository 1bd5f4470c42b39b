package coord

import (
	"bytes"
	"slices"

	"helenus"
	"helenus/internal/ring"
)

// contacts are the replicas of a key or range that may be read from, those to
// be asked first in front.
type contacts struct {
	nodes    []*ring.Node
	blockFor int // how many must answer; so many are asked at first
}

// contact chooses whom to ask at a level. The error is one of Unavailable.
func (c *Coordinator) contact(to *contacts, p *ring.Placement, replicas []*ring.Node, cl helenus.Consistency) error {
	local := c.opts.Datacenter
	to.nodes, to.blockFor = to.nodes[:0], ring.BlockFor(cl, p.Strategy, local)
	if err := ring.CheckLive(cl, p.Strategy, local, replicas, to.blockFor, c.alive); err != nil {
		return err
	}
	for _, n := range replicas {
		if c.alive(n) && (!cl.IsLocal() || n.Datacenter == local) {
			to.nodes = append(to.nodes, n)
		}
	}
	c.nearest(to.nodes)
	if network, ok := p.Strategy.(*ring.Network); ok && cl == helenus.EachQuorum {
		to.nodes = quorumOfEach(to.nodes, network)
	}
	return nil
}

// nearest sorts nodes so that those to be asked first come first.
func (c *Coordinator) nearest(nodes []*ring.Node) {
	if len(nodes) < 2 {
		return
	}
	if c.opts.Proximity != nil {
		c.opts.Proximity.Sort(nodes)
		return
	}
	self, local := c.opts.Self, c.opts.Datacenter
	slices.SortFunc(nodes, func(a, b *ring.Node) int {
		for _, better := range [...][2]bool{{a.HostID == self, b.HostID == self}, {a.Datacenter == local, b.Datacenter == local}} {
			if better[0] != better[1] {
				if better[0] {
					return -1
				}
				return 1
			}
		}
		return bytes.Compare(a.HostID[:], b.HostID[:])
	})
}

// contains tells whether a node is one of these.
func contains(nodes []*ring.Node, id helenus.HostID) bool {
	for _, n := range nodes {
		if n.HostID == id {
			return true
		}
	}
	return false
}

// quorumOfEach keeps the first nodes of each datacenter, a majority of its
// replicas: all of them must answer.
func quorumOfEach(nodes []*ring.Node, s *ring.Network) []*ring.Node {
	kept := nodes[:0]
	for _, n := range nodes {
		have := 0
		for _, k := range kept {
			if k.Datacenter == n.Datacenter {
				have++
			}
		}
		if have < s.FactorIn(n.Datacenter)/2+1 {
			kept = append(kept, n)
		}
	}
	return kept
}

// intersect puts into to those of both a and b that may answer together at a
// level what either may alone; false when there are too few, or when it would
// take one from another datacenter where neither does.
func (c *Coordinator) intersect(to, a, b *contacts, p *ring.Placement, cl helenus.Consistency) bool {
	to.nodes, to.blockFor = to.nodes[:0], a.blockFor
	for _, n := range a.nodes {
		if slices.Contains(b.nodes, n) {
			to.nodes = append(to.nodes, n)
		}
	}
	if ring.CheckLive(cl, p.Strategy, c.opts.Datacenter, to.nodes, to.blockFor, c.alive) != nil {
		return false
	}
	return !c.reachesOut(to) || c.reachesOut(a) || c.reachesOut(b)
}

// reachesOut tells whether those asked first include a node of another
// datacenter.
func (c *Coordinator) reachesOut(who *contacts) bool {
	for _, n := range who.nodes[:min(who.blockFor, len(who.nodes))] {
		if n.Datacenter != c.opts.Datacenter {
			return true
		}
	}
	return false
}

// onlyHere tells whether the only one asked is this node.
func (c *Coordinator) onlyHere(who *contacts) bool {
	return who.blockFor == 1 && len(who.nodes) > 0 && who.nodes[0].HostID == c.opts.Self
}
