package ring

import (
	"slices"

	"helenus/internal/token"
)

// becoming is the topology once those who join have joined and those who leave
// have left; nil when nobody does.
func (t *Topology) becoming() *Topology {
	var nodes []Node
	changes := false
	for _, n := range t.nodes {
		node := *n
		if n.State == Joining {
			node.State = Normal
		}
		if n.State != Leaving {
			nodes = append(nodes, node)
		}
		changes = changes || n.State == Joining || n.State == Leaving
	}
	if !changes {
		return nil
	}
	return NewTopology(nodes)
}

// Pending returns the nodes that are about to become replicas of a token: a
// write goes to them too, and BlockForWrite counts them.
func (p *Placement) Pending(tok token.Token) []*Node {
	if p.becoming == nil {
		return nil
	}
	natural := p.Replicas(tok)
	var pending []*Node
	for _, n := range p.becoming.Replicas(tok) {
		if !slices.ContainsFunc(natural, func(have *Node) bool { return have.HostID == n.HostID }) {
			pending = append(pending, p.Topology.Node(n.HostID))
		}
	}
	return pending
}
