package balance

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Verdict is a plan replayed on a ring.
type Verdict struct {
	Valid    bool   `json:"valid"`
	Reason   string `json:"reason,omitempty"` // why not
	Step     int    `json:"step,omitempty"`   // the step that is wrong; 0: the plan
	Stale    bool   `json:"stale,omitempty"`
	Balanced bool   `json:"balanced"`

	Mode      string        `json:"mode"`
	Moves     int           `json:"moves"`
	Bytes     Amount        `json:"bytes"`
	Distance  Amount        `json:"distance"` // tokens passed by, summed
	RackScore int           `json:"rack_score"`
	Cleanups  int           `json:"cleanups"`
	Steps     []StepVerdict `json:"steps"`
	PeakDisk  *DiskPeak     `json:"peak_disk,omitempty"`
	Ownership Ownership     `json:"ownership"`
	Warnings  []string      `json:"warnings,omitempty"`
}

// StepVerdict is what one step does.
type StepVerdict struct {
	N             int                          `json:"n"`
	Bytes         Amount                       `json:"bytes"`
	Keyspaces     map[string]map[string]Amount `json:"keyspaces,omitempty"` // what nodes receive
	Cleanup       []string                     `json:"cleanup"`             // mover and all whose ranges changed
	CleanupNeeded []string                     `json:"cleanup_needed"`      // all that lost something
	Disk          map[string]Amount            `json:"disk,omitempty"`      // what changed nodes hold during the step
}

// detailTokensMax is up to how many tokens steps tell ranges and streams.
const detailTokensMax = 2048

// judge replays a plan.
type judge struct {
	m         *model
	goal      Goal
	r         *replay
	v         *Verdict
	start     []amount
	dirty     []bool
	shed      map[int32][]change // lost and not cleaned up; deferred only
	joined    []bool
	bytes     amount
	distance  amount
	peak      amount
	deferring bool
	detail    bool
	enrich    bool // fill the plan's steps too
	plan      *Plan
	listing   bool // of ranges
	sized     bool // the ring tells bytes: tokens fill no disk
	unfit     bool // the goal cannot be asked of this ring: nothing is replayed
}

// Verify replays a plan, whoever made it, and tells whether it is valid, with
// the reason if not, and what it does up to there. The error is for a ring or a
// goal that cannot be understood.
func Verify(p *Plan, r *Ring) (*Verdict, error) {
	j, err := newJudge(p, r)
	if err != nil {
		return nil, err
	}
	j.unknownKeyspaces(p)
	if j.unfit {
		p = &Plan{}
	}
	j.run(p)
	return j.v, nil
}

func newJudge(p *Plan, r *Ring) (*judge, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	goal, err := p.Goal.normal()
	if err != nil {
		return nil, err
	}
	stale := p.RingHash != "" && p.RingHash != r.Hash()
	members, unfit := goal.member(r)
	if unfit != nil {
		if !stale {
			return nil, unfit
		}
		goal.Join, goal.Leave, goal.Weights = nil, nil, nil
		members = r
	}
	m, err := newModel(members)
	if err != nil {
		return nil, err
	}
	j := &judge{m: m, goal: goal, r: newReplay(m), v: &Verdict{Valid: true}, shed: map[int32][]change{}, sized: r.Measured(), unfit: unfit != nil}
	j.start = slices.Clone(j.r.stored)
	j.dirty, j.joined = make([]bool, len(m.ring.Nodes)), make([]bool, len(m.ring.Nodes))
	j.deferring = goal.Cleanup == CleanupDeferred
	tokens := 0
	for i := range m.ring.Nodes {
		tokens += len(m.ring.Nodes[i].Tokens)
	}
	j.detail = tokens <= detailTokensMax
	j.listing = tokens <= rangesTokensMax
	if p.RingHash == "" {
		j.v.Warnings = append(j.v.Warnings, "the plan names no ring hash: it may be stale")
	} else if stale {
		j.v.Stale = true
		j.fail(0, "stale: the ring is no longer the one that the plan was made for")
		if unfit != nil {
			j.v.Reason += " (" + strings.TrimPrefix(unfit.Error(), "balance: goal: ") + ")"
		}
	}
	return j, nil
}

func (j *judge) fail(step int, format string, args ...any) {
	if j.v.Valid {
		j.v.Valid, j.v.Step, j.v.Reason = false, step, fmt.Sprintf(format, args...)
	}
}

func (j *judge) run(p *Plan) {
	before, _ := j.ownership(j.owning)
	j.v.Ownership.Before, j.v.Ownership.Stats.Before = before.shares, before.stats
	for i := range p.Steps {
		if !j.step(i+1, &p.Steps[i]) {
			break
		}
	}
	after, balanced := j.ownership(j.owning)
	j.v.Ownership.After, j.v.Ownership.Stats.After = after.shares, after.stats
	j.v.Balanced, j.v.Mode = balanced, after.mode
	j.v.Bytes, j.v.Distance = j.m.show(j.bytes), show(j.distance.big(), 0)
	j.v.RackScore = j.m.rackScore(j.r)
	j.v.Warnings = append(j.v.Warnings, j.m.warnings(&j.goal, j.owning)...)
	if (j.goal.Racks == RacksRequire || j.goal.Objective[0] == ByRack) && j.v.RackScore > 0 {
		j.v.Warnings = append(j.v.Warnings, fmt.Sprintf("racks shall alternate, and %d runs of consecutive tokens repeat one: racks of unequal size never alternate all the way", j.v.RackScore))
	}
	j.finish(p)
}

// unknownKeyspaces tells of keyspaces that a plan streams and the ring does not
// have: the plan was made for another cluster, or of a paste, which has no names.
func (j *judge) unknownKeyspaces(p *Plan) {
	known := map[string]bool{"": true} // what was assumed has no name
	for _, s := range j.m.spaces {
		known[s.name] = true
	}
	for i := range p.Steps {
		for _, s := range p.Steps[i].Streams {
			if !known[s.Keyspace] {
				known[s.Keyspace] = true
				j.v.Warnings = append(j.v.Warnings, fmt.Sprintf("step %d streams keyspace %s, which the ring does not have", i+1, s.Keyspace))
			}
		}
	}
}

// owning tells whether a node holds tokens now.
func (j *judge) owning(node int) bool { return len(j.r.tokens[node]) > 0 }

func (j *judge) finish(p *Plan) {
	partial := j.goal.MovesMax > 0 || j.goal.BytesMax != ""
	if j.goal.MovesMax > 0 && j.v.Moves > j.goal.MovesMax {
		j.fail(0, "%d moves, %d are allowed", j.v.Moves, j.goal.MovesMax)
	}
	if j.goal.BytesMax != "" && Decimal(j.v.Bytes).rat().Cmp(Decimal(j.goal.BytesMax).rat()) > 0 {
		j.fail(0, "%s bytes, %s are allowed", j.v.Bytes, j.goal.BytesMax)
	}
	if !j.v.Balanced && !partial {
		j.fail(0, "unbalanced end: %s deviates from its ideal share by %.4g %%", j.worstName(), 100*j.v.Ownership.Stats.After.Worst)
	}
	for _, join := range j.goal.Join {
		if !j.owning(j.m.byID[join.ID]) {
			j.fail(0, "%s shall join, and does not", join.ID)
		}
	}
	for _, id := range j.goal.Leave {
		if j.owning(j.m.byID[id]) {
			j.fail(0, "%s shall leave, and does not", id)
		}
	}
	for node, dirty := range j.dirty {
		if dirty && j.owning(node) {
			j.fail(0, "missing cleanup: %s never cleans up what it lost", j.m.ring.Nodes[node].ID)
		}
	}
	if c := p.Claims; c != nil {
		if c.Moves != nil && *c.Moves != j.v.Moves {
			j.fail(0, "claims %d moves, has %d", *c.Moves, j.v.Moves)
		}
		if c.Bytes != "" && !c.Bytes.same(j.v.Bytes) {
			j.fail(0, "claims %s bytes, streams %s", c.Bytes, j.v.Bytes)
		}
		if c.RackScore != nil && *c.RackScore != j.v.RackScore {
			j.fail(0, "claims rack score %d, ends with %d", *c.RackScore, j.v.RackScore)
		}
	}
}

func (j *judge) worstName() string {
	worst, name := -1.0, "a node"
	for i := range j.m.ring.Nodes {
		id := j.m.ring.Nodes[i].ID
		if s, ok := j.v.Ownership.After[id]; ok && abs(s.Deviation) > worst {
			worst, name = abs(s.Deviation), id
		}
	}
	return name
}

// step does one step; false if it is impossible.
func (j *judge) step(n int, s *Step) bool {
	a, err := j.m.act(s)
	if err == nil && a.op == opLeave {
		a.gone = slices.Clone(j.r.tokens[a.node])
	}
	if err == nil {
		err = j.r.check(a)
	}
	if err != nil {
		j.fail(n, "%v", err)
		if j.v.Stale {
			j.v.Reason += fmt.Sprintf(" (step %d: %v)", n, err)
		}
		return false
	}
	out := StepVerdict{N: n}
	ranges := j.rangesBefore()
	e := j.r.apply(a, j.watch(n, &out, s))
	if j.enrich && ranges != nil {
		s.Ranges = map[string]BeforeNow{}
		for _, v := range e.touched {
			s.Ranges[j.m.ring.Nodes[v].ID] = BeforeNow{ranges[v], j.ranges(v)}
		}
	}
	if a.op == opMove || a.op == opMoveToken {
		j.v.Moves++
		d := after(a.gone[0], a.came[0], j.m.size)
		if back := j.m.size.sub(d); back.less(d) {
			d = back
		}
		j.distance = j.distance.add(spread(d, 1))
	}
	j.bytes = j.bytes.add(e.bytes)
	out.Bytes = j.m.show(e.bytes)
	if s.Bytes != "" && !s.Bytes.same(out.Bytes) && !j.enrich {
		j.v.Warnings = append(j.v.Warnings, fmt.Sprintf("step %d says %s bytes, streams %s", n, s.Bytes, out.Bytes))
	}
	j.disk(n, &out, e)
	j.cleanup(n, s, a, &out, e)
	j.v.Steps = append(j.v.Steps, out)
	return true
}

// rangesBefore are all nodes' ranges, where the plan shall list them.
func (j *judge) rangesBefore() [][][2]string {
	if !j.enrich || !j.listing {
		return nil
	}
	out := make([][][2]string, len(j.m.ring.Nodes))
	for v := range out {
		out[v] = j.ranges(int32(v))
	}
	return out
}

// watch looks at every arc that changes.
func (j *judge) watch(n int, out *StepVerdict, s *Step) func(change) {
	if !j.detail && !j.deferring {
		return nil
	}
	return func(c change) {
		if j.deferring {
			j.regain(n, c)
		}
		if !j.detail {
			return
		}
		for _, space := range c.place.spaces {
			w := j.m.show(space.between(c.left, c.right))
			for _, v := range c.after {
				if contains(c.before, v) {
					continue
				}
				id := j.m.ring.Nodes[v].ID
				out.received(space.name, id, space.between(c.left, c.right), j.m)
				if j.enrich {
					s.Streams = append(s.Streams, j.stream(space.name, c, v, w))
				}
			}
		}
	}
}

func (out *StepVerdict) received(keyspace, node string, w amount, m *model) {
	if out.Keyspaces == nil {
		out.Keyspaces = map[string]map[string]Amount{}
	}
	if out.Keyspaces[keyspace] == nil {
		out.Keyspaces[keyspace] = map[string]Amount{}
	}
	sum := new(big.Rat).SetFrac(w.big(), pow10(m.scale))
	if was := out.Keyspaces[keyspace][node]; was != "" {
		sum.Add(sum, Decimal(was).rat())
	}
	scaled := sum.Mul(sum, new(big.Rat).SetInt(pow10(m.scale)))
	out.Keyspaces[keyspace][node] = show(new(big.Int).Quo(scaled.Num(), scaled.Denom()), m.scale)
}

// stream tells who sends: who gives the range up, else its first replica.
func (j *judge) stream(keyspace string, c change, to int32, w Amount) Stream {
	st := Stream{Keyspace: keyspace, To: j.m.ring.Nodes[to].ID, Bytes: w,
		Range: [2]string{j.m.ring.FormatToken(c.left), j.m.ring.FormatToken(c.right)}}
	for i, v := range c.before {
		if i == 0 || !contains(c.after, v) {
			st.From = j.m.ring.Nodes[v].ID
		}
		if !contains(c.after, v) {
			break
		}
	}
	return st
}

// regain looks for a node that gains what it lost and never cleaned up: cells
// that a purged tombstone had covered would come back.
func (j *judge) regain(n int, c change) {
	for _, v := range c.after {
		if contains(c.before, v) {
			continue
		}
		for _, old := range j.shed[v] {
			if old.place == c.place && overlap(old, c, j.m.size) {
				if j.enrich {
					j.earlier(n, v)
					break
				}
				j.fail(n, "unsafe deferral: %s regains (%s, %s], which it lost and has not cleaned up",
					j.m.ring.Nodes[v].ID, j.m.ring.FormatToken(c.left), j.m.ring.FormatToken(c.right))
				break
			}
		}
	}
	for _, v := range c.before {
		if !contains(c.after, v) {
			j.shed[v] = append(j.shed[v], change{place: c.place, left: c.left, right: c.right})
		}
	}
}

// earlier has v clean up after the step before n.
func (j *judge) earlier(n int, v int32) {
	s, id := &j.plan.Steps[n-2], j.m.ring.Nodes[v].ID
	s.Cleanup = append(s.Cleanup, id)
	if _, told := s.DiskAfter[id]; told {
		s.DiskAfter[id] = j.m.show(j.r.stored[v])
	}
	j.v.Cleanups++
	j.dirty[v], j.r.left[v] = false, amount{}
	delete(j.shed, v)
}

func overlap(a, b change, size Position) bool {
	in := func(p Position, r change) bool { // p in (left, right]
		if r.left == r.right {
			return true
		}
		d := after(r.left, p, size)
		return !d.isZero() && !after(r.left, r.right, size).less(d)
	}
	return in(a.right, b) || in(b.right, a)
}

// disk follows what nodes hold during a step: all they had, what comes, and what
// they have not cleaned up.
func (j *judge) disk(n int, out *StepVerdict, e effect) {
	if j.detail {
		out.Disk = make(map[string]Amount, len(e.touched))
	}
	for _, v := range e.touched {
		node := &j.m.ring.Nodes[v]
		// stored is after the step: what went is still on disk.
		held := j.r.stored[v].add(j.r.loss[v]).add(j.r.left[v])
		if j.detail {
			out.Disk[node.ID] = j.m.show(held)
		}
		if held.cmp(j.start[v]) <= 0 {
			continue
		}
		extra := held.sub(j.start[v])
		if j.peak.cmp(extra) < 0 {
			j.peak = extra
			j.v.PeakDisk = &DiskPeak{node.ID, j.m.show(extra)}
		}
		if node.DiskFree == nil || !j.sized {
			continue
		}
		free := new(big.Rat).SetInt(new(big.Int).Mul(node.DiskFree, pow10(j.m.scale)))
		free.Mul(free, new(big.Rat).Sub(big.NewRat(1, 1), j.goal.Headroom.rat()))
		if new(big.Rat).SetInt(extra.big()).Cmp(free) > 0 {
			j.fail(n, "disk: %s needs %s bytes more and has %s free (headroom %s)", node.ID, j.m.show(extra), node.DiskFree, orZero(j.goal.Headroom))
		}
	}
}

func orZero(d Decimal) Decimal {
	if d == "" {
		return "0"
	}
	return d
}

// cleanup compares the nodes that a step names with those that must clean up.
func (j *judge) cleanup(n int, s *Step, a act, out *StepVerdict, e effect) {
	mover := int32(a.node)
	if a.op == opMove || a.op == opMoveToken {
		out.Cleanup = append(out.Cleanup, j.m.ring.Nodes[mover].ID)
	}
	for _, v := range e.touched {
		if len(j.r.tokens[v]) == 0 || a.op == opJoin && v == mover {
			continue // gone, or new and clean
		}
		id := j.m.ring.Nodes[v].ID
		if v != mover {
			out.Cleanup = append(out.Cleanup, id)
		}
		if j.r.mark[v]&markLost != 0 {
			out.CleanupNeeded = append(out.CleanupNeeded, id)
			j.dirty[v] = true
			j.r.left[v] = j.r.left[v].add(j.r.loss[v])
		}
	}
	slices.Sort(out.Cleanup)
	slices.Sort(out.CleanupNeeded)
	if j.enrich {
		j.assign(s, out)
	}
	named := make(map[string]bool, len(s.Cleanup))
	for _, id := range s.Cleanup {
		v, ok := j.m.byID[id]
		if !ok {
			j.fail(n, "cleanup of the unknown node %s", id)
			continue
		}
		named[id] = true
		j.dirty[v], j.r.left[v] = false, amount{}
		delete(j.shed, int32(v))
		j.v.Cleanups++
	}
	if j.enrich && j.detail {
		j.diskAfter(s, out)
	}
	must := out.Cleanup
	switch j.goal.Cleanup {
	case CleanupNeeded:
		must = out.CleanupNeeded
	case CleanupDeferred:
		must = nil
	}
	for _, id := range must {
		if !named[id] {
			j.fail(n, "missing cleanup: %s", id)
		}
	}
}
