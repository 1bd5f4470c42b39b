package balance

import (
	"fmt"
	"slices"
)

// Apply returns the ring as it is after one step of a plan with that goal.
func Apply(r *Ring, g *Goal, s *Step) (*Ring, error) {
	members := r.Clone()
	for _, j := range g.Join {
		if members.node(j.ID) < 0 && j.ID == s.Node {
			members.Nodes = append(members.Nodes, Node{ID: j.ID, DC: j.DC, Rack: j.Rack, Weight: WeightOne})
		}
	}
	m := &model{ring: members, byID: map[string]int{s.Node: members.node(s.Node)}}
	if m.byID[s.Node] < 0 {
		return nil, fmt.Errorf("balance: step %d: unknown node %s", s.N, s.Node)
	}
	a, err := m.act(s)
	if err != nil {
		return nil, fmt.Errorf("balance: step %d: %w", s.N, err)
	}
	n := &members.Nodes[a.node]
	if a.op == opLeave {
		members.Nodes = slices.Delete(members.Nodes, a.node, a.node+1)
		return members, nil
	}
	for _, gone := range a.gone {
		at := slices.Index(n.Tokens, gone)
		if at < 0 {
			return nil, fmt.Errorf("balance: step %d: %s does not hold token %s", s.N, n.ID, members.FormatToken(gone))
		}
		n.Tokens = slices.Delete(n.Tokens, at, at+1)
	}
	n.Tokens = append(n.Tokens, a.came...)
	return members, nil
}
