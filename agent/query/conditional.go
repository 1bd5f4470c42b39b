package query

import (
	"encoding/binary"
	"slices"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// condition is one term of IF: a column, or a part of one, compared.
type condition struct {
	column *schema.Column
	key    expr // of an element; nil
	field  int  // of a user type; -1
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
	out := condition{column: col, typ: col.Type, op: in.Op, field: -1}
	to := specOf(p.table, col)
	switch {
	case in.Key != nil:
		to, err = c.conditionOnElement(&out, in, to)
	case in.Field != "":
		to, err = conditionOnField(&out, in, to)
	}
	if err != nil {
		return out, err
	}
	switch in.Op {
	case parse.In:
		ch, err := c.inChoice(&parse.Relation{Op: parse.In, Value: in.Value, Values: in.Values}, to)
		out.values, out.list = ch.values, ch.list
		return out, err
	case parse.Contains, parse.ContainsKey:
		if to, err = containedIn(&out, to); err != nil {
			return out, err
		}
	}
	v, err := c.term(in.Value, to)
	out.values = []expr{v}
	return out, err
}

// containedIn is the receiver of what CONTAINS looks for.
func containedIn(out *condition, to ColumnSpec) (ColumnSpec, error) {
	t, name := out.typ, out.column.Name
	switch {
	case out.op == parse.ContainsKey && t.Kind != types.Map:
		return to, helenus.Invalid("Cannot use CONTAINS KEY on non-map column %s", name)
	case !t.IsCollection():
		return to, helenus.Invalid("Cannot use CONTAINS on non-collection column %s", name)
	case out.op == parse.ContainsKey:
		return part("key("+name+")", to, t.Elems[0]), nil
	}
	return part("value("+name+")", to, t.Elems[len(t.Elems)-1]), nil
}

func (c *compiler) conditionOnElement(out *condition, in *parse.Condition, to ColumnSpec) (ColumnSpec, error) {
	t, name := out.typ, out.column.Name
	index := part("key("+name+")", to, t)
	switch t.Kind {
	case types.Map:
		index.Type = t.Elems[0]
		out.typ = t.Elems[1]
	case types.List:
		index = part("idx("+name+")", to, types.Native(types.Int))
		out.typ = t.Elems[0]
	case types.Set:
		return to, helenus.Invalid("Invalid element access syntax for set column %s", name)
	default:
		return to, helenus.Invalid("Invalid element access syntax for non-collection column %s", name)
	}
	var err error
	out.key, err = c.term(in.Key, index)
	return part("value("+name+")", to, out.typ), err
}

func conditionOnField(out *condition, in *parse.Condition, to ColumnSpec) (ColumnSpec, error) {
	if out.typ.Kind != types.UDT {
		return to, helenus.Invalid("Invalid field access syntax for non-UDT column %s", out.column.Name)
	}
	out.field = slices.Index(out.typ.FieldNames, in.Field)
	if out.field < 0 {
		return to, helenus.Invalid("Unknown field %s for column %s", in.Field, out.column.Name)
	}
	out.typ = out.typ.Elems[out.field]
	return part(in.Field, to, out.typ), nil
}

// subject is what the condition compares: the column's value or its part.
func (c *condition) subject(x *execution, got []byte) ([]byte, error) {
	if c.field >= 0 {
		if fields := fieldsOf(got); c.field < len(fields) {
			return fields[c.field], nil
		}
		return nil, nil
	}
	if c.key == nil {
		return got, nil
	}
	k, err := c.key.eval(x, nil)
	what := [...]string{"map", "list"}[boolIndex(c.column.Type.Kind == types.List)]
	switch {
	case err != nil:
		return nil, err
	case k.Unset:
		return nil, helenus.Invalid("Invalid 'unset' value in condition")
	case k.Bytes == nil:
		return nil, helenus.Invalid("Invalid null value for %s element access", what)
	case what == "map":
		return mapValue(c.column.Type, got, k.Bytes), nil
	}
	i := int(int32(binary.BigEndian.Uint32(k.Bytes)))
	if i < 0 {
		return nil, helenus.Invalid("Invalid negative list index %d", i)
	}
	if list := elementsOf(c.column.Type, got); i < len(list) {
		return list[i], nil
	}
	return nil, nil
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

// holds tells whether the condition is true of the row at hand.
func (c *condition) holds(x *execution, view *rowView) (bool, error) {
	got, err := c.subject(x, view.values[view.plan.slot(c.column)])
	if err != nil {
		return false, err
	}
	wants, err := c.wants(x)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(wants, func(want []byte) bool { return c.compare(got, want) }), nil
}

func (c *condition) wants(x *execution) ([][]byte, error) {
	var out [][]byte
	if c.list != nil {
		v, err := c.list.eval(x, nil)
		switch {
		case err != nil:
			return nil, err
		case v.Unset:
			return nil, helenus.Invalid("Invalid 'unset' value in condition")
		case v.Bytes == nil:
			return nil, helenus.Invalid("Invalid null list in IN condition")
		}
		out = append(out, elementsOf(types.ListOf(c.typ, false), v.Bytes)...)
	}
	for _, e := range c.values {
		v, err := e.eval(x, nil)
		switch {
		case err != nil:
			return nil, err
		case v.Unset && c.op == parse.In:
			continue
		case v.Unset:
			return nil, helenus.Invalid("Invalid 'unset' value in condition")
		case v.Bytes == nil && c.op != parse.Eq && c.op != parse.Neq && c.op != parse.In:
			return nil, helenus.Invalid("Invalid comparison with null for operator %q", operatorText(c.op))
		}
		out = append(out, v.Bytes)
	}
	return out, nil
}

// compare compares as Cassandra does: null equals null and nothing else, and
// is never less or greater. An empty collection is null.
func (c *condition) compare(got, want []byte) bool {
	if c.op == parse.Contains || c.op == parse.ContainsKey {
		return got != nil && contains(c.typ, got, want, c.op == parse.ContainsKey)
	}
	if c.column.IsComplex() && c.typ == c.column.Type && c.typ.IsCollection() && len(want) == 4 {
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
