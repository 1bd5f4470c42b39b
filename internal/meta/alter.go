package meta

import (
	"slices"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// altered finds a table to be changed and returns a copy of it; nil without
// error when it may be missing.
func (s *State) altered(keyspace, table string, ifExists bool) (*schema.Table, error) {
	if err := s.guard(keyspace, "ALTER", "table "+keyspace+"."+table); err != nil {
		return nil, err
	}
	t := s.Schema.Find(keyspace, table)
	if t == nil {
		if ifExists {
			return nil, nil
		}
		return nil, noTable(keyspace, table)
	}
	c := *t
	return &c, nil
}

// withTable finishes a changed copy of a table and puts it in its place.
func (s *State) withTable(t *schema.Table) (*State, error) {
	t.Finish()
	if err := checkTable(t); err != nil {
		return nil, err
	}
	return s.withKeyspace(s.Schema.Keyspaces[t.Keyspace].WithTable(t)), nil
}

func (c AddColumns) apply(s *State) (*State, error) {
	t, err := s.altered(c.Keyspace, c.Table, c.IfExists)
	if t == nil {
		return s, err
	}
	counter := slices.ContainsFunc(t.Regulars, func(c *schema.Column) bool { return c.Type.Kind == types.Counter })
	known := make(map[string]bool)
	for _, col := range t.AllColumns() {
		known[col.Name] = true
	}
	changed := false
	for _, def := range c.Columns {
		if known[def.Name] {
			if c.IfNotExists {
				continue
			}
			return nil, invalid("Column with name '%s' already exists", def.Name)
		}
		col, err := newColumn(t, s.Schema.Keyspaces[c.Keyspace], def)
		if err != nil {
			return nil, err
		}
		if isCounter := col.Type.Kind == types.Counter; isCounter != counter {
			return nil, config(`%s.%s: Cannot have a %scounter column ("%s") in a %scounter table`,
				t.Keyspace, t.Name, non(!isCounter), col.Name, non(isCounter))
		}
		t.NextColumnID++
		if def.Static {
			t.Statics = append(slices.Clone(t.Statics), col)
		} else {
			t.Regulars = append(slices.Clone(t.Regulars), col)
		}
		known[def.Name], changed = true, true
	}
	if !changed {
		return s, nil
	}
	return s.withTable(t)
}

func non(is bool) string {
	if is {
		return "non "
	}
	return ""
}

// newColumn checks a column against the table and its dropped columns.
func newColumn(t *schema.Table, ks *schema.Keyspace, def ColumnDef) (*schema.Column, error) {
	typ, err := resolve(def.Type, ks)
	if err != nil {
		return nil, err
	}
	col := &schema.Column{ID: t.NextColumnID, Name: def.Name, Kind: schema.Regular, Type: typ}
	if def.Static {
		col.Kind = schema.Static
		if len(t.Clustering) == 0 {
			return nil, errUselessStatic
		}
	}
	if hasComplexField(typ) {
		return nil, invalid("Non-frozen UDTs with nested non-frozen collections are not supported for column %s", def.Name)
	}
	for _, d := range t.Dropped {
		if d.Name != def.Name {
			continue
		}
		if !readableAs(expandUserTypes(typ), d.Type) {
			return nil, invalid("Cannot add a column '%s' of type %s, incompatible with previously dropped column '%s' of type %s",
				def.Name, typ, def.Name, d.Type)
		}
		if d.Kind != col.Kind {
			return nil, invalid("Cannot re-add previously dropped column '%s' of kind %s, incompatible with previous kind %s",
				def.Name, kindWord(col.Kind), kindWord(d.Kind))
		}
	}
	return col, nil
}

func kindWord(k schema.ColumnKind) string {
	if k == schema.Static {
		return "STATIC"
	}
	return "REGULAR"
}

func (c DropColumns) apply(s *State) (*State, error) {
	t, err := s.altered(c.Keyspace, c.Table, c.IfExists)
	if t == nil {
		return s, err
	}
	changed := false
	gone := make(map[string]bool)
	for _, name := range c.Names {
		col := t.Column(name)
		switch {
		case col == nil || gone[name]:
			if c.IfColumnExists {
				continue
			}
			return nil, invalid("Column %s was not found in table '%s'", name, t.QualifiedName())
		case col.Kind == schema.PartitionKey || col.Kind == schema.Clustering:
			return nil, invalid("Cannot drop PRIMARY KEY column %s", name)
		case col.Type.Kind == types.UDT && !col.Type.Frozen:
			return nil, invalid("Cannot drop non-frozen column %s of user type %s", name, types.QuoteName(col.Type.Name))
		}
		gone[name], changed = true, true
		t.Dropped = slices.DeleteFunc(slices.Clone(t.Dropped), func(d schema.DroppedColumn) bool { return d.Name == name })
		t.Dropped = append(t.Dropped, schema.DroppedColumn{Name: name, Kind: col.Kind,
			Type: expandUserTypes(col.Type), DroppedMicros: c.Micros})
	}
	if !changed {
		return s, nil
	}
	isGone := func(c *schema.Column) bool { return gone[c.Name] }
	t.Statics = slices.DeleteFunc(slices.Clone(t.Statics), isGone)
	t.Regulars = slices.DeleteFunc(slices.Clone(t.Regulars), isGone)
	return s.withTable(t)
}

func (c RenameColumns) apply(s *State) (*State, error) {
	t, err := s.altered(c.Keyspace, c.Table, c.IfExists)
	if t == nil {
		return s, err
	}
	for _, r := range c.Renames {
		col := t.Column(r.From)
		switch {
		case col == nil: // also with IF EXISTS, as in Cassandra 5.0
			return nil, invalid("Undefined column name %s in table %s", r.From, t.QualifiedName())
		case col.Kind != schema.PartitionKey && col.Kind != schema.Clustering:
			return nil, invalid("Cannot rename non PRIMARY KEY column %s", r.From)
		case t.Column(r.To) != nil:
			return nil, invalid("Cannot rename column %s to %s in table '%s'; another column with that name already exists",
				r.From, r.To, t.QualifiedName())
		}
		renamed := *col
		renamed.Name = r.To
		next := *t
		next.PartitionKey, next.Clustering = swap(t.PartitionKey, col, &renamed), swap(t.Clustering, col, &renamed)
		t = next.Finish()
	}
	return s.withTable(t)
}

func swap(columns []*schema.Column, old, new *schema.Column) []*schema.Column {
	columns = slices.Clone(columns)
	if i := slices.Index(columns, old); i >= 0 {
		columns[i] = new
	}
	return columns
}

func (c AlterTableOptions) apply(s *State) (*State, error) {
	t, err := s.altered(c.Keyspace, c.Table, c.IfExists)
	if err != nil {
		return nil, err
	}
	if err := noDuplicates(c.Properties); err != nil {
		return nil, err
	}
	if t == nil {
		return s, nil
	}
	options, id, err := tableOptions(t.Options.Clone(), c.Properties)
	if err != nil {
		return nil, err
	}
	if id != (schema.TableID{}) {
		return nil, config("Cannot alter table id.")
	}
	t.Options = options
	return s.withTable(t)
}
