package balance

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sort"
)

// The exhaustive search goes through every assignment of movers to slots and
// every order of the moves, by dynamic programming over who sits where. It is
// for rings so small that all their positions fit a word.
const (
	tinyPositions = 20 // tokens there are and slots there shall be
	tinyMovers    = 7
	tinyRings     = 6000
)

// tiny is the search's ring: all positions that ever hold a token.
type tiny struct {
	p      *problem
	at     []Position
	width  [][]float64 // by place and position: the arc that ends there
	rack   []int32     // by member
	member []int       // stay, then leave
	movers []int       // members that move, join or leave
	slotOf []int       // free slots as indexes of at
	only   []int       // by mover: its index of slotOf; nil: any
	holds  int         // members from here on join
	goes   int         // members from here on leave
	start  tinyState
}

// tinyState is who sits at each position: member+1, or 0.
type tinyState [tinyPositions]uint8

// outcome is how good a way is, and the way.
type outcome struct {
	bytes float64
	moves int
	score int
	acts  []act
	found bool
	// alts are ways that end elsewhere and are as good: what lies outside the
	// circle may tell between them. acts is one of them.
	alts [][]act
}

// altsMax bounds them.
const altsMax = 24

// less compares outcomes in the order of an objective.
func (o *outcome) less(b *outcome, objective []string) bool {
	if o.found != b.found {
		return o.found
	}
	for _, by := range objective {
		switch {
		case by == ByMoves && o.moves != b.moves:
			return o.moves < b.moves
		case by == ByBytes && !near(o.bytes, b.bytes):
			return o.bytes < b.bytes
		case by == ByRack && o.score != b.score:
			return o.score < b.score
		}
	}
	return false
}

// near tells whether two sums of bytes differ by rounding only.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*(math.Abs(a)+math.Abs(b)) }

// newTiny lays out a target ring; kept holds the member that stays in each
// slot, or -1. nil if it is too large.
func (p *problem) newTiny(target []Position, kept []int) *tiny {
	t := &tiny{p: p, holds: len(p.held), goes: len(p.stay), member: append(slices.Clone(p.stay), p.leave...)}
	t.at = append(slices.Clone(p.held), p.gone...)
	t.at = append(t.at, target...)
	slices.SortFunc(t.at, Position.cmp)
	t.at = slices.Compact(t.at)
	if len(t.at) > tinyPositions || len(t.member) > 32 {
		return nil
	}
	for _, v := range t.member {
		t.rack = append(t.rack, p.m.rackOf[v])
	}
	for i, h := range p.held {
		t.start[t.find(h)] = uint8(i + 1)
	}
	for i, h := range p.gone {
		t.start[t.find(h)] = uint8(len(p.stay) + i + 1)
	}
	staying := make([]bool, len(t.member))
	for slot, member := range kept {
		if member >= 0 {
			staying[member] = true
		} else {
			t.slotOf = append(t.slotOf, t.find(target[slot]))
		}
	}
	for i := range t.member {
		if !staying[i] {
			t.movers = append(t.movers, i)
		}
	}
	for _, pl := range p.places {
		var w []float64
		for i, right := range t.at {
			left := t.at[(i+len(t.at)-1)%len(t.at)]
			w = append(w, pl.between(left, right).float())
		}
		t.width = append(t.width, w)
	}
	return t
}

func (t *tiny) find(p Position) int {
	return sort.Search(len(t.at), func(i int) bool { return !t.at[i].less(p) })
}

// replicas fills in, by place and arc, the set of members that hold it.
func (t *tiny) replicas(s *tinyState, out []uint32) {
	nodes, racks := 0, uint64(0)
	var seq, racksOf [2 * tinyPositions]uint8
	var first [tinyPositions + 1]int // the occupied position at or after each
	n := 0
	for i := range t.at {
		first[i] = n
		if s[i] > 0 {
			seq[n] = s[i] - 1
			racksOf[n] = uint8(t.rack[s[i]-1] - t.rackBase())
			racks |= 1 << (racksOf[n] & 63)
			n++
		}
	}
	nodes = n
	for i := range n {
		seq[n+i], racksOf[n+i] = seq[i], racksOf[i]
	}
	rackCount := bits.OnesCount64(racks)
	for k, pl := range t.p.places {
		want := min(pl.factor, nodes)
		base := k * len(t.at)
		for i := range t.at {
			set, got := uint32(0), 0
			if !pl.rackAware || rackCount < 2 {
				for got < want {
					set |= 1 << seq[first[i]+got]
					got++
				}
				out[base+i] = set
				continue
			}
			used, again := uint64(0), pl.factor-rackCount
			for j := first[i]; j < first[i]+n && got < want; j++ {
				r := uint64(1) << (racksOf[j] & 63)
				if used&r != 0 {
					if again <= 0 {
						continue
					}
					again--
				}
				used |= r
				set |= 1 << seq[j]
				got++
			}
			out[base+i] = set
		}
	}
}

// rackBase keeps rack numbers small: those of a domain are neighbours.
func (t *tiny) rackBase() int32 { return slices.Min(t.rack) }

// streamed is the bytes that come to members between two states.
func (t *tiny) streamed(before, after []uint32) (sum float64) {
	for k, w := range t.width {
		base := k * len(t.at)
		for i, bytes := range w {
			if gained := after[base+i] &^ before[base+i]; gained != 0 {
				sum += float64(bits.OnesCount32(gained)) * bytes
			}
		}
	}
	return sum
}

// tinyNode is a partial assignment on the way.
type tinyNode struct {
	cost   float64
	moves  int
	from   uint64 // the key before
	mover  int8
	placed tinyState
}

// search finds the best way to the target ring. Ways that cost more than limit
// are not followed.
func (t *tiny) search(limit float64) outcome {
	layer := map[uint64]*tinyNode{0: {placed: t.start}}
	var layers []map[uint64]*tinyNode
	size := len(t.p.places) * len(t.at)
	before, after := make([]uint32, size), make([]uint32, size)
	for range t.movers {
		next := map[uint64]*tinyNode{}
		for key, node := range layer {
			t.replicas(&node.placed, before)
			for i, member := range t.movers {
				if key>>(4*i)&15 != 0 {
					continue
				}
				t.expand(node, key, i, member, before, after, next, limit)
			}
		}
		layers = append(layers, layer)
		layer = next
	}
	return t.choose(layers, layer)
}

// choose takes the best end, in the order of keys where several are.
func (t *tiny) choose(layers []map[uint64]*tinyNode, last map[uint64]*tinyNode) outcome {
	keys := slices.Sorted(maps.Keys(last))
	var best outcome
	var ties []uint64
	for _, key := range keys {
		o := outcome{bytes: last[key].cost, moves: last[key].moves, score: t.score(&last[key].placed), found: true}
		switch {
		case o.less(&best, t.p.goal.Objective):
			best, ties = o, append(ties[:0], key)
		case !best.less(&o, t.p.goal.Objective) && len(ties) < altsMax:
			ties = append(ties, key)
		}
	}
	for _, key := range ties {
		best.alts = append(best.alts, t.trace(layers, last, key))
	}
	if best.found {
		best.acts = best.alts[0]
	}
	return best
}

// leftMark is a leaver's digit in a key once it has left.
const leftMark = 15

func (t *tiny) expand(node *tinyNode, key uint64, i, member int, before, after []uint32, next map[uint64]*tinyNode, limit float64) {
	try := func(digit uint64, to int) {
		s := node.placed
		for k := range t.at {
			if s[k] == uint8(member+1) {
				s[k] = 0
			}
		}
		if to >= 0 {
			s[to] = uint8(member + 1)
		}
		t.replicas(&s, after)
		cost := node.cost + t.streamed(before, after)
		if cost > limit*(1+1e-9) {
			return
		}
		moves := node.moves + 1
		if to >= 0 && node.placed[to] == uint8(member+1) || to < 0 || member >= t.holds && member < t.goes {
			moves = node.moves
		}
		k := key | digit<<(4*i)
		if old := next[k]; old == nil || cost < old.cost || cost == old.cost && (moves < old.moves || moves == old.moves && key < old.from) {
			next[k] = &tinyNode{cost, moves, key, int8(i), s}
		}
	}
	if member >= t.goes {
		if t.mayLeave(&node.placed) {
			try(leftMark, -1)
		}
		return
	}
	for slot, at := range t.slotOf {
		if (node.placed[at] == 0 || node.placed[at] == uint8(member+1)) && (t.only == nil || t.only[i] == slot) {
			try(uint64(slot+1), at)
		}
	}
}

// mayLeave tells whether a node fewer still holds all replicas.
func (t *tiny) mayLeave(s *tinyState) bool {
	nodes := 0
	for _, o := range s {
		if o != 0 {
			nodes++
		}
	}
	for _, pl := range t.p.places {
		if nodes-1 < pl.factor {
			return false
		}
	}
	return true
}

// trace walks back from the end and writes the way down.
func (t *tiny) trace(layers []map[uint64]*tinyNode, last map[uint64]*tinyNode, key uint64) []act {
	acts := make([]act, 0, len(t.movers))
	node := last[key]
	for i := len(layers) - 1; i >= 0; i-- {
		prev := layers[i][node.from]
		member := t.movers[node.mover]
		a := act{op: opMove, node: t.member[member]}
		for k, p := range t.at {
			if prev.placed[k] == uint8(member+1) {
				a.gone = []Position{p}
			}
			if node.placed[k] == uint8(member+1) {
				a.came = []Position{p}
			}
		}
		switch {
		case len(a.gone) == 0:
			a.op = opJoin
		case len(a.came) == 0:
			a.op = opLeave
		}
		node = prev
		if len(a.gone) == 0 || len(a.came) == 0 || a.gone[0] != a.came[0] {
			acts = append(acts, a)
		}
	}
	slices.Reverse(acts)
	return acts
}

// score is the rack score of the circle's own tokens.
func (t *tiny) score(s *tinyState) int {
	if t.p.goal.Racks == RacksIgnore || t.p.c.rack >= 0 {
		return 0
	}
	var own []int32
	for k := range t.at {
		if s[k] != 0 {
			own = append(own, int32(t.member[s[k]-1]))
		}
	}
	return t.p.score(own)
}

// score counts repeating windows of nodes in ring order, per datacenter.
func (p *problem) score(own []int32) (score int) {
	if p.c.domain != everywhere {
		return windows(p.m, own, p.m.window(p.c.domain, p.racks()))
	}
	for dc := range p.m.dcs {
		var part []int32
		racks := map[int32]bool{}
		for _, v := range own {
			if int(p.m.dcOf[v]) == dc {
				part = append(part, v)
				racks[p.m.rackOf[v]] = true
			}
		}
		score += windows(p.m, part, p.m.window(dc, len(racks)))
	}
	return score
}

// racks is how many racks the circle has in the end.
func (p *problem) racks() int {
	racks := map[int32]bool{}
	for _, v := range p.stay {
		racks[p.m.rackOf[v]] = true
	}
	return len(racks)
}
