// Package ring knows which nodes hold a key: the topology of a cluster, the
// replication strategies, and how many replicas a consistency level needs.
//
// Nouns: Node (a member with its place and tokens), Topology (all members of
// one epoch), Strategy (how a keyspace spreads replicas), Placement (a strategy
// laid out on a topology: the replicas of every token).
//
// meta builds Topologies and Placements, coord and query ask them. All values
// are immutable. It never does I/O, never asks for the time, and does not know
// who is alive: that is handed in.
package ring

import (
	"bytes"
	"slices"
	"sort"

	"helenus"
	"helenus/internal/token"
)

// NodeState is where a member is in its life.
type NodeState uint8

// The states of a member. Only Joining ones hold no ranges yet.
const (
	Normal NodeState = iota
	Joining
	Leaving
	Moving
)

// String is the word that nodetool prints.
func (s NodeState) String() string {
	return [...]string{"Normal", "Joining", "Leaving", "Moving"}[s]
}

// Node is one member of the cluster.
type Node struct {
	HostID     helenus.HostID
	Endpoint   helenus.Endpoint // where other nodes reach it
	Datacenter helenus.Datacenter
	Rack       helenus.Rack
	Tokens     []token.Token // sorted
	State      NodeState
}

// Topology is all members of one epoch.
type Topology struct {
	nodes  []*Node // by HostID
	tokens []token.Token
	owners []*Node // parallel to tokens
	dcs    map[helenus.Datacenter]*datacenter
}

// datacenter counts what owns tokens; NetworkTopologyStrategy needs it.
type datacenter struct {
	nodes int
	racks map[helenus.Rack]bool
}

// NewTopology makes a Topology. When two nodes claim one token, the node of the
// lower host id has it, so that all agree; meta refuses such a change before.
func NewTopology(nodes []Node) *Topology {
	t := &Topology{dcs: make(map[helenus.Datacenter]*datacenter)}
	for _, n := range nodes {
		n.Tokens = slices.Clone(n.Tokens)
		slices.SortFunc(n.Tokens, token.Token.Compare)
		t.nodes = append(t.nodes, &n)
	}
	slices.SortFunc(t.nodes, func(a, b *Node) int { return bytes.Compare(a.HostID[:], b.HostID[:]) })
	type claim struct {
		token token.Token
		node  *Node
	}
	var claims []claim
	for _, n := range t.nodes {
		if n.State == Joining || len(n.Tokens) == 0 {
			continue
		}
		dc := t.dcs[n.Datacenter]
		if dc == nil {
			dc = &datacenter{racks: make(map[helenus.Rack]bool)}
			t.dcs[n.Datacenter] = dc
		}
		dc.nodes++
		dc.racks[n.Rack] = true
		for _, tok := range n.Tokens {
			claims = append(claims, claim{tok, n})
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return a.token.Compare(b.token) })
	for i, c := range claims {
		if i > 0 && claims[i-1].token == c.token {
			continue
		}
		t.tokens, t.owners = append(t.tokens, c.token), append(t.owners, c.node)
	}
	return t
}

// Nodes returns all members, ordered by host id. The slice is shared.
func (t *Topology) Nodes() []*Node { return t.nodes }

// Node finds a member; nil when there is none.
func (t *Topology) Node(id helenus.HostID) *Node {
	i, ok := slices.BinarySearchFunc(t.nodes, id, func(n *Node, id helenus.HostID) int {
		return bytes.Compare(n.HostID[:], id[:])
	})
	if !ok {
		return nil
	}
	return t.nodes[i]
}

// Tokens returns all tokens in ring order. The slice is shared.
func (t *Topology) Tokens() []token.Token { return t.tokens }

// Owner returns the node that owns the i-th of Tokens.
func (t *Topology) Owner(i int) *Node { return t.owners[i] }

// Datacenters returns the datacenters that own tokens, sorted.
func (t *Topology) Datacenters() []helenus.Datacenter {
	dcs := make([]helenus.Datacenter, 0, len(t.dcs))
	for dc := range t.dcs {
		dcs = append(dcs, dc)
	}
	slices.Sort(dcs)
	return dcs
}

// Size counts the token-owning nodes of a datacenter.
func (t *Topology) Size(dc helenus.Datacenter) int {
	if d := t.dcs[dc]; d != nil {
		return d.nodes
	}
	return 0
}

// search returns the index of the first token at or after tok, wrapping. There
// must be a token.
func (t *Topology) search(tok token.Token) int {
	i := sort.Search(len(t.tokens), func(i int) bool { return !t.tokens[i].Less(tok) })
	if i == len(t.tokens) {
		return 0
	}
	return i
}
