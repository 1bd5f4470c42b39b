package balance

import "math"

// picker chooses, from the moves of single tokens that lead to balance, those
// that help most when there may not be all of them.
type picker struct {
	w       *work
	acts    []act
	norm    int
	circles []*allocator // they know what nodes hold, and what they should
	circle  []int        // by act
	taken   map[Position]bool
	gain    []float64 // by act: by how much it would bring nodes nearer to their shares
	at      []int     // by act: how many were picked when that was worked out; -1: never
	nodes   [][]int32 // by act: of whom it has an effect
	changed []int     // by node: which pick was the last to have one
}

// pickEffort bounds acts times tokens of the ring.
const pickEffort = 1 << 28

// pick takes of acts, again and again, the one after which nodes are nearest to
// their shares, by a norm of what they are off.
func (w *work) pick(acts []act, limit, norm int) (out []act) {
	tokens := make([][]Position, len(w.m.ring.Nodes))
	p := &picker{w: w, acts: acts, norm: norm, taken: map[Position]bool{}, changed: make([]int, len(tokens))}
	for v := range tokens {
		tokens[v] = w.m.ring.Nodes[v].Tokens
		for _, t := range tokens[v] {
			p.taken[t] = true
		}
	}
	if len(acts)*len(p.taken) > pickEffort {
		return acts[:min(len(acts), limit)]
	}
	group := make([]int, len(tokens))
	for i := range w.circles {
		for _, v := range w.circles[i].nodes {
			group[v] = i
		}
		p.circles = append(p.circles, w.newAllocator(tokens, w.circles[i].nodes[0]))
	}
	for _, a := range acts {
		p.circle = append(p.circle, group[a.node])
	}
	p.gain, p.at, p.nodes = make([]float64, len(acts)), make([]int, len(acts)), make([][]int32, len(acts))
	for i := range p.at {
		p.at[i] = -1
	}
	done := make([]bool, len(acts))
	for len(out) < min(limit, len(acts)) {
		best := -1
		for i := range acts {
			if !done[i] && p.possible(i) {
				p.weigh(i, len(out))
				if p.gain[i] > 0 && (best < 0 || p.gain[i] > p.gain[best]) {
					best = i
				}
			}
		}
		if best < 0 {
			break
		}
		done[best] = true
		out = append(out, acts[best])
		p.circles[p.circle[best]].r.apply(acts[best], nil)
		delete(p.taken, acts[best].gone[0])
		p.taken[acts[best].came[0]] = true
		for _, v := range p.nodes[best] {
			p.changed[v] = len(out)
		}
	}
	return out
}

// possible tells whether the token is where the act takes it from, and may go
// where it goes.
func (p *picker) possible(i int) bool {
	a := &p.acts[i]
	return !p.taken[a.came[0]] && containsPosition(p.circles[p.circle[i]].r.tokens[a.node], a.gone[0])
}

// weigh works an act's gain out, unless that was done and its nodes have not
// changed since.
func (p *picker) weigh(i, picked int) {
	fresh := p.at[i] >= 0
	for _, v := range p.nodes[i] {
		fresh = fresh && p.changed[v] <= p.at[i]
	}
	if fresh {
		return
	}
	c, a := p.circles[p.circle[i]], p.acts[i]
	c.r.apply(a, nil)
	p.at[i], p.gain[i], p.nodes[i] = picked, 0, p.nodes[i][:0]
	for _, v := range c.r.touched {
		now := c.r.stored[v]
		p.gain[i] += p.off(c, v, now.add(c.r.loss[v]).sub(c.r.gain[v]).float()) - p.off(c, v, now.float())
		p.nodes[i] = append(p.nodes[i], v)
	}
	c.r.apply(back(a), nil)
}

// off is how bad it is that a node holds so much.
func (p *picker) off(c *allocator, v int32, held float64) float64 {
	if c.ideal[v] == 0 {
		return 0
	}
	return power(math.Abs(held/c.ideal[v]-1), p.norm)
}
