package balance

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Goal is what a plan shall reach, and what it may do for it. The zero Goal is
// exact balance with the fewest moves, then the least bytes, then racks.
type Goal struct {
	Mode      string   `json:"mode"`      // auto, primary, rack, replicated
	Tolerance Decimal  `json:"tolerance"` // part of the ideal share
	Racks     string   `json:"racks"`     // tiebreak, require, ignore
	Objective []string `json:"objective"` // an order of moves, bytes, rack
	Join      []Join   `json:"join"`
	Leave     []string `json:"leave"`

	Slack      uint64             `json:"slack,omitempty"`            // tokens beside the tolerance
	Cleanup    string             `json:"cleanup,omitempty"`          // each, needed, deferred
	Weights    map[string]Decimal `json:"weights,omitempty"`          // over those of the ring
	MovesMax   int                `json:"max_moves,omitempty"`        // 0: no bound
	BytesMax   Amount             `json:"max_bytes,omitempty"`        // "": no bound
	Headroom   Decimal            `json:"headroom,omitempty"`         // part of free disk to leave free
	Throughput Amount             `json:"throughput_bytes,omitempty"` // per second, for the ETA
	Frontier   int                `json:"frontier,omitempty"`         // points of it, besides none and all
	NodesDown  bool               `json:"allow_unready,omitempty"`    // plan though a node is not UN
	Exhaustive bool               `json:"exhaustive,omitempty"`       // search longer for what is surely best
	For        For                `json:"-"`                          // nil: one after another
}

// For calls f(0) to f(n-1), maybe at once, and returns when all are done.
type For func(n int, f func(i int))

// Join is a node that shall come into the ring.
type Join struct{ ID, DC, Rack string }

// The words of a Goal.
const (
	ModeAuto       = "auto"
	ModePrimary    = "primary"
	ModeRack       = "rack"
	ModeReplicated = "replicated"

	RacksTiebreak = "tiebreak"
	RacksRequire  = "require"
	RacksIgnore   = "ignore"

	ByMoves = "moves"
	ByBytes = "bytes"
	ByRack  = "rack"

	CleanupEach     = "each"
	CleanupNeeded   = "needed"
	CleanupDeferred = "deferred"
)

// ParseJoin reads id@dc/rack.
func ParseJoin(s string) (Join, error) {
	id, where, _ := strings.Cut(s, "@")
	dc, rack, _ := strings.Cut(where, "/")
	if id == "" {
		return Join{}, fmt.Errorf("balance: join %q is not id@dc/rack", s)
	}
	return Join{id, dc, rack}, nil
}

// MarshalText implements encoding.TextMarshaler.
func (j Join) MarshalText() ([]byte, error) { return []byte(j.ID + "@" + j.DC + "/" + j.Rack), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (j *Join) UnmarshalText(b []byte) (err error) {
	*j, err = ParseJoin(string(b))
	return err
}

// normal fills in the defaults and refuses what contradicts itself.
func (g Goal) normal() (Goal, error) {
	for _, f := range []struct {
		what  string
		value *string
		words []string
	}{
		{"mode", &g.Mode, []string{ModeAuto, ModePrimary, ModeRack, ModeReplicated}},
		{"racks", &g.Racks, []string{RacksTiebreak, RacksRequire, RacksIgnore}},
		{"cleanup", &g.Cleanup, []string{CleanupEach, CleanupNeeded, CleanupDeferred}},
	} {
		if *f.value == "" {
			*f.value = f.words[0]
		}
		if !slices.Contains(f.words, *f.value) {
			return g, fmt.Errorf("balance: goal: %s is %q, not one of %s", f.what, *f.value, strings.Join(f.words, ", "))
		}
	}
	if g.Tolerance == "" {
		g.Tolerance = "0"
	}
	one := big.NewRat(1, 1)
	for what, d := range map[string]Decimal{"tolerance": g.Tolerance, "headroom": g.Headroom} {
		if r := d.rat(); r == nil || r.Sign() < 0 || r.Cmp(one) >= 0 {
			return g, fmt.Errorf("balance: goal: %s %q is not a part of one: 0.05 is 5 %%", what, string(d))
		}
	}
	for what, a := range map[string]Amount{"max_bytes": g.BytesMax, "throughput_bytes": g.Throughput} {
		if r := Decimal(a).rat(); r == nil || r.Sign() < 0 {
			return g, fmt.Errorf("balance: goal: %s %q is not a number of bytes", what, string(a))
		}
	}
	if err := g.normalObjective(); err != nil {
		return g, err
	}
	if g.Join == nil {
		g.Join = []Join{}
	}
	if g.Leave == nil {
		g.Leave = []string{}
	}
	if g.MovesMax < 0 || g.Frontier < 0 {
		return g, fmt.Errorf("balance: goal: max_moves and frontier are not below 0")
	}
	return g, nil
}

func (g *Goal) normalObjective() error {
	words := []string{ByMoves, ByBytes, ByRack}
	g.Objective = slices.Clone(g.Objective)
	for i, o := range g.Objective {
		if !slices.Contains(words, o) || slices.Contains(g.Objective[:i], o) {
			return fmt.Errorf("balance: goal: objective %q is not an order of moves, bytes, rack", strings.Join(g.Objective, ","))
		}
	}
	for _, o := range words {
		if !slices.Contains(g.Objective, o) {
			g.Objective = append(g.Objective, o)
		}
	}
	if g.Racks == RacksIgnore && g.Objective[0] == ByRack {
		return fmt.Errorf("balance: goal: racks are to be ignored, and come first in the objective")
	}
	return nil
}

// movesFirst tells that moves come before bytes.
func (g *Goal) movesFirst() bool {
	return slices.Index(g.Objective, ByMoves) < slices.Index(g.Objective, ByBytes)
}

// racksFirst tells that racks come before all else.
func (g *Goal) racksFirst() bool { return g.Racks == RacksRequire || g.Objective[0] == ByRack }

// racksCount tells that moves are made for racks' sake alone: they come before
// moves.
func (g *Goal) racksCount() bool {
	return g.Racks != RacksIgnore && (g.racksFirst() || slices.Index(g.Objective, ByRack) < slices.Index(g.Objective, ByMoves))
}

// member returns the ring a goal speaks of: r with the nodes that join (still
// without tokens) and the goal's weights.
func (g *Goal) member(r *Ring) (*Ring, error) {
	out := r.Clone()
	for k, j := range g.Join {
		if j.ID == "" || slices.ContainsFunc(g.Join[:k], func(other Join) bool { return other.ID == j.ID }) {
			return nil, fmt.Errorf("balance: goal: %q shall join twice, or has no id", j.ID)
		}
		switch i := out.node(j.ID); {
		case i < 0:
			out.Nodes = append(out.Nodes, Node{ID: j.ID, DC: j.DC, Rack: j.Rack, Weight: WeightOne})
		case len(out.Nodes[i].Tokens) > 0:
			return nil, fmt.Errorf("balance: goal: %s shall join, and is in the ring", j.ID)
		}
	}
	for i, id := range g.Leave {
		at := out.node(id)
		if at < 0 || len(out.Nodes[at].Tokens) == 0 {
			return nil, fmt.Errorf("balance: goal: %s shall leave, and is not in the ring", id)
		}
		if slices.Contains(g.Leave[:i], id) {
			return nil, fmt.Errorf("balance: goal: %s shall leave twice", id)
		}
	}
	for id, d := range g.Weights {
		at := out.node(id)
		if at < 0 {
			return nil, fmt.Errorf("balance: goal: weight of %s: no such node", id)
		}
		w, err := ParseWeight(d)
		if err != nil {
			return nil, fmt.Errorf("balance: goal: %s: %w", id, err)
		}
		out.Nodes[at].Weight = w
	}
	return out, nil
}
