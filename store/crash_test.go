package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// seeds is how many histories a test runs: few, or HELENUS_SIM_SEEDS.
func seeds(t testing.TB, few uint64) uint64 {
	if text := os.Getenv("HELENUS_SIM_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		must(t, err)
		return n
	}
	if testing.Short() {
		return 1
	}
	return few
}

// TestCrashAfterEveryOperation runs random histories of several tables and,
// after each operation that changes the file system, reopens what a power cut
// could leave, and cuts the power again.
func TestCrashAfterEveryOperation(t *testing.T) {
	for _, mode := range []commitlog.Mode{commitlog.Group, commitlog.Batch, commitlog.Periodic} {
		for seed := range seeds(t, 2) {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHistory(t, mode, seed)
					if os.Getenv("HELENUS_SIM_SEEDS") == "" {
						h.every = 11 // a few seconds' worth
					}
					h.run(40)
				})
			})
		}
	}
}

// history is a random sequence of steps and the crashes in it.
type history struct {
	t      *testing.T
	mode   commitlog.Mode
	seed   uint64
	r      *rand.Rand
	images *rand.Rand
	mem    *vfs.Mem
	model  *model
	store  *Store
	words  words
	defs   []*schema.Table
	epoch  atomic.Uint64
	next   int // number of the next table
	grace  int32
	ops    int
	checks int
	every  int // images are taken after every so many operations
}

func newHistory(t *testing.T, mode commitlog.Mode, seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, uint64(mode)))
	h := &history{t: t, mode: mode, seed: seed, r: r, images: rand.New(rand.NewPCG(seed, 100)), mem: vfs.NewMem(), next: 3,
		every: 1, grace: 864000}
	h.epoch.Store(1)
	h.words = words{r: r, filler: 300}
	if seed%2 == 0 { // compaction purges: then later writes must have later timestamps
		h.words.ordered, h.grace = true, 0
	}
	for n := range h.next {
		h.defs = append(h.defs, definition(t, n, h.grace))
	}
	h.model = newModel(t, schemaOf(h.defs...))
	return h
}

func (h *history) options(fs vfs.FS, seed uint64) Options {
	o := tiny(fs, h.mode, rand.New(rand.NewPCG(seed, 7)))
	o.CommitLog.GroupWindow, o.CommitLog.Period = time.Millisecond, 10*time.Millisecond
	if seed%2 == 1 { // every other start replays by several workers
		o.replayBatchBytes, o.MemtableBytes = 1<<10, 100<<10
	}
	return o
}

func (h *history) run(steps int) {
	t := h.t
	fs := vfs.NewTraced(h.mem, nil, h.operation)
	s, err := Open(h.options(fs, h.seed), h.model.first, h.epoch.Load())
	must(t, err)
	h.store = s
	for range steps {
		if t.Failed() {
			break
		}
		h.step()
	}
	acked, issued := h.model.span()
	if !t.Failed() {
		if got := showStore(t, s, h.model.schemaAt(issued)); got != h.model.show(issued) {
			t.Errorf("seed %d: at the end (-) but wanted (+):\n%s", h.seed, difference(got, h.model.show(issued)))
		}
	}
	must(t, s.Close())
	t.Logf("%d steps (%d acknowledged), %d operations, %d images, %d flushes, %d compactions", issued, acked, h.ops, h.checks,
		s.Stats().Flushes.Load(), s.Stats().Compactions.Load())
}

func (h *history) step() {
	t, s, m := h.t, h.store, h.model
	ctx := context.Background()
	def := h.defs[h.r.IntN(len(h.defs))]
	switch h.r.IntN(20) {
	case 0:
		must(t, s.Flush(ctx, def.ID))
	case 1:
		must(t, s.Compact(ctx, def.ID))
	case 2:
		n := m.begin(step{truncate: def.ID})
		must(t, s.Truncate(ctx, def.ID))
		m.ended(n)
	case 3:
		h.alter()
	default:
		h.write()
	}
}

// write applies a few mutations at once, of one or several tables each.
func (h *history) write() {
	var all []*writing
	var last int
	for range 1 + h.r.IntN(6) {
		texts := make([]string, len(h.defs))
		for range 1 + h.r.IntN(3) {
			i := h.r.IntN(len(h.defs))
			texts[i] += h.words.say(extraOf(h.defs[i]))
		}
		mutation := mutate(h.t, h.defs, texts...)
		last = h.model.begin(step{mutation: mutation})
		all = append(all, apply(h.store, mutation))
	}
	for _, w := range all {
		must(h.t, <-w.done)
	}
	if h.mode != commitlog.Periodic {
		h.model.ended(last)
		return
	}
	if h.r.IntN(4) == 0 {
		time.Sleep(30 * time.Millisecond) // more than a period: now it is synced
		synctest.Wait()
		h.model.ended(last)
	}
}

// extraOf names a column that was added, if there is one.
func extraOf(def *schema.Table) string {
	for _, c := range def.Regulars {
		if c.Name[0] == 'x' {
			return c.Name
		}
	}
	return ""
}

// alter adds or drops a column, or drops or makes a table.
func (h *history) alter() {
	t := h.t
	i := h.r.IntN(len(h.defs))
	h.defs = append([]*schema.Table(nil), h.defs...)
	switch h.r.IntN(4) {
	case 0:
		if x := extraOf(h.defs[i]); x != "" {
			h.defs[i] = withoutColumn(h.defs[i], x)
			break
		}
		fallthrough
	case 1:
		h.defs[i] = withColumn(h.defs[i], fmt.Sprintf("x%d", h.epoch.Load()))
	default:
		h.defs[i] = definition(t, h.next, h.grace)
		h.next++
	}
	if h.mode == commitlog.Periodic { // so that no unsynced write is older than the schema
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		_, issued := h.model.span()
		h.model.ended(issued)
	}
	h.epoch.Add(1)
	sch := schemaOf(h.defs...)
	// The metadata log holds the change before the store hears of it.
	n := h.model.begin(step{schema: sch})
	h.model.ended(n)
	must(t, h.store.SetSchema(sch, h.epoch.Load()))
}

// operation is called after each change of the file system.
func (h *history) operation(op vfs.Op) {
	if h.ops++; h.ops%h.every != 0 || h.t.Failed() {
		return
	}
	acked, _ := h.model.span()
	seed := h.images.Uint64()
	image := h.mem.Crash(rand.New(rand.NewPCG(seed, 0)))
	if seed%8 == 0 {
		image = h.mem.Kill()
	}
	_, issued := h.model.span()
	h.checks++
	if err := h.recover(image, seed, acked, issued); err != nil {
		h.t.Errorf("seed %d, operation %d (%s), image %d: %v", h.seed, h.ops, op, seed, err)
	}
}

// recover opens an image, cutting the power once more on the way, and compares
// it with the states that it may be in.
func (h *history) recover(image *vfs.Mem, seed uint64, acked, issued int) error {
	r := rand.New(rand.NewPCG(seed, 1))
	again := 1 + r.IntN(40)
	var second *vfs.Mem
	fs := vfs.NewTraced(image, nil, func(vfs.Op) {
		if again--; again == 0 {
			second = image.Crash(r)
		}
	})
	first, err := h.check(fs, seed, acked, issued)
	if err != nil || second == nil {
		return err
	}
	// What was found after the death of the process alone need not be durable yet.
	if h.mode != commitlog.Periodic {
		issued = first
	}
	if _, err := h.check(second, seed, acked, issued); err != nil {
		return fmt.Errorf("second crash: %w", err)
	}
	return nil
}

// check opens a file system and tells in which state it is.
func (h *history) check(fs vfs.FS, seed uint64, acked, issued int) (int, error) {
	o := h.options(fs, seed)
	o.CommitLog.GroupWindow, o.ManualCompaction = 0, seed%4 != 0
	sch := h.model.schemaAt(issued)
	s, err := Open(o, sch, h.epoch.Load())
	if err != nil {
		return 0, err
	}
	got := showStore(h.t, s, sch)
	if err := s.Close(); err != nil {
		return 0, err
	}
	if used := o.Budget.Used(); used != 0 {
		return 0, fmt.Errorf("%d bytes of memory are left after Close", used)
	}
	for n := issued; n >= acked; n-- {
		if h.model.schemaAt(n) == sch && h.same(got, n, acked) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%d steps acknowledged of %d; recovered (-) but wanted (+):\n%s", acked, issued, difference(got, h.model.show(issued)))
}

// same tells whether a store shows the state after n steps. In periodic mode a
// flush makes one table durable before the log is, so each may be in a state of
// its own.
func (h *history) same(got string, n, acked int) bool {
	if h.mode != commitlog.Periodic {
		return h.model.show(n) == got
	}
	var states [][]string
	for at := acked; at <= n; at++ {
		states = append(states, strings.SplitAfter(h.model.show(at), "table "))
	}
	for i, table := range strings.SplitAfter(got, "table ") {
		if !slices.ContainsFunc(states, func(s []string) bool { return i < len(s) && s[i] == table }) {
			return false
		}
	}
	return true
}

// difference shows the lines that only one of two texts has.
func difference(a, b string) string {
	var out strings.Builder
	one := func(sign string, a, b string) {
		have := strings.Split(b, "\n")
		for _, line := range strings.Split(a, "\n") {
			if !slices.Contains(have, line) {
				fmt.Fprintf(&out, "%s %s\n", sign, line)
			}
		}
	}
	one("-", a, b)
	one("+", b, a)
	return out.String()
}
