package balance

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// slow is the plain evaluator: it asks internal/ring for the replicas of every
// single point of a small ring, before and after every step.
type slow struct {
	size   int
	nodes  []slowNode
	spaces []slowSpace
}

type slowNode struct {
	id, dc, rack string
	tokens       []int
	weight       int
}

type slowSpace struct {
	name     string
	strategy ring.Strategy
	weight   []int // of each point
}

func (s *slow) find(id string) *slowNode {
	for i := range s.nodes {
		if s.nodes[i].id == id {
			return &s.nodes[i]
		}
	}
	return nil
}

// holders tells for every keyspace and point who holds it.
func (s *slow) holders() []map[int][]string {
	var members []ring.Node
	for i, n := range s.nodes {
		m := ring.Node{HostID: helenus.HostID{byte(i + 1)}, Datacenter: helenus.Datacenter(n.dc), Rack: helenus.Rack(n.rack)}
		for _, t := range n.tokens {
			m.Tokens = append(m.Tokens, token.FromInt64(int64(t)))
		}
		if len(n.tokens) == 0 {
			m.State = ring.Joining
		}
		members = append(members, m)
	}
	topology := ring.NewTopology(members)
	var out []map[int][]string
	for _, space := range s.spaces {
		placed := ring.NewPlacement(space.strategy, topology)
		at := map[int][]string{}
		for p := range s.size {
			for _, r := range placed.Replicas(token.FromInt64(int64(p))) {
				at[p] = append(at[p], s.nodes[r.HostID[0]-1].id)
			}
		}
		out = append(out, at)
	}
	return out
}

type slowResult struct {
	kind    string // "" or the beginning of the reason
	step    int
	moves   int
	bytes   []int
	must    [][]string
	needed  [][]string
	score   int
	balance bool
}

func (s *slow) run(p *Plan, hash string) slowResult {
	var res slowResult
	fail := func(step int, kind string) {
		if res.kind == "" {
			res.kind, res.step = kind, step
		}
	}
	if p.RingHash != "" && p.RingHash != hash {
		fail(0, "stale")
	}
	dirty := map[string]bool{}
	shed := map[string]map[string]bool{}
	for i, step := range p.Steps {
		if kind := s.possible(step); kind != "" {
			fail(i+1, kind)
			return res
		}
		if step.Op == OpMove || step.Op == OpMoveToken {
			res.moves++
		}
		before := s.holders()
		s.do(step)
		after := s.holders()
		bytes, must, lost, regained := s.compare(step, before, after, shed)
		if regained && p.Goal.Cleanup == CleanupDeferred {
			fail(i+1, "unsafe deferral")
		}
		res.bytes, res.must, res.needed = append(res.bytes, bytes), append(res.must, must), append(res.needed, lost)
		for _, id := range lost {
			dirty[id] = true
		}
		for _, id := range step.Cleanup {
			delete(dirty, id)
			delete(shed, id)
		}
		if p.Goal.Cleanup == CleanupNeeded {
			must = lost
		}
		if p.Goal.Cleanup == CleanupDeferred {
			must = nil
		}
		for _, id := range must {
			if !slices.Contains(step.Cleanup, id) {
				fail(i+1, "missing cleanup")
			}
		}
	}
	res.score, res.balance = s.score(), s.balanced(p.Goal)
	if !res.balance {
		fail(0, "unbalanced end")
	}
	for id := range dirty {
		if n := s.find(id); len(n.tokens) > 0 {
			fail(0, "missing cleanup")
		}
	}
	return res
}

func (s *slow) possible(step Step) string {
	n := s.find(step.Node)
	if n == nil {
		return "unknown node"
	}
	to, _ := strconv.Atoi(step.To)
	from, _ := strconv.Atoi(step.From)
	if step.Op != OpLeave {
		if step.Op != OpJoin && !slices.Contains(n.tokens, from) {
			return "wrong from"
		}
		if to < 0 || to >= s.size {
			return "token"
		}
		for _, o := range s.nodes {
			if slices.Contains(o.tokens, to) {
				return "occupied target"
			}
		}
	}
	switch step.Op {
	case OpMove:
		if len(n.tokens) != 1 {
			return n.id + " holds"
		}
	case OpJoin:
		if len(n.tokens) > 0 {
			return n.id + " is in the ring"
		}
	case OpLeave:
		if len(n.tokens) == 0 {
			return n.id + " is not in the ring"
		}
		return s.leavable(n)
	}
	return ""
}

func (s *slow) leavable(n *slowNode) string {
	for _, space := range s.spaces {
		all, there := 0, 0
		for _, o := range s.nodes {
			if len(o.tokens) > 0 && o.id != n.id {
				all++
				if o.dc == n.dc {
					there++
				}
			}
		}
		if _, ok := space.strategy.(ring.Simple); ok {
			if all < space.strategy.Factor() {
				return "RF above nodes"
			}
		} else if rf := space.strategy.FactorIn(helenus.Datacenter(n.dc)); rf > 0 && there < rf {
			return "RF above nodes"
		}
	}
	return ""
}

func (s *slow) do(step Step) {
	n := s.find(step.Node)
	to, _ := strconv.Atoi(step.To)
	from, _ := strconv.Atoi(step.From)
	switch step.Op {
	case OpMove, OpMoveToken:
		n.tokens[slices.Index(n.tokens, from)] = to
	case OpJoin:
		n.tokens = []int{to}
	case OpLeave:
		n.tokens = nil
	}
}

func (s *slow) compare(step Step, before, after []map[int][]string, shed map[string]map[string]bool) (bytes int, must, lost []string, regained bool) {
	changed, losers := map[string]bool{}, map[string]bool{}
	if step.Op == OpMove || step.Op == OpMoveToken {
		changed[step.Node] = true
	}
	for k, space := range s.spaces {
		for p := range s.size {
			key := fmt.Sprint(k, p)
			for _, id := range after[k][p] {
				if !slices.Contains(before[k][p], id) {
					bytes += space.weight[p]
					changed[id] = true
					regained = regained || shed[id][key]
				}
			}
			for _, id := range before[k][p] {
				if !slices.Contains(after[k][p], id) {
					changed[id], losers[id] = true, true
					if shed[id] == nil {
						shed[id] = map[string]bool{}
					}
					shed[id][key] = true
				}
			}
		}
	}
	for id := range changed {
		if len(s.find(id).tokens) > 0 && !(step.Op == OpJoin && id == step.Node) {
			must = append(must, id)
			if losers[id] {
				lost = append(lost, id)
			}
		}
	}
	slices.Sort(must)
	slices.Sort(lost)
	return bytes, must, lost, regained
}

// score slides a window over each datacenter's tokens.
func (s *slow) score() (score int) {
	type at struct {
		token int
		rack  string
	}
	dcs := map[string][]at{}
	racks := map[string]map[string]bool{}
	for _, n := range s.nodes {
		for _, t := range n.tokens {
			dcs[n.dc] = append(dcs[n.dc], at{t, n.rack})
			if racks[n.dc] == nil {
				racks[n.dc] = map[string]bool{}
			}
			racks[n.dc][n.rack] = true
		}
	}
	for dc, tokens := range dcs {
		slices.SortFunc(tokens, func(a, b at) int { return a.token - b.token })
		k := 2
		for _, space := range s.spaces {
			k = max(k, space.strategy.FactorIn(helenus.Datacenter(dc)))
		}
		k = min(k, len(racks[dc]))
		for i := range tokens {
			seen := map[string]bool{}
			for o := range k {
				seen[tokens[(i+o)%len(tokens)].rack] = true
			}
			if len(seen) < k {
				score++
			}
		}
	}
	return score
}

// balanced counts the points of each node in the sense of the goal.
func (s *slow) balanced(g Goal) bool {
	groups := map[string][]int{}
	for i := range s.nodes {
		if n := &s.nodes[i]; len(n.tokens) > 0 {
			groups[s.groupOf(g, n)] = append(groups[s.groupOf(g, n)], i)
		}
	}
	held := s.holders()
	for _, group := range groups {
		if !s.even(g, group, func(k, v int) (sum int) {
			for p := range s.size {
				switch {
				case k >= 0 && g.Mode == ModeReplicated:
					if slices.Contains(held[k][p], s.nodes[v].id) {
						sum += s.spaces[k].weight[p]
					}
				case s.nearest(group, p) != v:
				case k < 0:
					sum++
				default:
					sum += s.spaces[k].weight[p]
				}
			}
			return sum
		}) {
			return false
		}
	}
	return true
}

// groupOf names the nodes that balance among themselves, n with them.
func (s *slow) groupOf(g Goal, n *slowNode) string {
	network := false
	for _, space := range s.spaces {
		_, ok := space.strategy.(ring.Simple)
		network = network || !ok
	}
	key := n.dc
	if len(s.spaces) > 0 && !network && slices.ContainsFunc(s.nodes, func(o slowNode) bool { return o.dc != n.dc }) {
		key = ""
	}
	if g.Mode == ModeRack {
		key += "/" + n.dc + "/" + n.rack
	}
	return key
}

// even judges a group by what its nodes own of each keyspace; of keyspace -1 in
// points.
func (s *slow) even(g Goal, group []int, share func(space, node int) int) bool {
	dc := s.nodes[group[0]].dc
	own := make([]int, len(group))
	total, weights, unit, stored, uniform := 0, 0, 0, false, true
	add := func(k, times int) {
		for i, v := range group {
			n := share(k, v) * times
			own[i] += n
			total += n
		}
	}
	for k, space := range s.spaces {
		if _, ok := space.strategy.(ring.Simple); !ok && s.factorOf(space, dc) == 0 {
			continue
		}
		stored = true
		if g.Mode != ModeReplicated || s.factorOf(space, dc) < len(group) {
			unit += slices.Max(space.weight)
		}
		uniform = uniform && slices.Max(space.weight) == slices.Min(space.weight)
		add(k, 1)
	}
	if !stored && g.Mode == ModeReplicated {
		return true // nothing is stored there
	}
	if !stored { // no keyspace there: tokens
		unit = s.weightMax()
		add(-1, unit)
	}
	even := true
	for _, v := range group {
		weights += s.nodes[v].weight
		even = even && s.nodes[v].weight == s.nodes[group[0]].weight
	}
	if g.Mode == ModeReplicated && even && uniform && s.size%len(group) == 0 {
		unit = 0 // whole tokens
	} else {
		unit = max(unit, 1)
	}
	tol := g.Tolerance.rat()
	num, den := int(tol.Num().Int64()), int(tol.Denom().Int64())
	for i, v := range group {
		weight := s.nodes[v].weight
		off := own[i]*weights - total*weight
		off = max(off, -off)
		if off != 0 && off >= unit*weights && off*den > num*total*weight {
			return false
		}
	}
	return true
}

func (s *slow) factorOf(space slowSpace, dc string) int {
	return space.strategy.FactorIn(helenus.Datacenter(dc))
}

func (s *slow) weightMax() (w int) {
	for _, space := range s.spaces {
		w = max(w, slices.Max(space.weight))
	}
	return w
}

func (s *slow) nearest(group []int, p int) (best int) {
	least := 1 << 30
	for _, v := range group {
		for _, t := range s.nodes[v].tokens {
			if d := (t - p + s.size) % s.size; d < least {
				least, best = d, v
			}
		}
	}
	return best
}

// slowOf turns a small ring of minimum 0 into its slow form.
func slowOf(t testing.TB, r *Ring) *slow {
	t.Helper()
	s := &slow{size: int(r.Circumference.Int64())}
	for _, n := range r.Nodes {
		sn := slowNode{id: n.ID, dc: n.DC, rack: n.Rack, weight: int(n.Weight.value() / uint64(WeightOne))}
		for _, at := range n.Tokens {
			sn.tokens = append(sn.tokens, int(at.lo))
		}
		s.nodes = append(s.nodes, sn)
	}
	for _, k := range r.Keyspaces {
		options := map[string]string{}
		if k.Strategy == simple {
			options[ring.FactorOption] = strconv.Itoa(k.RF)
		}
		for dc, rf := range k.DCs {
			options[dc] = strconv.Itoa(rf)
		}
		strategy, err := ring.NewStrategy(k.Strategy, options)
		if err != nil {
			t.Fatal(err)
		}
		space := slowSpace{name: k.Name, strategy: strategy, weight: make([]int, s.size)}
		for p := range s.size {
			f := new(big.Rat).SetInt64(1)
			if k.PerToken != "" {
				f = k.PerToken.rat()
			}
			if n := len(k.Density); n > 0 {
				d := k.Density[n-1]
				for _, x := range k.Density {
					if p != 0 && int(x.After.lo) < p {
						d = x
					}
				}
				f = new(big.Rat).Mul(f, d.Factor.rat())
			}
			space.weight[p] = int(f.Num().Int64())
		}
		s.spaces = append(s.spaces, space)
	}
	return s
}

// count reads how many random cases to try: a few, or what the environment says.
func count(t testing.TB, name string, usual int) int {
	t.Helper()
	if v := os.Getenv(name); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usual
}

func randomRing(rnd *rand.Rand) *Ring {
	size := 12 + rnd.IntN(40)
	r := &Ring{Min: new(big.Int), Circumference: big.NewInt(int64(size))}
	free := rnd.Perm(size)
	dcs := 1 + rnd.IntN(2)
	racks := 1 + rnd.IntN(3)
	for i := range 1 + rnd.IntN(6) {
		n := Node{ID: fmt.Sprint("n", i), DC: fmt.Sprint("dc", rnd.IntN(dcs)), Rack: fmt.Sprint("r", rnd.IntN(racks)), Weight: WeightOne}
		if rnd.IntN(5) == 0 {
			n.Weight *= 2
		}
		tokens := 1
		if rnd.IntN(10) == 0 {
			tokens = 2
		}
		if i > 1 && rnd.IntN(6) == 0 {
			tokens = 0
		}
		for range tokens {
			n.Tokens, free = append(n.Tokens, At(uint64(free[0]))), free[1:]
		}
		r.Nodes = append(r.Nodes, n)
	}
	for k := range 1 + rnd.IntN(2) {
		space := Keyspace{Name: fmt.Sprint("k", k), PerToken: Decimal(strconv.Itoa(1 + rnd.IntN(9)))}
		if rnd.IntN(2) == 0 {
			space.Strategy, space.RF = simple, 1+rnd.IntN(3)
		} else {
			space.Strategy, space.DCs = network, map[string]int{"dc0": 1 + rnd.IntN(4)}
			if dcs > 1 {
				space.DCs["dc1"] = rnd.IntN(4)
			}
		}
		if rnd.IntN(4) == 0 {
			a := rnd.IntN(size / 2)
			space.Density = []Density{{At(uint64(a)), "2"}, {At(uint64(a + 1 + rnd.IntN(size/2-1))), "1"}}
		}
		r.Keyspaces = append(r.Keyspaces, space)
	}
	return r
}

// randomPlan makes steps that are mostly possible, with mostly right cleanup,
// and hurts some of them.
func randomPlan(t testing.TB, rnd *rand.Rand, r *Ring) *Plan {
	p := &Plan{RingHash: r.Hash()}
	p.Goal.Mode = []string{ModePrimary, ModeRack, ModeReplicated}[rnd.IntN(3)]
	p.Goal.Cleanup = []string{CleanupEach, CleanupNeeded, CleanupDeferred}[rnd.IntN(3)]
	p.Goal.Tolerance = []Decimal{"0", "0.3", "0.9"}[rnd.IntN(3)]
	s := slowOf(t, r)
	for range rnd.IntN(5) {
		n := s.nodes[rnd.IntN(len(s.nodes))]
		step := Step{Node: n.id, To: strconv.Itoa(rnd.IntN(s.size))}
		switch {
		case len(n.tokens) == 0:
			step.Op = OpJoin
		case rnd.IntN(6) == 0:
			step.Op, step.To = OpLeave, ""
		case len(n.tokens) > 1:
			step.Op = OpMoveToken
		default:
			step.Op = OpMove
		}
		if step.Op == OpMove || step.Op == OpMoveToken {
			step.From = strconv.Itoa(n.tokens[rnd.IntN(len(n.tokens))])
		}
		hurt := rnd.IntN(25)
		if hurt == 0 {
			step.From = strconv.Itoa(rnd.IntN(s.size))
		}
		if s.possible(step) != "" && rnd.IntN(4) > 0 {
			continue
		}
		if s.possible(step) == "" {
			before := s.holders()
			s.do(step)
			_, step.Cleanup, _, _ = s.compare(step, before, s.holders(), map[string]map[string]bool{})
			if hurt == 1 && len(step.Cleanup) > 0 {
				step.Cleanup = step.Cleanup[1:]
			}
			if p.Goal.Cleanup == CleanupDeferred && rnd.IntN(2) == 0 {
				step.Cleanup = nil
			}
		}
		p.Steps = append(p.Steps, step)
	}
	if rnd.IntN(25) == 0 {
		p.RingHash = "sha256:00"
	}
	return p
}

// TestVerifyAgainstSlow compares Verify with the plain evaluator on random plans.
func TestVerifyAgainstSlow(t *testing.T) {
	kinds := map[string]int{}
	for seed := range count(t, "BALANCE_PLANS", 3000) {
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		r := randomRing(rnd)
		p := randomPlan(t, rnd, r)
		want := slowOf(t, r).run(p, r.Hash())
		got, err := Verify(p, r)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := compareVerdict(got, want, len(p.Steps)); diff != "" {
			text, _ := json.Marshal(r)
			plan, _ := json.Marshal(p)
			t.Fatalf("seed %d: %s\ngot %+v\nwant %+v\n%s\n%s", seed, diff, got, want, text, plan)
		}
		kinds[want.kind]++
	}
	t.Log(kinds)
	for _, kind := range []string{"", "stale", "missing cleanup", "unbalanced end", "occupied target", "wrong from", "RF above nodes", "unsafe deferral"} {
		if kinds[kind] == 0 {
			t.Errorf("no plan was %q", kind)
		}
	}
}

func compareVerdict(got *Verdict, want slowResult, steps int) string {
	if got.Valid != (want.kind == "") || !strings.HasPrefix(got.Reason, want.kind) || got.Step != want.step {
		return "verdict"
	}
	if len(got.Steps) != len(want.bytes) || got.Moves != want.moves {
		return "steps"
	}
	sum := 0
	for i, step := range got.Steps {
		sum += want.bytes[i]
		if string(step.Bytes) != strconv.Itoa(want.bytes[i]) {
			return fmt.Sprint("bytes of step ", i+1)
		}
		if !slices.Equal(step.Cleanup, want.must[i]) || !slices.Equal(step.CleanupNeeded, want.needed[i]) {
			return fmt.Sprint("cleanup of step ", i+1)
		}
	}
	if string(got.Bytes) != strconv.Itoa(sum) {
		return "bytes"
	}
	if len(got.Steps) == steps {
		if got.Balanced != want.balance || got.RackScore != want.score {
			return "end"
		}
	}
	return ""
}
