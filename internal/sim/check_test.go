package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus/internal/meta"
	"helenus/store/vfs"
)

// TestEpochsFindBugs: metadata that differs at one epoch, and a node that goes
// back.
func TestEpochsFindBugs(t *testing.T) {
	for _, s := range []struct {
		says [][3]int // node, epoch, content
		want string
	}{
		{[][3]int{{1, 0, 0}, {2, 0, 9}, {1, 1, 1}, {2, 1, 1}, {1, 3, 3}, {2, 2, 2}, {2, 3, 3}, {2, 3, 3}}, ""},
		{[][3]int{{1, 1, 1}, {2, 1, 2}}, "n1 and n2 have different metadata at epoch 1"},
		{[][3]int{{1, 1, 1}, {1, 2, 2}, {2, 1, 1}, {2, 2, 7}}, "n1 and n2 have different metadata at epoch 2"},
		{[][3]int{{1, 2, 2}, {1, 1, 1}}, "n1 has gone from epoch 2 back to 1"},
	} {
		var e Epochs
		var errs []error
		for _, x := range s.says {
			errs = append(errs, e.observe(fmt.Sprint("n", x[0]), meta.Epoch(x[1]), [32]byte{byte(x[2])}))
		}
		err := errors.Join(errs...)
		if s.want == "" && err != nil || s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want)) {
			t.Errorf("%v: %v", s.says, err)
		}
	}
}

// TestConvergenceFindsBugs: a replica without a write, with an old one, with one
// too many; a node that keeps no copy of a key owes none.
func TestConvergenceFindsBugs(t *testing.T) {
	copies := func(change func(m map[string]string)) []Copy {
		var out []Copy
		for i := range 3 {
			m := map[string]string{"a": "1", "b": "2"}
			if i == 2 {
				change(m)
			}
			out = append(out, Copy{fmt.Sprint("n", i+1), m})
		}
		return out
	}
	two := func(string) []string { return []string{"n1", "n2"} }
	for _, s := range []struct {
		change func(m map[string]string)
		owners func(string) []string
		want   string
	}{
		{func(map[string]string) {}, nil, ""},
		{func(m map[string]string) { delete(m, "a") }, nil, "replicas of a differ:\nn1 has \"1\"\nn3 has \"\""},
		{func(m map[string]string) { m["b"] = "1" }, nil, "replicas of b differ:\nn1 has \"2\"\nn3 has \"1\""},
		{func(m map[string]string) { m["c"] = "3" }, nil, "replicas of c differ"},
		{func(m map[string]string) { clear(m) }, two, ""},
		{func(m map[string]string) {
			for i := range 30 {
				m[fmt.Sprint("x", i)] = "x"
			}
		}, nil, "and 20 more"},
	} {
		err := Convergence(copies(s.change), s.owners)
		if s.want == "" && err != nil || s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want)) {
			t.Errorf("want %q: %v", s.want, err)
		}
	}
}

// leak is something that a world can be left with.
type leak struct {
	name, want string
	plant      func(t *testing.T, s *Sim, n *Node) (mend func())
}

var leaks = []leak{
	{"nothing", "", func(*testing.T, *Sim, *Node) func() { return func() {} }},
	{"goroutine", "leak: goroutine", func(*testing.T, *Sim, *Node) func() {
		stop := make(chan struct{})
		go func() { <-stop }()
		return func() { close(stop) }
	}},
	{"file", "life 1 of n has /data/leak open", func(t *testing.T, s *Sim, n *Node) func() {
		f, err := n.life.files.watch(n.disk).Create("/data/leak")
		if err != nil {
			t.Fatal(err)
		}
		return func() { f.Close() }
	}},
	{"listener", "n listens on port 99", func(t *testing.T, s *Sim, n *Node) func() {
		l, err := (&port{n.host, n.host.life}).Listen(t.Context(), netip.AddrPortFrom(n.host.addr, 99).String())
		if err != nil {
			t.Fatal(err)
		}
		return func() { l.Close() }
	}},
	{"connection", "connection client>n:99", func(t *testing.T, s *Sim, n *Node) func() {
		l := &listener{host: n.host, addr: netip.AddrPortFrom(n.host.addr, 99), closed: make(chan struct{})}
		p := newPair(s.net, [2]*Host{s.net.Host("client"), n.host}, l)
		s.net.pairs = append(s.net.pairs, p)
		return func() { p.ends[0].Close() }
	}},
	{"life", "life 2 of n has not ended", func(t *testing.T, s *Sim, n *Node) func() {
		l := &life{node: n, gone: make(chan struct{})}
		n.lives = append(n.lives, l)
		return func() { close(l.gone) }
	}},
	{"event", "n write /x 0+0 waits", func(t *testing.T, s *Sim, n *Node) func() {
		go s.wait(&event{name: "n " + vfs.Op{Kind: vfs.OpWrite, Name: "/x"}.String(), owner: n.life, delay: upTo(time.Second)})
		return func() {}
	}},
}

// TestLeaksFindsBugs plants one leak of each kind in a world with a node.
func TestLeaksFindsBugs(t *testing.T) {
	for _, l := range leaks {
		t.Run(l.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 1)
				n, err := w.NewNode(Options{})
				if err != nil {
					t.Fatal(err)
				}
				w.Go("operator", func(*Actor) {
					if err := errors.Join(n.Start(), n.Stop()); err != nil {
						t.Error(err)
					}
				})
				w.Run(1<<20, nil)
				if err := w.Leaks(); err != nil {
					t.Fatalf("before: %v", err)
				}
				mend := l.plant(t, w, n)
				err = w.Leaks()
				if l.want == "" && err != nil || l.want != "" && (err == nil || !strings.Contains(err.Error(), l.want)) {
					t.Errorf("want %q: %v", l.want, err)
				}
				mend()
			})
		})
	}
}

// TestFaults: every kind is chosen, none twice differently by one seed, and the
// text of each says all about it.
func TestFaults(t *testing.T) {
	seen := map[Kind]bool{}
	lines := map[string]Fault{}
	for seed := range uint64(20) {
		plan := func() []Fault {
			return PlanFaults(rand.New(rand.NewPCG(seed, 1)), 5, time.Minute, 10*time.Minute)
		}
		again := plan()
		for i, f := range plan() {
			seen[f.Kind] = true
			if f != again[i] {
				t.Errorf("seed %d: %s and %s", seed, f, again[i])
			}
			if old, ok := lines[f.String()]; ok && old != f && (f.two || old.A != f.A) {
				t.Errorf("%s is %+v and %+v", f, f, old)
			}
			lines[f.String()] = f
			if f.At < time.Minute || f.At+f.For > 10*time.Minute || f.two && f.A == f.B || f.A >= 5 || f.B >= 5 {
				t.Errorf("seed %d: %s", seed, f)
			}
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("%d of %d kinds: %v", len(seen), len(kinds), seen)
	}
	for _, f := range PlanFaults(rand.New(rand.NewPCG(1, 1)), 1, 0, time.Hour, CutBoth, Kill) {
		if f.Kind != Kill {
			t.Errorf("one node and %s", f)
		}
	}
	if got := (Fault{At: time.Second, For: 1500 * time.Millisecond, Kind: CutOneWay, A: 0, B: 2, two: true}).String(); got != "1s for 1.5s: cut one way 1 3" {
		t.Error(got)
	}
}

// TestNodeFaults: what is done to a node happens to it, and it lives on.
func TestNodeFaults(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, seed)
			n, err := w.NewNode(Options{Skew: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			w.Go("operator", func(a *Actor) {
				if err := nodeFaults(t.Context(), a, w, n); err != nil {
					w.Errorf("%v", err)
				}
			})
			w.Run(1<<20, nil)
			if err := w.Leaks(); err != nil {
				w.Errorf("%v", err)
			}
		})
	}
}

func nodeFaults(ctx context.Context, a *Actor, w *Sim, n *Node) error {
	if err := n.Start(); err != nil {
		return err
	}
	c, err := a.Connect(ctx, n)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	took := func(text string) (time.Duration, error) {
		began := time.Now()
		_, err := c.Query(ctx, text)
		return time.Since(began), err
	}
	for _, text := range []string{"CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		WorkloadTable("ks.r"), "INSERT INTO ks.r (k, v) VALUES ('skewed', 1)"} {
		if _, err := took(text); err != nil {
			return err
		}
	}
	res, err := c.Query(ctx, "SELECT writetime(v) FROM ks.r WHERE k = 'skewed'")
	if err != nil {
		return err
	}
	rows, err := res.All()
	if err != nil {
		return err
	}
	if at := bigint(rows[0][0]); at < time.Now().Add(59*time.Minute).UnixMicro() {
		return fmt.Errorf("written at %d by a clock that is an hour ahead", at)
	}
	if usual, err := took("INSERT INTO ks.r (k, v) VALUES ('a', 1)"); err != nil || usual > 100*time.Millisecond {
		return fmt.Errorf("a write took %v: %w", usual, err)
	}
	w.At(0, "slow", func() { n.SetDiskDelay(20 * time.Second) })
	if slow, err := took("INSERT INTO ks.r (k, v) VALUES ('b', 1)"); err != nil || slow < time.Second {
		return fmt.Errorf("a write on a slow disk took %v: %w", slow, err)
	}
	w.At(0, "fast", func() { n.SetDiskDelay(0) })
	w.At(0, "pause", func() { n.Pause(true) })
	w.At(7*time.Second, "go on", func() { n.Pause(false) })
	a.Turn()
	if paused, err := took("INSERT INTO ks.r (k, v) VALUES ('c', 1)"); err != nil || paused < 6*time.Second {
		return fmt.Errorf("a write at a paused node took %v: %w", paused, err)
	}
	w.At(0, "bad disk", func() { n.FailDisk(1, io.ErrUnexpectedEOF) })
	a.Turn()
	if _, err := took("INSERT INTO ks.r (k, v) VALUES ('d', 1)"); err == nil {
		return errors.New("a write that the disk refused was acknowledged")
	}
	if !strings.Contains(w.Trace(), "fails: unexpected EOF") {
		return errors.New("the failure of the disk is not in the trace")
	}
	if err := n.Stop(); !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("a node whose log is broken stopped with %w", err)
	}
	return nil
}
