package balance

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
)

// JoinTokens chooses count tokens for a node that joins r, so that with factor
// replicas in its datacenter every node there stores about as much as it did
// before, less the part that goes to the new one. Shares are in proportion to
// tokens, whatever the weights in r: who has twice as many stores twice as much.
// Chance (any number) decides for the first nodes of a datacenter; all the rest
// follows.
func JoinTokens(r *Ring, j Join, count, factor int, chance uint64) ([]Position, error) {
	if count < 1 || count > tokensMax || factor < 1 || factor > factorMax {
		return nil, fmt.Errorf("balance: %d tokens of a node that joins, for %d replicas", count, factor)
	}
	var held [][]Position
	racks, rackIsNew := []string{j.Rack}, true
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.DC != j.DC || len(n.Tokens) == 0 {
			continue
		}
		held = append(held, n.Tokens)
		rackIsNew = rackIsNew && n.Rack != j.Rack
		if !slices.Contains(racks, n.Rack) {
			racks = append(racks, n.Rack)
		}
	}
	if len(held) < factor {
		if tokens := gridTokens(r, held, count, factor, chance); tokens != nil {
			return tokens, nil
		}
	}
	joined := r.Clone()
	for i := range joined.Nodes {
		joined.Nodes[i].Weight = WeightOne * Weight(len(joined.Nodes[i].Tokens)) / Weight(count) // the new one's is WeightOne
	}
	goal := Goal{NodesDown: true}
	if len(held) < factor || rackIsNew && len(racks) <= factor {
		// Whatever its tokens, it will store a replica of everything. What can be
		// even is of what each node holds the first replica.
		factor, goal.Mode = 1, ModePrimary
	}
	joined.Keyspaces = []Keyspace{{Name: "join", Strategy: network, DCs: map[string]int{j.DC: factor}}}
	if len(held) == 0 {
		return nil, fmt.Errorf("balance: %d tokens do not fit into the ring", count)
	}
	return Allocate(joined, j, count, goal)
}

// gridTokens chooses tokens for one of the first factor nodes of a datacenter,
// which hold every key whatever they are: so that first replicas are even, and
// that who follows whom on the ring differs from place to place. Without that no
// later token could relieve a node that always comes first. The ring is cut into
// count parts, each into factor slots, and in each part the node takes one that
// is free. Nil: the nodes there are do not lie so.
func gridTokens(r *Ring, held [][]Position, count, factor int, chance uint64) []Position {
	step, _ := r.size().div(uint64(count * factor))
	if step.less(At(8 * slotOffMax)) {
		return nil
	}
	// Below half a step, so that no token is taken for one of the next slot. The
	// ring's smallest token stands for its end.
	origin := step.fraction(chance>>1, 1<<64-1).add(At(1))
	if len(held) > 0 {
		origin = positionOf(new(big.Int).Mod(held[0][0].big(), step.big()))
	}
	used := make([]bool, count*factor)
	for _, p := range slices.Concat(held...) {
		slot, ok := slotOf(p, origin, step)
		if !ok || slot >= len(used) {
			return nil
		}
		used[slot] = true
	}
	rnd := rand.New(rand.NewPCG(chance, uint64(len(held))))
	tokens := make([]Position, count)
	for i := range tokens {
		var free []int
		for slot := i * factor; slot < (i+1)*factor; slot++ {
			if !used[slot] {
				free = append(free, slot)
			}
		}
		if len(free) == 0 {
			return nil
		}
		tokens[i] = origin.add(step.times(uint64(free[rnd.IntN(len(free))])))
	}
	return r.apart(tokens)
}

// slotOffMax is how far a token may be from its slot: it goes on to the next one
// that nobody has, should another datacenter's grid be the same.
const slotOffMax = 256

// slotOf is the slot of a grid in which p lies.
func slotOf(p, origin, step Position) (slot int, ok bool) {
	half := new(big.Int).Rsh(step.big(), 1)
	d := new(big.Int).Sub(p.big(), origin.big())
	at, rest := d.DivMod(d.Add(d, half), step.big(), new(big.Int))
	off := rest.Sub(rest, half)
	return int(at.Int64()), at.Sign() >= 0 && at.IsInt64() && off.CmpAbs(big.NewInt(slotOffMax)) <= 0
}

// apart moves tokens on that nodes have.
func (r *Ring) apart(tokens []Position) []Position {
	taken := make(map[Position]bool)
	for i := range r.Nodes {
		for _, p := range r.Nodes[i].Tokens {
			taken[p] = true
		}
	}
	for i := range tokens {
		for taken[tokens[i]] {
			tokens[i] = advance(tokens[i], At(1), r.size())
		}
	}
	return tokens
}
