package store

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/sstable"
)

// stored tells whether a table has data here: the virtual ones and those of
// local keyspaces are made from what the node knows.
func stored(ks *schema.Keyspace, t *schema.Table) bool {
	return !ks.Virtual && !t.Virtual && ks.Replication.Class != "LocalStrategy"
}

// openTables opens the files of all tables.
func (s *Store) openTables() error {
	first := s.tables.Load()
	set := &tableSet{schema: first.schema, epoch: first.epoch, byID: make(map[schema.TableID]*table)}
	for _, ks := range first.schema.Keyspaces {
		for _, def := range ks.Tables {
			if !stored(ks, def) {
				continue
			}
			t, err := s.openTable(def)
			if err != nil {
				return err
			}
			set.byID[def.ID] = t
			s.tables.Store(set) // so that a failure later closes what is open
		}
	}
	s.tables.Store(set)
	return nil
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
// has come since.
func (s *Store) SetSchema(sch *schema.Schema, epoch uint64) error {
	s.change.Lock()
	defer s.change.Unlock()
	old := s.tables.Load()
	if epoch <= old.epoch {
		return nil
	}
	set := &tableSet{schema: sch, epoch: epoch, byID: maps.Clone(old.byID)}
	for _, ks := range sch.Keyspaces {
		for _, def := range ks.Tables {
			if !stored(ks, def) {
				continue
			}
			if t := set.byID[def.ID]; t != nil {
				if err := t.setDefinition(def); err != nil {
					return err
				}
				continue
			}
			t, err := s.openTable(def)
			if err != nil {
				return err
			}
			set.byID[def.ID] = t
		}
	}
	var dropped []*table
	for id, t := range set.byID {
		if sch.Table(id) == nil {
			dropped = append(dropped, t)
			delete(set.byID, id)
		}
	}
	s.tables.Store(set)
	var errs []error
	for _, t := range dropped {
		errs = append(errs, t.drop())
	}
	return errors.Join(errs...)
}

// setDefinition gives the table's rows their new meaning. Writers and readers
// that began with the old one go on: columns have numbers that never change.
func (t *table) setDefinition(def *schema.Table) error {
	if t.def.Load() == def {
		return nil
	}
	t.working.Lock()
	defer t.working.Unlock()
	t.def.Store(def)
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

// drop removes all that a dropped table left.
func (t *table) drop() error {
	defer t.stopCompaction()()
	t.working.Lock()
	defer t.working.Unlock()
	if err := t.empty(); err != nil {
		return err
	}
	t.close()
	names, err := t.store.opts.FS.List(t.dir)
	if err != nil {
		return fmt.Errorf("store: drop %s: %w", t.def.Load().QualifiedName(), err)
	}
	if len(names) > 0 {
		return nil // snapshots, or files somebody put there: not ours to remove
	}
	return t.store.opts.FS.Remove(t.dir)
}

// Truncate removes a table's rows. When it returns they cannot come back, not
// by a crash either.
func (s *Store) Truncate(ctx context.Context, id schema.TableID) error {
	t := s.table(id)
	if t == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	defer t.stopCompaction()()
	t.working.Lock()
	defer t.working.Unlock()
	if t.isClosed() {
		return nil
	}
	return t.empty()
}

// empty removes everything written so far: the log's records first, durably, so
// that a crash between the steps leaves all files or none to be replaced.
func (t *table) empty() error {
	s := t.store
	old, upTo := t.swap()
	old.writers.Wait()
	if err := s.log.DiscardSync(commitlog.TableID(t.id), upTo); err != nil {
		return fmt.Errorf("store: truncate %s: %w", t.def.Load().QualifiedName(), err)
	}
	v := t.acquire()
	files := v.files
	v.release()
	txn, err := t.begin(sstable.OpCompaction)
	if err == nil {
		err = t.replaceFiles(txn, files, nil)
	}
	if err != nil {
		return fmt.Errorf("store: truncate %s: %w", t.def.Load().QualifiedName(), err)
	}
	t.replace(func(v *view) *view { return &view{active: v.active, files: v.files} })
	s.memory.freed()
	return nil
}
