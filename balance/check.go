package balance

import (
	"errors"
	"fmt"
	"math/big"
)

// Bounds of what is taken in.
const (
	nodesMax     = 1 << 20
	tokensMax    = 1 << 25
	keyspacesMax = 1 << 12
	factorMax    = 1000
)

// strategies
const (
	simple  = "SimpleStrategy"
	network = "NetworkTopologyStrategy"
	local   = "LocalStrategy"
)

var errNoNodes = errors.New("balance: the ring has no nodes")

// Check looks for what no plan can start from: the error says what and where.
func (r *Ring) Check() error {
	if err := r.checkShape(); err != nil {
		return err
	}
	if len(r.Nodes) == 0 {
		return errNoNodes
	}
	if len(r.Nodes) > nodesMax || len(r.Keyspaces) > keyspacesMax {
		return fmt.Errorf("balance: more than %d nodes or %d keyspaces", nodesMax, keyspacesMax)
	}
	if err := r.checkNodes(); err != nil {
		return err
	}
	names := make(map[string]bool)
	for i := range r.Keyspaces {
		k := &r.Keyspaces[i]
		if names[k.Name] {
			return fmt.Errorf("balance: keyspace %q is listed twice", k.Name)
		}
		names[k.Name] = true
		if err := k.check(); err != nil {
			return fmt.Errorf("balance: keyspace %s: %w", k.Name, err)
		}
	}
	return nil
}

func (r *Ring) checkShape() error {
	if r.Circumference == nil || r.Min == nil || r.Circumference.Sign() <= 0 || r.Circumference.Cmp(new(big.Int).Lsh(big.NewInt(1), 127)) > 0 {
		return fmt.Errorf("balance: circumference %v is not between 1 and 2^127", r.Circumference)
	}
	return nil
}

func (r *Ring) checkNodes() error {
	ids := make(map[string]bool, len(r.Nodes))
	owner := make(map[Position]string)
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.ID == "" {
			return fmt.Errorf("balance: node %d of the list has no id", i+1)
		}
		if ids[n.ID] {
			return fmt.Errorf("balance: node %s is listed twice", n.ID)
		}
		ids[n.ID] = true
		for _, t := range n.Tokens {
			if t.big().Cmp(r.Circumference) >= 0 {
				return fmt.Errorf("balance: node %s: token %s is out of range", n.ID, r.FormatToken(t))
			}
			if other, taken := owner[t]; taken {
				return fmt.Errorf("balance: token %s belongs to %s and to %s", r.FormatToken(t), other, n.ID)
			}
			owner[t] = n.ID
		}
	}
	if len(owner) > tokensMax {
		return fmt.Errorf("balance: %d tokens, more than %d", len(owner), tokensMax)
	}
	if len(owner) == 0 {
		return errors.New("balance: no node has a token")
	}
	return nil
}

func (k *Keyspace) check() error {
	factors := []int{}
	switch shortStrategy(k.Strategy) {
	case simple:
		if k.RF == 0 || len(k.DCs) > 0 {
			return errors.New("SimpleStrategy needs rf, and no dcs")
		}
		factors = append(factors, k.RF)
	case network:
		if len(k.DCs) == 0 {
			return errors.New("NetworkTopologyStrategy needs dcs")
		}
		for _, rf := range k.DCs {
			factors = append(factors, rf)
		}
	case local:
	default:
		return fmt.Errorf("unknown strategy %q", k.Strategy)
	}
	for _, rf := range factors {
		if rf < 0 || rf > factorMax {
			return fmt.Errorf("replication factor %d is not between 0 and %d", rf, factorMax)
		}
	}
	for i := range k.Density {
		if i > 0 && !k.Density[i-1].After.less(k.Density[i].After) {
			return errors.New("density: a token stands twice or out of order")
		}
	}
	for _, d := range append([]Density{{Factor: k.PerToken}}, k.Density...) {
		if rat := d.Factor.rat(); rat == nil || rat.Sign() < 0 {
			return fmt.Errorf("%q is not a density", string(d.Factor))
		}
	}
	return nil
}
