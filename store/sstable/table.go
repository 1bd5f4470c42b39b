package sstable

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"helenus/internal/assert"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/cache"
	"helenus/store/row"
	"helenus/store/vfs"
)

// OpenOptions say which set to open and how.
type OpenOptions struct {
	FS          vfs.FS
	Dir         string
	Descriptor  Descriptor
	Table       *schema.Table
	Partitioner token.Partitioner
	Cache       *cache.Cache
	// ReadOnly keeps Open from adding Checksums.db to a foreign set.
	ReadOnly bool
}

// Table is an open set of files. It begins with one reference, the opener's;
// the last Unref closes the files, and removes them if the table is obsolete.
// All methods may be called by many goroutines.
type Table struct {
	o       OpenOptions
	layout  layout
	meta    *Meta
	view    atomic.Pointer[view]
	other   atomic.Pointer[view] // the last one that a read brought along
	filter  *bloomFilter
	summary *summary
	data    *blockFile
	index   *blockFile
	info    *compressionInfo // nil: not compressed
	sums    checksums
	bytes   int64 // of all components

	refs       atomic.Int32
	obsolete   atomic.Pointer[func() error]
	partitions sync.Pool // *partition
	parts      uint64    // what the cache knows the parts by
	makers     sync.Pool // *partMaker
}

// view is the schema in use with the columns of the file related to it.
type view struct {
	table   *schema.Table
	mapping *mapping
}

// SetSchema makes later reads return rows of a changed table.
func (t *Table) SetSchema(s *schema.Table) error {
	v, err := t.resolve(s, false)
	if err == nil {
		t.view.Store(v)
	}
	return err
}

// resolve relates the file to a schema. What a read brings along may be older
// than the file: then it does not know of columns that came since.
func (t *Table) resolve(s *schema.Table, older bool) (*view, error) {
	m, err := t.meta.header.resolve(s, older)
	if err != nil {
		return nil, fmt.Errorf("sstable: %v of %s: %w", t.o.Descriptor, s.QualifiedName(), err)
	}
	return &view{s, m}, nil
}

// viewOf gives the view of a schema; nil stands for the present one.
func (t *Table) viewOf(s *schema.Table) (*view, error) {
	v := t.view.Load()
	if s == nil || v.table == s {
		return v, nil
	}
	if o := t.other.Load(); o != nil && o.table == s {
		return o, nil
	}
	v, err := t.resolve(s, true)
	if err == nil {
		t.other.Store(v)
	}
	return v, err
}

// Ref takes a reference; false when the last one is gone.
func (t *Table) Ref() bool {
	for {
		n := t.refs.Load()
		if n <= 0 {
			return false
		}
		if t.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Unref gives a reference back.
func (t *Table) Unref() error {
	n := t.refs.Add(-1)
	if n < 0 {
		assert.That(false, "sstable: %v: more references given back than taken", t.o.Descriptor)
	}
	if n > 0 {
		return nil
	}
	err := errors.Join(t.data.close(), t.index.close())
	t.o.Cache.DropFile(t.parts)
	if remove := t.obsolete.Load(); remove != nil {
		err = errors.Join(err, (*remove)())
	}
	return err
}

// MarkObsolete makes the last Unref call remove, once the files are closed:
// usually Txn.Release of the transaction that replaced the table.
func (t *Table) MarkObsolete(remove func() error) { t.obsolete.Store(&remove) }

// Descriptor names the set.
func (t *Table) Descriptor() Descriptor { return t.o.Descriptor }

// Dir is its folder.
func (t *Table) Dir() string { return t.o.Dir }

// Meta is what the set says about itself; it must not be changed.
func (t *Table) Meta() *Meta { return t.meta }

// Bytes is the size of all files.
func (t *Table) Bytes() int64 { return t.bytes }

// DataBytes is the uncompressed size of the rows.
func (t *Table) DataBytes() int64 { return t.data.size }

// FirstKey is the least key in token order.
func (t *Table) FirstKey() row.Key {
	return row.Key{Prefix: t.o.Partitioner.Prefix(t.summary.first), Bytes: t.summary.first}
}

// LastKey is the greatest key in token order.
func (t *Table) LastKey() row.Key {
	return row.Key{Prefix: t.o.Partitioner.Prefix(t.summary.last), Bytes: t.summary.last}
}

// Covers tells whether a key lies between the first and the last.
func (t *Table) Covers(k row.Key) bool {
	p := t.o.Partitioner
	first, last := t.FirstKey(), t.LastKey()
	return compareKeys(p, first.Prefix, first.Bytes, k.Prefix, k.Bytes) <= 0 &&
		compareKeys(p, k.Prefix, k.Bytes, last.Prefix, last.Bytes) <= 0
}

// MayContain is false only if the key is not in the table: key range and filter.
func (t *Table) MayContain(k row.Key) bool {
	return t.Covers(k) && t.filter.mayContain(HashKey(k.Bytes))
}

// Keys is how many partitions the table holds.
func (t *Table) Keys() int64 { return t.meta.Partitions() }

// MemoryBytes is what the table holds in memory besides the cache.
func (t *Table) MemoryBytes() int64 {
	n := int64(len(t.summary.prefixes))*20 + int64(len(t.summary.keys))
	if t.filter != nil {
		n += int64(len(t.filter.words)) * 8
	}
	if t.info != nil {
		n += int64(len(t.info.offsets)) * 8
	}
	for _, s := range t.sums {
		n += int64(len(s.sums)) * 4
	}
	return n
}

// Get reads one partition; nil when it is not in the table. The caller closes
// what it gets, and holds a reference until then.
func (t *Table) Get(key row.Key, filter *row.Filter, o ReadOptions) (row.Partition, error) {
	var hash KeyHash
	if o.Hash != nil {
		hash = *o.Hash
	} else {
		hash = HashKey(key.Bytes)
	}
	if !t.filter.mayContain(hash) {
		return nil, nil
	}
	at := t.summary.find(t.o.Partitioner, key.Prefix, key.Bytes)
	if at < 0 {
		return nil, nil
	}
	v, err := t.viewOf(o.Table)
	if err != nil {
		return nil, err
	}
	p := t.partition(o)
	found, err := t.find(p, at, wanted{key, filter, v})
	if err != nil || !found {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (t *Table) partition(o ReadOptions) *partition {
	p, _ := t.partitions.Get().(*partition)
	if p == nil {
		p = t.newPartition()
	}
	p.pooled = true
	p.w.open(t.data, o)
	p.index.w.open(t.index, o)
	return p
}

func (t *Table) newPartition() *partition {
	d := rowDecoder{layout: t.layout, bases: t.meta.header.bases}
	return &partition{t: t, d: d, statics: d}
}

// wanted is a partition that is looked for.
type wanted struct {
	key    row.Key
	filter *row.Filter
	view   *view
}

// SampledPrefixes are the token prefixes of every so-many-th key, ascending, as
// a picture of how the keys lie. The slice must not be changed.
func (t *Table) SampledPrefixes() []uint64 { return t.summary.prefixes }
