// Package sim runs whole agents in one process, over a network and file systems
// in memory, so that one seed makes one history.
//
// Nouns: Sim (one simulated world and its scheduler), Node (an agent with its
// disk), Actor (a client with a script), event (one thing that may happen next:
// an operation on a disk, or an actor's turn).
//
// Tests call it, inside a testing/synctest bubble. It never sleeps for real and
// never lets two events happen at once: it picks one, lets it happen and waits
// until everything stands still. So the order of events follows from the seed.
package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Sim is a simulated world. It belongs to the goroutine of the test; actors
// and nodes have their own.
type Sim struct {
	t    testing.TB
	seed uint64
	rand *rand.Rand
	// After is called when an event has happened and everything stands still. It
	// may look at anything and start other nodes, but not run the scheduler.
	After func(event string)
	// Events counts what has happened.
	Events int

	mu      sync.Mutex // guards what follows
	waiting []event
	actors  int // that have not ended
	trace   strings.Builder
}

// event is something that waits to be allowed.
type event struct {
	name  string
	allow chan struct{}
}

// New makes a world. It is called inside a bubble.
func New(t testing.TB, seed uint64) *Sim {
	return &Sim{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
}

// Rand is the scheduler's source of chance, for whoever decides between events.
func (s *Sim) Rand() *rand.Rand { return s.rand }

// Trace is everything that has happened: same seed, same text.
func (s *Sim) Trace() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trace.String()
}

// Note adds a line to the trace.
func (s *Sim) Note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.trace, "%s "+format+"\n", append([]any{time.Now().Format("05.000000000")}, args...)...)
}

// wait is called by whoever wants an event to happen; it returns when it may.
func (s *Sim) wait(name string) {
	e := event{name, make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, e)
	s.mu.Unlock()
	<-e.allow
}

// Actor is a client with a script.
type Actor struct {
	Name string
	Rand *rand.Rand
	sim  *Sim
	turn int
}

// Turn waits until it is the actor's turn. Between two turns an actor may ask
// one thing of a node.
func (a *Actor) Turn() {
	a.turn++
	a.sim.wait(fmt.Sprintf("%s turn %d", a.Name, a.turn))
}

// Go starts an actor. Its chance depends on the world's seed and its name.
func (s *Sim) Go(name string, script func(a *Actor)) {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	a := &Actor{Name: name, Rand: rand.New(rand.NewPCG(s.seed, h)), sim: s}
	s.mu.Lock()
	s.actors++
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			s.actors--
			s.mu.Unlock()
		}()
		a.Turn()
		script(a)
	}()
}

// The scheduler lets time pass when nothing else can happen, and now and then
// before something does.
const (
	quietMax   = 400 * time.Microsecond
	stillTurns = 1 << 20 // rounds without an event after which nobody will ever act
)

// Run lets events happen until all actors have ended, until stop (nil: never)
// says so, or for at most events events.
func (s *Sim) Run(events int, stop func() bool) {
	still := 0
	for range events {
		synctest.Wait()
		for {
			s.mu.Lock()
			waiting, actors := len(s.waiting), s.actors
			s.mu.Unlock()
			if actors == 0 || (stop != nil && stop()) || s.t.Failed() {
				return
			}
			if waiting > 0 && s.rand.IntN(6) > 0 {
				break
			}
			if still++; still > stillTurns {
				s.t.Fatalf("sim: seed %d: %d actors wait for ever", s.seed, actors)
			}
			time.Sleep(1 + time.Duration(s.rand.Int64N(int64(quietMax))))
			synctest.Wait()
		}
		still = 0
		s.step()
	}
}

// step lets one event happen. Events of one name are the same to everybody, so
// it does not matter which of them comes first.
func (s *Sim) step() {
	s.mu.Lock()
	slices.SortStableFunc(s.waiting, func(a, b event) int { return strings.Compare(a.name, b.name) })
	i := s.rand.IntN(len(s.waiting))
	e := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.mu.Unlock()
	s.Events++
	s.Note("%s", e.name)
	close(e.allow)
	synctest.Wait()
	if s.After != nil {
		s.After(e.name)
	}
}

// release lets everything of one node happen that waits, in any order.
func (s *Sim) release(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(e event) bool {
		if strings.HasPrefix(e.name, prefix) {
			close(e.allow)
			return true
		}
		return false
	})
}
