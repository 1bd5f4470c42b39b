package memtable

import (
	"bytes"
	"encoding/binary"

	"helenus/store/row"
)

// largeWriter changes large partitions; it holds a shard's buffers. Its caller
// holds the shard's lock.
type largeWriter struct {
	s        *shard
	record   []byte
	e        row.Encoding
	sequence uint64
	rows     list
	marks    list

	random  uint64
	merges  [2]row.RowMerger // in turn: each result is the next one's source
	group   [2]*row.Row
	scratch row.Scratch
	data    []byte
	from    row.Arena // the marker that opened a range
	marker  row.Marker
	start   row.Marker
	preds   preds
}

// newLarge makes an empty large record.
func (w *largeWriter) newLarge(key []byte, base, local int64) (ref, []byte) {
	a := &w.s.arena
	r, b := a.alloc(largeKey + len(key))
	b[0] = kindLarge
	binary.LittleEndian.PutUint16(b[recordKeyLen:], uint16(len(key)))
	copy(b[largeKey:], key)
	setI64(b, recordLeast, emptyStats().MinTimestamp)
	setI64(b, largeGreatest, emptyStats().MaxTimestamp)
	setI64(b, recordBase, base)
	setI64(b, recordLocal, local)
	putDeletion(b[largeDeletion:], row.Live())
	w.empty(b)
	return r, b
}

// empty gives a record new lists; readers keep the ones before.
func (w *largeWriter) empty(record []byte) {
	a := &w.s.arena
	setI64(record, largeRows, int64(newList(a).head))
	setI64(record, largeMarkers, int64(newList(a).head))
	setI64(record, largeStatic, int64(newNode(a, 0, row.Clustering{}, 0, false)))
	setI64(record, largeLiveMarks, 0) // and the dead ones
}

// apply makes p part of a large record, visible as a whole at its end.
func (w *largeWriter) apply(record []byte, e row.Encoding, p row.Partition, st *Stats) error {
	w.record, w.e = record, e
	w.e.Timestamp, w.e.LocalTime, w.e.Form = i64(record, recordBase), i64(record, recordLocal), row.Bare
	w.sequence = uint64(i64(record, largeSequence)) + 1
	a := &w.s.arena
	if d := p.Deletion(); d.Supersedes(getDeletion(record[largeDeletion:])) {
		if i64(record, largeGreatest) < d.Timestamp {
			w.empty(record) // nothing before it counts any more
		}
		putDeletion(record[largeDeletion:], d)
	}
	w.rows = list{a, ref(i64(record, largeRows))}
	w.marks = list{a, ref(i64(record, largeMarkers))}
	if s := p.StaticRow(); s != nil {
		if err := w.row(ref(i64(record, largeStatic)), s); err != nil {
			return err
		}
	}
	open := row.Live()
	for {
		u, err := p.Next()
		if err != nil {
			return err
		}
		if u == nil {
			break
		}
		if u.Row != nil {
			if err := w.putRow(u.Row); err != nil {
				return err
			}
			continue
		}
		if !open.IsLive() {
			w.span(&w.start, u.Marker, open)
		}
		open = u.Marker.After
		w.from.Reset()
		w.from.Marker(&w.start, u.Marker)
	}
	w.tidyMarks()
	setI64(record, largeSequence, int64(w.sequence))
	setI64(record, recordLeast, min(i64(record, recordLeast), st.MinTimestamp))
	setI64(record, largeGreatest, max(i64(record, largeGreatest), st.MaxTimestamp))
	return nil
}

// height is 1, and one more for every quarter of the nodes. (Marsaglia's
// xorshift: how high nodes are is of no consequence but speed.)
func (w *largeWriter) height() int {
	w.random ^= w.random << 13
	w.random ^= w.random >> 7
	w.random ^= w.random << 17
	h := 1
	for x := w.random; x&3 == 0 && h < heightMax; x >>= 2 {
		h++
	}
	return h
}

func (w *largeWriter) putRow(r *row.Row) error {
	n := w.rows.find(r.Clustering.Order, &w.preds)
	if n != 0 {
		return w.row(n, r)
	}
	n = newNode(w.rows.a, w.height(), r.Clustering, 0, false)
	if err := w.row(n, r); err != nil {
		return err
	}
	w.rows.link(n, &w.preds)
	return nil
}

// row adds a version to a node. It is merged with the versions below as long as
// those are not much larger, so that there are few (at most the logarithm of
// the row's size) and each byte is copied as seldom.
func (w *largeWriter) row(n ref, r *row.Row) error {
	w.data = w.e.AppendRow(w.data[:0], r)
	base := w.rows.a.load(n)
	turn := 0
	for base != 0 && len(w.rows.data(base)) <= 2*len(w.data) {
		below := w.rows.data(base)
		u, _, err := w.e.Read(below, &w.scratch)
		if err != nil {
			return err
		}
		u.Row.Clustering = r.Clustering
		w.group = [2]*row.Row{u.Row, r}
		r = w.merges[turn].Merge(w.group[:], row.Live())
		turn ^= 1
		w.data = w.e.AppendRow(w.data[:0], r)
		w.s.stats.Wasted += int64(len(below) + versionData)
		base = w.rows.base(base)
	}
	w.rows.push(n, w.sequence, base, w.data)
	return nil
}

// markAt reads what a marker's node says at this sequence.
func (w *largeWriter) markAt(n ref) (before, after row.Deletion, ok bool) {
	v := w.marks.newest(n, w.sequence)
	if v == 0 || len(w.marks.data(v)) == 0 {
		return row.Live(), row.Live(), false
	}
	u, _, err := w.e.Read(w.marks.data(v), &w.scratch)
	if err != nil {
		return row.Live(), row.Live(), false
	}
	return u.Marker.Before, u.Marker.After, true
}

// span deletes between two bounds: what is open at each place becomes the
// stronger of what it was and d.
func (w *largeWriter) span(start, end *row.Marker, d row.Deletion) {
	open := row.Live()
	for n := w.marks.before(start.Bound.Order); n != 0; n = w.marks.prev(n) {
		if _, after, ok := w.markAt(n); ok {
			open = after
			break
		}
	}
	n := w.marks.from(start.Bound.Order)
	if n != 0 && bytes.Equal(w.marks.order(n), start.Bound.Order) {
		before, after, ok := w.markAt(n)
		if !ok {
			before, after = open, open
		}
		w.mark(n, start, before, stronger(after, d))
		open = after
		n = w.marks.next(n, 0)
	} else {
		w.mark(0, start, open, stronger(open, d))
	}
	for ; n != 0 && bytes.Compare(w.marks.order(n), end.Bound.Order) < 0; n = w.marks.next(n, 0) {
		if before, after, ok := w.markAt(n); ok {
			w.mark(n, nil, stronger(before, d), stronger(after, d))
			open = after
		}
	}
	before, after := open, open
	if n != 0 && bytes.Equal(w.marks.order(n), end.Bound.Order) {
		if b, a, ok := w.markAt(n); ok {
			before, after = b, a
		}
	} else {
		n = 0
	}
	w.mark(n, end, stronger(before, d), after)
}

func stronger(a, b row.Deletion) row.Deletion {
	if b.Supersedes(a) {
		return b
	}
	return a
}

// mark says what is open on both sides of a bound: at node n, or at a new one.
func (w *largeWriter) mark(n ref, at *row.Marker, before, after row.Deletion) {
	if n == 0 && before == after {
		return
	}
	w.data = w.data[:0]
	if before != after {
		w.marker = row.Marker{Before: before, After: after}
		w.data = w.e.AppendMarker(w.data, &w.marker)
	}
	if n != 0 {
		if _, _, was := w.markAt(n); was && before == after {
			w.count(-1, 1)
		} else if !was && before != after {
			w.count(1, -1)
		}
		w.marks.push(n, w.sequence, 0, w.data)
		return
	}
	w.count(1, 0)
	w.marks.find(at.Bound.Order, &w.preds)
	n = newNode(w.marks.a, w.height(), at.Bound, at.Size, at.AfterPrefix)
	w.marks.push(n, w.sequence, 0, w.data)
	w.marks.link(n, &w.preds)
}

func (w *largeWriter) count(live, dead int32) {
	for i, d := range [2]int32{live, dead} {
		b := w.record[largeLiveMarks+4*i:]
		binary.LittleEndian.PutUint32(b, uint32(int32(binary.LittleEndian.Uint32(b))+d))
	}
}

const deadMarksMin = 64

// tidyMarks copies the markers to a new list once most of them are no more:
// deleting a queue from its head again and again makes one live marker and
// leaves all others behind.
func (w *largeWriter) tidyMarks() {
	live := binary.LittleEndian.Uint32(w.record[largeLiveMarks:])
	dead := binary.LittleEndian.Uint32(w.record[largeDeadMarks:])
	if dead < deadMarksMin || dead < live {
		return
	}
	old := w.marks
	w.marks = newList(old.a)
	binary.LittleEndian.PutUint64(w.record[largeLiveMarks:], 0)
	for n := old.next(old.head, 0); n != 0; n = old.next(n, 0) {
		v := old.newest(n, w.sequence)
		w.s.stats.Wasted += versionData + nodeNext
		u, _, err := w.e.Read(old.data(v), &w.scratch)
		if len(old.data(v)) == 0 || err != nil {
			continue
		}
		size, after := old.side(n)
		at := row.Marker{Bound: old.clustering(n), Size: size, AfterPrefix: after}
		w.mark(0, &at, u.Marker.Before, u.Marker.After)
	}
	setI64(w.record, largeMarkers, int64(w.marks.head))
}
