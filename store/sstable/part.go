package sstable

import (
	"encoding/binary"
	"errors"

	"helenus/store/cache"
)

// part is what lies in Index between two entries of the summary, in a form that
// is searched in one step: the prefixes of all keys, ascending, and then as many
// places, eight bytes each. The block cache holds it in place of the bytes of
// Index, which are only touched to make it, and for partitions that have a
// promoted index.
//
// A place is twice the partition's position in Data or, for a partition with a
// promoted index, twice its entry's position in Index plus one.
type part []byte

const partEntrySize = 16

func (p part) len() int { return len(p) / partEntrySize }

func (p part) prefix(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }

func (p part) place(i int) (pos int64, inIndex bool) {
	v := binary.LittleEndian.Uint64(p[len(p)/2+8*i:])
	return int64(v >> 1), v&1 == 1
}

// find gives the first entry whose prefix is not below the one wanted.
func (p part) find(prefix uint64) int {
	lo, n := 0, p.len()
	for n > 0 {
		half := n / 2
		if p.prefix(lo+half) < prefix {
			lo += half + 1
			n -= half + 1
		} else {
			n = half
		}
	}
	return lo
}

// partMaker is what is kept between makings of parts.
type partMaker struct {
	w        window // over a part that is large because of promoted indexes
	raw      []byte
	prefixes []uint64
	places   []uint64
}

// partReadBytes is how much of Index is read at once to make a part; usually it
// all lies within.
const partReadBytes = 32 << 10

// partEnd is where in Index the part that begins with an entry of the summary ends.
func (t *Table) partEnd(at int) int64 {
	if at+1 < len(t.summary.offsets) {
		return t.summary.offsets[at+1]
	}
	return t.index.size
}

// part pins a part, from the cache or into it.
func (t *Table) part(at int, nonBlocking bool) (cache.Handle, error) {
	k := cache.Key{File: t.parts, Block: uint64(at)}
	if h, ok := t.o.Cache.Get(k); ok {
		return h, nil
	}
	if nonBlocking {
		return cache.Handle{}, ErrWouldBlock
	}
	m, _ := t.makers.Get().(*partMaker)
	if m == nil {
		m = new(partMaker)
	}
	defer t.makers.Put(m)
	if err := m.read(t, at); err != nil {
		return cache.Handle{}, err
	}
	h := t.o.Cache.Reserve(k, len(m.prefixes)*partEntrySize)
	m.encode(h.Bytes())
	return t.o.Cache.Insert(k, h), nil
}

func (m *partMaker) read(t *Table, at int) error {
	m.prefixes, m.places = m.prefixes[:0], m.places[:0]
	from, end := t.summary.offsets[at], t.partEnd(at)
	if end-from > partReadBytes {
		return m.readFar(t, from, end)
	}
	b, err := t.index.span(from, end, &m.raw)
	if err != nil {
		return err
	}
	c := byteCursor{b: b}
	for c.at < len(b) {
		start := c.at
		n := c.take(2)
		if c.bad {
			break
		}
		key := c.take(uint64(n[0])<<8 | uint64(n[1]))
		pos, size := c.uvint(), c.uvint()
		c.take(size)
		if c.bad || pos >= uint64(t.data.size) {
			c.bad = true
			break
		}
		if err := m.add(t, from+int64(start), key, int64(pos), size > 0); err != nil {
			return err
		}
	}
	if c.bad {
		return t.index.corrupt(from+int64(c.at), errEntry)
	}
	return nil
}

// readFar reads a part entry by entry and passes over the promoted indexes.
func (m *partMaker) readFar(t *Table, from, end int64) error {
	m.w.open(t.index, ReadOptions{Sequential: true})
	block := t.index.blockSize
	m.w.ahead.limit((end+block-1)/block*block, partReadBytes)
	m.w.seek(from)
	var e indexEntry
	for m.w.pos < end {
		start := m.w.pos
		if err := readEntry(&m.w, &e, t.data.size); err != nil {
			return err
		}
		if err := m.add(t, start, e.key, e.dataPos, e.size > 0); err != nil {
			return err
		}
		m.w.seek(e.promoted + e.size)
	}
	return nil
}

func (m *partMaker) add(t *Table, start int64, key []byte, dataPos int64, promoted bool) error {
	prefix := t.o.Partitioner.Prefix(key)
	if n := len(m.prefixes); n > 0 && prefix < m.prefixes[n-1] {
		return t.index.corrupt(start, errIndexOrder)
	}
	place := uint64(dataPos) << 1
	if promoted {
		place = uint64(start)<<1 | 1
	}
	m.prefixes, m.places = append(m.prefixes, prefix), append(m.places, place)
	return nil
}

func (m *partMaker) encode(dst part) {
	for i, v := range m.prefixes {
		binary.LittleEndian.PutUint64(dst[8*i:], v)
	}
	for i, v := range m.places {
		binary.LittleEndian.PutUint64(dst[len(dst)/2+8*i:], v)
	}
}

// lookUp finds a key's entry among those of a part by the prefix of its token.
// Whoever reads on has to compare the key. many tells that several keys have the
// prefix: then Index has to be walked through.
func (t *Table) lookUp(p *partition, at int, prefix uint64, e *indexEntry) (found, many bool, err error) {
	h, err := t.part(at, p.w.nonBlocking)
	if err != nil {
		return false, false, err
	}
	defer h.Release()
	all := part(h.Bytes())
	i := all.find(prefix)
	switch {
	case i == all.len() || all.prefix(i) != prefix:
		return false, false, nil
	case i+1 < all.len() && all.prefix(i+1) == prefix:
		return false, true, nil
	}
	pos, inIndex := all.place(i)
	if !inIndex {
		*e = indexEntry{dataPos: pos}
		return true, false, nil
	}
	p.index.w.seek(pos)
	return true, false, readEntry(&p.index.w, e, t.data.size)
}

// find finds a key in the part of Index that begins with an entry of the
// summary and opens its partition. Equality of the bytes is enough: a key that
// is there is in this part.
func (t *Table) find(p *partition, at int, want wanted) (bool, error) {
	var e indexEntry
	found, many, err := t.lookUp(p, at, want.key.Prefix, &e)
	if err != nil || (!found && !many) {
		return false, err
	}
	if found {
		e.key = want.key.Bytes
		// Data says which key it is. Another of the same token is rare, and that the
		// files contradict each other is rarer: Index tells them apart.
		if err = p.openAt(want.view, &e, want.key.Prefix, want.filter); !errors.Is(err, errKey) {
			return err == nil, err
		}
	}
	return t.walk(p, at, want)
}

// walk is find for keys that share their token's prefix.
func (t *Table) walk(p *partition, at int, want wanted) (bool, error) {
	w, end := &p.index.w, t.partEnd(at)
	w.seek(t.summary.offsets[at])
	var e indexEntry
	for w.pos < end {
		if err := readEntry(w, &e, t.data.size); err != nil {
			return false, err
		}
		if string(e.key) == string(want.key.Bytes) {
			return true, p.openAt(want.view, &e, want.key.Prefix, want.filter)
		}
		w.seek(e.promoted + e.size)
	}
	return false, nil
}
