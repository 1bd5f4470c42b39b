package balance

import "slices"

// polisher improves a whole order of moves: a move goes to another place in it,
// or two moves exchange their targets, as long as that streams less.
type polisher struct {
	p     *problem
	r     *replay
	d     *domain
	acts  []act
	reach int     // tokens between moves that do not feel each other
	least float64 // less is rounding
}

// Bounds of polishing.
const (
	polishMax    = 150 // moves
	polishRounds = 4
)

// polish returns acts in an order that streams no more, and by how much less.
// Nodes that move twice are left alone.
func (p *problem) polish(acts []act) (out []act, saved float64) {
	nodes := map[int]bool{}
	for _, a := range acts {
		if nodes[a.node] || a.op != opMove {
			return acts, 0
		}
		nodes[a.node] = true
	}
	if len(acts) > polishMax {
		return acts, 0
	}
	q := &polisher{p: p, r: p.newLocalReplay(), acts: slices.Clone(acts), reach: 2}
	q.d = q.r.domains[p.c.domain]
	for _, pl := range p.places {
		q.reach = max(q.reach, 2*pl.factor+2)
		q.least += pl.between(Position{}, Position{}).float() * 1e-9
	}
	for range polishRounds {
		gain := 0.0
		for j := range q.acts {
			gain += q.earlier(j)
		}
		for j := len(q.acts) - 1; j >= 0; j-- {
			q.do(back(q.acts[j]))
		}
		gain += q.exchange()
		saved += gain
		if gain <= 0 {
			break
		}
	}
	return q.acts, saved
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

// earlier moves act j to where before it is best, and does the acts up to it.
func (q *polisher) earlier(j int) (gain float64) {
	y := q.acts[j]
	sum, to, i := 0.0, j, j
	for i > 0 {
		x := q.acts[i-1]
		if x.gone[0] == y.came[0] || x.came[0] == y.gone[0] {
			break
		}
		i--
		q.do(back(x))
		if q.near(x, y) {
			sum += q.pair(y, x) - q.pair(x, y)
		}
		if -sum > gain+q.least {
			gain, to = -sum, i
		}
	}
	if to < j {
		copy(q.acts[to+1:j+1], q.acts[to:j])
		q.acts[to] = y
	}
	for _, a := range q.acts[i : j+1] {
		q.do(a)
	}
	return gain
}

// near tells whether two moves begin or end so near that one may change what
// the other streams.
func (q *polisher) near(a, b act) bool {
	n := len(q.d.now.pos)
	for _, x := range [][]Position{a.gone, a.came} {
		i, _ := q.d.now.index(x[0])
		for _, y := range [][]Position{b.gone, b.came} {
			k, _ := q.d.now.index(y[0])
			if d := (i - k + n) % n; min(d, n-d) <= q.reach {
				return true
			}
		}
	}
	return false
}

// total is what all acts stream; false if a target is taken at its time.
func (q *polisher) total() (sum float64, ok bool) {
	ok = true
	done := 0
	for _, a := range q.acts {
		if _, taken := q.d.now.index(a.came[0]); taken {
			ok = false
			break
		}
		sum += q.do(a)
		done++
	}
	for ; done > 0; done-- {
		q.do(back(q.acts[done-1]))
	}
	return sum, ok
}

// exchange swaps targets of moves that go to neighbouring places.
func (q *polisher) exchange() (gain float64) {
	now, _ := q.total()
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
			if sum, ok := q.total(); ok && sum < now-q.least {
				gain += now - sum
				now = sum
				continue
			}
			a.came, b.came = b.came, a.came
		}
	}
	return gain
}
