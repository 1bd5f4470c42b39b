package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"helenus/internal/cql/schema"
	"helenus/store/compact"
	"helenus/store/row"
	"helenus/store/sstable"
)

// compactionInterval is how often tables are looked at although nothing was
// flushed: tombstones grow old by themselves.
const compactionInterval = time.Minute

// wakeCompaction tells the compactor that a table's files changed.
func (s *Store) wakeCompaction() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// compactLoop compacts what needs it, one task at a time.
func (s *Store) compactLoop(ctx context.Context) {
	tick := time.NewTicker(compactionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		for again := true; again && ctx.Err() == nil && s.Failure() == nil; {
			again = false
			for _, t := range s.sortedTables() {
				did, err := t.compact(ctx, compact.Pick)
				if err != nil && !errors.Is(err, context.Canceled) {
					s.opts.Log.Error("compaction failed", "table", t.def.Load().QualifiedName(), "error", err)
				}
				again = again || (did && err == nil)
			}
		}
	}
}

// sortedTables lists the tables in the order of their ids, the same every time.
func (s *Store) sortedTables() []*table {
	var out []*table
	for _, t := range s.tables.Load().byID {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *table) int { return slices.Compare(a.id[:], b.id[:]) })
	return out
}

// Compact flushes a table and merges its files into one.
func (s *Store) Compact(ctx context.Context, id schema.TableID) error {
	t := s.table(id)
	if t == nil {
		return nil
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	_, err := t.compact(ctx, compact.PickAll)
	return err
}

// picker chooses what to compact.
type picker func([]compact.Info, compact.Situation, compact.Options) *compact.Task

// compact runs one task of the picker's choice; did is false when there was
// nothing to do.
func (t *table) compact(ctx context.Context, pick picker) (did bool, err error) {
	if err := t.compacting.take(ctx); err != nil {
		return false, err
	}
	defer t.compacting.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := t.beginCompaction(cancel)
	if v == nil {
		return false, nil
	}
	def := t.def.Load()
	now := t.situation(v, def)
	files := v.keepFiles()
	v.release() // its memtables must not stay as long as this takes: writers wait for them
	defer t.unref(files)
	options, err := compact.ParseOptions(def.Options.Compaction)
	if err != nil {
		return false, err
	}
	var infos []compact.Info
	for _, f := range files {
		infos = append(infos, compact.InfoOf(f, now.GCBefore))
	}
	task := pick(infos, now, options)
	if task == nil {
		return false, nil
	}
	return true, t.runTask(ctx, files, def, options, task, now)
}

// beginCompaction notes how to cancel; nil when the table is gone.
func (t *table) beginCompaction(cancel context.CancelFunc) *view {
	t.mu.Lock()
	t.cancelCompaction = cancel
	if t.stopping > 0 { // whoever it is cancelled the one before
		cancel()
	}
	t.mu.Unlock()
	return t.acquire()
}

// stopCompaction cancels the compaction under way and keeps others out until
// the returned function is called.
func (t *table) stopCompaction() (allow func()) {
	t.mu.Lock()
	t.stopping++
	if t.cancelCompaction != nil {
		t.cancelCompaction()
	}
	t.mu.Unlock()
	t.compacting.Lock()
	t.mu.Lock()
	t.stopping--
	t.mu.Unlock()
	return t.compacting.Unlock
}

func (t *table) situation(v *view, def *schema.Table) compact.Situation {
	now := t.store.opts.Now().Unix()
	least := int64(compact.NoMemtable)
	for _, g := range v.memory() {
		least = min(least, g.m.Stats().MinTimestamp)
	}
	return compact.Situation{Now: now, GCBefore: now - int64(def.Options.GCGraceSeconds), MemtableMinTimestamp: least,
		Compare: t.store.opts.Partitioner.CompareTie}
}

func (t *table) runTask(ctx context.Context, files []*sstable.Table, def *schema.Table, options compact.Options, task *compact.Task, now compact.Situation) error {
	s := t.store
	job := &compact.Job{FS: s.opts.FS, Dir: t.dir, Table: def, Partitioner: s.opts.Partitioner,
		Inputs: find(files, task.Inputs), Expired: find(files, task.Expired), Outside: t.outside, Now: now.Now, GCBefore: now.GCBefore,
		OnlyRepaired: options.OnlyRepaired, NewID: sstable.SequenceID(t.sequence.Add(1)), TxnID: t.compactions.next(s),
		HostID: s.opts.HostID, Throttle: s.opts.CompactionThrottle}
	started := s.opts.Now()
	var result *compact.Result
	var err error
	s.opts.Background(func() { result, err = compact.Run(ctx, job) })
	if err != nil {
		if errors.Is(err, sstable.ErrInDoubt) {
			s.fail(err)
		}
		return err
	}
	if err := t.finishCompaction(job, result); err != nil {
		// The old files are condemned by the transaction's log, the new one cannot be
		// used: a restart sorts it out, more writing would not.
		s.fail(err)
		return err
	}
	s.stats.Compactions.Add(1)
	s.opts.Log.Info("compacted", "table", def.QualifiedName(), "reason", task.Reason, "files", len(task.Inputs)+len(task.Expired),
		"took", s.opts.Now().Sub(started))
	return nil
}

// finishCompaction puts the new file into service in place of the old ones.
func (t *table) finishCompaction(job *compact.Job, result *compact.Result) error {
	t.working.Lock()
	defer t.working.Unlock()
	var fresh []*sstable.Table
	if result.New != nil {
		f, err := t.openFile(*result.New)
		if err != nil {
			return fmt.Errorf("store: open the result of a compaction: %w", err)
		}
		fresh = append(fresh, f)
		t.store.stats.CompactedBytes.Add(uint64(f.Bytes()))
	}
	old := slices.Concat(job.Inputs, job.Expired)
	t.replace(func(v *view) *view {
		files := slices.DeleteFunc(slices.Clone(v.files), func(f *sstable.Table) bool { return slices.Contains(old, f) })
		return &view{active: v.active, flushing: v.flushing, files: append(files, fresh...)}
	})
	t.unref(fresh)
	result.Retire()
	return nil
}

// keepFiles takes a reference on each file of a view.
func (v *view) keepFiles() []*sstable.Table {
	for _, f := range v.files {
		f.Ref()
	}
	return v.files
}

// find gives the files of these descriptors.
func find(files []*sstable.Table, ds []sstable.Descriptor) []*sstable.Table {
	var out []*sstable.Table
	for _, f := range files {
		if slices.Contains(ds, f.Descriptor()) {
			out = append(out, f)
		}
	}
	return out
}

// memory lists the memtables of a view.
func (v *view) memory() []*generation { return append(slices.Clip(v.flushing), v.active) }

// outside shows a compaction what else there is: the newest view, of one
// moment, so that what is flushed meanwhile is in one or the other.
func (t *table) outside(look func(compact.Outside)) {
	v := t.acquire()
	if v == nil { // nobody knows what there is
		look(compact.Outside{MemtableMin: func(row.Key) int64 { return math.MinInt64 }})
		return
	}
	defer v.release()
	look(compact.Outside{Tables: v.files, MemtableMin: v.memtableMin})
}

func (v *view) memtableMin(k row.Key) int64 {
	least := int64(math.MaxInt64)
	for _, g := range v.memory() {
		if ts, ok := g.m.MinTimestamp(k); ok {
			least = min(least, ts)
		}
	}
	return least
}
