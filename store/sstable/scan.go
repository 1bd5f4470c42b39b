package sstable

import (
	"errors"
	"fmt"

	"helenus/store/cache"
	"helenus/store/row"
)

// tableRange iterates over the partitions between two bounds. It goes from part
// to part of the index and takes the keys from Data.
type tableRange struct {
	t      *Table
	p      *partition
	view   *view
	filter *row.Filter
	start  row.Bound // Open once a partition behind it has been found
	end    row.Bound
	last   struct {
		any    bool
		prefix uint64
		key    []byte
	}
	done bool
	err  error

	at     int // the part at hand is that of this entry of the summary
	part   part
	i      int // the next place in it
	handle cache.Handle
	own    *partMaker // of a sequential reader, which leaves the cache alone
	bytes  []byte
}

// Scan reads all partitions.
func (t *Table) Scan(filter *row.Filter, o ReadOptions) row.Partitions {
	open := row.Bound{Open: true}
	return t.Range(open, open, filter, o)
}

// Range reads the partitions between two bounds, in token order. Errors,
// ErrWouldBlock among them, come from Next. The caller holds a reference until
// Close.
func (t *Table) Range(start, end row.Bound, filter *row.Filter, o ReadOptions) row.Partitions {
	r := &tableRange{t: t, p: t.partition(o), filter: filter, start: start, end: end, at: -1}
	r.p.pooled = false // Close of the range gives it back, not that of each partition
	if o.Sequential {
		r.own = new(partMaker)
	}
	if r.view, r.err = t.viewOf(o.Table); r.err != nil || start.Open {
		return r
	}
	// Ties of the prefix may begin before the first entry that has it.
	from := max(t.summary.findPrefix(start.Key.Prefix), 0)
	if start.HasKey {
		from = max(from, t.summary.find(t.o.Partitioner, start.Key.Prefix, start.Key.Bytes))
	}
	r.at = from - 1
	if _, r.err = r.nextPart(); r.err == nil {
		r.i = r.part.find(start.Key.Prefix)
	}
	return r
}

// nextPart goes to the part behind; false at the end.
func (r *tableRange) nextPart() (bool, error) {
	if r.at+1 >= len(r.t.summary.offsets) {
		return false, nil
	}
	if r.own == nil {
		h, err := r.t.part(r.at+1, r.p.w.nonBlocking)
		if err != nil {
			return false, err
		}
		r.handle.Release()
		r.handle, r.part = h, part(h.Bytes())
	} else {
		if err := r.own.read(r.t, r.at+1); err != nil {
			return false, err
		}
		n := len(r.own.prefixes) * partEntrySize
		if cap(r.bytes) < n {
			r.bytes = make([]byte, n)
		}
		r.part = r.bytes[:n]
		r.own.encode(r.part)
	}
	r.at++
	r.i = 0
	return true, nil
}

var errIndexOrder = errors.New("keys out of order")

// Next implements row.Partitions.
func (r *tableRange) Next() (row.Partition, error) {
	for r.err == nil && !r.done {
		found, err := r.next()
		if r.err = err; err == nil && found {
			return r.p, nil
		}
	}
	return nil, r.err
}

// next opens the next partition; found is false when it lies before the start,
// or there is none.
func (r *tableRange) next() (found bool, err error) {
	for r.i >= r.part.len() {
		if more, err := r.nextPart(); !more || err != nil {
			r.done = err == nil
			return false, err
		}
	}
	prefix := r.part.prefix(r.i)
	if !r.end.Open && prefix > r.end.Key.Prefix {
		r.done = true
		return false, nil
	}
	pos, inIndex := r.part.place(r.i)
	e := indexEntry{dataPos: pos}
	if inIndex {
		r.p.index.w.seek(pos)
		if err := readEntry(&r.p.index.w, &e, r.t.data.size); err != nil {
			return false, err
		}
	}
	if err := r.p.openAt(r.view, &e, prefix, r.filter); err != nil {
		return false, err
	}
	r.i++
	return r.inside(prefix)
}

// inside sees that keys ascend, and tells whether the partition that is open lies
// between the bounds.
func (r *tableRange) inside(prefix uint64) (bool, error) {
	key := r.p.key
	if r.last.any && compareKeys(r.t.o.Partitioner, r.last.prefix, r.last.key, prefix, key) >= 0 {
		return false, r.p.corrupt(fmt.Errorf("%w: %x", errIndexOrder, key))
	}
	r.last.any, r.last.prefix, r.last.key = true, prefix, append(r.last.key[:0], key...)
	if !r.start.Open {
		if c := r.compare(prefix, key, r.start); c < 0 || (c == 0 && !r.start.Inclusive) {
			return false, nil
		}
		r.start.Open = true
	}
	if !r.end.Open {
		if c := r.compare(prefix, key, r.end); c > 0 || (c == 0 && !r.end.Inclusive) {
			r.done = true
			return false, nil
		}
	}
	return true, nil
}

// compare orders a key and a bound; a bound without key equals all keys of its
// token.
func (r *tableRange) compare(prefix uint64, key []byte, b row.Bound) int {
	p := r.t.o.Partitioner
	if prefix != b.Key.Prefix {
		if prefix < b.Key.Prefix {
			return -1
		}
		return 1
	}
	if b.HasKey {
		return p.CompareTie(key, b.Key.Bytes)
	}
	tail := p.Token(key).Tail
	switch {
	case tail < string(b.Key.Bytes):
		return -1
	case tail > string(b.Key.Bytes):
		return 1
	}
	return 0
}

// Close implements row.Partitions.
func (r *tableRange) Close() error {
	if r.p == nil {
		return nil
	}
	r.handle.Release()
	r.p.pooled = true
	err := r.p.Close()
	r.p, r.done, r.part = nil, true, nil
	return err
}

// Position is how many bytes of Data have been passed; of Table.DataBytes.
func (r *tableRange) Position() int64 {
	if r.p == nil {
		return r.t.data.size
	}
	return r.p.w.pos
}
