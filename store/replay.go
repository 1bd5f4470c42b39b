package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"runtime"
	"slices"
	"sync"

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
	r := newReplayer(s)
	stats, err := s.log.Replay(r.record)
	err = errors.Join(err, r.close(err == nil))
	if err != nil {
		return fmt.Errorf("store: replay: %w", err)
	}
	// What belongs to tables that were dropped would hold the log back for ever.
	ids := slices.SortedFunc(maps.Keys(r.gone), func(a, b commitlog.TableID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := s.log.Discard(id, r.gone[id], nil); err != nil {
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
		s.opts.Log.Info("replayed the commit log", "log_bytes", stats.Read, "records", stats.Records, "bytes", stats.Bytes, "covered", stats.Covered,
			"torn_tail", stats.Torn, "took", s.opts.Now().Sub(started))
	}
	s.memory.grown()
	return nil
}

// replayer applies the updates of the log. Their order does not matter, so that
// workers share them, each its span of the keys, in batches; the log is read and
// checked meanwhile.
type replayer struct {
	s        *Store
	gone     map[commitlog.TableID]commitlog.Position // tables that there are no more
	last     *table                                   // of the update before: most are of the same
	at       commitlog.Position                       // of the last record
	batchMax int
	workers  []replayWorker
	running  sync.WaitGroup
	busy     sync.WaitGroup // batches that are not applied yet
	free     sync.Pool      // *replayBatch

	mu  sync.Mutex
	err error // guarded by mu: the first of a worker
}

// replayWorker has a span of the keys.
type replayWorker struct {
	batch *replayBatch // being filled
	work  chan *replayBatch
}

// replayBatch is some updates, copied: the log uses its buffer again.
type replayBatch struct {
	bytes   []byte
	updates []replayUpdate
	reading row.Update
}

type replayUpdate struct {
	t      *table
	prefix uint64
	pos    commitlog.Position
	number int // in its record
	from   int // in bytes, up to the next one's
}

// replayBatchBytes is what goes to a worker at once; a store with little memory
// for memtables takes smaller ones, and is its own worker.
const (
	replayBatchBytes = 64 << 10
	// replayWorkersMax bounds what is in memory: each batch may end with a record
	// of the largest size.
	replayWorkersMax = 8
)

func newReplayer(s *Store) *replayer {
	r := &replayer{s: s, gone: make(map[commitlog.TableID]commitlog.Position)}
	r.free.New = func() any { return new(replayBatch) }
	r.batchMax = int(min(replayBatchBytes, s.memory.limit/256))
	shared := r.batchMax == replayBatchBytes
	if n := s.opts.replayBatchBytes; n > 0 {
		r.batchMax, shared = n, true
	}
	n := 1
	if shared {
		n = min(runtime.GOMAXPROCS(0), replayWorkersMax)
	}
	r.workers = make([]replayWorker, n)
	for i := range r.workers {
		w := &r.workers[i]
		w.batch = r.free.Get().(*replayBatch)
		if n == 1 {
			break
		}
		w.work = make(chan *replayBatch, 2)
		r.running.Go(func() {
			for b := range w.work {
				r.apply(b)
				r.busy.Done()
			}
		})
	}
	return r
}

// record takes one record of the log.
func (r *replayer) record(rec *commitlog.Record) error {
	r.at = rec.Pos
	m := row.ReadMutation(rec.Payload)
	sent := false
	for number := 1; ; number++ {
		update, ok := m.Next()
		if !ok {
			if m.Err() != nil {
				return m.Err()
			}
			break
		}
		w, err := r.add(rec, number, update)
		if err != nil {
			return err
		}
		if w != nil && len(w.batch.bytes) >= r.batchMax {
			r.send(w)
			sent = true
		}
	}
	if !sent {
		return nil
	}
	if r.s.memory.crowded() { // between two records, never within one
		if err := r.wait(); err != nil {
			return err
		}
		return r.s.relieve(r.at)
	}
	return r.failure()
}

// add gives an update to the worker that has its key; nil when nobody needs it.
func (r *replayer) add(rec *commitlog.Record, number int, update []byte) (*replayWorker, error) {
	id, key, err := row.PeekUpdate(update)
	if err != nil {
		return nil, r.s.undecodable(rec.Pos, number, update, err)
	}
	t := r.last
	if t == nil || t.id != id {
		if t = r.s.table(id); t == nil {
			r.gone[commitlog.TableID(id)] = rec.Pos
			return nil, nil
		}
		r.last = t
	}
	if rec.Covered(commitlog.TableID(id)) {
		return nil, nil // in a file
	}
	prefix := r.s.opts.Partitioner.Prefix(key)
	i, _ := bits.Mul64(prefix, uint64(len(r.workers)))
	w := &r.workers[i]
	b := w.batch
	b.updates = append(b.updates, replayUpdate{t, prefix, rec.Pos, number, len(b.bytes)})
	b.bytes = append(b.bytes, update...)
	return w, nil
}

// send hands a worker its batch.
func (r *replayer) send(w *replayWorker) {
	if w.work == nil {
		r.apply(w.batch)
	} else {
		r.busy.Add(1)
		w.work <- w.batch
	}
	w.batch = r.free.Get().(*replayBatch)
}

func (r *replayer) apply(b *replayBatch) {
	for i, u := range b.updates {
		to := len(b.bytes)
		if i+1 < len(b.updates) {
			to = b.updates[i+1].from
		}
		update := b.bytes[u.from:to:to]
		err := b.reading.ResetAt(update, u.t.def.Load(), u.prefix)
		if err == nil {
			err = u.t.view.active.m.Load(&b.reading)
		}
		if err != nil {
			err = r.s.undecodable(u.pos, u.number, update, err)
		}
		if err != nil {
			r.mu.Lock()
			r.err = cmp.Or(r.err, err)
			r.mu.Unlock()
			break
		}
	}
	b.bytes, b.updates = b.bytes[:0], b.updates[:0]
	r.free.Put(b)
}

func (r *replayer) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// wait sees to it that all is applied.
func (r *replayer) wait() error {
	for i := range r.workers {
		r.send(&r.workers[i])
	}
	r.busy.Wait()
	return r.failure()
}

// close applies what is left, and lets it be read if all went well. What was
// united to that end takes memory beside its parts until they are written: no
// client shall wait for that.
func (r *replayer) close(well bool) error {
	err := r.wait()
	for i := range r.workers {
		if r.workers[i].work != nil {
			close(r.workers[i].work)
		}
	}
	r.running.Wait()
	if !well || err != nil {
		return err
	}
	for _, t := range r.s.sortedTables() {
		if err := t.settle(); err != nil {
			return err
		}
		if r.s.memory.crowded() {
			if err := r.s.relieve(r.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle ends the loading of what is replayed.
func (t *table) settle() error {
	if err := t.view.active.m.Settle(t.def.Load()); err != nil {
		return fmt.Errorf("%s: %w", t.def.Load().QualifiedName(), err)
	}
	return nil
}

// undecodable ends the start, or sets the update aside if the operator has
// decided so. Its checksum was right, so that it is what was written: most
// likely by another release, or by one with a fault.
func (s *Store) undecodable(pos commitlog.Position, number int, update []byte, cause error) error {
	where := fmt.Sprintf("update %d of the record at segment %d, offset %d", number, pos.Segment, pos.Offset)
	if id, _, err := row.PeekUpdate(update); err == nil {
		if t := s.table(id); t != nil {
			where += " of table " + t.def.Load().QualifiedName()
		}
	}
	if !s.opts.SetAside {
		return fmt.Errorf("%s cannot be decoded: %w; with commitlog_replay_errors: set_aside the node starts without it and keeps its bytes in a file beside the log", where, cause)
	}
	name := fmt.Sprintf("%s/undecodable-%d-%d-%d.mutation", s.opts.LogDir, pos.Segment, pos.Offset, number)
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
	if err := t.settle(); err != nil {
		return err
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
