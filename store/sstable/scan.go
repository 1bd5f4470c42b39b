package sstable

import (
	"errors"
	"fmt"

	"helenus/store/row"
)

// tableRange iterates over the partitions between two bounds.
type tableRange struct {
	t      *Table
	w      window // over Index
	p      *partition
	view   *view
	filter *row.Filter
	end    row.Bound
	entry  indexEntry
	last   struct {
		any    bool
		prefix uint64
		key    []byte
	}
	done bool
	err  error
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
	r := &tableRange{t: t, p: t.newPartition(), filter: filter, end: end}
	r.view, r.err = t.viewOf(o.Table)
	r.w.open(t.index, o)
	r.p.w.open(t.data, o)
	r.p.index.w.open(t.index, o)
	if start.Open || r.err != nil {
		return r
	}
	// Ties of the prefix may begin before the first entry that has it.
	if at := t.summary.findPrefix(start.Key.Prefix); at >= 0 {
		r.w.seek(t.summary.offsets[at])
	}
	if start.HasKey {
		if at := t.summary.find(t.o.Partitioner, start.Key.Prefix, start.Key.Bytes); at >= 0 {
			r.w.seek(t.summary.offsets[at])
		}
	}
	r.err = r.skipTo(start)
	return r
}

// skipTo passes the partitions before a bound.
func (r *tableRange) skipTo(start row.Bound) error {
	for r.w.left() > 0 {
		at := r.w.pos
		if err := readEntry(&r.w, &r.entry, r.t.data.size); err != nil {
			return err
		}
		if !r.before(r.entry.key, start) {
			r.w.seek(at)
			return nil
		}
		r.w.seek(r.entry.promoted + r.entry.size)
	}
	return nil
}

// before tells whether a key lies before the side of the ring that begins at b.
func (r *tableRange) before(key []byte, b row.Bound) bool {
	c := r.compare(key, b)
	return c < 0 || (c == 0 && !b.Inclusive)
}

// compare orders a key and a bound; a bound without key equals all keys of its
// token.
func (r *tableRange) compare(key []byte, b row.Bound) int {
	p := r.t.o.Partitioner
	prefix := p.Prefix(key)
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

var errIndexOrder = errors.New("keys out of order")

// Next implements row.Partitions.
func (r *tableRange) Next() (row.Partition, error) {
	if r.err != nil || r.done {
		return nil, r.err
	}
	if r.w.left() == 0 {
		r.done = true
		return nil, nil
	}
	if r.err = r.next(); r.err != nil || r.done {
		return nil, r.err
	}
	return r.p, nil
}

func (r *tableRange) next() error {
	at := r.w.pos
	e := &r.entry
	if err := readEntry(&r.w, e, r.t.data.size); err != nil {
		return err
	}
	if !r.end.Open {
		if c := r.compare(e.key, r.end); c > 0 || (c == 0 && !r.end.Inclusive) {
			r.done = true
			return nil
		}
	}
	p := r.t.o.Partitioner
	prefix := p.Prefix(e.key)
	if r.last.any && compareKeys(p, r.last.prefix, r.last.key, prefix, e.key) >= 0 {
		return r.w.f.corrupt(at, fmt.Errorf("%w: %x", errIndexOrder, e.key))
	}
	r.last.any, r.last.prefix, r.last.key = true, prefix, append(r.last.key[:0], e.key...)
	if err := r.p.openAt(r.view, e, prefix, r.filter); err != nil {
		return err
	}
	r.w.seek(e.promoted + e.size)
	return nil
}

// Close implements row.Partitions.
func (r *tableRange) Close() error {
	r.w.close()
	r.p.release()
	r.done = true
	return nil
}

// Position is how many bytes of Data have been passed; of Table.DataBytes.
func (r *tableRange) Position() int64 { return r.p.w.pos }
