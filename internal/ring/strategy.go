package ring

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"helenus"
)

// Strategy spreads the replicas of a keyspace over a topology. Factors are the
// configured ones: they may exceed the nodes there are, and still count in the
// arithmetic of consistency levels.
type Strategy interface {
	// Factor is the number of replicas over all datacenters.
	Factor() int
	// FactorIn is the number of replicas in one datacenter; for a strategy that
	// does not know datacenters, the same as Factor.
	FactorIn(dc helenus.Datacenter) int
	// replicas appends the natural replicas of the arc that ends at the i-th
	// token, primary first.
	replicas(dst []*Node, t *Topology, i int) []*Node
}

// The short class names of the strategies.
const (
	SimpleName  = "SimpleStrategy"
	NetworkName = "NetworkTopologyStrategy"
	LocalName   = "LocalStrategy"
)

// FactorOption is the option that holds SimpleStrategy's factor.
const FactorOption = "replication_factor"

// NewStrategy reads a strategy's short class name and options. meta has checked
// user input before, so that an error here means damaged metadata.
func NewStrategy(class string, options map[string]string) (Strategy, error) {
	switch class {
	case LocalName:
		return Local{}, nil
	case SimpleName:
		rf, err := parseFactor(options[FactorOption])
		if err != nil {
			return nil, err
		}
		return Simple{rf}, nil
	case NetworkName:
		s := &Network{factors: make(map[helenus.Datacenter]int)}
		for _, dc := range slices.Sorted(maps.Keys(options)) {
			rf, err := parseFactor(options[dc])
			if err != nil {
				return nil, fmt.Errorf("datacenter %s: %w", dc, err)
			}
			s.factors[helenus.Datacenter(dc)] = rf
			s.total += rf
		}
		return s, nil
	}
	return nil, fmt.Errorf("ring: unknown replication strategy %q", class)
}

func parseFactor(s string) (int, error) {
	rf, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("ring: replication factor %q is not a number from 0 to 2^31-1", s)
	}
	return int(rf), nil
}

// Local keeps everything on the node itself: the system keyspaces.
type Local struct{}

// Factor implements Strategy.
func (Local) Factor() int { return 1 }

// FactorIn implements Strategy.
func (Local) FactorIn(helenus.Datacenter) int { return 1 }

func (Local) replicas(dst []*Node, _ *Topology, _ int) []*Node { return dst }

// Simple takes the next nodes clockwise, whatever their place.
type Simple struct{ factor int }

// Factor implements Strategy.
func (s Simple) Factor() int { return s.factor }

// FactorIn implements Strategy.
func (s Simple) FactorIn(helenus.Datacenter) int { return s.factor }

func (s Simple) replicas(dst []*Node, t *Topology, i int) []*Node {
	for n := 0; n < len(t.owners) && len(dst) < s.factor; n++ {
		owner := t.owners[(i+n)%len(t.owners)]
		if !slices.Contains(dst, owner) {
			dst = append(dst, owner)
		}
	}
	return dst
}

// Network gives each datacenter its own factor and prefers distinct racks.
type Network struct {
	factors map[helenus.Datacenter]int
	total   int
}

// Factor implements Strategy.
func (s *Network) Factor() int { return s.total }

// FactorIn implements Strategy.
func (s *Network) FactorIn(dc helenus.Datacenter) int { return s.factors[dc] }

// Datacenters returns those the strategy names, sorted.
func (s *Network) Datacenters() []helenus.Datacenter {
	return slices.Sorted(maps.Keys(s.factors))
}

// quota is what one datacenter still wants. A rack may be used again only
// repeats times, and the first nodes of used racks that the walk meets use
// them up: repeats comes from the configured factor, not from the nodes there
// are, and is negative when there are more racks than replicas.
type quota struct {
	left    int
	repeats int
	racks   map[helenus.Rack]bool
}

func (s *Network) replicas(dst []*Node, t *Topology, i int) []*Node {
	quotas := make(map[helenus.Datacenter]*quota, len(s.factors))
	open := 0
	for dc, rf := range s.factors {
		d := t.dcs[dc]
		if d == nil || rf == 0 {
			continue
		}
		quotas[dc] = &quota{left: min(rf, d.nodes), repeats: rf - len(d.racks), racks: make(map[helenus.Rack]bool)}
		open++
	}
	for n := 0; n < len(t.owners) && open > 0; n++ {
		owner := t.owners[(i+n)%len(t.owners)]
		q := quotas[owner.Datacenter]
		if q == nil || q.left == 0 || slices.Contains(dst, owner) {
			continue
		}
		if q.racks[owner.Rack] {
			if q.repeats <= 0 {
				continue
			}
			q.repeats--
		}
		q.racks[owner.Rack] = true
		dst = append(dst, owner)
		if q.left--; q.left == 0 {
			open--
		}
	}
	return dst
}
