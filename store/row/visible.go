package row

import (
	"bytes"
	"fmt"
)

// Scan counts what a read meets on its way, for thresholds and metrics.
type Scan struct {
	Rows       int // live rows given out
	Partitions int // partitions given out
	Tombstones int // dead cells, dead rows and markers passed over
	// TombstonesMax makes the read fail when passed; 0 is no limit.
	TombstonesMax int
}

// TombstonesError says that a read met more tombstones than Scan allows.
type TombstonesError struct{ Table string }

func (e *TombstonesError) Error() string {
	return fmt.Sprintf("row: read of %s: too many tombstones", e.Table)
}

// View shows only what a reader may see at the command's second: rows that
// live, in the slices, without tombstones, cells not selected and, by the
// limits, not asked for. It is both the Partitions and, one after the other,
// each Partition. Partitions without anything live do not appear.
type View struct {
	c            *Command
	staticCounts bool
	scan         *Scan

	ps     Partitions
	p      Partition
	slices []Slice
	buf    []Slice
	slice  int
	given  int // rows of this partition
	rows   int // rows of all
	parts  int
	done   bool
	ahead  *Row
	static visibleRow
	// hasStatic: the partition has a static row that lives.
	hasStatic bool
	row       visibleRow
	u         Unfiltered
}

type visibleRow struct {
	out   Row
	cells []Cell
}

// Visible makes a View of merged partitions. With staticCounts a partition that
// only has live statics counts as one row: what CQL wants where no clustering
// is restricted. scan may be nil.
func Visible(ps Partitions, c *Command, staticCounts bool, scan *Scan) *View {
	v := new(View)
	v.Reset(ps, c, staticCounts, scan)
	return v
}

// Reset makes a View of other partitions, as Visible does, and keeps the room
// it has for cells.
func (v *View) Reset(ps Partitions, c *Command, staticCounts bool, scan *Scan) {
	if scan == nil {
		scan = new(Scan)
	}
	cells, statics, buf := v.row.cells, v.static.cells, v.buf
	*v = View{c: c, staticCounts: staticCounts, scan: scan, ps: ps, buf: buf[:0]}
	v.row.cells, v.static.cells = cells[:0], statics[:0]
}

// Kept is how many cells and slices a View has room for: what is used again must
// not stay large for ever.
func (v *View) Kept() int { return cap(v.row.cells) + cap(v.static.cells) + cap(v.buf) }

// Next implements Partitions. The Partition's own Next yields rows only.
func (v *View) Next() (Partition, error) {
	for !v.done {
		if n := v.c.Limits.Partitions; n > 0 && v.parts >= n {
			break
		}
		if n := v.c.Limits.Rows; n > 0 && v.rows >= n {
			break
		}
		p, err := v.ps.Next()
		if p == nil || err != nil {
			return nil, err
		}
		some, err := v.begin(p)
		if err != nil {
			return nil, err
		}
		if some {
			v.scan.Partitions++
			v.parts++
			return (*visiblePartition)(v), nil
		}
	}
	v.done = true
	return nil, nil
}

// Close implements Partitions.
func (v *View) Close() error { return v.ps.Close() }

// begin looks for the first live row of p and tells whether p is to be seen.
func (v *View) begin(p Partition) (bool, error) {
	f := v.c.FilterFor(p.Key(), v.buf)
	if v.c.Continues(p.Key()) {
		v.buf = f.Slices
	}
	v.p, v.slices, v.given, v.ahead, v.slice = p, f.Slices, 0, nil, 0
	if f.Reversed {
		v.slice = len(v.slices) - 1
	}
	v.hasStatic = false
	if s := p.StaticRow(); s != nil {
		v.hasStatic = v.show(s, &v.static, v.c.Filter.Statics) != nil
	}
	var err error
	if v.ahead, err = v.nextLive(); err != nil || v.ahead != nil {
		return v.ahead != nil, err
	}
	if v.hasStatic && v.staticCounts && !v.c.Continues(p.Key()) {
		v.scan.Rows++
		v.rows++
		return true, v.overflow()
	}
	return false, v.overflow()
}

func (v *View) overflow() error {
	if v.scan.TombstonesMax > 0 && v.scan.Tombstones > v.scan.TombstonesMax {
		return &TombstonesError{Table: v.c.Table.QualifiedName()}
	}
	return nil
}

func (v *View) nextLive() (*Row, error) {
	if n := v.c.Limits.PerPartition; n > 0 && v.given >= n {
		return nil, nil
	}
	if n := v.c.Limits.Rows; n > 0 && v.rows >= n {
		return nil, nil
	}
	for {
		if err := v.overflow(); err != nil {
			return nil, err
		}
		if v.slice < 0 || v.slice >= len(v.slices) {
			return nil, nil
		}
		u, err := v.p.Next()
		if u == nil || err != nil {
			return nil, err
		}
		if u.Marker != nil {
			v.scan.Tombstones++
			continue
		}
		if !v.inSlice(u.Row.Clustering.Order) {
			continue
		}
		if r := v.show(u.Row, &v.row, v.c.Filter.Regulars); r != nil {
			v.given++
			v.rows++
			v.scan.Rows++
			return r, nil
		}
	}
}

// inSlice steps the slices up to a row and tells whether the row is in one.
func (v *View) inSlice(order []byte) bool {
	if v.c.Filter.Reversed {
		for v.slice >= 0 && len(v.slices[v.slice].Start) > 0 && bytes.Compare(order, v.slices[v.slice].Start) <= 0 {
			v.slice--
		}
		return v.slice >= 0 && v.slices[v.slice].Contains(order)
	}
	for v.slice < len(v.slices) && len(v.slices[v.slice].End) > 0 && bytes.Compare(order, v.slices[v.slice].End) >= 0 {
		v.slice++
	}
	return v.slice < len(v.slices) && v.slices[v.slice].Contains(order)
}

// show returns what is to be seen of r; nil when r does not live. Whether it
// lives is decided by all its columns, before the selection.
func (v *View) show(r *Row, buf *visibleRow, selected []bool) *Row {
	now := v.c.Now
	live, dead, keep := 0, 0, 0
	for i := range r.Cells {
		c := &r.Cells[i]
		if !c.IsLive(now) {
			dead++
			continue
		}
		live++
		if selected == nil || selected[c.Column] {
			keep++
		}
	}
	v.scan.Tombstones += dead
	if live == 0 && !r.Liveness.IsLive(now) {
		if dead == 0 && (!r.Deletion.IsLive() || len(r.Complex) > 0 || !r.Liveness.IsEmpty()) {
			v.scan.Tombstones++
		}
		return nil
	}
	buf.out = Row{Static: r.Static, Clustering: r.Clustering, Liveness: r.Liveness, Deletion: Live(), Cells: r.Cells}
	if !r.Liveness.IsLive(now) {
		buf.out.Liveness = NoLiveness()
	}
	if keep < len(r.Cells) {
		buf.cells = buf.cells[:0]
		for i := range r.Cells {
			if c := &r.Cells[i]; c.IsLive(now) && (selected == nil || selected[c.Column]) {
				buf.cells = append(buf.cells, *c)
			}
		}
		buf.out.Cells = buf.cells
	}
	return &buf.out
}

// visiblePartition is a View as the Partition it stands at.
type visiblePartition View

func (p *visiblePartition) Key() Key           { return p.p.Key() }
func (p *visiblePartition) Deletion() Deletion { return Live() }
func (p *visiblePartition) Close() error       { return p.p.Close() }

func (p *visiblePartition) StaticRow() *Row {
	if !p.hasStatic {
		return nil
	}
	return &p.static.out
}

func (p *visiblePartition) Next() (*Unfiltered, error) {
	v := (*View)(p)
	r := v.ahead
	v.ahead = nil
	if r == nil {
		var err error
		if r, err = v.nextLive(); r == nil || err != nil {
			return nil, err
		}
	}
	v.u = Unfiltered{Row: r}
	return &v.u, nil
}
