package sstable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"helenus/internal/cql/schema"
	"helenus/store/row"
	"helenus/store/vfs"
)

// metaMax bounds the components that are read as a whole.
const metaMax = 1 << 30

// Open opens a set: it reads statistics, compression info, filter and summary,
// and checks them against Checksums.db. A foreign set, which has none, is
// checked in full and gets one. Filter and summary are made anew from the index
// when they are missing or damaged.
func Open(o OpenOptions) (*Table, error) {
	t := &Table{o: o}
	t.refs.Store(1)
	t.parts = o.Cache.NextFile()
	if err := t.open(); err != nil {
		err = errors.Join(err, t.closeFiles())
		return nil, fmt.Errorf("sstable: open %v in %s: %w", o.Descriptor, o.Dir, err)
	}
	return t, nil
}

func (t *Table) closeFiles() (err error) {
	for _, f := range []*blockFile{t.data, t.index} {
		if f != nil && f.file != nil {
			err = errors.Join(err, f.close())
		}
	}
	return err
}

func (t *Table) open() (err error) {
	if t.layout, err = t.o.Descriptor.Version.layout(); err != nil {
		return err
	}
	if err := t.readChecksums(); err != nil {
		return err
	}
	if err := t.readMeta(); err != nil {
		return err
	}
	if t.data, err = t.openFile(Data); err != nil {
		return err
	}
	if t.index, err = t.openFile(Index); err != nil {
		return err
	}
	if err := t.readCompression(); err != nil {
		return err
	}
	foreign := t.sums == nil
	if foreign {
		if err := t.sumAll(); err != nil {
			return err
		}
	}
	t.index.sums, t.data.sums = t.sums[Index], t.sums[Data]
	t.index.blockSize = t.index.sums.block
	if t.info == nil {
		t.data.blockSize = t.data.sums.block
	}
	for _, f := range []*blockFile{t.data, t.index} {
		if c := f.sums.bytes; c != f.stored {
			return f.corrupt(-1, fmt.Errorf("%d bytes, should be %d", f.stored, c))
		}
	}
	if err := t.readLookup(); err != nil || !foreign {
		return err
	}
	return t.adopt()
}

func (t *Table) corrupt(c Component, offset int64, err error) error {
	return &corruptError{t.o.Descriptor.File(c), offset, err}
}

// read gives a whole component, checked if there are checksums; nil when there
// is no such file.
func (t *Table) read(c Component) ([]byte, error) {
	b, err := vfs.ReadFile(t.o.FS, path(t.o.Dir, t.o.Descriptor, c), metaMax)
	if errors.Is(err, fs.ErrNotExist) {
		if _, listed := t.sums[c]; listed {
			return nil, t.corrupt(c, -1, errors.New("missing"))
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = []byte{}
	}
	if t.sums != nil {
		sums, listed := t.sums[c]
		if !listed {
			return nil, t.corrupt(c, -1, errors.New("not among the components"))
		}
		if at, err := sums.checkAll(b); err != nil {
			return b, t.corrupt(c, at, err)
		}
	}
	return b, nil
}

func (t *Table) readChecksums() error {
	b, err := t.read(Checksums)
	if err != nil || b == nil {
		return err
	}
	if t.sums, err = decodeChecksums(b); err != nil {
		return t.corrupt(Checksums, -1, err)
	}
	for _, c := range []Component{Data, Index, Statistics} {
		if _, ok := t.sums[c]; !ok {
			return t.corrupt(Checksums, -1, fmt.Errorf("%s is not listed", c))
		}
	}
	return nil
}

// readMeta reads Statistics. It carries its own checksums, and Cassandra's
// tools rewrite it; so its own decide.
func (t *Table) readMeta() error {
	b, err := t.read(Statistics)
	if b == nil {
		return err
	}
	if t.meta, err = decodeMeta(b, t.o.Descriptor.Version, t.layout); err != nil {
		return t.corrupt(Statistics, -1, err)
	}
	if name := t.meta.Partitioner; name != t.o.Partitioner.Name() {
		return fmt.Errorf("partitioned by %s, not %s", name, t.o.Partitioner.Name())
	}
	return t.SetSchema(t.o.Table)
}

func (t *Table) openFile(c Component) (*blockFile, error) {
	f := &blockFile{name: t.o.Descriptor.File(c), cache: t.o.Cache, number: t.o.Cache.NextFile()}
	var err error
	if f.file, err = t.o.FS.OpenRead(path(t.o.Dir, t.o.Descriptor, c)); err != nil {
		return nil, err
	}
	if f.stored, err = f.file.Size(); err != nil {
		return f, err
	}
	f.size = f.stored
	if f.size == 0 {
		return f, f.corrupt(-1, errShort)
	}
	return f, nil
}

func (t *Table) readCompression() error {
	b, err := t.read(CompressionInfo)
	if err != nil || b == nil {
		return err
	}
	f := t.data
	if t.info, err = decodeCompression(b, f.stored); err != nil {
		return t.corrupt(CompressionInfo, -1, err)
	}
	if t.info.dataBytes == 0 {
		return t.corrupt(CompressionInfo, -1, errShort)
	}
	f.info, f.size, f.blockSize = t.info, t.info.dataBytes, int64(t.info.ChunkBytes)
	if f.codec, err = t.info.codec(); err != nil {
		return t.corrupt(CompressionInfo, -1, err)
	}
	return nil
}

// readLookup reads summary and filter, or makes them.
func (t *Table) readLookup() error {
	for _, c := range slices.Sorted(maps.Keys(t.sums)) {
		info, err := t.o.FS.Stat(path(t.o.Dir, t.o.Descriptor, c))
		if err == nil {
			t.bytes += info.Size
		}
	}
	chance := t.meta.FilterChance
	if b, err := t.read(Filter); err == nil && b != nil {
		t.filter, _ = decodeFilter(b)
	} else if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if b, err := t.read(Summary); err == nil && b != nil {
		t.summary, _ = decodeSummary(b, t.o.Partitioner, t.index.size)
	} else if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if t.summary != nil && (t.filter != nil || chance >= 1) {
		return nil
	}
	return t.rebuildLookup(chance)
}

// rebuildLookup goes through the index once.
func (t *Table) rebuildLookup(chance float64) error {
	filter, s := newFilter(max(t.meta.Partitions(), 1), chance), &summary{}
	n := 0
	err := t.eachEntry(func(at int64, e *indexEntry, prefix uint64) error {
		if n%summaryInterval == 0 {
			s.add(prefix, e.key, at)
		}
		if n == 0 {
			s.first = bytes.Clone(e.key)
		}
		if filter != nil {
			filter.add(e.key)
		}
		s.last = append(s.last[:0], e.key...)
		n++
		return nil
	})
	if err != nil {
		return err
	}
	t.filter, t.summary = filter, s
	return nil
}

// eachEntry reads the index from front to back, checking the order.
func (t *Table) eachEntry(fn func(at int64, e *indexEntry, prefix uint64) error) error {
	var w window
	w.open(t.index, ReadOptions{Sequential: true})
	defer w.close()
	var e indexEntry
	var last []byte
	var lastPrefix uint64
	p := t.o.Partitioner
	for first := true; w.left() > 0; first = false {
		at := w.pos
		if err := readEntry(&w, &e, t.data.size); err != nil {
			return err
		}
		prefix := p.Prefix(e.key)
		if !first && compareKeys(p, lastPrefix, last, prefix, e.key) >= 0 {
			return t.index.corrupt(at, errIndexOrder)
		}
		lastPrefix, last = prefix, append(last[:0], e.key...)
		if err := fn(at, &e, prefix); err != nil {
			return err
		}
		w.seek(e.promoted + e.size)
	}
	return nil
}

// allRows is the filter of checks and scans.
func allRows() *row.Filter { return &row.Filter{Slices: row.AllRows()} }

// SchemaOf gives a table's definition as far as a set tells it, for tools that
// have nothing else: types all, names of columns but not of the key's.
func SchemaOf(fsys vfs.FS, dir string, d Descriptor) (*schema.Table, error) {
	l, err := d.Version.layout()
	if err != nil {
		return nil, fmt.Errorf("sstable: schema of %v: %w", d, err)
	}
	b, err := vfs.ReadFile(fsys, path(dir, d, Statistics), metaMax)
	if err != nil {
		return nil, fmt.Errorf("sstable: schema of %v: %w", d, err)
	}
	m, err := decodeMeta(b, d.Version, l)
	if err != nil {
		return nil, &corruptError{d.File(Statistics), -1, err}
	}
	t, err := m.header.schema()
	if err != nil {
		return nil, &corruptError{d.File(Statistics), -1, err}
	}
	return t, nil
}
