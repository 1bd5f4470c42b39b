// Package metrics counts, and keeps the one table of facts about a node.
//
// Its nouns are Counter, Gauge and Histogram (what rooms change on their hot
// paths), Fact (a name with a way to read it) and Registry (all facts of one
// node). Rooms own their counters and hand Facts to the assembly; /metrics,
// system_views and ctl read the same Registry. It is the only package that
// knows Prometheus, keeps no registry of its own and never reads a clock.
package metrics

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sort"
	"sync"
	"sync/atomic"
)

// counterShards spreads a hot counter over cache lines.
const counterShards = 8

// Counter only grows. The zero Counter is ready.
type Counter struct {
	shards [counterShards]paddedInt
}

// paddedInt fills a cache line, and the next one that the hardware prefetches.
type paddedInt struct {
	n atomic.Int64
	_ [120]byte
}

// Add counts n more; n is not negative.
func (c *Counter) Add(n int64) {
	// The runtime's generator is per thread, so threads seldom meet on a shard.
	c.shards[rand.Uint32()%counterShards].n.Add(n)
}

// Inc counts one more.
func (c *Counter) Inc() { c.Add(1) }

// Load is the sum so far.
func (c *Counter) Load() int64 {
	var sum int64
	for i := range c.shards {
		sum += c.shards[i].n.Load()
	}
	return sum
}

// Gauge goes up and down. The zero Gauge is ready.
type Gauge struct{ n atomic.Int64 }

// Set makes the gauge n.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Add changes the gauge by n.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Load is the value now.
func (g *Gauge) Load() int64 { return g.n.Load() }

// Kind says how a fact behaves over time.
type Kind int

// The kinds of facts.
const (
	CounterKind   Kind = iota // only grows while the process lives
	GaugeKind                 // goes up and down
	HistogramKind             // how often which size
)

var kindNames = [...]string{"counter", "gauge", "histogram"}

func (k Kind) String() string { return kindNames[k] }

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Unit is what the numbers count; it ends the exported name as Prometheus asks.
type Unit string

// The units of facts.
const (
	None         Unit = ""
	Bytes        Unit = "bytes"
	Seconds      Unit = "seconds"
	Microseconds Unit = "microseconds"
	Ratio        Unit = "ratio"
)

// Value is one reading of a fact, with the values of its labels.
type Value struct {
	Labels    []string
	Number    float64
	Histogram *Snapshot // of a HistogramKind
}

// Fact is one thing known about a node: what it is called, what it means and
// how to read it now. Read may be called from any goroutine at any time; it
// must not block.
type Fact struct {
	Name   string // snake_case with the room in front: commitlog_syncs
	Help   string
	Unit   Unit
	Kind   Kind
	Labels []string
	Read   func(emit func(Value))
}

// CounterFact shows a counter.
func CounterFact(name, help string, unit Unit, c *Counter) Fact {
	return Fact{Name: name, Help: help, Unit: unit, Kind: CounterKind, Read: func(emit func(Value)) {
		emit(Value{Number: float64(c.Load())})
	}}
}

// GaugeFact shows a gauge.
func GaugeFact(name, help string, unit Unit, g *Gauge) Fact {
	return GaugeFunc(name, help, unit, func() float64 { return float64(g.Load()) })
}

// GaugeFunc shows what a function answers.
func GaugeFunc(name, help string, unit Unit, read func() float64) Fact {
	return Fact{Name: name, Help: help, Unit: unit, Kind: GaugeKind, Read: func(emit func(Value)) { emit(Value{Number: read()}) }}
}

// CounterFunc shows what a function answers, which only grows.
func CounterFunc(name, help string, unit Unit, read func() float64) Fact {
	f := GaugeFunc(name, help, unit, read)
	f.Kind = CounterKind
	return f
}

// HistogramFact shows a histogram.
func HistogramFact(name, help string, unit Unit, h *Histogram) Fact {
	return Fact{Name: name, Help: help, Unit: unit, Kind: HistogramKind, Read: func(emit func(Value)) {
		s := h.Snapshot()
		emit(Value{Histogram: &s})
	}}
}

// Registry is the table of one node's facts.
type Registry struct {
	mu    sync.RWMutex
	facts map[string]Fact // guarded by mu
}

// New makes an empty table.
func New() *Registry { return &Registry{facts: map[string]Fact{}} }

var factName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Register adds facts. A name that is taken or malformed is an error of the
// programmer, found at assembly.
func (r *Registry) Register(facts ...Fact) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range facts {
		switch {
		case !factName.MatchString(f.Name):
			return fmt.Errorf("metrics: fact %q is not in snake_case", f.Name)
		case f.Help == "" || f.Read == nil:
			return fmt.Errorf("metrics: fact %s has no help or no reading", f.Name)
		}
		if _, taken := r.facts[f.Name]; taken {
			return fmt.Errorf("metrics: fact %s is registered twice", f.Name)
		}
		r.facts[f.Name] = f
	}
	return nil
}

// Facts lists the table, sorted by name.
func (r *Registry) Facts() []Fact {
	r.mu.RLock()
	defer r.mu.RUnlock()
	facts := make([]Fact, 0, len(r.facts))
	for _, f := range r.facts {
		facts = append(facts, f)
	}
	sort.Slice(facts, func(i, j int) bool { return facts[i].Name < facts[j].Name })
	return facts
}

// ErrNoFact says that nobody registered the name.
var ErrNoFact = errors.New("no such fact")

// Number reads one fact that has no labels; a histogram answers its count.
func (r *Registry) Number(name string) (float64, error) {
	r.mu.RLock()
	f, ok := r.facts[name]
	r.mu.RUnlock()
	if !ok {
		return 0, fmt.Errorf("metrics: %s: %w", name, ErrNoFact)
	}
	var sum float64
	f.Read(func(v Value) {
		if v.Histogram != nil {
			sum += float64(v.Histogram.Count)
		}
		sum += v.Number
	})
	return sum, nil
}
