package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/memtable"
	"helenus/store/row"
	"helenus/store/sstable"
)

// table is one table's data: what is in memory and what is in files.
type table struct {
	store *Store
	id    schema.TableID
	def   atomic.Pointer[schema.Table]
	dir   string

	// working is held through a flush, truncation or the replacement at the end
	// of a compaction, so that they come one after the other.
	working turn

	// compacting is held through a compaction; it is taken before working.
	compacting turn

	mu               sync.Mutex // guards what follows
	view             *view
	cancelCompaction context.CancelFunc
	stopping         int // who waits in stopCompaction

	sequence atomic.Uint64 // of the newest set of files
	updates  sync.Pool     // *row.Update

	changes     txnIDs      // of flushes and truncations; working guards it
	compactions txnIDs      // compacting guards it
	dropped     atomic.Bool // the folder goes with the last file
	// relieved is the last record that a file written during replay may hold.
	relieved commitlog.Position
}

// view is what a reader sees: it never changes, and lives as long as somebody
// reads it.
type view struct {
	t        *table
	refs     atomic.Int32
	active   *generation
	flushing []*generation
	files    []*sstable.Table // the latest timestamp first
}

// generation is a memtable and the writes that are on their way into it.
type generation struct {
	m       *memtable.Memtable
	writers sync.WaitGroup
	lower   commitlog.Position // before its first record
	upper   commitlog.Position // its last record, or behind it; set by swap
}

func newTable(s *Store, def *schema.Table) *table {
	t := &table{store: s, id: def.ID, dir: tableDir(s.opts.DataDir, def), working: newTurn(), compacting: newTurn()}
	t.updates.New = func() any { return new(row.Update) }
	t.changes.init(s, 0)
	t.compactions.init(s, 1)
	t.def.Store(def)
	t.view = &view{t: t, active: t.newGeneration(commitlog.Position{})}
	t.view.refs.Store(1)
	return t
}

// tableDir is the folder of a table: Cassandra's layout, so that its tools and
// copies of its files find their way.
func tableDir(data string, def *schema.Table) string {
	return fmt.Sprintf("%s/%s/%s-%x", data, def.Keyspace, def.Name, def.ID[:])
}

func (t *table) newGeneration(lower commitlog.Position) *generation {
	return &generation{m: memtable.New(memtable.Options{Partitioner: t.store.opts.Partitioner, Budget: t.store.memory.budget}), lower: lower}
}

// acquire takes the view for a reader; release gives it back. It is nil when the
// table was dropped.
func (t *table) acquire() *view {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view != nil {
		t.view.refs.Add(1)
	}
	return t.view
}

func (t *table) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view == nil
}

func (v *view) release() {
	if v.refs.Add(-1) != 0 {
		return
	}
	v.active.m.Unref()
	for _, g := range v.flushing {
		g.m.Unref()
	}
	v.t.unref(v.files)
}

// replace publishes a new view made from the old one. Each view holds a
// reference on all that it shows.
func (t *table) replace(make func(old *view) *view) {
	t.mu.Lock()
	old := t.view
	v := make(old)
	v.t = t
	v.files = slices.Clone(v.files)
	slices.SortStableFunc(v.files, func(a, b *sstable.Table) int { return cmp.Compare(b.Meta().MaxTimestamp, a.Meta().MaxTimestamp) })
	v.refs.Store(1)
	v.active.m.Ref()
	for _, g := range v.flushing {
		g.m.Ref()
	}
	for _, f := range v.files {
		f.Ref()
	}
	t.view = v
	t.mu.Unlock()
	old.release()
}

// pin names the memtable for a write; nil when the table was dropped. The caller
// holds Store.switching for reading until the record is in the log.
func (t *table) pin() *generation {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == nil {
		return nil
	}
	g := t.view.active
	g.writers.Add(1)
	return g
}

// apply decodes an update with the table's definition of now and merges it into
// a memtable.
func (t *table) apply(g *generation, update []byte) error {
	u := t.updates.Get().(*row.Update)
	defer t.updates.Put(u)
	if err := u.Reset(update, t.def.Load(), t.store.opts.Partitioner); err != nil {
		return err
	}
	return g.m.Apply(u)
}

// close lets go of everything, at the end of the store.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view != nil {
		t.view.release()
		t.view = nil
	}
}
