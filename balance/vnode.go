package balance

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// bandParts are the parts of the tolerance that are aimed at when the whole of
// it is just missed: other shifts come first then.
func bandParts() []float64 { return []float64{0.8, 0.5, 0.2} }

// reachTries is how often a tolerance is widened to tell one that works.
const reachTries = 4

// tokenMoves plans for nodes of many tokens. Where no plan reaches the
// tolerance, the error names one that does.
func (w *work) tokenMoves() (*Plan, error) {
	plan, err := w.tokenMovesTo(1)
	if err == nil || w.missed == 0 {
		return plan, err
	}
	least := w.missed
	for _, part := range bandParts() {
		if closer, failed := w.tokenMovesTo(part); failed == nil {
			return closer, nil
		}
		least = min(least, w.missed)
	}
	goal := w.goal
	defer func() { w.goal = goal }()
	for range reachTries {
		least = math.Ceil(least*1.01*1e4) / 1e4
		if least >= 1 {
			break
		}
		w.goal.Tolerance = Decimal(strconv.FormatFloat(least, 'f', 4, 64))
		if _, failed := w.tokenMovesTo(1); failed == nil {
			return nil, &Impossible{Reason: fmt.Sprintf("no moves of tokens were found that reach tolerance %s; %s (%.2f %%) can be reached", goal.Tolerance, w.goal.Tolerance, 100*least)}
		}
	}
	return nil, err
}

// tokenMovesTo lets joiners get their tokens, leavers go, and then shifts single
// tokens until everybody is within that part of the tolerance.
func (w *work) tokenMovesTo(part float64) (*Plan, error) {
	w.missed, w.band = 0, 1
	var acts []act
	tokens := make([][]Position, len(w.m.ring.Nodes))
	for v := range tokens {
		tokens[v] = slices.Clone(w.m.ring.Nodes[v].Tokens)
	}
	for _, j := range w.goal.Join {
		v := w.m.byID[j.ID]
		at, err := w.allocate(tokens, v, w.usualTokens(v))
		if err != nil {
			return nil, err
		}
		tokens[v] = at
		acts = append(acts, act{op: opJoin, node: v, came: slices.Clone(at)})
	}
	for _, id := range w.goal.Leave {
		v := w.m.byID[id]
		acts = append(acts, act{op: opLeave, node: v, gone: tokens[v]})
		tokens[v] = nil
	}
	bound := 0.0
	for i := range w.circles {
		w.band = 1
		bound += w.shifterFor(&w.circles[i], tokens).bytesBound()
		w.band = part
		acts = append(acts, w.evenOut(&w.circles[i], tokens)...)
	}
	acts = w.fold(acts)
	sol := solution{proof: ProofHeuristic, bound: bound, bound0: len(w.goal.Join)+len(w.goal.Leave) > 0 || bound == 0}
	if len(acts) == 0 && w.settled() {
		sol.proof = ProofExhaustive
	}
	return w.finish(acts, sol)
}

// fold lets joiners come with the tokens that they would be moved to.
func (w *work) fold(acts []act) (out []act) {
	joined := make(map[int]int) // node to its act of out
	held := make(map[Position]bool)
	for v := range w.m.ring.Nodes {
		for _, p := range w.m.ring.Nodes[v].Tokens {
			held[p] = true
		}
	}
	for _, a := range acts {
		at, joins := joined[a.node]
		switch {
		case a.op == opJoin:
			joined[a.node] = len(out)
		case a.op == opMoveToken && joins && !held[a.came[0]]:
			came := out[at].came
			came[slices.Index(came, a.gone[0])] = a.came[0]
			continue
		}
		for _, p := range a.came { // from now on, or at some time
			held[p] = true
		}
		out = append(out, a)
	}
	return out
}

// Bounds of what is tried when shifts alone do not do.
const (
	shiftRounds   = 4       // in a row, for where density is not even
	jumpsPerNode  = 2       // tokens that go elsewhere
	jumpTries     = 8       // nodes looked at for a jump
	jumpTokensMax = 1 << 17 // of the ring
)

// evenOut moves single tokens of a circle, in tokens too, until all nodes are
// within their bands or nothing helps: shifts, which stream least, and where
// they end, the jump of a token to elsewhere.
func (w *work) evenOut(c *circle, tokens [][]Position) (acts []act) {
	shifts := 0
	for jumps := 0; ; {
		s := w.shifterFor(c, tokens)
		if s.needed() == 0 {
			return acts
		}
		if shifts++; shifts <= shiftRounds {
			s.run()
			s.reroute()
			if now := s.acts(); len(now) > 0 {
				acts = w.follow(acts, now, tokens)
				continue
			}
		}
		a, ok := w.jumpOf(s, tokens)
		if jumps++; !ok || jumps > jumpsPerNode*len(c.nodes) {
			return acts
		}
		acts, shifts = w.follow(acts, []act{a}, tokens), 0
	}
}

// follow does moves of tokens. A target that another datacenter holds gives way
// to the next free token.
func (w *work) follow(acts, now []act, tokens [][]Position) []act {
	for _, a := range now {
		if len(w.m.dcs) > 1 {
			a.came = giveWay(a.came, tokens, w.m.size)
		}
		at := tokens[a.node]
		at[slices.Index(at, a.gone[0])] = a.came[0]
		acts = append(acts, a)
	}
	return acts
}

// jumpOf is a jump of a token of one of the nodes that are most outside their
// bands.
func (w *work) jumpOf(s *shifter, tokens [][]Position) (a act, ok bool) {
	if len(s.at) > jumpTokensMax {
		return a, false
	}
	var order []int
	for v := range s.held {
		if s.outside(int32(v), s.held[v]) > 0 {
			order = append(order, v)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return compareFloat(s.outside(int32(b), s.held[b]), s.outside(int32(a), s.held[a]))
	})
	for _, v := range order[:min(len(order), jumpTries)] {
		if a, ok = w.jump(tokens, v); ok {
			return a, true
		}
	}
	return a, false
}

// shifterFor sets the bands of a circle. Outside of its members nobody moves.
func (w *work) shifterFor(c *circle, tokens [][]Position) *shifter {
	places, seen := w.counted(c, tokens)
	s := w.m.newShifter(c.domain, places, seen)
	total, weights := 0.0, 0.0
	for _, v := range c.nodes {
		total += s.held[v]
		weights += float64(w.m.ring.Nodes[v].Weight.value())
	}
	tol, _ := w.goal.Tolerance.rat().Float64()
	tol *= w.band
	slack := float64(float64(w.goal.Slack) * float64(c.slackUnit(w.m)))
	for v := range s.held {
		s.lo[v], s.hi[v] = math.Inf(-1), math.Inf(1)
	}
	for _, v := range c.nodes {
		ideal := total * float64(w.m.ring.Nodes[v].Weight.value()) / weights
		off := float64(tol*ideal) + slack
		s.margin[v] = float64(off * 1e-6)
		s.lo[v], s.hi[v] = ideal-off+s.margin[v], ideal+off-s.margin[v]
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
		much += max(0, held-s.hi[v]-s.margin[v])
		little += max(0, s.lo[v]-s.margin[v]-held)
	}
	return max(much, little)
}
