package sim

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"helenus"
)

// Registers judges what clients read. A register is a key that is written and
// deleted whole, each time with a number of its own that is its timestamp, too:
// of two writes the one with the greater number is the newer, whoever
// coordinated them and whatever the clocks said.
//
// It holds a read to two promises. What was acknowledged at one level is found
// at any level that must ask one of the same replicas. And what a read has
// returned, acknowledged or not, is found by every later read at such a level,
// as the first has made sure that its replicas have it (blocking read repair).
// A write without an answer may have happened, now or later, or not.
type Registers struct {
	replicas map[helenus.Datacenter]int // of every key

	mu       sync.Mutex // guards what follows
	keys     map[string]*register
	next     int64
	acks     int
	unknown  int
	refused  int
	reads    int
	failures int // reads without an answer
}

type register struct {
	tried map[int64]*Write
	// floors are what is promised, by the level at which it was: of writes that
	// were acknowledged and of reads.
	acked, seen map[Level]int64
}

// Level is a consistency level as the clients of a datacenter use it.
type Level struct {
	Consistency helenus.Consistency
	Datacenter  helenus.Datacenter
}

func (l Level) String() string {
	if l.Consistency.IsLocal() {
		return fmt.Sprintf("%s in %s", l.Consistency, l.Datacenter)
	}
	return l.Consistency.String()
}

// Outcome is what a client knows of its request.
type Outcome string

// The outcomes.
const (
	Acknowledged Outcome = "acknowledged"
	Refused      Outcome = "refused" // it did not happen and will not
	Unknown      Outcome = "unknown"
)

// NewRegisters makes registers with so many replicas in each datacenter.
func NewRegisters(replicas map[helenus.Datacenter]int) *Registers {
	return &Registers{replicas: replicas, keys: map[string]*register{}}
}

func (r *Registers) register(key string) *register {
	g := r.keys[key]
	if g == nil {
		g = &register{tried: map[int64]*Write{}, acked: map[Level]int64{}, seen: map[Level]int64{}}
		r.keys[key] = g
	}
	return g
}

// Write is one that has been sent.
type Write struct {
	Key    string
	Number int64
	Delete bool
	Level  Level

	r       *Registers
	outcome Outcome
}

func (w *Write) String() string {
	verb := "write"
	if w.Delete {
		verb = "delete"
	}
	return fmt.Sprintf("%s %s=%d at %s", verb, w.Key, w.Number, w.Level)
}

// Write notes a write before it is sent.
func (r *Registers) Write(key string, isDelete bool, l Level) *Write {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	w := &Write{Key: key, Number: r.next, Delete: isDelete, Level: l, r: r, outcome: Unknown}
	r.register(key).tried[w.Number] = w
	return w
}

// Ended notes what became of a write.
func (w *Write) Ended(o Outcome) {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	w.outcome = o
	switch o {
	case Refused:
		r.refused++
	case Unknown:
		r.unknown++
	default:
		r.acks++
		g := r.register(w.Key)
		g.acked[w.Level] = max(g.acked[w.Level], w.Number)
	}
}

// Read is one that has been sent.
type Read struct {
	Key   string
	Level Level

	r           *Registers
	acked, seen promise
}

// promise is the least number that a read must find.
type promise struct {
	number int64
	level  Level
}

// Read notes a read before it is sent: from then on it is bound by what has been
// promised so far.
func (r *Registers) Read(key string, l Level) *Read {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.register(key)
	return &Read{Key: key, Level: l, r: r, acked: r.promised(g.acked, l), seen: r.promised(g.seen, l)}
}

func (r *Registers) promised(floors map[Level]int64, l Level) (p promise) {
	for made, number := range floors {
		if number > p.number && Overlap(r.replicas, made, l) {
			p = promise{number, made}
		}
	}
	return p
}

// Failed notes that a read had no answer.
func (d *Read) Failed() {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.failures++
}

// Ended judges an answer: the number, or 0 if there was nothing.
func (d *Read) Ended(number int64) error {
	r := d.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	g := r.register(d.Key)
	holds, err := d.explain(g, number)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		promise
		what string
	}{{d.acked, "acknowledged"}, {d.seen, "read"}} {
		if holds < p.number {
			return fmt.Errorf("read of %s at %s returned %s, but %d had been %s at %s before", d.Key, d.Level, shown(number), p.number, p.what, p.level)
		}
	}
	g.seen[d.Level] = max(g.seen[d.Level], max(holds, d.acked.number, d.seen.number))
	return nil
}

// explain finds the write that an answer shows. That of nothing may be any
// delete: the newest.
func (d *Read) explain(g *register, number int64) (int64, error) {
	if number == 0 {
		floor := max(d.acked.number, d.seen.number)
		if floor == 0 {
			return 0, nil
		}
		holds := int64(0)
		for n, w := range g.tried {
			// The oldest delete that keeps all promises: no more has been seen.
			if w.Delete && w.outcome != Refused && n >= floor && (holds == 0 || n < holds) {
				holds = n
			}
		}
		return holds, nil
	}
	w := g.tried[number]
	switch {
	case w == nil:
		return 0, fmt.Errorf("read of %s at %s returned %d, which nobody wrote", d.Key, d.Level, number)
	case w.Delete:
		return 0, fmt.Errorf("read of %s at %s returned %d, which is the number of a delete", d.Key, d.Level, number)
	case w.outcome == Refused:
		return 0, fmt.Errorf("read of %s at %s returned %d, whose writer was told that it did not happen", d.Key, d.Level, number)
	}
	return number, nil
}

func shown(number int64) string {
	if number == 0 {
		return "nothing"
	}
	return fmt.Sprint(number)
}

// Keys are all that were ever written or read, sorted.
func (r *Registers) Keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.keys))
}

// Counts say how much there was to judge.
type Counts struct{ Acknowledged, Refused, Unknown, Reads, FailedReads int }

// Counts tells how much has been judged.
func (r *Registers) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{r.acks, r.refused, r.unknown, r.reads, r.failures}
}

// Overlap tells whether any two sets of replicas that satisfy two levels have one
// in common.
func Overlap(replicas map[helenus.Datacenter]int, a, b Level) bool {
	total := 0
	for _, n := range replicas {
		total += n
	}
	anyA, atA := needs(replicas, total, a)
	anyB, atB := needs(replicas, total, b)
	// They may be apart if all that is needed finds a place of its own.
	free := total
	for dc, n := range replicas {
		if atA[dc]+atB[dc] > n {
			return true
		}
		free -= atA[dc] + atB[dc]
	}
	return anyA+anyB > free
}

// needs tells how many replicas a level asks for: anywhere, and in certain
// datacenters.
func needs(replicas map[helenus.Datacenter]int, total int, l Level) (anywhere int, at map[helenus.Datacenter]int) {
	local := replicas[l.Datacenter]
	switch l.Consistency {
	case helenus.One:
		return 1, nil
	case helenus.Two:
		return 2, nil
	case helenus.Three:
		return 3, nil
	case helenus.Quorum, helenus.Serial:
		return total/2 + 1, nil
	case helenus.All:
		return total, nil
	case helenus.LocalOne:
		return 0, map[helenus.Datacenter]int{l.Datacenter: 1}
	case helenus.LocalQuorum, helenus.LocalSerial:
		return 0, map[helenus.Datacenter]int{l.Datacenter: local/2 + 1}
	case helenus.EachQuorum:
		at = make(map[helenus.Datacenter]int, len(replicas))
		for dc, n := range replicas {
			at[dc] = n/2 + 1
		}
		return 0, at
	}
	return 0, nil // ANY is content with a hint
}
