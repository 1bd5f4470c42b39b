package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"helenus"
	"helenus/internal/meta"
)

// TestChaos: nodes crash, come back, lose messages and each other while all of
// them make changes. What was acknowledged stays, no change happens twice, and
// nodes never disagree about an epoch.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		for _, count := range []int{3, 7} {
			t.Run(fmt.Sprintf("%d nodes, seed %d", count, seed), func(t *testing.T) {
				inBubble(t, count, 1000+seed, func(b *bubble) { b.chaos(seed) })
			})
		}
	}
}

func (b *bubble) chaos(seed uint64) {
	t, count := b.t, len(b.nodes)
	r := rand.New(rand.NewPCG(seed, 4))
	for _, n := range b.nodes {
		n.cfg.VoterTimeout = 15 * time.Second // seats change hands often
		n.cfg.SnapshotEntries = 7
	}
	b.start(all(count)...)
	pass(40 * time.Second)
	b.equal()
	w := &changers{b: b, known: map[string]bool{}, chains: map[meta.Epoch][hashSize]byte{}}
	for step := range 40 {
		if k := r.IntN(count); b.nodes[k].log == nil {
			b.start(k)
		} else if r.IntN(2) == 0 {
			b.nodes[k].crash(r)
		}
		loss, blocked := r.IntN(4), map[[2]helenus.Endpoint]bool{}
		for range r.IntN(2 * count) {
			blocked[[2]helenus.Endpoint{address(byte(r.IntN(count) + 1)), address(byte(r.IntN(count) + 1))}] = true
		}
		chance := rand.New(rand.NewPCG(seed, uint64(step)))
		b.net.set(func(from, to helenus.Endpoint) bool {
			return blocked[[2]helenus.Endpoint{from, to}] || chance.IntN(10) < loss
		})
		for i := range r.IntN(4) {
			w.start(r.IntN(count), fmt.Sprintf("s%dc%d", step, i))
		}
		pass(time.Duration(r.IntN(6000)) * time.Millisecond)
		w.check()
	}
	b.net.set(nil)
	w.wait.Wait()
	for i, n := range b.nodes {
		if n.log == nil {
			b.start(i)
		}
	}
	pass(40 * time.Second)
	w.check()
	s := b.equal()
	for name, acknowledged := range w.known {
		if acknowledged && s.Schema.Keyspaces[name] == nil {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	if w.made < 5 {
		t.Errorf("only %d changes were acknowledged", w.made)
	}
	if s.Epoch.Incarnation() != 0 {
		t.Error("recovered without being told")
	}
}

// changers make changes and remember what they were told.
type changers struct {
	b    *bubble
	wait sync.WaitGroup

	mu     sync.Mutex // guards what follows
	known  map[string]bool
	made   int
	chains map[meta.Epoch][hashSize]byte
}

func (w *changers) start(node int, name string) {
	l := w.b.nodes[node].log
	if l == nil {
		return
	}
	w.wait.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		c := createKeyspace(0)
		c.Name = name
		s, err := l.Commit(ctx, c)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.known[name] = true
			w.made++
			if s.Schema.Keyspaces[name] == nil {
				w.b.t.Errorf("%s was acknowledged at epoch %d and is not there", name, s.Epoch)
			}
			return
		}
		var coded *helenus.Error
		if errors.As(err, &coded) && coded.Code == helenus.CodeAlreadyExists {
			w.b.t.Errorf("%s happened twice: %v", name, err)
		}
	})
}

// check compares the histories of all nodes with what was seen of any before.
func (w *changers) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.b.nodes {
		if n.log == nil {
			continue
		}
		h := n.log.published.Load().history
		places := []point{h.base}
		for _, e := range h.entries {
			places = append(places, point{e.epoch, e.hash})
		}
		for _, p := range places {
			if seen, ok := w.chains[p.epoch]; ok && seen != p.hash {
				w.b.t.Fatalf("%s has another epoch %d", n.at, p.epoch)
			}
			w.chains[p.epoch] = p.hash
		}
	}
}
