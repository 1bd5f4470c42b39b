package sstable

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
	"helenus/store/vfs"
)

// WriterOptions say what to write and where.
type WriterOptions struct {
	FS          vfs.FS
	Dir         string
	Table       *schema.Table
	Partitioner token.Partitioner
	Descriptor  Descriptor
	// Txn, when set, records the files before they come into being, so that a
	// crash leaves none of them.
	Txn *Txn
	// Keys is an upper bound of the number of partitions: the filter's size.
	Keys int64
	// Bases of what will be written, as far as known; DefaultBases otherwise.
	Bases Bases
	// ColumnIndexBytes is the size of an index block within a partition; 0: 64 KiB.
	ColumnIndexBytes int
	Level            int32
	RepairedAt       int64
	HostID           [16]byte
	Intervals        []Interval
	// Wrote is called with the growth of Data in bytes, before more is written;
	// it may wait (a throttle), and its error ends the writing.
	Wrote func(bytes int64) error
}

// Writer makes a set of files from partitions in token order.
type Writer struct {
	o       WriterOptions
	layout  layout
	data    *dataWriter
	index   *componentWriter
	filter  *bloomFilter
	summary summary
	stats   *collector
	rows    rowEncoder
	block   indexBlocks

	entry      []byte
	lastKey    []byte
	lastPrefix uint64
	partitions int64
	reported   int64
	sums       checksums
	done       bool
}

// NewWriter begins a set. Exactly one of Finish and Abort ends it.
func NewWriter(o WriterOptions) (*Writer, error) {
	l, err := o.Descriptor.Version.layout()
	if err != nil {
		return nil, fmt.Errorf("sstable: write %v: %w", o.Descriptor, err)
	}
	if o.ColumnIndexBytes == 0 {
		o.ColumnIndexBytes = int(indexBlockWidthBase)
	}
	chunking, err := ChunkingOf(o.Table.Options.Compression)
	if err != nil {
		return nil, err
	}
	if o.Txn != nil {
		if err := o.Txn.Add(o.Descriptor); err != nil {
			return nil, err
		}
	}
	w := &Writer{o: o, layout: l, stats: newCollector(), sums: checksums{}}
	w.rows = rowEncoder{layout: l, bases: o.Bases, table: o.Table}
	w.filter = newFilter(o.Keys, o.Table.Options.BloomFilterFPChance)
	out, err := createComponent(o.FS, o.Dir, o.Descriptor, Data)
	if err != nil {
		return nil, err
	}
	if w.index, err = createComponent(o.FS, o.Dir, o.Descriptor, Index); err != nil {
		out.close()
		return nil, err
	}
	if w.data, err = newDataWriter(out, chunking); err != nil {
		out.close()
		w.index.close()
		return nil, err
	}
	return w, nil
}

// Partitions is how many have been written.
func (w *Writer) Partitions() int64 { return w.partitions }

// DataBytes is the uncompressed size of what has been written.
func (w *Writer) DataBytes() int64 { return w.data.size() }

var errOrder = errors.New("partitions out of order")

// Append writes one partition, or nothing if there is nothing in it. It does
// not close p.
func (w *Writer) Append(p row.Partition) error {
	if err := w.append(p); err != nil {
		return fmt.Errorf("sstable: write %v: %w", w.o.Descriptor, err)
	}
	if w.o.Wrote != nil && w.data.out.size > w.reported {
		n := w.data.out.size - w.reported
		w.reported = w.data.out.size
		if err := w.o.Wrote(n); err != nil {
			return err
		}
	}
	if w.data.err != nil {
		return w.data.err
	}
	if w.data.out.err != nil {
		return w.data.out.err
	}
	return w.index.err
}

func (w *Writer) append(p row.Partition) error {
	u, err := p.Next()
	if err != nil {
		return err
	}
	deletion, static := p.Deletion(), p.StaticRow()
	if u == nil && static == nil && deletion.IsLive() {
		return nil
	}
	key := p.Key()
	if err := w.startPartition(key, deletion); err != nil {
		return err
	}
	start := w.data.size()
	if err := w.appendHead(key, deletion, static); err != nil {
		return err
	}
	at := w.data.size() - start
	w.block.start(at)
	for previous := int64(0); u != nil; u, err = p.Next() {
		if w.data.pending, err = w.encode(w.data.pending, u, at-previous); err != nil {
			return err
		}
		w.data.cut()
		previous, at = at, w.data.size()-start
		w.block.add(u, at, w)
	}
	if err != nil {
		return err
	}
	w.data.pending = append(w.data.pending, flagEnd)
	w.data.cut()
	w.block.end(at+1, w)
	w.stats.endPartition(at + 1)
	w.writeEntry(key, start, deletion)
	return nil
}

// appendHead begins a partition in Data: key, deletion, static row.
func (w *Writer) appendHead(key row.Key, deletion row.Deletion, static *row.Row) (err error) {
	buf := appendBlock16(w.data.pending, key.Bytes)
	buf = w.layout.appendDeletion(buf, deletion)
	if len(w.o.Table.Statics) > 0 {
		if static == nil {
			static = &row.Row{Static: true, Liveness: row.NoLiveness(), Deletion: row.Live()}
		} else {
			w.stats.row(static)
		}
		if buf, err = w.rows.appendRow(buf, static, 0); err != nil {
			return err
		}
	}
	w.data.pending = buf
	return nil
}

func (w *Writer) startPartition(key row.Key, deletion row.Deletion) error {
	if len(key.Bytes) > math.MaxUint16 {
		return fmt.Errorf("a key of %d bytes", len(key.Bytes))
	}
	if w.partitions > 0 && compareKeys(w.o.Partitioner, w.lastPrefix, w.lastKey, key.Prefix, key.Bytes) >= 0 {
		return fmt.Errorf("%w: %x after %x", errOrder, key.Bytes, w.lastKey)
	}
	if !deletion.IsLive() {
		if err := w.rows.checkLocal(deletion.LocalTime); err != nil {
			return err
		}
		if w.layout.longDeletionTime && deletion.Timestamp < 0 {
			return fmt.Errorf("a partition deletion at %d, which %s cannot express", deletion.Timestamp, w.o.Descriptor.Version)
		}
	}
	w.lastPrefix, w.lastKey = key.Prefix, append(w.lastKey[:0], key.Bytes...)
	w.stats.startPartition(key.Bytes, deletion)
	return nil
}

func (w *Writer) encode(dst []byte, u *row.Unfiltered, previous int64) ([]byte, error) {
	if u.Marker != nil {
		w.stats.marker(u.Marker)
		return w.rows.appendMarker(dst, u.Marker, previous)
	}
	w.stats.row(u.Row)
	return w.rows.appendRow(dst, u.Row, previous)
}

// writeEntry adds the partition to Index, and to the summary and filter.
func (w *Writer) writeEntry(key row.Key, start int64, deletion row.Deletion) {
	if w.partitions%summaryInterval == 0 {
		w.summary.add(key.Prefix, key.Bytes, w.index.size)
	}
	if w.partitions == 0 {
		w.summary.first = append([]byte(nil), key.Bytes...)
	}
	if w.filter != nil {
		w.filter.add(key.Bytes)
	}
	w.partitions++
	w.entry = appendBlock16(w.entry[:0], key.Bytes)
	w.entry = appendUvint(w.entry, uint64(start))
	w.entry = w.block.appendPromoted(w.entry, w.layout, deletion)
	w.index.write(w.entry)
}

// Abort ends the writing and leaves the files to the transaction.
func (w *Writer) Abort() {
	if !w.done {
		w.done = true
		w.data.out.close()
		w.index.close()
	}
}

// Finish completes the set: every component durable, TOC.txt last, then the
// names. A set without partitions is not made; then the result is nil, and its
// files are removed.
func (w *Writer) Finish() (*Meta, error) {
	if w.partitions == 0 {
		w.Abort()
		return nil, w.discard()
	}
	w.done = true
	w.summary.last = w.lastKey
	meta, err := w.finish()
	if err != nil {
		w.data.out.close()
		w.index.close()
		return nil, err
	}
	return meta, nil
}

func (w *Writer) discard() error {
	for _, c := range []Component{Data, Index} {
		if err := w.o.FS.Remove(path(w.o.Dir, w.o.Descriptor, c)); err != nil {
			return fmt.Errorf("sstable: remove %s: %w", w.o.Descriptor.File(c), err)
		}
	}
	// Else they could be back, as half a set, after the transaction's end.
	if err := w.o.FS.SyncDir(w.o.Dir); err != nil {
		return fmt.Errorf("sstable: sync %s: %w", w.o.Dir, err)
	}
	return nil
}

func (w *Writer) finish() (*Meta, error) {
	var err error
	if w.sums[Data], err = w.data.finish(); err != nil {
		return nil, err
	}
	if w.sums[Index], err = w.index.finish(); err != nil {
		return nil, err
	}
	meta := w.meta()
	if w.filter != nil {
		err = w.whole(Filter, w.filter.append(nil))
	}
	if err == nil {
		err = w.whole(Summary, w.summary.encode())
	}
	if err == nil {
		err = w.whole(Statistics, meta.encode(w.o.Descriptor.Version, w.layout, w.o.Table.ClusteringTypes()))
	}
	if err == nil && w.data.codec != nil {
		err = w.whole(CompressionInfo, w.data.info.encode())
	} else if err == nil {
		err = w.whole(CRC, w.data.crcs)
	}
	if err == nil {
		err = w.whole(Digest, strconv.AppendUint(nil, uint64(w.data.digest), 10))
	}
	if err != nil {
		return nil, err
	}
	if err := w.whole(Checksums, w.sums.encode()); err != nil {
		return nil, err
	}
	if err := w.whole(TOC, w.components()); err != nil {
		return nil, err
	}
	if err := w.o.FS.SyncDir(w.o.Dir); err != nil {
		return nil, fmt.Errorf("sstable: sync %s: %w", w.o.Dir, err)
	}
	return meta, nil
}

func (w *Writer) components() []byte {
	var all []Component
	for _, c := range []Component{Data, Index, Filter, Summary, Statistics, CompressionInfo, CRC, Digest} {
		if _, ok := w.sums[c]; ok {
			all = append(all, c)
		}
	}
	return tocText(append(all, Checksums, TOC))
}

func (w *Writer) meta() *Meta {
	m := w.stats.finish(w.o.Table, w.layout)
	m.Partitioner = w.o.Partitioner.Name()
	m.FilterChance = w.o.Table.Options.BloomFilterFPChance
	if w.data.codec != nil && w.data.size() > 0 {
		m.CompressionRatio = float64(w.data.out.size) / float64(w.data.size())
	}
	m.Level, m.RepairedAt = w.o.Level, w.o.RepairedAt
	m.Intervals, m.HostID = w.o.Intervals, w.o.HostID
	m.FirstKey, m.LastKey = w.summary.first, w.summary.last
	m.header = headerOf(w.o.Table, w.rows.bases)
	return m
}

// whole writes a small component.
func (w *Writer) whole(c Component, content []byte) error {
	out, err := createComponent(w.o.FS, w.o.Dir, w.o.Descriptor, c)
	if err != nil {
		return err
	}
	out.write(content)
	sums, err := out.finish()
	if c != Checksums && c != TOC {
		w.sums[c] = sums
	}
	return err
}

// Write makes a whole set of what ps holds and closes ps. Meta is nil when
// there was nothing.
func Write(o WriterOptions, ps row.Partitions) (meta *Meta, err error) {
	defer func() {
		if cerr := ps.Close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	w, err := NewWriter(o)
	if err != nil {
		return nil, err
	}
	for {
		p, err := ps.Next()
		if err == nil && p != nil {
			err = w.Append(p)
			if cerr := p.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			w.Abort()
			return nil, err
		}
		if p == nil {
			return w.Finish()
		}
	}
}
