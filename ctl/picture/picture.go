// Package picture draws a ring and a plan for it: in a terminal and as SVG.
//
// Nouns: View (what is drawn: nodes with the places of their tokens before and
// after, movements, streams), circle (up to 64 tokens in a terminal), strip
// (more: one line a rack), SVG. ctl balance calls it. It is pure: the same view
// gives the same bytes, and it never decides anything about a plan.
package picture

import (
	"encoding/hex"
	"math/big"
	"slices"
	"strings"

	"helenus/balance"
)

// View is what a picture shows.
type View struct {
	DCs    []DC
	Plan   bool // there is an after
	ByRack bool // every rack is a ring of its own
	Arcs   bool // loads are nodes' arcs, not all that they store
	Racks  []string
	Before Spread
	After  Spread
}

// Spread is how even a ring is.
type Spread struct{ MaxOverMean, MinOverMean float64 }

// DC is one datacenter: a ring of its own.
type DC struct {
	Name   string
	Nodes  []Node // in ring order, numbered from 1 over all datacenters
	Moves  []Move
	Chords []Chord
}

// Node is one member.
type Node struct {
	Number        int
	ID, Rack      string
	RackIndex     int // of View.Racks
	Before, After []float64
	LoadBefore    float64 // of its ideal share; 0: it is not in the ring then
	LoadAfter     float64
	Moved         bool
}

// Move is one step: from and to are places on the ring, below zero if there is
// none.
type Move struct {
	N        int
	Node     int // index in DC.Nodes
	From, To float64
	Title    string
}

// Chord is what one node sends another during the plan.
type Chord struct {
	From, To int // indexes in DC.Nodes
	Bytes    float64
	Title    string
}

// New looks at a ring, and at a plan for it unless that is nil. Ownership is
// the plan's, or what Verify says of the ring, by a mode.
func New(r *balance.Ring, p *balance.Plan, own balance.Ownership, mode string, bytes func(balance.Amount) string) *View {
	v := &View{Plan: p != nil, ByRack: mode == balance.ModeRack, Arcs: mode != balance.ModeReplicated, Before: spread(own.Stats.Before), After: spread(own.Stats.After)}
	b := builder{v: v, ring: r, own: own, bytes: bytes}
	b.nodes(p)
	b.group()
	if p != nil {
		b.steps(p)
	}
	return v
}

func spread(e balance.Evenness) Spread { return Spread{e.MaxOverMean, e.MinOverMean} }

// builder makes a View.
type builder struct {
	v     *View
	ring  *balance.Ring
	own   balance.Ownership
	bytes func(balance.Amount) string
	all   []draft
	at    map[string][2]int // by id: datacenter, node
}

type draft struct {
	Node
	dc     string
	tokens []string // now, while steps are applied
}

// nodes gathers members and joiners, with tokens before and after.
func (b *builder) nodes(p *balance.Plan) {
	index := map[string]int{}
	add := func(id, dc, rack string) int {
		index[id] = len(b.all)
		b.all = append(b.all, draft{Node: Node{ID: id, Rack: rack, LoadBefore: load(b.own.Before, id), LoadAfter: load(b.own.After, id)}, dc: dc})
		return index[id]
	}
	for i := range b.ring.Nodes {
		n := &b.ring.Nodes[i]
		at := add(n.ID, n.DC, n.Rack)
		for _, t := range n.Tokens {
			b.all[at].tokens = append(b.all[at].tokens, b.ring.FormatToken(t))
		}
		b.all[at].Before = b.places(b.all[at].tokens)
	}
	if p == nil {
		return
	}
	for _, j := range p.Goal.Join {
		if _, there := index[j.ID]; !there {
			add(j.ID, j.DC, j.Rack)
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if at, ok := index[s.Node]; ok {
			b.all[at].apply(s)
		}
	}
	for i := range b.all {
		b.all[i].After = b.places(b.all[i].tokens)
	}
}

func (d *draft) apply(s *balance.Step) {
	d.Moved = true
	if s.Op == balance.OpLeave {
		d.tokens = nil
		return
	}
	if i := slices.Index(d.tokens, s.From); i >= 0 {
		d.tokens = slices.Delete(slices.Clone(d.tokens), i, i+1)
	}
	d.tokens = append(slices.Clone(d.tokens), s.Tokens...)
	if s.To != "" {
		d.tokens = append(d.tokens, s.To)
	}
}

func load(shares map[string]balance.Share, id string) float64 {
	s, ok := shares[id]
	if !ok {
		return 0
	}
	return max(1+s.Deviation, 1e-9)
}

func (b *builder) places(tokens []string) []float64 {
	out := make([]float64, 0, len(tokens))
	for _, t := range tokens {
		out = append(out, b.place(t))
	}
	slices.Sort(out)
	return out
}

// place is a token's part of the way around the ring, 0 to 1; -1 for no token.
func (b *builder) place(t string) float64 {
	n, ok := new(big.Int).SetString(t, 10)
	if b.ring.Partitioner == "ByteOrderedPartitioner" {
		raw, err := hex.DecodeString(t)
		width := (b.ring.Circumference.BitLen() - 1) / 8
		ok = err == nil && len(raw) <= width
		if ok {
			n = new(big.Int).SetBytes(append(raw, make([]byte, width-len(raw))...))
		}
	}
	if !ok {
		return -1
	}
	f, _ := new(big.Rat).SetFrac(n.Sub(n, b.ring.Min), b.ring.Circumference).Float64()
	return f
}

// group sorts nodes into datacenters and numbers them.
func (b *builder) group() {
	slices.SortStableFunc(b.all, func(x, y draft) int {
		if c := strings.Compare(x.dc, y.dc); c != 0 {
			return c
		}
		return compare(x.first(), y.first())
	})
	for i := range b.all {
		if name := rackName(&b.all[i]); !slices.Contains(b.v.Racks, name) {
			b.v.Racks = append(b.v.Racks, name)
		}
	}
	slices.Sort(b.v.Racks)
	b.at = map[string][2]int{}
	for i := range b.all {
		d := &b.all[i]
		if n := len(b.v.DCs); n == 0 || b.v.DCs[n-1].Name != d.dc {
			b.v.DCs = append(b.v.DCs, DC{Name: d.dc})
		}
		dc := &b.v.DCs[len(b.v.DCs)-1]
		d.Number = i + 1
		d.RackIndex = slices.Index(b.v.Racks, rackName(d))
		b.at[d.ID] = [2]int{len(b.v.DCs) - 1, len(dc.Nodes)}
		dc.Nodes = append(dc.Nodes, d.Node)
	}
}

// rackName tells racks of one name in several datacenters apart.
func rackName(d *draft) string {
	if d.dc == "" {
		return d.Rack
	}
	return d.dc + "/" + d.Rack
}

func (d *draft) first() float64 {
	if len(d.Before) > 0 {
		return d.Before[0]
	}
	if len(d.After) > 0 {
		return d.After[0]
	}
	return 2
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// steps turns a plan's steps into movements and chords.
func (b *builder) steps(p *balance.Plan) {
	sums := map[[2]string]float64{}
	var order [][2]string
	for i := range p.Steps {
		s := &p.Steps[i]
		at, ok := b.at[s.Node]
		if !ok {
			continue
		}
		from, to := b.place(s.From), b.place(s.To)
		if len(s.Tokens) > 0 {
			to = b.place(s.Tokens[0])
		}
		title := s.Op + " " + s.Node
		if s.From != "" && s.To != "" {
			title += " from " + s.From + " to " + s.To
		}
		dc := &b.v.DCs[at[0]]
		dc.Moves = append(dc.Moves, Move{s.N, at[1], from, to, title + ", " + b.bytes(s.Bytes)})
		for _, st := range s.Streams {
			key := [2]string{st.From, st.To}
			if _, there := sums[key]; !there {
				order = append(order, key)
			}
			sums[key] += st.Bytes.Float()
		}
	}
	for _, key := range order {
		from, ok1 := b.at[key[0]]
		to, ok2 := b.at[key[1]]
		if !ok1 || !ok2 || from[0] != to[0] {
			continue // what crosses datacenters has no place in either ring
		}
		dc := &b.v.DCs[to[0]]
		amount := balance.Amount(new(big.Float).SetFloat64(sums[key]).Text('f', 0))
		dc.Chords = append(dc.Chords, Chord{from[1], to[1], sums[key], key[0] + " to " + key[1] + ": " + b.bytes(amount)})
	}
}

// tokenCount is how many tokens a datacenter shows.
func (d *DC) tokenCount() int {
	before, after := 0, 0
	for i := range d.Nodes {
		before += len(d.Nodes[i].Before)
		after += len(d.Nodes[i].After)
	}
	return max(before, after)
}

// arc is one range of a ring and the node that owns it.
type arc struct {
	left, right float64
	node        int
}

// arcs are the primary ranges of a datacenter, or of one of its racks.
func (d *DC) arcs(after bool, rack int) []arc {
	var out []arc
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if rack >= 0 && n.RackIndex != rack {
			continue
		}
		tokens := n.Before
		if after {
			tokens = n.After
		}
		for _, t := range tokens {
			out = append(out, arc{0, t, i})
		}
	}
	slices.SortFunc(out, func(a, b arc) int { return compare(a.right, b.right) })
	for i := range out {
		out[i].left = out[(i+len(out)-1)%len(out)].right
	}
	return out
}

// width is how far an arc reaches; a lone one goes all around.
func (a arc) width() float64 {
	if a.right > a.left {
		return a.right - a.left
	}
	return a.right + 1 - a.left
}

// loadOf is what the arc's owner holds.
func (d *DC) loadOf(node int, after bool) float64 {
	if after {
		return d.Nodes[node].LoadAfter
	}
	return d.Nodes[node].LoadBefore
}

// bins is, for each of n stretches of the ring, the load of the node that is
// farthest from its ideal among those that own part of it; 0 where nobody does.
func (d *DC) bins(n int, after bool, rack int) []float64 {
	out := make([]float64, n)
	for _, a := range d.arcs(after, rack) {
		l := d.loadOf(a.node, after)
		first := int(a.left * float64(n))
		count := int((a.left+a.width())*float64(n)-1e-9) - first
		for k := 0; k <= min(count, n-1); k++ {
			at := (first + k) % n
			if out[at] == 0 || abs(l-1) > abs(out[at]-1) {
				out[at] = l
			}
		}
	}
	return out
}

// layers are the rings of a datacenter: one, or one for each rack.
func (v *View) layers(d *DC) []int {
	if !v.ByRack {
		return []int{-1}
	}
	var out []int
	for i := range d.Nodes {
		if rack := d.Nodes[i].RackIndex; !slices.Contains(out, rack) {
			out = append(out, rack)
		}
	}
	slices.Sort(out)
	return out
}

// extremes are the bins over all layers.
func (v *View) extremes(d *DC, n int, after bool) []float64 {
	out := make([]float64, n)
	for _, rack := range v.layers(d) {
		for i, l := range d.bins(n, after, rack) {
			if l != 0 && (out[i] == 0 || abs(l-1) > abs(out[i]-1)) {
				out[i] = l
			}
		}
	}
	return out
}

func abs(f float64) float64 { return max(f, -f) }
