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
	if err == nil && (goal.MovesMax == 0 || p.Summary.Moves <= goal.MovesMax) &&
		(goal.BytesMax == "" || p.Summary.Bytes.Float() <= goal.BytesMax.Float()) {
		p.Goal.MovesMax, p.Goal.BytesMax = goal.MovesMax, goal.BytesMax
		return p, nil
	}
	if len(goal.Join)+len(goal.Leave) > 0 {
		return nil, &Impossible{"joins and leaves need more moves or bytes than are allowed"}
	}
	var acts []act
	if w.vnodes && err == nil {
		acts = w.actsOf(p)
	} else {
		acts = w.greedy(len(w.m.ring.Nodes))
	}
	if goal.MovesMax > 0 {
		acts = acts[:min(len(acts), goal.MovesMax)]
	}
	w.goal = goal
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
	node  int
	ideal float64
}

// greedy moves, again and again, the token whose move brings the arcs nearest
// to their ideal, by the sum of squares: from the ends of the smallest arcs to
// the middle of the largest, or to the middle between its neighbours.
func (w *work) greedy(limit int) (out []act) {
	for _, c := range w.planCircles() {
		var ends []arcEnd
		weights := 0.0
		for _, v := range c.nodes {
			weights += float64(w.m.ring.Nodes[v].Weight.value())
		}
		for _, v := range c.nodes {
			for _, t := range w.m.ring.Nodes[v].Tokens {
				ends = append(ends, arcEnd{t, v, w.m.size.float() * float64(w.m.ring.Nodes[v].Weight.value()) / weights})
			}
		}
		for range limit {
			slices.SortFunc(ends, func(a, b arcEnd) int { return a.at.cmp(b.at) })
			i, to, ok := w.bestMove(ends)
			if !ok || w.taken(to, out) {
				break
			}
			op := opMove
			if w.vnodes {
				op = opMoveToken
			}
			out = append(out, act{op: op, node: ends[i].node, gone: []Position{ends[i].at}, came: []Position{to}})
			ends[i].at = to
		}
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

func (w *work) bestMove(ends []arcEnd) (best int, to Position, ok bool) {
	n := len(ends)
	if n < 2 {
		return 0, to, false
	}
	arc := func(i int) float64 {
		return after(ends[(i+n-1)%n].at, ends[i%n].at, w.m.size).float()
	}
	off := func(width float64, i int) float64 { d := width - ends[i%n].ideal; return d * d }
	byMerged, byWidth := make([]int, n), make([]int, n)
	for i := range n {
		byMerged[i], byWidth[i] = i, i
	}
	slices.SortFunc(byMerged, func(a, b int) int { return compareFloat(arc(a)+arc(a+1), arc(b)+arc(b+1)) })
	slices.SortFunc(byWidth, func(a, b int) int { return compareFloat(arc(b), arc(a)) })
	most := 1e-9 * w.m.size.float() * w.m.size.float() / float64(n*n)
	for i := range n { // between its neighbours
		both := arc(i) + arc(i+1)
		share := ends[i].ideal / (ends[i].ideal + ends[(i+1)%n].ideal)
		gain := off(arc(i), i) + off(arc(i+1), i+1) - off(both*share, i) - off(both*(1-share), i+1)
		if p := advance(ends[(i+n-1)%n].at, positionOfFloat(both*share), w.m.size); gain > most && p != ends[i].at {
			best, to, most, ok = i, p, gain, true
		}
	}
	for _, i := range byMerged[:min(n, greedyWidth)] {
		for _, j := range byWidth[:min(n, greedyWidth)] {
			if j == i || j == (i+1)%n {
				continue
			}
			share := ends[i].ideal / (ends[i].ideal + ends[j].ideal)
			gain := off(arc(i), i) + off(arc(i+1), i+1) - off(arc(i)+arc(i+1), i+1) +
				off(arc(j), j) - off(arc(j)*share, i) - off(arc(j)*(1-share), j)
			if gain > most {
				best, to, most, ok = i, advance(ends[(j+n-1)%n].at, positionOfFloat(arc(j)*share), w.m.size), gain, true
			}
		}
	}
	return best, to, ok
}

// frontier adds to a plan what fewer moves buy.
func (w *work) frontier(p *Plan) {
	full := Point{Moves: p.Summary.Moves, Bytes: p.Summary.Bytes, Worst: p.Ownership.Stats.After.Worst, RackScore: p.Summary.RackScore}
	var acts []act
	switch {
	case len(w.goal.Join)+len(w.goal.Leave) > 0:
	case w.vnodes:
		acts = w.actsOf(p)
	default:
		acts = w.greedy(w.goal.Frontier)
	}
	for k := 0; k <= min(len(acts), w.goal.Frontier) && k < full.Moves; k++ {
		g := w.goal
		g.MovesMax = max(1, k)
		part, v, err := build(w.ring, g, acts[:k], w.m)
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
