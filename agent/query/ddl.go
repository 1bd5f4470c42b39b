package query

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// definition is a planned change of the schema.
type definition struct {
	// change makes the change anew for each execution, with its own ids and time.
	change func(x *execution) meta.Change
	// show is how the change is named to clients.
	show SchemaChange
}

func (d *definition) current(*meta.State) bool { return true }

// commitTimeout bounds how long a change of the schema may wait for its log.
const commitTimeout = 10 * time.Second

// execute implements statement. Commit blocks, so it has a goroutine of its
// own; changes of the schema are few.
func (d *definition) execute(x *execution) {
	change := d.change(x)
	before := x.state
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
		defer cancel()
		after, err := x.engine.opts.Metadata.Commit(ctx, change)
		if err != nil {
			x.fail(err)
			return
		}
		r := &x.req.Result
		if len(meta.Diff(before.Schema, after.Schema)) == 0 && after.Epoch == before.Epoch {
			r.Kind = ResultVoid // IF [NOT] EXISTS had nothing to do
		} else {
			r.Kind, r.Change = ResultSchemaChange, d.show
			r.Warnings = append(r.Warnings, meta.Warnings(before, after, change)...)
		}
		x.finish()
	}()
}

// planDefinition plans CREATE, ALTER and DROP.
func (c *compiler) planDefinition(tree parse.Statement) (statement, error) {
	switch s := tree.(type) {
	case *parse.CreateKeyspace:
		return define("CREATED", "KEYSPACE", s.Name, "", meta.CreateKeyspace{Name: s.Name, IfNotExists: s.IfNotExists, Properties: properties(s.Properties)}), nil
	case *parse.AlterKeyspace:
		return define("UPDATED", "KEYSPACE", s.Name, "", meta.AlterKeyspace{Name: s.Name, IfExists: s.IfExists, Properties: properties(s.Properties)}), nil
	case *parse.DropKeyspace:
		return define("DROPPED", "KEYSPACE", s.Name, "", meta.DropKeyspace{Name: s.Name, IfExists: s.IfExists}), nil
	case *parse.CreateTable:
		return c.planCreateTable(s)
	case *parse.AlterTable:
		return c.planAlterTable(s)
	case *parse.DropTable:
		ks, err := c.keyspaceOf(s.Table)
		return define("DROPPED", "TABLE", ks, s.Table.Name, meta.DropTable{Keyspace: ks, Name: s.Table.Name, IfExists: s.IfExists}), err
	case *parse.CreateType:
		return c.planCreateType(s)
	case *parse.AlterType:
		return c.planAlterType(s)
	case *parse.DropType:
		ks, err := c.keyspaceOf(s.Name)
		return define("DROPPED", "TYPE", ks, s.Name.Name, meta.DropType{Keyspace: ks, Name: s.Name.Name, IfExists: s.IfExists}), err
	case *parse.CreateIndex:
		return nil, helenus.Unsupported("CREATE INDEX")
	case *parse.DropIndex:
		return nil, helenus.Unsupported("DROP INDEX")
	}
	return nil, helenus.Unsupported("roles and permissions")
}

func define(change, target, keyspace, name string, m meta.Change) *definition {
	return &definition{change: func(*execution) meta.Change { return m },
		show: SchemaChange{Change: change, Target: target, Keyspace: keyspace, Name: name}}
}

func (c *compiler) keyspaceOf(n parse.QualifiedName) (string, error) {
	if n.Keyspace != "" {
		return n.Keyspace, nil
	}
	if c.keyspace == "" {
		return "", errNoKeyspace()
	}
	c.usedDefaultKeyspace = true
	return c.keyspace, nil
}

func properties(in []parse.Property) []meta.Property {
	var out []meta.Property
	for _, p := range in {
		m := meta.Property{Name: p.Name, Text: p.Value.Text, IsMap: p.IsMap}
		if p.IsMap {
			m.Map = make(map[string]string, len(p.Map))
			for _, e := range p.Map {
				m.Map[e.Key.Text] = e.Value.Text
			}
		}
		out = append(out, m)
	}
	return out
}

// checkClauses says what meta.Apply would, but with the table's name as typed:
// Cassandra looks at the text before it looks for the keyspace.
func checkClauses(s *parse.CreateTable) error {
	for i := range s.Columns {
		if slices.ContainsFunc(s.Columns[:i], func(c parse.ColumnDef) bool { return c.Name == s.Columns[i].Name }) {
			return helenus.Invalid("Duplicate column '%s' declaration for table '%s'", s.Columns[i].Name, s.Table.String())
		}
	}
	switch {
	case s.KeyClauses == 0:
		return helenus.Invalid("No PRIMARY KEY specifed for table '%s' (exactly one required)", s.Table.String()) //nolint:misspell // Cassandra's own spelling
	case s.KeyClauses > 1:
		return helenus.Invalid("Multiple PRIMARY KEY specified for table '%s' (exactly one required)", s.Table.String())
	}
	return nil
}

func (c *compiler) planCreateTable(s *parse.CreateTable) (statement, error) {
	ks, err := c.keyspaceOf(s.Table)
	if err != nil {
		return nil, err
	}
	if err := checkClauses(s); err != nil {
		return nil, err
	}
	if s.CompactStorage {
		return nil, helenus.Unsupported("COMPACT STORAGE")
	}
	m := meta.CreateTable{Keyspace: ks, Name: s.Table.Name, IfNotExists: s.IfNotExists, PartitionKey: s.PartitionKey,
		Clustering: s.Clustering, KeyClauses: s.KeyClauses, Properties: properties(s.Properties)}
	for _, o := range s.ClusteringOrder {
		m.Order = append(m.Order, meta.Order{Column: o.Column, Descending: o.Descending})
	}
	for i := range s.Columns {
		def, err := c.columnDef(&s.Columns[i])
		if err != nil {
			return nil, err
		}
		m.Columns = append(m.Columns, def)
		if s.Columns[i].PrimaryKey && len(m.PartitionKey) == 0 {
			m.PartitionKey = []string{def.Name}
		}
	}
	return &definition{
		change: func(x *execution) meta.Change {
			withID := m
			withID.ID = schema.TableID(x.engine.timeUUID())
			return withID
		},
		show: SchemaChange{Change: "CREATED", Target: "TABLE", Keyspace: ks, Name: s.Table.Name},
	}, nil
}

func (c *compiler) columnDef(d *parse.ColumnDef) (meta.ColumnDef, error) {
	if d.Masked {
		return meta.ColumnDef{}, helenus.Unsupported("dynamic data masking")
	}
	t, err := namedType(d.Type)
	return meta.ColumnDef{Name: d.Name, Type: t, Static: d.Static}, err
}

// namedType turns a type as written into one in which user types are only
// named; meta.Apply looks them up.
func namedType(e parse.TypeExpr) (*types.Type, error) {
	return e.Resolve(func(ks, name string) (*types.Type, error) {
		return &types.Type{Kind: types.UDT, Keyspace: ks, Name: name}, nil
	})
}

func (c *compiler) planAlterTable(s *parse.AlterTable) (statement, error) {
	ks, err := c.keyspaceOf(s.Table)
	if err != nil {
		return nil, err
	}
	table := s.Table.Name
	show := func(m meta.Change) (statement, error) { return define("UPDATED", "TABLE", ks, table, m), nil }
	switch s.Op {
	case parse.AddColumns:
		m := meta.AddColumns{Keyspace: ks, Table: table, IfExists: s.IfExists, IfNotExists: s.IfColumn}
		for i := range s.Columns {
			def, err := c.columnDef(&s.Columns[i])
			if err != nil {
				return nil, err
			}
			m.Columns = append(m.Columns, def)
		}
		return show(m)
	case parse.DropColumns:
		return c.planDropColumns(s, ks)
	case parse.RenameColumns:
		m := meta.RenameColumns{Keyspace: ks, Table: table, IfExists: s.IfExists, IfColumnExists: s.IfColumn}
		for _, r := range s.Renames {
			m.Renames = append(m.Renames, meta.Rename(r))
		}
		return show(m)
	case parse.AlterTableProperties:
		return show(meta.AlterTableOptions{Keyspace: ks, Table: table, IfExists: s.IfExists, Properties: properties(s.Properties)})
	case parse.AlterColumnType:
		return nil, helenus.Invalid("Altering column types is no longer supported")
	case parse.DropCompactStorage:
		return nil, helenus.Invalid("DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use.")
	}
	return nil, helenus.Unsupported("dynamic data masking")
}

func (c *compiler) planDropColumns(s *parse.AlterTable, ks string) (statement, error) {
	m := meta.DropColumns{Keyspace: ks, Table: s.Table.Name, IfExists: s.IfExists, IfColumnExists: s.IfColumn, Names: s.Names}
	given := s.Timestamp != nil
	if given {
		b, err := types.Native(types.BigInt).ParseConstant(types.IntegerConst, s.Timestamp.Text)
		if err != nil {
			return nil, helenus.Invalid("%s", err.Error())
		}
		m.Micros = signed(b)
	}
	return &definition{
		change: func(x *execution) meta.Change {
			at := m
			if !given {
				at.Micros = x.engine.opts.Clock.Micros()
			}
			return at
		},
		show: SchemaChange{Change: "UPDATED", Target: "TABLE", Keyspace: ks, Name: s.Table.Name},
	}, nil
}

func (c *compiler) planCreateType(s *parse.CreateType) (statement, error) {
	ks, err := c.keyspaceOf(s.Name)
	if err != nil {
		return nil, err
	}
	m := meta.CreateType{Keyspace: ks, Name: s.Name.Name, IfNotExists: s.IfNotExists}
	for _, f := range s.Fields {
		t, err := namedType(f.Type)
		if err != nil {
			return nil, err
		}
		m.Fields = append(m.Fields, meta.ColumnDef{Name: f.Name, Type: t})
	}
	return define("CREATED", "TYPE", ks, s.Name.Name, m), nil
}

func (c *compiler) planAlterType(s *parse.AlterType) (statement, error) {
	ks, err := c.keyspaceOf(s.Name)
	if err != nil {
		return nil, err
	}
	show := func(m meta.Change) (statement, error) { return define("UPDATED", "TYPE", ks, s.Name.Name, m), nil }
	switch s.Op {
	case parse.AddField:
		t, err := namedType(s.Field.Type)
		if err != nil {
			return nil, err
		}
		return show(meta.AddField{Keyspace: ks, Type: s.Name.Name, IfExists: s.IfExists, IfNotExists: s.IfField,
			Field: meta.ColumnDef{Name: s.Field.Name, Type: t}})
	case parse.RenameFields:
		m := meta.RenameFields{Keyspace: ks, Type: s.Name.Name, IfExists: s.IfExists, IfFieldExists: s.IfField}
		for _, r := range s.Renames {
			m.Renames = append(m.Renames, meta.Rename(r))
		}
		return show(m)
	}
	return nil, helenus.Invalid("Altering field types is no longer supported")
}

// TruncateTable is what TRUNCATE removes.
type TruncateTable struct {
	State *meta.State
	Table *schema.Table
}

// truncation is TRUNCATE.
type truncation struct{ table *schema.Table }

func (c *compiler) planTruncate(s *parse.Truncate) (statement, error) {
	t, err := c.table(s.Table)
	if err != nil {
		return nil, err
	}
	if t.Virtual {
		return nil, helenus.Invalid("Cannot truncate virtual tables")
	}
	if isSystemKeyspace(t.Keyspace) && !strings.HasPrefix(t.Keyspace, "system_traces") {
		return nil, helenus.Errorf(helenus.CodeUnauthorized, "%s keyspace is not user-modifiable.", t.Keyspace)
	}
	return &truncation{table: t}, nil
}

func (t *truncation) current(state *meta.State) bool {
	return state.Schema.Table(t.table.ID) == t.table
}

// truncateError is what a client is told; a node that failed is named as it is.
func truncateError(err error) error {
	var told *helenus.Error
	if errors.As(err, &told) && told.Code == helenus.CodeTruncate {
		return told
	}
	return helenus.Errorf(helenus.CodeTruncate, "Error during truncate: %s", err.Error())
}

// execute implements statement. Removing files blocks, so it has a goroutine.
func (t *truncation) execute(x *execution) {
	go func() {
		if err := x.engine.opts.Truncate(TruncateTable{x.state, t.table}); err != nil {
			x.fail(truncateError(err))
			return
		}
		x.req.Result.Kind = ResultVoid
		x.finish()
	}()
}

// Describer answers DESCRIBE from the metadata.
type Describer func(state *meta.State, keyspace string, s *parse.Describe) (columns []ColumnSpec, rows [][][]byte, err error)

// description is DESCRIBE.
type description struct{ tree *parse.Describe }

func (c *compiler) planDescribe(s *parse.Describe) (statement, error) {
	return &description{tree: s}, nil
}

func (d *description) current(*meta.State) bool { return true }

func (d *description) execute(x *execution) {
	columns, rows, err := x.engine.opts.Describe(x.state, x.keyspace(), d.tree)
	if err != nil {
		x.fail(err)
		return
	}
	out := x.req.Out
	out.Begin(&ResultMetadata{ID: metadataID(columns), Columns: columns}, false, false)
	for _, r := range rows {
		for _, cell := range r {
			out.Cell(cell)
		}
		out.EndRow()
	}
	out.End(nil)
	x.req.Result.Kind = ResultRows
	x.finish()
}
