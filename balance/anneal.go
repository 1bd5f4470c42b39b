package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// annealer improves an order of moves by chance (Kirkpatrick, Gelatt, Vecchi
// 1983): a move changes its place in the order, or two moves exchange their
// targets, and what is worse is taken, too, ever less of it. The state after the
// steps that change is the same as it was, so only those are looked at. It is for
// replicas that are the arcs up to a token, in data that is even.
type annealer struct {
	factor   []int     // by place
	weight   []float64 // by place: bytes of the whole ring
	from, to []float64 // by move, as parts of the ring
	order    []int     // moves
	place    []int     // by move: where in the order
	before   [][]float64
	cost     []float64 // by step, as before: the tokens then
	trial    [][]float64
	trialOf  []float64
	byEnd    []int // moves, by target
	rnd      *rand.Rand
}

// Bounds of annealing.
const (
	annealMovesMax = 150
	annealTries    = 5000 // per move
	annealTriesMax = 400000
	annealHot      = 0.2 // arcs of loss that are taken at first
	annealStages   = 1024
	annealCool     = 0.9962 // from a stage to the next; so at last a fiftieth
)

// anneal returns acts in an order that may stream less, by its own measure; nil
// where it cannot tell.
func (p *problem) anneal(acts []act) (out []act) {
	a := p.newAnnealer(acts)
	if a == nil {
		return nil
	}
	slots := make(map[float64]Position, len(acts))
	for i, x := range acts {
		slots[a.to[i]] = x.came[0]
	}
	a.run(len(p.held), annealTriesMax*len(acts)/len(p.m.ring.Nodes))
	for _, i := range a.order {
		x := acts[i]
		x.came = []Position{slots[a.to[i]]}
		out = append(out, x)
	}
	return out
}

func (p *problem) newAnnealer(acts []act) *annealer {
	n := len(p.held)
	if len(acts) > annealMovesMax || len(acts) < 2 || !p.axis.plain || !p.slotsDecide() || len(p.leave) > 0 || n != len(p.stay) {
		return nil
	}
	a := &annealer{rnd: rand.New(rand.NewPCG(1, 1))}
	for _, pl := range p.places {
		if pl.factor >= n {
			continue // everybody holds all of it, always
		}
		a.factor = append(a.factor, pl.factor)
		a.weight = append(a.weight, pl.between(Position{}, Position{}).float())
	}
	size := p.m.size.float()
	for i, x := range acts {
		a.from, a.to = append(a.from, x.gone[0].float()/size), append(a.to, x.came[0].float()/size)
		a.order, a.place, a.byEnd = append(a.order, i), append(a.place, i), append(a.byEnd, i)
	}
	a.cost, a.trialOf = make([]float64, len(acts)), make([]float64, len(acts))
	for range len(acts) + 1 {
		a.before, a.trial = append(a.before, make([]float64, n)), append(a.trial, make([]float64, n))
	}
	for i, h := range p.held {
		a.before[0][i] = h.float() / size
	}
	slices.SortFunc(a.byEnd, func(i, j int) int { return compareFloat(a.to[i], a.to[j]) })
	a.segment(0, len(acts)-1, math.Inf(1))
	a.take(0, len(acts)-1)
	return a
}

// run tries at most so often, so that many circles take no longer than one.
func (a *annealer) run(nodes, most int) {
	sum := 0.0
	for _, w := range a.weight {
		sum += w
	}
	tries := max(1, min(annealTries*len(a.order), most))
	heat := annealHot * sum / float64(nodes)
	for i := range tries {
		if i*annealStages/tries > (i-1)*annealStages/tries {
			heat *= annealCool
		}
		bad := float64(heat * a.exponential())
		if a.rnd.IntN(3) > 0 {
			a.relocate(bad)
		} else {
			a.exchange(bad)
		}
	}
}

// exponential is a number by chance, one on average, as exponential distribution
// has it: by comparing alone (von Neumann 1951), for a logarithm may differ from
// machine to machine, and plans must not.
func (a *annealer) exponential() float64 {
	for whole := 0.0; ; whole++ {
		first := float64(a.rnd.Float64()) // rounded: it is a product inside
		last, odd := first, true
		for {
			next := a.rnd.Float64()
			if next >= last {
				break
			}
			last, odd = next, !odd
		}
		if odd {
			return whole + first
		}
	}
}

// relocate tries another place for a move; it may be worse by so much.
func (a *annealer) relocate(bad float64) {
	n := len(a.order)
	i := a.rnd.IntN(n)
	j := i + a.rnd.IntN(21) - 10
	if a.rnd.IntN(8) == 0 {
		j = a.rnd.IntN(n)
	}
	if j == i || j < 0 || j >= n {
		return
	}
	first, last := min(i, j), max(i, j)
	a.shift(i, j)
	if a.segment(first, last, bad) {
		a.take(first, last)
		return
	}
	a.shift(j, i)
}

func (a *annealer) shift(from, to int) {
	x := a.order[from]
	if from < to {
		copy(a.order[from:to], a.order[from+1:to+1])
	} else {
		copy(a.order[to+1:from+1], a.order[to:from])
	}
	a.order[to] = x
}

// exchange tries to swap the targets of two moves, mostly of neighbours.
func (a *annealer) exchange(bad float64) {
	n := len(a.order)
	k := a.rnd.IntN(n)
	l := (k + 1 + a.rnd.IntN(3)) % n
	if a.rnd.IntN(4) == 0 {
		l = a.rnd.IntN(n)
	}
	i, j := a.byEnd[k], a.byEnd[l]
	if i == j {
		return
	}
	swap := func() {
		a.to[i], a.to[j] = a.to[j], a.to[i]
		a.byEnd[k], a.byEnd[l] = a.byEnd[l], a.byEnd[k]
	}
	swap()
	first, last := min(a.place[i], a.place[j]), max(a.place[i], a.place[j])
	if a.segment(first, last, bad) {
		a.take(first, last)
		return
	}
	swap()
}

// segment does the steps first to last as they are now ordered, on trial; false
// if they stream more than before by more than bad.
func (a *annealer) segment(first, last int, bad float64) bool {
	left := bad
	for k := first; k <= last; k++ {
		left += a.cost[k]
	}
	at := a.before[first]
	for k := first; k <= last; k++ {
		next := a.trial[k+1]
		a.trialOf[k] = a.step(at, next, a.order[k])
		if left -= a.trialOf[k]; left < 0 {
			return false
		}
		at = next
	}
	return true
}

// take makes what was on trial the order.
func (a *annealer) take(first, last int) {
	for k := first; k <= last; k++ {
		a.before[k+1], a.trial[k+1] = a.trial[k+1], a.before[k+1]
		a.cost[k] = a.trialOf[k]
		a.place[a.order[k]] = k
	}
}

// step writes the tokens after a move, and returns what it streams: what its
// node holds before or after but not both.
func (a *annealer) step(at, next []float64, move int) (bytes float64) {
	i := sort.SearchFloat64s(at, a.from[move])
	j := sort.SearchFloat64s(at, a.to[move])
	copy(next, at)
	if j > i {
		j--
		copy(next[i:j], at[i+1:j+1])
	} else {
		copy(next[j+1:i+1], at[j:i])
	}
	next[j] = a.to[move]
	for k, factor := range a.factor {
		l1, r1 := arcsUpTo(at, i, factor)
		l2, r2 := arcsUpTo(next, j, factor)
		both := 0.0
		for turn := -1.0; turn <= 1; turn++ {
			both += max(0, min(r1, r2+turn)-max(l1, l2+turn))
		}
		bytes += float64(a.weight[k] * (r1 - l1 + r2 - l2 - 2*both))
	}
	return bytes
}

// arcsUpTo is where that many arcs up to token i begin and end.
func arcsUpTo(at []float64, i, factor int) (left, right float64) {
	if k := i - factor; k >= 0 {
		return at[k], at[i]
	}
	return at[i-factor+len(at)] - 1, at[i]
}
