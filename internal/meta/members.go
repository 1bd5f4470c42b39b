package meta

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/ring"
	"helenus/internal/token"
)

func (s *State) clone() *State {
	c := *s
	return &c
}

func (c Found) apply(s *State) (*State, error) {
	if s.Founded() {
		return nil, fmt.Errorf("meta: cluster %q is founded already", s.ClusterName)
	}
	p, err := token.ByName(c.Partitioner)
	if err != nil {
		return nil, err
	}
	if c.ClusterID == (ClusterID{}) || c.ClusterName == "" {
		return nil, fmt.Errorf("meta: a cluster needs an id and a name")
	}
	n := s.clone()
	n.ClusterID, n.ClusterName, n.Partitioner = c.ClusterID, c.ClusterName, p
	return n, nil
}

func (c Install) apply(s *State) (*State, error) {
	n, changed := s.clone(), false
	for _, ks := range c.Keyspaces {
		if _, err := ring.NewStrategy(ks.Replication.Class, ks.Replication.Options); err != nil {
			return nil, fmt.Errorf("meta: keyspace %s cannot be installed: %w", ks.Name, err)
		}
		if isLocal(ks) {
			return nil, fmt.Errorf("meta: keyspace %s cannot be installed: it is local to each node", ks.Name)
		}
		have := n.Schema.Keyspaces[ks.Name]
		if have == nil {
			n.Schema, changed = n.Schema.With(ks), true
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(ks.Tables)) {
			if have.Tables[name] == nil {
				have, changed = have.WithTable(ks.Tables[name]), true
			}
		}
		n.Schema = n.Schema.With(have)
	}
	if !changed {
		return s, nil
	}
	return n, nil
}

func (c Register) apply(s *State) (*State, error) {
	if err := checkNode(s, &c.Node); err != nil {
		return nil, err
	}
	node := c.Node
	node.Tokens = slices.Clone(node.Tokens)
	slices.SortFunc(node.Tokens, token.Token.Compare)
	n := s.clone()
	n.Nodes = slices.Clone(s.Nodes)
	have := s.Node(node.HostID)
	if have == nil {
		if node.Level < s.Level {
			return nil, fmt.Errorf("meta: node %s has feature level %d and could not read the metadata of this cluster, which is at %d: upgrade it",
				node.HostID, node.Level, s.Level)
		}
		n.Nodes = append(n.Nodes, &node)
		slices.SortFunc(n.Nodes, func(a, b *Node) int { return bytes.Compare(a.HostID[:], b.HostID[:]) })
		if len(s.Nodes) == 0 {
			n.Voters = n.firstVoter()
		}
		return n, nil
	}
	if node.Level < have.Level {
		return nil, fmt.Errorf("meta: node %s had feature level %d and cannot go back to %d: the metadata may hold what that does not read",
			node.HostID, have.Level, node.Level)
	}
	if have.Datacenter != node.Datacenter || have.Rack != node.Rack {
		return nil, fmt.Errorf("meta: node %s is in datacenter %s, rack %s, and cannot become one of %s, %s: its data would be in the wrong place",
			node.HostID, have.Datacenter, have.Rack, node.Datacenter, node.Rack)
	}
	if !slices.Equal(have.Tokens, node.Tokens) {
		return nil, fmt.Errorf("meta: node %s cannot change its %d tokens by registering", node.HostID, len(have.Tokens))
	}
	node.State = have.State
	if sameNode(have, &node) {
		return s, nil
	}
	n.Nodes[slices.Index(s.Nodes, have)] = &node
	return n, nil
}

func sameNode(a, b *Node) bool {
	return a.Broadcast == b.Broadcast && a.Listen == b.Listen && a.Native == b.Native && a.Release == b.Release &&
		a.Level == b.Level
}

func checkNode(s *State, n *Node) error {
	switch {
	case !s.Founded():
		return fmt.Errorf("meta: a node cannot register before the founding")
	case n.HostID == helenus.HostID{} || n.Datacenter == "" || n.Rack == "" || len(n.Tokens) == 0:
		return fmt.Errorf("meta: node %s needs a host id, a datacenter, a rack and tokens", n.HostID)
	case !n.Broadcast.IsValid() || !n.Listen.IsValid() || !n.Native.IsValid():
		return fmt.Errorf("meta: node %s has an address that is none", n.HostID)
	}
	for _, other := range s.Nodes {
		if other.HostID == n.HostID {
			continue
		}
		if other.Broadcast == n.Broadcast {
			return fmt.Errorf("meta: address %s belongs to node %s", n.Broadcast, other.HostID)
		}
		for _, t := range n.Tokens {
			if slices.Contains(other.Tokens, t) {
				return fmt.Errorf("meta: token %s belongs to node %s", s.Partitioner.Format(t), other.HostID)
			}
		}
	}
	return nil
}

// datacenters are those a keyspace may name: where members are.
func (s *State) datacenters() map[string]int {
	dcs := make(map[string]int)
	for _, n := range s.Nodes {
		dcs[string(n.Datacenter)]++
	}
	return dcs
}

// withKeyspace is the State in which a keyspace is replaced or added.
func (s *State) withKeyspace(ks *schema.Keyspace) *State {
	n := s.clone()
	n.Schema = s.Schema.With(ks)
	return n
}
