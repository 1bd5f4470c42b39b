package sstable

import (
	"errors"
	"fmt"
	"slices"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// rowEncoder makes the bytes of rows and markers. Its buffers are reused.
type rowEncoder struct {
	layout  layout
	bases   Bases
	table   *schema.Table
	present []bool
	width   int // of the last body's length

	regulars, statics []columnForm // made when first asked for
}

// columnForm is what of a column's type an encoder asks for with each cell.
type columnForm struct {
	*schema.Column
	complex bool
	fixed   int // bytes of a value; negative: it says itself
}

func formsOf(columns []*schema.Column) []columnForm {
	out := make([]columnForm, len(columns))
	for i, c := range columns {
		out[i] = columnForm{c, c.IsComplex(), c.Type.FixedLength()}
	}
	return out
}

func (e *rowEncoder) columns(static bool) []columnForm {
	if e.regulars == nil {
		e.regulars, e.statics = formsOf(e.table.Regulars), formsOf(e.table.Statics)
	}
	if static {
		return e.statics
	}
	return e.regulars
}

// beginBody leaves room for a body's length, as much as the last one took.
func (e *rowEncoder) beginBody(dst []byte) (out []byte, at int) {
	e.width = max(e.width, 1)
	return append(dst, make([]byte, e.width)...), len(dst) + e.width
}

// endBody puts the length of what begins at at before it.
func (e *rowEncoder) endBody(dst []byte, at int) []byte {
	n := len(dst) - at
	from := at - e.width
	if width := types.UnsignedVIntSize(uint64(n)); width != e.width {
		dst = slices.Grow(dst, width)[:from+width+n]
		copy(dst[from+width:], dst[at:at+n])
		e.width = width
	}
	var length [types.UnsignedVIntMax]byte
	copy(dst[from:], appendUvint(length[:0], uint64(n)))
	return dst
}

var errLocalTime = errors.New("a deletion or expiry that the format version cannot express")

// localTime appends a delta as Cassandra does: 32 bits, sign-extended.
func (e *rowEncoder) localTime(dst []byte, t int64) []byte {
	return appendUvint(dst, uint64(int64(int32(t-e.bases.MinLocalTime))))
}

func (e *rowEncoder) timestamp(dst []byte, ts int64) []byte {
	return appendUvint(dst, uint64(ts-e.bases.MinTimestamp))
}

func (e *rowEncoder) ttl(dst []byte, ttl int32) []byte {
	return appendUvint(dst, uint64(int64(int32(int64(ttl)-e.bases.MinTTL))))
}

func (e *rowEncoder) deletion(dst []byte, d row.Deletion) []byte {
	return e.localTime(e.timestamp(dst, d.Timestamp), d.LocalTime)
}

func (e *rowEncoder) checkLocal(t int64) error {
	if t < 0 || (t > e.layout.maxLocalTime() && t != row.NoDeletionTime) {
		return fmt.Errorf("%w: %d", errLocalTime, t)
	}
	return nil
}

// appendRow appends a row. previous is the distance to the start of what stands
// before it; 0 for a static row.
func (e *rowEncoder) appendRow(dst []byte, r *row.Row, previous int64) ([]byte, error) {
	columns := e.columns(r.Static)
	missing := e.markPresent(r, len(columns))
	flags := e.rowFlags(r, missing)
	dst = append(dst, flags)
	if r.Static {
		dst = append(dst, extStatic)
	} else {
		dst = append(dst, r.Clustering.Values...)
	}
	dst, at := e.beginBody(dst)
	dst = appendUvint(dst, uint64(previous))
	if flags&flagTimestamp != 0 {
		dst = e.timestamp(dst, r.Liveness.Timestamp)
	}
	if flags&flagTTL != 0 {
		if err := e.checkLocal(r.Liveness.LocalTime); err != nil {
			return nil, err
		}
		dst = e.localTime(e.ttl(dst, r.Liveness.TTL), r.Liveness.LocalTime)
	}
	if flags&flagDeletion != 0 {
		if err := e.checkLocal(r.Deletion.LocalTime); err != nil {
			return nil, err
		}
		dst = e.deletion(dst, r.Deletion)
	}
	if flags&flagAllColumns == 0 {
		dst = appendSubset(dst, e.present, missing)
	}
	dst, err := e.appendColumns(dst, r, columns, flags&flagComplexDeletion != 0)
	if err != nil {
		return nil, err
	}
	return e.endBody(dst, at), nil
}

// markPresent notes which columns the row has something of and counts the rest.
func (e *rowEncoder) markPresent(r *row.Row, n int) (missing int) {
	e.present = append(e.present[:0], make([]bool, n)...)
	for i := range r.Cells {
		e.present[r.Cells[i].Column] = true
	}
	for i := range r.Complex {
		e.present[r.Complex[i].Column] = true
	}
	for _, p := range e.present {
		if !p {
			missing++
		}
	}
	return missing
}

func (e *rowEncoder) rowFlags(r *row.Row, missing int) (flags byte) {
	if !r.Liveness.IsEmpty() {
		flags |= flagTimestamp
		if r.Liveness.TTL != 0 {
			flags |= flagTTL
		}
	}
	if !r.Deletion.IsLive() {
		flags |= flagDeletion
	}
	if missing == 0 {
		flags |= flagAllColumns
	}
	if len(r.Complex) > 0 {
		flags |= flagComplexDeletion
	}
	if r.Static {
		flags |= flagExtended
	}
	return flags
}

// appendSubset says which columns are there: a bitmap of those that are not, or
// from 64 columns on the shorter of two lists.
func appendSubset(dst []byte, present []bool, missing int) []byte {
	n := len(present)
	if n < largeSubset {
		var bitmap uint64
		for i, p := range present {
			if !p {
				bitmap |= 1 << i
			}
		}
		return appendUvint(dst, bitmap)
	}
	dst = appendUvint(dst, uint64(missing))
	listPresent := n-missing < n/2
	for i, p := range present {
		if p == listPresent {
			dst = appendUvint(dst, uint64(i))
		}
	}
	return dst
}

func (e *rowEncoder) appendColumns(dst []byte, r *row.Row, columns []columnForm, complexDeletions bool) ([]byte, error) {
	cells, complexes := r.Cells, r.Complex
	for i := range columns {
		if !e.present[i] {
			continue
		}
		c, n := &columns[i], 0
		for n < len(cells) && int(cells[n].Column) == i {
			n++
		}
		if c.complex {
			if complexDeletions {
				d := row.Live()
				if len(complexes) > 0 && int(complexes[0].Column) == i {
					d, complexes = complexes[0].Deletion, complexes[1:]
					if err := e.checkLocal(d.LocalTime); err != nil {
						return dst, err
					}
				}
				dst = e.deletion(dst, d)
			}
			dst = appendUvint(dst, uint64(n))
		} else if n != 1 {
			return dst, fmt.Errorf("%d cells of column %s", n, c.Name)
		}
		for j := range n {
			var err error
			if dst, err = e.appendCell(dst, c, &cells[j], &r.Liveness); err != nil {
				return dst, err
			}
		}
		cells = cells[n:]
	}
	if len(cells) > 0 {
		return dst, fmt.Errorf("cells out of order at column %d", cells[0].Column)
	}
	return dst, nil
}

func (e *rowEncoder) appendCell(dst []byte, col *columnForm, c *row.Cell, l *row.Liveness) ([]byte, error) {
	var flags byte
	expiring := c.Flags&row.Expiring != 0
	if c.Flags&row.Tombstone != 0 {
		flags |= cellDeleted
	}
	if expiring {
		flags |= cellExpiring
	}
	if len(c.Value) == 0 {
		flags |= cellEmpty
	}
	if !l.IsEmpty() && c.Timestamp == l.Timestamp {
		flags |= cellRowTimestamp
	}
	if expiring && l.TTL != 0 && c.TTL == l.TTL && c.LocalTime == l.LocalTime {
		flags |= cellRowTTL
	}
	dst = append(dst, flags)
	if flags&cellRowTimestamp == 0 {
		dst = e.timestamp(dst, c.Timestamp)
	}
	if flags&(cellDeleted|cellExpiring) != 0 && flags&cellRowTTL == 0 {
		if err := e.checkLocal(c.LocalTime); err != nil {
			return dst, err
		}
		dst = e.localTime(dst, c.LocalTime)
		if expiring {
			dst = e.ttl(dst, c.TTL)
		}
	}
	if col.complex {
		dst = appendBlockV(dst, c.Path)
	}
	if flags&cellEmpty == 0 {
		if n := col.fixed; n < 0 {
			dst = appendUvint(dst, uint64(len(c.Value)))
		} else if len(c.Value) != n {
			return dst, fmt.Errorf("a value of %d bytes in column %s of %d", len(c.Value), col.Name, n)
		}
		dst = append(dst, c.Value...)
	}
	return dst, nil
}

// appendMarker appends a marker.
func (e *rowEncoder) appendMarker(dst []byte, m *row.Marker, previous int64) ([]byte, error) {
	dst = append(dst, flagMarker, markerKind(m))
	dst = appendU16(dst, uint16(m.Size))
	if m.Size > 0 {
		dst = append(dst, m.Bound.Values...)
	}
	dst, at := e.beginBody(dst)
	dst = appendUvint(dst, uint64(previous))
	for _, d := range []row.Deletion{m.Before, m.After} {
		if d.IsLive() {
			continue
		}
		if err := e.checkLocal(d.LocalTime); err != nil {
			return nil, err
		}
		dst = e.deletion(dst, d)
	}
	return e.endBody(dst, at), nil
}

func markerKind(m *row.Marker) byte {
	switch {
	case m.After.IsLive() && m.AfterPrefix:
		return kindInclEnd
	case m.After.IsLive():
		return kindExclEnd
	case m.Before.IsLive() && m.AfterPrefix:
		return kindExclStart
	case m.Before.IsLive():
		return kindInclStart
	case m.AfterPrefix:
		return kindInclEndExclStart
	}
	return kindExclEndInclStart
}
