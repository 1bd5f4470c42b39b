package row

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

// This file is the slow, obvious Merge: it keeps every write ever made and
// finds by definition what a partition is.

const modelColumns = "k int | c1 text, c2 int desc | s int static, sm map<int,text> static, v int, w text, m map<int,text>"

func modelTable(t testing.TB) *schema.Table {
	t.Helper()
	table, err := ParseTable(modelColumns)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// write is one thing said about the one partition of the model.
type write struct {
	static     bool
	clustering [][]byte // nil: not about a row
	prefixes   [2][][]byte
	inclusive  [2]bool
	isRange    bool

	deletion *Deletion // of partition, range, row or (with column) complex
	liveness *Liveness
	column   *schema.Column
	cell     *Cell
}

// sayTo says w in a row of its own, with next if that is about the same row:
// so some things are said twice.
func (w *write) sayTo(b *Builder, next *write) {
	switch {
	case w.isRange:
		b.DeleteRange(w.prefixes[0], w.inclusive[0], w.prefixes[1], w.inclusive[1], *w.deletion)
		return
	case w.clustering == nil && !w.static:
		b.DeletePartition(*w.deletion)
		return
	case w.static:
		b.BeginStatic()
	default:
		b.BeginRow(w.clustering...)
	}
	w.sayInRow(b)
	if next != nil && next.isRow() && w.static == next.static && slices.EqualFunc(w.clustering, next.clustering, same) {
		next.sayInRow(b)
	}
	b.EndRow()
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func (w *write) isRow() bool { return w.static || w.clustering != nil }

func (w *write) sayInRow(b *Builder) {
	switch {
	case w.liveness != nil:
		b.Liveness(*w.liveness)
	case w.cell != nil:
		b.Cell(w.column, *w.cell)
	case w.column != nil:
		b.DeleteComplex(w.column, *w.deletion)
	default:
		b.DeleteRow(*w.deletion)
	}
}

func int32Bytes(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func randomClustering(r *rand.Rand) [][]byte {
	c := [][]byte{{byte('a' + r.IntN(3))}, int32Bytes(r.IntN(4))}
	switch r.IntN(20) {
	case 0:
		c[1] = nil
	case 1:
		c[0] = []byte{}
	}
	return c
}

func randomCell(r *rand.Rand, col *schema.Column) *Cell {
	c := &Cell{Timestamp: r.Int64N(6), LocalTime: NoDeletionTime}
	switch r.IntN(4) {
	case 0:
		c.Flags, c.LocalTime = Tombstone, 100+r.Int64N(3)
	case 1:
		c.Flags, c.TTL = Expiring, int32(10+r.IntN(2))
		c.LocalTime = 100 + r.Int64N(3)
	}
	if c.Flags&Tombstone == 0 {
		c.Value = []byte{byte('x' + r.IntN(2))}
	}
	if col.IsComplex() {
		c.Path = int32Bytes(r.IntN(3))
	}
	return c
}

func randomWrite(r *rand.Rand, t *schema.Table) write {
	d := &Deletion{Timestamp: r.Int64N(6), LocalTime: 100 + r.Int64N(2)}
	switch n := r.IntN(100); {
	case n < 2:
		return write{deletion: d}
	case n < 14:
		w := write{isRange: true, deletion: d}
		for i := range w.prefixes {
			w.prefixes[i] = randomClustering(r)[:r.IntN(3)]
			w.inclusive[i] = r.IntN(2) == 0
		}
		return w
	case n < 20:
		return write{clustering: randomClustering(r), deletion: d}
	case n < 36:
		l := &Liveness{Timestamp: r.Int64N(6), LocalTime: NoDeletionTime}
		if r.IntN(2) == 0 {
			l.TTL, l.LocalTime = int32(10+r.IntN(2)), 100+r.Int64N(3)
		}
		return write{clustering: randomClustering(r), liveness: l}
	}
	w := write{static: r.IntN(6) == 0}
	columns := t.Statics
	if !w.static {
		columns, w.clustering = t.Regulars, randomClustering(r)
	}
	w.column = columns[r.IntN(len(columns))]
	if w.column.IsComplex() && r.IntN(4) == 0 {
		w.deletion = d
	} else {
		w.cell = randomCell(r, w.column)
	}
	return w
}

type span struct {
	start, end Clustering
	d          Deletion
}

// openAt finds the strongest deletion on both sides of a place.
func openAt(spans []span, partition Deletion, order string) (before, after Deletion) {
	before, after = partition, partition
	for _, s := range spans {
		if string(s.start.Order) < order && order <= string(s.end.Order) {
			before = later(before, s.d)
		}
		if string(s.start.Order) <= order && order < string(s.end.Order) {
			after = later(after, s.d)
		}
	}
	return before, after
}

// model finds what the writes make.
func model(t *schema.Table, writes []write) *Kept {
	k := &Kept{PartitionKey: Key{Bytes: int32Bytes(1)}, Deleted: Live()}
	k.PartitionKey.Prefix = token.Murmur3Partitioner{}.Prefix(k.PartitionKey.Bytes)
	var spans []span
	type place struct {
		bound Marker
		row   *Row
	}
	places := map[string]*place{}
	about := map[string][]write{}
	for _, w := range writes {
		switch {
		case w.isRange:
			startAfter, endAfter := len(w.prefixes[0]) > 0 && !w.inclusive[0], len(w.prefixes[1]) == 0 || w.inclusive[1]
			_, s := AppendBound(nil, t, w.prefixes[0], startAfter)
			_, e := AppendBound(nil, t, w.prefixes[1], endAfter)
			spans = append(spans, span{s, e, *w.deletion})
			places[string(s.Order)] = &place{bound: Marker{Bound: s, Size: len(w.prefixes[0]), AfterPrefix: startAfter}}
			places[string(e.Order)] = &place{bound: Marker{Bound: e, Size: len(w.prefixes[1]), AfterPrefix: endAfter}}
		case w.static:
			about["static"] = append(about["static"], w)
		case w.clustering == nil:
			k.Deleted = later(k.Deleted, *w.deletion)
		default:
			_, c := AppendClustering(nil, t, w.clustering)
			places[string(c.Order)] = &place{row: &Row{Clustering: c}}
			about[string(c.Order)] = append(about[string(c.Order)], w)
		}
	}
	hide := func(d Deletion) Deletion {
		if d == k.Deleted {
			return Live()
		}
		return d
	}
	orders := make([]string, 0, len(places))
	for o := range places {
		orders = append(orders, o)
	}
	slices.Sort(orders)
	for _, o := range orders {
		p := places[o]
		before, after := openAt(spans, k.Deleted, o)
		if p.row == nil {
			if before != after {
				p.bound.Before, p.bound.After = hide(before), hide(after)
				k.Rows = append(k.Rows, Unfiltered{Marker: &p.bound})
			}
		} else if modelRow(p.row, about[o], before) {
			k.Rows = append(k.Rows, Unfiltered{Row: p.row})
		}
	}
	if s := (&Row{Static: true}); modelRow(s, about["static"], k.Deleted) {
		k.Static = s
	}
	return k
}

func later(a, b Deletion) Deletion {
	if cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.LocalTime, b.LocalTime)) < 0 || a.IsLive() {
		return b
	}
	return a
}

// modelRow fills in r and tells whether anything is left of it.
func modelRow(r *Row, writes []write, active Deletion) bool {
	r.Liveness, r.Deletion = NoLiveness(), Live()
	top := active
	for _, w := range writes {
		if w.column == nil && w.deletion != nil && later(top, *w.deletion) != top {
			top = later(top, *w.deletion)
			r.Deletion = top
		}
	}
	complexes := map[int32]Deletion{}
	var cells []Cell
	for _, w := range writes {
		switch {
		case w.liveness != nil && w.liveness.Timestamp > top.Timestamp:
			if modelLiveness(*w.liveness, r.Liveness) > 0 {
				r.Liveness = *w.liveness
			}
		case w.cell != nil:
			c := *w.cell
			c.Column = int32(w.column.Position)
			if c.Path != nil {
				c.PathOrder = AppendPathOrder(nil, w.column, c.Path)
			}
			cells = append(cells, c)
		case w.column != nil && later(top, *w.deletion) != top:
			col := int32(w.column.Position)
			if d, ok := complexes[col]; !ok || later(d, *w.deletion) != d {
				complexes[col] = *w.deletion
			}
		}
	}
	for col, d := range complexes {
		r.Complex = append(r.Complex, ComplexDeletion{col, d})
	}
	slices.SortFunc(r.Complex, func(a, b ComplexDeletion) int { return int(a.Column - b.Column) })
	slices.SortFunc(cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Column, b.Column), bytes.Compare(a.Path, b.Path), -modelCells(&a, &b))
	})
	for i, c := range cells {
		if i > 0 && c.Column == cells[i-1].Column && bytes.Equal(c.Path, cells[i-1].Path) {
			continue
		}
		if c.Timestamp > top.Timestamp && (complexes[c.Column] == Deletion{} || c.Timestamp > complexes[c.Column].Timestamp) {
			r.Cells = append(r.Cells, c)
		}
	}
	return !r.isEmpty()
}

func modelLiveness(a, b Liveness) int {
	expiring := func(l Liveness) int { return min(int(l.TTL), 1) }
	return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(expiring(a), expiring(b)),
		cmp.Compare(a.LocalTime, b.LocalTime), -cmp.Compare(a.TTL, b.TTL))
}

// modelCells is the rule of reconcile as one list.
func modelCells(a, b *Cell) int {
	class := func(c *Cell) int { return map[CellFlags]int{0: 0, Expiring: 1, Tombstone: 2}[c.Flags] }
	return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(class(a), class(b)),
		cmp.Compare(a.LocalTime, b.LocalTime), bytes.Compare(a.Value, b.Value), -cmp.Compare(a.TTL, b.TTL))
}
