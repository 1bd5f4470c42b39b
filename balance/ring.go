// Package balance plans how a ring of nodes comes into balance: which node
// moves to which token, in which order, with the fewest moves and the least
// data streamed; and it judges such plans, whoever made them.
//
// Nouns: Ring (nodes with their tokens, keyspaces with their sizes), Goal (what
// balanced shall mean and what may be done), Plan (steps in order, with bytes,
// cleanup and ownership), Verdict (a plan replayed), Amount (exact bytes).
//
// ctl and the agent call it: Parse, MakePlan, Verify, Simulate. It is pure: it
// never does I/O, never asks for the time and starts no goroutine (a parallel
// For may be handed in). It never says "optimal" of a plan that it has not
// proved to be: Summary.Proof tells.
//
// Inside, a model is a ring in numbers (model, layout, position), a replay does
// steps to it and counts exactly, and Verify judges by it alone. MakePlan (make)
// splits the ring into circles, sets each as a problem, and has it solved (solve):
// small ones by exhaustive search (small, guess), others by the tokens that may
// stay (chain), who goes where (assign, align) and in which order (order); by
// kinds of seats where weights or racks decide (arrange). Rings of vnodes are balanced by
// single tokens (vnode, shift, allocate). What was found is combined, built into
// a Plan, and verified before it is handed out.
package balance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// Ring is a cluster as it is: what a plan starts from.
type Ring struct {
	Partitioner   string
	Min           *big.Int // the smallest token
	Circumference *big.Int
	Nodes         []Node
	Keyspaces     []Keyspace
	// Notes are doubts about the input, for the reader of the plan.
	Notes []string
}

// Node is one member.
type Node struct {
	ID, HostID string
	DC, Rack   string
	Weight     Weight
	State      string // nodetool's two letters; "" is UN
	Load       *big.Int
	DiskFree   *big.Int // nil: unknown
	Tokens     []Position
}

// Weight is a node's share of the load in millionths; zero is an ordinary node.
type Weight int64

// WeightOne is an ordinary node.
const WeightOne Weight = 1e6

func (w Weight) value() uint64 {
	if w == 0 {
		return uint64(WeightOne)
	}
	return uint64(w)
}

// Keyspace is how data is replicated, and how much of it there is.
type Keyspace struct {
	Name     string
	Strategy string
	RF       int            // SimpleStrategy
	DCs      map[string]int // NetworkTopologyStrategy
	PerToken Decimal        // bytes of one replica per token; "" is 1
	Density  []Density      // factors of PerToken by place
}

// Density holds from After (exclusive) to the next Density's After (inclusive).
type Density struct {
	After  Position
	Factor Decimal
}

// The partitioners' short names.
const (
	murmur3     = "Murmur3Partitioner"
	random      = "RandomPartitioner"
	byteOrdered = "ByteOrderedPartitioner"
)

// byteOrderedBytes is how much of a ByteOrdered token a Position holds.
const byteOrderedBytes = 15

// NewRing is an empty ring of a partitioner, by its short or its full name.
func NewRing(partitioner string) (*Ring, error) {
	r := &Ring{Partitioner: partitioner[strings.LastIndexByte(partitioner, '.')+1:], Min: new(big.Int)}
	bitCount := uint(64)
	switch r.Partitioner {
	case murmur3:
		r.Min.SetInt64(-1 << 63)
	case random:
		bitCount = 127
	case byteOrdered:
		bitCount = 8 * byteOrderedBytes
	default:
		return nil, fmt.Errorf("balance: unknown partitioner %q: give min and circumference", partitioner)
	}
	r.Circumference = new(big.Int).Lsh(big.NewInt(1), bitCount)
	return r, nil
}

func (r *Ring) size() Position { return positionOf(r.Circumference) }

// ParseToken reads a token's text form.
func (r *Ring) ParseToken(s string) (Position, error) {
	if r.Partitioner == byteOrdered {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) > byteOrderedBytes {
			return Position{}, fmt.Errorf("token %q is not hexadecimal of at most %d bytes", s, byteOrderedBytes)
		}
		b = append(b, make([]byte, byteOrderedBytes-len(b))...)
		return positionOf(new(big.Int).SetBytes(b)), nil
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || len(s) > 45 {
		return Position{}, fmt.Errorf("token %q is not a number", s)
	}
	n.Sub(n, r.Min)
	if n.Sign() < 0 || n.Cmp(r.Circumference) >= 0 {
		last := new(big.Int).Add(r.Min, r.Circumference)
		return Position{}, fmt.Errorf("token %s is out of range: the ring runs from %s to %s", s, r.Min, last.Sub(last, big.NewInt(1)))
	}
	return positionOf(n), nil
}

// FormatToken is the inverse of ParseToken.
func (r *Ring) FormatToken(p Position) string {
	if r.Partitioner == byteOrdered {
		b := p.big().FillBytes(make([]byte, byteOrderedBytes))
		for len(b) > 1 && b[len(b)-1] == 0 {
			b = b[:len(b)-1]
		}
		return hex.EncodeToString(b)
	}
	if r.Min.IsInt64() && r.Min.Int64() == 0 && p.hi == 0 {
		return fmt.Sprint(p.lo)
	}
	n := p.big()
	return n.Add(n, r.Min).String()
}

// Hash names the ring that a plan is for: the partitioner, and the names, places
// and tokens of nodes that have some. A plan whose hash differs from the ring's
// is stale. How data is replicated and how much there is of it is no part of it:
// Verify replays a plan with what the ring says of that, so that a plan is good
// for every source that shows the same ring, whatever else it knows.
func (r *Ring) Hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s\n", r.Partitioner, r.Min, r.Circumference)
	for _, i := range r.byID() {
		n := &r.Nodes[i]
		if len(n.Tokens) == 0 {
			continue // it may be on its way in
		}
		fmt.Fprintf(h, "node %q %q %q", n.ID, n.DC, n.Rack)
		for _, t := range slices.SortedFunc(slices.Values(n.Tokens), Position.cmp) {
			fmt.Fprintf(h, " %x.%x", t.hi, t.lo)
		}
		fmt.Fprintln(h)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Replication is how the keyspaces are replicated, whatever their names: a line
// for each way. It changes when the cleanup and the bytes of a plan may.
func (r *Ring) Replication() string {
	var ways []string
	for i := range r.Keyspaces {
		k := &r.Keyspaces[i]
		way := shortStrategy(k.Strategy)
		if way == local || k.factorMax() == 0 {
			continue
		}
		if k.RF > 0 {
			way += fmt.Sprint(" ", k.RF)
		}
		for _, dc := range slices.Sorted(maps.Keys(k.DCs)) {
			if k.DCs[dc] > 0 {
				way += fmt.Sprintf(" %q %d", dc, k.DCs[dc])
			}
		}
		ways = append(ways, way)
	}
	slices.Sort(ways)
	return strings.Join(slices.Compact(ways), "\n")
}

// Measured tells whether the ring says how many bytes there are: else a token
// counts as one.
func (r *Ring) Measured() bool {
	return slices.ContainsFunc(r.Keyspaces, func(k Keyspace) bool { return k.PerToken != "" || len(k.Density) > 0 })
}

func (r *Ring) byID() []int {
	order := make([]int, len(r.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(r.Nodes[a].ID, r.Nodes[b].ID) })
	return order
}

// Clone copies r deeply enough to change nodes and tokens.
func (r *Ring) Clone() *Ring {
	c := *r
	c.Nodes = slices.Clone(r.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].Tokens = slices.Clone(c.Nodes[i].Tokens)
	}
	c.Keyspaces = slices.Clone(r.Keyspaces)
	c.Notes = slices.Clone(r.Notes)
	return &c
}

// node finds a member; -1 when there is none.
func (r *Ring) node(id string) int {
	return slices.IndexFunc(r.Nodes, func(n Node) bool { return n.ID == id })
}

func shortStrategy(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
