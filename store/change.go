package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
)

// stored tells whether a table has data here: the virtual ones and those of
// local keyspaces are made from what the node knows.
func stored(ks *schema.Keyspace, t *schema.Table) bool {
	return !ks.Virtual && !t.Virtual && ks.Replication.Class != "LocalStrategy"
}

// storedTables lists the tables that have data here, always in the same order.
func storedTables(sch *schema.Schema) []*schema.Table {
	var out []*schema.Table
	for _, ks := range sch.Keyspaces {
		for _, def := range ks.Tables {
			if stored(ks, def) {
				out = append(out, def)
			}
		}
	}
	slices.SortFunc(out, func(a, b *schema.Table) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

// openTables opens the files of all tables.
func (s *Store) openTables() error {
	first := s.tables.Load()
	set := &tableSet{schema: first.schema, epoch: first.epoch, byID: make(map[schema.TableID]*table)}
	for _, def := range storedTables(first.schema) {
		t, err := s.openTable(def)
		if err != nil {
			return err
		}
		set.byID[def.ID] = t
		s.tables.Store(set) // so that a failure later closes what is open
	}
	s.tables.Store(set)
	s.findLeftOver(set)
	return nil
}

// findLeftOver names the folders that belong to no table: a crash while a table
// was being dropped leaves one, but a copy that somebody put there looks the
// same, so none is removed.
func (s *Store) findLeftOver(set *tableSet) {
	known := map[string]bool{}
	for _, t := range set.byID {
		known[t.dir] = true
	}
	keyspaces, _ := s.opts.FS.List(s.opts.DataDir) // what cannot be listed has failed before
	for _, ks := range keyspaces {
		names, _ := s.opts.FS.List(s.opts.DataDir + "/" + ks)
		for _, name := range names {
			dir := s.opts.DataDir + "/" + ks + "/" + name
			if i := strings.LastIndexByte(name, '-'); i < 0 || len(name)-i-1 != hex.EncodedLen(len(schema.TableID{})) || known[dir] {
				continue
			}
			s.opts.Log.Warn("a folder belongs to no table: it was being dropped when the node went down, or was put there; remove it if nobody needs it", "folder", dir)
		}
	}
}

func (s *Store) openTable(def *schema.Table) (*table, error) {
	t := newTable(s, def)
	if err := t.openFiles(); err != nil {
		t.close()
		return nil, fmt.Errorf("store: open %s: %w", def.QualifiedName(), err)
	}
	return t, nil
}

// SetSchema follows a change of the schema: new tables get a folder, changed
// ones their new definition, dropped ones are forgotten and their files removed.
// A schema that is not newer than the one known is ignored: it would drop what
// has come since. After an error the call can be repeated.
func (s *Store) SetSchema(sch *schema.Schema, epoch uint64) error {
	s.change.Lock()
	defer s.change.Unlock()
	old := s.tables.Load()
	if epoch <= old.epoch {
		return nil
	}
	set := &tableSet{schema: sch, epoch: epoch, byID: maps.Clone(old.byID)}
	fresh, err := s.openNew(sch, old)
	if err != nil {
		return err
	}
	for _, t := range fresh {
		set.byID[t.id] = t
	}
	for _, def := range storedTables(sch) {
		if err := set.byID[def.ID].setDefinition(def); err != nil {
			closeAll(fresh)
			return err
		}
	}
	var dropped []*table
	for _, t := range s.sortedTables() {
		if sch.Table(t.id) == nil {
			dropped = append(dropped, t)
			delete(set.byID, t.id)
		}
	}
	s.tables.Store(set)
	var errs []error
	for _, t := range dropped {
		errs = append(errs, t.drop())
	}
	return errors.Join(errs...)
}

// openNew opens the tables that old does not know: all or none.
func (s *Store) openNew(sch *schema.Schema, old *tableSet) (fresh []*table, err error) {
	for _, def := range storedTables(sch) {
		if old.byID[def.ID] != nil {
			continue
		}
		t, err := s.openTable(def)
		if err != nil {
			closeAll(fresh)
			return nil, err
		}
		fresh = append(fresh, t)
	}
	return fresh, nil
}

func closeAll(ts []*table) {
	for _, t := range ts {
		t.close()
	}
}

// setDefinition gives the table's rows their new meaning. Writers and readers
// that began with the old one go on: columns have numbers that never change.
func (t *table) setDefinition(def *schema.Table) error {
	if t.def.Load() == def {
		return nil
	}
	t.working.Lock()
	defer t.working.Unlock()
	t.redefine(def)
	v := t.acquire()
	if v == nil {
		return nil
	}
	defer v.release()
	for _, f := range v.files {
		if err := f.SetSchema(def); err != nil {
			return err
		}
	}
	return nil
}

// redefine waits for the writes that are being applied on their callers'
// goroutines (periodic mode): one that read the old definition just before would
// rewrite its partition without the cells of columns that have come since.
func (t *table) redefine(def *schema.Table) {
	t.store.switching.Lock()
	defer t.store.switching.Unlock()
	t.def.Store(def)
}

// drop removes all that a dropped table left. Nothing of it is read at the next
// start, so a crash in between leaves at worst a folder behind.
func (t *table) drop() error {
	defer t.stopCompaction()()
	t.working.Lock()
	defer t.working.Unlock()
	v, upTo := t.retire()
	if v == nil {
		return nil
	}
	for _, g := range v.memory() {
		g.writers.Wait()
	}
	err := t.store.log.DiscardSync(commitlog.TableID(t.id), upTo)
	if len(v.files) > 0 {
		err = errors.Join(err, t.removeFiles(v.files))
	}
	t.dropped.Store(true)
	v.release()
	err = errors.Join(err, t.removeDir())
	t.store.memory.freed()
	if err != nil {
		return fmt.Errorf("store: drop %s: %w", t.def.Load().QualifiedName(), err)
	}
	return nil
}

// retire takes the last view away: no write or read begins after it. All records
// up to the position are in the view's memtables, or on their way into them.
func (t *table) retire() (*view, commitlog.Position) {
	s := t.store
	s.switching.Lock()
	defer s.switching.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.view
	t.view = nil
	return v, s.log.Appended()
}

// removeDir removes the folder unless there are files in it: of readers that are
// not done yet, snapshots, or such as somebody put there.
func (t *table) removeDir() error {
	names, err := t.store.opts.FS.List(t.dir)
	if err == nil && len(names) == 0 {
		err = t.store.opts.FS.Remove(t.dir)
	}
	if errors.Is(err, fs.ErrNotExist) { // the last reader was faster
		return nil
	}
	return err
}

// Truncate removes a table's rows. When it returns they cannot come back, not
// by a crash either.
func (s *Store) Truncate(ctx context.Context, id schema.TableID) error {
	t := s.table(id)
	if t == nil {
		return nil
	}
	defer t.stopCompaction()()
	if err := t.working.take(ctx); err != nil {
		return err
	}
	defer t.working.Unlock()
	if t.isClosed() {
		return nil
	}
	if err := t.empty(); err != nil {
		return fmt.Errorf("store: truncate %s: %w", t.def.Load().QualifiedName(), err)
	}
	return nil
}

// empty removes everything written so far as one step: were the log's part gone
// before the files', or these before that, a crash in between would bring back
// rows that the other part had deleted. So all of it becomes files first, unless
// there are none.
func (t *table) empty() error {
	v := t.acquire()
	onlyMemory := len(v.files) == 0
	v.release()
	if onlyMemory {
		return t.emptyMemory()
	}
	if err := t.flushWorking(); err != nil {
		return err
	}
	v = t.acquire()
	defer v.release()
	if err := t.removeFiles(v.files); err != nil {
		return err
	}
	t.replace(func(v *view) *view { return &view{active: v.active} })
	return nil
}

func (t *table) emptyMemory() error {
	s := t.store
	upTo := t.swap()
	v := t.acquire()
	defer s.memory.freed()
	defer v.release()
	for _, g := range v.flushing {
		g.writers.Wait()
	}
	if err := s.log.DiscardSync(commitlog.TableID(t.id), upTo); err != nil {
		return err
	}
	t.replace(func(v *view) *view { return &view{active: v.active} })
	return nil
}
