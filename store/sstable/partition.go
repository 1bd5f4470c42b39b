package sstable

import (
	"bytes"
	"errors"
	"fmt"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// ReadOptions say how to read.
type ReadOptions struct {
	// NonBlocking reads only from the cache and fails with ErrWouldBlock.
	NonBlocking bool
	// Sequential reads ahead and leaves the cache alone: for compaction.
	Sequential bool
	// Hash is that of the key, for Get of many tables; nil: Get makes it.
	Hash *KeyHash
	// Table is the definition by which to show the rows; nil: the one given to
	// Open or SetSchema. A request that began before a change keeps its own.
	Table *schema.Table
}

// partition iterates over one partition of a table, forward or in reverse. It
// is reused from one partition to the next.
type partition struct {
	t      *Table
	w      window // over Data
	d      rowDecoder
	filter *row.Filter
	start  int64 // of the partition in Data
	index  promoted

	key       []byte
	anyKey    bool // Data says which key it is
	prefix    uint64
	deletion  row.Deletion
	hasStatic bool
	statics   rowDecoder

	slice  int          // into filter.Slices
	inside bool         // the slice has been entered
	open   row.Deletion // open at the present place
	head   head
	peeked bool
	err    error
	clip   row.Unfiltered // a marker at the end of a slice
	marker row.Marker

	// Of reverse iteration: the rows of one block.
	block  int     // number of the block; -1: none yet
	items  []int32 // offsets in bytes, those not yet passed
	bytes  []byte
	pooled bool
}

var errKey = errors.New("another key than in the index")

// openAt begins a partition whose index entry is e; an entry without key takes
// that of Data.
func (p *partition) openAt(v *view, e *indexEntry, prefix uint64, filter *row.Filter) error {
	p.d.mapping, p.d.table, p.statics.mapping, p.statics.table = v.mapping, v.table, v.mapping, v.table
	p.d.statics, p.d.regulars = filter.Statics, filter.Regulars
	p.statics.statics, p.statics.regulars = filter.Statics, filter.Regulars
	p.filter, p.start, p.prefix, p.err = filter, e.dataPos, prefix, nil
	p.anyKey, p.key = e.key == nil, append(p.key[:0], e.key...)
	p.slice, p.inside, p.open, p.peeked = 0, false, row.Live(), false
	p.block, p.items = -1, p.items[:0]
	p.index.set(e)
	if err := p.readHeader(); err != nil {
		return err
	}
	if filter.Reversed {
		p.slice = len(filter.Slices) - 1
		return p.index.parse(p.t.layout)
	}
	return p.seekSlice()
}

// readHeader reads key, deletion and static row.
func (p *partition) readHeader() error {
	w := &p.w
	w.seek(p.start)
	b, err := w.peek(2)
	if err != nil {
		return err
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	if b, err = w.peek(n); err != nil {
		return err
	}
	if p.anyKey {
		p.key = append(p.key[:0], b[2:n]...)
	} else if !bytes.Equal(b[2:n], p.key) {
		return p.corrupt(errKey)
	}
	w.skip(n)
	size := 0
	for more := true; size == 0; {
		if p.deletion, size, err = p.t.layout.deletion(w.buf); err != nil {
			return p.corrupt(err)
		}
		if size == 0 && !more {
			return p.corrupt(errShort)
		}
		if size == 0 {
			if _, more, err = w.more(); err != nil {
				return err
			}
		}
	}
	w.skip(size)
	p.hasStatic = false
	if len(p.statics.mapping.statics) == 0 {
		return nil
	}
	var h head
	if err := p.peekHead(&p.statics, &h); err != nil {
		return err
	}
	if !h.static {
		return p.corrupt(errFlags)
	}
	u, err := p.statics.body(w.buf, &h)
	if err != nil {
		return p.corrupt(err)
	}
	if u != nil {
		// The window moves on; the static row must not.
		p.statics.keep()
		p.hasStatic = true
	}
	w.skip(h.total)
	return nil
}

// keep copies what the row aliases into the decoder's own buffer.
func (r *rowDecoder) keep() {
	for i := range r.row.Cells {
		c := &r.row.Cells[i]
		same := len(c.Path) > 0 && len(c.PathOrder) > 0 && &c.Path[0] == &c.PathOrder[0]
		for _, b := range []*[]byte{&c.Path, &c.Value} {
			if *b != nil {
				from := len(r.bytes)
				r.bytes = append(r.bytes, *b...)
				*b = r.bytes[from:len(r.bytes):len(r.bytes)]
			}
		}
		if same {
			c.PathOrder = c.Path
		}
	}
}

func (p *partition) corrupt(err error) error {
	var c *corruptError
	if errors.As(err, &c) || errors.Is(err, ErrWouldBlock) {
		return err
	}
	return p.w.f.corrupt(p.w.pos, fmt.Errorf("partition %x: %w", p.key, err))
}

// peekHead reads the head of what comes next and makes sure that all of it
// lies in the window.
func (p *partition) peekHead(d *rowDecoder, h *head) error {
	w := &p.w
	b, ok, err := w.buf, true, error(nil)
	if len(b) == 0 {
		if b, ok, err = w.more(); err != nil {
			return err
		}
	}
	for {
		complete, err := d.head(b, h)
		if err != nil {
			return p.corrupt(err)
		}
		if complete && h.total <= len(b) {
			return nil
		}
		if !ok {
			return p.corrupt(errShort)
		}
		if complete {
			if b, err = w.peek(h.total); err != nil {
				return err
			}
			continue // what head returned aliases the old bytes
		}
		if b, ok, err = w.more(); err != nil {
			return err
		}
	}
}

// Key implements row.Partition.
func (p *partition) Key() row.Key { return row.Key{Prefix: p.prefix, Bytes: p.key} }

// Deletion implements row.Partition.
func (p *partition) Deletion() row.Deletion { return p.deletion }

// StaticRow implements row.Partition.
func (p *partition) StaticRow() *row.Row {
	if !p.hasStatic {
		return nil
	}
	return &p.statics.row
}

// Next implements row.Partition.
func (p *partition) Next() (*row.Unfiltered, error) {
	if p.err != nil {
		return nil, p.err
	}
	var u *row.Unfiltered
	if p.filter.Reversed {
		u, p.err = p.previous()
	} else {
		u, p.err = p.next()
	}
	return u, p.err
}

// Close implements row.Partition.
func (p *partition) Close() error {
	if p.pooled {
		p.pooled = false
		p.release()
		p.t.partitions.Put(p)
	}
	return nil
}

// release unpins what the windows hold.
func (p *partition) release() {
	p.w.close()
	p.index.w.close()
	p.bytes = nil
}

// seekSlice uses the index to skip to where the slice begins.
func (p *partition) seekSlice() error {
	if p.index.count == 0 || p.slice >= len(p.filter.Slices) || len(p.filter.Slices[p.slice].Start) == 0 {
		return nil
	}
	n, err := p.index.blockFor(p, p.filter.Slices[p.slice].Start)
	if err != nil {
		return err
	}
	offset, open, err := p.index.blockStart(p, n)
	if err != nil {
		return err
	}
	if p.start+offset > p.w.pos {
		p.w.seek(p.start + offset)
		p.open, p.peeked = open, false
	}
	return nil
}

func (p *partition) peek() error {
	if p.peeked {
		return nil
	}
	if err := p.peekHead(&p.d, &p.head); err != nil {
		return err
	}
	if p.head.static {
		return p.corrupt(errFlags)
	}
	p.peeked = true
	return nil
}

// take decodes what has been peeked and goes behind it.
func (p *partition) take() (*row.Unfiltered, error) {
	u, err := p.d.body(p.w.buf, &p.head)
	if err != nil {
		return nil, p.corrupt(err)
	}
	p.w.skip(p.head.total)
	p.peeked = false
	if u != nil && u.Marker != nil {
		if u.Marker.Before != p.open {
			return nil, p.corrupt(errDeletion)
		}
		p.open = u.Marker.After
	}
	return u, nil
}

// next goes forward. A deletion open at the ends of a slice is cut off there.
func (p *partition) next() (*row.Unfiltered, error) {
	for p.slice < len(p.filter.Slices) {
		s := &p.filter.Slices[p.slice]
		if err := p.peek(); err != nil {
			return nil, err
		}
		h := &p.head
		if !p.inside {
			if !h.end && len(s.Start) > 0 && bytes.Compare(h.clustering.Order, s.Start) <= 0 {
				if _, err := p.passOver(); err != nil {
					return nil, err
				}
				continue
			}
			p.inside = true
			if !p.open.IsLive() && len(s.Start) > 0 && !h.end {
				return p.cut(s.Start, row.Live(), p.open), nil
			}
		}
		if h.end && !p.open.IsLive() {
			return nil, p.corrupt(errDeletion)
		}
		if h.end || (len(s.End) > 0 && bytes.Compare(h.clustering.Order, s.End) >= 0) {
			p.slice++
			p.inside = false
			u := p.cut(s.End, p.open, row.Live())
			if err := p.seekSlice(); err != nil {
				return nil, err
			}
			if u != nil {
				return u, nil
			}
			continue
		}
		u, err := p.take()
		if u != nil || err != nil {
			return u, err
		}
	}
	return nil, nil
}

// passOver goes behind what has been peeked; only markers are read.
func (p *partition) passOver() (*row.Unfiltered, error) {
	if p.head.flags&flagMarker != 0 {
		return p.take()
	}
	p.w.skip(p.head.total)
	p.peeked = false
	return nil, nil
}

// cut makes a marker at the end of a slice; nil when it would change nothing.
func (p *partition) cut(at []byte, before, after row.Deletion) *row.Unfiltered {
	if before == after {
		return nil
	}
	const behind = 0x60 // how types.AppendBound ends bounds behind their prefix
	p.marker = row.Marker{Bound: row.Clustering{Order: at}, Before: before, After: after,
		AfterPrefix: len(at) > 0 && at[len(at)-1] == behind}
	p.clip = row.Unfiltered{Marker: &p.marker}
	return &p.clip
}
