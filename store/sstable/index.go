package sstable

import (
	"helenus/store/row"
)

// indexBlocks builds the promoted index of one partition: where in it the
// blocks of rows begin, what they span, and which deletion is open at their end.
type indexBlocks struct {
	infos   []byte
	offsets []byte // i32 each
	count   int
	header  int64 // bytes before the first row
	from    int64 // where the current block began
	first   []byte
	last    []byte
	open    row.Deletion
	any     bool // the current block holds something
}

func (b *indexBlocks) start(header int64) {
	b.infos, b.offsets, b.count = b.infos[:0], b.offsets[:0], 0
	b.header, b.from, b.open, b.any = header, header, row.Live(), false
}

// appendPrefix appends a clustering as IndexInfo holds it.
func appendPrefix(dst []byte, u *row.Unfiltered) []byte {
	if u.Row != nil {
		return append(append(dst, kindRow), u.Row.Clustering.Values...)
	}
	m := u.Marker
	dst = appendU16(append(dst, markerKind(m)), uint16(m.Size))
	if m.Size > 0 {
		dst = append(dst, m.Bound.Values...)
	}
	return dst
}

// add notes what was written up to end, counted from the partition's start.
func (b *indexBlocks) add(u *row.Unfiltered, end int64, w *Writer) {
	if !b.any {
		b.any = true
		b.first = appendPrefix(b.first[:0], u)
	}
	b.last = appendPrefix(b.last[:0], u)
	if u.Marker != nil {
		b.open = u.Marker.After
	}
	if end-b.from >= int64(w.o.ColumnIndexBytes) {
		b.close(end, w.layout)
	}
}

func (b *indexBlocks) close(end int64, l layout) {
	b.offsets = appendU32(b.offsets, uint32(len(b.infos)))
	b.infos = append(b.infos, b.first...)
	b.infos = append(b.infos, b.last...)
	b.infos = appendUvint(b.infos, uint64(b.from))
	b.infos = appendSvint(b.infos, end-b.from-indexBlockWidthBase)
	b.infos = appendBool(b.infos, !b.open.IsLive())
	if !b.open.IsLive() {
		b.infos = l.appendDeletion(b.infos, b.open)
	}
	b.count++
	b.from, b.any = end, false
}

// end closes the last block; the mark at the partition's end belongs to it. An
// only block is not written, so nothing is made of it.
func (b *indexBlocks) end(end int64, w *Writer) {
	if b.any && b.count > 0 {
		b.close(end, w.layout)
	}
}

// appendPromoted appends the length of the promoted index and the index itself,
// which is left out for a partition of one block.
func (b *indexBlocks) appendPromoted(dst []byte, l layout, d row.Deletion) []byte {
	if b.count < 2 {
		return append(dst, 0)
	}
	var head [9 + deletionSizeMax + 9]byte
	h := appendUvint(head[:0], uint64(b.header))
	h = l.appendDeletion(h, d)
	h = appendUvint(h, uint64(b.count))
	dst = appendUvint(dst, uint64(len(h)+len(b.infos)+len(b.offsets)))
	dst = append(dst, h...)
	dst = append(dst, b.infos...)
	return append(dst, b.offsets...)
}
