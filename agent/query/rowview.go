package query

import (
	"encoding/binary"

	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// rowView is one live row as selectors and filters see it: values by slot. What
// it holds is valid until the iterator moves on.
type rowView struct {
	plan   *selectPlan
	now    int64
	key    row.Key
	static *row.Row
	row    *row.Row // nil when only the static row is there
	values [][]byte

	parts   [][]byte // scratch: components of the key or clustering
	scratch []byte   // scratch: collections put together from cells
}

// load fills the values of the plan's columns.
func (v *rowView) load() {
	t := v.plan.table
	if cap(v.values) < len(v.plan.columns) {
		v.values = make([][]byte, len(v.plan.columns))
	}
	v.values = v.values[:len(v.plan.columns)]
	v.scratch = v.scratch[:0]
	var keyParts, clustering [][]byte
	v.parts = splitKey(v.parts[:0], v.key.Bytes, len(t.PartitionKey))
	keyParts = v.parts
	if v.row != nil {
		clustering = v.clustering(t)
	}
	for i, col := range v.plan.columns {
		v.values[i] = nil
		switch col.Kind {
		case schema.PartitionKey:
			if col.Position < len(keyParts) {
				v.values[i] = keyParts[col.Position]
			}
		case schema.Clustering:
			if col.Position < len(clustering) {
				v.values[i] = clustering[col.Position]
			}
		case schema.Static:
			v.values[i] = v.cellValue(v.static, col)
		case schema.Regular:
			v.values[i] = v.cellValue(v.row, col)
		}
	}
}

func (v *rowView) clustering(t *schema.Table) [][]byte {
	n := len(v.parts)
	it := row.ReadValues(t.ClusteringTypes(), len(t.Clustering), v.row.Clustering.Values)
	for {
		value, ok := it.Next()
		if !ok {
			break
		}
		v.parts = append(v.parts, value)
	}
	return v.parts[n:]
}

// cells are those of a column; a row's cells are sorted by column.
func cells(r *row.Row, col *schema.Column) []row.Cell {
	if r == nil {
		return nil
	}
	lo, hi := 0, len(r.Cells)
	for lo < hi {
		if mid := (lo + hi) / 2; int(r.Cells[mid].Column) < col.Position {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	hi = lo
	for hi < len(r.Cells) && int(r.Cells[hi].Column) == col.Position {
		hi++
	}
	return r.Cells[lo:hi]
}

// cellValue is a column's value: a cell's, or a collection put together.
func (v *rowView) cellValue(r *row.Row, col *schema.Column) []byte {
	cs := cells(r, col)
	if !col.IsComplex() {
		if len(cs) == 0 || !cs[0].IsLive(v.now) {
			return nil
		}
		return orEmpty(cs[0].Value)
	}
	if col.Type.Kind == types.UDT {
		return v.userType(cs, col)
	}
	start, n := len(v.scratch), 0
	v.scratch = append(v.scratch, 0, 0, 0, 0)
	for i := range cs {
		c := &cs[i]
		if !c.IsLive(v.now) {
			continue
		}
		n++
		if col.Type.Kind != types.List {
			v.scratch = types.AppendElement(v.scratch, orEmpty(c.Path))
		}
		if col.Type.Kind != types.Set {
			v.scratch = types.AppendElement(v.scratch, orEmpty(c.Value))
		}
	}
	if n == 0 {
		v.scratch = v.scratch[:start]
		return nil
	}
	binary.BigEndian.PutUint32(v.scratch[start:], uint32(n))
	return v.scratch[start:len(v.scratch):len(v.scratch)]
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// userType puts a non-frozen user type together; its paths are field numbers.
func (v *rowView) userType(cs []row.Cell, col *schema.Column) []byte {
	start, next := len(v.scratch), 0
	for i := range cs {
		c := &cs[i]
		if !c.IsLive(v.now) || len(c.Path) != 2 {
			continue
		}
		for field := int(binary.BigEndian.Uint16(c.Path)); next < field && next < len(col.Type.Elems); next++ {
			v.scratch = types.AppendElement(v.scratch, nil)
		}
		v.scratch = types.AppendElement(v.scratch, orEmpty(c.Value))
		next++
	}
	if next == 0 {
		return nil
	}
	return v.scratch[start:len(v.scratch):len(v.scratch)]
}

// columnExpr is a column of the row.
type columnExpr struct{ slot int }

func (e *columnExpr) eval(_ *execution, r *rowView) (Value, error) {
	return Value{Bytes: r.values[e.slot]}, nil
}

// cellInfoExpr is WRITETIME, MAXWRITETIME or TTL of a column; of a collection
// it is the list over its elements.
type cellInfoExpr struct {
	slot    int
	kind    parse.CellInfoKind
	complex bool
}

func (e *cellInfoExpr) eval(_ *execution, r *rowView) (Value, error) {
	col := r.plan.columns[e.slot]
	from := r.row
	if col.Kind == schema.Static {
		from = r.static
	}
	var each [][]byte
	var newest int64
	for _, c := range cells(from, col) {
		if !c.IsLive(r.now) {
			continue
		}
		if c.Timestamp > newest || each == nil {
			newest = c.Timestamp
		}
		each = append(each, e.info(&c, r.now))
	}
	switch {
	case each == nil:
		return Value{}, nil
	case e.kind == parse.MaxWriteTime:
		return Value{Bytes: binary.BigEndian.AppendUint64(nil, uint64(newest))}, nil
	case e.complex:
		return Value{Bytes: types.EncodeCollection(types.ListOf(types.Native(types.BigInt), false), each)}, nil
	}
	return Value{Bytes: each[0]}, nil
}

func (e *cellInfoExpr) info(c *row.Cell, now int64) []byte {
	if e.kind != parse.TTL {
		return binary.BigEndian.AppendUint64(nil, uint64(c.Timestamp))
	}
	if c.Flags&row.Expiring == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, uint32(c.LocalTime-now))
}
