package balance

import "math"

// smallEnd is who sits where in one circle: by class a bit for each token.
type smallEnd [smallMembers]uint64

// walkable tells that bytes come first, and that all states of the ring are few
// enough to walk them to whichever end comes first. Ends alone may be far more
// than states: those of several circles multiply.
func (s *small) walkable() bool {
	if s.byMoves || !s.tiny {
		return false
	}
	states, size := 1.0, s.m.size.float()
	for i := range s.node {
		states *= size - float64(i)
		if s.joins>>i&1 == 1 || s.leaves>>i&1 == 1 {
			states *= 1 + 1/(size-float64(len(s.node))+1) // or it holds no token
		}
	}
	return states*float64(len(s.node))*max(1, size-float64(len(s.node))) <= float64(s.most)
}

// cheapest finds the balanced end that is reached with the least bytes.
func (s *small) cheapest(lists [][]shape) (best outcome) {
	g := s.ground(&shape{}, true)
	g.budget = math.MaxInt
	ends := make([]map[smallEnd]bool, len(lists))
	for i, list := range lists {
		ends[i] = make(map[smallEnd]bool, len(list))
		for _, x := range list {
			var e smallEnd
			for k, at := range x.at {
				e[x.class[k]] |= 1 << g.find(at)
			}
			ends[i][e] = true
		}
	}
	g.walk(math.Inf(1), func(n *smallNode) bool {
		if best.found && n.bytes > best.bytes && !near(n.bytes, best.bytes) && (best.score == 0 || !s.goal.racksFirst()) {
			return true
		}
		o := outcome{bytes: n.bytes, moves: n.moves, found: s.ended(&n.state, ends)}
		if !o.found {
			return false
		}
		if s.goal.Racks != RacksIgnore {
			o.score = s.score(g.shapeAt(&n.state))
		}
		if best.found && s.goal.racksFirst() && o.score != best.score {
			if o.score > best.score {
				return false
			}
			best = outcome{}
		}
		switch o.acts = g.acts(n); {
		case o.less(&best, s.goal.Objective):
			best = o
			best.alts = [][]act{o.acts}
		case !best.less(&o, s.goal.Objective) && len(best.alts) < altsMax:
			best.alts = append(best.alts, o.acts)
		}
		return false
	})
	return best
}

// ended tells that every circle is balanced, and all who join or leave have.
func (s *small) ended(state *smallState, ends []map[smallEnd]bool) bool {
	at := make([]smallEnd, len(ends))
	for i, c := range s.class {
		if c < 0 != (state[i] == 0) {
			return false
		}
		if c >= 0 {
			at[s.classes[c].circle][c] |= 1 << (state[i] - 1)
		}
	}
	for i := range ends {
		if !ends[i][at[i]] {
			return false
		}
	}
	return true
}

// shapeAt is the ring of a state in which nobody is missing.
func (g *smallGround) shapeAt(state *smallState) *shape {
	x := &shape{}
	for i, c := range g.s.class {
		if c >= 0 {
			x.at, x.class = append(x.at, g.at[state[i]-1]), append(x.class, uint8(c))
		}
	}
	return x
}
