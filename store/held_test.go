package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/compact"
	"helenus/store/vfs"
)

// TestCompactionHoldsNoMemory: however long a compaction takes, what is flushed
// meanwhile is given back, for writers wait for it.
func TestCompactionHoldsNoMemory(t *testing.T) {
	ctx := context.Background()
	var hold atomic.Bool
	merged, goOn := make(chan struct{}), make(chan struct{})
	s, def := openTiny(t, vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
		if strings.Contains(op.Name, "-Statistics.db") && op.Kind == vfs.OpCreate && hold.CompareAndSwap(true, false) {
			close(merged)
			<-goOn
		}
		return vfs.Fault{}
	}), func(o *Options) { o.MemtableBytes = 64 << 20 })
	defer s.Close()
	def.Options.GCGraceSeconds = 0 // so that it asks what tombstones cover elsewhere
	for v := range 2 {
		must(t, put(t, s, def, 1, v+1))
		must(t, <-apply(s, mutate(t, []*schema.Table{def}, fmt.Sprintf("partition 2 del=%d/%d", v+1, deletedSecond))).done)
		must(t, s.Flush(ctx, def.ID))
	}
	must(t, put(t, s, def, 2, 9)) // in memory when it begins
	hold.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := s.table(def.ID).compact(ctx, compact.PickAll)
		done <- err
	}()
	select {
	case <-merged:
	case err := <-done:
		t.Fatalf("the compaction ended at once: %v", err)
	}
	must(t, s.Flush(ctx, def.ID))
	if n := s.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes of memtables are held", n)
	}
	close(goOn)
	must(t, <-done)
	if got := values(t, s, def); fmt.Sprint(got) != "map[1:2 2:9]" {
		t.Errorf("got %v", got)
	}
}

// alterer changes the schema while its write is being applied.
type alterer struct {
	s      *Store
	next   *schema.Schema
	done   chan error
	during bool // the table had its new definition then
}

func (a *alterer) Written(w *Write) {
	old := a.s.table(schema.TableID(w.ids[0])).def.Load()
	go func() { a.done <- a.s.SetSchema(a.next, 2) }()
	for a.s.switching.TryRLock() { // fails once somebody waits for the writes under way
		a.s.switching.RUnlock()
		if a.during = a.s.table(old.ID).def.Load() != old; a.during {
			return
		}
		runtime.Gosched()
	}
}

// TestAlterWaitsForPeriodicWrites: of two writes applied at once in periodic
// mode, that with the older definition would drop the newer column's cells.
func TestAlterWaitsForPeriodicWrites(t *testing.T) {
	s, def := openTiny(t, vfs.NewMem(), func(o *Options) { o.CommitLog.Mode = commitlog.Periodic })
	defer s.Close()
	a := &alterer{s: s, next: schemaOf(withColumn(def, "a")), done: make(chan error, 1)}
	s.Apply(&Write{Mutation: mutate(t, []*schema.Table{def}, "partition 1\nrow a,1 v=1@1"), Owner: a})
	must(t, <-a.done)
	if a.during {
		t.Error("the definition changed while a write was being applied")
	}
}

// TestFlushInDoubt: a file that is there but could not be opened would come into
// service at the next start, with rows that had been deleted since.
func TestFlushInDoubt(t *testing.T) {
	var full atomic.Bool
	s, def := openTiny(t, vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
		if full.Load() && op.Kind == vfs.OpOpenRead && strings.HasSuffix(op.Name, "-Data.db") {
			return vfs.Fault{Err: syscall.EMFILE}
		}
		return vfs.Fault{}
	}), nil)
	defer s.Close()
	must(t, put(t, s, def, 1, 1))
	full.Store(true)
	if err := s.Flush(context.Background(), def.ID); !errors.Is(err, syscall.EMFILE) || s.Failure() == nil {
		t.Fatalf("flush: %v, failure %v", err, s.Failure())
	}
}

// TestFailedReplacementIsForgotten: what a compaction that failed has said of
// its inputs does not keep the store from starting once they have gone.
func TestFailedReplacementIsForgotten(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	var writes, failing atomic.Int32
	s, def := openTiny(t, vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpWrite && strings.Contains(op.Name, "_txn_compaction") && writes.Add(1) == failing.Load() {
			return vfs.Fault{Err: syscall.ENOSPC, Written: 100}
		}
		return vfs.Fault{}
	}), nil)
	for v := range 2 {
		must(t, put(t, s, def, v, v+1))
		must(t, s.Flush(ctx, def.ID))
	}
	failing.Store(2) // ADD, then REMOVE
	if err := s.Compact(ctx, def.ID); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("compact: %v", err)
	}
	must(t, s.Compact(ctx, def.ID))
	must(t, s.Close())
	s, def = openTiny(t, mem, nil)
	defer s.Close()
	if got := values(t, s, def); fmt.Sprint(got) != "map[0:1 1:2]" {
		t.Errorf("got %v", got)
	}
}

// TestStopCompaction: whoever waits for a compaction's end does not wait for the
// whole of one that slipped in between.
func TestStopCompaction(t *testing.T) {
	s, def := openTiny(t, vfs.NewMem(), nil)
	defer s.Close()
	x := s.table(def.ID)
	x.compacting.Lock() // it has been let in, and has not said how to cancel it
	stopped := make(chan struct{})
	go func() { x.stopCompaction()(); close(stopped) }()
	for waiting := 0; waiting == 0; runtime.Gosched() {
		x.mu.Lock()
		waiting = x.stopping
		x.mu.Unlock()
	}
	for _, want := range []error{context.Canceled, nil} {
		ctx, cancel := context.WithCancel(context.Background())
		x.beginCompaction(cancel).release()
		if !errors.Is(ctx.Err(), want) {
			t.Errorf("%v, want %v", ctx.Err(), want)
		}
		if want != nil {
			x.compacting.Unlock()
			<-stopped
		}
		cancel()
	}
}
