package stress

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Table is the table under load and what is in it. Row numbers go from 0 to
// Partitions*Rows; what each row holds follows from its number and the seed.
type Table struct {
	Keyspace, Name string
	Partitions     uint64
	Rows           uint64 // of each partition; with 1 there is no clustering column
	Columns        int
	ColumnBytes    int
	Seed           uint64
	// Window is how many partitions a sequence of writes fills side by side,
	// a row each in turn; 0 means 1000.
	Window uint64
}

const (
	windowDefault  = 1000
	columnsMax     = 1000
	columnBytesMax = 1 << 20
	rowBytesMax    = 8 << 20 // below what a node accepts as one request
)

func (t *Table) check() error {
	switch {
	case !isName(t.Keyspace) || !isName(t.Name):
		return fmt.Errorf("table %q.%q: names have letters, digits and underscores, at most 48, a letter first", t.Keyspace, t.Name)
	case t.Partitions < 1 || t.Partitions > 1<<48:
		return fmt.Errorf("%d partitions: 1 to %d", t.Partitions, uint64(1)<<48)
	case t.Rows < 1 || t.Rows > math.MaxInt32 || t.Partitions > math.MaxInt64/t.Rows:
		return fmt.Errorf("%d rows of a partition: 1 to %d, and below 2^63 in all", t.Rows, math.MaxInt32)
	case t.Columns < 1 || t.Columns > columnsMax:
		return fmt.Errorf("%d columns: 1 to %d", t.Columns, columnsMax)
	case t.ColumnBytes < 1 || t.ColumnBytes > columnBytesMax:
		return fmt.Errorf("%d bytes of a column: 1 to %d", t.ColumnBytes, columnBytesMax)
	case t.Columns*t.ColumnBytes > rowBytesMax:
		return fmt.Errorf("%d columns of %d bytes: a row may have %d bytes", t.Columns, t.ColumnBytes, rowBytesMax)
	}
	if t.Window == 0 {
		t.Window = windowDefault
	}
	t.Window = min(t.Window, t.Partitions) // more changes nothing, and must not run over
	return nil
}

// isName tells whether a name needs no quotes in CQL.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 48
}

func (t *Table) rowCount() uint64 { return t.Partitions * t.Rows }
func (t *Table) rowBytes() int    { return t.Columns * t.ColumnBytes }

// DataBytes is the size of one row's key and values, without any overhead.
func (t *Table) DataBytes() int {
	if t.Rows > 1 {
		return keyBytes + clusteringBytes + t.rowBytes()
	}
	return keyBytes + t.rowBytes()
}

const (
	keyBytes        = 8 // bigint
	clusteringBytes = 4 // int
)

// golden is odd, so multiplying by it maps the 64-bit numbers onto themselves.
const golden = 0x9e3779b97f4a7c15

// mix is the finisher of splitmix64: a change of any bit changes half of all.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// below maps a random number to one below n.
func below(x, n uint64) uint64 {
	hi, _ := bits.Mul64(x, n)
	return hi
}

// key is the key of a partition; different partitions have different keys.
func (t *Table) key(partition uint64) int64 { return int64((partition + mix(t.Seed)) * golden) }

// absent makes a partition number that no population has.
func absent(partition uint64) uint64 { return ^partition }

// fill writes the columns of a row, one after the other, into dst: printable
// characters that need no quoting in CQL, six bits of chance in each.
func (t *Table) fill(dst []byte, partition, row, revision uint64) {
	const low, zero = 0x3f3f3f3f3f3f3f3f, 0x3030303030303030
	x := mix(mix(mix(t.Seed^partition*golden)+row*golden) + revision*golden)
	for len(dst) >= 8 {
		x += golden
		binary.LittleEndian.PutUint64(dst, mix(x)&low+zero)
		dst = dst[8:]
	}
	if len(dst) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], mix(x+golden)&low+zero)
		copy(dst, last[:])
	}
}

// sequence is the row that the n-th of a sequence of writes goes to: all rows
// once, then again. Window partitions grow side by side, as logs of that many
// sources would.
func (t *Table) sequence(n uint64) (partition, row uint64) {
	if t.Rows == 1 {
		return n % t.Partitions, 0
	}
	n %= t.rowCount()
	block := n / (t.Window * t.Rows)
	first := block * t.Window
	width := min(t.Window, t.Partitions-first)
	n -= first * t.Rows
	return first + n%width, n / width
}

// Definition is the CREATE TABLE statement.
func (t *Table) Definition() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s.%s (key bigint, ", t.Keyspace, t.Name)
	primary := "key"
	if t.Rows > 1 {
		b.WriteString("row int, ")
		primary = "key, row"
	}
	for i := range t.Columns {
		fmt.Fprintf(&b, "c%d text, ", i)
	}
	fmt.Fprintf(&b, "PRIMARY KEY (%s))", primary)
	return b.String()
}

// columnList is "c0, c1, …", each followed by suffix.
func (t *Table) columnList(suffix string) string {
	names := make([]string, t.Columns)
	for i := range names {
		names[i] = fmt.Sprintf("c%d%s", i, suffix)
	}
	return strings.Join(names, ", ")
}
