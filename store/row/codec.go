package row

import (
	"bytes"
	"math"

	"helenus/internal/assert"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// The flags of a row or marker; docs/format/mutation.md draws the bytes.
const (
	flagMarker       = 0x01
	flagLiveness     = 0x02
	flagLivenessTTL  = 0x04
	flagDeletion     = 0x08
	flagComplex      = 0x10
	flagStatic       = 0x20
	flagMarkerBefore = 0x02 // of a marker: Before is not live
	flagMarkerAfter  = 0x04
	flagMarkerSide   = 0x08 // AfterPrefix

	rowFlags    = flagLiveness | flagLivenessTTL | flagDeletion | flagComplex | flagStatic
	markerFlags = flagMarker | flagMarkerBefore | flagMarkerAfter | flagMarkerSide
)

// The flags of a cell.
const (
	cellTombstone = 0x01
	cellExpiring  = 0x02
	cellCounter   = 0x04
	cellSameTime  = 0x08 // the timestamp of the liveness or cell before
	cellSameTTL   = 0x10 // TTL and local time likewise
	cellPath      = 0x20
	cellOrder     = 0x40 // PathOrder follows, as it is not Path
	cellNoValue   = 0x80 // a tombstone's, or empty
)

// Form is how much of a clustering stands in an encoded row or marker.
type Form uint8

// Only Raw is for disk and wire. Ordered and Bare serve memory, where reading
// should not make byte-comparable forms again; they may change at any time.
const (
	Raw     Form = iota // the values block; Orders are made when reading
	Ordered             // both forms
	Bare                // none of it: whoever reads knows the clustering
)

// Encoding is the encoding of rows and markers within a mutation, and in memory.
type Encoding struct {
	Table *schema.Table
	// Timestamp and LocalTime are subtracted from all of their kind: close ones
	// make short bytes, any are right.
	Timestamp, LocalTime int64
	Form                 Form
}

// Scratch holds what Read returns; reused, it makes reading free of allocation.
type Scratch struct {
	u          Unfiltered
	row        Row
	marker     Marker
	bytes      []byte
	components [][]byte
	body       []byte // of the row, behind its clustering, and what follows the row
	paths      bool   // it has cells with paths
}

// before is what a cell's Same flags refer to.
type before struct {
	timestamp, localTime int64
	ttl                  int32
}

func (e *Encoding) appendDeletion(dst []byte, d Deletion) []byte {
	dst = appendSVInt(dst, d.Timestamp-e.Timestamp)
	return appendSVInt(dst, d.LocalTime-e.LocalTime)
}

func (e *Encoding) readDeletion(c *cursor) Deletion {
	d := Deletion{Timestamp: c.svint() + e.Timestamp, LocalTime: c.svint() + e.LocalTime}
	if c.err == nil && d.IsLive() {
		c.fail("a deletion that deletes nothing")
	}
	return d
}

func (e *Encoding) appendClustering(dst []byte, c Clustering) []byte {
	if e.Form == Bare {
		return dst
	}
	dst = append(dst, c.Values...)
	if e.Form == Ordered {
		dst = appendBlock(dst, c.Order)
	}
	return dst
}

// AppendRow appends a row or static row.
func (e *Encoding) AppendRow(dst []byte, r *Row) []byte {
	var flags byte
	if !r.Liveness.IsEmpty() {
		flags |= flagLiveness
		if r.Liveness.TTL != 0 {
			flags |= flagLivenessTTL
		}
	}
	if !r.Deletion.IsLive() {
		flags |= flagDeletion
	}
	if len(r.Complex) > 0 {
		flags |= flagComplex
	}
	if r.Static {
		flags |= flagStatic
	}
	dst = append(dst, flags)
	if !r.Static {
		dst = e.appendClustering(dst, r.Clustering)
	}
	last := before{e.Timestamp, e.LocalTime, 0}
	if flags&flagLiveness != 0 {
		dst = appendSVInt(dst, r.Liveness.Timestamp-e.Timestamp)
		last.timestamp = r.Liveness.Timestamp
		if flags&flagLivenessTTL != 0 {
			last.ttl, last.localTime = r.Liveness.TTL, r.Liveness.LocalTime
			dst = types.AppendUnsignedVInt(dst, uint64(last.ttl))
			dst = appendSVInt(dst, last.localTime-e.LocalTime)
		}
	}
	if flags&flagDeletion != 0 {
		dst = e.appendDeletion(dst, r.Deletion)
	}
	columns := columnsOf(e.Table, r.Static)
	if flags&flagComplex != 0 {
		dst = types.AppendUnsignedVInt(dst, uint64(len(r.Complex)))
		for _, d := range r.Complex {
			dst = types.AppendUnsignedVInt(dst, uint64(columns[d.Column].ID))
			dst = e.appendDeletion(dst, d.Deletion)
		}
	}
	dst = types.AppendUnsignedVInt(dst, uint64(len(r.Cells)))
	for i := range r.Cells {
		dst = e.appendCell(dst, columns, &r.Cells[i], &last)
	}
	return dst
}

func (e *Encoding) appendCell(dst []byte, columns []*schema.Column, c *Cell, last *before) []byte {
	var flags byte
	timed := c.Flags&(Tombstone|Expiring) != 0
	assert.Invariant(c.Flags&(Tombstone|Expiring) != Tombstone|Expiring, "row: a cell both tombstone and expiring")
	if c.Flags&Tombstone != 0 {
		flags |= cellTombstone
	}
	if c.Flags&Expiring != 0 {
		flags |= cellExpiring
	}
	if c.Flags&CounterCell != 0 {
		flags |= cellCounter
	}
	if c.Timestamp == last.timestamp {
		flags |= cellSameTime
	}
	if timed && c.TTL == last.ttl && c.LocalTime == last.localTime {
		flags |= cellSameTTL
	}
	if c.Path != nil {
		flags |= cellPath
		if e.Form != Raw && !bytes.Equal(c.Path, c.PathOrder) {
			flags |= cellOrder
		}
	}
	if len(c.Value) == 0 {
		flags |= cellNoValue
	}
	dst = append(dst, flags)
	dst = types.AppendUnsignedVInt(dst, uint64(columns[c.Column].ID))
	if flags&cellSameTime == 0 {
		dst = appendSVInt(dst, c.Timestamp-e.Timestamp)
		last.timestamp = c.Timestamp
	}
	if timed && flags&cellSameTTL == 0 {
		dst = appendSVInt(dst, c.LocalTime-e.LocalTime)
		if flags&cellExpiring != 0 {
			dst = types.AppendUnsignedVInt(dst, uint64(c.TTL))
		}
		last.localTime, last.ttl = c.LocalTime, c.TTL
	}
	if flags&cellPath != 0 {
		dst = appendBlock(dst, c.Path)
	}
	if flags&cellOrder != 0 {
		dst = appendBlock(dst, c.PathOrder)
	}
	if flags&cellNoValue == 0 {
		dst = appendBlock(dst, c.Value)
	}
	return dst
}

// appendRead appends the row that Read put into s from b, whose rest Read gave,
// in e's form; e is else what read it. The bytes behind the clustering are those
// of any form, unless cells have paths.
func (e *Encoding) appendRead(dst, b, rest []byte, s *Scratch) []byte {
	if s.paths {
		return e.AppendRow(dst, &s.row)
	}
	dst = append(dst, b[0])
	dst = e.appendClustering(dst, s.row.Clustering)
	return append(dst, s.body[:len(s.body)-len(rest)]...)
}

// AppendMarker appends a marker.
func (e *Encoding) AppendMarker(dst []byte, m *Marker) []byte {
	flags := byte(flagMarker)
	if !m.Before.IsLive() {
		flags |= flagMarkerBefore
	}
	if !m.After.IsLive() {
		flags |= flagMarkerAfter
	}
	if m.AfterPrefix {
		flags |= flagMarkerSide
	}
	dst = append(dst, flags)
	dst = types.AppendUnsignedVInt(dst, uint64(m.Size))
	dst = e.appendClustering(dst, m.Bound)
	if flags&flagMarkerBefore != 0 {
		dst = e.appendDeletion(dst, m.Before)
	}
	if flags&flagMarkerAfter != 0 {
		dst = e.appendDeletion(dst, m.After)
	}
	return dst
}

// Read reads one row or marker from the start of b and returns what follows
// it. Columns that the table no longer has are left out; so a row may turn out
// to say nothing (its Cells, Complex, Liveness and Deletion all empty). What it
// returns aliases b and s.
func (e *Encoding) Read(b []byte, s *Scratch) (u *Unfiltered, rest []byte, err error) {
	c := cursor{b: b}
	s.bytes = s.bytes[:0]
	if flags := c.byte(); flags&flagMarker != 0 {
		e.readMarker(&c, flags, s)
		s.u = Unfiltered{Marker: &s.marker}
	} else {
		e.readRow(&c, flags, s)
		s.u = Unfiltered{Row: &s.row}
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	return &s.u, c.b, nil
}

func (e *Encoding) readMarker(c *cursor, flags byte, s *Scratch) {
	if flags&^byte(markerFlags) != 0 || flags&(flagMarkerBefore|flagMarkerAfter) == 0 {
		c.fail("marker flags %#x", flags)
		return
	}
	size := c.uvint()
	if size > uint64(len(e.Table.Clustering)) {
		c.fail("a bound of %d components", size)
		return
	}
	m := &s.marker
	*m = Marker{Size: int(size), AfterPrefix: flags&flagMarkerSide != 0, Before: Live(), After: Live()}
	m.Bound = e.readOrdered(c, m.Size, true, m.AfterPrefix, s)
	if flags&flagMarkerBefore != 0 {
		m.Before = e.readDeletion(c)
	}
	if flags&flagMarkerAfter != 0 {
		m.After = e.readDeletion(c)
	}
	if m.Before == m.After {
		c.fail("a marker that changes nothing")
	}
}

// readOrdered reads a clustering whose Order is stored, or makes it.
func (e *Encoding) readOrdered(c *cursor, size int, bound, after bool, s *Scratch) Clustering {
	switch {
	case e.Form == Bare, e.Form == Raw && size == 0 && !bound:
		return Clustering{}
	case e.Form == Raw:
		return readClustering(c, e.Table, size, bound, after, s)
	case size == 0:
		return Clustering{Order: c.block()}
	}
	vs := ReadValues(e.Table.ClusteringTypes(), size, c.b)
	for ok := true; ok; {
		_, ok = vs.Next()
	}
	if vs.Err() != nil {
		c.failWith(vs.Err())
		return Clustering{}
	}
	return Clustering{Values: c.take(uint64(len(c.b) - len(vs.Rest()))), Order: c.block()}
}

func (e *Encoding) readRow(c *cursor, flags byte, s *Scratch) {
	if flags&^byte(rowFlags) != 0 || flags&(flagLiveness|flagLivenessTTL) == flagLivenessTTL ||
		(flags&flagStatic != 0 && flags&(flagLiveness|flagDeletion) != 0) {
		c.fail("row flags %#x", flags)
		return
	}
	r := &s.row
	*r = Row{Static: flags&flagStatic != 0, Liveness: NoLiveness(), Deletion: Live(),
		Complex: r.Complex[:0], Cells: r.Cells[:0]}
	if !r.Static {
		r.Clustering = e.readOrdered(c, len(e.Table.Clustering), false, false, s)
	}
	s.body, s.paths = c.b, false
	last := before{e.Timestamp, e.LocalTime, 0}
	if flags&flagLiveness != 0 {
		r.Liveness.Timestamp = c.svint() + e.Timestamp
		if r.Liveness.IsEmpty() {
			c.fail("a row marker without timestamp")
		}
		last.timestamp = r.Liveness.Timestamp
		if flags&flagLivenessTTL != 0 {
			r.Liveness.TTL = readTTL(c)
			r.Liveness.LocalTime = c.svint() + e.LocalTime
			last.ttl, last.localTime = r.Liveness.TTL, r.Liveness.LocalTime
		}
	}
	if flags&flagDeletion != 0 {
		r.Deletion = e.readDeletion(c)
	}
	if flags&flagComplex != 0 {
		e.readComplex(c, r)
	}
	e.readCells(c, r, last, s)
}

func readTTL(c *cursor) int32 {
	v := c.uvint()
	if c.err == nil && (v == 0 || v > math.MaxInt32) {
		c.fail("a time to live of %d", v)
	}
	return int32(v)
}

// column finds a column by the id at the cursor; nil for one that was dropped.
func (e *Encoding) column(c *cursor, static bool) *schema.Column {
	id := c.uvint()
	if id > math.MaxUint16 {
		c.fail("column id %d", id)
		return nil
	}
	col := e.Table.ColumnByID(schema.ColumnID(id))
	if col == nil {
		return nil
	}
	if static != (col.Kind == schema.Static) || col.Kind < schema.Static {
		c.fail("column %s is %v", col.Name, col.Kind)
		return nil
	}
	return col
}

func (e *Encoding) readComplex(c *cursor, r *Row) {
	n := c.uvint()
	for i := uint64(0); i < n && c.err == nil; i++ {
		col := e.column(c, r.Static)
		d := e.readDeletion(c)
		if col == nil || c.err != nil {
			continue
		}
		if !col.IsComplex() {
			c.fail("a complex deletion of %s", col.Name)
		}
		if k := len(r.Complex); k > 0 && int(r.Complex[k-1].Column) >= col.Position {
			c.fail("complex deletions out of order at %s", col.Name)
		}
		r.Complex = append(r.Complex, ComplexDeletion{Column: int32(col.Position), Deletion: d})
	}
	if n == 0 {
		c.fail("no complex deletions")
	}
}

func (e *Encoding) readCells(c *cursor, r *Row, last before, s *Scratch) {
	n := c.uvint()
	for i := uint64(0); i < n && c.err == nil; i++ {
		if len(r.Cells) == cap(r.Cells) {
			// Cells are at least two bytes long: what comes bounds what we hold.
			r.Cells = growCells(r.Cells, min(n-i, uint64(len(c.b))/2+1))
		}
		at := len(r.Cells)
		r.Cells = r.Cells[:at+1]
		cell := &r.Cells[at]
		if !e.readCell(c, r.Static, cell, &last, s) {
			r.Cells = r.Cells[:at]
			continue
		}
		if at > 0 && compareCells(&r.Cells[at-1], cell) >= 0 {
			c.fail("cells out of order at column %d", cell.Column)
		}
	}
}

// growCells makes room for n more cells, but at most doubles: n comes from
// what may be nonsense.
func growCells(cells []Cell, n uint64) []Cell {
	bigger := make([]Cell, len(cells), len(cells)+int(min(n, uint64(len(cells)+8))))
	copy(bigger, cells)
	return bigger
}

// readCell reads a cell into out and tells whether its column still exists.
func (e *Encoding) readCell(c *cursor, static bool, out *Cell, last *before, s *Scratch) bool {
	flags := c.byte()
	col := e.column(c, static)
	timed := flags&(cellTombstone|cellExpiring) != 0
	if flags&(cellTombstone|cellExpiring) == cellTombstone|cellExpiring || (!timed && flags&cellSameTTL != 0) ||
		(flags&cellTombstone != 0 && flags&cellNoValue == 0) || (flags&cellOrder != 0 && (e.Form == Raw || flags&cellPath == 0)) {
		c.fail("cell flags %#x", flags)
		return false
	}
	*out = Cell{Flags: CellFlags(flags & (cellTombstone | cellExpiring | cellCounter)), LocalTime: NoDeletionTime}
	if flags&cellSameTime == 0 {
		last.timestamp = c.svint() + e.Timestamp
	}
	out.Timestamp = last.timestamp
	if timed {
		if flags&cellSameTTL == 0 {
			last.localTime, last.ttl = c.svint()+e.LocalTime, 0
			if flags&cellExpiring != 0 {
				last.ttl = readTTL(c)
			}
		}
		out.LocalTime, out.TTL = last.localTime, last.ttl
		if (out.TTL != 0) != (flags&cellExpiring != 0) {
			c.fail("cell flags %#x with a time to live of %d", flags, out.TTL)
		}
	}
	if flags&cellPath != 0 {
		s.paths = true
		out.Path = c.block()
		out.PathOrder = out.Path
	}
	if flags&cellOrder != 0 {
		out.PathOrder = c.block()
	}
	if flags&cellNoValue == 0 {
		out.Value = c.block()
	} else if flags&cellTombstone == 0 {
		out.Value = []byte{}
	}
	if col == nil || c.err != nil {
		return false
	}
	if col.IsComplex() != (flags&cellPath != 0) {
		c.fail("column %s with cell flags %#x", col.Name, flags)
		return false
	}
	out.Column = int32(col.Position)
	if flags&cellPath != 0 && e.Form == Raw && col.Type.Kind != types.UDT {
		from := len(s.bytes)
		s.bytes = AppendPathOrder(s.bytes, col, out.Path)
		out.PathOrder = s.bytes[from:len(s.bytes):len(s.bytes)]
	}
	return true
}
