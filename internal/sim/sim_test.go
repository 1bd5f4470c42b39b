package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"helenus/store/vfs"
)

// seeds are the histories a test runs: few, or as many as HELENUS_SIM_SEEDS says,
// from HELENUS_SIM_SEED on; with that alone it is one, with HELENUS_SIM_HOURS few.
func seeds(t testing.TB, few uint64) (out []uint64) {
	first := variable(t, "HELENUS_SIM_SEED", 0)
	if os.Getenv("HELENUS_SIM_SEED") != "" && os.Getenv("HELENUS_SIM_HOURS") == "" {
		few = 1
	}
	for seed := range variable(t, "HELENUS_SIM_SEEDS", few) {
		out = append(out, first+seed)
	}
	return out
}

// variable reads a variable of the environment.
func variable(t testing.TB, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// world is one node under writers.
type world struct {
	*Sim
	t       *testing.T
	ctx     context.Context
	node    *Node
	writers []*writer
	images  *rand.Rand
	// checked is how many images have been looked at; oneIn how often one is.
	checked, oneIn int
}

func newWorld(t *testing.T, seed uint64, o Options) *world {
	s := New(t, seed)
	n, err := s.NewNode(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Sim: s, t: t, ctx: context.Background(), node: n, images: rand.New(rand.NewPCG(seed, 5))}
	for id := range 3 {
		w.writers = append(w.writers, newWriter(t, n, id))
	}
	return w
}

// start opens the node as an event of its own and then lets the writers loose.
func (w *world) start(count int) {
	w.Go("starter", func(a *Actor) {
		if err := w.node.Start(); errors.Is(err, ErrCrashed) {
			return
		} else if err != nil {
			w.t.Errorf("seed %d: start: %v", w.seed, err)
			return
		}
		a.Turn()
		c, err := w.node.Client(w.ctx)
		if err != nil {
			w.report("connect", err)
			return
		}
		defer c.Close()
		if _, err := c.Query(w.ctx, "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"); err != nil {
			w.report("create the keyspace", err)
			return
		}
		for _, x := range w.writers {
			w.Go(fmt.Sprintf("writer%d", x.id), x.script(w.ctx, count))
		}
	})
}

// report makes an error fail the test unless the power was cut.
func (w *world) report(what string, err error) {
	if !w.node.life.dead.Load() {
		w.t.Errorf("seed %d: %s: %v", w.seed, what, err)
	}
}

// read compares what the node holds with what the writers know.
func (w *world) read(n *Node, settle bool) error {
	c, err := n.Client(w.ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, x := range w.writers {
		if err := x.check(w.ctx, c, settle); err != nil {
			return err
		}
	}
	return nil
}

// lookAt starts a whole agent on an image and checks it; then it cuts the power
// in the middle of that start, and checks again.
func (w *world) lookAt(event string) {
	verb := strings.SplitN(event, " ", 3)
	if verb[0] != "n" || !(vfs.Op{Kind: vfs.OpKind(verb[1])}).Mutates() || w.images.IntN(w.oneIn) != 0 || w.t.Failed() {
		return
	}
	w.checked++
	seed := w.images.Uint64()
	image := w.node.Disk().Crash(rand.New(rand.NewPCG(seed, 0)))
	if seed%8 == 0 {
		image = w.node.Disk().Kill()
	}
	if err := w.recovered(image); err != nil {
		w.t.Errorf("seed %d, event %d (%s), image %d: %v", w.seed, w.Events, event, seed, err)
	}
}

func (w *world) recovered(image *vfs.Mem) error {
	n, err := w.NewNode(Options{Name: "copy", Address: w.node.cfg.ListenAddress, Free: true, Disk: image, Settings: map[string]string{"commitlog_sync_group_window": "0ms"}})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	synctest.Wait()
	err = w.read(n, false)
	if stopErr := n.Stop(); err == nil {
		err = stopErr
	}
	return err
}

// TestSameSeedSameTrace: the scheduler, and nothing else, decides what happens.
func TestSameSeedSameTrace(t *testing.T) {
	for _, seed := range seeds(t, 2) {
		first := traceOf(t, seed)
		second := traceOf(t, seed)
		if first != second {
			t.Fatalf("seed %d: %s", seed, difference(first, second))
		}
	}
}

// difference shows where two histories part.
func difference(first, second string) string {
	a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d of %d:\n%s\nand then\n%s", i, len(a), strings.Join(a[max(0, i-5):min(len(a), i+5)], "\n"),
				strings.Join(b[max(0, i-5):min(len(b), i+5)], "\n"))
		}
	}
	return "the second is longer"
}

func traceOf(t *testing.T, seed uint64) (trace string) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed, Options{})
			w.start(120)
			w.Run(1<<20, nil)
			w.Go("reader", func(*Actor) {
				if err := w.read(w.node, false); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			})
			w.Run(1<<20, nil)
			trace = w.Trace()
			w.node.Crash(w.node.Disk().Kill())
			for _, part := range []string{"turn 100", "txn_flush", "txn_compaction", "rename"} {
				if !strings.Contains(trace, part) {
					t.Errorf("seed %d: no %q in the trace: the test tests too little", seed, part)
				}
			}
			t.Logf("%d events, %d bytes of trace", w.Events, len(trace))
		})
	})
	return trace
}

// TestCrashAnywhere starts a whole agent on what a power cut could leave after
// operations of all kinds, one in forty of them or, with HELENUS_SIM_IMAGES=all,
// after each, and goes on with one such disk now and then.
func TestCrashAnywhere(t *testing.T) {
	for _, mode := range []string{"group", "batch"} {
		for _, seed := range seeds(t, 2) {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAnywhere(t, mode, seed) })
			})
		}
	}
}

func crashAnywhere(t *testing.T, mode string, seed uint64) {
	w := newWorld(t, seed, Options{Settings: map[string]string{"commitlog_sync": mode}})
	w.oneIn = 40
	if os.Getenv("HELENUS_SIM_SEEDS") != "" {
		w.oneIn = 4
	}
	if os.Getenv("HELENUS_SIM_IMAGES") == "all" {
		w.oneIn = 1
	}
	w.After = w.lookAt
	crashes := 0
	for crashes < 4 && !t.Failed() {
		w.start(60)
		left := 300 + w.Rand().IntN(1500)
		w.Run(left, nil)
		crashes++
		w.node.Crash(w.node.Disk().Crash(w.Rand()))
		w.Run(1<<20, nil) // the writers notice and end
		if err := w.settle(); err != nil && !t.Failed() {
			t.Errorf("seed %d, crash %d: %v", seed, crashes, err)
		}
	}
	t.Logf("%d events, %d images, %d crashes", w.Events, w.checked, crashes)
}

// settle learns on a copy of the disk what the crash made of the unanswered.
func (w *world) settle() error {
	n, err := w.NewNode(Options{Name: "copy", Address: w.node.cfg.ListenAddress, Free: true, Disk: w.node.Disk().Kill(), Settings: map[string]string{"commitlog_sync_group_window": "0ms"}})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	synctest.Wait()
	err = w.read(n, true)
	if stopErr := n.Stop(); err == nil {
		err = stopErr
	}
	return err
}
