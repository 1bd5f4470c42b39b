// Package memtable holds what was written to one table since its last flush,
// sorted and merged, outside of the Go heap.
//
// Nouns: Memtable, shard (a span of keys with one writer's lock), arena (memory
// freed as a whole), record (one partition: small ones are replaced as a whole,
// large ones are skiplists with versions), Stats.
//
// store applies updates to it, reads it beside the sstables and writes it out
// as one. It never does I/O, drops no tombstone and knows no time.
package memtable

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"helenus/internal/assert"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
)

// Options say how a Memtable is made.
type Options struct {
	Partitioner token.Partitioner
	// Shards is how many writers may work at once; 0 means 8.
	Shards int
	// SmallBytesMax is the size from which a partition is kept as a skiplist of
	// rows; 0 means 1 KiB. Below, every update copies the partition.
	SmallBytesMax int
	// Budget is charged for all memory, which an update that is in the log
	// already must get: so it may pass its limit. nil charges nothing.
	Budget *budget.Budget
	// OnHeap keeps the arenas in the Go heap, where the race detector sees them.
	OnHeap bool
}

const (
	shardsDefault = 8
	smallDefault  = 1 << 10
)

// Memtable is the recent writes of one table. Apply, Get, Range and the rest
// may be called by many goroutines at once, as long as they hold a reference:
// New returns with one, Ref adds one, and when Unref takes the last away all
// memory is given back. What Get and Range return holds one of its own until
// it is closed.
type Memtable struct {
	partitioner token.Partitioner
	shards      []shard
	smallMax    int
	all         []row.Slice
	refs        atomic.Int64
	bytes       atomic.Int64 // charged to the budget
	partitions  atomic.Int64

	readers sync.Pool // of *reader
}

// New makes an empty Memtable.
func New(o Options) *Memtable {
	if o.Shards == 0 {
		o.Shards = shardsDefault
	}
	if o.SmallBytesMax == 0 {
		o.SmallBytesMax = smallDefault
	}
	m := &Memtable{partitioner: o.Partitioner, shards: make([]shard, o.Shards), smallMax: o.SmallBytesMax, all: row.AllRows()}
	m.refs.Store(1)
	m.readers.New = func() any { return new(reader) }
	for i := range m.shards {
		s := &m.shards[i]
		s.stats = emptyStats()
		s.arena.slabs.Store(new([]slab))
		s.arena.heap, s.arena.budget, s.arena.total = o.OnHeap, o.Budget, &m.bytes
		s.w.large.s = s
		s.w.large.random = uint64(i) + 0x9e3779b97f4a7c15
	}
	return m
}

// Ref takes a reference for one who already has one.
func (m *Memtable) Ref() {
	if n := m.refs.Add(1); n < 2 {
		assert.That(false, "memtable: a reference to what was freed")
	}
}

// Unref gives a reference back.
func (m *Memtable) Unref() {
	n := m.refs.Add(-1)
	if n == 0 {
		for i := range m.shards {
			m.shards[i].arena.free()
			m.shards[i].index = index{}
		}
	}
	if n < 0 {
		assert.That(false, "memtable: a reference given back twice")
	}
}

// shardOf cuts the prefixes into equal spans, so that shards follow each other
// in the order of keys.
func (m *Memtable) shardOf(prefix uint64) int {
	hi, _ := bits.Mul64(prefix, uint64(len(m.shards)))
	return int(hi)
}

// Apply merges an update into the table. Readers see it as a whole. After an
// error nothing of it is there.
func (m *Memtable) Apply(u *row.Update) error {
	return m.shards[m.shardOf(u.Key().Prefix)].apply(m, u)
}

// Get shows a partition as it is now; nil when nothing of it was written. t may
// be another definition of the table than those of the updates: columns are
// known by numbers. The rows are in f's slices; range tombstones that reach into
// them come with their own bounds. Columns are not selected. The caller closes
// it; closing it twice is harmless.
func (m *Memtable) Get(t *schema.Table, k row.Key, f row.Filter) (row.Partition, error) {
	s := &m.shards[m.shardOf(k.Prefix)]
	s.mu.RLock()
	at, found := s.seek(m.partitioner, k)
	if !found {
		s.mu.RUnlock()
		return nil, nil
	}
	_, r := s.index.at(at)
	rd := m.readers.Get().(*reader)
	p, err := rd.open(s, t, k.Prefix, r, f)
	if err != nil {
		m.readers.Put(rd)
		return nil, err
	}
	m.Ref()
	return &pinned{Partition: p, m: m, reader: rd}, nil
}

// reader can show any record; used again it allocates nothing.
type reader struct {
	small smallReader
	large largeReader
}

// open makes a Partition of a record. The caller has s.mu.RLock; it is given up.
func (rd *reader) open(s *shard, t *schema.Table, prefix uint64, r ref, f row.Filter) (row.Partition, error) {
	record := s.arena.from(r)
	if record[0] == kindSmall {
		s.mu.RUnlock()
		return &rd.small, rd.small.reset(record, t, prefix, f)
	}
	static := rd.large.snapshot(&s.arena, record, t, prefix, f)
	s.mu.RUnlock()
	return &rd.large, rd.large.readStatic(static)
}

// pinned is a Partition that holds a reference. It is not itself used again: so
// a second Close does no harm to the next one who gets the reader.
type pinned struct {
	row.Partition
	m      *Memtable
	reader *reader
}

// Close implements row.Partition.
func (p *pinned) Close() error {
	if p.Partition == nil {
		return nil
	}
	p.Partition = nil
	p.m.readers.Put(p.reader)
	p.m.Unref()
	return nil
}

// MinTimestamp is the least timestamp written to a partition, for whoever wants
// to drop a tombstone of it; ok is false when the partition is not here.
func (m *Memtable) MinTimestamp(k row.Key) (least int64, ok bool) {
	s := &m.shards[m.shardOf(k.Prefix)]
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, found := s.seek(m.partitioner, k)
	if !found {
		return 0, false
	}
	_, r := s.index.at(at)
	return i64(s.arena.from(r), recordLeast), true
}

// Bytes is the memory that is charged to the budget; it grows in steps.
func (m *Memtable) Bytes() int64 { return m.bytes.Load() }

// Partitions is the number of partitions.
func (m *Memtable) Partitions() int { return int(m.partitions.Load()) }

// IsEmpty tells whether nothing was written.
func (m *Memtable) IsEmpty() bool { return m.partitions.Load() == 0 }

// Stats sums up what was written.
func (m *Memtable) Stats() Stats {
	st := emptyStats()
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		st.add(&s.stats)
		st.Used += s.arena.handed
		s.mu.RUnlock()
	}
	st.Mapped, st.Partitions = m.Bytes(), m.Partitions()
	return st
}
