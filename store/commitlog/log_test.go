package commitlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

func TestManyWriters(t *testing.T) {
	mem := vfs.NewMem()
	opts := tiny(commitlog.Group)
	opts.SegmentSize, opts.BufferSize = 64<<10, 8<<10
	l := open(t, mem, opts)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 100 {
				w := newWaiter()
				if _, err := l.Append([]commitlog.TableID{table(g)}, w, fmt.Appendf(nil, "%d/%d", g, i)); err != nil {
					t.Error(err)
					return
				}
				if err := w.wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := l.Stats()
	if s.Waiting != 0 || s.Appends != 3200 || s.Syncs > 3200 {
		t.Fatalf("%+v", s)
	}
	must(t, l.Close())
	l, all, _, err := replay(mem.CrashNone(), opts)
	must(t, err)
	must(t, l.Close())
	next := map[string]int{}
	for _, g := range all {
		writer, i, _ := strings.Cut(g.payload, "/")
		if fmt.Sprint(next[writer]) != i {
			t.Fatalf("writer %s: record %s, expected %d", writer, i, next[writer])
		}
		next[writer]++
	}
	if len(all) != 3200 {
		t.Fatalf("%d records", len(all))
	}
}

func TestWaitersOfOneSyncInOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []int
		opts := commitlog.Options{GroupWindow: time.Millisecond, SegmentSize: 64 << 10,
			OnSynced: func(ws []commitlog.Waiter, err error) { calls = append(calls, len(ws)) }}
		l := open(t, vfs.NewMem(), opts)
		for _, n := range []int{3, 1, 50} {
			for range n {
				_, err := l.Append([]commitlog.TableID{table(1)}, newWaiter(), []byte("x"))
				must(t, err)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
		}
		must(t, l.Close())
		if !slices.Equal(calls, []int{3, 1, 50}) {
			t.Fatal(calls)
		}
	})
}

func TestCallbackMayAppend(t *testing.T) {
	var l *commitlog.Log
	left, done := 2000, make(chan struct{})
	opts := tiny(commitlog.Batch)
	opts.OnSynced = func(ws []commitlog.Waiter, err error) {
		for _, w := range ws {
			if left--; left == 0 {
				close(done)
			}
			if left >= 10 {
				if _, err := l.Append([]commitlog.TableID{table(1)}, w, make([]byte, 1000)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	l = open(t, vfs.NewMem(), opts)
	for range 10 {
		_, err := l.Append([]commitlog.TableID{table(1)}, newWaiter(), make([]byte, 1000))
		must(t, err)
	}
	<-done
	must(t, l.Close())
}

func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		opts := commitlog.Options{Mode: commitlog.Periodic, Period: time.Second, SegmentSize: 64 << 10}
		hang := make(chan struct{})
		var hung atomic.Bool
		fsys := vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpSync && hung.Load() {
				<-hang
			}
			return vfs.Fault{}
		})
		l := open(t, fsys, opts)
		appendOne := func() *waiter {
			w := newWaiter()
			_, err := l.Append([]commitlog.TableID{table(1)}, w, []byte("x"))
			must(t, err)
			if w.calls != 1 {
				t.Fatal("not acknowledged when Append returned")
			}
			return w
		}
		appendOne()
		if l.Synced() != (commitlog.Position{}) {
			t.Fatal("synced too early")
		}
		time.Sleep(1100 * time.Millisecond)
		if l.Synced() != l.Appended() {
			t.Fatal("not synced after the period")
		}
		hung.Store(true)
		appendOne()
		time.Sleep(1400 * time.Millisecond)
		appendOne() // the sync hangs, but is not late yet
		time.Sleep(200 * time.Millisecond)
		began := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			hung.Store(false)
			close(hang)
		}()
		appendOne()
		if stalled := time.Since(began); stalled != 3*time.Second {
			t.Fatalf("stalled for %s", stalled)
		}
		must(t, l.Close())
	})
}

func TestAppendBlocksWhenTheDiskDoesNotFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var armed atomic.Bool
		fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
			if op.Kind == vfs.OpSync && armed.Load() {
				<-hang
			}
			return vfs.Fault{}
		})
		opts := commitlog.Options{SegmentSize: 1 << 20, BufferSize: 16 << 10}
		l := open(t, fsys, opts)
		armed.Store(true)
		var appended atomic.Int64
		go func() {
			for range 200 {
				if _, err := l.Append([]commitlog.TableID{table(1)}, nil, make([]byte, 1000)); err != nil {
					t.Error(err)
				}
				appended.Add(1)
			}
		}()
		synctest.Wait()
		if n := appended.Load(); n >= 100 || n < 20 || l.Stats().BufferedBytes > 4*opts.BufferSize {
			t.Fatalf("%d appended, %+v", appended.Load(), l.Stats())
		}
		close(hang)
		synctest.Wait()
		if appended.Load() != 200 {
			t.Fatalf("%d appended", appended.Load())
		}
		must(t, l.Close())
	})
}

// TestFailureIsFinal: every waiter hears of it once, and the sync is not tried
// again.
func TestFailureIsFinal(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpSync, vfs.OpWrite, vfs.OpCreate, vfs.OpSyncDir, vfs.OpPreallocate} {
		t.Run(string(kind), func(t *testing.T) {
			var mu sync.Mutex
			failed, after := 0, 0
			armed := false
			fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
				mu.Lock()
				defer mu.Unlock()
				if failed > 0 && op.Mutates() {
					after++
				}
				if armed && op.Kind == kind {
					failed++
					return vfs.Fault{Err: syscall.EIO}
				}
				return vfs.Fault{}
			})
			l := open(t, fsys, tiny(commitlog.Batch))
			mu.Lock()
			armed = true
			mu.Unlock()
			var ws []*waiter
			var appendErr error
			for len(ws) < 1000 && appendErr == nil {
				w := newWaiter()
				if _, appendErr = l.Append([]commitlog.TableID{table(1)}, w, make([]byte, 700)); appendErr == nil {
					ws = append(ws, w)
				}
			}
			if !errors.Is(appendErr, syscall.EIO) || !errors.Is(l.Err(), syscall.EIO) {
				t.Fatal(appendErr, l.Err())
			}
			for i, w := range ws {
				if err := w.wait(); !errors.Is(err, syscall.EIO) {
					t.Fatalf("waiter %d: %v", i, err)
				}
			}
			if err := l.Sync(newWaiter()); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if err := l.DiscardSync(table(1), commitlog.Position{}); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if err := l.Close(); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			for i, w := range ws {
				if w.calls != 1 {
					t.Fatalf("waiter %d was called %d times", i, w.calls)
				}
			}
			if failed != 1 || after != 0 {
				t.Fatalf("%d failures, %d operations afterwards", failed, after)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	l, err := commitlog.Open(vfs.NewMem(), dir, tiny(commitlog.Batch))
	must(t, err)
	tables := []commitlog.TableID{table(1)}
	if _, err := l.Append(tables, nil, []byte("x")); !errors.Is(err, commitlog.ErrNotReplayed) {
		t.Fatal(err)
	}
	_, err = l.Replay(ignore)
	must(t, err)
	if _, err := l.Replay(ignore); err == nil {
		t.Fatal("replayed twice")
	}
	var large *commitlog.TooLargeError
	if _, err := l.Append(tables, nil, make([]byte, 2000), make([]byte, 49)); !errors.As(err, &large) || *large != (commitlog.TooLargeError{Size: 2049, Limit: 2048}) {
		t.Fatal(err)
	}
	if _, err := l.Append(make([]commitlog.TableID, 100), nil, make([]byte, 2000)); !errors.As(err, &large) {
		t.Fatal(err)
	}
	for range 5 {
		_, err = l.Append(tables, nil, make([]byte, 2048))
		must(t, err)
	}
	if err := l.Discard(table(1), commitlog.Position{Segment: 99}, nil); err == nil {
		t.Fatal("discarded the future")
	}
	must(t, l.Close())
	if _, err := l.Append(tables, nil, nil); !errors.Is(err, commitlog.ErrClosed) {
		t.Fatal(err)
	}
	if err := l.Close(); !errors.Is(err, commitlog.ErrClosed) {
		t.Fatal(err)
	}
	for _, o := range []commitlog.Options{{Mode: 9}, {BlockSize: 100}, {BlockSize: 1 << 16}, {SegmentSize: 4096}, {SegmentSize: 1<<20 + 1}, {SegmentSize: 1 << 31}, {Period: -1}} {
		if _, err := commitlog.Open(vfs.NewMem(), dir, o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

// TestRecordOfSeveralTables is delivered whole while one of them needs it.
func TestRecordOfSeveralTables(t *testing.T) {
	mem, opts := vfs.NewMem(), tiny(commitlog.Batch)
	l := open(t, mem, opts)
	both := []commitlog.TableID{table(1), table(2)}
	first, err := l.Append(both, nil, []byte("first"))
	must(t, err)
	_, err = l.Append(both, nil, []byte("second"))
	must(t, err)
	must(t, l.DiscardSync(table(1), first))
	must(t, l.Close())
	l, all, stats, err := replay(mem, opts)
	must(t, err)
	if len(all) != 2 || !slices.Equal(all[0].needed, both[1:]) || !slices.Equal(all[1].needed, both) {
		t.Fatalf("%+v", all)
	}
	must(t, l.DiscardSync(table(2), first))
	must(t, l.Close())
	l, all, stats, err = replay(mem, opts)
	must(t, err)
	must(t, l.Close())
	if len(all) != 1 || all[0].payload != "second" || stats.Covered != 1 || stats.Markers != 2 {
		t.Fatalf("%+v %+v", all, stats)
	}
}

// TestSpaceIsReused: with discards the directory stops growing; the oldest
// dirty tables are those to flush.
func TestSpaceIsReused(t *testing.T) {
	mem, opts := vfs.NewMem(), tiny(commitlog.Batch)
	l := open(t, mem, opts)
	old, err := l.Append([]commitlog.TableID{table(1)}, nil, []byte("old"))
	must(t, err)
	for i := range 400 {
		pos, err := l.Append([]commitlog.TableID{table(2)}, nil, make([]byte, 700))
		must(t, err)
		must(t, l.Discard(table(2), pos, nil))
		if i == 100 {
			if l.TotalSize() < 20*4096 {
				t.Fatalf("total size %d although the oldest segment is needed", l.TotalSize())
			}
			tables, last := l.OldestDirty()
			if !slices.Equal(tables, []commitlog.TableID{table(1)}) || last != old {
				t.Fatal(tables, last)
			}
			must(t, l.Discard(table(1), old, nil))
		}
	}
	if l.TotalSize() > 3*4096 {
		t.Fatalf("total size %d, nothing is dirty", l.TotalSize())
	}
	if tables, _ := l.OldestDirty(); len(tables) != 0 {
		t.Fatal(tables)
	}
	must(t, l.Close())
	names, err := mem.List(dir)
	must(t, err)
	if len(names) > 6 {
		t.Fatalf("%d files: %v", len(names), names)
	}
	opts.SegmentSize = 8192 // a changed setting: files of the old size go
	l = open(t, mem, opts)
	for range 40 {
		_, err := l.Append([]commitlog.TableID{table(2)}, nil, make([]byte, 3000))
		must(t, err)
		must(t, l.Discard(table(2), l.Appended(), nil))
	}
	must(t, l.Close())
	names, err = mem.List(dir)
	must(t, err)
	for _, n := range names {
		if info, _ := mem.Stat(dir + "/" + n); info.Size != 8192 {
			t.Fatalf("%s has %d bytes", n, info.Size)
		}
	}
}

func TestReplayStopsAtAnError(t *testing.T) {
	mem := written(t, true)
	l, err := commitlog.Open(mem, dir, tiny(commitlog.Batch))
	must(t, err)
	n := 0
	_, err = l.Replay(func(*commitlog.Record) error { n++; return errDisk })
	if !errors.Is(err, errDisk) || n != 1 {
		t.Fatal(n, err)
	}
	must(t, l.Close())
}

func TestAppendDoesNotAllocate(t *testing.T) {
	l := open(t, nullFS{vfs.NewMem()}, commitlog.Options{})
	tables := []commitlog.TableID{table(1), table(2)}
	payload := make([]byte, 300)
	w := &parked{make(chan error, 1)}
	one := func() {
		if _, err := l.Append(tables, w, payload[:100], payload[100:]); err != nil {
			t.Fatal(err)
		}
		<-w.token
	}
	for range 1000 {
		one()
	}
	if n := testing.AllocsPerRun(5000, one); n != 0 {
		t.Fatalf("%v allocations per append", n)
	}
	must(t, l.Close())
}

// TestPrepared: in time the next segment finds a file that is ready, and Close
// does not wait for one that is not.
func TestPrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		opts := tiny(commitlog.Group)
		opts.FreeSegmentsMax, opts.PreparePause = -1, time.Second
		l := open(t, mem, opts)
		for range 40 {
			w := newWaiter()
			_, err := l.Append([]commitlog.TableID{table(1)}, w, make([]byte, 900))
			must(t, err)
			must(t, w.wait())
			time.Sleep(2 * time.Second)
		}
		s := l.Stats()
		if s.LiveSegments < 5 || int(s.Recycled) != s.LiveSegments-1 {
			t.Errorf("%d of %d segments found a file", s.Recycled, s.LiveSegments)
		}
		must(t, l.Close())
		l, all, _, err := replay(mem.CrashNone(), opts)
		must(t, err)
		if len(all) != 40 {
			t.Errorf("%d records", len(all))
		}
		must(t, l.Close())
	})
}
