package balance

import (
	"math"
	"slices"
)

// partial plans with no more moves or bytes than allowed: the whole way if that
// suffices, else the moves that help most, one after another.
func (w *work) partial() (*Plan, error) {
	goal := w.goal
	w.goal.MovesMax, w.goal.BytesMax = 0, ""
	p, err := w.full()
	w.goal = goal
	if err == nil && (goal.MovesMax == 0 || p.Summary.Moves <= goal.MovesMax) &&
		(goal.BytesMax == "" || p.Summary.Bytes.Float() <= goal.BytesMax.Float()) {
		p.Goal.MovesMax, p.Goal.BytesMax = goal.MovesMax, goal.BytesMax
		return p, nil
	}
	if len(goal.Join)+len(goal.Leave) > 0 {
		return nil, &Impossible{Reason: "joins and leaves need more moves or bytes than are allowed"}
	}
	var acts []act
	switch {
	case w.vnodes && err == nil:
		all := w.actsOf(p)
		limit := len(all)
		if goal.MovesMax > 0 {
			limit = goal.MovesMax
		}
		ways := w.fewMoves(limit, func(limit, norm int) []act { return w.pick(all, limit, norm) })
		acts = ways[len(ways)-1]
	case goal.MovesMax > 0:
		ways := w.fewMoves(goal.MovesMax, w.greedy)
		acts = ways[len(ways)-1]
	default:
		acts = w.greedy(len(w.m.ring.Nodes), norms()[0])
	}
	acts = w.within(acts)
	return w.finish(acts, solution{proof: ProofHeuristic, bound0: true})
}

// actsOf are the steps of a plan in numbers.
func (w *work) actsOf(p *Plan) (out []act) {
	for i := range p.Steps {
		if a, err := w.m.act(&p.Steps[i]); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// within cuts acts off before they stream too much.
func (w *work) within(acts []act) []act {
	if w.goal.BytesMax == "" {
		return acts
	}
	r := newReplay(w.m)
	sum := 0.0
	unit := math.Pow10(w.m.scale)
	for i, a := range acts {
		if sum += r.apply(a, nil).bytes.float() / unit; sum > w.goal.BytesMax.Float() {
			return acts[:i]
		}
	}
	return acts
}

// arcEnd is one token of a circle while greedy moves it about.
type arcEnd struct {
	at    Position
	y     Position // the same on the circle's axis
	node  int
	ideal float64 // arc, on the axis
}

// norms are how much more a large deviation counts than small ones when moves
// are chosen: which serves best depends on how many are left.
func norms() []int { return []int{2, 8, 32} }

// power is x to a norm: products alone are the same on every machine.
func power(x float64, norm int) float64 {
	p := 1.0
	for range norm {
		p *= x
	}
	return float64(p)
}

// fewMoves finds for every number of moves up to limit, as far as moves help,
// those after which the worst deviation is least, of what choose has for norms.
func (w *work) fewMoves(limit int, choose func(limit, norm int) []act) (ways [][]act) {
	ways = append(ways, nil)
	best := []float64{w.worst(newReplay(w.m))}
	for _, norm := range norms() {
		acts := choose(limit, norm)
		r := newReplay(w.m)
		for i, a := range acts {
			r.apply(a, nil)
			worst := w.worst(r)
			if k := i + 1; k == len(ways) {
				ways, best = append(ways, acts[:k]), append(best, worst)
			} else if worst < best[k] {
				ways[k], best[k] = acts[:k], worst
			}
		}
	}
	for k := 1; k < len(ways); k++ { // what does not help is left out
		if best[k] >= best[k-1] {
			ways[k], best[k] = ways[k-1], best[k-1]
		}
	}
	return ways
}

// worst is the worst deviation of any circle.
func (w *work) worst(r *replay) (worst float64) {
	for i := range w.circles {
		worst = max(worst, w.circles[i].judge(w.m, &w.goal, r.tokens, r.stored).worst)
	}
	return worst
}

// proposal is the move that would help a circle most.
type proposal struct {
	end  int
	to   Position
	gain float64
}

// greedy moves, again and again, the token whose move brings the arcs of all
// circles nearest to their ideal, by a norm of what they are off: from the ends
// of the smallest arcs to the middle of the largest, or to the middle between
// its neighbours.
func (w *work) greedy(limit, norm int) (out []act) {
	circles := w.planCircles()
	axes := make([]axis, len(circles))
	ends, next := make([][]arcEnd, len(circles)), make([]proposal, len(circles))
	for i := range circles {
		c, a := &circles[i], &axes[i]
		*a = w.m.newAxis(c)
		weights := 0.0
		for _, v := range c.nodes {
			weights += float64(w.m.ring.Nodes[v].Weight.value())
		}
		for _, v := range c.nodes {
			n := &w.m.ring.Nodes[v]
			ideal := a.size.float() * float64(n.Weight.value()) / weights / float64(len(n.Tokens))
			for _, t := range n.Tokens {
				ends[i] = append(ends[i], arcEnd{t, a.of(t), v, ideal})
			}
		}
		next[i] = propose(a, ends[i], norm)
	}
	op := opMove
	if w.vnodes {
		op = opMoveToken
	}
	for len(out) < limit {
		best := 0
		for i := range next {
			if next[i].gain > next[best].gain {
				best = i
			}
		}
		move := next[best]
		if move.gain <= 0 {
			break
		}
		if w.taken(move.to, out) {
			next[best].gain = 0
			continue
		}
		e := &ends[best][move.end]
		out = append(out, act{op: op, node: e.node, gone: []Position{e.at}, came: []Position{move.to}})
		e.at, e.y = move.to, axes[best].of(move.to)
		next[best] = propose(&axes[best], ends[best], norm)
	}
	return out
}

func (w *work) taken(p Position, acts []act) bool {
	held := false
	for v := range w.m.ring.Nodes {
		held = held || containsPosition(w.m.ring.Nodes[v].Tokens, p)
	}
	for _, a := range acts {
		if a.gone[0] == p {
			held = false
		}
		if a.came[0] == p {
			held = true
		}
	}
	return held
}

// greedyWidth is how many of the smallest and of the largest arcs are tried.
const greedyWidth = 8

// propose sorts the ends of a circle's arcs and finds the best move.
func propose(a *axis, ends []arcEnd, norm int) (best proposal) {
	n := len(ends)
	if n < 2 {
		return best
	}
	slices.SortFunc(ends, func(a, b arcEnd) int { return a.at.cmp(b.at) })
	arc := func(i int) float64 {
		return after(ends[(i+n-1)%n].y, ends[i%n].y, a.size).float()
	}
	off := func(width float64, i int) float64 { return power(abs(width/ends[i%n].ideal-1), norm) }
	byMerged, byWidth := make([]int, n), make([]int, n)
	for i := range n {
		byMerged[i], byWidth[i] = i, i
	}
	slices.SortFunc(byMerged, func(a, b int) int { return compareFloat(arc(a)+arc(a+1), arc(b)+arc(b+1)) })
	slices.SortFunc(byWidth, func(a, b int) int { return compareFloat(arc(b), arc(a)) })
	least := power(1e-9, norm/2) // less is no gain
	consider := func(i, left int, way, gain float64) {
		if gain <= max(least, best.gain) {
			return
		}
		if to := a.back(advance(ends[left].y, positionOfFloat(way), a.size)); to != ends[i].at {
			best = proposal{i, to, gain}
		}
	}
	for i := range n { // between its neighbours
		both := arc(i) + arc(i+1)
		share := ends[i].ideal / (ends[i].ideal + ends[(i+1)%n].ideal)
		gain := off(arc(i), i) + off(arc(i+1), i+1) - off(both*share, i) - off(both*(1-share), i+1)
		consider(i, (i+n-1)%n, float64(both*share), gain)
	}
	for _, i := range byMerged[:min(n, greedyWidth)] {
		for _, j := range byWidth[:min(n, greedyWidth)] {
			if j == i || j == (i+1)%n {
				continue
			}
			share := ends[i].ideal / (ends[i].ideal + ends[j].ideal)
			gain := off(arc(i), i) + off(arc(i+1), i+1) - off(arc(i)+arc(i+1), i+1) +
				off(arc(j), j) - off(arc(j)*share, i) - off(arc(j)*(1-share), j)
			consider(i, (j+n-1)%n, float64(arc(j)*share), gain)
		}
	}
	return best
}

// frontier adds to a plan what fewer moves buy.
func (w *work) frontier(p *Plan) {
	full := Point{Moves: p.Summary.Moves, Bytes: p.Summary.Bytes, Worst: p.Ownership.Stats.After.Worst, RackScore: p.Summary.RackScore}
	ways := [][]act{nil}
	switch {
	case len(w.goal.Join)+len(w.goal.Leave) > 0:
	case w.vnodes:
		all := w.actsOf(p)
		ways = w.fewMoves(w.goal.Frontier, func(limit, norm int) []act { return w.pick(all, limit, norm) })
	default:
		ways = w.fewMoves(w.goal.Frontier, w.greedy)
	}
	for k := 0; k < len(ways) && k <= w.goal.Frontier && k < full.Moves; k++ {
		if len(ways[k]) < k {
			continue // one move more buys nothing
		}
		g := w.goal
		g.MovesMax = max(1, k)
		part, v, err := build(w.ring, g, ways[k], w.m)
		if err != nil || !v.Valid {
			break
		}
		point := Point{Moves: v.Moves, Bytes: v.Bytes, Worst: v.Ownership.Stats.After.Worst, RackScore: v.RackScore}
		for i := range part.Steps {
			part.Steps[i].Streams, part.Steps[i].Ranges = nil, nil
		}
		point.Steps = part.Steps
		p.Frontier = append(p.Frontier, point)
	}
	p.Frontier = append(p.Frontier, full)
	knee(p.Frontier)
}

// knee marks the point farthest below the line from the first to the last.
func knee(all []Point) {
	first, last := all[0], all[len(all)-1]
	best, most := -1, 0.0
	for i, p := range all {
		x := ratio(float64(p.Moves-first.Moves), float64(last.Moves-first.Moves))
		y := ratio(first.Worst-p.Worst, first.Worst-last.Worst)
		if y-x > most {
			best, most = i, y-x
		}
	}
	if best >= 0 {
		all[best].Knee = true
	}
}
