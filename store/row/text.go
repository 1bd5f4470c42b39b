package row

import (
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"strconv"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// The text form of partitions, for tests of everything that handles them; Print
// writes and Parse reads it. One line each, components by commas:
//
//	partition 1,a del=5/100         key; deletion: timestamp/local time
//	static s=x@5                    a cell: value@timestamp
//	row a,2 live=5 v=1@5 w=~@5/100  a row marker; a tombstone
//	row a,3 live=5!60/160 v=1@5!60/160     expiring: !ttl/expiry
//	row a,4 del=7/100 m[]=~@4/100 m[1]=x@5 row deletion, complex deletion, element
//	row a,5 c=#0x00@5               a counter's cell
//	mark <a - 5/100                 bound before the rows with prefix a; open before, open after
//	mark >a 5/100 -                 bound behind them
//	range >=a,1 <a,9 del=5/100      Parse only: both marks at once; * is an open end
//
// Whole numbers, true and false, uuids and simple words stand as they are,
// other text in Go's quotes, all else as 0x and hex digits; null is null, ""
// is empty.

// bare is what text needs no quotes.
var bare = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

const noValueText = `""`

// Print appends the text form of p, reading it to its end.
func Print(dst []byte, t *schema.Table, p Partition) ([]byte, error) {
	dst = append(dst, "partition "...)
	dst = printKey(dst, t, p.Key().Bytes)
	if d := p.Deletion(); !d.IsLive() {
		dst = printDeletion(append(dst, " del="...), d)
	}
	dst = append(dst, '\n')
	if s := p.StaticRow(); s != nil {
		dst = PrintRow(dst, t, s)
	}
	for {
		u, err := p.Next()
		switch {
		case u == nil || err != nil:
			return dst, err
		case u.Row != nil:
			dst = PrintRow(dst, t, u.Row)
		default:
			dst = printMarker(dst, t, u.Marker)
		}
	}
}

// PrintAll appends the text form of all partitions of ps.
func PrintAll(dst []byte, t *schema.Table, ps Partitions) ([]byte, error) {
	for {
		p, err := ps.Next()
		if p == nil || err != nil {
			return dst, err
		}
		if dst, err = Print(dst, t, p); err != nil {
			return dst, err
		}
	}
}

func printKey(dst []byte, t *schema.Table, key []byte) []byte {
	if len(t.PartitionKey) == 1 {
		return printValue(dst, t.PartitionKey[0].Type, key)
	}
	for i, c := range t.PartitionKey {
		if len(key) < 3 || len(key) < 3+int(binary.BigEndian.Uint16(key)) {
			return append(dst, "?"...)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		n := 2 + int(binary.BigEndian.Uint16(key))
		dst = printValue(dst, c.Type, key[2:n])
		key = key[n+1:]
	}
	return dst
}

func printDeletion(dst []byte, d Deletion) []byte {
	dst = strconv.AppendInt(dst, d.Timestamp, 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, d.LocalTime, 10)
}

func printOpen(dst []byte, d Deletion) []byte {
	if d.IsLive() {
		return append(dst, " -"...)
	}
	return printDeletion(append(dst, ' '), d)
}

func printMarker(dst []byte, t *schema.Table, m *Marker) []byte {
	dst = append(dst, "mark "...)
	if m.AfterPrefix {
		dst = append(dst, '>')
	} else {
		dst = append(dst, '<')
	}
	dst = printValues(dst, t, m.Size, m.Bound.Values)
	dst = printOpen(printOpen(dst, m.Before), m.After)
	return append(dst, '\n')
}

func printValues(dst []byte, t *schema.Table, size int, block []byte) []byte {
	vs := ReadValues(t.ClusteringTypes(), size, block)
	for i := 0; ; i++ {
		v, ok := vs.Next()
		if !ok {
			if vs.Err() != nil {
				dst = append(dst, '?')
			}
			return dst
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = printValue(dst, t.ClusteringTypes()[i], v)
	}
}

func printTTL(dst []byte, ttl int32, expiry int64) []byte {
	dst = append(dst, '!')
	dst = strconv.AppendInt(dst, int64(ttl), 10)
	dst = append(dst, '/')
	return strconv.AppendInt(dst, expiry, 10)
}

// PrintRow appends a row's line.
func PrintRow(dst []byte, t *schema.Table, r *Row) []byte {
	if r.Static {
		dst = append(dst, "static"...)
	} else {
		dst = append(dst, "row"...)
		if len(t.Clustering) > 0 {
			dst = append(dst, ' ')
			dst = printValues(dst, t, len(t.Clustering), r.Clustering.Values)
		}
	}
	if !r.Liveness.IsEmpty() {
		dst = append(dst, " live="...)
		dst = strconv.AppendInt(dst, r.Liveness.Timestamp, 10)
		if r.Liveness.TTL != 0 {
			dst = printTTL(dst, r.Liveness.TTL, r.Liveness.LocalTime)
		}
	}
	if !r.Deletion.IsLive() {
		dst = printDeletion(append(dst, " del="...), r.Deletion)
	}
	columns := columnsOf(t, r.Static)
	cx := 0
	for i := range r.Cells {
		for ; cx < len(r.Complex) && r.Complex[cx].Column <= r.Cells[i].Column; cx++ {
			dst = printComplex(dst, columns, &r.Complex[cx])
		}
		dst = printCell(dst, columns[r.Cells[i].Column], &r.Cells[i])
	}
	for ; cx < len(r.Complex); cx++ {
		dst = printComplex(dst, columns, &r.Complex[cx])
	}
	return append(dst, '\n')
}

func printComplex(dst []byte, columns []*schema.Column, d *ComplexDeletion) []byte {
	dst = append(dst, ' ')
	dst = append(dst, columns[d.Column].Name...)
	return printDeletion(append(dst, "[]=~@"...), d.Deletion)
}

// valueType is the type of the value of a column's cells; the path of a user
// type's cell says of which field.
func valueType(c *schema.Column, path []byte) *types.Type {
	if !c.IsComplex() {
		return c.Type
	}
	switch c.Type.Kind {
	case types.Map:
		return c.Type.Elems[1]
	case types.Set:
		return types.Native(types.Blob)
	case types.UDT:
		if len(path) == 2 && int(binary.BigEndian.Uint16(path)) < len(c.Type.Elems) {
			return c.Type.Elems[binary.BigEndian.Uint16(path)]
		}
		return types.Native(types.Blob)
	}
	return c.Type.Elems[0]
}

func printCell(dst []byte, col *schema.Column, c *Cell) []byte {
	dst = append(dst, ' ')
	dst = append(dst, col.Name...)
	if c.Path != nil {
		dst = append(dst, '[')
		dst = printValue(dst, pathType(col), c.Path)
		dst = append(dst, ']')
	}
	dst = append(dst, '=')
	if c.Flags&CounterCell != 0 {
		dst = append(dst, '#')
	}
	if c.Flags&Tombstone != 0 {
		dst = append(dst, "~@"...)
		return printDeletion(dst, Deletion{c.Timestamp, c.LocalTime})
	}
	t := valueType(col, c.Path)
	if c.Flags&CounterCell != 0 {
		t = types.Native(types.Blob)
	}
	dst = printValue(dst, t, c.Value)
	dst = append(dst, '@')
	dst = strconv.AppendInt(dst, c.Timestamp, 10)
	if c.Flags&Expiring != 0 {
		dst = printTTL(dst, c.TTL, c.LocalTime)
	}
	return dst
}

func printValue(dst []byte, t *types.Type, v []byte) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	if len(v) == 0 {
		return append(dst, noValueText...)
	}
	if size := intSize(t); size == len(v) {
		return strconv.AppendInt(dst, readInt(v), 10)
	}
	switch {
	case t.Kind == types.Text || t.Kind == types.ASCII:
		s := string(v)
		if bare.MatchString(s) && s != "null" && (len(s) < 2 || s[:2] != "0x") {
			return append(dst, s...)
		}
		return strconv.AppendQuote(dst, s)
	case t.Kind == types.Boolean && len(v) == 1 && v[0] < 2:
		return strconv.AppendBool(dst, v[0] == 1)
	case (t.Kind == types.UUID || t.Kind == types.TimeUUID) && len(v) == 16:
		for i, group := range [][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, group)
		}
		return dst
	}
	return hex.AppendEncode(append(dst, "0x"...), v)
}

// intSize is the size of types whose values are whole numbers; 0 for others.
func intSize(t *types.Type) int {
	switch t.Kind {
	case types.TinyInt:
		return 1
	case types.SmallInt:
		return 2
	case types.Int:
		return 4
	case types.BigInt, types.Timestamp, types.Counter:
		return 8
	}
	return 0
}

func readInt(v []byte) int64 {
	n := int64(int8(v[0]))
	for _, b := range v[1:] {
		n = n<<8 | int64(b)
	}
	return n
}
