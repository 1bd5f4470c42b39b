package schema

import (
	"slices"
	"strings"

	"helenus/internal/cql/types"
)

// Finish sorts the columns into storage order, numbers positions and builds
// the look-up tables. Whoever makes or changes a Table calls it once, before
// the Table is shared. Columns are cloned first, so that a copied Table does
// not change the one it was copied from.
func (t *Table) Finish() *Table {
	t.byName = make(map[string]*Column)
	t.byID = make([]*Column, t.NextColumnID)
	storage := func(a, b *Column) int {
		if a.IsComplex() != b.IsComplex() {
			if b.IsComplex() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	}
	for _, group := range []*[]*Column{&t.PartitionKey, &t.Clustering, &t.Statics, &t.Regulars} {
		*group = slices.Clone(*group)
		for i, c := range *group {
			clone := *c
			(*group)[i] = &clone
		}
	}
	slices.SortFunc(t.Statics, storage)
	slices.SortFunc(t.Regulars, storage)
	for _, group := range [][]*Column{t.PartitionKey, t.Clustering, t.Statics, t.Regulars} {
		for i, c := range group {
			c.Position = i
			t.byName[c.Name] = c
			t.byID[c.ID] = c
		}
	}
	t.clusteringTypes, t.clusteringReversed = nil, nil
	for _, c := range t.Clustering {
		t.clusteringTypes = append(t.clusteringTypes, c.Type)
		t.clusteringReversed = append(t.clusteringReversed, c.Reversed)
	}
	return t
}

// Column finds a column by name; nil when there is none.
func (t *Table) Column(name string) *Column { return t.byName[name] }

// ColumnByID finds a column by its number; nil when it was dropped.
func (t *Table) ColumnByID(id ColumnID) *Column {
	if int(id) >= len(t.byID) {
		return nil
	}
	return t.byID[id]
}

// ClusteringTypes and ClusteringReversed are the arguments of the
// byte-comparable encoding of this table's clusterings.
func (t *Table) ClusteringTypes() []*types.Type { return t.clusteringTypes }

// ClusteringReversed tells for each clustering column whether it descends.
func (t *Table) ClusteringReversed() []bool { return t.clusteringReversed }

// AllColumns returns the columns in the order of SELECT *: partition key,
// clustering, then statics and regulars, each by name.
func (t *Table) AllColumns() []*Column {
	all := slices.Concat(t.PartitionKey, t.Clustering)
	for _, group := range [][]*Column{t.Statics, t.Regulars} {
		byName := slices.Clone(group)
		slices.SortFunc(byName, func(a, b *Column) int { return strings.Compare(a.Name, b.Name) })
		all = append(all, byName...)
	}
	return all
}

// QualifiedName is keyspace.table, unquoted, as messages print it.
func (t *Table) QualifiedName() string { return t.Keyspace + "." + t.Name }

// New makes a Schema of the given keyspaces and indexes their tables.
func New(keyspaces map[string]*Keyspace) *Schema {
	s := &Schema{Keyspaces: keyspaces, tables: make(map[TableID]*Table)}
	for _, ks := range keyspaces {
		for _, t := range ks.Tables {
			s.tables[t.ID] = t
		}
	}
	return s
}

// Table finds a table by id; nil when there is none.
func (s *Schema) Table(id TableID) *Table { return s.tables[id] }

// Find finds a table by name; nil when keyspace or table do not exist.
func (s *Schema) Find(keyspace, table string) *Table {
	if ks := s.Keyspaces[keyspace]; ks != nil {
		return ks.Tables[table]
	}
	return nil
}

// With returns a Schema in which a keyspace is replaced or added.
func (s *Schema) With(ks *Keyspace) *Schema {
	all := make(map[string]*Keyspace, len(s.Keyspaces)+1)
	for n, k := range s.Keyspaces {
		all[n] = k
	}
	all[ks.Name] = ks
	return New(all)
}

// Without returns a Schema that lacks a keyspace.
func (s *Schema) Without(name string) *Schema {
	all := make(map[string]*Keyspace, len(s.Keyspaces))
	for n, k := range s.Keyspaces {
		if n != name {
			all[n] = k
		}
	}
	return New(all)
}
