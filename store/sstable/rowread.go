package sstable

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// rowDecoder reads rows and markers. What it returns aliases the bytes it was
// given and its own buffers, and holds until the next call of head.
type rowDecoder struct {
	layout  layout
	bases   Bases
	mapping *mapping
	table   *schema.Table
	// statics and regulars say which columns are wanted, by storage index; nil: all.
	statics, regulars []bool
	valued            bool // the column at hand is wanted

	u          row.Unfiltered
	row        row.Row
	marker     row.Marker
	bytes      []byte
	components [][]byte
	present    []bool
}

// head is what can be said of a row or marker before its body is read.
type head struct {
	flags      byte
	kind       byte // of a marker
	static     bool
	end        bool // of the partition
	size       int  // components of a marker
	clustering row.Clustering
	bodyAt     int
	total      int // bytes from flags to the end of the body
}

var (
	errFlags    = errors.New("impossible flags")
	errLeftover = errors.New("the body is longer than what is in it")
)

// byteCursor is a decoder of what must not be copied; n < 0 means cut short.
type byteCursor struct {
	b   []byte
	at  int
	bad bool
}

func (c *byteCursor) byte() byte {
	if c.at >= len(c.b) {
		c.bad = true
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *byteCursor) uvint() uint64 {
	if c.at < len(c.b) && c.b[c.at] < 0x80 {
		c.at++
		return uint64(c.b[c.at-1])
	}
	if c.at >= len(c.b) {
		c.bad = true
		return 0
	}
	v, n := types.UnsignedVInt(c.b[c.at:])
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.at += n
	return v
}

func (c *byteCursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)-c.at) {
		c.bad = true
		return nil
	}
	v := c.b[c.at : c.at+int(n) : c.at+int(n)]
	c.at += int(n)
	return v
}

// bodyMax bounds what a corrupt length can make us gather; Cassandra's own
// limits on mutations are far below.
const bodyMax = math.MaxInt32

// head reads flags, clustering and size at the front of b. ok is false when b
// is too short to tell; that more bytes would help is for the caller to know.
func (r *rowDecoder) head(b []byte, h *head) (ok bool, err error) {
	r.bytes = r.bytes[:0]
	c := byteCursor{b: b}
	*h = head{flags: c.byte()}
	if c.bad {
		return false, nil
	}
	if h.flags&flagEnd != 0 {
		if h.flags != flagEnd {
			return false, errFlags
		}
		h.end, h.total = true, 1
		return true, nil
	}
	if h.flags&flagExtended != 0 {
		ext := c.byte()
		if c.bad {
			return false, nil
		}
		if ext&^(extStatic|extShadowable) != 0 || h.flags&flagMarker != 0 {
			return false, errFlags
		}
		h.static = ext&extStatic != 0
	}
	if h.flags&flagMarker != 0 {
		if ok, err := r.markerHead(&c, h); !ok || err != nil {
			return false, err
		}
	} else if !h.static {
		if ok, err := r.clustering(&c, len(r.table.Clustering), h); !ok || err != nil {
			return false, err
		}
	}
	size := c.uvint()
	if c.bad {
		return false, nil
	}
	if size > bodyMax {
		return false, fmt.Errorf("a body of %d bytes", size)
	}
	h.bodyAt, h.total = c.at, c.at+int(size)
	return true, nil
}

func (r *rowDecoder) markerHead(c *byteCursor, h *head) (bool, error) {
	if h.flags != flagMarker {
		return false, errFlags
	}
	h.kind = c.byte()
	size := c.take(2)
	if c.bad {
		return false, nil
	}
	if _, ok := boundAfter(h.kind); !ok {
		return false, fmt.Errorf("a marker of kind %d", h.kind)
	}
	h.size = int(size[0])<<8 | int(size[1])
	if h.size > len(r.table.Clustering) {
		return false, fmt.Errorf("a bound of %d components", h.size)
	}
	return r.clustering(c, h.size, h)
}

// clustering reads a values block and makes its comparable form.
func (r *rowDecoder) clustering(c *byteCursor, size int, h *head) (bool, error) {
	ts, reversed := r.table.ClusteringTypes(), r.table.ClusteringReversed()
	bound := h.flags&flagMarker != 0
	if size == 0 && !bound {
		return true, nil
	}
	vs := row.ReadValues(ts, size, c.b[c.at:])
	r.components = r.components[:0]
	for v, ok := vs.Next(); ok; v, ok = vs.Next() {
		r.components = append(r.components, v)
	}
	if vs.Err() != nil {
		// It may be the end of b that is wrong, or the bytes; only with all bytes
		// at hand can the caller tell.
		return false, nil //nolint:nilerr // see above
	}
	n := len(c.b) - c.at - len(vs.Rest())
	h.clustering.Values = c.take(uint64(n))
	from := len(r.bytes)
	if bound {
		after, _ := boundAfter(h.kind)
		r.bytes = types.AppendBound(r.bytes, ts, reversed, r.components, after)
	} else {
		r.bytes = types.AppendClustering(r.bytes, ts, reversed, r.components)
	}
	h.clustering.Order = r.bytes[from:len(r.bytes):len(r.bytes)]
	return true, nil
}

func (r *rowDecoder) readDeletion(c *byteCursor) (row.Deletion, error) {
	d := row.Deletion{Timestamp: int64(c.uvint()) + r.bases.MinTimestamp}
	delta := c.uvint()
	if c.bad {
		return d, errShort
	}
	if d.Timestamp == row.NoTimestamp {
		return row.Live(), nil
	}
	var err error
	d.LocalTime, err = r.localTime(delta)
	return d, err
}

func (r *rowDecoder) localTime(delta uint64) (int64, error) {
	t := r.bases.MinLocalTime + int64(int32(delta))
	if t < 0 && r.layout.longDeletionTime {
		t = int64(uint32(t))
	}
	if int64(int32(delta)) != int64(delta) || t < 0 || t > r.layout.maxLocalTime()+2 {
		return 0, errDeletion
	}
	return t, nil
}

// body reads the rest of what h is the head of; nil, nil for a row that says
// nothing (any more).
func (r *rowDecoder) body(b []byte, h *head) (*row.Unfiltered, error) {
	c := byteCursor{b: b[:h.total], at: h.bodyAt}
	c.uvint() // the size of what stands before
	var err error
	if h.flags&flagMarker != 0 {
		err = r.markerBody(&c, h)
		r.u = row.Unfiltered{Marker: &r.marker}
	} else {
		err = r.rowBody(&c, h)
		r.u = row.Unfiltered{Row: &r.row}
	}
	switch {
	case err != nil:
		return nil, err
	case c.bad:
		return nil, errShort
	case c.at != h.total:
		return nil, errLeftover
	}
	if w := r.u.Row; w != nil && w.Liveness.IsEmpty() && w.Deletion.IsLive() && len(w.Complex) == 0 && len(w.Cells) == 0 {
		return nil, nil
	}
	return &r.u, nil
}

func (r *rowDecoder) markerBody(c *byteCursor, h *head) (err error) {
	m := &r.marker
	*m = row.Marker{Bound: h.clustering, Size: h.size, Before: row.Live(), After: row.Live()}
	m.AfterPrefix, _ = boundAfter(h.kind)
	ends := h.kind == kindExclEnd || h.kind == kindInclEnd
	starts := h.kind == kindInclStart || h.kind == kindExclStart
	if !starts {
		if m.Before, err = r.readDeletion(c); err != nil {
			return err
		}
	}
	if !ends {
		if m.After, err = r.readDeletion(c); err != nil {
			return err
		}
	}
	if (m.Before.IsLive() && !starts) || (m.After.IsLive() && !ends) {
		return errDeletion
	}
	return nil
}

func (r *rowDecoder) rowBody(c *byteCursor, h *head) (err error) {
	w := &r.row
	*w = row.Row{Static: h.static, Clustering: h.clustering, Liveness: row.NoLiveness(), Deletion: row.Live(),
		Complex: w.Complex[:0], Cells: w.Cells[:0]}
	if h.flags&flagTimestamp != 0 {
		w.Liveness.Timestamp = int64(c.uvint()) + r.bases.MinTimestamp
		if h.flags&flagTTL != 0 {
			w.Liveness.TTL, err = r.ttl(c.uvint())
			if err != nil {
				return err
			}
			if w.Liveness.LocalTime, err = r.localTime(c.uvint()); err != nil {
				return err
			}
		}
	} else if h.flags&flagTTL != 0 {
		return errFlags
	}
	if h.flags&flagDeletion != 0 {
		if w.Deletion, err = r.readDeletion(c); err != nil {
			return err
		}
	}
	columns, wanted := r.mapping.regulars, r.regulars
	if h.static {
		columns, wanted = r.mapping.statics, r.statics
	}
	if err := r.readSubset(c, len(columns), h.flags&flagAllColumns != 0); err != nil {
		return err
	}
	for i := range columns {
		if !r.present[i] {
			continue
		}
		f := &columns[i]
		// A row may live by columns that nobody asks for: only their values are left
		// out, see row.Filter.
		r.valued = f.column != nil && (wanted == nil || wanted[f.position])
		if err := r.readColumn(c, f, f.column != nil, h.flags&flagComplexDeletion != 0); err != nil {
			return fmt.Errorf("column %s: %w", f.name, err)
		}
	}
	return nil
}

func (r *rowDecoder) ttl(delta uint64) (int32, error) {
	v := r.bases.MinTTL + int64(int32(delta))
	if v < 0 || v > math.MaxInt32 {
		return 0, fmt.Errorf("a time to live of %d", v)
	}
	return int32(v), nil
}

func (r *rowDecoder) readSubset(c *byteCursor, n int, all bool) error {
	if cap(r.present) < n {
		r.present = make([]bool, n)
	}
	r.present = r.present[:n]
	for i := range r.present {
		r.present[i] = true
	}
	if all {
		return nil
	}
	v := c.uvint()
	if n < largeSubset {
		if v>>n != 0 {
			return fmt.Errorf("a subset %#x of %d columns", v, n)
		}
		for i := range r.present {
			r.present[i] = v>>i&1 == 0
		}
		return nil
	}
	if v > uint64(n) {
		return fmt.Errorf("%d of %d columns missing", v, n)
	}
	listed, value := int(v), false
	if n-int(v) < n/2 {
		listed, value = n-int(v), true
		clear(r.present)
	}
	last := -1
	for range listed {
		i := c.uvint()
		if c.bad || i >= uint64(n) || int(i) <= last {
			return fmt.Errorf("column %d of %d in a subset", i, n)
		}
		r.present[i], last = value, int(i)
	}
	return nil
}

func (r *rowDecoder) readColumn(c *byteCursor, f *fileColumn, keep, complexDeletions bool) error {
	if !f.complex {
		return r.readCell(c, f, keep)
	}
	if complexDeletions {
		d, err := r.readDeletion(c)
		if err != nil {
			return err
		}
		if keep && !d.IsLive() && d.Timestamp > f.droppedAt {
			r.row.Complex = append(r.row.Complex, row.ComplexDeletion{Column: f.position, Deletion: d})
		}
	}
	n := c.uvint()
	first := len(r.row.Cells)
	for i := uint64(0); i < n && !c.bad; i++ {
		before := len(r.row.Cells)
		if err := r.readCell(c, f, keep); err != nil {
			return err
		}
		if k := len(r.row.Cells); k > before && before > first &&
			bytes.Compare(r.row.Cells[k-2].PathOrder, r.row.Cells[k-1].PathOrder) >= 0 {
			return errors.New("elements out of order")
		}
	}
	return nil
}

// readCell reads a cell and appends it to the row, unless its column is gone.
func (r *rowDecoder) readCell(c *byteCursor, f *fileColumn, keep bool) (err error) {
	flags := c.byte()
	if flags&^(cellDeleted|cellExpiring|cellEmpty|cellRowTimestamp|cellRowTTL) != 0 ||
		flags&(cellDeleted|cellExpiring) == cellDeleted|cellExpiring {
		return errFlags
	}
	l := &r.row.Liveness
	out := row.Cell{Column: f.position, Timestamp: l.Timestamp, LocalTime: row.NoDeletionTime}
	if flags&cellRowTimestamp == 0 {
		out.Timestamp = int64(c.uvint()) + r.bases.MinTimestamp
	}
	switch {
	case flags&cellRowTTL != 0:
		if flags&cellExpiring == 0 || l.TTL == 0 {
			return errFlags
		}
		out.TTL, out.LocalTime = l.TTL, l.LocalTime
	case flags&(cellDeleted|cellExpiring) != 0:
		if out.LocalTime, err = r.localTime(c.uvint()); err != nil {
			return err
		}
		if flags&cellExpiring != 0 {
			if out.TTL, err = r.ttl(c.uvint()); err != nil {
				return err
			}
		}
	}
	if f.complex {
		out.Path = c.take(c.uvint())
	}
	if flags&cellEmpty == 0 {
		n := uint64(f.fixedLength)
		if f.fixedLength < 0 {
			n = c.uvint()
		}
		out.Value = c.take(n)
	} else if flags&cellDeleted == 0 {
		out.Value = c.b[c.at:c.at:c.at]
	}
	if c.bad {
		return errShort
	}
	if !keep || out.Timestamp <= f.droppedAt {
		return nil
	}
	if !r.valued {
		out.Value = []byte{}
	}
	if flags&cellDeleted != 0 {
		out.Flags, out.Value = row.Tombstone, nil
	} else if flags&cellExpiring != 0 {
		out.Flags = row.Expiring
	}
	if f.counter {
		out.Flags |= row.CounterCell
	}
	if f.complex {
		if out.PathOrder = out.Path; !f.pathIsOrder {
			from := len(r.bytes)
			r.bytes = row.AppendPathOrder(r.bytes, f.column, out.Path)
			out.PathOrder = r.bytes[from:len(r.bytes):len(r.bytes)]
		}
	}
	r.row.Cells = append(r.row.Cells, out)
	return nil
}
