package query

import (
	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// compiler plans one text against one state of the metadata.
type compiler struct {
	engine   *Engine
	state    *meta.State
	keyspace string        // of the session or the request; "" if none
	target   *schema.Table // of the statement

	specs  []ColumnSpec // of the bind markers, filled as they are met
	stmt   statement
	result *ResultMetadata
	// keyIndexes are the markers that are exactly the partition key's columns.
	keyIndexes          []int
	usedDefaultKeyspace bool
}

func (e *Engine) compileText(state *meta.State, keyspace, text string) (*compiler, error) {
	tree, err := parse.Parse(text)
	if err != nil {
		return nil, err
	}
	c := &compiler{engine: e, state: state, keyspace: keyspace}
	c.specs = make([]ColumnSpec, len(tree.Markers()))
	for _, m := range tree.Markers() {
		c.specs[m.Index].Name = m.Name
	}
	c.stmt, err = c.plan(tree)
	if err != nil {
		return nil, err
	}
	for i := range c.specs {
		if c.specs[i].Type == nil {
			return nil, helenus.Invalid("Cannot infer type for bind marker %d", i+1)
		}
	}
	return c, nil
}

func (c *compiler) plan(tree parse.Statement) (statement, error) {
	switch s := tree.(type) {
	case *parse.Select:
		return c.planSelect(s)
	case *parse.Insert:
		return c.planInsert(s)
	case *parse.Update:
		return c.planUpdate(s)
	case *parse.Delete:
		return c.planDelete(s)
	case *parse.Batch:
		return c.planBatch(s)
	case *parse.Use:
		return &useStatement{keyspace: s.Keyspace}, nil
	case *parse.Truncate:
		return c.planTruncate(s)
	case *parse.Describe:
		return c.planDescribe(s)
	case *parse.Unsupported:
		return nil, helenus.Unsupported(s.Feature)
	}
	return c.planDefinition(tree)
}

// table finds the table a statement names.
func (c *compiler) table(name parse.QualifiedName) (*schema.Table, error) {
	ks := name.Keyspace
	if ks == "" {
		if c.keyspace == "" {
			return nil, errNoKeyspace()
		}
		c.usedDefaultKeyspace = true
		ks = c.keyspace
	}
	k := c.state.Schema.Keyspaces[ks]
	if k == nil {
		return nil, helenus.Invalid("keyspace %s does not exist", ks)
	}
	t := k.Tables[name.Name]
	if t == nil {
		return nil, helenus.Invalid("table %s does not exist", name.Name)
	}
	c.target = t
	return t, nil
}

// writable finds a table that clients may write.
func (c *compiler) writable(name parse.QualifiedName) (*schema.Table, error) {
	t, err := c.table(name)
	if err != nil {
		return nil, err
	}
	if t.Virtual {
		return nil, helenus.Invalid("Modification is not supported by table %s", t.QualifiedName())
	}
	if isSystemKeyspace(t.Keyspace) {
		return nil, helenus.Errorf(helenus.CodeUnauthorized, "%s keyspace is not user-modifiable.", t.Keyspace)
	}
	return t, nil
}

func isSystemKeyspace(name string) bool {
	switch name {
	case "system", "system_schema", "system_views", "system_virtual_schema", "system_traces":
		return true
	}
	return false
}

func errNoKeyspace() error {
	return helenus.Invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename")
}

func (c *compiler) column(t *schema.Table, name string) (*schema.Column, error) {
	col := t.Column(name)
	if col == nil {
		return nil, helenus.Invalid("Undefined column name %s in table %s.%s", types.QuoteName(name), types.QuoteName(t.Keyspace), types.QuoteName(t.Name))
	}
	return col, nil
}

func specOf(t *schema.Table, c *schema.Column) ColumnSpec {
	return ColumnSpec{Keyspace: t.Keyspace, Table: t.Name, Name: c.Name, Type: c.Type}
}

// useStatement is USE.
type useStatement struct{ keyspace string }

func (s *useStatement) current(*meta.State) bool { return true }

func (s *useStatement) execute(x *execution) {
	if x.state.Schema.Keyspaces[s.keyspace] == nil {
		x.fail(helenus.Invalid("Keyspace '%s' does not exist", s.keyspace))
		return
	}
	x.req.Session.Keyspace = s.keyspace
	x.req.Result.Kind, x.req.Result.Keyspace = ResultSetKeyspace, s.keyspace
	x.finish()
}
