package sstable

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"helenus/store/row"
	"helenus/store/vfs"
)

// foreign are the components that another Cassandra may have written.
var foreign = [...]Component{Data, Index, Filter, Summary, Statistics, CompressionInfo, CRC, Digest}

// sumAll takes the files as they are.
func (t *Table) sumAll() error {
	t.sums = checksums{}
	for _, c := range foreign {
		f, err := t.o.FS.OpenRead(path(t.o.Dir, t.o.Descriptor, c))
		if err != nil {
			continue // which are needed, others have checked
		}
		size, err := f.Size()
		if err == nil {
			t.sums[c], err = sumReader(c, f, size)
		}
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// adopt checks a foreign set in full, by all the checksums it has and by
// reading every row, and gives it Checksums.db.
func (t *Table) adopt() error {
	if err := t.checkDigest(); err != nil {
		return err
	}
	if err := t.checkCRC(); err != nil {
		return err
	}
	if err := t.checkRows(); err != nil {
		return err
	}
	if t.o.ReadOnly {
		return nil
	}
	if err := vfs.WriteFile(t.o.FS, path(t.o.Dir, t.o.Descriptor, Checksums), t.sums.encode()); err != nil {
		return err
	}
	toc, err := t.readTOC()
	if err != nil || len(toc) == 0 {
		return err
	}
	return vfs.WriteFile(t.o.FS, path(t.o.Dir, t.o.Descriptor, TOC), tocText(append(toc, Checksums)))
}

func (t *Table) readTOC() (out []Component, err error) {
	b, err := vfs.ReadFile(t.o.FS, path(t.o.Dir, t.o.Descriptor, TOC), 1<<16)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // TOC.txt may be missing
	}
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Fields(string(b)) {
		if c := Component(line); c != Checksums {
			out = append(out, c)
		}
	}
	return out, nil
}

// Verify checks the set: that every component is what was written, and, if
// full, that Data can be read to its end and agrees with Index and Filter.
func (t *Table) Verify(full bool) error {
	for c, want := range t.sums {
		f, err := t.o.FS.OpenRead(path(t.o.Dir, t.o.Descriptor, c))
		if err != nil {
			return fmt.Errorf("sstable: verify %s: %w", t.o.Descriptor.File(c), err)
		}
		err = t.verifyFile(f, c, want)
		f.Close()
		if err != nil {
			return err
		}
	}
	if err := t.checkDigest(); err != nil {
		return err
	}
	if !full {
		return nil
	}
	if err := t.checkCRC(); err != nil {
		return err
	}
	return t.checkRows()
}

func (t *Table) verifyFile(f vfs.File, c Component, want blockSums) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	w := sumWriter{out: blockSums{block: want.block}}
	if _, err := io.Copy(&w, io.NewSectionReader(f, 0, size)); err != nil {
		return err
	}
	got := w.finish()
	if got.bytes != want.bytes {
		return t.corrupt(c, -1, fmt.Errorf("%d bytes, should be %d", got.bytes, want.bytes))
	}
	for i, s := range got.sums {
		if s != want.sums[i] {
			return t.corrupt(c, int64(i)*want.block, fmt.Errorf("checksum mismatch: %08x, should be %08x", s, want.sums[i]))
		}
	}
	return nil
}

// checkDigest compares Data with Digest.crc32, if there is one.
func (t *Table) checkDigest() error {
	if _, ok := t.sums[Digest]; !ok {
		return nil
	}
	b, err := t.read(Digest)
	if err != nil {
		return err
	}
	want, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return t.corrupt(Digest, 0, errors.New("not a number"))
	}
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, io.NewSectionReader(t.data.file, 0, t.data.stored)); err != nil {
		return err
	}
	if h.Sum32() != uint32(want) {
		return t.corrupt(Data, -1, fmt.Errorf("digest mismatch: %d, should be %d", h.Sum32(), want))
	}
	return nil
}

// checkCRC compares Data with CRC.db, which sets have that are not compressed.
func (t *Table) checkCRC() error {
	if _, ok := t.sums[CRC]; !ok {
		return nil
	}
	b, err := t.read(CRC)
	if err != nil {
		return err
	}
	d := decoder{all: b}
	size := int64(d.i32())
	if d.err != nil || size < 1 || size > chunkMax {
		return t.corrupt(CRC, 0, fmt.Errorf("chunks of %d bytes", size))
	}
	chunk := make([]byte, size)
	for at := int64(0); at < t.data.stored; at += size {
		chunk = chunk[:min(size, t.data.stored-at)]
		if err := t.data.readAt(chunk, at); err != nil {
			return err
		}
		if want, got := d.u32(), crc32.ChecksumIEEE(chunk); d.err != nil || want != got {
			return t.corrupt(Data, at, fmt.Errorf("checksum mismatch: %08x, should be %08x", got, want))
		}
	}
	if d.end(); d.err != nil {
		return t.corrupt(CRC, -1, d.err)
	}
	return nil
}

// checkRows reads every row and sees that Index names exactly what is in Data.
func (t *Table) checkRows() error {
	p := t.newPartition()
	o := ReadOptions{Sequential: true}
	p.w.open(t.data, o)
	p.index.w.open(t.index, o)
	defer p.release()
	next, n, sampled := int64(0), int64(0), 0
	err := t.eachEntry(func(at int64, e *indexEntry, prefix uint64) error {
		if e.dataPos != next {
			return t.index.corrupt(at, fmt.Errorf("partition %x at %d in Data, should be %d", e.key, e.dataPos, next))
		}
		if sampled < len(t.summary.offsets) && at == t.summary.offsets[sampled] && string(e.key) == string(t.summary.key(sampled)) {
			sampled++
		}
		if t.filter != nil && !t.filter.mayContain(HashKey(e.key)) {
			return t.corrupt(Filter, -1, fmt.Errorf("partition %x is missing", e.key))
		}
		if err := p.openAt(t.view.Load(), e, prefix, allRows()); err != nil {
			return err
		}
		if err := p.drain(); err != nil {
			return err
		}
		// The mark at the end has been looked at, not passed.
		next = p.w.pos + 1
		n++
		return nil
	})
	if err == nil && next != t.data.size {
		err = t.data.corrupt(next, errors.New("bytes that no index entry names"))
	}
	if want := len(t.summary.offsets); err == nil && sampled != want {
		err = t.corrupt(Summary, -1, fmt.Errorf("%d of %d entries are in the index", sampled, want))
	}
	if want := t.meta.Partitions(); err == nil && n != want {
		err = t.corrupt(Statistics, -1, fmt.Errorf("%d partitions, found %d", want, n))
	}
	return err
}

// drain reads to the end of the partition and sees that rows ascend.
func (p *partition) drain() error {
	var last []byte
	for first := true; ; first = false {
		u, err := p.Next()
		if err != nil || u == nil {
			return err
		}
		order := orderOf(u)
		if !first && string(order) <= string(last) {
			return p.corrupt(errors.New("rows out of order"))
		}
		last = append(last[:0], order...)
	}
}

func orderOf(u *row.Unfiltered) []byte {
	if u.Row != nil {
		return u.Row.Clustering.Order
	}
	return u.Marker.Bound.Order
}
