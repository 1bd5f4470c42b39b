package memtable

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// loading is what Load has put into a shard's arena and Settle has not yet put
// into its index: records in the order in which they came, many of a key. A
// search and an insertion cost an update more cache misses than all else; sorted
// at the end they cost next to nothing.
type loading struct {
	chunks [][]entry // each full but the last
	// recent are the prefixes that came last, each at a place of its own: their
	// updates go into the index at once, so that a large partition is not kept
	// twice, as records and as a skiplist.
	recent [recentSize]uint64

	group   [groupMax]smallReader // of Settle
	sources []row.Partition
}

// entry is a record that is not in the index.
type entry struct {
	prefix uint64
	r      ref
}

const (
	recentSize = 256
	chunkFirst = 32 // entries
	chunkMost  = 4096
	groupMax   = 16 // records merged at once
	bucketSize = 16 // entries, about
)

// Load is Apply for a table that nobody reads before Settle, in any order.
func (m *Memtable) Load(u *row.Update) error {
	return m.shards[m.shardOf(u.Key().Prefix)].load(m, u)
}

func (s *shard) load(m *Memtable, u *row.Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading == nil {
		s.loading = new(loading)
	}
	prefix := u.Key().Prefix
	recent := &s.loading.recent[prefix%recentSize]
	if *recent == prefix || u.Size() > m.smallMax {
		return s.applyLocked(m, u)
	}
	u.Rewind()
	fits, err := s.encode(m, u.Table(), u)
	if err != nil {
		return err
	}
	if !fits {
		return s.applyLocked(m, u)
	}
	*recent = prefix
	s.loading.add(s, entry{prefix, s.copyRecord(s.w.record, s.w.st.MinTimestamp)})
	s.stats.add(&s.w.st)
	return nil
}

func (l *loading) add(s *shard, e entry) {
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == cap(l.chunks[last]) {
		size := chunkFirst
		if last >= 0 {
			size = min(2*cap(l.chunks[last]), chunkMost)
		}
		l.chunks = append(l.chunks, make([]entry, 0, size))
		s.arena.charge(int64(size) * int64(unsafe.Sizeof(e)))
		last++
	}
	l.chunks[last] = append(l.chunks[last], e)
}

// Settle ends loading: from then on all that was loaded can be read. t is the
// table's definition.
func (m *Memtable) Settle(t *schema.Table) error {
	errs := make([]error, len(m.shards))
	var work sync.WaitGroup
	for i := range m.shards {
		if s := &m.shards[i]; s.loading != nil {
			work.Go(func() { errs[i] = s.settle(m, t) })
		}
	}
	work.Wait()
	return cmp.Or(errs...)
}

// settle makes the index anew from what it has and what was loaded.
func (s *shard) settle(m *Memtable, t *schema.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loading
	s.loading = nil
	all := l.sort(&s.index)
	for _, c := range l.chunks {
		s.arena.release(int64(cap(c)) * int64(unsafe.Sizeof(entry{})))
	}
	s.arena.release(int64(len(s.index.leaves)) * int64(unsafe.Sizeof(leaf{})))
	before := s.index.count
	s.index = index{}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].prefix == all[0].prefix {
			n++
		}
		same := all[:n]
		all = all[n:]
		if n > 1 {
			slices.SortFunc(same, func(a, b entry) int { return compareTie(m.partitioner, s.keyAt(a.r), s.keyAt(b.r)) })
		}
		for len(same) > 0 {
			n := 1
			for n < len(same) && string(s.keyAt(same[n].r)) == string(s.keyAt(same[0].r)) {
				n++
			}
			r, err := s.unite(m, t, l, same[:n])
			if err != nil {
				return err
			}
			s.index.push(same[0].prefix, r)
			same = same[n:]
		}
	}
	s.arena.charge(int64(len(s.index.leaves)) * int64(unsafe.Sizeof(leaf{})))
	m.partitions.Add(int64(s.index.count - before))
	return nil
}

func (s *shard) keyAt(r ref) []byte { return recordKey(s.arena.from(r)) }

// sort gives all entries, those of an index too, by prefix. It throws them into
// buckets by proportion first: tokens are spread evenly, as a rule.
func (l *loading) sort(x *index) []entry {
	chunks := l.chunks
	if x.count > 0 {
		have := make([]entry, 0, x.count)
		for p := (position{}); !x.end(p); p = x.next(p) {
			prefix, r := x.at(p)
			have = append(have, entry{prefix, r})
		}
		chunks = append(chunks[:len(chunks):len(chunks)], have)
	}
	count := 0
	least, most := uint64(math.MaxUint64), uint64(0)
	for _, c := range chunks {
		count += len(c)
		for _, e := range c {
			least, most = min(least, e.prefix), max(most, e.prefix)
		}
	}
	buckets := uint64(count/bucketSize + 1)
	shift := bits.LeadingZeros64(most - least)
	bucket := func(e entry) uint64 { hi, _ := bits.Mul64((e.prefix-least)<<shift, buckets); return hi }
	ends := make([]uint32, buckets)
	for _, c := range chunks {
		for _, e := range c {
			ends[bucket(e)]++
		}
	}
	at := uint32(0)
	for i, n := range ends {
		ends[i] = at // for now where it starts
		at += n
	}
	sorted := make([]entry, count)
	for _, c := range chunks {
		for _, e := range c {
			b := bucket(e)
			sorted[ends[b]] = e
			ends[b]++
		}
	}
	start := uint32(0)
	for _, end := range ends {
		slices.SortFunc(sorted[start:end], func(a, b entry) int { return cmp.Compare(a.prefix, b.prefix) })
		start = end
	}
	return sorted
}

// unite makes one record of all that there are of a key: of them one at most is
// large.
func (s *shard) unite(m *Memtable, t *schema.Table, l *loading, group []entry) (ref, error) {
	if len(group) == 1 {
		return group[0].r, nil
	}
	for i := range group {
		if s.arena.from(group[i].r)[0] == kindLarge {
			group[0], group[i] = group[i], group[0]
		}
	}
	r := group[0].r
	for len(group) > 1 {
		n := min(len(group), groupMax)
		var err error
		if r, err = s.merge(m, t, l, group[:n]); err != nil {
			return 0, err
		}
		group = group[n-1:]
		group[0].r = r
	}
	return r, nil
}

// merge makes one record of two and more, of which only the first may be large.
func (s *shard) merge(m *Memtable, t *schema.Table, l *loading, group []entry) (ref, error) {
	w := &s.w
	first := s.arena.from(group[0].r)
	prefix, key := group[0].prefix, recordKey(first)
	base, local := i64(first, recordBase), i64(first, recordLocal)
	all := row.Filter{Slices: m.all}
	r := group[0].r
	if first[0] == kindSmall {
		l.sources = l.sources[:0]
		least := int64(math.MaxInt64)
		for i, e := range group {
			record := s.arena.from(e.r)
			least = min(least, i64(record, recordLeast))
			if err := l.group[i].reset(record, t, prefix, all); err != nil {
				return 0, err
			}
			l.sources = append(l.sources, &l.group[i])
		}
		merged, fits, err := appendSmall(w.record[:0], t, w.merger.Reset(false, l.sources), nil, base, local, m.smallMax)
		w.record = merged
		if err != nil {
			return 0, err
		}
		if fits {
			for i := range group {
				s.stats.Wasted += int64(smallKey + len(key) + len(l.group[i].body))
			}
			return s.copyRecord(merged, least), nil
		}
		r, first = w.large.newLarge(key, base, local)
	} else {
		group = group[1:]
	}
	for _, e := range group {
		p := &l.group[0]
		if err := p.reset(s.arena.from(e.r), t, prefix, all); err != nil {
			return 0, err
		}
		s.stats.Wasted += int64(smallKey + len(key) + len(p.body))
		w.counted.reset(t, p, &w.st) // they were counted when they came: for the times
		if err := w.large.apply(first, row.Encoding{Table: t}, &w.counted, &w.st); err != nil {
			return 0, err
		}
	}
	return r, nil
}
