package balance

import "fmt"

// op is what a step does.
type op uint8

const (
	opMove op = iota
	opJoin
	opLeave
	opMoveToken
)

// The words of steps, in the order of op.
const (
	OpMove      = "move"
	OpJoin      = "bootstrap"
	OpLeave     = "decommission"
	OpMoveToken = "move-token"
)

func (o op) String() string { return [...]string{OpMove, OpJoin, OpLeave, OpMoveToken}[o] }

// change of tokens: one step in numbers.
type act struct {
	op         op
	node       int
	gone, came []Position
}

// replay is a ring while steps are done to it, one after another.
type replay struct {
	m       *model
	places  []*place
	differ  differ
	tokens  [][]Position
	domains map[int]*domain
	stored  []amount // bytes by node
	left    []amount // lost and not cleaned up, by node
	touched []int32
	gain    []amount
	loss    []amount
	mark    []uint8
}

// domain is a layout twice: as it is, and one step ahead.
type domain struct{ now, next *layout }

// marks of a step
const (
	markGained uint8 = 1 << iota
	markLost
)

func newReplay(m *model) *replay {
	n := len(m.ring.Nodes)
	r := &replay{m: m, places: m.places, domains: map[int]*domain{}, stored: make([]amount, n), left: make([]amount, n),
		gain: make([]amount, n), loss: make([]amount, n), mark: make([]uint8, n)}
	r.differ.m = m
	for i := range m.ring.Nodes {
		r.tokens = append(r.tokens, append([]Position(nil), m.ring.Nodes[i].Tokens...))
	}
	for d := range m.dcs {
		r.lay(d)
	}
	for _, p := range m.places {
		if p.domain == everywhere && r.domains[everywhere] == nil {
			r.lay(everywhere)
		}
		r.fill(p)
	}
	return r
}

func (r *replay) lay(id int) {
	l := r.m.newLayout(id, r.tokens)
	r.domains[id] = &domain{l, l.clone()}
}

// fill counts what every node stores of a place.
func (r *replay) fill(p *place) {
	l := r.domains[p.domain].now
	t := p.terms(l)
	var buf []int32
	for i, right := range l.pos {
		left := l.pos[(i-1+len(l.pos))%len(l.pos)]
		w := p.between(left, right)
		buf, _ = p.walk(r.m, l, t, i, buf[:0])
		for _, v := range buf {
			r.stored[v] = r.stored[v].add(w)
		}
	}
}

// effect is what a step did. Its slices hold until the next step.
type effect struct {
	bytes   amount
	touched []int32 // nodes whose ranges changed, in no order
}

// apply does a step that is possible. see, if not nil, gets every arc that
// changes, while the layouts of before and after both stand.
func (r *replay) apply(a act, see func(change)) effect {
	for _, v := range r.touched {
		r.gain[v], r.loss[v], r.mark[v] = amount{}, amount{}, 0
	}
	r.touched = r.touched[:0]
	var e effect
	for id, d := range r.domains {
		if r.m.inDomain(a.node, id) {
			d.next.apply(r.m, a)
		}
	}
	for _, p := range r.places {
		if !r.m.inDomain(a.node, p.domain) {
			continue
		}
		d := r.domains[p.domain]
		r.differ.diff(p, d.now, d.next, a.gone, a.came, func(c change) {
			e.bytes = e.bytes.add(r.account(c))
			if see != nil {
				see(c)
			}
		})
	}
	for id, d := range r.domains {
		if r.m.inDomain(a.node, id) {
			d.now.apply(r.m, a)
		}
	}
	r.setTokens(a)
	for _, v := range r.touched {
		r.stored[v] = r.stored[v].add(r.gain[v]).sub(r.loss[v])
	}
	e.touched = r.touched
	return e
}

func (l *layout) apply(m *model, a act) {
	// First come, then go, so that a moving node is never gone from the counts.
	for _, p := range a.came {
		l.insert(m, p, a.node)
	}
	for _, p := range a.gone {
		l.remove(m, p)
	}
}

func (r *replay) setTokens(a act) {
	at := r.tokens[a.node]
	for _, g := range a.gone {
		for i := range at {
			if at[i] == g {
				at = append(at[:i], at[i+1:]...)
				break
			}
		}
	}
	r.tokens[a.node] = append(at, a.came...)
}

// account adds a changed arc to the nodes that gained or lost it, and returns
// the bytes that are streamed.
func (r *replay) account(c change) (streamed amount) {
	w := c.place.between(c.left, c.right)
	for _, v := range c.after {
		if !contains(c.before, v) {
			r.touch(v, markGained)
			r.gain[v] = r.gain[v].add(w)
			streamed = streamed.add(w)
		}
	}
	for _, v := range c.before {
		if !contains(c.after, v) {
			r.touch(v, markLost)
			r.loss[v] = r.loss[v].add(w)
		}
	}
	return streamed
}

func (r *replay) touch(v int32, mark uint8) {
	if r.mark[v] == 0 {
		r.touched = append(r.touched, v)
	}
	r.mark[v] |= mark
}

func contains(nodes []int32, v int32) bool {
	for _, n := range nodes {
		if n == v {
			return true
		}
	}
	return false
}

// check tells why an act is impossible now; nil if it is possible.
func (r *replay) check(a act) error {
	n := &r.m.ring.Nodes[a.node]
	for _, g := range a.gone {
		if !containsPosition(r.tokens[a.node], g) {
			return fmt.Errorf("wrong from: %s does not hold token %s", n.ID, r.m.ring.FormatToken(g))
		}
	}
	for _, c := range a.came {
		if owner := r.owner(c); owner >= 0 {
			return fmt.Errorf("occupied target: token %s belongs to %s", r.m.ring.FormatToken(c), r.m.ring.Nodes[owner].ID)
		}
	}
	held := len(r.tokens[a.node])
	switch a.op {
	case opMove:
		if held != 1 {
			return fmt.Errorf("%s holds %d tokens: only a node of one token can move", n.ID, held)
		}
	case opJoin:
		if held != 0 {
			return fmt.Errorf("%s is in the ring already", n.ID)
		}
	case opLeave:
		if held == 0 {
			return fmt.Errorf("%s is not in the ring", n.ID)
		}
		return r.checkLeave(a.node)
	}
	return nil
}

// checkLeave refuses to leave a keyspace with fewer nodes than replicas.
func (r *replay) checkLeave(node int) error {
	for _, p := range r.m.places {
		if r.m.inDomain(node, p.domain) && r.domains[p.domain].now.nodes-1 < p.factor {
			return fmt.Errorf("RF above nodes: without %s there are %d nodes for the %d replicas of keyspace %q",
				r.m.ring.Nodes[node].ID, r.domains[p.domain].now.nodes-1, p.factor, p.spaces[0].name)
		}
	}
	return nil
}

// owner of a token; -1 if it is free. Tokens are unique over all datacenters.
func (r *replay) owner(p Position) int {
	for _, d := range r.domains {
		if i, ok := d.now.index(p); ok {
			return int(d.now.own[i])
		}
	}
	return -1
}

func containsPosition(all []Position, p Position) bool {
	for _, q := range all {
		if q == p {
			return true
		}
	}
	return false
}
