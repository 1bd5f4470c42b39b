package schema

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"helenus/internal/cql/types"
)

// Literal renders a string as a CQL literal.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// compareFold orders names as listings do: without regard to case, and where
// that ties, by bytes.
func compareFold(a, b string) int {
	return cmp.Or(strings.Compare(strings.Map(unicode.ToLower, a), strings.Map(unicode.ToLower, b)), strings.Compare(a, b))
}

// Sorted returns the keyspaces in the order of listings.
func (s *Schema) Sorted() []*Keyspace {
	out := make([]*Keyspace, 0, len(s.Keyspaces))
	for _, ks := range s.Keyspaces {
		out = append(out, ks)
	}
	slices.SortFunc(out, func(a, b *Keyspace) int { return compareFold(a.Name, b.Name) })
	return out
}

// SortedTables returns the tables in the order of listings.
func (k *Keyspace) SortedTables() []*Table {
	out := make([]*Table, 0, len(k.Tables))
	for _, t := range k.Tables {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *Table) int { return compareFold(a.Name, b.Name) })
	return out
}

// SortedTypes returns the user types in the order of listings.
func (k *Keyspace) SortedTypes() []*types.Type {
	out := make([]*types.Type, 0, len(k.Types))
	for _, t := range k.Types {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *types.Type) int { return compareFold(a.Name, b.Name) })
	return out
}

// TypesInOrder returns the user types such that each comes after those it is
// made of: by the bytes of the names, but what a type needs right before it.
func (k *Keyspace) TypesInOrder() []*types.Type {
	names := make([]string, 0, len(k.Types))
	for name := range k.Types {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []*types.Type
	done := make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		t := k.Types[name]
		if t == nil || done[name] {
			return
		}
		done[name] = true
		for _, field := range t.Elems {
			Uses(field, visit)
		}
		out = append(out, t)
	}
	for _, name := range names {
		visit(name)
	}
	return out
}

// Uses calls f with the name of every user type that t mentions.
func Uses(t *types.Type, f func(name string)) {
	if t.Kind == types.UDT {
		f(t.Name)
	}
	for _, e := range t.Elems {
		Uses(e, f)
	}
}

// Key is equal for equal replications.
func (r Replication) Key() string { return r.Class + " " + mapText(r.Options) }

// WithTable returns a Keyspace in which a table is replaced or added.
func (k *Keyspace) WithTable(t *Table) *Keyspace {
	c := k.clone()
	c.Tables[t.Name] = t
	return c
}

// WithoutTable returns a Keyspace that lacks a table.
func (k *Keyspace) WithoutTable(name string) *Keyspace {
	c := k.clone()
	delete(c.Tables, name)
	return c
}

// WithType returns a Keyspace in which a user type is replaced or added.
// Replacing does not reach the columns that use the type.
func (k *Keyspace) WithType(t *types.Type) *Keyspace {
	c := k.clone()
	c.Types[t.Name] = t
	return c
}

// WithoutType returns a Keyspace that lacks a user type.
func (k *Keyspace) WithoutType(name string) *Keyspace {
	c := k.clone()
	delete(c.Types, name)
	return c
}

func (k *Keyspace) clone() *Keyspace {
	c := *k
	c.Tables = make(map[string]*Table, len(k.Tables)+1)
	for n, t := range k.Tables {
		c.Tables[n] = t
	}
	c.Types = make(map[string]*types.Type, len(k.Types)+1)
	for n, t := range k.Types {
		c.Types[n] = t
	}
	return &c
}
