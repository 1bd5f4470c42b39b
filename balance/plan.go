package balance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// PlanSchema names the JSON form of a Plan.
const PlanSchema = "helenus.balance.plan/1"

// Plan is steps in order and what they do. A plan made elsewhere needs steps
// only.
type Plan struct {
	Schema    string    `json:"schema"`
	RingHash  string    `json:"ring_hash,omitempty"`
	Goal      Goal      `json:"goal"`
	Summary   Summary   `json:"summary"`
	Steps     []Step    `json:"steps"`
	Ownership Ownership `json:"ownership"`
	Frontier  []Point   `json:"frontier,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	Claims    *Claims   `json:"claims,omitempty"`
}

// Summary is a plan in a line.
type Summary struct {
	Moves      int       `json:"moves"`
	Bytes      Amount    `json:"bytes"`
	Distance   Amount    `json:"distance"`
	RackScore  int       `json:"rack_score"`
	Cleanups   int       `json:"cleanups"`
	LowerBound Amount    `json:"lower_bound_bytes"`
	Gap        float64   `json:"gap"` // bytes over the bound; -1: no bound is known
	Proof      string    `json:"proof,omitempty"`
	ETA        float64   `json:"eta_seconds,omitempty"`
	PeakDisk   *DiskPeak `json:"peak_disk,omitempty"`
}

// What Summary.Proof says: every plan was looked at; the bytes equal a bound
// that no plan beats; or neither, and Gap tells how far off it may be.
const (
	ProofExhaustive = "exhaustive"
	ProofBound      = "bound"
	ProofHeuristic  = "heuristic"
)

// DiskPeak is the most that any node holds during the plan over what it holds
// at its start.
type DiskPeak struct {
	Node  string `json:"node"`
	Bytes Amount `json:"bytes"`
}

// Step is one movement and the cleanup after it.
type Step struct {
	N             int                  `json:"n"`
	Op            string               `json:"op"`
	Node          string               `json:"node"`
	From          string               `json:"from,omitempty"`
	To            string               `json:"to,omitempty"`
	Tokens        []string             `json:"tokens,omitempty"` // bootstrap with several
	Bytes         Amount               `json:"bytes,omitempty"`
	Streams       []Stream             `json:"streams,omitempty"`
	Cleanup       []string             `json:"cleanup"`
	CleanupNeeded []string             `json:"cleanup_needed,omitempty"`
	Ranges        map[string]BeforeNow `json:"ranges,omitempty"`
	Command       []string             `json:"command,omitempty"`
	DiskAfter     map[string]Amount    `json:"disk_after,omitempty"`
	DependsOn     []int                `json:"depends_on"`
}

// Stream is what one node sends another in a step.
type Stream struct {
	Keyspace string    `json:"keyspace"`
	Range    [2]string `json:"range"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Bytes    Amount    `json:"bytes"`
}

// BeforeNow is the ranges that a node replicates before and after a step.
type BeforeNow struct {
	Before [][2]string `json:"before"`
	After  [][2]string `json:"after"`
}

// Ownership is what the nodes hold before and after a plan.
type Ownership struct {
	Before map[string]Share `json:"before"`
	After  map[string]Share `json:"after"`
	Stats  Stats            `json:"stats"`
}

// Share is what a node holds.
type Share struct {
	Primary   float64 `json:"primary"`   // of its datacenter's ring, by tokens
	Effective float64 `json:"effective"` // of all data, replicas included
	Bytes     Amount  `json:"bytes"`
	Deviation float64 `json:"deviation"` // from the ideal of the goal's mode
}

// Stats is how even the bytes of nodes are.
type Stats struct {
	Before Evenness `json:"before"`
	After  Evenness `json:"after"`
}

// Evenness compares nodes, weights taken out, to their mean.
type Evenness struct {
	MaxOverMean float64 `json:"max_over_mean"`
	MinOverMean float64 `json:"min_over_mean"`
	StdDev      float64 `json:"stdev"`
	Worst       float64 `json:"worst_deviation"`
}

// Point is one point of the frontier: what so many moves buy.
type Point struct {
	Moves     int     `json:"moves"`
	Bytes     Amount  `json:"bytes"`
	Worst     float64 `json:"worst_deviation"`
	RackScore int     `json:"rack_score"`
	Knee      bool    `json:"knee,omitempty"`
	Steps     []Step  `json:"plan,omitempty"`
}

// Claims is what the maker of a plan says of it; Verify holds it to that.
type Claims struct {
	Moves     *int   `json:"moves,omitempty"`
	Bytes     Amount `json:"bytes,omitempty"`
	RackScore *int   `json:"rack_score,omitempty"`
}

// ParsePlan reads a plan in JSON.
func ParsePlan(data []byte) (*Plan, error) {
	var p Plan
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("balance: plan JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("balance: plan JSON: something follows the plan")
	}
	if p.Schema != "" && p.Schema != PlanSchema {
		return nil, fmt.Errorf("balance: plan JSON: schema is %q, not %q", p.Schema, PlanSchema)
	}
	return &p, nil
}

// act turns a step into numbers.
func (m *model) act(s *Step) (act, error) {
	node, ok := m.byID[s.Node]
	a := act{node: node}
	if !ok {
		return a, fmt.Errorf("unknown node %s", s.Node)
	}
	switch s.Op {
	case OpMove, "":
		a.op = opMove
	case OpJoin, "join":
		a.op = opJoin
	case OpLeave, "leave":
		a.op = opLeave
		return a, nil // gone: what it holds by then
	case OpMoveToken:
		a.op = opMoveToken
	default:
		return a, fmt.Errorf("unknown operation %q", s.Op)
	}
	to := s.Tokens
	if len(to) == 0 {
		to = []string{s.To}
	}
	for _, t := range to {
		p, err := m.ring.ParseToken(t)
		if err != nil {
			return a, err
		}
		if containsPosition(a.came, p) {
			return a, fmt.Errorf("token %s stands twice", t)
		}
		a.came = append(a.came, p)
	}
	if a.op != opJoin {
		if len(a.came) != 1 {
			return a, fmt.Errorf("%s takes one token", s.Op)
		}
		p, err := m.ring.ParseToken(s.From)
		if err != nil {
			return a, fmt.Errorf("wrong from: %w", err)
		}
		a.gone = append(a.gone, p)
	}
	return a, nil
}
