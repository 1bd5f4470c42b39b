package balance

import (
	"slices"
	"sort"
)

// A second bound, beside what slots need. Where every node moves once at the
// most, all tokens that there are at any time are old ones or new ones. A move
// streams what its node holds before or after but not both, and what it holds
// before ends at its old token and after at its new one: if both share something
// and leave something out, that is at least the way between the tokens; if they
// share nothing, all that both hold, which reaches back over as many tokens, old
// or new, as there are replicas; if together they are the whole ring, all that
// both leave out. The sum over moves is a matching again. With one replica it
// tells more than the other bound, with more of them less.

// meanwhile is, by place, how little a node holds, or leaves out, whose token is
// an old or a new one, whatever other tokens there are then.
type meanwhile struct {
	old, new [][]float64 // by held, by slot
	most     []float64   // of all new ones
}

func (p *problem) meanwhile(was, will *intervals) (out meanwhile) {
	n := len(p.held)
	for k, pl := range p.places {
		old, new := make([]float64, n), make([]float64, len(will.end[k]))
		if pl.factor < n {
			total := was.total[k]
			all := slices.Concat(was.end[k], will.end[k])
			slices.Sort(all)
			all = slices.Compact(all)
			least := func(at float64) float64 {
				i := sort.SearchFloat64s(all, at)
				return min(gapBefore(all, i, pl.factor, total), gapBefore(all, i+n-pl.factor, n-pl.factor, total))
			}
			for i, at := range was.end[k] {
				old[i] = least(at)
			}
			for i, at := range will.end[k] {
				new[i] = least(at)
			}
		}
		out.old, out.new, out.most = append(out.old, old), append(out.new, new), append(out.most, slices.Max(new))
	}
	return out
}

// gapBefore is from so many tokens before token i of a circle to it.
func gapBefore(all []float64, i, tokens int, total float64) float64 {
	n := len(all)
	j := i - tokens
	turn := func(i int) float64 { return all[(i%n+n)%n] + float64(total*float64((i-(i%n+n)%n)/n)) }
	return turn(i) - turn(j)
}

// stepwise bounds what a way to a target streams in which no node moves twice;
// 0 where the other bound is the better one.
func (p *problem) stepwise(t *target, was, will *intervals) float64 {
	for _, pl := range p.places {
		if pl.factor > 1 && pl.factor < len(p.held) {
			return 0
		}
	}
	if len(p.leave) > 0 || len(p.held) != len(p.stay) {
		return 0
	}
	edges, sum := p.stepEdges(t, was, will)
	_, most := auction(edges, len(t.free))
	return sum - most
}

// stepEdges lists for movers the free slots that are so near that the way is
// shorter than what is held at both ends; sum is what all moves stream if none
// went there.
func (p *problem) stepEdges(t *target, was, will *intervals) (out [][]edge, sum float64) {
	w := p.meanwhile(was, will)
	for k := range p.places {
		for _, v := range t.movers {
			sum += w.old[k][v]
		}
		for _, slot := range t.free {
			sum += w.new[k][slot]
		}
	}
	out = make([][]edge, len(t.movers))
	n := len(t.free)
	for i, v := range t.movers {
		saved := func(f int) (keep float64, on bool) {
			for k, total := range was.total {
				d := abs(was.end[k][v] - will.end[k][t.free[f]])
				d = min(d, total-d)
				keep += max(0, w.old[k][v]+w.new[k][t.free[f]]-d)
				on = on || d < w.old[k][v]+w.most[k]
			}
			return keep, on
		}
		at := sort.Search(n, func(f int) bool { return will.end[0][t.free[f]] >= was.end[0][v] })
		last := 0
		for f := range n { // forward
			keep, on := saved((at + f) % n)
			if !on {
				break
			}
			if last = f + 1; keep > 0 {
				out[i] = append(out[i], edge{(at + f) % n, keep})
			}
		}
		for f := 1; f <= n-last; f++ { // back
			keep, on := saved((at - f + n) % n)
			if !on {
				break
			}
			if keep > 0 {
				out[i] = append(out[i], edge{(at - f + n) % n, keep})
			}
		}
	}
	return out, sum
}
