package run

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus/balance"
)

// lab is a cluster that moves and cleans up when asked, and a runner that may
// die at any point.
type lab struct {
	t       *testing.T
	ring    *balance.Ring
	goal    balance.Goal
	journal []byte
	events  []Event // on their way to the runner
	now     int64
	load    float64

	moving  *Move
	until   int64
	alive   bool // whoever asked for the move still listens
	dirty   map[string]bool
	moves   int
	starts  []int64
	failing int // moves that fail first
	soiling int // cleanups that do
	paused  bool
	config  Config
	rest    []Effect // not done when drive stopped
	seen    Observed // the runner has, last
}

const quantum = 10

// tick lets the cluster's time pass.
func (l *lab) tick() {
	l.now += quantum
	if l.moving == nil || l.now < l.until {
		return
	}
	move := l.moving
	step := &move.What
	l.moving = nil
	l.state(step.Node, "UN")
	if l.failing > 0 {
		l.failing--
		l.tell(Moved{step.N, move.Try, "stream failed"})
		return
	}
	after, err := balance.Apply(l.ring, &l.goal, step)
	if err != nil { // somebody else was quicker
		l.tell(Moved{step.N, move.Try, err.Error()})
		return
	}
	for _, id := range step.CleanupNeeded {
		l.dirty[id] = true
	}
	l.ring = after
	l.moves++
	l.tell(Moved{step.N, move.Try, ""})
}

func (l *lab) tell(e Event) {
	if l.alive {
		l.events = append(l.events, e)
	}
}

func (l *lab) state(id, state string) {
	l.ring = l.ring.Clone()
	for i := range l.ring.Nodes {
		if l.ring.Nodes[i].ID == id {
			l.ring.Nodes[i].State = state
		}
	}
}

// do carries out an effect.
func (l *lab) do(e Effect) {
	switch e := e.(type) {
	case Write:
		l.journal = AppendRecord(l.journal, e.Record)
	case Observe:
		l.events = append(l.events, Observed{l.now, l.ring, l.load})
	case Wait:
		l.events = append(l.events, Tick{e.Until})
	case Move:
		l.begin(e)
	case Clean:
		if l.soiling > 0 {
			l.soiling--
			l.events = append(l.events, Cleaned{e.Node, "disk full"})
			return
		}
		l.dirty[e.Node] = false
		l.events = append(l.events, Cleaned{e.Node, ""})
	case Replan:
		p, err := balance.MakePlan(l.ring, e.Goal)
		if err != nil {
			l.events = append(l.events, Replanned{Err: err.Error()})
			return
		}
		l.goal = p.Goal
		l.events = append(l.events, Replanned{Plan: p, Ring: l.ring})
	}
}

// begin holds that this is the time for a move, and begins it.
func (l *lab) begin(e Move) {
	if l.moving != nil {
		l.t.Fatalf("step %d begins while step %d runs", e.Step, l.moving.Step)
	}
	for id, dirty := range l.dirty {
		if dirty && l.goal.Cleanup != balance.CleanupDeferred {
			l.t.Fatalf("step %d begins before %s has cleaned up", e.Step, id)
		}
	}
	open := len(l.config.Windows) == 0
	for _, w := range l.config.Windows {
		open = open || w.open(l.seen.Now)
	}
	if l.paused || !open || l.config.LoadMax > 0 && l.seen.Load > l.config.LoadMax || unready(l.seen.Ring) != "" {
		l.t.Fatalf("step %d begins: paused %v, in a window %v, load %v, %s", e.Step, l.paused, open, l.seen.Load, unready(l.seen.Ring))
	}
	l.moving, l.until, l.alive = &e, l.now+3*quantum, true
	l.starts = append(l.starts, l.now)
	if e.What.Op == balance.OpJoin && !slices.ContainsFunc(l.ring.Nodes, func(n balance.Node) bool { return n.ID == e.What.Node }) {
		l.ring = l.ring.Clone()
		l.ring.Nodes = append(l.ring.Nodes, balance.Node{ID: e.What.Node, DC: "d", Rack: "r"})
	}
	l.state(e.What.Node, map[string]string{balance.OpMove: "UM", balance.OpJoin: "UJ", balance.OpLeave: "UL"}[e.What.Op])
}

// drive runs until the end, or until the death after that many actions; it
// tells the state then. Time passes whenever nothing else happens.
func (l *lab) drive(s State, effects []Effect, death int) (State, bool) {
	for n := 0; n < 3000; n++ {
		if n == death {
			l.rest = effects
			return s, false
		}
		switch {
		case len(effects) > 0:
			l.do(effects[0])
			effects = effects[1:]
		case s.Phase.Over():
			return s, true
		case len(l.events) > 0:
			e := l.events[0]
			l.events = l.events[1:]
			if tick, ok := e.(Tick); ok && tick.Now > l.now {
				l.events = append(l.events, e) // not yet
				l.tick()
				continue
			}
			if o, ok := e.(Observed); ok {
				l.seen = o
			}
			var more []Effect
			s, more = Step(s, e)
			effects = append(effects, more...)
		default:
			l.tick()
		}
	}
	l.t.Fatalf("no end: %+v", s)
	return s, true
}

func six(t *testing.T) *balance.Ring {
	t.Helper()
	r := &balance.Ring{Min: new(big.Int), Circumference: big.NewInt(300)}
	for i, at := range []uint64{0, 40, 110, 150, 215, 290} {
		r.Nodes = append(r.Nodes, balance.Node{ID: fmt.Sprint("n", i), DC: "d", Rack: "r", Tokens: []balance.Position{balance.At(at)}})
	}
	r.Keyspaces = []balance.Keyspace{{Name: "ks", Strategy: "SimpleStrategy", RF: 2}}
	return r
}

func newLab(t *testing.T, g balance.Goal) (*lab, *balance.Plan) {
	t.Helper()
	p, err := balance.MakePlan(six(t), g)
	if err != nil {
		t.Fatal(err)
	}
	return labOf(t, p), p
}

// labOf is a lab at the beginning of a plan.
func labOf(t *testing.T, p *balance.Plan) *lab {
	return &lab{t: t, ring: six(t), goal: p.Goal, now: 1000, dirty: map[string]bool{}}
}

func (l *lab) wantEnd(p *balance.Plan) {
	l.t.Helper()
	want := six(l.t)
	for i := range p.Steps {
		var err error
		if want, err = balance.Apply(want, &p.Goal, &p.Steps[i]); err != nil {
			l.t.Fatal(err)
		}
	}
	if l.ring.Hash() != want.Hash() {
		l.t.Fatal("the ring is not as planned")
	}
	for id, dirty := range l.dirty {
		if dirty {
			l.t.Fatalf("%s has not cleaned up", id)
		}
	}
}

var goals = map[string]balance.Goal{
	"moves":      {},
	"deferred":   {Cleanup: balance.CleanupDeferred},
	"join leave": {Join: []balance.Join{{ID: "n9", DC: "d", Rack: "r"}}, Leave: []string{"n2"}, Cleanup: balance.CleanupNeeded},
}

func TestRunToTheEnd(t *testing.T) {
	for name, g := range goals {
		t.Run(name, func(t *testing.T) {
			l, p := newLab(t, g)
			s, effects, err := Begin(p, l.ring, Config{Poll: 10, Delay: 100})
			if err != nil {
				t.Fatal(err)
			}
			if s, _ = l.drive(s, effects, -1); s.Phase != Done {
				t.Fatalf("ended %s: %s", s.Phase, s.Reason)
			}
			l.wantEnd(p)
			for i := 1; i < len(l.starts); i++ {
				if l.starts[i]-l.starts[i-1] < 100 {
					t.Error("the delay is not kept")
				}
			}
		})
	}
}

// TestDeathAnywhere kills the runner after every single action, twice, with the
// journal torn or whole, and lets another one go on.
func TestDeathAnywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for name, g := range goals {
		_, p := newLab(t, g)
		for death := range 250 {
			l := labOf(t, p)
			s, effects, err := Begin(p, l.ring, Config{Poll: 10})
			if err != nil {
				t.Fatal(err)
			}
			if len(l.journal) == 0 { // before that nothing has begun
				l.do(effects[0])
				effects = effects[1:]
			}
			ended := false
			for _, at := range []int{death, 1 + rnd.IntN(20), -1} {
				if s, ended = l.drive(s, effects, at); ended {
					break
				}
				l.alive, l.events = false, nil
				for range rnd.IntN(6) {
					l.tick()
				}
				l.config = Config{Poll: 10}
				s, effects = l.recover(rnd.IntN(3) == 0)
			}
			if s.Phase != Done {
				t.Fatalf("%s, death at %d: ended %s: %s", name, death, s.Phase, s.Reason)
			}
			l.wantEnd(p)
			if l.moves != len(p.Steps) {
				t.Fatalf("%s, death at %d: %d movements for %d steps", name, death, l.moves, len(p.Steps))
			}
		}
	}
}

func TestStaleRing(t *testing.T) {
	l, p := newLab(t, balance.Goal{})
	s, _, err := Begin(p, l.ring, Config{Poll: 10})
	if err != nil {
		t.Fatal(err)
	}
	other := l.ring.Clone()
	other.Nodes[3].Tokens[0] = balance.At(151)
	s, effects := Step(s, Observed{1, other, 0})
	if s.Phase != Stale || len(effects) != 1 {
		t.Fatalf("%s, %v", s.Phase, effects)
	}
	if s, effects = Step(s, Tick{2}); s.Phase != Stale || len(effects) > 0 {
		t.Fatal("it goes on")
	}
}

func TestReplan(t *testing.T) {
	l, p := newLab(t, balance.Goal{})
	s, _, err := Begin(p, l.ring, Config{Poll: 10, Replan: true})
	if err != nil {
		t.Fatal(err)
	}
	l.ring = l.ring.Clone()
	l.ring.Nodes[3].Tokens[0] = balance.At(151)
	s, effects := Step(s, Observed{1, l.ring, 0})
	if s.Phase != Replanning {
		t.Fatalf("%s, %v", s.Phase, effects)
	}
	again, err := balance.MakePlan(l.ring, p.Goal)
	if err != nil {
		t.Fatal(err)
	}
	s, effects = Step(s, Replanned{Plan: again, Ring: l.ring})
	if s, _ = l.drive(s, effects, -1); s.Phase != Done {
		t.Fatalf("ended %s: %s", s.Phase, s.Reason)
	}
}

// TestReplicationChanges stops a plan whose cleanup may no longer be right, but
// not for a keyspace that is replicated as others are.
func TestReplicationChanges(t *testing.T) {
	l, p := newLab(t, balance.Goal{})
	s, _, err := Begin(p, l.ring, Config{Poll: 10})
	if err != nil {
		t.Fatal(err)
	}
	r := l.ring.Clone()
	r.Keyspaces = append(r.Keyspaces, balance.Keyspace{Name: "more", Strategy: "SimpleStrategy", RF: 2})
	if now, _ := Step(s, Observed{1, r, 0}); now.Phase != Moving {
		t.Errorf("with another keyspace: %s %s", now.Phase, now.Reason)
	}
	r.Keyspaces[1].RF = 3
	if now, _ := Step(s, Observed{1, r, 0}); now.Phase != Stale {
		t.Errorf("with another replication: %s %s", now.Phase, now.Reason)
	}
}

func TestGates(t *testing.T) {
	l, p := newLab(t, balance.Goal{})
	down := l.ring.Clone()
	down.Nodes[1].State = "DN"
	for _, c := range []struct {
		name   string
		config Config
		see    Observed
		reason string
	}{
		{"window", Config{Windows: []Window{{100, 200}}}, Observed{50, l.ring, 0}, "window"},
		{"window over midnight", Config{Windows: []Window{{86000, 200}}}, Observed{300, l.ring, 0}, "window"},
		{"load", Config{LoadMax: 2}, Observed{50, l.ring, 2.5}, "load"},
		{"down", Config{}, Observed{50, down, 0}, "n1 is"},
	} {
		s, _, err := Begin(p, l.ring, c.config)
		if err != nil {
			t.Fatal(err)
		}
		s, effects := Step(s, c.see)
		if _, ok := effects[0].(Wait); !ok || s.Phase != Checking || !strings.Contains(s.Reason, c.reason) {
			t.Errorf("%s: %s %q %v", c.name, s.Phase, s.Reason, effects)
		}
	}
	for _, w := range []Window{{86000, 200}, {0, 0}, {500, 500}} {
		s, _, err := Begin(p, l.ring, Config{Windows: []Window{w}, LoadMax: 2})
		if err != nil {
			t.Fatal(err)
		}
		if s, _ = Step(s, Observed{100, l.ring, 1}); s.Phase != Moving {
			t.Errorf("the open window %v holds it back", w)
		}
	}
}

// recover lets another one go on, by the journal alone.
func (l *lab) recover(torn bool) (State, []Effect) {
	l.t.Helper()
	l.alive, l.events = false, nil
	data := l.journal
	if torn {
		data = append(slices.Clone(data), "0bad0bad {\"kind\":\"mo"...)
	}
	records, err := ReadJournal(data)
	if err != nil {
		l.t.Fatal(err)
	}
	s, effects, err := Recover(l.config, records)
	if err != nil {
		l.t.Fatal(err)
	}
	return s, effects
}

// clean holds that nobody has data that is not its own.
func (l *lab) clean(what string) {
	l.t.Helper()
	for id, dirty := range l.dirty {
		if dirty && slices.ContainsFunc(l.ring.Nodes, func(n balance.Node) bool { return n.ID == id }) {
			l.t.Fatalf("%s: %s has not cleaned up", what, id)
		}
	}
}

// TestChaos lets everything happen at any time: pauses, an abort, deaths, failing
// moves and cleanups, load, nodes down, and somebody else who moves a node.
func TestChaos(t *testing.T) {
	ends := map[Phase]int{}
	plans := map[string]*balance.Plan{}
	for name, g := range goals {
		_, plans[name] = newLab(t, g)
	}
	for seed := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 2))
		p := plans[[]string{"moves", "join leave", "deferred"}[seed%3]]
		l := labOf(t, p)
		l.config = Config{Poll: 10, Delay: int64(10 * rnd.IntN(4)), LoadMax: 2, Windows: []Window{{0, 3000}, {4000, 100}}, Replan: true, TriesMax: 4}
		s, effects, err := Begin(p, l.ring, l.config)
		if err != nil {
			t.Fatal(err)
		}
		l.do(effects[0])
		effects = effects[1:]
		for range 40 {
			var over bool
			if s, over = l.drive(s, effects, rnd.IntN(25)); over {
				break
			}
			s, effects = l.trouble(s, rnd)
		}
		l.load, l.failing, l.soiling, l.paused = 0, 0, 0, false
		for i := range l.ring.Nodes {
			if l.ring.Nodes[i].State == "DN" {
				l.state(l.ring.Nodes[i].ID, "UN")
			}
		}
		if !s.Phase.Over() {
			s, effects = l.recover(false)
			resumed, more := Step(s, Resume{})
			s, _ = l.drive(resumed, append(effects, more...), -1)
		}
		ends[s.Phase]++
		switch s.Phase {
		case Done:
			l.clean(fmt.Sprint("seed ", seed))
			v, err := balance.Verify(&balance.Plan{Goal: balance.Goal{}}, l.ring)
			if err != nil || !v.Balanced {
				t.Fatalf("seed %d: done and not balanced: %v", seed, err)
			}
		case Aborted:
			l.clean(fmt.Sprint("seed ", seed))
		}
	}
	t.Log(ends)
	for _, p := range []Phase{Done, Aborted, Stale, Failed} {
		if ends[p] == 0 {
			t.Errorf("no run ended %s", p)
		}
	}
}

// trouble is a death, after which another one goes on, or something else.
func (l *lab) trouble(s State, rnd *rand.Rand) (State, []Effect) {
	node := l.ring.Nodes[rnd.IntN(len(l.ring.Nodes))]
	for range rnd.IntN(8) {
		l.tick()
	}
	effects := l.rest
	if slices.ContainsFunc(effects, func(e Effect) bool { _, ok := e.(Move); return ok }) {
		return s, effects // too late
	}
	var more []Effect
	switch rnd.IntN(16) {
	default:
		s, effects = l.recover(rnd.IntN(3) == 0)
	case 0:
		l.load = 3
	case 1, 2:
		l.load = 0
	case 3:
		l.failing = rnd.IntN(6)
	case 4:
		l.soiling = rnd.IntN(3)
	case 5:
		if node.State == "" || node.State == "UN" {
			l.state(node.ID, "DN")
		}
	case 6, 7:
		for _, n := range l.ring.Nodes {
			if n.State == "DN" {
				l.state(n.ID, "UN")
			}
		}
	case 8:
		s, more = Step(s, Pause{})
		for _, e := range append(effects, more...) { // whoever asked is told once it is written
			l.do(e)
		}
		effects, more, l.paused = nil, nil, s.Paused
	case 9:
		l.paused = false
		s, more = Step(s, Resume{})
	case 10:
		if rnd.IntN(8) == 0 {
			l.paused = false
			s, more = Step(s, Abort{})
		}
	case 11:
		at := slices.IndexFunc(l.ring.Nodes, func(n balance.Node) bool { return n.ID == node.ID })
		if l.moving == nil && rnd.IntN(3) == 0 && at >= 0 && len(l.ring.Nodes[at].Tokens) == 1 {
			l.ring = l.ring.Clone()
			node = l.ring.Nodes[at]
			l.ring.Nodes[at].Tokens = []balance.Position{balance.At(uint64(1 + 2*rnd.IntN(140)))}
			if l.ring.Check() != nil {
				l.ring.Nodes[at].Tokens = node.Tokens
			}
		}
	}
	return s, append(effects, more...)
}

func TestMoveFails(t *testing.T) {
	for failing, want := range map[int]Phase{2: Done, 3: Failed} {
		l, p := newLab(t, balance.Goal{})
		l.failing = failing
		s, effects, err := Begin(p, l.ring, Config{Poll: 10})
		if err != nil {
			t.Fatal(err)
		}
		if s, _ = l.drive(s, effects, -1); s.Phase != want {
			t.Errorf("%d failures: %s: %s", failing, s.Phase, s.Reason)
		}
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add(AppendRecord(AppendRecord(nil, Record{Kind: KindBegin, Plan: "p"}), Record{Kind: KindMoved, Plan: "p", Pending: []string{"a"}}))
	f.Add([]byte("00000000 {}\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, _ := ReadJournal(data)
		var again []byte
		for _, r := range records {
			again = AppendRecord(again, r)
		}
		if back, err := ReadJournal(again); err != nil || len(back) != len(records) {
			t.Fatal(err)
		}
	})
}
