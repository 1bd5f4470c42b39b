package commitlog_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// TestCrashAfterEveryOperation runs random histories and, after each operation
// on the file system, reopens what a power cut could leave.
func TestCrashAfterEveryOperation(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for _, mode := range []commitlog.Mode{commitlog.Group, commitlog.Batch, commitlog.Periodic} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashHistory(t, mode, seed) })
			})
		}
	}
}

func crashHistory(t *testing.T, mode commitlog.Mode, seed uint64) {
	opts := tiny(mode)
	opts.GroupWindow, opts.Period = time.Millisecond, time.Millisecond
	if seed%2 == 0 { // blocks of two sectors, so that blocks too are torn
		opts.BlockSize, opts.SegmentSize, opts.BufferSize = 1024, 8192, 3000
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(mode)))
	images := rand.New(rand.NewPCG(seed, 100))
	mem, m := vfs.NewMem(), newModel()
	ops := 0
	var one sync.Mutex // the preparer's operations come between the syncer's
	fsys := vfs.NewTraced(mem, nil, func(op vfs.Op) {
		one.Lock()
		defer one.Unlock()
		ops++
		imageSeed := images.Uint64()
		image := mem.Crash(rand.New(rand.NewPCG(imageSeed, 0)))
		if imageSeed%8 == 0 {
			image = mem.Kill()
		}
		if err := recover2(image, opts, m, imageSeed); err != nil {
			t.Errorf("operation %d (%s), image %d: %v", ops, op, imageSeed, err)
		}
	})
	prepared := opts
	if mode == commitlog.Batch && seed%2 == 1 { // without a window no image waits in fake time
		prepared.PreparePause = 100 * time.Microsecond
	}
	l := open(t, fsys, prepared)
	for range 80 {
		if t.Failed() {
			break
		}
		crashStep(t, l, m, rnd)
	}
	must(t, l.Close())
	m.done(t)
	l, all, stats, err := replay(mem.CrashNone(), opts)
	must(t, err)
	must(t, l.Close())
	must(t, m.check(all, true))
	if stats.Torn {
		t.Fatal("a closed log ends torn")
	}
	if mode != commitlog.Periodic && ops < 80 {
		t.Fatalf("only %d operations", ops)
	}
}

func crashStep(t *testing.T, l *commitlog.Log, m *model, rnd *rand.Rand) {
	switch rnd.IntN(8) {
	case 0: // everything so far of one table is durable elsewhere
		tab := table(rnd.IntN(4))
		m.mu.Lock()
		upTo := len(m.records) - rnd.IntN(len(m.records)+1)/4
		var pos commitlog.Position
		if upTo > 0 {
			pos = m.records[upTo-1].pos
		}
		m.asked[tab] = max(m.asked[tab], upTo)
		m.mu.Unlock()
		if rnd.IntN(2) == 0 {
			must(t, l.Discard(tab, pos, nil))
			return
		}
		must(t, l.DiscardSync(tab, pos))
		m.mu.Lock()
		m.sure[tab] = max(m.sure[tab], upTo)
		m.mu.Unlock()
	case 1:
		w := newWaiter()
		must(t, l.Sync(w))
		must(t, w.wait())
	default:
		for range 1 + rnd.IntN(6) {
			r := m.next(rnd, 1+rnd.IntN(900))
			half := rnd.IntN(len(r.text))
			pos, err := l.Append(r.tables, r, []byte(r.text[:half]), []byte(r.text[half:]))
			must(t, err)
			m.mu.Lock()
			r.pos = pos
			m.mu.Unlock()
		}
		if rnd.IntN(2) == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// recover2 replays an image, writes on, crashes again and replays again: what
// was delivered once, and what was added, must still be there.
func recover2(image *vfs.Mem, opts commitlog.Options, m *model, seed uint64) error {
	l, first, _, err := replay(image, opts)
	if err != nil {
		return err
	}
	durable := opts.Mode != commitlog.Periodic
	if err := m.check(first, durable); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	added := rnd.IntN(12)
	for i := range added {
		w := newWaiter()
		if _, err := l.Append([]commitlog.TableID{table(9)}, w, fmt.Appendf(nil, "added %d %s", i, strings.Repeat("x", rnd.IntN(700)))); err != nil {
			return err
		}
		if err := w.wait(); err != nil {
			return err
		}
	}
	if !durable {
		w := newWaiter()
		if err := l.Sync(w); err != nil {
			return err
		}
		if err := w.wait(); err != nil {
			return err
		}
	}
	again := image.Crash(rnd)
	if err := l.Close(); err != nil {
		return err
	}
	l, second, _, err := replay(again, opts)
	if err != nil {
		return fmt.Errorf("second replay: %w", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	if len(second) != len(first)+added {
		return fmt.Errorf("second replay: %d records, %d and %d expected", len(second), len(first), added)
	}
	for i, g := range second {
		if i < len(first) && (g.payload != first[i].payload || g.pos != first[i].pos) {
			return fmt.Errorf("second replay: record %d differs", i)
		}
		if i >= len(first) && !strings.HasPrefix(g.payload, fmt.Sprintf("added %d ", i-len(first))) {
			return fmt.Errorf("second replay: record %d is %.20q", i, g.payload)
		}
	}
	return nil
}
