package query

import (
	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// choice is the restriction of one column to one value or a few.
type choice struct {
	values []expr // = has one
	list   expr   // IN ?: a list
	in     bool
}

// edge is one side of a slice.
type edge struct {
	value     expr
	inclusive bool
}

// slice restricts a column, or the token, to a range; either side may be open.
type slice struct{ lower, upper *edge }

// tupleRelation is (a, b) op (x, y) on a run of clustering columns from first.
type tupleRelation struct {
	first int
	op    parse.Operator
	// rows holds the right sides: one for a comparison, some for IN. A marker
	// stands for a whole tuple (tuple) or for a list of tuples (list).
	rows  [][]expr
	tuple expr
	list  expr
	types []*types.Type
}

// where is a WHERE clause sorted into what selects partitions, what selects
// rows, and what must be filtered.
type where struct {
	table      *schema.Table
	key        []choice // parallel to the partition key; unrestricted where empty
	keySet     int      // restricted by = or IN
	token      *slice
	clustering []choice // parallel to the clustering columns
	slices     []*slice // parallel to the clustering columns
	tuples     []tupleRelation
	filters    []filter
	// prefix is how many clustering columns at the start are restricted by = or
	// IN; behind it there may be one slice.
	prefix int
}

func (c choice) empty() bool { return c.values == nil && c.list == nil }

// analyse sorts the relations of a statement on t.
func (c *compiler) analyse(t *schema.Table, relations []parse.Relation) (*where, error) {
	w := &where{table: t, key: make([]choice, len(t.PartitionKey)),
		clustering: make([]choice, len(t.Clustering)), slices: make([]*slice, len(t.Clustering))}
	for i := range relations {
		if err := c.relation(w, &relations[i]); err != nil {
			return nil, err
		}
	}
	for _, k := range w.key {
		if !k.empty() {
			w.keySet++
		}
	}
	if w.token != nil && w.keySet > 0 {
		return nil, helenus.Invalid("Columns %q cannot be restricted by both a normal relation and a token relation", t.PartitionKey[0].Name)
	}
	for w.prefix < len(w.clustering) && !w.clustering[w.prefix].empty() {
		w.prefix++
	}
	return w, nil
}

func (c *compiler) relation(w *where, r *parse.Relation) error {
	switch r.Kind {
	case parse.ColumnRelation:
		return c.columnRelation(w, r)
	case parse.TokenRelation:
		return c.tokenRelation(w, r)
	case parse.TupleRelation:
		return c.tupleRelation(w, r)
	case parse.ElementRelation:
		return c.elementRelation(w, r)
	}
	return helenus.Unsupported("expr() relations")
}

func (c *compiler) columnRelation(w *where, r *parse.Relation) error {
	col, err := c.column(w.table, r.Columns[0])
	if err != nil {
		return err
	}
	switch r.Op {
	case parse.Like, parse.IsNotNull, parse.Neq:
		return unsupportedOperator(r.Op, col)
	case parse.Contains, parse.ContainsKey:
		return c.containsRelation(w, r, col)
	}
	if col.Type.IsMultiCell() {
		return helenus.Invalid("Collection column '%s' (%s) cannot be restricted by a '%s' relation", col.Name, col.Type, operatorText(r.Op))
	}
	if r.Op == parse.In {
		ch, err := c.inChoice(r, specOf(w.table, col))
		if err != nil {
			return err
		}
		return c.placeChoice(w, col, ch)
	}
	v, err := c.term(r.Value, specOf(w.table, col))
	if err != nil {
		return err
	}
	if r.Op == parse.Eq {
		return c.placeChoice(w, col, choice{values: []expr{v}})
	}
	return c.placeSlice(w, col, r.Op, v)
}

func unsupportedOperator(op parse.Operator, col *schema.Column) error {
	switch op {
	case parse.Like:
		return helenus.Invalid("LIKE restriction is only supported on properly indexed columns. %s LIKE is not valid.", col.Name)
	case parse.IsNotNull:
		return helenus.Invalid("Unsupported restriction: %s IS NOT NULL", col.Name)
	}
	return helenus.Invalid("Unsupported \"!=\" relation: %s != ?", col.Name)
}

var operatorTexts = [...]string{"=", "!=", "<", "<=", ">", ">=", "IN", "CONTAINS", "CONTAINS KEY", "LIKE", "IS NOT"}

func operatorText(op parse.Operator) string { return operatorTexts[op] }

func (c *compiler) inChoice(r *parse.Relation, to ColumnSpec) (choice, error) {
	ch := choice{in: true}
	if r.Value != nil {
		list := part("in("+to.Name+")", to, types.ListOf(to.Type, false))
		v, err := c.term(r.Value, list)
		ch.list = v
		return ch, err
	}
	ch.values = []expr{}
	for _, e := range r.Values {
		v, err := c.term(e, to)
		if err != nil {
			return ch, err
		}
		ch.values = append(ch.values, v)
	}
	return ch, nil
}

// placeChoice puts = and IN where they belong by the column's kind.
func (c *compiler) placeChoice(w *where, col *schema.Column, ch choice) error {
	var at *choice
	switch col.Kind {
	case schema.PartitionKey:
		at = &w.key[col.Position]
	case schema.Clustering:
		at = &w.clustering[col.Position]
		if w.slices[col.Position] != nil {
			return errTwice(col)
		}
	default:
		w.filters = append(w.filters, filter{column: col, op: parse.In, choice: ch})
		return nil
	}
	if !at.empty() {
		return errTwice(col)
	}
	*at = ch
	return nil
}

func errTwice(col *schema.Column) error {
	return helenus.Invalid("%s cannot be restricted by more than one relation if it includes an Equal", col.Name)
}

func (c *compiler) placeSlice(w *where, col *schema.Column, op parse.Operator, v expr) error {
	if col.Kind != schema.Clustering {
		w.filters = append(w.filters, filter{column: col, op: op, choice: choice{values: []expr{v}}})
		return nil
	}
	if !w.clustering[col.Position].empty() {
		return errTwice(col)
	}
	if w.slices[col.Position] == nil {
		w.slices[col.Position] = &slice{}
	}
	return w.slices[col.Position].add(op, v, col.Name)
}

func (s *slice) add(op parse.Operator, v expr, name string) error {
	e := &edge{value: v, inclusive: op == parse.Le || op == parse.Ge}
	side, word := &s.lower, "start"
	if op == parse.Lt || op == parse.Le {
		side, word = &s.upper, "end"
	}
	if *side != nil {
		return helenus.Invalid("More than one restriction was found for the %s bound on %s", word, name)
	}
	*side = e
	return nil
}

func (c *compiler) tokenRelation(w *where, r *parse.Relation) error {
	key := w.table.PartitionKey
	if len(r.Columns) != len(key) {
		return helenus.Invalid("The token() function must be applied to all partition key components or none of them")
	}
	for i, name := range r.Columns {
		col, err := c.column(w.table, name)
		if err != nil {
			return err
		}
		if col != key[i] {
			return helenus.Invalid("The token function arguments must be in the partition key order: %s", keyNames(key))
		}
	}
	to := ColumnSpec{Keyspace: w.table.Keyspace, Table: w.table.Name, Name: "partition key token", Type: c.engine.tokenType()}
	v, err := c.tokenTerm(w.table, r.Value, to)
	if err != nil {
		return err
	}
	if w.token == nil {
		w.token = &slice{}
	}
	switch r.Op {
	case parse.Eq:
		w.token.lower, w.token.upper = &edge{v, true}, &edge{v, true}
		return nil
	case parse.Lt, parse.Le, parse.Gt, parse.Ge:
		return w.token.add(r.Op, v, "token("+keyNames(key)+")")
	}
	return helenus.Invalid("%s cannot be used with the token function", operatorText(r.Op))
}

// tokenTerm is the right side of a token relation: a token, or token(values).
func (c *compiler) tokenTerm(t *schema.Table, e parse.Expr, to ColumnSpec) (expr, error) {
	if call, ok := e.(*parse.Call); ok && functionName(call.Name) == "token" {
		x, _, err := c.tokenCall(call, &scope{table: t, plan: &selectPlan{table: t}})
		return x, err
	}
	return c.term(e, to)
}

func keyNames(cols []*schema.Column) string {
	s := ""
	for i, c := range cols {
		if i > 0 {
			s += ", "
		}
		s += c.Name
	}
	return s
}

func (c *compiler) tupleRelation(w *where, r *parse.Relation) error {
	out := tupleRelation{op: r.Op}
	for i, name := range r.Columns {
		col, err := c.column(w.table, name)
		if err != nil {
			return err
		}
		if col.Kind != schema.Clustering {
			return helenus.Invalid("Multi-column relations can only be applied to clustering columns but was applied to: %s", name)
		}
		if i == 0 {
			out.first = col.Position
		} else if col.Position != out.first+i {
			return helenus.Invalid("Clustering columns must appear in the PRIMARY KEY order in multi-column relations: %s", "("+namesOf(r.Columns)+")")
		}
		out.types = append(out.types, col.Type)
	}
	whole := ColumnSpec{Keyspace: w.table.Keyspace, Table: w.table.Name, Name: "(" + namesOf(r.Columns) + ")", Type: types.TupleOf(out.types...)}
	if err := c.tupleValues(&out, r, whole, w.table); err != nil {
		return err
	}
	w.tuples = append(w.tuples, out)
	return nil
}

func namesOf(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

func (c *compiler) tupleValues(out *tupleRelation, r *parse.Relation, whole ColumnSpec, t *schema.Table) error {
	var err error
	if m, ok := r.Value.(*parse.BindMarker); ok {
		if r.Op == parse.In {
			out.list = c.marker(m, part("in"+whole.Name, whole, types.ListOf(whole.Type, false)))
		} else {
			out.tuple = c.marker(m, whole)
		}
		return nil
	}
	rights := r.Values
	if r.Value != nil {
		rights = []parse.Expr{r.Value}
	}
	for _, e := range rights {
		var row []expr
		if m, ok := e.(*parse.BindMarker); ok {
			row = []expr{c.marker(m, whole)}
			out.rows = append(out.rows, row)
			continue
		}
		tuple, ok := e.(*parse.TupleLit)
		if !ok {
			return helenus.Invalid("Invalid tuple literal for %s", whole.Name)
		}
		if len(tuple.Elems) != len(out.types) {
			return helenus.Invalid("Expected %d elements in value for tuple %s, but got %d: %s", len(out.types), whole.Name, len(tuple.Elems), c.text(tuple))
		}
		for i, el := range tuple.Elems {
			col := t.Clustering[out.first+i]
			var v expr
			if v, err = c.term(el, specOf(t, col)); err != nil {
				return err
			}
			row = append(row, v)
		}
		out.rows = append(out.rows, row)
	}
	return nil
}

func (c *compiler) containsRelation(w *where, r *parse.Relation, col *schema.Column) error {
	t := col.Type
	if !t.IsCollection() {
		return helenus.Invalid("Cannot use %s on non-collection column %s", operatorText(r.Op), col.Name)
	}
	elem := t.Elems[len(t.Elems)-1]
	if r.Op == parse.ContainsKey {
		if t.Kind != types.Map {
			return helenus.Invalid("Cannot use CONTAINS KEY on non-map column %s", col.Name)
		}
		elem = t.Elems[0]
	}
	v, err := c.term(r.Value, part("value("+col.Name+")", specOf(w.table, col), elem))
	w.filters = append(w.filters, filter{column: col, op: r.Op, choice: choice{values: []expr{v}}})
	return err
}

func (c *compiler) elementRelation(w *where, r *parse.Relation) error {
	col, err := c.column(w.table, r.Columns[0])
	if err != nil {
		return err
	}
	if col.Type.Kind != types.Map {
		return helenus.Invalid("Column %s cannot be used as a map", col.Name)
	}
	k, err := c.term(r.Key, part("key("+col.Name+")", specOf(w.table, col), col.Type.Elems[0]))
	if err != nil {
		return err
	}
	v, err := c.term(r.Value, part("value("+col.Name+")", specOf(w.table, col), col.Type.Elems[1]))
	w.filters = append(w.filters, filter{column: col, op: r.Op, element: k, choice: choice{values: []expr{v}}})
	return err
}
