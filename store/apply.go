package store

import (
	"errors"
	"fmt"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/row"
)

// Owner is told of the end of a write.
type Owner interface {
	// Written is called exactly once, maybe from another goroutine: Err is nil
	// when the mutation is durable and visible.
	Written(w *Write)
}

// Write is one mutation on its way. The caller keeps Mutation unchanged until
// Written; from then on the Write may be used again, which saves its memory.
type Write struct {
	Mutation []byte // a row.Mutation
	Owner    Owner
	Err      error

	store   *Store
	targets []target
	ids     []commitlog.TableID
}

// target is the memtable that takes one of the mutation's updates.
type target struct {
	t      *table
	g      *generation
	update []byte
}

// Apply starts a write. It waits only when memtables or the log are full.
func (s *Store) Apply(w *Write) {
	w.store, w.Err = s, nil
	w.targets, w.ids = w.targets[:0], w.ids[:0]
	if err := s.admit(w); err != nil {
		w.finish(err)
		return
	}
	waited := s.memory.wait()
	var err error
	if waited {
		err = s.Failure()
	}
	if err == nil {
		err = s.append(w)
	}
	if waited {
		s.memory.freed()
	}
	if s.opts.CommitLog.Mode == commitlog.Periodic {
		s.memory.grown() // it is applied already
	}
	if err != nil {
		w.unpin()
		w.finish(err)
	}
}

// append gives a write its memtables and its place in the log, as one step
// between two replacements of a memtable. In periodic mode the owner is told in
// here, so it must not Apply from Written.
func (s *Store) append(w *Write) error {
	s.switching.RLock()
	defer s.switching.RUnlock()
	for i := range w.targets {
		x := &w.targets[i]
		if x.g = x.t.pin(); x.g == nil {
			return dropped(x.t.id)
		}
	}
	if _, err := s.log.Append(w.ids, w, w.Mutation); err != nil {
		return s.logError(err)
	}
	return nil
}

func dropped(id schema.TableID) error {
	return helenus.Invalid("table with id %x does not exist (any more)", id)
}

// admit looks the mutation's tables up.
func (s *Store) admit(w *Write) error {
	if err := s.Failure(); err != nil {
		return err
	}
	for m := row.ReadMutation(w.Mutation); ; {
		update, ok := m.Next()
		if !ok {
			if m.Err() != nil {
				return fmt.Errorf("store: apply: %w", m.Err())
			}
			return nil
		}
		id, _, err := row.PeekUpdate(update)
		if err != nil {
			return fmt.Errorf("store: apply: %w", err)
		}
		t := s.table(id)
		if t == nil {
			return dropped(id)
		}
		w.targets = append(w.targets, target{t: t, update: update})
		if !contains(w.ids, id) {
			w.ids = append(w.ids, commitlog.TableID(id))
		}
	}
}

func contains(ids []commitlog.TableID, id schema.TableID) bool {
	for _, have := range ids {
		if have == commitlog.TableID(id) {
			return true
		}
	}
	return false
}

func (s *Store) logError(err error) error {
	var large *commitlog.TooLargeError
	if errors.As(err, &large) {
		return helenus.Invalid("Mutation of %d bytes is too large for the maximum size of %d", large.Size, large.Limit)
	}
	if !errors.Is(err, commitlog.ErrClosed) {
		s.fail(err)
	}
	return err
}

// synced completes all writes of one sync of the log.
func (s *Store) synced(ws []commitlog.Waiter, err error) {
	if err != nil {
		s.fail(err)
	}
	for _, w := range ws {
		w.Synced(err)
	}
	s.memory.grown() // once they are all in: the flush takes the largest
}

// Synced implements commitlog.Waiter: the record is durable, now it may be seen.
func (w *Write) Synced(err error) {
	if err == nil {
		err = w.apply()
	}
	w.unpin()
	w.finish(err)
}

func (w *Write) apply() error {
	s := w.store
	for i := range w.targets {
		x := &w.targets[i]
		if err := x.t.apply(x.g, x.update); err != nil {
			// The record is in the log and will be replayed; a reader that misses it
			// now is told by this error, not by silence.
			return fmt.Errorf("store: apply to %s: %w", x.t.def.Load().QualifiedName(), err)
		}
	}
	s.stats.Writes.Add(1)
	return nil
}

func (w *Write) unpin() {
	for i := range w.targets {
		if g := w.targets[i].g; g != nil {
			g.writers.Done()
			w.targets[i].g = nil
		}
	}
}

// finish tells the owner. A Write that is kept for the next mutation holds on to
// nothing of this one.
func (w *Write) finish(err error) {
	clear(w.targets)
	w.targets = w.targets[:0]
	w.Err = err
	w.Owner.Written(w)
}
