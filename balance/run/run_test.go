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

	moving  *balance.Step
	until   int64
	alive   bool // whoever asked for the move still listens
	dirty   map[string]bool
	moves   int
	starts  []int64
	failing int // moves that fail first
}

const quantum = 10

// tick lets the cluster's time pass.
func (l *lab) tick() {
	l.now += quantum
	if l.moving == nil || l.now < l.until {
		return
	}
	step := l.moving
	l.moving = nil
	l.state(step.Node, "UN")
	if l.failing > 0 {
		l.failing--
		l.tell(Moved{step.N, "stream failed"})
		return
	}
	after, err := balance.Apply(l.ring, &l.goal, step)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, id := range step.CleanupNeeded {
		l.dirty[id] = true
	}
	l.ring = after
	l.moves++
	l.tell(Moved{step.N, ""})
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
		if l.moving != nil {
			l.t.Fatalf("step %d begins while step %d runs", e.Step, l.moving.N)
		}
		for id, dirty := range l.dirty {
			if dirty {
				l.t.Fatalf("step %d begins before %s has cleaned up", e.Step, id)
			}
		}
		l.moving, l.until, l.alive = &e.What, l.now+3*quantum, true
		l.starts = append(l.starts, l.now)
		if e.What.Op == balance.OpJoin && !slices.ContainsFunc(l.ring.Nodes, func(n balance.Node) bool { return n.ID == e.What.Node }) {
			l.ring = l.ring.Clone()
			l.ring.Nodes = append(l.ring.Nodes, balance.Node{ID: e.What.Node, DC: "d", Rack: "r"})
		}
		l.state(e.What.Node, map[string]string{balance.OpMove: "UM", balance.OpJoin: "UJ", balance.OpLeave: "UL"}[e.What.Op])
	case Clean:
		l.dirty[e.Node] = false
		l.events = append(l.events, Cleaned{e.Node, ""})
	}
}

// drive runs until the end, or until the death after that many actions; it
// tells the state then. Time passes whenever nothing else happens.
func (l *lab) drive(s State, effects []Effect, death int) (State, bool) {
	for n := 0; n < 3000; n++ {
		if n == death {
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
	r := six(t)
	p, err := balance.MakePlan(r, g)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{t: t, ring: r, goal: p.Goal, now: 1000, dirty: map[string]bool{}}, p
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
		for death := 0; death < 400; death++ {
			l, p := newLab(t, g)
			start := l.ring
			s, effects, err := Begin(p, start, Config{Poll: 10})
			if err != nil {
				t.Fatal(err)
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
				data := l.journal
				if rnd.IntN(3) == 0 {
					data = append(slices.Clone(data), "0bad0bad {\"kind\":\"mo"...)
				}
				records, err := ReadJournal(data)
				if err != nil {
					t.Fatal(err)
				}
				if s, effects, err = Recover(p, start, Config{Poll: 10}, records); err != nil {
					t.Fatal(err)
				}
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
	s, effects = Step(s, Replanned{again, l.ring})
	if s, _ = l.drive(s, effects, -1); s.Phase != Done {
		t.Fatalf("ended %s: %s", s.Phase, s.Reason)
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
	s, _, _ := Begin(p, l.ring, Config{Windows: []Window{{86000, 200}}, LoadMax: 2})
	if s, _ = Step(s, Observed{100, l.ring, 1}); s.Phase != Moving {
		t.Error("open gates hold it back")
	}
}

func TestPauseResumeAbort(t *testing.T) {
	for death := range 60 {
		for _, order := range []string{"pause", "abort"} {
			l, p := newLab(t, balance.Goal{})
			s, effects, err := Begin(p, l.ring, Config{Poll: 10})
			if err != nil {
				t.Fatal(err)
			}
			s, ended := l.drive(s, effects, death)
			if ended {
				continue
			}
			effects = nil
			if death%2 == 0 { // what was asked for and not begun is lost with the death
				records, _ := ReadJournal(l.journal)
				l.events = nil
				if s, effects, err = Recover(p, six(t), Config{Poll: 10}, records); err != nil {
					t.Fatal(err)
				}
			} else {
				continue
			}
			if order == "abort" {
				var more []Effect
				s, more = Step(s, Abort{})
				if s, _ = l.drive(s, append(effects, more...), -1); s.Phase != Aborted && s.Phase != Done {
					t.Fatalf("death %d: %s: %s", death, s.Phase, s.Reason)
				}
				for id, dirty := range l.dirty {
					if dirty {
						t.Fatalf("aborted and %s has not cleaned up", id)
					}
				}
				continue
			}
			s, _ = Step(s, Pause{})
			before := len(l.starts)
			for n := 0; n < 200 && (len(effects) > 0 || len(l.events) > 0); n++ {
				if len(effects) > 0 {
					l.do(effects[0])
					effects = effects[1:]
					continue
				}
				e := l.events[0]
				l.events = l.events[1:]
				if tick, ok := e.(Tick); ok && tick.Now > l.now {
					l.tick()
				}
				s, effects = Step(s, e)
			}
			if len(l.starts) > before {
				t.Fatal("a move began in the pause")
			}
			s, effects = Step(s, Resume{})
			if s, _ = l.drive(s, effects, -1); s.Phase != Done {
				t.Fatalf("death %d: resumed and ended %s: %s", death, s.Phase, s.Reason)
			}
			l.wantEnd(p)
		}
	}
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
