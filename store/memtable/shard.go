package memtable

import (
	"sync"
	"unsafe"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
)

// shard is a share of the keys: those whose prefixes lie in one span.
type shard struct {
	mu    sync.RWMutex // guards all below but the arena's contents; see list
	index index
	arena arena
	stats Stats
	w     writer

	loading *loading // nil unless something was loaded
}

// writer is what applying an update needs, kept to be used again.
type writer struct {
	counted counted
	st      Stats // of the update
	old     smallReader
	merger  row.Merger
	sources [2]row.Partition
	record  []byte
	large   largeWriter
}

// seek finds a key; the caller holds mu.
func (s *shard) seek(p token.Partitioner, k row.Key) (position, bool) {
	return s.index.search(k.Prefix, func(r ref) int {
		return compareTie(p, k.Bytes, recordKey(s.arena.from(r)))
	})
}

func compareTie(p token.Partitioner, a, b []byte) int {
	if string(a) == string(b) {
		return 0
	}
	return p.CompareTie(a, b)
}

// apply merges an update into the shard.
func (s *shard) apply(m *Memtable, u *row.Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applyLocked(m, u)
}

func (s *shard) applyLocked(m *Memtable, u *row.Update) error {
	w := &s.w
	t := u.Table()
	u.Rewind()
	at, found := s.seek(m.partitioner, u.Key())
	var err error
	if !found {
		err = s.add(m, t, u, at)
	} else {
		_, r := s.index.at(at)
		record := s.arena.from(r)
		if record[0] == kindLarge {
			err = s.enlarge(t, u, record)
		} else {
			err = s.replace(m, t, u, at, record)
		}
	}
	if err == nil {
		s.stats.add(&w.st)
	}
	return err
}

// add puts the first update of a key in.
func (s *shard) add(m *Memtable, t *schema.Table, u *row.Update, at position) error {
	w := &s.w
	fits, err := s.encode(m, t, u)
	if err != nil {
		return err
	}
	if fits {
		s.insert(m, at, u.Key().Prefix, s.copyRecord(w.record, w.st.MinTimestamp))
		return nil
	}
	if err := u.Check(); err != nil {
		return err
	}
	base, local := u.Bases()
	r, large := w.large.newLarge(u.Key().Bytes, base, local)
	if err := s.enlarge(t, u, large); err != nil {
		return err
	}
	s.insert(m, at, u.Key().Prefix, r)
	return nil
}

// encode makes a small record of an update alone, in w.record, and counts it.
func (s *shard) encode(m *Memtable, t *schema.Table, u *row.Update) (fits bool, err error) {
	w := &s.w
	base, local := u.Bases()
	w.counted.reset(t, u, &w.st)
	w.record, fits, err = appendSmall(w.record[:0], t, &w.counted, u, base, local, m.smallMax)
	return fits, err
}

func (s *shard) copyRecord(record []byte, least int64) ref {
	r, b := s.arena.alloc(len(record))
	copy(b, record)
	setI64(b, recordLeast, least)
	return r
}

func (s *shard) insert(m *Memtable, at position, prefix uint64, r ref) {
	leaves := len(s.index.leaves)
	s.index.insert(at, prefix, r)
	if len(s.index.leaves) > leaves {
		s.arena.charge(int64(unsafe.Sizeof(leaf{})))
	}
	m.partitions.Add(1)
}

// replace merges an update with a small record into a new one, or a large one.
func (s *shard) replace(m *Memtable, t *schema.Table, u *row.Update, at position, record []byte) error {
	w := &s.w
	key := u.Key()
	all := row.Filter{Slices: m.all}
	if err := w.old.reset(record, t, key.Prefix, all); err != nil {
		return err
	}
	w.counted.reset(t, u, &w.st)
	w.sources = [2]row.Partition{&w.old, &w.counted}
	base, local := i64(record, recordBase), i64(record, recordLocal)
	merged, fits, err := appendSmall(w.record[:0], t, w.merger.Reset(false, w.sources[:]), nil, base, local, m.smallMax)
	w.record = merged
	if err != nil {
		return err
	}
	if fits {
		least := min(w.st.MinTimestamp, i64(record, recordLeast))
		s.stats.Wasted += int64(smallKey + len(key.Bytes) + len(w.old.body))
		s.index.set(at, s.copyRecord(merged, least))
		return nil
	}
	if err := u.Check(); err != nil {
		return err
	}
	r, large := w.large.newLarge(key.Bytes, base, local)
	if err := w.old.reset(record, t, key.Prefix, all); err != nil {
		return err
	}
	// The old rows were counted when they came: these stats only bring times.
	w.counted.reset(t, &w.old, &w.st)
	if err := w.large.apply(large, row.Encoding{Table: t}, &w.counted, &w.st); err != nil {
		return err
	}
	if err := s.enlarge(t, u, large); err != nil {
		return err
	}
	s.stats.Wasted += int64(smallKey + len(key.Bytes) + len(w.old.body))
	s.index.set(at, r)
	return nil
}

// enlarge applies an update to a large record. The update is checked first, as
// this cannot be taken back halfway.
func (s *shard) enlarge(t *schema.Table, u *row.Update, record []byte) error {
	if err := u.Check(); err != nil {
		return err
	}
	w := &s.w
	w.counted.reset(t, u, &w.st)
	return w.large.apply(record, row.Encoding{Table: t}, &w.counted, &w.st)
}
