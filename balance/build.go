package balance

import (
	"slices"
)

// rangesTokensMax is up to how many tokens a plan lists its nodes' ranges.
const rangesTokensMax = 128

// build turns acts into a plan: replays them and writes down what they do. The
// verdict is the one that Verify would give.
func build(r *Ring, goal Goal, acts []act, m *model) (*Plan, *Verdict, error) {
	p := &Plan{Schema: PlanSchema, RingHash: r.Hash(), Goal: goal, Steps: []Step{}}
	for i, a := range acts {
		s := Step{N: i + 1, Op: a.op.String(), Node: m.ring.Nodes[a.node].ID, Cleanup: []string{}, DependsOn: []int{}}
		if len(a.gone) == 1 {
			s.From = m.ring.FormatToken(a.gone[0])
		}
		if len(a.came) == 1 {
			s.To = m.ring.FormatToken(a.came[0])
		}
		if len(a.came) > 1 {
			for _, c := range a.came {
				s.Tokens = append(s.Tokens, m.ring.FormatToken(c))
			}
		}
		s.Command = command(a.op, &s)
		if i > 0 {
			s.DependsOn = []int{i} // one at a time
		}
		p.Steps = append(p.Steps, s)
	}
	j, err := newJudge(p, r)
	if err != nil {
		return nil, nil, err
	}
	j.enrich = true
	j.plan = p
	j.run(p)
	v := j.v
	p.Goal.Mode = v.Mode
	p.Ownership = v.Ownership
	p.Summary = Summary{Moves: v.Moves, Bytes: v.Bytes, Distance: v.Distance, RackScore: v.RackScore, Cleanups: v.Cleanups, PeakDisk: v.PeakDisk}
	if t := goal.Throughput.Float(); t > 0 {
		p.Summary.ETA = v.Bytes.Float() / t
	}
	moves, score := v.Moves, v.RackScore
	p.Claims = &Claims{Moves: &moves, Bytes: v.Bytes, RackScore: &score}
	p.Warnings = append(p.Warnings, m.ring.Notes...)
	p.Warnings = append(p.Warnings, v.Warnings...)
	return p, v, nil
}

func command(o op, s *Step) []string {
	c := []string{"nodetool", "-h", s.Node}
	switch o {
	case opMove:
		return append(c, "move", "--", s.To)
	case opLeave:
		return append(c, "decommission")
	}
	return nil // starting a node, and moving one token of many, nodetool cannot
}

// assign writes down in the plan what the step just done does, and who cleans
// up: those whom the goal's rule names, or with deferral all at the end.
func (j *judge) assign(s *Step, out *StepVerdict) {
	s.Bytes, s.CleanupNeeded = out.Bytes, out.CleanupNeeded
	switch j.goal.Cleanup {
	case CleanupEach:
		s.Cleanup = slices.Clone(out.Cleanup)
	case CleanupNeeded:
		s.Cleanup = slices.Clone(out.CleanupNeeded)
	case CleanupDeferred:
		if s.N == len(j.plan.Steps) {
			s.Cleanup = []string{}
			for v, dirty := range j.dirty {
				if dirty && j.owning(v) {
					s.Cleanup = append(s.Cleanup, j.m.ring.Nodes[v].ID)
				}
			}
			slices.Sort(s.Cleanup)
		}
	}
	if s.Cleanup == nil {
		s.Cleanup = []string{}
	}
	slices.SortFunc(s.Streams, func(a, b Stream) int {
		return slices.Compare([]string{a.Keyspace, a.To, a.Range[0]}, []string{b.Keyspace, b.To, b.Range[0]})
	})
}

// diskAfter writes down what the nodes of a step hold after its cleanup, with
// what they have not cleaned up yet.
func (j *judge) diskAfter(s *Step, out *StepVerdict) {
	s.DiskAfter = make(map[string]Amount, len(out.Disk))
	for id := range out.Disk {
		v := j.m.byID[id]
		s.DiskAfter[id] = j.m.show(j.r.stored[v].add(j.r.left[v]))
	}
}

// ranges are what a node replicates of any keyspace, joined where they touch.
func (j *judge) ranges(node int32) [][2]string {
	m := j.m
	out := [][2]string{}
	var ends []Position
	for _, p := range m.places {
		if m.inDomain(int(node), p.domain) {
			ends = append(ends, j.r.domains[p.domain].now.pos...)
		}
	}
	slices.SortFunc(ends, Position.cmp)
	ends = slices.Compact(ends)
	if len(ends) == 0 {
		return out
	}
	type arc struct{ left, right Position }
	var arcs []arc
	for i, right := range ends {
		if !j.holds(node, right) {
			continue
		}
		left := ends[(i+len(ends)-1)%len(ends)]
		if n := len(arcs); n > 0 && arcs[n-1].right == left {
			arcs[n-1].right = right
			continue
		}
		arcs = append(arcs, arc{left, right})
	}
	if n := len(arcs); n > 1 && arcs[n-1].right == arcs[0].left {
		arcs[0].left, arcs = arcs[n-1].left, arcs[:n-1]
	}
	for _, a := range arcs {
		out = append(out, [2]string{m.ring.FormatToken(a.left), m.ring.FormatToken(a.right)})
	}
	return out
}

func (j *judge) holds(node int32, at Position) bool {
	var buf [16]int32
	for _, p := range j.m.places {
		if !j.m.inDomain(int(node), p.domain) {
			continue
		}
		l := j.r.domains[p.domain].now
		if len(l.pos) == 0 {
			continue
		}
		if replicas, _ := p.walk(j.m, l, p.terms(l), l.holder(at), buf[:0]); contains(replicas, node) {
			return true
		}
	}
	return false
}
