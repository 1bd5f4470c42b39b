package row

import (
	"bytes"
	"hash/maphash"
	"slices"

	"helenus/internal/assert"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// Builder makes a mutation of what statements say, in any order and as often
// as they like for one row: it sorts, merges by the rules of Merge and drops
// what its own deletions cover. Used again after Reset it allocates nothing.
// All bytes handed to it must stay valid until Finish.
//
//	b.Reset()
//	b.Begin(table, key)
//	b.BeginRow(c1, c2)
//	b.Liveness(Liveness{...})
//	b.Cell(column, Cell{Timestamp: ts, LocalTime: NoDeletionTime, Value: v})
//	b.EndRow()
//	mutation, err = b.Finish(mutation[:0])
type Builder struct {
	parts   []builtPart
	byKey   map[uint64]int32 // hash of table and key to parts, once there are many
	rows    []builtRow
	ranges  []builtRange
	cells   []Cell
	complex []ComplexDeletion
	bytes   []byte
	seed    maphash.Seed
	part    int32
	inRow   bool

	merge   RowMerger
	group   []*Row
	views   []Row
	view    builtPartition
	update  []byte
	started bool
}

type builtPart struct {
	table    *schema.Table
	key      []byte
	deletion Deletion
}

// builtRow says for one partition what one statement says of one row.
type builtRow struct {
	part                   int32
	static                 bool
	clustering             Clustering
	liveness               Liveness
	deletion               Deletion
	cellFrom, cellTo       int
	complexFrom, complexTo int
}

type builtRange struct {
	part       int32
	start, end builtBound
	deletion   Deletion
}

type builtBound struct {
	clustering Clustering
	size       int
	after      bool
}

// scanMax is how many partitions are looked through before a map pays.
const scanMax = 8

// Reset forgets everything but the buffers.
func (b *Builder) Reset() {
	if !b.started {
		b.seed, b.byKey, b.started = maphash.MakeSeed(), make(map[uint64]int32), true
	}
	clear(b.byKey)
	b.parts, b.rows, b.ranges = b.parts[:0], b.rows[:0], b.ranges[:0]
	b.cells, b.complex, b.bytes = b.cells[:0], b.complex[:0], b.bytes[:0]
	b.inRow = false
}

// Begin makes what follows be said of this partition, new or begun before.
func (b *Builder) Begin(t *schema.Table, key []byte) {
	assert.That(b.started && !b.inRow, "row: Begin before Reset or within a row")
	if i, ok := b.find(t, key); ok {
		b.part = i
		return
	}
	b.part = int32(len(b.parts))
	b.parts = append(b.parts, builtPart{table: t, key: key, deletion: Live()})
	switch n := len(b.parts); {
	case n == scanMax+1:
		for i := range b.parts {
			b.index(int32(i))
		}
	case n > scanMax:
		b.index(b.part)
	}
}

func (b *Builder) hash(t *schema.Table, key []byte) uint64 {
	return maphash.Bytes(b.seed, key) ^ maphash.Bytes(b.seed, t.ID[:])
}

func (b *Builder) index(i int32) {
	p := &b.parts[i]
	if h := b.hash(p.table, p.key); b.byKey[h] == 0 {
		b.byKey[h] = i + 1
	}
}

func (b *Builder) find(t *schema.Table, key []byte) (int32, bool) {
	same := func(p *builtPart) bool { return p.table.ID == t.ID && bytes.Equal(p.key, key) }
	if len(b.parts) > scanMax {
		i := b.byKey[b.hash(t, key)] - 1
		if i < 0 {
			return 0, false
		}
		if same(&b.parts[i]) {
			return i, true
		}
	}
	for i := range b.parts {
		if same(&b.parts[i]) {
			return int32(i), true
		}
	}
	return 0, false
}

func (b *Builder) table() *schema.Table { return b.parts[b.part].table }

// DeletePartition deletes the whole partition, statics too.
func (b *Builder) DeletePartition(d Deletion) {
	if p := &b.parts[b.part]; d.Supersedes(p.deletion) {
		p.deletion = d
	}
}

// BeginRow begins a row, named by all its clustering components.
func (b *Builder) BeginRow(components ...[]byte) {
	b.begin(false)
	r := &b.rows[len(b.rows)-1]
	b.bytes, r.clustering = AppendClustering(b.bytes, b.table(), components)
}

// BeginStatic begins the static row.
func (b *Builder) BeginStatic() { b.begin(true) }

func (b *Builder) begin(static bool) {
	assert.That(!b.inRow && len(b.parts) > 0, "row: a row begun within a row or without partition")
	b.inRow = true
	b.rows = append(b.rows, builtRow{part: b.part, static: static, liveness: NoLiveness(), deletion: Live(),
		cellFrom: len(b.cells), complexFrom: len(b.complex)})
}

// Liveness sets the row's own marker.
func (b *Builder) Liveness(l Liveness) {
	if r := b.row(); l.supersedes(r.liveness) {
		r.liveness = l
	}
}

// DeleteRow deletes the row.
func (b *Builder) DeleteRow(d Deletion) {
	if r := b.row(); d.Supersedes(r.deletion) {
		r.deletion = d
	}
}

// DeleteComplex deletes all elements of a complex column of the row.
func (b *Builder) DeleteComplex(c *schema.Column, d Deletion) {
	b.row()
	b.complex = append(b.complex, ComplexDeletion{Column: int32(c.Position), Deletion: d})
}

// Cell writes a cell of the row; its Column and PathOrder need not be set.
func (b *Builder) Cell(c *schema.Column, cell Cell) {
	b.row()
	cell.Column = int32(c.Position)
	if cell.Path != nil {
		from := len(b.bytes)
		b.bytes = AppendPathOrder(b.bytes, c, cell.Path)
		cell.PathOrder = b.bytes[from:len(b.bytes):len(b.bytes)]
	}
	b.cells = append(b.cells, cell)
}

func (b *Builder) row() *builtRow {
	assert.That(b.inRow, "row: no row begun")
	return &b.rows[len(b.rows)-1]
}

// EndRow ends the row.
func (b *Builder) EndRow() {
	r := b.row()
	b.inRow = false
	r.cellTo = r.cellFrom + len(tidyCells(b.cells[r.cellFrom:]))
	r.complexTo = r.complexFrom + len(tidyComplex(b.complex[r.complexFrom:]))
	b.cells, b.complex = b.cells[:r.cellTo], b.complex[:r.complexTo]
}

// tidyCells sorts cells and keeps the winner of each.
func tidyCells(cells []Cell) []Cell {
	sorted := true
	for i := 1; i < len(cells) && sorted; i++ {
		sorted = compareCells(&cells[i-1], &cells[i]) < 0
	}
	if sorted {
		return cells
	}
	slices.SortFunc(cells, func(a, b Cell) int { return compareCells(&a, &b) })
	n := 0
	for i := range cells {
		switch {
		case n == 0 || compareCells(&cells[n-1], &cells[i]) != 0:
			cells[n] = cells[i]
			n++
		case reconcile(&cells[n-1], &cells[i]):
			cells[n-1] = cells[i]
		}
	}
	return cells[:n]
}

func tidyComplex(ds []ComplexDeletion) []ComplexDeletion {
	if len(ds) < 2 {
		return ds
	}
	slices.SortFunc(ds, func(a, b ComplexDeletion) int { return int(a.Column) - int(b.Column) })
	n := 1
	for _, d := range ds[1:] {
		switch last := &ds[n-1]; {
		case last.Column != d.Column:
			ds[n] = d
			n++
		case d.Deletion.Supersedes(last.Deletion):
			*last = d
		}
	}
	return ds[:n]
}

// DeleteRange deletes all rows between two prefixes of clusterings, in the
// order of the table; an empty prefix is open. An empty span deletes nothing.
func (b *Builder) DeleteRange(start [][]byte, startInclusive bool, end [][]byte, endInclusive bool, d Deletion) {
	assert.That(!b.inRow && len(b.parts) > 0, "row: a range deleted within a row or without partition")
	r := builtRange{part: b.part, deletion: d}
	r.start = b.bound(start, len(start) > 0 && !startInclusive)
	r.end = b.bound(end, len(end) == 0 || endInclusive)
	if bytes.Compare(r.start.clustering.Order, r.end.clustering.Order) < 0 {
		b.ranges = append(b.ranges, r)
	}
}

func (b *Builder) bound(prefix [][]byte, after bool) builtBound {
	out := builtBound{size: len(prefix), after: after}
	b.bytes, out.clustering = AppendBound(b.bytes, b.table(), prefix, after)
	return out
}

// Len is the number of partitions begun.
func (b *Builder) Len() int { return len(b.parts) }

// Partition is the i-th partition begun: its table and key.
func (b *Builder) Partition(i int) (*schema.Table, []byte) { return b.parts[i].table, b.parts[i].key }

// Finish appends the mutation: one update for each partition, in the order in
// which they were begun.
func (b *Builder) Finish(dst []byte) []byte {
	assert.That(!b.inRow && len(b.parts) > 0, "row: Finish within a row or without partition")
	b.sort()
	dst = types.AppendUnsignedVInt(dst, uint64(len(b.parts)))
	v := &b.view
	v.b, v.rowTo, v.rangeTo = b, 0, 0
	for i := range b.parts {
		v.reset(int32(i))
		var err error
		b.update, err = AppendUpdate(b.update[:0], b.parts[i].table, v)
		assert.That(err == nil, "row: %v", err)
		dst = appendBlock(dst, b.update)
	}
	return dst
}

func (b *Builder) sort() {
	if len(b.rows) > 1 {
		slices.SortStableFunc(b.rows, func(x, y builtRow) int {
			if x.part != y.part {
				return int(x.part) - int(y.part)
			}
			if x.static != y.static {
				if x.static {
					return -1
				}
				return 1
			}
			return bytes.Compare(x.clustering.Order, y.clustering.Order)
		})
	}
	if len(b.ranges) > 1 {
		slices.SortStableFunc(b.ranges, func(x, y builtRange) int {
			if x.part != y.part {
				return int(x.part) - int(y.part)
			}
			return bytes.Compare(x.start.clustering.Order, y.start.clustering.Order)
		})
	}
}
