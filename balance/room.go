package balance

import (
	"errors"
	"math"
	"math/big"
	"slices"
)

// rooms is by node how many bytes more than now it may hold at any time; nil if
// no disk is known, or no bytes are.
func (m *model) rooms(g *Goal) (out []float64) {
	if !m.ring.Measured() {
		return nil
	}
	any := false
	for i := range m.ring.Nodes {
		room := math.Inf(1)
		if free := m.ring.Nodes[i].DiskFree; free != nil {
			any = true
			rat := new(big.Rat).SetInt(new(big.Int).Mul(free, pow10(m.scale)))
			room, _ = rat.Mul(rat, new(big.Rat).Sub(big.NewRat(1, 1), g.Headroom.rat())).Float64()
		}
		out = append(out, room)
	}
	if !any {
		return nil
	}
	return out
}

// crowded tells that a plan is not possible because it fills a disk.
func crowded(err error) bool {
	var e *Impossible
	return errors.As(err, &e) && e.crowded
}

// othersMax is how many other ways are tried when one fills a disk.
const othersMax = 16

// roomier looks for a plan that fills no disk: other ways of the circles, each
// also in another order; err is of the one that does.
func (w *work) roomier(ways []solution, total solution, err error) (*Plan, error) {
	for k := range othersMax {
		lists, more := make([][]act, len(ways)), k == 0
		for i := range ways {
			all := append(slices.Clone(ways[i].alts), ways[i].others...)
			more = more || k < len(all)
			lists[i] = all[min(k, len(all)-1)]
		}
		if !more {
			break
		}
		slack := w.goal.Slack
		acts, shifted := w.interleave(lists)
		s := total
		s.proof = ProofHeuristic
		if plan, failed := w.finish(acts, s); failed == nil && !shifted {
			return plan, nil
		}
		if again, ok := w.byRoom(acts); ok && !shifted {
			if plan, failed := w.finish(again, s); failed == nil {
				return plan, nil
			}
		}
		w.goal.Slack = slack
	}
	return nil, err
}

// byRoom puts acts into an order in which nobody's disk is too full: always the
// first one that is possible and fits.
func (w *work) byRoom(acts []act) (out []act, ok bool) {
	rooms := w.m.rooms(&w.goal)
	if rooms == nil {
		return nil, false
	}
	r := newReplay(w.m)
	start := slices.Clone(r.stored)
	todo := slices.Clone(acts)
	for len(todo) > 0 {
		next := slices.IndexFunc(todo, func(a act) bool {
			if r.check(a) != nil || a.op == opLeave && !slices.Equal(a.gone, r.tokens[a.node]) {
				return false
			}
			r.apply(a, nil)
			fits := true
			for _, v := range r.touched {
				had, has := start[v].float(), r.stored[v].add(r.loss[v]).add(r.left[v]).float()
				fits = fits && has-had <= rooms[v]
			}
			if !fits {
				r.apply(act{op: a.op, node: a.node, gone: a.came, came: a.gone}, nil)
				return false
			}
			for _, v := range r.touched {
				if w.goal.Cleanup == CleanupDeferred {
					r.left[v] = r.left[v].add(r.loss[v])
				}
			}
			return true
		})
		if next < 0 {
			return nil, false
		}
		out = append(out, todo[next])
		todo = slices.Delete(todo, next, next+1)
	}
	return out, true
}
