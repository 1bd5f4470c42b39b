package row

import (
	"bytes"
	"cmp"
)

// CompareKeys orders keys as the store does; tie is the partitioner's
// CompareTie, asked when prefixes are equal.
func CompareKeys(a, b Key, tie func(a, b []byte) int) int {
	if a.Prefix != b.Prefix {
		return cmp.Compare(a.Prefix, b.Prefix)
	}
	if bytes.Equal(a.Bytes, b.Bytes) {
		return 0
	}
	return tie(a.Bytes, b.Bytes)
}

// NoPartitions has nothing.
func NoPartitions() Partitions { return noPartitions{} }

type noPartitions struct{}

func (noPartitions) Next() (Partition, error) { return nil, nil }
func (noPartitions) Close() error             { return nil }

// MergePartitions merges sources that are each in the order of keys into one
// where every key comes once. reversed is the direction within partitions.
// Close closes the sources.
func MergePartitions(tie func(a, b []byte) int, reversed bool, sources ...Partitions) Partitions {
	if len(sources) == 1 {
		return sources[0]
	}
	return mergePartitions(tie, reversed, nil, sources)
}

// Resolve is MergePartitions of what replicas answered, of which lacks learns
// what each of them does not have; of a partition it has learned all when the
// next one is asked for, or at Close. There are two sources at least.
func Resolve(tie func(a, b []byte) int, reversed bool, lacks *Lacks, sources ...Partitions) Partitions {
	return mergePartitions(tie, reversed, lacks, sources)
}

func mergePartitions(tie func(a, b []byte) int, reversed bool, lacks *Lacks, sources []Partitions) Partitions {
	m := &partitionsMerger{tie: tie, reversed: reversed, from: sources}
	m.merger.lacks = lacks
	m.current, m.keys = make([]Partition, len(sources)), make([]Key, len(sources))
	for i := range sources {
		m.due = append(m.due, int32(i))
	}
	return m
}

type partitionsMerger struct {
	tie      func(a, b []byte) int
	reversed bool
	from     []Partitions
	current  []Partition
	keys     []Key   // of current
	due      []int32 // sources to be stepped
	heap     []int32
	group    []Partition
	merger   Merger
	open     bool // merger is in use
}

func (m *partitionsMerger) Next() (Partition, error) {
	m.finish()
	for len(m.due) > 0 {
		i := m.due[len(m.due)-1]
		p, err := m.from[i].Next()
		if err != nil {
			return nil, err
		}
		m.due = m.due[:len(m.due)-1]
		if m.current[i] = p; p != nil {
			m.keys[i] = p.Key()
			m.heap = pushHeap(m.heap, i, m.less)
		}
	}
	if len(m.heap) == 0 {
		return nil, nil
	}
	m.group = m.group[:0]
	m.pop()
	key := m.keys[m.due[0]]
	for len(m.heap) > 0 && CompareKeys(m.keys[m.heap[0]], key, m.tie) == 0 {
		m.pop()
	}
	if m.merger.lacks != nil {
		return m.all(key), nil
	}
	for _, i := range m.due {
		m.group = append(m.group, m.current[i])
	}
	m.open = len(m.group) > 1
	return m.merger.Reset(m.reversed, m.group), nil
}

// all merges the partitions that are due with nothing in place of those that
// other sources do not have: then a source is an input of its own number.
func (m *partitionsMerger) all(key Key) Partition {
	for range m.from {
		m.group = append(m.group, absent(key))
	}
	for _, i := range m.due {
		m.group[i] = m.current[i]
	}
	m.open = true
	return m.merger.Reset(m.reversed, m.group)
}

// absent is a partition that a source does not have.
type absent Key

func (a absent) Key() Key                   { return Key(a) }
func (a absent) Deletion() Deletion         { return Live() }
func (a absent) StaticRow() *Row            { return nil }
func (a absent) Next() (*Unfiltered, error) { return nil, nil }
func (a absent) Close() error               { return nil }

// finish lets go of the partition given out last. Its sources are not closed
// one by one: stepping a Partitions ends the life of its last Partition.
func (m *partitionsMerger) finish() {
	if m.open {
		if m.merger.lacks != nil {
			m.merger.lacks.end(&m.merger)
		}
		clear(m.merger.from)
		m.merger.from = m.merger.from[:0]
		m.open = false
	}
}

func (m *partitionsMerger) Close() error {
	m.finish()
	var first error
	for _, p := range m.from {
		if err := p.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.from, m.heap, m.due = nil, nil, nil
	return first
}

func (m *partitionsMerger) less(i, j int32) bool {
	if a, b := m.keys[i].Prefix, m.keys[j].Prefix; a != b {
		return a < b
	}
	if d := CompareKeys(m.keys[i], m.keys[j], m.tie); d != 0 {
		return d < 0
	}
	return i < j
}

// pop moves the first source of heap to due.
func (m *partitionsMerger) pop() {
	m.due = append(m.due, m.heap[0])
	m.heap = popHeap(m.heap, m.less)
}
