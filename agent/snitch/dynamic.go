package snitch

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/internal/ring"
)

// DynamicOptions are the place of this node and the dynamic_snitch settings.
type DynamicOptions struct {
	Self           helenus.HostID
	Datacenter     helenus.Datacenter
	Rack           helenus.Rack
	UpdateInterval time.Duration // of the scores; 0: 100 ms
	ResetInterval  time.Duration // when latencies are forgotten, so that a slow node is tried again; 0: 10 min
	// BadnessThreshold is by what part a near replica's score may be worse than a
	// farther one's before the farther goes first; 0: the score alone decides.
	BadnessThreshold float64
}

// The intervals that Cassandra has.
const (
	updateInterval = 100 * time.Millisecond
	resetInterval  = 10 * time.Minute
)

// Dynamic orders replicas: the near before the far, as long as the near ones are
// not slower by much. Record and Sort may be called by everybody at once.
type Dynamic struct {
	opt    DynamicOptions
	nodes  atomic.Pointer[map[helenus.HostID]*latencies] // replaced, never changed
	add    sync.Mutex                                    // held by who replaces nodes
	active atomic.Bool                                   // an update is to come
	wake   chan struct{}
}

// NewDynamic makes a Dynamic that knows no latencies.
func NewDynamic(o DynamicOptions) *Dynamic {
	if o.UpdateInterval <= 0 {
		o.UpdateInterval = updateInterval
	}
	if o.ResetInterval <= 0 {
		o.ResetInterval = resetInterval
	}
	d := &Dynamic{opt: o, wake: make(chan struct{}, 1)}
	d.reset()
	return d
}

// Record tells how long a replica took to answer a read.
func (d *Dynamic) Record(id helenus.HostID, latency time.Duration) {
	l := (*d.nodes.Load())[id]
	if l == nil {
		l = d.insert(id)
	}
	l.record(latency)
	if !d.active.Load() && d.active.CompareAndSwap(false, true) {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

func (d *Dynamic) insert(id helenus.HostID) *latencies {
	d.add.Lock()
	defer d.add.Unlock()
	old := *d.nodes.Load()
	if l := old[id]; l != nil {
		return l
	}
	nodes := maps.Clone(old)
	nodes[id] = new(latencies)
	d.nodes.Store(&nodes)
	return nodes[id]
}

func (d *Dynamic) reset() {
	d.add.Lock()
	defer d.add.Unlock()
	d.nodes.Store(&map[helenus.HostID]*latencies{})
}

// Run updates the scores until ctx ends. While nothing is recorded no timer runs.
func (d *Dynamic) Run(ctx context.Context) error {
	forgotten := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d.opt.UpdateInterval):
		}
		now := time.Now()
		d.update(now)
		if now.Sub(forgotten) >= d.opt.ResetInterval {
			d.reset()
			forgotten = now
		}
	}
}

// update makes the scores: a node's median latency, as part of the worst one's.
func (d *Dynamic) update(now time.Time) {
	d.active.Store(false) // first: what is recorded behind the draining wakes Run again
	nodes := *d.nodes.Load()
	worst := 1.0
	for _, l := range nodes {
		l.drain(now)
		worst = max(worst, l.middle)
	}
	for _, l := range nodes {
		l.score.Store(math.Float64bits(l.middle / worst))
	}
}

// Sort orders the replicas of a read: this node, its rack, its datacenter, the
// others; and in this datacenter and in the rest by score, should the near ones
// be worse than the threshold allows. A node of another datacenter never goes
// before one of ours, however fast it is said to be. Equals stay as they are.
func (d *Dynamic) Sort(nodes []*ring.Node) {
	var room [32]standing
	known := *d.nodes.Load()
	all := room[:0]
	for _, n := range nodes {
		s := standing{node: n, distance: d.distance(n)}
		if l := known[n.HostID]; l != nil {
			s.score = l.loadScore()
		}
		all = append(all, s)
	}
	order(all, func(a, b *standing) bool { return a.distance < b.distance })
	own := 0
	for own < len(all) && all[own].distance < elsewhere {
		own++
	}
	for _, group := range [2][]standing{all[:own], all[own:]} {
		if misplaced(group, d.opt.BadnessThreshold) {
			order(group, func(a, b *standing) bool { return a.score < b.score })
		}
	}
	for i := range all {
		nodes[i] = all[i].node
	}
}

// standing is a replica while it is put in order.
type standing struct {
	node     *ring.Node
	distance uint8
	score    float64
}

// The distances from this node to another.
const (
	here uint8 = iota
	sameRack
	sameDatacenter
	elsewhere
)

func (d *Dynamic) distance(n *ring.Node) uint8 {
	switch {
	case n.HostID == d.opt.Self:
		return here
	case n.Datacenter != d.opt.Datacenter:
		return elsewhere
	case n.Rack != d.opt.Rack:
		return sameDatacenter
	}
	return sameRack
}

// order sorts by insertion, as replicas are few: it is stable and allocates
// nothing.
func order(all []standing, less func(a, b *standing) bool) {
	for i := 1; i < len(all); i++ {
		for k := i; k > 0 && less(&all[k], &all[k-1]); k-- {
			all[k], all[k-1] = all[k-1], all[k]
		}
	}
}

// misplaced tells whether some replica's score is worse, by more than the
// threshold, than the one that would be in its place by score alone: that is,
// whether at least as many others as stand up to it are so much better.
func misplaced(all []standing, threshold float64) bool {
	for i := range all {
		better := 0
		for k := range all {
			if all[i].score > all[k].score*(1+threshold) {
				better++
			}
		}
		if better > i {
			return true
		}
	}
	return false
}

// Score is what is known of a node's speed.
type Score struct {
	ID    helenus.HostID
	Score float64 // 0 to 1, the worst
}

// Facts are the scores, by host id.
func (d *Dynamic) Facts() []Score {
	nodes := *d.nodes.Load()
	facts := make([]Score, 0, len(nodes))
	for id, l := range nodes {
		facts = append(facts, Score{id, l.loadScore()})
	}
	slices.SortFunc(facts, func(a, b Score) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return facts
}
