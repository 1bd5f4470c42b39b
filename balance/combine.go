package balance

import "slices"

// combinations bounds how many choices of equally good ways are compared.
const combinations = 4096

// combine picks one way for every circle, of those that are equally good within
// it: one that needs no token that another circle's node holds, then the least
// rack score. all tells that every choice was looked at.
func (w *work) combine(ways []solution) (lists [][]act, all bool) {
	choice := make([]int, len(ways))
	pick := func() [][]act {
		out := make([][]act, len(ways))
		for i, k := range choice {
			out[i] = ways[i].alts[k]
		}
		return out
	}
	if len(ways) < 2 {
		return pick(), true
	}
	bestScore, bestShift := 0, true
	tried := 0
	all = true
	for _, s := range ways {
		all = all && len(s.alts) < altsMax
	}
	for {
		tried++
		now := pick()
		_, far := w.weave(now, nil)
		shift := far > 0
		score := 0
		if w.goal.Racks != RacksIgnore {
			score = w.endScore(now)
		}
		if tried == 1 || bestShift && !shift || shift == bestShift && score < bestScore {
			lists, bestScore, bestShift = now, score, shift
		}
		if !bestShift && bestScore == 0 {
			return lists, true
		}
		if tried >= combinations {
			return lists, false
		}
		if !turn(choice, ways) {
			return lists, all
		}
	}
}

// turn counts choice on, like an odometer.
func turn(choice []int, ways []solution) bool {
	for i := range choice {
		if choice[i]++; choice[i] < len(ways[i].alts) {
			return true
		}
		choice[i] = 0
	}
	return false
}

// endScore is the rack score after all acts.
func (w *work) endScore(lists [][]act) (score int) {
	tokens := make([][]Position, len(w.m.ring.Nodes))
	for v := range tokens {
		tokens[v] = w.m.ring.Nodes[v].Tokens
	}
	for _, list := range lists {
		for _, a := range list {
			tokens[a.node] = a.came
		}
	}
	for dc := range w.m.dcs {
		l := w.m.newLayout(dc, tokens)
		score += windows(w.m, l.own, w.m.window(dc, l.racks))
	}
	return score
}

// interleave makes one order of the circles' orders: a circle waits while the
// token it wants is held elsewhere. Where circles wait for each other, or for a
// node that stays, the target is the next free token, and the goal gets slack.
func (w *work) interleave(lists [][]act) (out []act, shifted bool) {
	out, far := w.weave(lists, []act{})
	if far > 0 { // arcs are off by as much, on top of their rounding
		w.goal.Slack = max(w.goal.Slack, far+1)
	}
	return out, far > 0
}

// weave is interleave; without a place for the result it only looks how far
// targets have to shift.
func (w *work) weave(lists [][]act, out []act) (_ []act, farthest uint64) {
	taken := make(map[Position]bool)
	for v := range w.m.ring.Nodes {
		for _, p := range w.m.ring.Nodes[v].Tokens {
			taken[p] = true
		}
	}
	final := make(map[Position]bool)
	for _, list := range lists {
		for _, a := range list {
			for _, p := range a.came {
				final[p] = true
			}
		}
	}
	at := make([]int, len(lists))
	moved := make(map[int]Position) // where a node is that was sent elsewhere
	done := func(i int, a act) {
		for _, p := range a.gone {
			delete(taken, p)
		}
		for _, p := range a.came {
			taken[p] = true
		}
		at[i]++
		if out != nil {
			out = append(out, a)
		}
	}
	for {
		progress, waiting := false, -1
		for i, list := range lists {
			for at[i] < len(list) {
				a := list[at[i]]
				if p, ok := moved[a.node]; ok && len(a.gone) == 1 {
					a.gone = []Position{p}
					delete(moved, a.node)
				}
				if slices.ContainsFunc(a.came, func(p Position) bool { return taken[p] }) {
					waiting = i
					break
				}
				done(i, a)
				progress = true
			}
		}
		if progress {
			continue
		}
		if waiting < 0 {
			return out, farthest
		}
		a := lists[waiting][at[waiting]]
		p := a.came[0]
		far := uint64(0)
		for taken[p] || final[p] {
			if p, far = advance(p, At(1), w.m.size), far+1; far > uint64(len(taken)+len(final)) {
				return out, farthest // no token is free: the plan ends here, and its check says so
			}
		}
		farthest = max(farthest, far)
		a.came = []Position{p}
		moved[a.node] = p
		done(waiting, a)
	}
}
