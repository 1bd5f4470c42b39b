package balance

import (
	"fmt"
	"slices"
	"strings"
)

// Impossible tells why no plan can reach a goal.
type Impossible struct {
	Reason  string
	crowded bool // a disk is too full
}

// Error implements error.
func (e *Impossible) Error() string { return "balance: impossible: " + e.Reason }

// MakePlan finds a plan that brings r to goal g.
func MakePlan(r *Ring, g Goal) (*Plan, error) {
	w, err := newWork(r, g)
	if err != nil {
		return nil, err
	}
	plan := w.full
	if w.goal.MovesMax > 0 || w.goal.BytesMax != "" {
		plan = w.partial
	}
	p, err := plan()
	if err != nil {
		return nil, err
	}
	if w.goal.Frontier > 0 {
		w.frontier(p)
	}
	return p, nil
}

// work is a plan in the making.
type work struct {
	ring    *Ring // as it was given
	goal    Goal
	m       *model // with those who join
	leaving []bool
	vnodes  bool
	circles []circle
	band    float64 // part of the tolerance that vnodes are brought to
	missed  float64 // the worst deviation of a plan that does not reach balance; 0: other reasons
}

func newWork(r *Ring, g Goal) (*work, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	goal, err := g.normal()
	if err != nil {
		return nil, err
	}
	members, err := goal.member(r)
	if err != nil {
		return nil, err
	}
	if err := ready(members, &goal); err != nil {
		return nil, err
	}
	m, err := newModel(members)
	if err != nil {
		return nil, err
	}
	w := &work{ring: r, goal: goal, m: m, leaving: make([]bool, len(members.Nodes))}
	for _, id := range goal.Leave {
		w.leaving[m.byID[id]] = true
	}
	alive := func(v int) bool {
		return !w.leaving[v] && (len(members.Nodes[v].Tokens) > 0 || slices.ContainsFunc(goal.Join, func(j Join) bool { return j.ID == members.Nodes[v].ID }))
	}
	for i := range members.Nodes {
		w.vnodes = w.vnodes || len(members.Nodes[i].Tokens) > 1
	}
	w.circles = m.circles(goal.Mode, alive)
	if len(w.circles) == 0 {
		return nil, &Impossible{Reason: "nobody is left in the ring"}
	}
	if err := w.leavable(alive); err != nil {
		return nil, err
	}
	return w, nil
}

// leavable tells whether those who stay can hold all replicas of those who leave.
func (w *work) leavable(alive func(int) bool) error {
	m := w.m
	for _, p := range m.places {
		leave, left := false, 0
		for v := range m.ring.Nodes {
			if !m.inDomain(v, p.domain) {
				continue
			}
			leave = leave || w.leaving[v]
			if alive(v) {
				left++
			}
		}
		if leave && left < p.factor {
			where := "the cluster"
			if p.domain != everywhere {
				where = "datacenter " + m.dcs[p.domain]
			}
			return &Impossible{Reason: fmt.Sprintf("RF above nodes: %d would be left in %s, and keyspace %s has %d replicas there", left, where, p.spaces[0].name, p.factor)}
		}
	}
	return nil
}

// ready refuses a ring in which something is under way already.
func ready(r *Ring, g *Goal) error {
	if g.NodesDown {
		return nil
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.State == "" || n.State == "UN" || slices.ContainsFunc(g.Join, func(j Join) bool { return j.ID == n.ID }) {
			continue
		}
		word := map[byte]string{'L': "leaving", 'J': "joining", 'M': "moving"}[n.State[len(n.State)-1]]
		if n.State[0] == 'D' || word == "" {
			word = "down"
		}
		return &Impossible{Reason: fmt.Sprintf("%s is %s (%s): plan when every node is up and normal", n.ID, word, n.State)}
	}
	return nil
}

// full plans the whole way to balance.
func (w *work) full() (*Plan, error) {
	if w.vnodes {
		return w.tokenMoves()
	}
	if w.settled() {
		return w.finish(nil, solution{proof: ProofExhaustive})
	}
	if best, ok := w.solveSmall(); ok {
		return w.finish(best.acts, solution{proof: ProofExhaustive})
	}
	plan, err := w.singleMoves()
	if len(w.goal.Join) > 0 || err == nil && plan.Summary.Moves == 0 {
		return plan, err
	}
	return w.orStand(plan, err)
}

// orStand takes, instead of a plan, nobody's moving, should that do as well.
func (w *work) orStand(plan *Plan, err error) (*Plan, error) {
	var acts []act
	for v, leaves := range w.leaving {
		if leaves {
			acts = append(acts, act{op: opLeave, node: v, gone: w.m.ring.Nodes[v].Tokens})
		}
	}
	stand, failed := w.finish(acts, solution{proof: ProofHeuristic, bound0: true})
	if failed != nil {
		return plan, err
	}
	if err == nil {
		score := func(p *Plan) int { return p.Summary.RackScore }
		if w.goal.Racks == RacksRequire && score(stand) != score(plan) {
			if score(stand) > score(plan) {
				return plan, nil
			}
		} else if s, p := stand.outcome(), plan.outcome(); !s.less(&p, w.goal.Objective) {
			return plan, nil
		}
	}
	return stand, nil
}

// outcome is a plan's summary, to compare.
func (p *Plan) outcome() outcome {
	return outcome{bytes: p.Summary.Bytes.Float(), moves: p.Summary.Moves, score: p.Summary.RackScore, found: true}
}

// singleMoves plans moves of nodes of one token, circle by circle.
func (w *work) singleMoves() (*Plan, error) {
	var ways []solution
	total := solution{proof: ProofExhaustive}
	for _, c := range w.planCircles() {
		p := w.m.newProblem(&w.goal, c, w.leaving)
		s := p.solve()
		if !s.found {
			return nil, &Impossible{Reason: "no order of moves leads to balance in " + w.circleName(c)}
		}
		if len(s.alts) == 0 {
			s.alts = [][]act{s.steps}
		}
		ways = append(ways, s)
		total.bound += s.bound
		total.bound0 = total.bound0 || s.bound0
		total.proof = weaker(total.proof, s.proof)
	}
	group := w.groups()
	for v, leaves := range w.leaving {
		if leaves && group[v] < 0 { // the last of its rack, which nobody else's plan knows of
			gone := []act{{op: opLeave, node: v, gone: w.m.ring.Nodes[v].Tokens}}
			ways = append(ways, solution{outcome: outcome{found: true, alts: [][]act{gone}}, steps: gone})
			total.proof, total.bound0 = ProofHeuristic, true
		}
	}
	lists, all := w.combine(ways)
	slack := w.goal.Slack
	acts, shifted := w.interleave(lists)
	switch {
	case shifted:
		total.proof = ProofHeuristic
	case !all && len(ways) > 1 && w.goal.Racks != RacksIgnore:
		total.proof = weaker(total.proof, ProofBound) // bytes are proved, the rack score is not
	}
	plan, err := w.finish(acts, total)
	if crowded(err) && !shifted {
		return w.roomier(ways, total, err)
	}
	if shifted && err == nil {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("targets are held by nodes of other datacenters or racks: nodes go up to %d tokens beside, and that counts as balanced", w.goal.Slack))
	}
	if !shifted {
		return plan, err
	}
	w.goal.Slack = slack
	if apart, ok := w.apartInAnyOrder(); ok && (err != nil || countMoves(apart) <= plan.Summary.Moves) {
		return w.finish(apart, total)
	}
	return plan, err
}

// settled tells that nothing is better than to do nothing.
func (w *work) settled() bool {
	if len(w.goal.Join)+len(w.goal.Leave) > 0 {
		return false
	}
	r := newReplay(w.m)
	if w.goal.racksCount() && w.m.rackScore(r) > 0 {
		return false
	}
	for i := range w.circles {
		if !w.circles[i].judge(w.m, &w.goal, r.tokens, r.stored).balanced {
			return false
		}
	}
	return true
}

// apartOrdersMax is up to how many circles all orders of them are tried.
const apartOrdersMax = 4

// apartInAnyOrder is the best of apart over the orders of circles.
func (w *work) apartInAnyOrder() (best []act, ok bool) {
	circles := w.planCircles()
	order := make([]int, len(circles))
	for i := range order {
		order[i] = i
	}
	try := func() {
		if acts, found := w.apart(circles, order); found && (!ok || countMoves(acts) < countMoves(best)) {
			best, ok = acts, true
		}
	}
	if len(circles) > apartOrdersMax {
		try()
	} else {
		permute(order, 0, try)
	}
	return best, ok
}

// apart plans circle after circle, each around the tokens that the others hold.
func (w *work) apart(circles []circle, order []int) (out []act, ok bool) {
	held := make([][]Position, len(w.m.ring.Nodes))
	for v := range held {
		held[v] = w.m.ring.Nodes[v].Tokens
	}
	group := w.groups()
	for _, i := range order {
		p := w.m.newProblem(&w.goal, circles[i], w.leaving)
		p.blocked = map[Position]bool{}
		for v, tokens := range held {
			for _, t := range tokens {
				if group[v] != i {
					p.blocked[t] = true
				}
			}
		}
		s := p.solve()
		if !s.found {
			return nil, false
		}
		for _, a := range s.steps {
			for _, t := range a.came {
				if p.blocked[t] {
					return nil, false
				}
			}
			held[a.node] = a.came
			out = append(out, a)
		}
	}
	return out, true
}

// planCircles are the circles to plan: those that are judged, but by rack where
// that is what decides about what is stored.
func (w *work) planCircles() []circle { return w.circlesByRack(false) }

// circlesByRack is planCircles; with even a circle stays whole where its racks
// are not of the same weight: a node's ideal share is not that of its rack then.
func (w *work) circlesByRack(even bool) []circle {
	var out []circle
	for _, c := range w.circles {
		racks, weights := map[int32][]int{}, map[int32]uint64{}
		for _, v := range c.nodes {
			racks[w.m.rackOf[v]] = append(racks[w.m.rackOf[v]], v)
			weights[w.m.rackOf[v]] += w.m.ring.Nodes[v].Weight.value()
		}
		whole := false
		for _, sum := range weights {
			whole = whole || even && sum != weights[w.m.rackOf[c.nodes[0]]]
		}
		if whole || c.mode != ModeReplicated || w.m.modeOf(c.domain, len(racks), false) != ModeRack {
			out = append(out, c)
			continue
		}
		for rack := range w.m.racks {
			if nodes := racks[int32(rack)]; len(nodes) > 0 {
				out = append(out, circle{ModeRack, c.domain, int32(rack), nodes})
			}
		}
	}
	return out
}

func (w *work) circleName(c circle) string {
	name := "the ring"
	if c.domain != everywhere {
		name = "datacenter " + w.m.dcs[c.domain]
	}
	if c.rack >= 0 {
		name += " rack " + w.m.racks[c.rack]
	}
	return name
}

func weaker(a, b string) string {
	order := []string{ProofExhaustive, ProofBound, ProofHeuristic}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// groups numbers the planned circle of every node.
func (w *work) groups() []int {
	out := make([]int, len(w.m.ring.Nodes))
	for i := range out {
		out[i] = -1
	}
	for i, c := range w.planCircles() {
		for v := range out {
			if w.m.inDomain(v, c.domain) && (c.rack < 0 || w.m.rackOf[v] == c.rack) {
				out[v] = i
			}
		}
	}
	return out
}

// finish writes the plan down and holds it to Verify's judgement.
func (w *work) finish(acts []act, s solution) (*Plan, error) {
	p, v, err := build(w.ring, w.goal, acts, w.m)
	if err != nil {
		return nil, err
	}
	if !v.Valid {
		if !v.Balanced && v.Step == 0 {
			w.missed = v.Ownership.Stats.After.Worst
		}
		return nil, &Impossible{Reason: fmt.Sprintf("the best plan found fails at step %d: %s", v.Step, v.Reason), crowded: strings.HasPrefix(v.Reason, "disk:")}
	}
	p.Summary.Proof = s.proof
	if s.proof == ProofHeuristic && w.goal.Tolerance.rat().Sign() > 0 && len(w.m.ring.Nodes) > sizeHuge && !w.vnodes {
		p.Warnings = append(p.Warnings, "not all tokens were tried as the first to stay: fewer moves may do")
	}
	bytes := v.Bytes.Float()
	unit, _ := Decimal("1e-" + fmt.Sprint(w.m.scale)).rat().Float64()
	bound := s.bound * unit
	if s.proof != ProofHeuristic {
		p.Summary.LowerBound = v.Bytes
		return p, nil
	}
	if s.bound0 {
		bound = 0
	}
	p.Summary.LowerBound = showFloat(bound)
	if bound > 0 {
		p.Summary.Gap = max(0, bytes/bound-1)
	} else if bytes > 0 {
		p.Summary.Gap = -1
		p.Warnings = append(p.Warnings, "no lower bound is known for this goal: the gap is unknown")
	}
	return p, nil
}

func showFloat(f float64) Amount { return Amount(positionOfFloat(f).big().String()) }
