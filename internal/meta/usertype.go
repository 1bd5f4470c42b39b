package meta

import (
	"maps"
	"slices"
	"strings"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

func (c CreateType) apply(s *State) (*State, error) {
	if err := s.guard(c.Keyspace, "CREATE", "all tables in "+c.Keyspace); err != nil {
		return nil, err
	}
	ks := s.Schema.Keyspaces[c.Keyspace]
	switch {
	case ks == nil:
		return nil, noKeyspace(c.Keyspace)
	case ks.Types[c.Name] != nil && c.IfNotExists:
		return s, nil
	case ks.Types[c.Name] != nil:
		return nil, invalid("A user type with name '%s' already exists", c.Name)
	}
	t := &types.Type{Kind: types.UDT, Keyspace: c.Keyspace, Name: c.Name}
	for _, f := range c.Fields {
		if slices.Contains(t.FieldNames, f.Name) {
			return nil, invalid("Duplicate field name '%s' in type '%s'", f.Name, c.Name)
		}
		t.FieldNames = append(t.FieldNames, f.Name)
	}
	for _, f := range c.Fields {
		typ, err := resolveField(f.Type, ks)
		if err != nil {
			return nil, err
		}
		t.Elems = append(t.Elems, typ)
	}
	return s.withKeyspace(ks.WithType(t)), nil
}

func resolveField(t *types.Type, ks *schema.Keyspace) (*types.Type, error) {
	switch {
	case t.Kind == types.Counter:
		return nil, invalid("A user type cannot contain counters")
	case t.Kind == types.UDT && !t.Frozen:
		return nil, invalid("A user type cannot contain non-frozen UDTs")
	}
	return resolve(t, ks)
}

// alteredType finds a type to be changed and returns a copy of it; nil without
// error when it may be missing.
func (s *State) alteredType(keyspace, name string, ifExists bool) (*types.Type, error) {
	if err := s.guard(keyspace, "ALTER", "all tables in "+keyspace); err != nil {
		return nil, err
	}
	if ks := s.Schema.Keyspaces[keyspace]; ks != nil && ks.Types[name] != nil {
		t := *ks.Types[name]
		t.FieldNames, t.Elems = slices.Clone(t.FieldNames), slices.Clone(t.Elems)
		return &t, nil
	}
	if ifExists {
		return nil, nil
	}
	return nil, invalid("Type %s.%s doesn't exist", keyspace, name)
}

func (c AddField) apply(s *State) (*State, error) {
	t, err := s.alteredType(c.Keyspace, c.Type, c.IfExists)
	if t == nil {
		return s, err
	}
	ks := s.Schema.Keyspaces[c.Keyspace]
	if slices.Contains(t.FieldNames, c.Field.Name) {
		if c.IfNotExists {
			return s, nil
		}
		return nil, invalid("Cannot add field %s to type %s.%s: a field with name %s already exists",
			c.Field.Name, c.Keyspace, c.Type, c.Field.Name)
	}
	typ, err := resolveField(c.Field.Type, ks)
	if err != nil {
		return nil, err
	}
	if usesDeep(typ, c.Type) {
		text := strings.Replace(typ.String(), types.QuoteName(typ.Name), c.Keyspace+"."+types.QuoteName(typ.Name), 1)
		return nil, invalid("Cannot add new field %s of type %s to user type %s.%s as it would create a circular reference",
			c.Field.Name, text, c.Keyspace, c.Type)
	}
	if keyed := keyedBy(ks, c.Type); len(keyed) > 0 {
		return nil, invalid("Cannot add new field %s of type %s to user type %s.%s as the type is being used in partition key "+
			"by the following tables: %s", c.Field.Name, typ, c.Keyspace, c.Type, strings.Join(keyed, ", "))
	}
	t.FieldNames, t.Elems = append(t.FieldNames, c.Field.Name), append(t.Elems, typ)
	return s.withUserType(t), nil
}

// keyedBy names the tables whose partition key holds a user type: another field
// would move their partitions to other tokens.
func keyedBy(ks *schema.Keyspace, name string) (tables []string) {
	for _, t := range ks.SortedTables() {
		if slices.ContainsFunc(t.PartitionKey, func(col *schema.Column) bool { return usesDeep(col.Type, name) }) {
			tables = append(tables, t.QualifiedName())
		}
	}
	return tables
}

// usesDeep tells whether t mentions a user type, be it inside another.
func usesDeep(t *types.Type, name string) (found bool) {
	schema.Uses(t, func(n string) { found = found || n == name })
	return found
}

func (c RenameFields) apply(s *State) (*State, error) {
	t, err := s.alteredType(c.Keyspace, c.Type, c.IfExists)
	if t == nil {
		return s, err
	}
	changed := false
	for _, r := range c.Renames {
		i := slices.Index(t.FieldNames, r.From)
		if i < 0 {
			if c.IfFieldExists {
				continue
			}
			return nil, invalid("Unkown field %s in user type %s.%s", r.From, c.Keyspace, c.Type) //nolint:misspell // Cassandra's own spelling
		}
		t.FieldNames[i], changed = r.To, true
	}
	seen := make(map[string]bool)
	for _, f := range t.FieldNames {
		if seen[f] { // the keyspace where the type should stand is Cassandra's
			return nil, invalid("Duplicate field name %s in type %s", f, c.Keyspace)
		}
		seen[f] = true
	}
	if !changed {
		return s, nil
	}
	return s.withUserType(t), nil
}

// withUserType renews a type, and every type and column made of it.
func (s *State) withUserType(def *types.Type) *State {
	old := s.Schema.Keyspaces[def.Keyspace]
	ks := old.WithType(def)
	for _, name := range slices.Sorted(maps.Keys(old.Types)) {
		if t := old.Types[name]; name != def.Name {
			fields := slices.Clone(t.Elems)
			for i := range fields {
				fields[i] = replaceUserType(fields[i], def)
			}
			if !slices.Equal(fields, t.Elems) {
				n := *t
				n.Elems = fields
				ks = ks.WithType(&n)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Tables)) {
		if t := renewColumns(old.Tables[name], def); t != old.Tables[name] {
			ks = ks.WithTable(t)
		}
	}
	return s.withKeyspace(ks)
}

func renewColumns(t *schema.Table, def *types.Type) *schema.Table {
	n, changed := *t, false
	for _, group := range []*[]*schema.Column{&n.PartitionKey, &n.Clustering, &n.Statics, &n.Regulars} {
		*group = slices.Clone(*group)
		for i, c := range *group {
			if typ := replaceUserType(c.Type, def); typ != c.Type {
				col := *c
				col.Type = typ
				(*group)[i], changed = &col, true
			}
		}
	}
	if !changed {
		return t
	}
	return n.Finish()
}

func (c DropType) apply(s *State) (*State, error) {
	if err := s.guard(c.Keyspace, "DROP", "all tables in "+c.Keyspace); err != nil {
		return nil, err
	}
	ks := s.Schema.Keyspaces[c.Keyspace]
	if ks == nil || ks.Types[c.Name] == nil {
		if c.IfExists {
			return s, nil
		}
		return nil, invalid("Type '%s.%s' doesn't exist", c.Keyspace, c.Name)
	}
	var users []string
	for _, t := range ks.SortedTypes() {
		if t.Name != c.Name && slices.ContainsFunc(t.Elems, func(e *types.Type) bool { return usesDeep(e, c.Name) }) {
			users = append(users, t.Name)
		}
	}
	if len(users) > 0 {
		return nil, inUse(c, "user types", users)
	}
	for _, t := range ks.SortedTables() {
		if slices.ContainsFunc(t.AllColumns(), func(col *schema.Column) bool { return usesDeep(col.Type, c.Name) }) {
			users = append(users, t.Name)
		}
	}
	if len(users) > 0 {
		return nil, inUse(c, "tables", users)
	}
	return s.withKeyspace(ks.WithoutType(c.Name)), nil
}

func inUse(c DropType, what string, users []string) error {
	return invalid("Cannot drop user type '%s.%s' as it is still used by %s %s", c.Keyspace, c.Name, what, strings.Join(users, ", "))
}
