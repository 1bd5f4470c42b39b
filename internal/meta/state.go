// Package meta is the metadata that a whole cluster agrees on: its schema and
// its members, and every way in which they may change.
//
// Nouns: State (everything, at one epoch), Change (one step, as decided and
// logged), Apply (the pure function that takes a State one step further), Event
// (what a step means to clients), Node (a member).
//
// agent/cluster decides and stores Changes and publishes States; everybody else
// reads a State and keeps it for the length of one request. It never does I/O
// and never asks for the time or for chance: ids and times stand in the Change,
// so that every node that applies it gets the same State.
package meta

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// Epoch counts changes from the founding of the cluster, which is epoch 1. Its
// upper bits count how often the metadata was recovered from one node's copy, so
// that a recovered history goes before whatever the lost voters had decided.
type Epoch uint64

const incarnationShift = 40

// Incarnation is how often the metadata was recovered.
func (e Epoch) Incarnation() uint64 { return uint64(e) >> incarnationShift }

func (e Epoch) nextIncarnation() Epoch { return Epoch((e.Incarnation() + 1) << incarnationShift) }

// Level is a feature level: what all members of a cluster can read.
type Level uint32

// CurrentLevel is the highest level this build knows; VotersLevel is the first
// that has several voters, SchemaLevel the first that has SchemaEpoch.
const (
	CurrentLevel Level = 3
	VotersLevel  Level = 2
	SchemaLevel  Level = 3
)

// ClusterID tells clusters of the same name apart.
type ClusterID [16]byte

// GroupID tells sets of voters apart.
type GroupID [16]byte

// Node is a member as the metadata keeps it.
type Node struct {
	HostID     helenus.HostID
	Broadcast  helenus.Endpoint // internode, as others reach it
	Listen     helenus.Endpoint // internode, as it binds
	Native     helenus.Endpoint // CQL, as clients reach it
	Datacenter helenus.Datacenter
	Rack       helenus.Rack
	Tokens     []token.Token // sorted
	Release    string
	Level      Level
	State      ring.NodeState
}

// State is everything the cluster agrees on. It is immutable: what it points to
// is never changed after Apply or a decoder made it.
type State struct {
	Epoch       Epoch
	ClusterID   ClusterID
	ClusterName string
	Partitioner token.Partitioner
	// Schema holds all keyspaces, also the local ones that are part of the
	// program (see New) and are not stored.
	Schema *schema.Schema
	// SchemaEpoch is the epoch of the last change of the schema, or of the one that
	// brought SchemaLevel; zero below that level.
	SchemaEpoch Epoch
	Nodes       []*Node // by HostID
	Level       Level   // the lowest of all members
	// Voters decide on the next change: one alone, three or five by majority. They
	// are sorted. Group names this very set of voters and is never used again; it
	// is zero while the first member decides alone.
	Voters   []helenus.HostID
	Group    GroupID
	Topology *ring.Topology

	placements map[string]*ring.Placement
}

// New is the State before the founding: epoch 0, no members, only the local
// keyspaces that every node brings along.
func New(local []*schema.Keyspace) *State {
	all := make(map[string]*schema.Keyspace, len(local))
	for _, ks := range local {
		all[ks.Name] = ks
	}
	s := &State{Schema: schema.New(all)}
	s.finish(nil)
	return s
}

// Founded tells whether the cluster exists.
func (s *State) Founded() bool { return s.Epoch > 0 }

// Node finds a member; nil when there is none.
func (s *State) Node(id helenus.HostID) *Node {
	i, ok := slices.BinarySearchFunc(s.Nodes, id, func(n *Node, id helenus.HostID) int {
		return bytes.Compare(n.HostID[:], id[:])
	})
	if !ok {
		return nil
	}
	return s.Nodes[i]
}

// Placement tells which nodes hold what of a keyspace; nil when there is no
// such keyspace.
func (s *State) Placement(keyspace string) *ring.Placement { return s.placements[keyspace] }

// SchemaVersion is what drivers compare between nodes to see whether they agree,
// and with the one they know to see whether they have to read the schema again.
func (s *State) SchemaVersion() (uuid [16]byte) {
	epoch := s.SchemaEpoch
	if epoch == 0 {
		epoch = s.Epoch
	}
	binary.BigEndian.PutUint64(uuid[8:], uint64(epoch))
	return uuid
}

// UserTable names a table that is none of the system's; empty when there is
// none.
func (s *State) UserTable() string {
	for _, ks := range s.Schema.Sorted() {
		if !IsSystemKeyspace(ks.Name) && len(ks.Tables) > 0 {
			return ks.Name + "." + slices.Sorted(maps.Keys(ks.Tables))[0]
		}
	}
	return ""
}

// isLocal tells whether a keyspace is part of the program and not of the log.
func isLocal(ks *schema.Keyspace) bool {
	return ks.Virtual || ks.Replication.Class == ring.LocalName
}

// LocalKeyspaces returns the keyspaces that New was given, by name.
func (s *State) LocalKeyspaces() []*schema.Keyspace {
	var out []*schema.Keyspace
	for _, ks := range s.Schema.Sorted() {
		if isLocal(ks) {
			out = append(out, ks)
		}
	}
	return out
}

// finish derives what is computed. Placements of old are taken over where
// neither the members nor the replication changed, and keyspaces of equal
// replication share one.
func (s *State) finish(old *State) {
	sameRing := old != nil && old.Topology != nil && slices.Equal(old.Nodes, s.Nodes)
	if sameRing {
		s.Topology = old.Topology
	} else {
		s.Topology = s.topology()
	}
	shared := make(map[string]*ring.Placement)
	if sameRing {
		for name, p := range old.placements {
			shared[old.Schema.Keyspaces[name].Replication.Key()] = p
		}
	}
	s.placements = make(map[string]*ring.Placement, len(s.Schema.Keyspaces))
	for name, ks := range s.Schema.Keyspaces {
		key := ks.Replication.Key()
		if shared[key] == nil {
			strategy, err := ring.NewStrategy(ks.Replication.Class, ks.Replication.Options)
			if err != nil {
				strategy = ring.Local{} // a virtual keyspace; others were checked when they came in
			}
			shared[key] = ring.NewPlacement(strategy, s.Topology)
		}
		s.placements[name] = shared[key]
	}
	s.Level = s.lowestLevel()
}

func (s *State) lowestLevel() (lowest Level) {
	for i, n := range s.Nodes {
		if i == 0 || n.Level < lowest {
			lowest = n.Level
		}
	}
	return lowest
}

func (s *State) topology() *ring.Topology {
	nodes := make([]ring.Node, len(s.Nodes))
	for i, n := range s.Nodes {
		nodes[i] = ring.Node{HostID: n.HostID, Endpoint: n.Broadcast, Datacenter: n.Datacenter, Rack: n.Rack,
			Tokens: n.Tokens, State: n.State}
	}
	return ring.NewTopology(nodes)
}
