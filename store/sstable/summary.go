package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"helenus/internal/token"
)

// summaryInterval is how many partitions lie between two entries of the
// summary: Cassandra's min_index_interval with full sampling.
const summaryInterval = 128

// summary says where in Index.db to look for a key. The slices hold no
// pointers; a look-up touches only prefixes unless they tie.
type summary struct {
	prefixes []uint64 // of the sampled keys' tokens, ascending
	offsets  []int64  // of their entries in Index
	keys     []byte   // one behind the other
	keyEnds  []uint32
	first    []byte
	last     []byte
}

func (s *summary) add(prefix uint64, key []byte, offset int64) {
	s.prefixes = append(s.prefixes, prefix)
	s.offsets = append(s.offsets, offset)
	s.keys = append(s.keys, key...)
	s.keyEnds = append(s.keyEnds, uint32(len(s.keys)))
}

func (s *summary) key(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = s.keyEnds[i-1]
	}
	return s.keys[from:s.keyEnds[i]]
}

// find gives the index of the last entry at or before a key; -1 when the key
// comes before all.
func (s *summary) find(p token.Partitioner, prefix uint64, key []byte) int {
	n := sort.Search(len(s.prefixes), func(i int) bool {
		if s.prefixes[i] != prefix {
			return s.prefixes[i] > prefix
		}
		return p.CompareTie(s.key(i), key) > 0
	})
	return n - 1
}

// findPrefix gives the index of the last entry whose prefix is smaller.
func (s *summary) findPrefix(prefix uint64) int {
	return sort.Search(len(s.prefixes), func(i int) bool { return s.prefixes[i] >= prefix }) - 1
}

// encode gives Summary.db.
func (s *summary) encode() []byte {
	n := len(s.offsets)
	dst := appendU32(nil, summaryInterval)
	dst = appendU32(dst, uint32(n))
	dst = appendU64(dst, uint64(4*n+len(s.keys)+8*n))
	dst = appendU32(dst, summaryInterval)
	dst = appendU32(dst, uint32(n))
	at := uint32(4 * n)
	for i := range n {
		dst = binary.LittleEndian.AppendUint32(dst, at)
		at += uint32(len(s.key(i))) + 8
	}
	for i := range n {
		dst = append(dst, s.key(i)...)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.offsets[i]))
	}
	return appendBlock32(appendBlock32(dst, s.first), s.last)
}

func decodeSummary(b []byte, p token.Partitioner, indexSize int64) (*summary, error) {
	d := decoder{all: b}
	d.u32() // the interval, and below the sampling: any density serves
	n := int(d.u32())
	size := d.i64()
	d.u32()
	d.u32()
	if d.err != nil || n < 1 || size < int64(n)*12 || size > int64(len(b)-d.at) {
		return nil, fmt.Errorf("%d entries in %d bytes", n, size)
	}
	table := d.take(int(size))
	s := &summary{prefixes: make([]uint64, 0, n), offsets: make([]int64, 0, n), keyEnds: make([]uint32, 0, n),
		keys: make([]byte, 0, int(size)-12*n)}
	next := uint32(4 * n)
	for i := range n {
		from, to := binary.LittleEndian.Uint32(table[4*i:]), uint32(size)
		if i+1 < n {
			to = binary.LittleEndian.Uint32(table[4*i+4:])
		}
		if from != next || to < from+8 || int64(to) > size {
			return nil, fmt.Errorf("entry %d at %d to %d of %d", i, from, to, size)
		}
		next = to
		key := table[from : to-8]
		offset := int64(binary.LittleEndian.Uint64(table[to-8:]))
		if offset < 0 || offset >= indexSize || (i > 0 && offset <= s.offsets[i-1]) {
			return nil, fmt.Errorf("entry %d points to %d of %d", i, offset, indexSize)
		}
		prefix := p.Prefix(key)
		if i > 0 && compareKeys(p, s.prefixes[i-1], s.key(i-1), prefix, key) >= 0 {
			return nil, fmt.Errorf("entry %d out of order", i)
		}
		s.add(prefix, key, offset)
	}
	s.first, s.last = bytes.Clone(d.block32()), bytes.Clone(d.block32())
	d.end()
	if d.err == nil && (s.offsets[0] != 0 || !bytes.Equal(s.first, s.key(0))) {
		d.failf("the first entry is not the first key")
	}
	return s, d.err
}

// compareKeys orders partition keys: by the prefixes of their tokens, then by
// the rest.
func compareKeys(p token.Partitioner, aPrefix uint64, a []byte, bPrefix uint64, b []byte) int {
	switch {
	case aPrefix < bPrefix:
		return -1
	case aPrefix > bPrefix:
		return 1
	}
	return p.CompareTie(a, b)
}
