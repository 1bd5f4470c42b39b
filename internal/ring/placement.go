package ring

import "helenus/internal/token"

// Placement is a strategy laid out on a topology.
type Placement struct {
	Topology *Topology
	Strategy Strategy
	replicas [][]*Node  // parallel to the topology's tokens
	becoming *Placement // once all movements are over; nil when there is none
}

// RangeReplicas is one arc of the ring and its replicas, primary first.
type RangeReplicas struct {
	Range    token.Range
	Replicas []*Node
}

// NewPlacement lays s out on t.
func NewPlacement(s Strategy, t *Topology) *Placement {
	p := &Placement{Topology: t, Strategy: s, replicas: make([][]*Node, len(t.tokens))}
	var scratch []*Node
	for i := range t.tokens {
		scratch = s.replicas(scratch[:0], t, i)
		p.replicas[i] = append([]*Node(nil), scratch...)
	}
	if next := t.becoming(); next != nil {
		p.becoming = NewPlacement(s, next)
	}
	return p
}

// Replicas returns the natural replicas of a token, primary first: none with
// the Local strategy, whose only replica is whoever asks. The slice is shared.
func (p *Placement) Replicas(tok token.Token) []*Node {
	if len(p.replicas) == 0 {
		return nil
	}
	return p.replicas[p.Topology.search(tok)]
}

// Ranges returns every arc between two tokens with its replicas, in ring order;
// the arc that crosses the end of the ring comes first.
func (p *Placement) Ranges() []RangeReplicas {
	tokens := p.Topology.tokens
	out := make([]RangeReplicas, len(tokens))
	for i, right := range tokens {
		left := tokens[(i+len(tokens)-1)%len(tokens)]
		out[i] = RangeReplicas{token.Range{Left: left, Right: right}, p.replicas[i]}
	}
	return out
}
