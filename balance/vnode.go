package balance

import (
	"fmt"
	"math"
	"slices"
)

// tokenMoves plans for nodes of many tokens: joiners get theirs, leavers go, and
// then single tokens shift until everybody is within the tolerance.
func (w *work) tokenMoves() (*Plan, error) {
	var acts []act
	tokens := make([][]Position, len(w.m.ring.Nodes))
	for v := range tokens {
		tokens[v] = slices.Clone(w.m.ring.Nodes[v].Tokens)
	}
	for _, j := range w.goal.Join {
		v := w.m.byID[j.ID]
		at := w.allocate(tokens, v, w.usualTokens(v))
		tokens[v] = at
		acts = append(acts, act{op: opJoin, node: v, came: at})
	}
	for _, id := range w.goal.Leave {
		v := w.m.byID[id]
		acts = append(acts, act{op: opLeave, node: v, gone: tokens[v]})
		tokens[v] = nil
	}
	bound := 0.0
	for _, c := range w.circles {
		for round := range shiftRounds {
			s := w.shifterFor(&c, tokens, nil)
			out := s.needed()
			if len(acts) == len(w.goal.Join)+len(w.goal.Leave) || round == 0 {
				bound += s.bytesBound()
			}
			if out == 0 {
				break
			}
			s.run()
			shifts := s.acts()
			for _, a := range shifts {
				at := tokens[a.node]
				at[slices.Index(at, a.gone[0])] = a.came[0]
			}
			acts = append(acts, shifts...)
			if len(shifts) == 0 {
				break
			}
		}
	}
	sol := solution{proof: ProofHeuristic, bound: bound, bound0: len(w.goal.Join)+len(w.goal.Leave) > 0 || bound == 0}
	if len(acts) == 0 {
		sol.proof = ProofExhaustive
	}
	return w.finish(acts, sol)
}

// shiftRounds is how often shifts are planned again where density is not even.
const shiftRounds = 4

// shifterFor sets the bands of a circle. Outside of its members nobody moves.
func (w *work) shifterFor(c *circle, tokens [][]Position, movable func(int) bool) *shifter {
	var places []*place
	for _, p := range w.m.places {
		if p.domain == c.domain || p.domain == everywhere {
			places = append(places, &place{c.domain, p.factor, p.rackAware, p.spaces})
		}
	}
	seen := tokens
	if c.mode != ModeReplicated {
		for i, p := range places {
			places[i] = &place{c.domain, 1, false, p.spaces}
		}
		seen = make([][]Position, len(tokens))
		for _, v := range c.nodes {
			seen[v] = tokens[v]
		}
	}
	s := w.m.newShifter(c.domain, places, seen, movable)
	total, weights := 0.0, 0.0
	for _, v := range c.nodes {
		total += s.held[v]
		weights += float64(w.m.ring.Nodes[v].Weight.value())
	}
	tol, _ := w.goal.Tolerance.rat().Float64()
	slack := float64(w.goal.Slack) * float64(c.slackUnit(w.m))
	for v := range s.held {
		s.lo[v], s.hi[v] = math.Inf(-1), math.Inf(1)
	}
	for _, v := range c.nodes {
		ideal := total * float64(w.m.ring.Nodes[v].Weight.value()) / weights
		off := (tol*ideal + slack) * (1 - 1e-6)
		s.lo[v], s.hi[v] = ideal-off, ideal+off
	}
	return s
}

// needed counts nodes outside their bands.
func (s *shifter) needed() (n int) {
	for v := range s.held {
		if s.outside(int32(v), s.held[v]) > 0 {
			n++
		}
	}
	return n
}

// bytesBound is what any plan streams: all that is too much somewhere goes, all
// that lacks somewhere comes.
func (s *shifter) bytesBound() float64 {
	much, little := 0.0, 0.0
	for v, held := range s.held {
		much += max(0, held-s.hi[v])
		little += max(0, s.lo[v]-held)
	}
	return max(much, little)
}

// usualTokens is how many tokens the other nodes of a datacenter have.
func (w *work) usualTokens(v int) int {
	n := 1
	for u := range w.m.ring.Nodes {
		if w.m.dcOf[u] == w.m.dcOf[v] {
			n = max(n, len(w.m.ring.Nodes[u].Tokens))
		}
	}
	return n
}

// Allocate chooses count tokens for a node that joins, all at once: first where
// arcs are widest, then shifted, while they cost nothing yet, until the node and
// those it takes from come as near to their shares as they can.
func Allocate(r *Ring, j Join, count int, g Goal) ([]Position, error) {
	g.Join = append(slices.Clone(g.Join), j)
	w, err := newWork(r, g)
	if err != nil {
		return nil, err
	}
	if count < 1 || count > tokensMax/len(w.m.ring.Nodes) {
		return nil, fmt.Errorf("balance: %d tokens for a node", count)
	}
	tokens := make([][]Position, len(w.m.ring.Nodes))
	for v := range tokens {
		tokens[v] = slices.Clone(w.m.ring.Nodes[v].Tokens)
	}
	return w.allocate(tokens, w.m.byID[j.ID], count), nil
}

// allocate seeds the new tokens in the middle of the arcs that load their
// holders most, one holder after another, and shifts them.
func (w *work) allocate(tokens [][]Position, v, count int) []Position {
	c := w.circleOf(v)
	held := tokens[v]
	for len(held) < count {
		tokens[v] = held
		p, ok := w.seed(c, tokens, v)
		if !ok {
			break
		}
		held = append(held, p)
	}
	tokens[v] = held
	s := w.shifterFor(c, tokens, func(node int) bool { return node == v })
	total := 0.0
	for _, u := range c.nodes {
		if len(tokens[u]) > 0 {
			total += s.held[u]
		}
	}
	for _, u := range c.nodes { // as near to even as it gets
		ideal := total / float64(len(c.nodes))
		s.lo[u], s.hi[u] = ideal*0.98, ideal*1.02
	}
	s.run()
	for i, p := range s.start {
		if int(s.own[i]) == v {
			held[slices.Index(held, p)] = s.at[i]
		}
	}
	taken := make(map[Position]bool)
	for u := range tokens {
		if u != v {
			for _, p := range tokens[u] {
				taken[p] = true
			}
		}
	}
	for i := range held {
		for taken[held[i]] {
			held[i] = advance(held[i], At(1), w.m.size)
		}
		taken[held[i]] = true
	}
	tokens[v] = nil
	return held
}

func (w *work) circleOf(v int) *circle {
	for i := range w.circles {
		if slices.Contains(w.circles[i].nodes, v) {
			return &w.circles[i]
		}
	}
	return &w.circles[0]
}

// seed is the middle of the widest arc of the node that holds most.
func (w *work) seed(c *circle, tokens [][]Position, v int) (Position, bool) {
	s := w.shifterFor(c, tokens, nil)
	if len(s.at) == 0 {
		return Position{}, true
	}
	best, score := -1, 0.0
	for i := range s.at {
		if int(s.own[i]) == v {
			continue
		}
		width := after(s.at[(i+len(s.at)-1)%len(s.at)], s.at[i], w.m.size)
		if width.isZero() {
			width = w.m.size
		}
		if width.less(At(2)) {
			continue
		}
		if x := s.held[s.own[i]] * width.float(); x > score {
			best, score = i, x
		}
	}
	if best < 0 {
		return Position{}, false
	}
	left := s.at[(best+len(s.at)-1)%len(s.at)]
	width := after(left, s.at[best], w.m.size)
	if width.isZero() {
		width = w.m.size
	}
	return advance(left, width.half(), w.m.size), true
}
