package balance

import (
	"math"
	"slices"
)

// arrangement says who sits where in the end: member[i] of stay at at[i].
type arrangement struct {
	at     []Position
	member []int
	score  int
	moves  int
	net    float64
}

// solveArranged is for circles where it matters who sits in which slot: weights
// differ, or the racks have to alternate.
func (p *problem) solveArranged() solution {
	var all []arrangement
	if p.even {
		all = p.periodic()
	} else {
		all = p.presentOrder()
	}
	var best outcome
	var others [][]act
	for i := range all {
		o := p.wayTo(&all[i])
		others = append(others, o.acts)
		if o.less(&best, p.goal.Objective) {
			best = o
		}
	}
	best.others = others
	return p.solution(best, false)
}

// arrangementsMax is how many arrangements are followed: those that promise most.
const arrangementsMax = 4

// promising adds an arrangement to those that promise most: whose racks
// alternate best where they lead, and that take the fewest moves where those
// come first; of them, those that stream least.
func (p *problem) promising(all []arrangement, a arrangement) []arrangement {
	p.count(&a)
	compare := func(b *arrangement) int {
		switch {
		case a.score != b.score && p.racksLead():
			return a.score - b.score
		case a.moves != b.moves && p.goal.movesFirst():
			return a.moves - b.moves
		}
		return 0
	}
	if len(all) == arrangementsMax && compare(&all[len(all)-1]) > 0 {
		return all
	}
	a.net = p.net(&a)
	at := len(all)
	for at > 0 {
		c := compare(&all[at-1])
		if c > 0 || c == 0 && a.net >= all[at-1].net {
			break
		}
		at--
	}
	if at >= arrangementsMax {
		return all
	}
	all = slices.Insert(all, at, a)
	return all[:min(len(all), arrangementsMax)]
}

// wayTo orders the moves to an arrangement.
func (p *problem) wayTo(a *arrangement) outcome {
	acts := p.actsOf(a)
	if len(acts) == 0 {
		return outcome{found: true, score: a.score}
	}
	ordered, bytes := p.order(acts, nil, nil)
	return outcome{bytes: bytes, moves: countMoves(ordered), score: a.score, acts: ordered, found: len(ordered) >= len(acts)}
}

func (p *problem) actsOf(a *arrangement) (out []act) {
	for i, m := range a.member {
		step := act{op: opMove, node: p.stay[m], came: []Position{a.at[i]}}
		if m >= len(p.held) {
			step.op = opJoin
		} else if p.held[m] == a.at[i] {
			continue
		} else {
			step.gone = []Position{p.held[m]}
		}
		out = append(out, step)
	}
	for i, v := range p.leave {
		out = append(out, act{op: opLeave, node: v, gone: []Position{p.gone[i]}})
	}
	return out
}

// net is what an arrangement streams at least where slots decide, but for a sum
// that all have in common; a guide else.
func (p *problem) net(a *arrangement) (sum float64) {
	was, will := p.intervalsOf(p.held), p.intervalsOf(a.at)
	for i, m := range a.member {
		if m < len(p.held) {
			sum -= was.overlap(m, &will, i)
		}
	}
	return sum
}

// plainMoves counts nodes that leave their token, without the parking.
func (p *problem) plainMoves(a *arrangement) (n int) {
	for i, m := range a.member {
		if m < len(p.held) && p.held[m] != a.at[i] {
			n++
		}
	}
	return n
}

// count fills in what an arrangement costs in moves, one more for every circle
// of nodes that wait for each other, and its rack score.
func (p *problem) count(a *arrangement) {
	a.moves = p.plainMoves(a)
	if p.goal.Racks != RacksIgnore && p.c.rack < 0 {
		own := make([]int32, len(a.member))
		for i, m := range a.member {
			own[i] = int32(p.stay[m])
		}
		a.score = p.score(own)
	}
	waits := make([]int, len(p.held)) // for whom: -1 for nobody
	for i := range waits {
		waits[i] = -1
	}
	for i, m := range a.member {
		if k, ok := slices.BinarySearchFunc(p.held, a.at[i], Position.cmp); ok && m < len(p.held) && k != m {
			waits[m] = k
		}
	}
	state := make([]int, len(waits)) // the walk that has seen it
	for m := range waits {
		for k := m; k >= 0; k = waits[k] {
			if state[k] == m+1 {
				a.moves++
			}
			if state[k] != 0 {
				break
			}
			state[k] = m + 1
		}
	}
}

func permute(perm []int, k int, visit func()) {
	if k == len(perm) {
		visit()
		return
	}
	for i := k; i < len(perm); i++ {
		perm[k], perm[i] = perm[i], perm[k]
		permute(perm, k+1, visit)
		perm[k], perm[i] = perm[i], perm[k]
	}
}

func (p *problem) sortArrangement(a *arrangement) {
	order := make([]int, len(a.at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return a.at[x].cmp(a.at[y]) })
	at, member := make([]Position, len(order)), make([]int, len(order))
	for i, k := range order {
		at[i], member[i] = a.at[k], a.member[k]
	}
	a.at, a.member = at, member
}

func (p *problem) weight(member int) uint64 { return p.m.ring.Nodes[p.stay[member]].Weight.value() }

// presentOrder keeps the order that the members have and turns the weighted
// ring so that most of them stay.
func (p *problem) presentOrder() []arrangement {
	order := make([]int, len(p.stay))
	for i := range order {
		order[i] = i // joiners behind the last token
	}
	var out []arrangement
	starts := len(p.held)
	if starts > sizeMany {
		starts = sizeMany
	}
	for k := range starts {
		from := k * len(p.held) / starts
		turned := append(slices.Clone(order[from:]), order[:from]...)
		a := arrangement{at: p.stretched(turned), member: turned}
		p.sortArrangement(&a)
		out = p.promising(out, a)
	}
	return out
}

// stretched is the weighted ring in a given order in which as many members stay
// as the tolerance lets, the first of them among those.
func (p *problem) stretched(order []int) []Position {
	total := uint64(0)
	for _, m := range order {
		total += p.weight(m)
	}
	first := p.axis.of(p.held[order[0]])
	var links []link
	sums := make([]uint64, len(order)+1)
	topLow, topHigh := p.cone(total, total)
	topRising, topFalling := p.axis.size.sub(topLow), topHigh.sub(p.axis.size)
	shift := coarseBy(topRising, topFalling)
	for i, m := range order {
		if i > 0 {
			sums[i] = sums[i-1] + p.weight(m)
		}
		if i == 0 || m >= len(p.held) {
			continue
		}
		d := after(first, p.axis.of(p.held[m]), p.axis.size)
		low, high := p.cone(sums[i], total)
		if d.less(low) || high.less(d) {
			continue
		}
		rising, falling := d.sub(low), high.sub(d)
		if topRising.less(rising) || topFalling.less(falling) {
			continue
		}
		links = append(links, link{coarse(rising, shift), coarse(falling, shift), int32(i), int32(i)})
	}
	keep := append(longest(sortLinks(links), 0), keeper{0, len(order)})
	sums[len(order)] = total
	at := make([]Position, len(order))
	for k := range len(keep) - 1 {
		from, to := p.held[order[keep[k].slot]], p.held[order[keep[k+1].slot%len(order)]]
		at[keep[k].slot] = p.held[order[keep[k].slot]]
		for i := keep[k].slot + 1; i < keep[k+1].slot; i++ {
			at[i] = p.axis.part(from, to, sums[i]-sums[keep[k].slot], sums[keep[k+1].slot]-sums[keep[k].slot])
		}
	}
	return at
}

// cone is how near and how far the tolerance lets a token of that sum of
// weights stand from the first.
func (p *problem) cone(sum, total uint64) (low, high Position) {
	mid := p.axis.size.fraction(sum, total)
	tol, _ := p.goal.Tolerance.rat().Float64()
	off := positionOfFloat(mid.float() * tol)
	return mid.sub(off), mid.add(off)
}

// racksPermuted is up to how many racks all cyclic orders of them are tried.
const racksPermuted = 6

// periodic lets the racks alternate in a fixed order around the ring, turned so
// that most nodes stay.
func (p *problem) periodic() []arrangement {
	labels := p.labels()
	var out []arrangement
	for _, r := range p.residues() {
		at, kept := p.ring(r)
		for _, label := range labels {
			a, ok := p.fill(at, kept, label)
			if ok {
				out = p.promising(out, a)
			}
		}
	}
	return out
}

// residues are the classes of tokens that may stay together.
func (p *problem) residues() []rotation {
	if len(p.held) == 0 {
		return nil
	}
	y := make([]Position, len(p.held))
	for i, h := range p.held {
		y[i] = p.axis.of(h)
	}
	limit := len(y)
	if p.slots() > sizeMany {
		limit = sizeMany
	}
	var out []rotation
	for k := range limit {
		out = append(out, rotation{p.chainFrom(y, k*len(y)/limit, nil)})
	}
	return distinct(out)
}

// labels are the orders of racks around the ring, one rack per slot.
func (p *problem) labels() (out [][]int32) {
	sizes := map[int32]int{}
	for _, v := range p.stay {
		sizes[p.m.rackOf[v]]++
	}
	var racks []int32
	equal := true
	for r := range p.m.racks {
		if sizes[int32(r)] > 0 {
			racks = append(racks, int32(r))
			equal = equal && sizes[int32(r)] == sizes[racks[0]]
		}
	}
	n := len(p.stay)
	if equal && len(racks) <= racksPermuted {
		perm := make([]int, len(racks))
		for i := range perm {
			perm[i] = i
		}
		permute(perm, 0, func() {
			label := make([]int32, n)
			for i := range label {
				label[i] = racks[perm[i%len(perm)]]
			}
			out = append(out, label)
		})
		return out
	}
	// Unequal: every rack spread over the ring, by what it still lacks.
	base := make([]int32, n)
	given := map[int32]int{}
	for i := range base {
		best, lack := racks[0], math.Inf(-1)
		for _, r := range racks {
			l := float64((i+1)*sizes[r])/float64(n) - float64(given[r])
			if given[r] < sizes[r] && l > lack && (i == 0 || r != base[i-1] || lack == math.Inf(-1)) {
				best, lack = r, l
			}
		}
		base[i] = best
		given[best]++
	}
	for k := range min(n, 64) {
		turn := k * n / min(n, 64)
		out = append(out, append(slices.Clone(base[turn:]), base[:turn]...))
	}
	return out
}

// fill seats the members of each rack in its slots: those who stay stay, the
// others by distance.
func (p *problem) fill(at []Position, kept []int, label []int32) (arrangement, bool) {
	a := arrangement{at: slices.Clone(at), member: make([]int, len(at))}
	stays := make([]bool, len(p.stay))
	slots := map[int32][]int{}
	for i := range at {
		a.member[i] = -1
		if k := kept[i]; k >= 0 && p.m.rackOf[p.stay[k]] == label[i] {
			a.member[i] = k
			stays[k] = true
		} else {
			slots[label[i]] = append(slots[label[i]], i)
		}
	}
	movers := map[int32][]int{}
	for m, v := range p.stay {
		if !stays[m] {
			movers[p.m.rackOf[v]] = append(movers[p.m.rackOf[v]], m)
		}
	}
	for rack, list := range slots {
		who := movers[rack]
		if len(who) != len(list) {
			return a, false
		}
		slices.SortFunc(list, func(x, y int) int { return at[x].cmp(at[y]) })
		have := 0
		for have < len(who) && who[have] < len(p.held) {
			have++
		}
		from, to := make([]float64, have), make([]float64, have)
		for i := range have {
			from[i], to[i] = p.held[who[i]].float(), at[list[i]].float()
		}
		for i, k := range circular(from, to, p.m.size.float()) {
			a.member[list[k]] = who[i]
		}
		for i := have; i < len(who); i++ {
			a.member[list[i]] = who[i]
		}
	}
	p.sortArrangement(&a)
	return a, true
}
