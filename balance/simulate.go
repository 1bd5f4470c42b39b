package balance

import (
	"fmt"
	"strings"
)

// Growth is one stage of a growing ring.
type Growth struct {
	Nodes       int     `json:"nodes"`
	Joined      int     `json:"joined"`
	Moves       int     `json:"moves"`
	Bytes       Amount  `json:"bytes"`
	Worst       float64 `json:"worst_deviation"`
	MaxOverMean float64 `json:"max_over_mean"`
	Proof       string  `json:"proof"`
	Ring        *Ring   `json:"-"`
}

// Simulate grows a ring to each of sizes in turn, every stage planned to the
// goal. Nodes join the rack, over all datacenters, that has the fewest.
func Simulate(r *Ring, g Goal, sizes []int) ([]Growth, error) {
	var out []Growth
	for _, size := range sizes {
		if size <= len(r.Nodes) || size > nodesMax {
			return out, fmt.Errorf("balance: simulate: %d nodes after %d", size, len(r.Nodes))
		}
		goal := g
		goal.Join, goal.Leave = joiners(r, size-len(r.Nodes)), nil
		p, err := MakePlan(r, goal)
		if err != nil {
			return out, fmt.Errorf("balance: simulate %d nodes: %w", size, err)
		}
		for i := range p.Steps {
			if r, err = Apply(r, &p.Goal, &p.Steps[i]); err != nil {
				return out, err
			}
		}
		out = append(out, Growth{len(r.Nodes), len(goal.Join), p.Summary.Moves, p.Summary.Bytes,
			p.Ownership.Stats.After.Worst, p.Ownership.Stats.After.MaxOverMean, p.Summary.Proof, r})
	}
	return out, nil
}

func joiners(r *Ring, count int) (out []Join) {
	type place struct{ dc, rack string }
	var order []place
	nodes := map[place]int{}
	for i := range r.Nodes {
		p := place{r.Nodes[i].DC, r.Nodes[i].Rack}
		if nodes[p] == 0 {
			order = append(order, p)
		}
		nodes[p]++
	}
	used := func(id string) bool { return r.node(id) >= 0 }
	n := len(r.Nodes)
	for len(out) < count {
		best := order[0]
		for _, p := range order {
			if nodes[p] < nodes[best] {
				best = p
			}
		}
		nodes[best]++
		n++
		id := fmt.Sprint("node-", n)
		for used(id) {
			id = strings.Replace(id, "node-", "node-x", 1)
		}
		out = append(out, Join{id, best.dc, best.rack})
	}
	return out
}
