package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/sstable"
)

// Flush writes a table's memtable to a file and waits until it is durable.
func (s *Store) Flush(ctx context.Context, id schema.TableID) error {
	t := s.table(id)
	if t == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.flush()
}

// FlushAll flushes every table.
func (s *Store) FlushAll(ctx context.Context) error {
	var errs []error
	for _, t := range s.tables.Load().byID {
		errs = append(errs, s.Flush(ctx, t.id))
	}
	return errors.Join(errs...)
}

// flushLoop flushes the largest memtable when all together are too large, and
// the tables that hold back the oldest segment when the log is.
func (s *Store) flushLoop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.memory.full:
		case <-tick.C:
			s.memory.freed() // a reader may have held what a flush let go
		}
		for ctx.Err() == nil && s.Failure() == nil {
			t := s.flushCandidate()
			if t == nil {
				break
			}
			if err := t.flush(); err != nil {
				s.fail(fmt.Errorf("store: flush: %w", err))
			}
		}
	}
}

// flushCandidate is the table to flush next, nil when there is no need.
func (s *Store) flushCandidate() *table {
	if s.memory.over() {
		var largest *table
		var bytes int64
		for _, t := range s.tables.Load().byID {
			if n := t.memoryBytes(); n > bytes {
				largest, bytes = t, n
			}
		}
		return largest
	}
	if s.opts.LogBytesMax > 0 && s.log.TotalSize() > s.opts.LogBytesMax {
		ids, _ := s.log.OldestDirty()
		for _, id := range ids {
			if t := s.table(schema.TableID(id)); t != nil {
				return t
			}
		}
	}
	return nil
}

func (t *table) memoryBytes() int64 {
	v := t.acquire()
	if v == nil {
		return 0
	}
	defer v.release()
	return v.active.m.Stats().Mapped
}

// swap puts a fresh memtable in place of the active one. All records up to the
// returned position are in the old one, or on their way into it.
func (t *table) swap() (old *generation, upTo commitlog.Position) {
	s := t.store
	s.switching.Lock()
	defer s.switching.Unlock()
	upTo = s.log.Appended()
	fresh := t.newGeneration(upTo)
	t.replace(func(v *view) *view {
		old = v.active
		return &view{active: fresh, flushing: append(slices.Clone(v.flushing), old), files: v.files}
	})
	fresh.m.Unref() // the view has its own
	return old, upTo
}

// flush makes a file of the active memtable.
func (t *table) flush() error {
	t.working.Lock()
	defer t.working.Unlock()
	if t.isClosed() {
		return nil
	}
	old, upTo := t.swap()
	old.writers.Wait()
	var file *sstable.Table
	var err error
	if !old.m.IsEmpty() {
		started, stats := t.store.opts.Now(), old.m.Stats()
		if file, err = t.writeMemtable(old, upTo); err != nil {
			return fmt.Errorf("store: flush %s: %w", t.def.Load().QualifiedName(), err)
		}
		t.store.stats.Flushes.Add(1)
		t.store.opts.Log.Info("flushed", "table", t.def.Load().QualifiedName(), "partitions", stats.Partitions,
			"memory_bytes", stats.Mapped, "file_bytes", file.Bytes(), "took", t.store.opts.Now().Sub(started))
	}
	t.replace(func(v *view) *view {
		next := &view{active: v.active, files: v.files}
		next.flushing = slices.DeleteFunc(slices.Clone(v.flushing), func(g *generation) bool { return g == old })
		if file != nil {
			next.files = append(slices.Clone(v.files), file)
		}
		return next
	})
	if file != nil {
		t.unref([]*sstable.Table{file}) // the view has its own
	}
	t.store.memory.freed()
	t.store.wakeCompaction()
	if err := t.store.log.Discard(commitlog.TableID(t.id), upTo, nil); err != nil {
		return fmt.Errorf("store: discard log of %s: %w", t.def.Load().QualifiedName(), err)
	}
	return nil
}
