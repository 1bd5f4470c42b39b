package store

import (
	"fmt"

	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/sstable"
)

// replay brings back what the log has and files do not. A table whose memtable
// grows too large meanwhile is written to a file without telling the log: at
// worst the next start reads those records once more, which changes nothing.
func (s *Store) replay() error {
	started := s.opts.Now()
	gone := make(map[commitlog.TableID]commitlog.Position)
	stats, err := s.log.Replay(func(r *commitlog.Record) error {
		for m := row.ReadMutation(r.Payload); ; {
			update, ok := m.Next()
			if !ok {
				return m.Err()
			}
			if err := s.replayUpdate(r, update, gone); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("store: replay: %w", err)
	}
	// What belongs to tables that were dropped would hold the log back for ever.
	for id, upTo := range gone {
		if err := s.log.Discard(id, upTo, nil); err != nil {
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
	if err := t.apply(t.view.active, update); err != nil {
		return err
	}
	if s.memory.over() {
		return s.relieve()
	}
	return nil
}

// relieve writes the largest memtable to a file during replay.
func (s *Store) relieve() error {
	t := s.flushCandidate()
	if t == nil {
		return nil
	}
	old := t.view.active
	file, err := t.writeMemtable(old, commitlog.Position{})
	if err != nil {
		return err
	}
	fresh := t.newGeneration(commitlog.Position{})
	t.replace(func(v *view) *view {
		return &view{active: fresh, files: append(v.files[:len(v.files):len(v.files)], file)}
	})
	fresh.m.Unref()
	t.unref([]*sstable.Table{file})
	return nil
}
