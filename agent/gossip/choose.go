package gossip

import (
	"math/rand/v2"
	"slices"

	"helenus"
	"helenus/agent/wire"
)

// fanout is how many live nodes are asked in a round.
const fanout = 3

// choose says whom to ask in this round: three that live, or others while there
// are not so many; at times one that does not, in proportion to how many there
// are of those; and at times a seed, so that two halves of a cluster that lost
// each other meet there. Nobody twice.
func (c *core) choose(rng *rand.Rand, seeds []helenus.Endpoint) []wire.Target {
	var live, rest []wire.Target
	for _, n := range c.members {
		if n.liveness == Up {
			live = append(live, n.target)
		} else {
			rest = append(rest, n.target)
		}
	}
	if len(live)+len(rest) == 0 {
		return nil
	}
	all, liveCount := len(live)+len(rest), len(live)
	out := draw(rng, &live, nil, fanout)
	if missing := fanout - len(out); missing > 0 {
		out = draw(rng, &rest, out, missing)
	} else if rng.Float64()*float64(liveCount+1) < float64(len(rest)) {
		out = draw(rng, &rest, out, 1)
	}
	if s, ok := c.chooseSeed(rng, seeds, out, liveCount, all); ok {
		out = append(out, s)
	}
	return out
}

// draw moves up to n random ones from one list to another.
func draw(rng *rand.Rand, from *[]wire.Target, out []wire.Target, n int) []wire.Target {
	for ; n > 0 && len(*from) > 0; n-- {
		i, last := rng.IntN(len(*from)), len(*from)-1
		out = append(out, (*from)[i])
		(*from)[i] = (*from)[last]
		*from = (*from)[:last]
	}
	return out
}

// chooseSeed goes by address: behind it may be a member that has moved there.
func (c *core) chooseSeed(rng *rand.Rand, seeds []helenus.Endpoint, chosen []wire.Target, live, all int) (wire.Target, bool) {
	isSeed := func(t wire.Target) bool { return slices.Contains(seeds, t.Addr) }
	others := 0
	for _, s := range seeds {
		if s != c.self.target.Addr {
			others++
		}
	}
	if others == 0 || live >= others && slices.ContainsFunc(chosen, isSeed) || rng.Float64()*float64(all) >= float64(others) {
		return wire.Target{}, false
	}
	at := rng.IntN(others)
	for _, s := range seeds {
		if s == c.self.target.Addr {
			continue
		}
		if at > 0 {
			at--
			continue
		}
		for _, n := range c.members {
			if n.target.Addr == s {
				return n.target, !slices.Contains(chosen, n.target)
			}
		}
		return wire.Target{Addr: s}, true
	}
	return wire.Target{}, false
}
