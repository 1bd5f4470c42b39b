package store

import (
	"fmt"
	"maps"
	"slices"

	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/sstable"
	"helenus/store/vfs"
)

// replay brings back what the log has and files do not. A table whose memtable
// grows too large meanwhile is written to a file; the log is told at the end,
// before a compaction can see that file (see flushGeneration).
func (s *Store) replay() error {
	started := s.opts.Now()
	gone := make(map[commitlog.TableID]commitlog.Position)
	stats, err := s.log.Replay(func(r *commitlog.Record) error {
		for m := row.ReadMutation(r.Payload); ; {
			update, ok := m.Next()
			if !ok && m.Err() == nil && s.memory.over() {
				return s.relieve(r.Pos) // between two records, never within one
			}
			if !ok {
				return m.Err()
			}
			if err := s.replayUpdate(r, update, gone); err != nil {
				if err = s.undecodable(r, update, err); err != nil {
					return err
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("store: replay: %w", err)
	}
	// What belongs to tables that were dropped would hold the log back for ever.
	ids := slices.SortedFunc(maps.Keys(gone), func(a, b commitlog.TableID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := s.log.Discard(id, gone[id], nil); err != nil {
			return fmt.Errorf("store: replay: %w", err)
		}
	}
	for _, t := range s.sortedTables() {
		if t.relieved == (commitlog.Position{}) {
			continue
		}
		if err := s.log.DiscardSync(commitlog.TableID(t.id), t.relieved); err != nil {
			return fmt.Errorf("store: replay: %w", err)
		}
	}
	if stats.Records > 0 || stats.Torn {
		s.opts.Log.Info("replayed the commit log", "records", stats.Records, "bytes", stats.Bytes, "covered", stats.Covered,
			"torn_tail", stats.Torn, "took", s.opts.Now().Sub(started))
	}
	return nil
}

func (s *Store) replayUpdate(r *commitlog.Record, update []byte, gone map[commitlog.TableID]commitlog.Position) error {
	id, _, err := row.PeekUpdate(update)
	if err != nil {
		return err
	}
	t := s.table(id)
	if t == nil {
		gone[commitlog.TableID(id)] = r.Pos
		return nil
	}
	if r.Covered(commitlog.TableID(id)) {
		return nil // in a file
	}
	return t.apply(t.view.active, update)
}

// undecodable ends the start, or sets the update aside if the operator has
// decided so. Its checksum was right, so that it is what was written: most
// likely by another release, or by one with a fault.
func (s *Store) undecodable(r *commitlog.Record, update []byte, cause error) error {
	where := fmt.Sprintf("update at segment %d, offset %d", r.Pos.Segment, r.Pos.Offset)
	if id, _, err := row.PeekUpdate(update); err == nil {
		if t := s.table(id); t != nil {
			where += " of table " + t.def.Load().QualifiedName()
		}
	}
	if !s.opts.SetAside {
		return fmt.Errorf("%s cannot be decoded: %w; with commitlog_replay_errors: set_aside the node starts without it and keeps its bytes in a file beside the log", where, cause)
	}
	name := fmt.Sprintf("%s/undecodable-%d-%d.mutation", s.opts.LogDir, r.Pos.Segment, r.Pos.Offset)
	if err := vfs.WriteFile(s.opts.FS, name, update); err != nil {
		return fmt.Errorf("%s cannot be decoded (%w) nor set aside: %w", where, cause, err)
	}
	s.opts.Log.Error("replay goes on without what cannot be decoded", "what", where, "error", cause, "kept_in", name)
	return nil
}

// relieve writes the largest memtable to a file during replay; at is the last
// record that was replayed.
func (s *Store) relieve(at commitlog.Position) error {
	t := s.flushCandidate()
	if t == nil {
		return nil
	}
	file, err := t.writeMemtable(t.view.active, commitlog.Position{})
	if err != nil {
		return err
	}
	t.relieved = at
	fresh := t.newGeneration(commitlog.Position{})
	t.replace(func(v *view) *view {
		next := &view{active: fresh, files: v.files}
		if file != nil {
			next.files = append(slices.Clone(v.files), file)
		}
		return next
	})
	fresh.m.Unref()
	if file != nil {
		t.unref([]*sstable.Table{file})
	}
	return nil
}
