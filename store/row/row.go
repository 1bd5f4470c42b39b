// Package row is the data model below CQL: cells, rows, tombstones and
// partitions; who wins when two versions meet (Merge, the only code that says
// so); the one encoding of a mutation; and the command that reads.
//
// Nouns: Cell, Row, Marker (an end or start of a range tombstone), Partition
// (an iterator over one partition's rows), Update (one partition of one table
// to be written), Command (what to read).
//
// memtable, sstable and compact produce Partitions, store and coord merge
// them, query turns live rows into results. It never does I/O and never asks
// for the time: now is always handed in.
package row

import (
	"math"

	"helenus/internal/cql/schema"
)

// NoTimestamp is the timestamp of what was never written.
const NoTimestamp = math.MinInt64

// NoDeletionTime is the local deletion time of what is neither deleted nor
// expiring. All other values are seconds since 1970.
const NoDeletionTime = math.MaxInt64

// Deletion covers what was written at or before Timestamp. LocalTime is the
// second at which it was made, from which gc_grace counts.
type Deletion struct {
	Timestamp int64
	LocalTime int64
}

// Live is the deletion that deletes nothing.
func Live() Deletion { return Deletion{NoTimestamp, NoDeletionTime} }

// IsLive tells whether d deletes nothing.
func (d Deletion) IsLive() bool { return d.Timestamp == NoTimestamp }

// Supersedes tells whether d wins over e.
func (d Deletion) Supersedes(e Deletion) bool {
	return d.Timestamp > e.Timestamp || (d.Timestamp == e.Timestamp && d.LocalTime > e.LocalTime && !d.IsLive())
}

// Covers tells whether d deletes what was written at ts.
func (d Deletion) Covers(ts int64) bool { return ts <= d.Timestamp && !d.IsLive() }

// Liveness is a row's own marker, set by INSERT: the row exists even if all
// its columns are null.
type Liveness struct {
	Timestamp int64 // NoTimestamp: no marker
	TTL       int32 // seconds; 0: does not expire
	LocalTime int64 // the second of expiry; NoDeletionTime: does not expire
}

// NoLiveness is the absent marker.
func NoLiveness() Liveness { return Liveness{Timestamp: NoTimestamp, LocalTime: NoDeletionTime} }

// IsEmpty tells whether there is no marker.
func (l Liveness) IsEmpty() bool { return l.Timestamp == NoTimestamp }

// IsLive tells whether the marker holds at second now.
func (l Liveness) IsLive(now int64) bool { return l.Timestamp != NoTimestamp && now < l.LocalTime }

// CellFlags say what a cell is.
type CellFlags uint8

// A cell without flags is live for ever. Expiring cells have TTL and LocalTime,
// Tombstones LocalTime only.
const (
	Tombstone CellFlags = 1 << iota
	Expiring
	CounterCell
)

// Cell is one version of one value. Its slices belong to whoever produced the
// row and are valid as long as the row is.
type Cell struct {
	// Column is the storage index among the table's statics or regulars,
	// according to the row it is in (schema.Column.Position).
	Column    int32
	Flags     CellFlags
	TTL       int32
	Timestamp int64
	LocalTime int64 // NoDeletionTime when neither Tombstone nor Expiring
	// Path is the element of a complex column: set element, map key, list
	// timeuuid, UDT field index; nil for a simple column.
	Path []byte
	// PathOrder is Path in byte-comparable form; equal to Path where the bytes
	// already compare so. It is set whenever Path is.
	PathOrder []byte
	// Value is nil for tombstones, possibly empty otherwise.
	Value []byte
}

// IsLive tells whether the cell holds a value at second now.
func (c *Cell) IsLive(now int64) bool { return c.Flags&Tombstone == 0 && now < c.LocalTime }

// ComplexDeletion deletes all elements of a complex column written at or
// before its timestamp; an overwrite of a collection begins with one.
type ComplexDeletion struct {
	Column   int32
	Deletion Deletion
}

// Clustering is the clustering key of a row, or a prefix of one for a bound,
// in two forms: Order for comparing, Values for giving back.
type Clustering struct {
	// Order is the byte-comparable encoding (types.AppendClustering, or
	// AppendBound for a bound): bytes.Compare of Orders is the order of the
	// table, bounds and rows mixed. Empty for the only row of a table without
	// clustering columns.
	Order []byte
	// Values is the values block of the file format (cassandra's
	// ClusteringPrefix serialization without kind and size): see AppendValues.
	Values []byte
}

// Row is one row, or the static row, of a partition. Iterators reuse their
// Row; whoever keeps one clones it.
type Row struct {
	Static     bool
	Clustering Clustering
	Liveness   Liveness
	Deletion   Deletion
	// Complex holds the deletions of complex columns, sorted by Column.
	Complex []ComplexDeletion
	// Cells are sorted by Column, then PathOrder.
	Cells []Cell
}

// Marker is a place where the open range tombstone changes: Before holds left
// of it, After right of it. A marker with both live does not exist.
type Marker struct {
	// Bound is made by types.AppendBound; Size is the number of components,
	// Inclusive and kind follow from Before, After and AfterPrefix. At an end of a
	// Slice without values Bound has none either, and Size is NoSize.
	Bound Clustering
	Size  int
	// AfterPrefix tells the side: true when the bound lies after all rows with
	// the prefix, false when before them.
	AfterPrefix bool
	Before      Deletion
	After       Deletion
}

// NoSize is the Size of a Marker whose Bound is known by its Order only.
const NoSize = -1

// Unfiltered is a row or a marker; exactly one is set.
type Unfiltered struct {
	Row    *Row
	Marker *Marker
}

// Key is a partition key with its place in the order of the store.
type Key struct {
	Prefix uint64 // token.Partitioner.Prefix
	Bytes  []byte
}

// Partition iterates over one partition in clustering order (or its reverse).
// What it returns is valid until the next call of Next or Close.
type Partition interface {
	Key() Key
	Deletion() Deletion
	// StaticRow is nil when the partition has none.
	StaticRow() *Row
	// Next returns nil, nil at the end. In reverse, markers come in reverse too,
	// with Before and After still meaning clustering order.
	Next() (*Unfiltered, error)
	Close() error
}

// Partitions iterates over partitions in token order. A Partition is valid
// until the next call of Next or Close; it need not be read to its end.
type Partitions interface {
	// Next returns nil, nil at the end.
	Next() (Partition, error)
	Close() error
}

// Slice is a span of clusterings between two bounds made by types.AppendBound;
// an empty Start or End is open.
type Slice struct {
	Start, End []byte
	// The values of the bounds, as in Clustering, where whoever made the slice
	// knows them: a range tombstone that reaches across a bound can then be said
	// of just what lies inside.
	StartValues, EndValues []byte
	StartSize, EndSize     int // components of each
}

// Filter is what a read wants of each partition.
type Filter struct {
	// Slices are sorted and disjoint, in clustering order also for Reversed. No
	// slice at all means no rows (statics only). AllRows is the usual one.
	Slices   []Slice
	Reversed bool
	// Statics and Regulars select columns by storage index; nil means all. A row
	// keeps its liveness and deletions whatever columns are asked for. Sources
	// also keep the cells of other columns, though they may leave out the values:
	// whether a row lives is for View to see, which then drops them.
	Statics  []bool
	Regulars []bool
}

// AllRows is the filter's slice that keeps everything.
func AllRows() []Slice { return []Slice{{}} }

// Bound is an end of a range of partitions. Keys of equal prefix are told
// apart by Bytes; a bound without key lies before (After false) or after all
// keys of the prefix and tie.
type Bound struct {
	Key       Key
	HasKey    bool // false: the bound is the token (Prefix, and Tail in Key.Bytes), not one key
	Inclusive bool
	Open      bool // no bound at all
}

// Limits count live rows; zero means none.
type Limits struct {
	Rows         int
	PerPartition int
	Partitions   int // DISTINCT and statics-only reads
}

// Command is a read. Exactly one of Keys and Range is meant: Keys when not nil.
type Command struct {
	Table *schema.Table
	Now   int64 // seconds; decides what has expired

	Keys       []Key // distinct, in the order in which the partitions are wanted
	Start, End Bound // token range, when Keys is nil

	Filter Filter
	// After continues a partition behind a row (paging): only rows behind
	// AfterClustering (in the direction of the read) of the first partition.
	After []byte
	// AfterValues are the values of that row, where they are known.
	AfterValues []byte
	Limits      Limits
}
