package memtable

import (
	"bytes"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// largeReader is a large record, as it was at one sequence, as a Partition. It
// walks rows and markers side by side and leaves out what they cover.
type largeReader struct {
	e        row.Encoding
	key      row.Key
	sequence uint64
	deletion row.Deletion
	rows     list
	marks    list
	static   *row.Row

	slices   []row.Slice
	reversed bool
	slice    int // the slice we are in or before
	inside   bool
	row      ref // the next of each
	mark     ref
	lastMark ref          // the last marker given out or stepped over
	open     row.Deletion // behind it, in the direction of the read

	versions  []row.Scratch
	group     []*row.Row
	merge     row.RowMerger // of versions
	under     row.RowMerger // with the open deletion
	statics   row.RowMerger
	staticCut row.RowMerger
	marker    row.Marker
	u         row.Unfiltered
}

// snapshot copies a record's header; the caller holds the shard's lock.
func (r *largeReader) snapshot(a *arena, record []byte, t *schema.Table, prefix uint64, f row.Filter) (static ref) {
	r.e = row.Encoding{Table: t, Timestamp: i64(record, recordBase), LocalTime: i64(record, recordLocal), Form: row.Bare}
	r.key = row.Key{Prefix: prefix, Bytes: recordKey(record)}
	r.sequence = uint64(i64(record, largeSequence))
	r.deletion = getDeletion(record[largeDeletion:])
	r.rows = list{a, ref(i64(record, largeRows))}
	r.marks = list{a, ref(i64(record, largeMarkers))}
	r.slices, r.reversed = f.Slices, f.Reversed
	r.slice = 0
	if r.reversed {
		r.slice = len(r.slices) - 1
	}
	r.inside, r.row, r.mark, r.lastMark, r.open = false, 0, 0, 0, row.Live()
	return ref(i64(record, largeStatic))
}

// readStatic reads the static row once the lock is gone.
func (r *largeReader) readStatic(n ref) error {
	s, err := r.read(n, &r.statics)
	if s != nil {
		s = r.staticCut.Under(s, r.deletion)
	}
	r.static = s
	return err
}

// read merges the versions of a row's node; nil when there are none to see.
func (r *largeReader) read(n ref, m *row.RowMerger) (*row.Row, error) {
	r.group = r.group[:0]
	for v := r.rows.newest(n, r.sequence); v != 0; v = r.rows.base(v) {
		if len(r.group) == len(r.versions) {
			// Rows read before point into the old array, which stays as it is.
			r.versions = append(r.versions[:len(r.versions):len(r.versions)], row.Scratch{})
		}
		u, _, err := r.e.Read(r.rows.data(v), &r.versions[len(r.group)])
		if err != nil {
			return nil, err
		}
		u.Row.Clustering = r.rows.clustering(n)
		r.group = append(r.group, u.Row)
	}
	switch {
	case len(r.group) == 0:
		return nil, nil
	case len(r.group) == 1 && m != &r.statics:
		if !says(r.group[0]) {
			return nil, nil
		}
		return r.group[0], nil
	}
	return m.Merge(r.group, row.Live()), nil
}

func (r *largeReader) Key() row.Key           { return r.key }
func (r *largeReader) Deletion() row.Deletion { return r.deletion }
func (r *largeReader) StaticRow() *row.Row    { return r.static }

// step, ahead and ends hide the direction.
func (r *largeReader) step(l list, n ref) ref {
	if r.reversed {
		return l.prev(n)
	}
	return l.next(n, 0)
}

// ahead tells whether order a comes before b in the direction of the read.
func (r *largeReader) ahead(a, b []byte) bool {
	d := bytes.Compare(a, b)
	return (d < 0 && !r.reversed) || (d > 0 && r.reversed)
}

// ends are where the current slice begins and ends, seen from the reader.
func (r *largeReader) ends() (near, far []byte) {
	s := &r.slices[r.slice]
	if r.reversed {
		return s.End, s.Start
	}
	return s.Start, s.End
}

// Next implements row.Partition.
func (r *largeReader) Next() (*row.Unfiltered, error) {
	for {
		if !r.inside {
			if r.slice < 0 || r.slice >= len(r.slices) {
				return r.closing()
			}
			if u, err := r.enter(); u != nil || err != nil {
				return u, err
			}
		}
		n, isMark := r.nearest()
		if n == 0 {
			r.inside = false
			if r.slice++; r.reversed {
				r.slice -= 2
			}
			continue
		}
		if isMark {
			r.mark = r.step(r.marks, n)
			if u, err := r.cross(n); u != nil || err != nil {
				return u, err
			}
			continue
		}
		r.row = r.step(r.rows, n)
		out, err := r.read(n, &r.merge)
		if err != nil {
			return nil, err
		}
		if active := stronger(r.deletion, r.open); out != nil && !active.IsLive() {
			out = r.under.Under(out, active)
		}
		if out != nil {
			r.u = row.Unfiltered{Row: out}
			return &r.u, nil
		}
	}
}

// nearest is the next row or marker within the slice; 0 when it ends.
func (r *largeReader) nearest() (n ref, isMark bool) {
	var order []byte
	if r.row != 0 {
		n, order = r.row, r.rows.order(r.row)
	}
	if r.mark != 0 {
		if o := r.marks.order(r.mark); n == 0 || r.ahead(o, order) {
			n, order, isMark = r.mark, o, true
		}
	}
	if _, far := r.ends(); n != 0 && len(far) > 0 && !r.ahead(order, far) {
		return 0, false
	}
	return n, isMark
}

// enter finds the first row of the slice and gives out the marker before it, if
// that opened what reaches into the slice.
func (r *largeReader) enter() (*row.Unfiltered, error) {
	r.inside = true
	near, _ := r.ends()
	r.row = r.seek(r.rows, near)
	edge := ref(0)
	if len(near) > 0 {
		// The last marker up to the bound; one exactly there counts.
		if r.reversed {
			edge = r.marks.from(near)
		} else if edge = r.marks.find(near, nil); edge == 0 {
			edge = r.marks.before(near)
		}
	}
	for edge != 0 && !r.exists(edge) {
		if r.reversed {
			edge = r.marks.next(edge, 0)
		} else {
			edge = r.marks.prev(edge)
		}
	}
	if edge != 0 && (r.lastMark == 0 || r.ahead(r.marks.order(r.lastMark), r.marks.order(edge))) {
		r.mark = r.step(r.marks, edge)
		return r.cross(edge)
	}
	if r.lastMark != 0 {
		r.mark = r.step(r.marks, r.lastMark)
	} else {
		r.mark = r.seek(r.marks, nil)
	}
	return nil, nil
}

// seek is the first node inside a bound; of all nodes when it is empty.
func (r *largeReader) seek(l list, near []byte) ref {
	switch {
	case len(near) == 0 && r.reversed:
		return l.last()
	case len(near) == 0:
		return l.next(l.head, 0)
	case r.reversed:
		return l.before(near)
	}
	if n := l.find(near, nil); n != 0 {
		return l.next(n, 0) // Start may be a row's own Order
	}
	return l.from(near)
}

func (r *largeReader) exists(n ref) bool {
	v := r.marks.newest(n, r.sequence)
	return v != 0 && len(r.marks.data(v)) > 0
}

// cross steps over a marker; nil when nothing visible changes there.
func (r *largeReader) cross(n ref) (*row.Unfiltered, error) {
	if !r.exists(n) {
		return nil, nil
	}
	r.scratchOne()
	u, _, err := r.e.Read(r.marks.data(r.marks.newest(n, r.sequence)), &r.versions[0])
	if err != nil {
		return nil, err
	}
	r.lastMark = n
	now := u.Marker.After
	if r.reversed {
		now = u.Marker.Before
	}
	if !now.Supersedes(r.deletion) {
		now = row.Live()
	}
	return r.change(n, now), nil
}

func (r *largeReader) scratchOne() {
	if len(r.versions) == 0 {
		r.versions = append(r.versions, row.Scratch{})
	}
}

// change gives out a marker at node n behind which now is open.
func (r *largeReader) change(n ref, now row.Deletion) *row.Unfiltered {
	if now == r.open {
		return nil
	}
	size, after := r.marks.side(n)
	r.marker = row.Marker{Bound: r.marks.clustering(n), Size: size, AfterPrefix: after, Before: r.open, After: now}
	if r.reversed {
		r.marker.Before, r.marker.After = now, r.open
	}
	r.open = now
	r.u = row.Unfiltered{Marker: &r.marker}
	return &r.u
}

// closing ends what is open behind the last slice, at its true end.
func (r *largeReader) closing() (*row.Unfiltered, error) {
	if r.open.IsLive() {
		return nil, nil
	}
	for n := r.step(r.marks, r.lastMark); n != 0; n = r.step(r.marks, n) {
		if r.exists(n) {
			return r.change(n, row.Live()), nil
		}
	}
	r.open = row.Live()
	return nil, nil
}

// Close implements row.Partition.
func (r *largeReader) Close() error { return nil }
