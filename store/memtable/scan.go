package memtable

import (
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// scanBatch is how many records a scan picks up at a time under the lock.
const scanBatch = 64

// scan is the partitions between two bounds. Each is shown as it is when it is
// come to.
type scan struct {
	m          *Memtable
	t          *schema.Table
	start, end row.Bound
	f          row.Filter

	shard    int
	begun    bool
	last     row.Key // the key before, in the arena
	prefixes [scanBatch]uint64
	refs     [scanBatch]ref
	n, next  int
	reader   reader
	closed   bool
}

// Range shows the partitions between two bounds in the order of keys, each as
// Get does.
func (m *Memtable) Range(t *schema.Table, start, end row.Bound, f row.Filter) row.Partitions {
	m.Ref()
	s := &scan{m: m, t: t, start: start, end: end, f: f}
	if !start.Open {
		s.shard = m.shardOf(start.Key.Prefix)
	}
	return s
}

// All shows everything: what a flush writes.
func (m *Memtable) All(t *schema.Table) row.Partitions {
	return m.Range(t, row.Bound{Open: true}, row.Bound{Open: true}, row.Filter{Slices: m.all})
}

// Next implements row.Partitions.
func (s *scan) Next() (row.Partition, error) {
	for {
		if s.next == s.n && !s.fill() {
			return nil, nil
		}
		i := s.next
		s.next++
		sh := &s.m.shards[s.shard]
		k := row.Key{Prefix: s.prefixes[i], Bytes: recordKey(sh.arena.from(s.refs[i]))}
		if !s.begun && !s.start.AfterStart(k, s.m.partitioner) {
			s.last = k
			continue
		}
		if !s.end.BeforeEnd(k, s.m.partitioner) {
			s.shard, s.n, s.next = len(s.m.shards), 0, 0
			return nil, nil
		}
		s.begun, s.last = true, k
		sh.mu.RLock()
		p, err := s.reader.open(sh, s.t, k.Prefix, s.refs[i], s.f)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}

// fill picks up the next records; false when there are none.
func (s *scan) fill() bool {
	for ; s.shard < len(s.m.shards); s.shard++ {
		sh := &s.m.shards[s.shard]
		sh.mu.RLock()
		var at position
		switch {
		case s.last.Bytes != nil:
			var found bool
			if at, found = sh.seek(s.m.partitioner, s.last); found {
				at = sh.index.next(at)
			}
		case !s.begun && !s.start.Open:
			// From the first key with the prefix; Next looks at each.
			at, _ = sh.index.search(s.start.Key.Prefix, func(ref) int { return -1 })
		}
		s.n, s.next = 0, 0
		for ; s.n < scanBatch && !sh.index.end(at); at = sh.index.next(at) {
			s.prefixes[s.n], s.refs[s.n] = sh.index.at(at)
			s.n++
		}
		sh.mu.RUnlock()
		if s.n > 0 {
			return true
		}
		s.last = row.Key{}
	}
	return false
}

// Close implements row.Partitions.
func (s *scan) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.m.Unref()
	return nil
}
