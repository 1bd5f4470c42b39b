package query

import (
	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// condition is one term of IF: a column, or an element of one, compared.
type condition struct {
	column *schema.Column
	key    expr // of an element; nil
	typ    *types.Type
	op     parse.Operator
	values []expr
	list   expr // IN ?
}

func (c *compiler) conditions(p *modifyPlan, in []parse.Condition) ([]condition, error) {
	var out []condition
	for i := range in {
		cond, err := c.condition(p, &in[i])
		if err != nil {
			return nil, err
		}
		out = append(out, cond)
	}
	return out, nil
}

func (c *compiler) condition(p *modifyPlan, in *parse.Condition) (condition, error) {
	col, err := c.column(p.table, in.Column)
	if err != nil {
		return condition{}, err
	}
	if col.Kind == schema.PartitionKey || col.Kind == schema.Clustering {
		return condition{}, helenus.Invalid("PRIMARY KEY column '%s' cannot have IF conditions", col.Name)
	}
	if in.Field != "" || in.Op == parse.Contains || in.Op == parse.ContainsKey {
		return condition{}, helenus.Unsupported("this form of IF condition")
	}
	out := condition{column: col, typ: col.Type, op: in.Op}
	to := specOf(p.table, col)
	if in.Key != nil {
		if col.Type.Kind != types.Map {
			return out, helenus.Unsupported("IF conditions on list elements")
		}
		if out.key, err = c.term(in.Key, part("key("+col.Name+")", to, col.Type.Elems[0])); err != nil {
			return out, err
		}
		out.typ = col.Type.Elems[1]
		to = part("value("+col.Name+")", to, out.typ)
	}
	if in.Op == parse.In {
		ch, err := c.inChoice(&parse.Relation{Op: parse.In, Value: in.Value, Values: in.Values}, to)
		out.values, out.list = ch.values, ch.list
		return out, err
	}
	v, err := c.term(in.Value, to)
	out.values = []expr{v}
	return out, err
}

// finishConditional checks a conditional statement and plans what it reads.
func (c *compiler) finishConditional(p *modifyPlan) error {
	if p.timestamp != nil {
		return helenus.Invalid("Cannot provide custom timestamp for conditional updates")
	}
	for _, ch := range p.where.key {
		if ch.in {
			return helenus.Invalid("IN on the partition key is not supported with conditional %ss", map[verb]string{
				verbUpdate: "update", verbDelete: "deletion", verbInsert: "insert"}[p.verb])
		}
	}
	for _, ch := range p.where.clustering {
		if ch.in {
			return helenus.Invalid("IN on the clustering key columns is not supported with conditional %ss", map[verb]string{
				verbUpdate: "update", verbDelete: "deletion", verbInsert: "insert"}[p.verb])
		}
	}
	if p.verb == verbDelete && p.removesRows && p.where.prefix < len(p.where.clustering) {
		return helenus.Invalid("DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to use IF conditions")
	}
	p.view = &selectPlan{table: p.table, where: &where{table: p.table}}
	if p.ifNotExists {
		for _, col := range p.table.AllColumns() {
			p.view.slot(col)
		}
	}
	for i := range p.conditions {
		p.view.slot(p.conditions[i].column)
	}
	specs := []ColumnSpec{appliedSpec(p.table)}
	c.result = &ResultMetadata{ID: metadataID(specs), Columns: specs}
	return nil
}

func appliedSpec(t *schema.Table) ColumnSpec {
	return ColumnSpec{Keyspace: t.Keyspace, Table: t.Name, Name: "[applied]", Type: types.Native(types.Boolean)}
}

// conditional starts the compare-and-set of a conditional statement.
func (x *execution) conditional(p *modifyPlan) {
	m := &x.mod
	if len(p.readsColumns) > 0 {
		x.fail(helenus.Unsupported("conditional changes of lists by index or value"))
		return
	}
	if err := m.listCommand(x, p); err != nil {
		x.fail(err)
		return
	}
	if len(p.ops) == 0 && !p.makesRow && !p.removesRows {
		m.command.Filter.Slices = nil // only the static row is meant
	}
	serial := x.req.Params.SerialConsistency
	x.cas = CAS{Command: &m.command, State: x.state, Serial: serial, Consistency: x.req.Params.Consistency, Trace: x.req.Trace, Done: x}
	x.engine.opts.Coordinator.CAS(&x.cas)
}

// Decide implements CASOwner.
func (x *execution) Decide(ps row.Partitions, ballotMicros int64) ([]byte, error) {
	m := &x.mod
	p := m.items[0].plan
	view := &x.sel.view
	*view = rowView{plan: p.view, now: x.nowSeconds}
	exists, err := loadOnly(row.Visible(ps, &m.command, true, nil), view, m.command.Filter.Slices != nil)
	if err != nil {
		return nil, err
	}
	applied, err := x.holds(p, view, exists)
	if err != nil {
		return nil, err
	}
	x.answerConditional(p, view, applied, exists)
	if !applied {
		return nil, nil
	}
	m.casting, m.timestamp = true, ballotMicros
	return m.build(x)
}

// loadOnly loads the one row that a conditional statement looks at; found tells
// whether the row, or with static only the static row, is there.
func loadOnly(ps row.Partitions, view *rowView, wantsRow bool) (found bool, err error) {
	p, err := ps.Next()
	if err != nil {
		return false, err
	}
	if p == nil {
		view.values = make([][]byte, len(view.plan.columns))
		return false, nil
	}
	view.key, view.static = p.Key(), p.StaticRow()
	found = !wantsRow && view.static != nil
	u, err := p.Next()
	if err != nil {
		return false, err
	}
	if u != nil && wantsRow {
		view.row, found = u.Row, true
	}
	view.load()
	return found, nil
}

// holds evaluates the conditions.
func (x *execution) holds(p *modifyPlan, view *rowView, exists bool) (bool, error) {
	switch {
	case p.ifNotExists:
		return !exists, nil
	case p.ifExists:
		return exists, nil
	}
	for i := range p.conditions {
		ok, err := p.conditions[i].holds(x, view)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (c *condition) holds(x *execution, view *rowView) (bool, error) {
	got := view.values[view.plan.slot(c.column)]
	if c.key != nil {
		k, err := c.key.eval(x, nil)
		if err != nil {
			return false, err
		}
		if k.Bytes == nil {
			return false, helenus.Invalid("Invalid null value for map element access")
		}
		if got != nil {
			got = mapValue(c.column.Type, got, k.Bytes)
		}
	}
	wants, err := c.wants(x)
	if err != nil {
		return false, err
	}
	for _, want := range wants {
		if compareCondition(c, got, want) {
			return true, nil
		}
	}
	return false, nil
}

func (c *condition) wants(x *execution) ([][]byte, error) {
	var out [][]byte
	if c.list != nil {
		v, err := c.list.eval(x, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, elementsOf(types.ListOf(c.typ, false), v.Bytes)...)
	}
	for _, e := range c.values {
		v, err := e.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if v.Unset {
			return nil, helenus.Invalid("Invalid 'unset' value in condition")
		}
		out = append(out, v.Bytes)
	}
	return out, nil
}

// compareCondition compares as Cassandra does: null equals null and nothing
// else, and is never less or greater. An empty collection is null.
func compareCondition(c *condition, got, want []byte) bool {
	if c.column.IsComplex() && c.key == nil && len(want) == 4 {
		want = nil
	}
	if got == nil || want == nil {
		same := got == nil && want == nil
		switch c.op {
		case parse.Eq, parse.In:
			return same
		case parse.Neq:
			return !same
		}
		return false
	}
	return satisfies(c.op, c.typ.Compare(got, want))
}

// answerConditional writes [applied], and when it is false what is there.
func (x *execution) answerConditional(p *modifyPlan, view *rowView, applied, exists bool) {
	specs := []ColumnSpec{appliedSpec(p.table)}
	show := !applied && (exists || view.static != nil) && len(view.plan.columns) > 0
	if show {
		for _, col := range view.plan.columns {
			specs = append(specs, specOf(p.table, col))
		}
	}
	out := x.req.Out
	out.Begin(&ResultMetadata{ID: metadataID(specs), Columns: specs}, false, false)
	out.Cell(map[bool][]byte{true: {1}, false: {0}}[applied])
	if show {
		for _, v := range view.values {
			out.Cell(v)
		}
	}
	out.EndRow()
	out.End(nil)
}

// CASDone implements CASOwner.
func (x *execution) CASDone(c *CAS) {
	if c.Err != nil {
		x.fail(c.Err)
		return
	}
	x.req.Result.Kind = ResultRows
	x.finish()
}
