package store

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"helenus/internal/cql/types"
	"helenus/store/commitlog"
	"helenus/store/sstable"
)

// openFiles finishes or undoes what a crash left half done in the table's
// folder and opens its files.
func (t *table) openFiles() error {
	s := t.store
	if err := s.opts.FS.MkdirAll(t.dir); err != nil {
		return err
	}
	if err := sstable.Recover(s.opts.FS, t.dir); err != nil {
		return err
	}
	sets, incomplete, err := sstable.List(s.opts.FS, t.dir)
	if err != nil {
		return err
	}
	for _, d := range incomplete {
		s.opts.Log.Warn("files without their whole set are left alone", "folder", t.dir, "files", d.String())
		t.sequenceBehind(d)
	}
	var files []*sstable.Table
	for _, d := range sets {
		f, err := t.openFile(d)
		if err != nil {
			return err
		}
		files = append(files, f)
		t.sequenceBehind(d)
	}
	t.replace(func(v *view) *view { return &view{active: v.active, files: files} })
	t.unref(files)
	return nil
}

// sequenceBehind sees that no new set takes the name of one that is there.
func (t *table) sequenceBehind(d sstable.Descriptor) {
	if n, ok := d.ID.Sequence(); ok {
		t.sequence.Store(max(t.sequence.Load(), n))
	}
}

func (t *table) openFile(d sstable.Descriptor) (*sstable.Table, error) {
	s := t.store
	return sstable.Open(sstable.OpenOptions{FS: s.opts.FS, Dir: t.dir, Descriptor: d, Table: t.def.Load(),
		Partitioner: s.opts.Partitioner, Cache: s.cache})
}

// unref gives references back. The last one of a replaced file removes it; what
// cannot be removed now is by Recover at the next start.
func (t *table) unref(files []*sstable.Table) {
	for _, f := range files {
		if err := f.Unref(); err != nil {
			t.store.opts.Log.Warn("cannot remove replaced files", "folder", t.dir, "error", err)
		}
	}
	if t.dropped.Load() && len(files) > 0 {
		_ = t.removeDir() // the last reader's turn; what is not empty stays
	}
}

// descriptor names the next set of files: oa when something in it expires later
// than nb can say.
func (t *table) descriptor(maxLocalTime int64) sstable.Descriptor {
	return sstable.Descriptor{Version: sstable.VersionFor(maxLocalTime), ID: sstable.SequenceID(t.sequence.Add(1))}
}

// writeMemtable makes a set of files of a memtable; none when all its columns
// have been dropped. upTo is zero during replay.
func (t *table) writeMemtable(g *generation, upTo commitlog.Position) (*sstable.Table, error) {
	s := t.store
	started, stats := s.opts.Now(), g.m.Stats()
	o := sstable.WriterOptions{FS: s.opts.FS, Dir: t.dir, Table: t.def.Load(), Partitioner: s.opts.Partitioner,
		Descriptor: t.descriptor(stats.MaxLocalDeletionTime), Keys: int64(stats.Partitions), HostID: s.opts.HostID}
	if upTo != (commitlog.Position{}) {
		o.Intervals = []sstable.Interval{{Start: filePosition(g.lower), End: filePosition(upTo)}}
	}
	txn, err := t.begin(sstable.OpFlush)
	if err != nil {
		return nil, err
	}
	o.Txn = txn
	var meta *sstable.Meta
	s.opts.Background(func() { meta, err = sstable.Write(o, g.m.All(t.def.Load())) })
	if err != nil {
		return nil, errors.Join(err, txn.Abort())
	}
	if err := txn.Commit(); err != nil {
		s.fail(err) // whether the file is there is open until a restart
		return nil, err
	}
	var file *sstable.Table
	if err = txn.Release(); err == nil && meta != nil {
		file, err = t.openFile(o.Descriptor)
	}
	if err != nil {
		// The next start will have the file, however often the flush is repeated: its
		// rows would outlive tombstones that were purged without knowing of them.
		s.fail(err)
		return nil, err
	}
	if file == nil {
		return nil, nil
	}
	s.opts.Log.Info("flushed", "table", o.Table.QualifiedName(), "partitions", stats.Partitions, "memory_bytes", stats.Mapped,
		"file_bytes", file.Bytes(), "took", s.opts.Now().Sub(started))
	return file, nil
}

// begin makes a transaction on the table's files.
func (t *table) begin(op sstable.Operation) (*sstable.Txn, error) {
	return sstable.Begin(t.store.opts.FS, t.dir, op, t.changes.next(t.store))
}

func filePosition(p commitlog.Position) sstable.Position {
	return sstable.Position{Segment: int64(p.Segment), Offset: int32(p.Offset)}
}

// removeFiles takes files out of service in one step that a crash cannot halve.
// They are removed when the last reader of any of them is done.
func (t *table) removeFiles(files []*sstable.Table) error {
	remove := make([]sstable.Descriptor, len(files))
	for i, f := range files {
		remove[i] = f.Descriptor()
	}
	txn, err := t.begin(sstable.OpCompaction)
	if err != nil {
		return err
	}
	if err := txn.Commit(remove...); err != nil {
		t.store.fail(err) // whether they are there is open until a restart
		return err
	}
	left := new(atomic.Int32)
	left.Store(int32(len(files)))
	for _, f := range files {
		f.MarkObsolete(func() error {
			if left.Add(-1) > 0 {
				return nil
			}
			return txn.Release()
		})
	}
	return nil
}

// txnIDs makes ids of transactions, version 1 UUIDs. Chance is asked once, when
// the store opens: who asks later, and in which order, depends on the scheduler.
type txnIDs struct {
	node  [8]byte
	count uint32
}

func (x *txnIDs) init(s *Store, kind byte) { x.node = s.node; x.node[0] ^= kind }

func (x *txnIDs) next(s *Store) [16]byte {
	node := x.node
	x.count++
	binary.BigEndian.PutUint32(node[4:], binary.BigEndian.Uint32(node[4:])+x.count)
	return types.TimeUUIDFromMicros(s.opts.Now().UnixMicro(), node)
}
