package row

import (
	"bytes"
	"fmt"

	"helenus/internal/assert"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// valuesGroup is how many components share one header of a values block.
const valuesGroup = 32

// AppendValues appends the values block of a clustering or of a prefix of one:
// for every group of 32 components an unsigned vint with two bits each (bit 2i:
// empty, bit 2i+1: null), then the components that are neither, raw where the
// type has a fixed length, else behind their length. A nil value is null, an
// empty one empty. ts are the types of the table's clustering columns.
func AppendValues(dst []byte, ts []*types.Type, values [][]byte) []byte {
	for from := 0; from < len(values); from += valuesGroup {
		group := values[from:min(from+valuesGroup, len(values))]
		var header uint64
		for i, v := range group {
			if v == nil {
				header |= 2 << (2 * i)
			} else if len(v) == 0 {
				header |= 1 << (2 * i)
			}
		}
		dst = types.AppendUnsignedVInt(dst, header)
		for i, v := range group {
			if len(v) == 0 {
				continue
			}
			if n := ts[from+i].FixedLength(); n < 0 {
				dst = types.AppendUnsignedVInt(dst, uint64(len(v)))
			} else if len(v) != n {
				assert.That(false, "row: clustering component %d has %d bytes, its type has %d", from+i, len(v), n)
			}
			dst = append(dst, v...)
		}
	}
	return dst
}

// Values iterates over a values block without allocating.
type Values struct {
	ts     []*types.Type
	size   int
	next   int
	header uint64
	cur    cursor
}

// ReadValues begins to read a block of size components at the start of b.
func ReadValues(ts []*types.Type, size int, b []byte) Values {
	v := Values{ts: ts, size: size, cur: cursor{b: b}}
	if size > len(ts) {
		v.cur.fail("%d clustering components of %d", size, len(ts))
	}
	return v
}

// Next returns the next component: nil for null, empty and not nil for empty.
// ok is false behind the last one and when the block is malformed (see Err).
func (v *Values) Next() (value []byte, ok bool) {
	if v.next >= v.size || v.cur.err != nil {
		return nil, false
	}
	i := v.next % valuesGroup
	if i == 0 {
		v.header = v.cur.uvint()
		group := min(valuesGroup, v.size-v.next)
		if group < valuesGroup && v.header>>(2*group) != 0 {
			v.cur.fail("clustering header %#x has more than %d components", v.header, group)
		}
	}
	bits := v.header >> (2 * i) & 3
	t := v.ts[v.next]
	v.next++
	switch bits {
	case 2:
		return nil, v.cur.err == nil
	case 1:
		return []byte{}, v.cur.err == nil
	case 3:
		v.cur.fail("a clustering component both null and empty")
		return nil, false
	}
	if n := t.FixedLength(); n >= 0 {
		value = v.cur.take(uint64(n))
	} else {
		value = v.cur.block()
	}
	if v.cur.err == nil && len(value) == 0 {
		v.cur.fail("an empty clustering component that is not marked so")
	}
	return value, v.cur.err == nil
}

// Err tells what is wrong with the block, nil when nothing was found.
func (v *Values) Err() error { return v.cur.err }

// Rest is what follows the components read so far.
func (v *Values) Rest() []byte { return v.cur.b }

// All appends all components to dst.
func (v Values) All(dst [][]byte) ([][]byte, error) {
	for {
		value, ok := v.Next()
		if !ok {
			return dst, v.Err()
		}
		dst = append(dst, value)
	}
}

// AppendClustering appends both forms of a row's clustering key to dst and
// returns them as slices of it.
func AppendClustering(dst []byte, t *schema.Table, values [][]byte) ([]byte, Clustering) {
	if len(t.Clustering) == 0 {
		return dst, Clustering{}
	}
	a := len(dst)
	dst = AppendValues(dst, t.ClusteringTypes(), values)
	b := len(dst)
	dst = types.AppendClustering(dst, t.ClusteringTypes(), t.ClusteringReversed(), values)
	c := len(dst)
	return dst, Clustering{Values: dst[a:b:b], Order: dst[b:c:c]}
}

// AppendBound is AppendClustering for the bound before or behind all rows with
// a prefix; an empty prefix is that of all rows.
func AppendBound(dst []byte, t *schema.Table, prefix [][]byte, after bool) ([]byte, Clustering) {
	a := len(dst)
	dst = AppendValues(dst, t.ClusteringTypes(), prefix)
	b := len(dst)
	dst = types.AppendBound(dst, t.ClusteringTypes(), t.ClusteringReversed(), prefix, after)
	c := len(dst)
	return dst, Clustering{Values: dst[a:b:b], Order: dst[b:c:c]}
}

// readClustering reads a values block of size components at the cursor and
// appends its Order to scratch; size is the table's for a row.
func readClustering(c *cursor, t *schema.Table, size int, isBound, after bool, s *Scratch) Clustering {
	vs := ReadValues(t.ClusteringTypes(), size, c.b)
	s.components = s.components[:0]
	for {
		v, ok := vs.Next()
		if !ok {
			break
		}
		s.components = append(s.components, v)
	}
	if vs.Err() != nil {
		c.failWith(vs.Err())
		return Clustering{}
	}
	n := len(c.b) - len(vs.Rest())
	out := Clustering{Values: c.take(uint64(n))}
	from := len(s.bytes)
	if isBound {
		s.bytes = types.AppendBound(s.bytes, t.ClusteringTypes(), t.ClusteringReversed(), s.components, after)
	} else if size > 0 {
		s.bytes = types.AppendClustering(s.bytes, t.ClusteringTypes(), t.ClusteringReversed(), s.components)
	}
	out.Order = s.bytes[from:len(s.bytes):len(s.bytes)]
	return out
}

// pathType is the type whose order sorts the cells of a complex column.
func pathType(c *schema.Column) *types.Type {
	switch c.Type.Kind {
	case types.List:
		return types.Native(types.TimeUUID)
	case types.UDT:
		return types.Native(types.SmallInt)
	}
	return c.Type.Elems[0]
}

// AppendPathOrder appends the byte-comparable form of a complex column's path.
func AppendPathOrder(dst []byte, c *schema.Column, path []byte) []byte {
	if c.Type.Kind == types.UDT {
		return append(dst, path...) // an index is never negative: its bytes compare
	}
	return pathType(c).AppendComparable(dst, path)
}

// compareCells orders cells as a row holds them.
func compareCells(a, b *Cell) int {
	if a.Column != b.Column {
		return int(a.Column) - int(b.Column)
	}
	return bytes.Compare(a.PathOrder, b.PathOrder)
}

func columnsOf(t *schema.Table, static bool) []*schema.Column {
	if static {
		return t.Statics
	}
	return t.Regulars
}

func wrap(op string, t *schema.Table, err error) error {
	return fmt.Errorf("row: %s of %s: %w", op, t.QualifiedName(), err)
}
