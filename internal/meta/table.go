package meta

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

func (c CreateTable) apply(s *State) (*State, error) {
	if err := s.guard(c.Keyspace, "CREATE", "all tables in "+c.Keyspace); err != nil {
		return nil, err
	}
	if err := c.checkClauses(); err != nil {
		return nil, err
	}
	options, id, err := tableOptions(schema.DefaultOptions(), c.Properties)
	if err != nil {
		return nil, err
	}
	ks := s.Schema.Keyspaces[c.Keyspace]
	switch {
	case ks == nil:
		return nil, noKeyspace(c.Keyspace)
	case ks.Tables[c.Name] != nil && c.IfNotExists:
		return s, nil
	case ks.Tables[c.Name] != nil:
		return nil, &helenus.Error{Code: helenus.CodeAlreadyExists, Keyspace: c.Keyspace, Table: c.Name,
			Message: fmt.Sprintf(`Cannot add already existing table "%s" to keyspace "%s"`, c.Name, c.Keyspace)}
	}
	if id == (schema.TableID{}) {
		id = c.ID
	}
	if id == (schema.TableID{}) || s.Schema.Table(id) != nil {
		return nil, config("Table id %s is not free", id)
	}
	t := &schema.Table{ID: id, Keyspace: c.Keyspace, Name: c.Name, Options: options}
	if err := c.columns(t, ks); err != nil {
		return nil, err
	}
	t.Finish()
	if err := checkTable(t); err != nil {
		return nil, err
	}
	return s.withKeyspace(ks.WithTable(t)), nil
}

// checkClauses looks at the text alone.
func (c CreateTable) checkClauses() error {
	seen := make(map[string]bool)
	for _, col := range c.Columns {
		if seen[col.Name] {
			return invalid("Duplicate column '%s' declaration for table '%s.%s'", col.Name, c.Keyspace, c.Name)
		}
		seen[col.Name] = true
	}
	switch {
	case c.KeyClauses == 0:
		return invalid("No PRIMARY KEY specifed for table '%s.%s' (exactly one required)", c.Keyspace, c.Name) //nolint:misspell // Cassandra's own spelling
	case c.KeyClauses > 1:
		return invalid("Multiple PRIMARY KEY specified for table '%s.%s' (exactly one required)", c.Keyspace, c.Name)
	}
	clear(seen)
	for _, k := range slices.Concat(c.PartitionKey, c.Clustering) {
		if seen[k] {
			return invalid("Duplicate column '%s' in PRIMARY KEY clause for table '%s'", k, c.Name)
		}
		seen[k] = true
	}
	return noDuplicates(c.Properties)
}

// columns resolves the types and sorts the columns into their roles.
func (c CreateTable) columns(t *schema.Table, ks *schema.Keyspace) error {
	columns := make(map[string]*schema.Column)
	for _, def := range c.Columns {
		typ, err := resolve(def.Type, ks)
		if err != nil {
			return err
		}
		kind := schema.Regular
		if def.Static {
			kind = schema.Static
		}
		columns[def.Name] = &schema.Column{ID: t.NextColumnID, Name: def.Name, Kind: kind, Type: typ}
		t.NextColumnID++
	}
	for i, name := range slices.Concat(c.PartitionKey, c.Clustering) {
		col := columns[name]
		if col == nil {
			return invalid("Unknown column '%s' referenced in PRIMARY KEY for table '%s'", name, c.Name)
		}
		if err := checkKeyColumn(col); err != nil {
			return err
		}
		if i < len(c.PartitionKey) {
			col.Kind = schema.PartitionKey
			t.PartitionKey = append(t.PartitionKey, col)
		} else {
			col.Kind = schema.Clustering
			t.Clustering = append(t.Clustering, col)
		}
	}
	if err := c.order(t, columns); err != nil {
		return err
	}
	for _, def := range c.Columns {
		col := columns[def.Name]
		switch col.Kind {
		case schema.Static:
			t.Statics = append(t.Statics, col)
		case schema.Regular:
			t.Regulars = append(t.Regulars, col)
		}
		if hasComplexField(col.Type) {
			return invalid("Non-frozen UDTs with nested non-frozen collections are not supported")
		}
	}
	if len(t.Statics) > 0 && len(t.Clustering) == 0 {
		return errUselessStatic
	}
	return c.counters(t)
}

var errUselessStatic = invalid("Static columns are only useful (and thus allowed) if the table has at least one clustering column")

func checkKeyColumn(c *schema.Column) error {
	switch {
	case c.Kind == schema.Static:
		return invalid("Static column '%s' cannot be part of the PRIMARY KEY", c.Name)
	case c.Type.IsMultiCell() && c.Type.IsCollection():
		return invalid("Invalid non-frozen collection type %s for PRIMARY KEY column '%s'", c.Type, c.Name)
	case c.Type.IsMultiCell():
		return invalid(`Invalid non-frozen user-defined type "%s.%s" for PRIMARY KEY column '%s'`,
			c.Type.Keyspace, c.Type.Name, c.Name)
	case c.Type.Kind == types.Counter:
		return invalid("counter type is not supported for PRIMARY KEY column '%s'", c.Name)
	case holds(c.Type, types.Duration):
		return invalid("duration type is not supported for PRIMARY KEY column '%s'", c.Name)
	}
	return nil
}

func (c CreateTable) order(t *schema.Table, columns map[string]*schema.Column) error {
	var strangers []string
	for _, o := range c.Order {
		if !slices.Contains(c.Clustering, o.Column) {
			strangers = append(strangers, o.Column)
		}
	}
	if len(strangers) > 0 {
		return invalid("Only clustering key columns can be defined in CLUSTERING ORDER directive: [%s] are not clustering columns",
			strings.Join(strangers, ", "))
	}
	for i, o := range c.Order {
		if i >= len(t.Clustering) || t.Clustering[i].Name != o.Column {
			want := c.Clustering[min(i, len(c.Clustering)-1)]
			return invalid("The order of columns in the CLUSTERING ORDER directive must match that of the clustering columns "+
				"(%s must appear before %s)", want, o.Column)
		}
		columns[o.Column].Reversed = o.Descending
	}
	return nil
}

func (c CreateTable) counters(t *schema.Table) error {
	n, all := 0, slices.Concat(t.Statics, t.Regulars)
	for _, col := range all {
		if col.Type.Kind == types.Counter {
			n++
		}
	}
	switch {
	case n > 0 && n < len(all):
		return invalid("Cannot mix counter and non counter columns in the same table")
	case n > 0 && t.Options.DefaultTTLSeconds > 0:
		return errCounterTTL
	}
	return nil
}

var errCounterTTL = invalid("Cannot set default_time_to_live on a table with counters")

// checkTable looks at a table as a whole, new or altered.
func checkTable(t *schema.Table) error {
	if !validName(t.Name) {
		return config(`%s.%s: Table name must not be empty or not contain non-alphanumeric-underscore characters (got "%s")`,
			t.Keyspace, t.Name, t.Name)
	}
	if len(t.Name) > tableNameLengthMax {
		return config(`%s.%s: Table name must not be more than %d characters long (got %d characters for "%s")`,
			t.Keyspace, t.Name, tableNameLengthMax, len(t.Name), t.Name)
	}
	if err := checkOptions(&t.Options); err != nil {
		return err
	}
	all := slices.Concat(t.Statics, t.Regulars)
	counters := slices.ContainsFunc(all, func(c *schema.Column) bool { return c.Type.Kind == types.Counter })
	if counters && t.Options.DefaultTTLSeconds > 0 {
		return errCounterTTL
	}
	return nil
}

// parseTableID reads the property `id`.
func parseTableID(s string) (id schema.TableID, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(id) || len(s) != 36 {
		return id, false
	}
	copy(id[:], b)
	return id, true
}

func (c DropTable) apply(s *State) (*State, error) {
	if err := s.guard(c.Keyspace, "DROP", "table "+c.Keyspace+"."+c.Name); err != nil {
		return nil, err
	}
	if s.Schema.Find(c.Keyspace, c.Name) == nil {
		if c.IfExists {
			return s, nil
		}
		return nil, noTable(c.Keyspace, c.Name)
	}
	return s.withKeyspace(s.Schema.Keyspaces[c.Keyspace].WithoutTable(c.Name)), nil
}

func noTable(keyspace, table string) error {
	return invalid("Table '%s.%s' doesn't exist", keyspace, table)
}
