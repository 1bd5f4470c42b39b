package balance

import (
	"math"
	"slices"
	"sort"
)

// intervals are, by place, where nodes' ranges begin and end in bytes along the
// ring, as SimpleStrategy gives them: the factor arcs up to a token.
type intervals struct {
	total      []float64
	begin, end [][]float64
}

// along measures places at positions.
func (p *problem) along(pl *place, at []Position) []float64 {
	out := make([]float64, len(at))
	for i, x := range at {
		var sum amount
		for _, s := range pl.spaces {
			sum = sum.add(s.upTo(x))
		}
		out[i] = sum.float()
	}
	return out
}

// intervalsOf is for tokens in ring order.
func (p *problem) intervalsOf(at []Position) intervals {
	var out intervals
	for _, pl := range p.places {
		total := 0.0
		for _, s := range pl.spaces {
			total += s.total.float()
		}
		g := p.along(pl, at)
		begin := make([]float64, len(at))
		for i := range at {
			if pl.factor >= len(at) {
				begin[i] = g[i] - total
				continue
			}
			k := i - pl.factor
			if k >= 0 {
				begin[i] = g[k]
			} else {
				begin[i] = g[k+len(at)] - total
			}
		}
		out.total, out.begin, out.end = append(out.total, total), append(out.begin, begin), append(out.end, g)
	}
	return out
}

// overlap is what interval i of a shares with interval j of b.
func (a *intervals) overlap(i int, b *intervals, j int) (sum float64) {
	for k, total := range a.total {
		for turn := -1; turn <= 1; turn++ {
			shift := float64(float64(turn) * total)
			lo := max(a.begin[k][i], b.begin[k][j]+shift)
			hi := min(a.end[k][i], b.end[k][j]+shift)
			if hi > lo {
				sum += hi - lo
			}
		}
	}
	return sum
}

// edge is how much of what a mover holds it keeps in a slot.
type edge struct {
	slot int // index among the free slots
	keep float64
}

// edges lists for every mover the free slots where it keeps something.
func (p *problem) edges(movers []int, free []int, was, will *intervals) [][]edge {
	out := make([][]edge, len(movers))
	widest := p.widest() // no slot overlaps elsewhere only
	ends := will.end[widest]
	total := will.total[widest]
	for i, v := range movers {
		if v >= len(p.held) {
			continue // it joins
		}
		from := was.begin[widest][v]
		if from < 0 {
			from += total
		}
		at := sort.Search(len(free), func(k int) bool { return ends[free[k]] > from })
		for n := range free {
			slot := (at + n) % len(free)
			keep := was.overlap(v, will, free[slot])
			if keep > 0 {
				out[i] = append(out[i], edge{slot, keep})
				continue
			}
			if len(out[i]) > 0 || n > 2*p.places[widest].factor+2 {
				break
			}
		}
	}
	return out
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// auction matches movers to free slots for the most that is kept. Its prices
// prove how much any matching can keep at most. A mover may stay unmatched: -1.
func auction(edges [][]edge, slots int) (match []int, most float64) {
	price := make([]float64, slots)
	owner := make([]int, slots)
	for i := range owner {
		owner[i] = -1
	}
	match = make([]int, len(edges))
	top := 0.0
	queue := make([]int, 0, len(edges))
	for i := range edges {
		match[i] = -1
		queue = append(queue, i)
		for _, e := range edges[i] {
			top = max(top, e.keep)
		}
	}
	step := float64(top * auctionStep)
	for bids := 0; len(queue) > 0 && bids < auctionBids*len(edges); bids++ {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		best, second, at := 0.0, 0.0, -1
		for _, e := range edges[i] {
			if v := e.keep - price[e.slot]; v > best {
				best, second, at = v, best, e.slot
			} else if v > second {
				second = v
			}
		}
		if at < 0 {
			continue
		}
		price[at] += best - second + step
		if was := owner[at]; was >= 0 {
			match[was] = -1
			queue = append(queue, was)
		}
		owner[at], match[i] = i, at
	}
	for _, p := range price {
		most += p
	}
	for i := range edges {
		best := 0.0
		for _, e := range edges[i] {
			best = max(best, e.keep-price[e.slot])
		}
		most += best
	}
	return match, most
}

// The auction's step, as part of the largest keep, bounds its error per mover;
// auctionBids per mover bounds its length.
const (
	auctionStep = 1e-4
	auctionBids = 400
)

// circular matches sources to sinks on a ring, as many of each and both in ring
// order, with the least distance: the matching keeps the order, and its offset
// is the median of how many more sources than sinks lie behind a point, weighed
// by distance (Werman, Peleg, Melter, Kong 1986).
func circular(sources, sinks []float64, total float64) []int {
	n := len(sources)
	out := make([]int, n)
	if n == 0 {
		return out
	}
	type stretch struct {
		excess int
		length float64
	}
	var all []stretch
	i, j, excess, last := 0, 0, 0, 0.0
	for i < n || j < n {
		var x float64
		if j == n || i < n && sources[i] <= sinks[j] {
			x = sources[i]
			all = append(all, stretch{excess, x - last})
			excess++
			i++
		} else {
			x = sinks[j]
			all = append(all, stretch{excess, x - last})
			excess--
			j++
		}
		last = x
	}
	all = append(all, stretch{0, total - last})
	slices.SortFunc(all, func(a, b stretch) int { return a.excess - b.excess })
	half, median := total/2, 0
	for _, s := range all {
		if half -= s.length; half <= 0 {
			median = s.excess
			break
		}
	}
	best := math.Inf(1)
	for _, shift := range []int{median, -median} {
		cost := 0.0
		for i := range sources {
			d := math.Abs(sources[i] - sinks[((i+shift)%n+n)%n])
			cost += min(d, total-d)
		}
		if cost < best {
			best = cost
			for i := range out {
				out[i] = ((i+shift)%n + n) % n
			}
		}
	}
	return out
}
