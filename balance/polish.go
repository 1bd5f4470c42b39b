package balance

import "slices"

// polisher improves a whole order of moves: a move goes to an earlier place in
// it, or two moves exchange their targets, as long as that streams less.
type polisher struct {
	r     *replay
	d     *domain
	acts  []act // as they were given
	order []int
	place []int // by act: where in the order
	ends  []actEnd
	reach int     // tokens between moves that do not feel each other
	least float64 // less is rounding
}

// actEnd is where a move begins or ends.
type actEnd struct {
	at  Position
	act int
}

// Bounds of polishing.
const (
	polishRounds  = 4
	polishMax     = 600 // moves: more would take longer than all the rest
	polishSwapMax = 150 // of which targets are exchanged, too
)

// polish returns acts in an order that streams no more, and by how much less.
// Nodes that move twice are left alone.
func (p *problem) polish(acts []act) (out []act, saved float64) {
	if len(acts) > polishMax {
		return acts, 0
	}
	nodes := map[int]bool{}
	for _, a := range acts {
		if nodes[a.node] || a.op != opMove {
			return acts, 0
		}
		nodes[a.node] = true
	}
	q := &polisher{r: p.newLocalReplay(), acts: slices.Clone(acts), place: make([]int, len(acts))}
	q.d = q.r.domains[p.c.domain]
	for _, pl := range p.places {
		q.reach = max(q.reach, pl.factor+1)
		q.least += float64(pl.between(Position{}, Position{}).float() * 1e-9)
	}
	for i := range acts {
		q.order, q.place[i] = append(q.order, i), i
	}
	q.sortEnds()
	rounds := polishRounds
	if len(acts) > polishSwapMax {
		rounds = 1
	}
	first, ok := q.total()
	if !ok {
		return acts, 0
	}
	now := first
	for range rounds {
		before := slices.Clone(q.order)
		for j := range q.order {
			q.earlier(j)
		}
		for j := len(q.order) - 1; j >= 0; j-- {
			q.do(back(q.acts[q.order[j]]))
		}
		sum, ok := q.total()
		if !ok || sum > now-q.least {
			q.setOrder(before)
			sum = now
		}
		if len(acts) <= polishSwapMax {
			sum -= q.exchange(sum)
		}
		if sum > now-q.least {
			break
		}
		now = sum
	}
	for _, i := range q.order {
		out = append(out, q.acts[i])
	}
	if other := p.anneal(out); other != nil {
		q.acts = other
		for i := range other {
			q.order[i] = i
		}
		if sum, ok := q.total(); ok && sum < now-q.least {
			return other, first - sum
		}
	}
	return out, first - now
}

func (q *polisher) setOrder(order []int) {
	q.order = order
	for k, i := range order {
		q.place[i] = k
	}
}

func (q *polisher) sortEnds() {
	q.ends = q.ends[:0]
	for i, a := range q.acts {
		q.ends = append(q.ends, actEnd{a.gone[0], i}, actEnd{a.came[0], i})
	}
	slices.SortFunc(q.ends, func(a, b actEnd) int { return a.at.cmp(b.at) })
}

func back(a act) act { return act{op: a.op, node: a.node, gone: a.came, came: a.gone} }

func (q *polisher) do(a act) float64 { return q.r.apply(a, nil).bytes.float() }

// pair is what two moves stream, one after the other.
func (q *polisher) pair(a, b act) float64 {
	sum := q.do(a) + q.do(b)
	q.do(back(b))
	q.do(back(a))
	return sum
}

// earlier takes the move at place j to where before it is best. All before it are
// done; then it is done, too. Moves far from it do not feel whether they come
// before it or after it, and stay as they are.
func (q *polisher) earlier(j int) {
	y := q.acts[q.order[j]]
	sum, gain, to := 0.0, 0.0, j
	var undone []act
	for _, i := range q.near(j) {
		x := q.acts[i]
		if _, taken := q.d.now.index(x.gone[0]); taken || x.gone[0] == y.came[0] || x.came[0] == y.gone[0] {
			break
		}
		q.do(back(x))
		undone = append(undone, x)
		sum += q.pair(y, x) - q.pair(x, y)
		if -sum > gain+q.least {
			gain, to = -sum, q.place[i]
		}
	}
	if to < j {
		i := q.order[j]
		copy(q.order[to+1:j+1], q.order[to:j])
		q.order[to] = i
		for k := to; k <= j; k++ {
			q.place[q.order[k]] = k
		}
	}
	for _, x := range slices.Backward(undone) {
		q.do(x)
	}
	q.do(y)
}

// near lists the moves before place j that begin or end so near that one may
// change what the other streams, the last first.
func (q *polisher) near(j int) (out []int) {
	y := q.acts[q.order[j]]
	n := len(q.d.now.pos)
	for _, p := range []Position{y.gone[0], y.came[0]} {
		at, _ := q.d.now.index(p)
		span := min(q.reach, (n-1)/2)
		first, last := q.d.now.pos[(at-span-1+2*n)%n], q.d.now.pos[(at+span)%n]
		width := after(first, last, q.r.m.size)
		from, _ := slices.BinarySearchFunc(q.ends, first, func(e actEnd, p Position) int { return e.at.cmp(p) })
		for k := range q.ends {
			e := q.ends[(from+k)%len(q.ends)]
			if width.less(after(first, e.at, q.r.m.size)) {
				break
			}
			if q.place[e.act] < j {
				out = append(out, e.act)
			}
		}
	}
	slices.SortFunc(out, func(a, b int) int { return q.place[b] - q.place[a] })
	return slices.Compact(out)
}

// total is what all moves stream; false if a target is taken at its time.
func (q *polisher) total() (sum float64, ok bool) {
	ok = true
	done := 0
	for _, i := range q.order {
		if _, taken := q.d.now.index(q.acts[i].came[0]); taken {
			ok = false
			break
		}
		sum += q.do(q.acts[i])
		done++
	}
	for ; done > 0; done-- {
		q.do(back(q.acts[q.order[done-1]]))
	}
	return sum, ok
}

// exchange swaps targets of moves that go to neighbouring places; now is what
// all stream.
func (q *polisher) exchange(now float64) (gain float64) {
	byEnd := make([]int, len(q.acts))
	for i := range byEnd {
		byEnd[i] = i
	}
	slices.SortFunc(byEnd, func(a, b int) int { return q.acts[a].came[0].cmp(q.acts[b].came[0]) })
	for k := range byEnd {
		for far := 1; far <= 2 && len(byEnd) > far; far++ {
			a, b := &q.acts[byEnd[k]], &q.acts[byEnd[(k+far)%len(byEnd)]]
			if a.gone[0] == b.came[0] || b.gone[0] == a.came[0] {
				continue
			}
			a.came, b.came = b.came, a.came
			if sum, ok := q.total(); ok && sum < now-gain-q.least {
				gain = now - sum
				continue
			}
			a.came, b.came = b.came, a.came
		}
	}
	q.sortEnds()
	return gain
}
