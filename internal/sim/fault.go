package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// Kind is what can go wrong.
type Kind string

// The kinds of faults. A and B are nodes; where B has no part it is not shown.
const (
	CutOneWay Kind = "cut one way" // nothing gets from A to B
	CutBoth   Kind = "cut"         // nor back
	Isolate   Kind = "isolate"     // A from all other nodes, not from clients
	Split     Kind = "split"       // the nodes up to A from those behind it
	Slow      Kind = "slow"        // from A to B, up to half a second
	Lossy     Kind = "lossy"       // both ways, three packets of ten
	Narrow    Kind = "narrow"      // from A to B, 16 KiB a second
	Break     Kind = "break"       // the connections between A and B, once
	Pause     Kind = "pause"       // A stands still
	Kill      Kind = "kill"        // A's process, started again at the end
	Power     Kind = "power"       // of A, back at the end
	KillAll   Kind = "kill all"    // every process, started again at the end
	PowerAll  Kind = "power all"   // of all machines at once
	Skew      Kind = "skew"        // A's clock is wrong
	SlowDisk  Kind = "slow disk"   // A's, up to 50 ms an operation
	BadDisk   Kind = "bad disk"    // a few operations of A's fail; then it is killed and started again
)

// kinds are all, with how often each is chosen.
var kinds = []struct {
	kind  Kind
	often int
	two   bool // B has a part
}{
	{CutOneWay, 3, true}, {CutBoth, 2, true}, {Isolate, 3, false}, {Split, 2, false}, {Slow, 2, true}, {Lossy, 2, true}, {Narrow, 2, true},
	{Break, 2, true}, {Pause, 2, false}, {Kill, 3, false}, {Power, 3, false}, {KillAll, 1, false}, {PowerAll, 1, false}, {Skew, 2, false},
	{SlowDisk, 2, false}, {BadDisk, 2, false},
}

// Fault is one thing that goes wrong, from At for For.
type Fault struct {
	At, For time.Duration
	Kind    Kind
	A, B    int
	two     bool
}

// String is the fault's line in the trace.
func (f Fault) String() string {
	text := fmt.Sprintf("%v for %v: %s %d", f.At, f.For, f.Kind, f.A+1)
	if f.two {
		text += fmt.Sprintf(" %d", f.B+1)
	}
	return text
}

// PlanFaults chooses what goes wrong with so many nodes from one time to another:
// of some kinds, or of all if none are named.
func PlanFaults(r *rand.Rand, nodes int, from, to time.Duration, of ...Kind) []Fault {
	const gapMax, lastsMin, lastsMax = 15 * time.Second, 200 * time.Millisecond, 20 * time.Second
	var faults []Fault
	for at := from; ; {
		at += time.Duration(r.Int64N(int64(gapMax))).Round(time.Millisecond)
		if at >= to {
			return faults
		}
		f := choose(r, nodes, of)
		f.At = at
		f.For = min(lastsMin+time.Duration(r.Int64N(int64(lastsMax))).Round(time.Millisecond), to-at)
		faults = append(faults, f)
	}
}

func choose(r *rand.Rand, nodes int, of []Kind) Fault {
	var hat []int
	for i, k := range kinds {
		wanted := len(of) == 0
		for _, o := range of {
			wanted = wanted || o == k.kind
		}
		if !wanted || nodes < 2 && k.two {
			continue
		}
		for range k.often {
			hat = append(hat, i)
		}
	}
	k := kinds[hat[r.IntN(len(hat))]]
	f := Fault{Kind: k.kind, A: r.IntN(nodes), two: k.two}
	if f.Kind == Split {
		f.A = r.IntN(max(nodes-1, 1)) // somebody stands behind it
	}
	if f.two {
		f.B = (f.A + 1 + r.IntN(nodes-1)) % nodes
	}
	return f
}

// Inject makes faults happen to nodes, in the order in which they are counted.
func (s *Sim) Inject(nodes []*Node, faults []Fault) {
	for _, f := range faults {
		after := f.At - s.Elapsed()
		s.At(after, "fault "+f.String(), func() { s.spoil(nodes, f) })
		s.At(after+f.For, "fault over "+f.String(), func() { s.mend(nodes, f) })
	}
}

func (s *Sim) spoil(nodes []*Node, f Fault) {
	a, b := nodes[f.A], nodes[f.B]
	n := s.net
	switch f.Kind {
	case CutOneWay, CutBoth, Isolate, Split:
		s.cut(nodes, f, true)
	case Slow:
		n.SetLink(a.host, b.host, &Link{Delay: 20 * time.Millisecond, Jitter: 480 * time.Millisecond})
	case Lossy:
		lossy := usualLink
		lossy.Loss = 0.3
		n.SetLink(a.host, b.host, &lossy)
		n.SetLink(b.host, a.host, &lossy)
	case Narrow:
		narrow := usualLink
		narrow.BytesPerSecond = 16 << 10
		n.SetLink(a.host, b.host, &narrow)
	case Break:
		n.Break(a.host, b.host)
	case Pause:
		a.Pause(true)
	case Kill:
		s.kill(a)
	case Power:
		s.power(a)
	case KillAll:
		for _, x := range nodes {
			s.kill(x)
		}
	case PowerAll:
		for _, x := range nodes {
			s.power(x)
		}
	case Skew:
		a.SetSkew(time.Duration(s.rand.Int64N(int64(20*time.Second))) - 10*time.Second)
	case SlowDisk:
		a.SetDiskDelay(50 * time.Millisecond)
	case BadDisk:
		a.FailDisk(1+s.rand.IntN(3), fmt.Errorf("%w: %w", errDisk, []error{syscall.EIO, syscall.ENOSPC}[s.rand.IntN(2)]))
	}
}

func (s *Sim) mend(nodes []*Node, f Fault) {
	a, b := nodes[f.A], nodes[f.B]
	n := s.net
	switch f.Kind {
	case CutOneWay, CutBoth, Isolate, Split:
		s.cut(nodes, f, false)
	case Slow, Lossy, Narrow:
		n.SetLink(a.host, b.host, nil)
		n.SetLink(b.host, a.host, nil)
	case Pause:
		a.Pause(false)
	case Kill, Power:
		s.Restart(a)
	case KillAll, PowerAll:
		for _, x := range nodes {
			s.Restart(x)
		}
	case Skew:
		a.SetSkew(0)
	case SlowDisk:
		a.SetDiskDelay(0)
	case BadDisk:
		a.FailDisk(0, nil)
		s.kill(a) // what it has seen of its disk is no good any more
		s.Restart(a)
	}
}

func (s *Sim) cut(nodes []*Node, f Fault, on bool) {
	for i, a := range nodes {
		for j, b := range nodes {
			away := false
			switch f.Kind {
			case CutOneWay:
				away = i == f.A && j == f.B
			case CutBoth:
				away = i == f.A && j == f.B || i == f.B && j == f.A
			case Isolate:
				away = (i == f.A) != (j == f.A)
			case Split:
				away = (i <= f.A) != (j <= f.A)
			}
			if away {
				s.net.Cut(a.host, b.host, on)
			}
		}
	}
}

func (s *Sim) kill(n *Node) {
	if n.begun() {
		n.Crash(n.disk.Kill())
	}
}

func (s *Sim) power(n *Node) {
	if n.begun() {
		n.CutPower(n.disk.Crash(s.rand))
	}
}

// Restart makes an actor start a node that is down.
func (s *Sim) Restart(n *Node) {
	if n.begun() {
		return
	}
	s.Go(fmt.Sprintf("start of %s, life %d", n.name, len(n.lives)+1), func(a *Actor) {
		for !n.begun() {
			err := n.Start()
			switch {
			case err == nil || n.life.dead.Load():
				return
			case !errors.Is(err, errDisk):
				s.Errorf("start of %s: %v\n%s", n.name, err, tail(n.Log()))
				return
			}
			a.Turn() // the operator tries again until the disk is well
		}
	})
}

// errDisk is in every error of a disk that BadDisk made bad.
var errDisk = errors.New("injected")

// Heal ends whatever was done to nodes and the links between them and starts
// those that are down.
func (s *Sim) Heal(nodes []*Node) {
	s.Note("all faults are over")
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				s.net.Cut(a.host, b.host, false)
				s.net.SetLink(a.host, b.host, nil)
			}
		}
		a.Pause(false)
		a.SetSkew(0)
		a.SetDiskDelay(0)
		a.FailDisk(0, nil)
		s.Restart(a)
	}
}

// Errorf makes the test fail and says how to see that again.
func (s *Sim) Errorf(format string, args ...any) {
	s.t.Errorf("seed %d, at %v: %s\n%s", s.seed, s.Elapsed(), fmt.Sprintf(format, args...), s.Replay())
}

// Replay is how to run this world again, and what happened last in it.
func (s *Sim) Replay() string {
	return fmt.Sprintf("again: make sim SEED=%d RUN=%s\nthe last events:\n%s", s.seed, strings.SplitN(s.t.Name(), "/", 2)[0], tail(s.Trace()))
}

// tail is the end of a long text, from the beginning of a line.
func tail(text string) string {
	const bytesMax = 4 << 10
	if len(text) > bytesMax {
		text = text[len(text)-bytesMax:]
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
