// Package schema describes keyspaces, tables, columns and user types as
// immutable values, and renders them as CQL.
//
// Nouns: Schema (all keyspaces of one epoch), Keyspace, Table, Column, Options.
// A change makes a new value that shares what did not change; so a request may
// hold a *Table for its whole life, and pointers are compared to see whether a
// table changed. internal/meta builds them from statements; everybody reads
// them. It never stores anything and never looks at rows.
package schema

import "helenus/internal/cql/types"

// TableID names a table for ever; a table that is dropped and made again gets a
// new one, so that no old file or log record can reach it.
type TableID [16]byte

// ColumnID numbers a column within its table and is never given out twice in
// the table's life: data of a dropped column cannot come back under a new
// column of the same name.
type ColumnID uint16

// ColumnKind is a column's role in its table.
type ColumnKind uint8

// The roles of a column.
const (
	PartitionKey ColumnKind = iota
	Clustering
	Static
	Regular
)

// String is the word that system_schema.columns uses.
func (k ColumnKind) String() string {
	return [...]string{"partition_key", "clustering", "static", "regular"}[k]
}

// Column is one column of a table.
type Column struct {
	ID   ColumnID
	Name string
	Kind ColumnKind
	Type *types.Type
	// Position is the index among the columns of the key (PartitionKey and
	// Clustering), or the storage index: among the statics or regulars in the
	// order of the files, simple columns before complex ones, each by the bytes
	// of the name.
	Position int
	// Reversed is true for a clustering column in descending order.
	Reversed bool
}

// IsComplex tells whether the column is stored as several cells.
func (c *Column) IsComplex() bool { return c.Type.IsMultiCell() }

// DroppedColumn remembers a column that was dropped, so that its cells in old
// files are skipped (those written at or before the time of the drop) and a
// new column of that name must be of a compatible type.
type DroppedColumn struct {
	Name          string
	Kind          ColumnKind // Static or Regular
	Type          *types.Type
	DroppedMicros int64
}

// Table is one table's definition.
type Table struct {
	ID       TableID
	Keyspace string
	Name     string

	// PartitionKey and Clustering are in key order; Statics and Regulars in
	// storage order (see Column.Position).
	PartitionKey []*Column
	Clustering   []*Column
	Statics      []*Column
	Regulars     []*Column
	Dropped      []DroppedColumn
	NextColumnID ColumnID

	Options Options
	// Virtual tables have no data on disk; their rows come from the node's facts.
	Virtual bool

	byName map[string]*Column
	byID   []*Column // static and regular columns by ColumnID; nil where dropped
	// clusteringTypes and clusteringReversed serve the byte-comparable encoding.
	clusteringTypes    []*types.Type
	clusteringReversed []bool
}

// Keyspace is a named set of tables and types with one replication strategy.
type Keyspace struct {
	Name          string
	Replication   Replication
	DurableWrites bool
	Virtual       bool
	Tables        map[string]*Table
	Types         map[string]*types.Type
}

// Replication is a strategy's short class name and its other options as given.
type Replication struct {
	Class   string            // SimpleStrategy, NetworkTopologyStrategy, LocalStrategy
	Options map[string]string // replication_factor, or datacenter -> factor
}

// Schema is all keyspaces of one epoch.
type Schema struct {
	Keyspaces map[string]*Keyspace
	tables    map[TableID]*Table
}
