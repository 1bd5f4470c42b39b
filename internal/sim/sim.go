// Package sim runs whole agents in one process, over a network and file systems
// in memory, so that one seed makes one history.
//
// Nouns: Sim (one simulated world and its scheduler), Node (an agent with its
// disk and its host), Host (a machine on the network), Link (one direction
// between two hosts), Actor (a client with a script), event (one thing that
// happens: an operation on a disk, bytes that arrive, an actor's turn, a fault),
// Fault (what goes wrong, from when to when), and the checkers: Registers,
// Epochs, Convergence, Leaks.
//
// Tests call it, inside a testing/synctest bubble. It never sleeps for real and
// never lets two events happen at once: whoever wants something to happen posts
// it; when everything stands still, the seed gives each new event its time; the
// earliest happens, and everything stands still again. So the order of events
// follows from the seed.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Sim is a simulated world. It belongs to the goroutine of the test; actors
// and nodes have their own.
type Sim struct {
	t     testing.TB
	seed  uint64
	rand  *rand.Rand
	began time.Time
	net   *Network
	nodes []*Node
	// After is called when an event has happened and everything stands still. It
	// may look at anything and start free nodes, but not run the scheduler.
	After func(event string)
	// Events counts what has happened.
	Events int

	// throw draws the times of events; dice is what it throws.
	dice  *rand.PCG
	throw *rand.Rand
	queue queue
	// held are events that something is in the way of: a cut link, a paused node.
	held []*event
	wake chan struct{} // capacity 1: something was posted

	mu     sync.Mutex // guards what follows
	posted []*event
	notes  []string
	actors int // that have not ended
	over   bool
	overAt time.Duration
	trace  trace
}

// event is something that will happen.
type event struct {
	name string // its line in the trace
	// identify and settle, if set, make the name when everything stands still:
	// first as far as what was posted tells, then, in the order of the names, in
	// full. detail adds to the line in the trace when it happens.
	identify, settle, detail func() string
	// delay draws how long it takes from now on.
	delay func(r *rand.Rand) time.Duration
	do    func()
	// blocked tells whether something is in its way; nil: nothing ever is.
	blocked func() bool
	owner   *life // whose end lets it happen at once
	// abandon tells whoever waits that the world has ended; nil: nobody waits.
	abandon func()

	at    time.Time
	order uint64
	alike int // events that happen with it
}

// join makes another event happen with this one.
func (e *event) join(other *event) {
	e.alike++
	do, abandon := e.do, e.abandon
	e.do = func() { do(); other.do() }
	if abandon != nil && other.abandon != nil {
		e.abandon = func() { abandon(); other.abandon() }
	}
}

// queue is a heap of events, the earliest first.
type queue struct {
	events []*event
	count  uint64
}

func (q *queue) Len() int { return len(q.events) }
func (q *queue) Less(i, j int) bool {
	a, b := q.events[i], q.events[j]
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.order < b.order
}
func (q *queue) Swap(i, j int) { q.events[i], q.events[j] = q.events[j], q.events[i] }
func (q *queue) Push(x any)    { q.events = append(q.events, x.(*event)) }
func (q *queue) Pop() any {
	last := len(q.events) - 1
	e := q.events[last]
	q.events[last] = nil
	q.events = q.events[:last]
	return e
}

// New makes a world. It is called inside a bubble, whose end is the world's.
func New(t testing.TB, seed uint64) *Sim {
	s := &Sim{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), wake: make(chan struct{}, 1)}
	s.dice = rand.NewPCG(0, 0)
	s.throw = rand.New(s.dice)
	s.net = newNetwork(s)
	t.Cleanup(s.end)
	return s
}

// end lets go of everything that waits, so that a bubble in which a test has
// failed can end.
func (s *Sim) end() {
	s.mu.Lock()
	s.over, s.overAt = true, s.Elapsed()
	s.mu.Unlock()
	for _, n := range s.nodes {
		if n.begun() {
			n.Crash(n.disk)
		}
	}
	for {
		synctest.Wait()
		s.mu.Lock()
		events := s.posted
		s.posted = nil
		s.mu.Unlock()
		events = append(append(events, s.queue.events...), s.held...)
		s.queue.events, s.held = nil, nil
		for _, p := range s.net.open() {
			p.ends[0].fail(net.ErrClosed)
			p.ends[1].fail(net.ErrClosed)
		}
		if len(events) == 0 && s.gone() {
			return
		}
		for _, e := range events {
			if e.abandon != nil {
				e.abandon()
			}
		}
		time.Sleep(time.Second) // agents take their time to end
	}
}

// gone tells whether all lives of nodes have ended, or will not within endMax.
func (s *Sim) gone() bool {
	for _, n := range s.nodes {
		for _, l := range n.lives {
			if !l.stopped() && s.Elapsed() < s.overAt+endMax {
				return false
			}
		}
	}
	return true
}

const endMax = 5 * time.Minute

func (s *Sim) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// Rand is the scheduler's source of chance, for whoever decides between events.
func (s *Sim) Rand() *rand.Rand { return s.rand }

// Seed is what everything follows from.
func (s *Sim) Seed() uint64 { return s.seed }

// Elapsed is how much time has passed in this world.
func (s *Sim) Elapsed() time.Duration { return time.Since(s.began) }

// Network is what all nodes but free ones are connected by.
func (s *Sim) Network() *Network { return s.net }

// Trace is what has happened: same seed, same text. Of a long history it is the
// last part; Digest tells about all of it.
func (s *Sim) Trace() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.trace.old) + string(s.trace.text)
}

// Digest is a hash over everything that has happened.
func (s *Sim) Digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d lines, %016x", s.trace.lines, s.trace.hash)
}

// Note adds a line to the trace.
func (s *Sim) Note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// post asks for an event. Anybody may call it at any time.
func (s *Sim) post(e *event) {
	s.mu.Lock()
	s.posted = append(s.posted, e)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// wait is called by whoever wants an event to happen; it returns when it has, or
// at the end of the world, which is the end of actors.
func (s *Sim) wait(e *event) {
	allow, do := make(chan struct{}), e.do
	e.do = func() {
		if do != nil {
			do()
		}
		close(allow)
	}
	e.abandon = func() { close(allow) }
	if !s.isOver() {
		s.post(e)
		<-allow
	}
	if e.owner == nil && s.isOver() {
		runtime.Goexit()
	}
}

// At makes the scheduler call do after some time. do may do what After may, and
// start and end faults.
func (s *Sim) At(after time.Duration, name string, do func()) {
	s.post(&event{name: name, do: do, delay: func(*rand.Rand) time.Duration { return after }})
}

// Actor is a client with a script.
type Actor struct {
	Name string
	Rand *rand.Rand
	// Pause bounds the time between two turns; zero is turnPause.
	Pause time.Duration
	sim   *Sim
	turn  int
}

const turnPause = 400 * time.Microsecond

// Turn waits until it is the actor's turn. Between two turns an actor may ask
// one thing of a node.
func (a *Actor) Turn() {
	a.turn++
	bound := a.Pause
	if bound <= 0 {
		bound = turnPause
	}
	a.sim.wait(&event{name: fmt.Sprintf("%s turn %d", a.Name, a.turn), delay: upTo(bound)})
}

// upTo draws a time from one nanosecond to bound.
func upTo(bound time.Duration) func(r *rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return 1 + time.Duration(r.Int64N(int64(bound))) }
}

// chance makes a source of chance of the world's seed and a name.
func (s *Sim) chance(name string) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, fnv64(name)))
}

func fnv64(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// Go starts an actor. Its chance depends on the world's seed and its name, and
// it has a host of its own on the network.
func (s *Sim) Go(name string, script func(a *Actor)) {
	a := &Actor{Name: name, Rand: s.chance(name), sim: s}
	s.mu.Lock()
	s.actors++
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			s.actors--
			s.mu.Unlock()
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}()
		a.Turn()
		script(a)
	}()
}

// stillMax is how long nothing may happen while actors wait: nothing will.
const stillMax = time.Hour

// Run lets events happen until all actors have ended, until stop (nil: never)
// says so, or for at most events events.
func (s *Sim) Run(events int, stop func() bool) {
	for range events {
		if !s.next(func() bool { return s.idle() || stop != nil && stop() }) {
			return
		}
	}
}

// RunFor lets events happen for some time, whether there are actors or not.
func (s *Sim) RunFor(d time.Duration) {
	over := false
	s.At(d, "time is over", func() { over = true })
	for s.next(func() bool { return over }) {
	}
}

// RunUntil is RunFor that ends early when done says so, which it tells.
func (s *Sim) RunUntil(d time.Duration, done func() bool) bool {
	over := false
	s.At(d, "time is over", func() { over = true })
	for s.next(func() bool { return over || done() }) {
	}
	return done()
}

func (s *Sim) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actors == 0
}

// next lets one event happen unless stop says that it is enough.
func (s *Sim) next(stop func() bool) bool {
	still := time.Now()
	for {
		synctest.Wait()
		s.admit()
		if stop() || s.t.Failed() {
			return false
		}
		left := stillMax
		if s.queue.Len() > 0 {
			left = time.Until(s.queue.events[0].at)
		}
		switch {
		case left > 0:
			if time.Since(still) >= stillMax {
				s.t.Fatalf("sim: seed %d: %d actors wait for ever", s.seed, s.actors)
			}
			s.sleep(left)
		case s.step(heap.Pop(&s.queue).(*event)):
			return true
		}
	}
}

// sleep lets time pass until something is due or somebody posts.
func (s *Sim) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake:
	}
}

// admit gives what was posted its time. Goroutines that ran at the same time
// posted in an order that means nothing: the names decide, and what has the same
// name happens together, for nobody could say which came first.
func (s *Sim) admit() {
	s.mu.Lock()
	posted := s.posted
	s.posted = nil
	slices.Sort(s.notes)
	for _, n := range s.notes {
		s.trace.add(s.Elapsed(), n)
	}
	s.notes = s.notes[:0]
	s.mu.Unlock()
	for _, e := range posted {
		if e.identify != nil {
			e.name = e.identify()
		}
	}
	slices.SortStableFunc(posted, func(a, b *event) int { return strings.Compare(a.name, b.name) })
	var last *event
	for _, e := range posted {
		if e.settle != nil {
			e.name = e.settle()
		}
		if last != nil && last.name == e.name && last.owner == e.owner {
			last.join(e)
			continue
		}
		s.schedule(e)
		last = e
	}
}

// schedule draws an event's time. What is drawn follows from the seed, the name
// and the time alone: so it changes nothing for others that two goroutines of a
// node, woken by timers of the same moment, post one after the other or at once.
func (s *Sim) schedule(e *event) {
	now := time.Now()
	s.dice.Seed(s.seed, fnv64(e.name)^uint64(now.Sub(s.began)))
	e.at = now.Add(e.delay(s.throw))
	s.queue.count++
	e.order = s.queue.count
	heap.Push(&s.queue, e)
}

// step lets an event happen; false: something is in its way.
func (s *Sim) step(e *event) bool {
	if e.blocked != nil && e.blocked() {
		s.held = append(s.held, e)
		return false
	}
	s.Events++
	line := e.name
	if e.detail != nil {
		line += e.detail()
	}
	if e.alike > 0 {
		line += fmt.Sprintf(" (%d times)", e.alike+1)
	}
	s.mu.Lock()
	s.trace.add(s.Elapsed(), line)
	s.mu.Unlock()
	e.do()
	synctest.Wait()
	if s.After != nil {
		s.After(e.name)
	}
	return true
}

// unhold gives everything held a new time: what was in the way may be gone.
func (s *Sim) unhold() {
	held := s.held
	s.held = nil
	for _, e := range held {
		s.schedule(e)
	}
}

// release lets everything happen that a life waits for, as it is over.
func (s *Sim) release(of *life) {
	s.mu.Lock()
	posted := s.posted
	s.posted = nil
	s.mu.Unlock()
	let := func(e *event) bool {
		if e.owner != of {
			return false
		}
		e.do()
		return true
	}
	posted = slices.DeleteFunc(posted, let)
	s.held = slices.DeleteFunc(s.held, let)
	s.queue.events = slices.DeleteFunc(s.queue.events, let)
	heap.Init(&s.queue)
	s.mu.Lock()
	s.posted = append(posted, s.posted...)
	s.mu.Unlock()
}

// trace keeps the last lines, and a hash of all.
type trace struct {
	old, text []byte
	lines     int
	hash      uint64
}

// traceBytesMax bounds the text that is kept to twice as much.
const traceBytesMax = 8 << 20

func (t *trace) add(at time.Duration, line string) {
	if len(t.text) > traceBytesMax {
		t.old, t.text = t.text, nil
	}
	from := len(t.text)
	t.text = strconv.AppendInt(t.text, int64(at/time.Second), 10)
	t.text = append(t.text, '.')
	for digit := time.Second / 10; digit > 0; digit /= 10 {
		t.text = append(t.text, '0'+byte(at/digit%10))
	}
	t.text = append(append(append(t.text, ' '), line...), '\n')
	t.lines++
	for _, b := range t.text[from:] {
		t.hash = (t.hash ^ uint64(b)) * 1099511628211
	}
}
