package row

import "bytes"

// Arena holds clones. Its memory is one garbage collected whole: a clone lives
// until the Arena is Reset.
type Arena struct {
	bytes   []byte
	cells   []Cell
	complex []ComplexDeletion
}

const (
	arenaBytes = 16 << 10
	arenaCells = 64
)

// Reset makes the memory free for use again; all clones are void.
func (a *Arena) Reset() {
	a.bytes, a.cells, a.complex = a.bytes[:0], a.cells[:0], a.complex[:0]
}

// Bytes clones b; nil stays nil, empty stays empty.
func (a *Arena) Bytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > cap(a.bytes)-len(a.bytes) {
		a.bytes = make([]byte, 0, max(arenaBytes, len(b)))
	}
	from := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return a.bytes[from:len(a.bytes):len(a.bytes)]
}

func (a *Arena) clustering(c Clustering) Clustering {
	return Clustering{Order: a.Bytes(c.Order), Values: a.Bytes(c.Values)}
}

// Row clones r into dst, which may hold anything before.
func (a *Arena) Row(dst, r *Row) {
	*dst = *r
	dst.Clustering = a.clustering(r.Clustering)
	if n := len(r.Complex); n > cap(a.complex)-len(a.complex) {
		a.complex = make([]ComplexDeletion, 0, max(arenaCells, n))
	}
	from := len(a.complex)
	a.complex = append(a.complex, r.Complex...)
	dst.Complex = a.complex[from:len(a.complex):len(a.complex)]
	if n := len(r.Cells); n > cap(a.cells)-len(a.cells) {
		a.cells = make([]Cell, 0, max(arenaCells, n))
	}
	from = len(a.cells)
	a.cells = append(a.cells, r.Cells...)
	dst.Cells = a.cells[from:len(a.cells):len(a.cells)]
	for i := range dst.Cells {
		c := &dst.Cells[i]
		path := c.Path
		c.Path, c.Value = a.Bytes(path), a.Bytes(c.Value)
		if len(path) > 0 && len(c.PathOrder) > 0 && &path[0] == &c.PathOrder[0] {
			c.PathOrder = c.Path
		} else {
			c.PathOrder = a.Bytes(c.PathOrder)
		}
	}
}

// Marker clones m into dst.
func (a *Arena) Marker(dst, m *Marker) {
	*dst = *m
	dst.Bound = a.clustering(m.Bound)
}

// Size estimates the bytes of a row, as memory and limits count them.
func (r *Row) Size() int {
	n := len(r.Clustering.Values) + 16
	for i := range r.Cells {
		n += len(r.Cells[i].Path) + len(r.Cells[i].Value) + 16
	}
	return n + 16*len(r.Complex)
}

// Equal tells whether two rows say the same. Orders are not compared: they
// follow from the values.
func (r *Row) Equal(s *Row) bool {
	if r.Static != s.Static || !bytes.Equal(r.Clustering.Values, s.Clustering.Values) || r.Liveness != s.Liveness ||
		r.Deletion != s.Deletion || len(r.Complex) != len(s.Complex) || len(r.Cells) != len(s.Cells) {
		return false
	}
	for i := range r.Complex {
		if r.Complex[i] != s.Complex[i] {
			return false
		}
	}
	for i := range r.Cells {
		if !r.Cells[i].Equal(&s.Cells[i]) {
			return false
		}
	}
	return true
}

// Equal tells whether two cells say the same.
func (c *Cell) Equal(d *Cell) bool {
	return c.Column == d.Column && c.Flags == d.Flags && c.TTL == d.TTL && c.Timestamp == d.Timestamp &&
		c.LocalTime == d.LocalTime && bytes.Equal(c.Path, d.Path) && bytes.Equal(c.Value, d.Value)
}

// Equal tells whether two markers say the same.
func (m *Marker) Equal(o *Marker) bool {
	return m.Size == o.Size && m.AfterPrefix == o.AfterPrefix && m.Before == o.Before && m.After == o.After &&
		bytes.Equal(m.Bound.Values, o.Bound.Values)
}
