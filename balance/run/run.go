// Package run carries out a plan of package balance: one move at a time, each
// followed by the cleanup of the nodes it changed, each only on a ring that is
// the one the plan expects.
//
// Nouns: State (how far a plan is), Event (what was seen or ordered), Effect
// (what is to be done now), Record (a line of the journal, from which whoever
// comes after a death goes on).
//
// agent and ctl drive it: they do the effects and hand in the events. It is
// pure: no clock, no network, no goroutine. The journal holds the plan and the
// ring it was made for, so that nothing else is needed to go on. It is never
// trusted about the ring as it is: the ring itself says whether a move was done;
// only who has yet to clean up, and whether there is a pause or an abort, is read
// from the journal, and in doubt nodes clean up again.
package run

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helenus/balance"
)

// Phase is what a run waits for.
type Phase string

// The phases.
const (
	Checking   Phase = "checking"   // a look at the ring before the next step
	Moving     Phase = "moving"     // the end of a move
	Confirming Phase = "confirming" // a look at the ring after a move
	Cleaning   Phase = "cleaning"   // the end of a cleanup
	Replanning Phase = "replanning" // a new plan
	Done       Phase = "done"
	Aborted    Phase = "aborted"
	Stale      Phase = "stale"  // the ring is another one
	Failed     Phase = "failed" // a step failed too often
)

// Over tells whether nothing more will happen.
func (p Phase) Over() bool {
	return p == Done || p == Aborted || p == Stale || p == Failed
}

// Config is how carefully to go. Times are in seconds.
type Config struct {
	Windows    []Window
	LoadMax    float64 // no move begins while the load seen is higher; 0: no gate
	Delay      int64   // between a step's end and the next one's beginning
	Poll       int64   // between looks at the ring
	TriesMax   int     // per move and cleanup; 0: three
	Replan     bool    // ask for a new plan when the ring is another one
	ReplansMax int     // how many new plans; 0: three
}

// Window is when moves may begin, in seconds of the day. From above To runs over
// midnight, and a window from a time to itself is the whole day.
type Window struct{ From, To int64 }

const day = 24 * 60 * 60

func (w Window) open(now int64) bool {
	t := (now%day + day) % day
	if w.From < w.To {
		return w.From <= t && t < w.To
	}
	return t >= w.From || t < w.To
}

// State is how far a plan is. It is a value: Step returns a new one.
type State struct {
	Phase    Phase
	Step     int      // how many steps have moved; the index of the next one
	Pending  []string // nodes that clean up before the next move
	Owed     []string // nodes that lost something and have not cleaned up: those whose cleanup is deferred, too
	Paused   bool
	Aborting bool
	Reason   string // why it waits or stopped
	Tries    int
	Replans  int

	begun     bool // the next step's move was asked for, and may be done
	cleaning  bool // a cleanup is asked for
	resting   bool // the delay begins with the next look at the ring
	notBefore int64
	now       int64
	plan      *balance.Plan
	needs     [][]string    // by step: who loses something
	before    *balance.Ring // as the next step expects it
	after     *balance.Ring // as it leaves it; nil: there is none
	config    Config
}

// Event is something that was seen or ordered.
type Event interface{ event() }

// The events.
type (
	// Observed is the answer to Observe.
	Observed struct {
		Now  int64
		Ring *balance.Ring
		Load float64
	}
	// Moved is the end of a Move, with its error.
	Moved struct {
		Step, Try int
		Err       string
	}
	// Cleaned is the end of a cleanup, with its error.
	Cleaned struct{ Node, Err string }
	// Tick is the end of a Wait.
	Tick struct{ Now int64 }
	// Pause lets what runs end and begins nothing.
	Pause struct{}
	// Resume ends a pause.
	Resume struct{}
	// Abort ends the run, after the cleanup that moves already done need.
	Abort struct{}
	// Replanned is the answer to Replan: the plan with the ring it was made for,
	// or why there is none.
	Replanned struct {
		Plan *balance.Plan
		Ring *balance.Ring
		Err  string
	}
)

func (Observed) event()  {}
func (Moved) event()     {}
func (Cleaned) event()   {}
func (Tick) event()      {}
func (Pause) event()     {}
func (Resume) event()    {}
func (Abort) event()     {}
func (Replanned) event() {}

// Effect is something to be done, in the order given; a Write must be on disk
// before the effects behind it are begun.
type Effect interface{ effect() }

// The effects.
type (
	// Write appends a record to the journal.
	Write struct{ Record Record }
	// Observe asks for the ring as it is, with the states of nodes.
	Observe struct{}
	// Move asks to begin a step's movement. Its end must be told, whatever
	// happens, as a Moved of the same Step and Try.
	Move struct {
		Step, Try int
		What      balance.Step
	}
	// Clean asks one node to clean up.
	Clean struct{ Node string }
	// Wait asks for a Tick at that time.
	Wait struct{ Until int64 }
	// Replan asks for a new plan for the ring as it is.
	Replan struct{ Goal balance.Goal }
)

func (Write) effect()   {}
func (Observe) effect() {}
func (Move) effect()    {}
func (Clean) effect()   {}
func (Wait) effect()    {}
func (Replan) effect()  {}

var errPlan = errors.New("balance/run: the plan does not fit the ring")

// Begin starts a plan on the ring that it was made for.
func Begin(p *balance.Plan, r *balance.Ring, c Config) (State, []Effect, error) {
	s := State{config: c}
	if s.config.TriesMax == 0 {
		s.config.TriesMax = 3
	}
	if s.config.ReplansMax == 0 {
		s.config.ReplansMax = 3
	}
	if err := s.take(p, r); err != nil {
		return State{}, nil, err
	}
	begin := []Effect{Write{s.beginning()}}
	s, effects := s.next()
	return s, append(begin, effects...), nil
}

// take makes p the plan.
func (s *State) take(p *balance.Plan, r *balance.Ring) error {
	v, err := balance.Verify(p, r)
	if err != nil {
		return err
	}
	if !v.Valid {
		return fmt.Errorf("%w: %s", errPlan, v.Reason)
	}
	s.plan, s.before, s.Step, s.begun, s.Tries, s.Reason, s.needs = p, r, 0, false, 0, "", nil
	for i := range v.Steps {
		s.needs = append(s.needs, v.Steps[i].CleanupNeeded)
	}
	return s.expect()
}

// expect works out the ring after the next step.
func (s *State) expect() (err error) {
	s.after = nil
	if s.Step < len(s.plan.Steps) {
		s.after, err = balance.Apply(s.before, &s.plan.Goal, &s.plan.Steps[s.Step])
	}
	return err
}

// pass counts the step at hand as moved.
func (s *State) pass() error {
	s.Owed = union(s.Owed, s.needs[s.Step])
	s.before, s.Step, s.begun = s.after, s.Step+1, false
	return s.expect()
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, id := range b {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Step takes an event in. An event that the phase does not wait for changes
// nothing: after a death answers to the dead come late.
func Step(s State, e Event) (State, []Effect) {
	switch e := e.(type) {
	case Pause:
		return s.pause()
	case Resume:
		return s.resume()
	case Abort:
		return s.abort()
	case Tick:
		s.now = max(s.now, e.Now)
		return s.again()
	case Observed:
		s.now = max(s.now, e.Now)
		return s.observed(e)
	case Moved:
		return s.moved(e)
	case Cleaned:
		return s.cleaned(e)
	case Replanned:
		return s.replanned(e)
	}
	return s, nil
}

func (s State) pause() (State, []Effect) {
	if s.Phase.Over() || s.Paused || s.Aborting {
		return s, nil
	}
	s.Paused = true
	return s, []Effect{Write{s.record(KindPaused)}}
}

func (s State) resume() (State, []Effect) {
	if s.Phase.Over() || !s.Paused {
		return s, nil
	}
	s.Paused, s.Reason = false, ""
	record := Write{s.record(KindResumed)}
	s, effects := s.again()
	return s, append([]Effect{record}, effects...)
}

// again takes up what a wait or a pause held up.
func (s State) again() (State, []Effect) {
	switch {
	case s.Phase.Over() || s.Paused && s.Phase != Moving && s.Phase != Confirming:
		return s, nil
	case s.Phase == Checking || s.Phase == Confirming || s.Phase == Moving:
		return s, []Effect{Observe{}}
	case s.Phase == Cleaning:
		return s.clean()
	}
	return s, nil
}

func (s State) abort() (State, []Effect) {
	if s.Phase.Over() || s.Aborting {
		return s, nil
	}
	s.Aborting, s.Paused = true, false
	record := Write{s.record(KindAborted)}
	var effects []Effect
	switch s.Phase {
	case Checking: // a move may run that somebody began who died
		effects = []Effect{Observe{}}
	case Replanning:
		s, effects = s.leave()
	case Cleaning:
		s.Pending = union(s.Pending, s.Owed)
		s, effects = s.clean()
	}
	return s, append([]Effect{record}, effects...) // a move that runs ends first
}

// leave ends an aborted run, once all have cleaned up.
func (s State) leave() (State, []Effect) {
	if len(s.Owed) == 0 {
		return s.end(Aborted, "aborted")
	}
	s.Phase, s.Reason, s.Pending = Cleaning, "", s.Owed
	return s.clean()
}

func (s State) end(p Phase, reason string) (State, []Effect) {
	s.Phase, s.Reason = p, reason
	kind := KindDone
	if p != Done {
		kind = KindEnd
	}
	return s, []Effect{Write{s.record(kind)}}
}

// wait comes back later, for a reason.
func (s State) wait(reason string) (State, []Effect) {
	s.Reason = reason
	return s, []Effect{Wait{s.now + max(1, s.config.Poll)}}
}

func (s State) observed(e Observed) (State, []Effect) {
	switch s.Phase {
	case Checking:
		return s.check(e)
	case Moving, Confirming:
		return s.confirm(e)
	}
	return s, nil
}

// identity is all that a plan depends on: when it has changed, others may have
// to clean up than the plan says.
func identity(r *balance.Ring) string { return r.Hash() + "\n" + r.Replication() }

// check decides whether the next move may begin.
func (s State) check(e Observed) (State, []Effect) {
	now := identity(e.Ring)
	if s.after == nil {
		return s.last(e, now)
	}
	step := &s.plan.Steps[s.Step]
	if now == identity(s.after) { // done already: by the one who died, or by hand
		return s.settle()
	}
	if busy(e.Ring, step.Node) {
		s.Phase = Moving
		return s.wait(step.Node + " is moving")
	}
	if s.Aborting {
		if now != identity(s.before) {
			s.owe()
		}
		return s.leave()
	}
	if under := unready(e.Ring); under != "" {
		return s.wait(under)
	}
	if now != identity(s.before) {
		return s.stale(e.Ring)
	}
	if s.resting {
		s.resting, s.notBefore = false, s.now+s.config.Delay
	}
	switch {
	case s.Paused:
		return s, nil
	case len(s.config.Windows) > 0 && !slices.ContainsFunc(s.config.Windows, func(w Window) bool { return w.open(s.now) }):
		return s.wait("outside the window")
	case s.config.LoadMax > 0 && e.Load > s.config.LoadMax:
		return s.wait("load too high")
	case s.now < s.notBefore:
		return s, []Effect{Wait{s.notBefore}}
	}
	s.Phase, s.Reason, s.begun = Moving, "", true
	return s, []Effect{Write{s.record(KindStart)}, Move{step.N, s.Tries, *step}, Wait{s.now + max(1, s.config.Poll)}}
}

// last looks whether the ring is as the plan leaves it.
func (s State) last(e Observed, now string) (State, []Effect) {
	if now == identity(s.before) {
		return s.end(Done, "")
	}
	if under := unready(e.Ring); under != "" && !s.Aborting {
		return s.wait(under)
	}
	return s.stale(e.Ring)
}

// unready names a node that is not in order.
func unready(r *balance.Ring) string {
	for i := range r.Nodes {
		if n := &r.Nodes[i]; n.State != "" && n.State != "UN" {
			return n.ID + " is " + n.State
		}
	}
	return ""
}

// busy tells whether the mover lives and is on its way.
func busy(r *balance.Ring, mover string) bool {
	return slices.ContainsFunc(r.Nodes, func(n balance.Node) bool {
		return n.ID == mover && n.State != "" && n.State != "UN" && n.State[0] != 'D'
	})
}

// confirm looks whether the move at hand has come to its end.
func (s State) confirm(e Observed) (State, []Effect) {
	step := &s.plan.Steps[s.Step]
	if busy(e.Ring, step.Node) {
		return s.wait(step.Node + " is moving")
	}
	switch identity(e.Ring) {
	case identity(s.after):
		return s.settle()
	case identity(s.before):
		if s.Phase == Moving && s.Reason == "" {
			return s.wait("") // not begun yet: its end will be told
		}
		return s.retry("the move has left the ring as it was")
	}
	return s.stale(e.Ring)
}

func (s State) moved(e Moved) (State, []Effect) {
	if s.Phase != Moving || e.Step != s.plan.Steps[s.Step].N || e.Try != s.Tries {
		return s, nil
	}
	if e.Err != "" {
		return s.retry(e.Err)
	}
	s.Phase = Confirming
	return s, []Effect{Observe{}}
}

// retry begins the move again, a few times.
func (s State) retry(reason string) (State, []Effect) {
	if s.Tries++; s.Tries >= s.config.TriesMax {
		return s.end(Failed, reason)
	}
	s.Phase = Checking
	return s.wait(reason)
}

// settle goes from a move that is done to the cleanup it needs.
func (s State) settle() (State, []Effect) {
	s.Pending = union(s.Pending, s.plan.Steps[s.Step].Cleanup)
	if err := s.pass(); err != nil {
		return s.end(Failed, err.Error())
	}
	if s.Aborting {
		s.Pending = union(s.Pending, s.Owed)
	}
	s.Phase, s.Reason, s.Tries = Cleaning, "", 0
	record := Write{s.record(KindMoved)}
	s, effects := s.clean()
	return s, append([]Effect{record}, effects...)
}

// clean goes on with the next cleanup, or the next step when all is clean.
func (s State) clean() (State, []Effect) {
	if s.Paused || s.cleaning {
		return s, nil
	}
	if len(s.Pending) > 0 {
		s.cleaning = true
		return s, []Effect{Clean{s.Pending[0]}}
	}
	return s.next()
}

func (s State) cleaned(e Cleaned) (State, []Effect) {
	if s.Phase != Cleaning || !s.cleaning || s.Pending[0] != e.Node {
		return s, nil
	}
	s.cleaning = false
	if e.Err != "" {
		if s.Tries++; s.Tries >= s.config.TriesMax {
			return s.end(Failed, "cleanup of "+e.Node+": "+e.Err)
		}
		return s.wait("cleanup of " + e.Node + ": " + e.Err)
	}
	s.Tries, s.Reason = 0, ""
	s.Pending = slices.Clone(s.Pending[1:])
	s.Owed = slices.DeleteFunc(slices.Clone(s.Owed), func(id string) bool { return id == e.Node })
	record := s.record(KindCleaned)
	record.Node = e.Node
	s, effects := s.clean()
	return s, append([]Effect{Write{record}}, effects...)
}

// next goes to the next step, or to a last look at the ring.
func (s State) next() (State, []Effect) {
	if s.Aborting && s.after != nil {
		return s.end(Aborted, "aborted")
	}
	s.Phase, s.resting = Checking, s.Step > 0
	return s, []Effect{Observe{}}
}

// stale is when the ring is neither what was before the step nor after it.
func (s State) stale(now *balance.Ring) (State, []Effect) {
	reason := "the ring is no longer the one that the plan was made for"
	s.owe()
	goal := s.plan.Goal
	limited := goal.MovesMax > 0 || goal.BytesMax != "" // nobody knows what is left of that
	if !s.config.Replan || limited || s.Replans >= s.config.ReplansMax || s.Aborting {
		if len(s.Owed) > 0 {
			reason += "; to be cleaned up yet: " + strings.Join(s.Owed, ", ")
		}
		return s.end(Stale, reason)
	}
	s.Phase, s.Reason = Replanning, reason
	s.Replans++
	return s, []Effect{Replan{remaining(goal, now)}}
}

// owe counts the cleanup of the step at hand: its move was asked for, and the
// ring does not tell whether it was done.
func (s *State) owe() {
	if s.begun {
		s.Owed = union(s.Owed, s.needs[s.Step])
	}
}

// remaining is a goal without the joins and leaves that are done.
func remaining(g balance.Goal, r *balance.Ring) balance.Goal {
	in := func(id string) bool {
		return slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return n.ID == id && len(n.Tokens) > 0 })
	}
	g.Join = slices.DeleteFunc(slices.Clone(g.Join), func(j balance.Join) bool { return in(j.ID) })
	g.Leave = slices.DeleteFunc(slices.Clone(g.Leave), func(id string) bool { return !in(id) })
	g.Weights = maps.Clone(g.Weights)
	maps.DeleteFunc(g.Weights, func(id string, _ balance.Decimal) bool {
		return !in(id) && !slices.ContainsFunc(g.Join, func(j balance.Join) bool { return j.ID == id })
	})
	return g
}

// replanned takes a new plan up. What has not been cleaned up is, before its
// first step: a node may regain what it lost.
func (s State) replanned(e Replanned) (State, []Effect) {
	if s.Phase != Replanning {
		return s, nil
	}
	if e.Err != "" || e.Plan == nil || e.Ring == nil {
		return s.end(Stale, "no new plan: "+e.Err)
	}
	if err := s.take(e.Plan, e.Ring); err != nil {
		return s.end(Stale, "the new plan does not fit the ring: "+err.Error())
	}
	s.Owed = slices.DeleteFunc(union(s.Owed, s.Pending), func(id string) bool { // who has gone needs no cleanup
		return !slices.ContainsFunc(e.Ring.Nodes, func(n balance.Node) bool { return n.ID == id && len(n.Tokens) > 0 })
	})
	s.Phase, s.Pending = Cleaning, s.Owed
	begin := Write{s.beginning()}
	s, effects := s.clean()
	return s, append([]Effect{begin}, effects...)
}
