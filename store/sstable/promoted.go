package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"

	"helenus/internal/cql/types"
	"helenus/store/row"
)

// indexEntry is one partition in Index. key aliases the window it was read from.
type indexEntry struct {
	key      []byte
	dataPos  int64
	promoted int64 // where in Index the promoted index begins
	size     int64 // of it; 0: none
}

var errEntry = errors.New("an entry that points beyond a file's end")

// readEntry reads the entry at the window's position and goes behind its head;
// the promoted index is left for the caller to skip.
func readEntry(w *window, e *indexEntry, dataSize int64) error {
	b, ok, err := w.buf, true, error(nil)
	for {
		c := byteCursor{b: b}
		n := c.take(2)
		if !c.bad {
			e.key = c.take(uint64(n[0])<<8 | uint64(n[1]))
		}
		pos, size := c.uvint(), c.uvint()
		if !c.bad {
			at := w.pos
			w.skip(c.at)
			e.dataPos, e.promoted, e.size = int64(pos), w.pos, int64(size)
			if pos >= uint64(dataSize) || size > uint64(w.left()) {
				return w.f.corrupt(at, errEntry)
			}
			return nil
		}
		if !ok {
			return w.f.corrupt(w.pos, errShort)
		}
		if b, ok, err = w.more(); err != nil {
			return err
		}
	}
}

// promoted looks into the promoted index of one partition where it lies.
type promoted struct {
	w       window // over Index
	entry   indexEntry
	count   int
	infos   int64 // position of the first in Index
	offsets int64 // position of the table of offsets
	order   []byte
	values  [][]byte
}

// blockInfo is one block of a partition.
type blockInfo struct {
	offset int64 // from the partition's start
	width  int64
	open   row.Deletion // at its end
}

func (x *promoted) set(e *indexEntry) {
	x.entry, x.count = *e, 0
	x.entry.key = nil
	if e.size > 0 {
		x.count = -1 // not read yet
	}
}

var errPromoted = errors.New("a damaged promoted index")

// parse reads the front of the promoted index.
func (x *promoted) parse(l layout) error {
	if x.count >= 0 {
		return nil
	}
	const headMax = 9 + deletionSizeMax + 9
	x.w.seek(x.entry.promoted)
	b, err := x.w.peek(int(min(headMax, x.entry.size)))
	if err != nil {
		return err
	}
	c := byteCursor{b: b}
	c.uvint()
	if !c.bad {
		_, n, err := l.deletion(b[c.at:])
		if err != nil || n == 0 {
			return x.w.f.corrupt(x.entry.promoted, errPromoted)
		}
		c.at += n
	}
	count := c.uvint()
	if c.bad || count == 0 || count > uint64(x.entry.size)/8 {
		return x.w.f.corrupt(x.entry.promoted, errPromoted)
	}
	x.count, x.infos = int(count), x.entry.promoted+int64(c.at)
	x.offsets = x.entry.promoted + x.entry.size - 4*int64(count)
	if x.offsets <= x.infos {
		return x.w.f.corrupt(x.entry.promoted, errPromoted)
	}
	return nil
}

// at gives the bytes of the i-th IndexInfo.
func (x *promoted) at(i int) ([]byte, error) {
	x.w.seek(x.offsets + 4*int64(i))
	n := 8
	if i == x.count-1 {
		n = 4
	}
	b, err := x.w.peek(n)
	if err != nil {
		return nil, err
	}
	from, to := int64(binary.BigEndian.Uint32(b)), x.offsets-x.infos
	if n == 8 {
		to = int64(binary.BigEndian.Uint32(b[4:]))
	}
	if from >= to || x.infos+to > x.offsets {
		return nil, x.w.f.corrupt(x.offsets, errPromoted)
	}
	x.w.seek(x.infos + from)
	b, err = x.w.peek(int(to - from))
	if err != nil {
		return nil, err
	}
	return b[:to-from], nil
}

// prefix reads a clustering of an IndexInfo and makes its comparable form.
func (x *promoted) prefix(c *byteCursor, p *partition) ([]byte, error) {
	ts, reversed := p.d.table.ClusteringTypes(), p.d.table.ClusteringReversed()
	kind, size := c.byte(), len(ts)
	after, bound := boundAfter(kind)
	if bound {
		n := c.take(2)
		if !c.bad {
			size = int(n[0])<<8 | int(n[1])
		}
	}
	if c.bad || (!bound && kind != kindRow) || size > len(ts) {
		return nil, errPromoted
	}
	vs := row.ReadValues(ts, size, c.b[c.at:])
	x.values = x.values[:0]
	for v, ok := vs.Next(); ok; v, ok = vs.Next() {
		x.values = append(x.values, v)
	}
	if vs.Err() != nil {
		return nil, vs.Err()
	}
	c.at = len(c.b) - len(vs.Rest())
	if bound {
		x.order = types.AppendBound(x.order[:0], ts, reversed, x.values, after)
	} else {
		x.order = types.AppendClustering(x.order[:0], ts, reversed, x.values)
	}
	return x.order, nil
}

// info reads what stands behind the two clusterings.
func (x *promoted) info(p *partition, i int) (blockInfo, error) {
	if err := x.parse(p.t.layout); err != nil {
		return blockInfo{}, err
	}
	b, err := x.at(i)
	if err != nil {
		return blockInfo{}, err
	}
	c := byteCursor{b: b}
	for range 2 {
		if _, err := x.prefix(&c, p); err != nil {
			return blockInfo{}, x.w.f.corrupt(x.w.pos, err)
		}
	}
	offset, width := c.uvint(), c.uvint()
	out := blockInfo{offset: int64(offset), open: row.Live()}
	out.width = int64(width>>1) ^ -int64(width&1) + indexBlockWidthBase
	hasOpen := c.byte()
	if hasOpen == 1 {
		var n int
		if out.open, n, err = p.t.layout.deletion(b[c.at:]); err != nil || n == 0 {
			return blockInfo{}, x.w.f.corrupt(x.w.pos, errPromoted)
		}
		c.at += n
	}
	left := p.w.f.size - p.start
	if c.bad || c.at != len(b) || hasOpen > 1 || out.offset < 0 || out.offset > left ||
		out.width <= 0 || out.width > left-out.offset {
		return blockInfo{}, x.w.f.corrupt(x.w.pos, errPromoted)
	}
	return out, nil
}

// blockFor gives the last block whose first clustering does not lie behind a
// bound; 0 if all do. What the bound separates is in it or at its ends.
func (x *promoted) blockFor(p *partition, bound []byte) (int, error) {
	if err := x.parse(p.t.layout); err != nil {
		return 0, err
	}
	var failed error
	n := sort.Search(x.count, func(i int) bool {
		if failed != nil {
			return true
		}
		b, err := x.at(i)
		if err != nil {
			failed = err
			return true
		}
		first, err := x.prefix(&byteCursor{b: b}, p)
		if err != nil {
			failed = x.w.f.corrupt(x.w.pos, err)
			return true
		}
		return bytes.Compare(first, bound) > 0
	})
	return max(n-1, 0), failed
}

// blockStart gives where a block begins and which deletion is open there.
func (x *promoted) blockStart(p *partition, n int) (int64, row.Deletion, error) {
	info, err := x.info(p, n)
	if err != nil || n == 0 {
		return info.offset, row.Live(), err
	}
	before, err := x.info(p, n-1)
	return info.offset, before.open, err
}
