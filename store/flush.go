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
	defer s.wakeCompaction()
	return t.flush(ctx)
}

// FlushAll flushes every table.
func (s *Store) FlushAll(ctx context.Context) error {
	defer s.wakeCompaction()
	var errs []error
	for _, t := range s.sortedTables() {
		errs = append(errs, t.flush(ctx))
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
		flushed := false
		for ctx.Err() == nil && s.Failure() == nil {
			t := s.flushCandidate()
			if t == nil {
				break
			}
			if err := t.flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
				s.fail(fmt.Errorf("store: flush: %w", err))
			}
			flushed = true
		}
		if flushed {
			s.wakeCompaction()
		}
	}
}

// flushCandidate is the table to flush next, nil when there is no need.
func (s *Store) flushCandidate() *table {
	if s.memory.over() {
		var largest *table
		var bytes int64
		for _, t := range s.sortedTables() {
			if n := t.memoryBytes(); n > bytes {
				largest, bytes = t, n
			}
		}
		return largest
	}
	if s.opts.LogBytesMax > 0 && s.log.TotalSize() > s.opts.LogBytesMax {
		ids, _ := s.log.OldestDirty()
		slices.SortFunc(ids, func(a, b commitlog.TableID) int { return slices.Compare(a[:], b[:]) })
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
// returned position are in memtables that are being flushed, or on their way
// into them.
func (t *table) swap() (upTo commitlog.Position) {
	s := t.store
	s.switching.Lock()
	defer s.switching.Unlock()
	upTo = s.log.Appended()
	fresh := t.newGeneration(upTo)
	t.replace(func(v *view) *view {
		v.active.upper = upTo
		return &view{active: fresh, flushing: append(slices.Clone(v.flushing), v.active), files: v.files}
	})
	fresh.m.Unref() // the view has its own
	return upTo
}

// flush makes files of all that is in memory.
func (t *table) flush(ctx context.Context) error {
	if err := t.working.take(ctx); err != nil {
		return err
	}
	defer t.working.Unlock()
	if t.isClosed() {
		return nil
	}
	return t.flushWorking()
}

// flushWorking flushes the active memtable, and before it those whose flush has
// failed earlier: the log forgets a table's records from the oldest on. The
// caller has t.working.
func (t *table) flushWorking() error {
	t.swap()
	v := t.acquire()
	defer t.store.memory.freed()
	defer v.release()
	for _, g := range v.flushing {
		g.writers.Wait()
		if err := t.flushGeneration(g); err != nil {
			return fmt.Errorf("store: flush %s: %w", t.def.Load().QualifiedName(), err)
		}
	}
	return nil
}

// flushGeneration writes one memtable. The log forgets its records durably
// before the file can take part in a compaction: were they replayed after a
// tombstone in another file that covers them has gone, they would live again.
func (t *table) flushGeneration(g *generation) error {
	s := t.store
	var file *sstable.Table
	var err error
	if !g.m.IsEmpty() {
		if file, err = t.writeMemtable(g, g.upper); err != nil {
			return err
		}
		s.stats.Flushes.Add(1)
	}
	err = s.log.DiscardSync(commitlog.TableID(t.id), g.upper)
	t.replace(func(v *view) *view {
		next := &view{active: v.active, files: v.files}
		next.flushing = slices.DeleteFunc(slices.Clone(v.flushing), func(other *generation) bool { return other == g })
		if file != nil {
			next.files = append(slices.Clone(v.files), file)
		}
		return next
	})
	if file != nil {
		t.unref([]*sstable.Table{file}) // the view has its own
	}
	if err != nil {
		return fmt.Errorf("discard of its log: %w", err)
	}
	return nil
}
