package query

import (
	"slices"
	"strings"

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

// where is a WHERE clause sorted into what selects partitions, what selects
// rows, and what must be filtered.
type where struct {
	table  *schema.Table
	key    []choice // parallel to the partition key; unrestricted where empty
	keySet int      // restricted by = or IN
	token  *slice
	// What restricts the clustering columns is parallel to them: choices of one
	// column, choices of a run of columns that begins here, slices.
	clustering []choice
	runs       []*tupleRelation
	slices     []*slice
	tuples     []*tupleRelation // slices of runs of columns
	filters    []filter
	// prefix is how many clustering columns at the start are restricted by = or
	// IN; behind it there may be slices.
	prefix  int
	deletes bool // a range that is to be deleted must have real ends
}

// restrictsRows tells whether any clustering column is restricted but by
// filtering.
func (w *where) restrictsRows() bool {
	return w.prefix > 0 || len(w.tuples) > 0 || (len(w.slices) > 0 && w.slices[0] != nil)
}

// wholeKey tells whether the partition key is restricted by = or IN in all its
// columns.
func (w *where) wholeKey() bool { return w.keySet == len(w.key) }

func (c choice) empty() bool { return c.values == nil && c.list == nil }

// analyse sorts the relations of a statement on t.
func (c *compiler) analyse(t *schema.Table, relations []parse.Relation) (*where, error) {
	n := len(t.Clustering)
	w := &where{table: t, key: make([]choice, len(t.PartitionKey)),
		clustering: make([]choice, n), runs: make([]*tupleRelation, n), slices: make([]*slice, n)}
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
	for w.prefix < n {
		switch {
		case !w.clustering[w.prefix].empty():
			w.prefix++
		case w.runs[w.prefix] != nil:
			w.prefix += len(w.runs[w.prefix].types)
		default:
			return w, nil
		}
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
	case parse.IsNotNull:
		return helenus.Invalid("Unsupported restriction: %s IS NOT NULL", col.Name)
	case parse.Neq:
		return helenus.Invalid("Unsupported \"!=\" relation: %s != %s", col.Name, c.text(r.Value))
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
	switch r.Op {
	case parse.Like:
		return helenus.Invalid("LIKE restriction is only supported on properly indexed columns. %s LIKE %s is not valid.", col.Name, c.text(r.Value))
	case parse.Eq:
		return c.placeChoice(w, col, choice{values: []expr{v}})
	}
	return c.placeSlice(w, col, r.Op, v)
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
	ch.in = len(ch.values) != 1
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
		if w.slices[col.Position] != nil || w.runOver(col) {
			return errTwice(col.Name)
		}
		if slices.ContainsFunc(w.tuples, func(r *tupleRelation) bool { return r.covers(col) }) {
			return helenus.Invalid("Column %q cannot be restricted by both an equality and an inequality relation", col.Name)
		}
	}
	if (at != nil && !at.empty()) || w.compared(col) != nil {
		return errTwice(col.Name)
	}
	if at == nil {
		w.filters = append(w.filters, filter{column: col, op: parse.In, choice: ch})
	} else {
		*at = ch
	}
	return nil
}

// runOver tells whether a choice of a run of columns covers a column.
func (w *where) runOver(col *schema.Column) bool {
	for i, r := range w.runs[:col.Position+1] {
		if r != nil && col.Position < i+len(r.types) {
			return true
		}
	}
	return false
}

// compared finds a filter that compares the whole of a column.
func (w *where) compared(col *schema.Column) *filter {
	for i := range w.filters {
		if f := &w.filters[i]; f.column == col && f.element == nil && f.op != parse.Contains && f.op != parse.ContainsKey {
			return f
		}
	}
	return nil
}

func errTwice(name string) error {
	return helenus.Invalid("%s cannot be restricted by more than one relation if it includes an Equal", name)
}

func (c *compiler) placeSlice(w *where, col *schema.Column, op parse.Operator, v expr) error {
	switch col.Kind {
	case schema.Clustering:
		if !w.clustering[col.Position].empty() || w.runOver(col) {
			return errTwice(col.Name)
		}
		if slices.ContainsFunc(w.tuples, func(r *tupleRelation) bool { return r.covers(col) && isLower(r.op) == isLower(op) }) {
			return errSide(isLower(op), col.Name)
		}
		if w.slices[col.Position] == nil {
			w.slices[col.Position] = &slice{}
		}
		return w.slices[col.Position].add(op, v, col.Name)
	case schema.PartitionKey:
		if !w.key[col.Position].empty() {
			return errTwice(col.Name)
		}
	}
	for i := range w.filters {
		f := &w.filters[i]
		switch {
		case f.column != col || f.element != nil:
		case f.op == parse.In:
			return errTwice(col.Name)
		case isLower(f.op) == isLower(op) && f.op != parse.Contains && f.op != parse.ContainsKey:
			return errSide(isLower(op), col.Name)
		}
	}
	w.filters = append(w.filters, filter{column: col, op: op, choice: choice{values: []expr{v}}})
	return nil
}

func isLower(op parse.Operator) bool { return op == parse.Gt || op == parse.Ge }

func errSide(lower bool, name string) error {
	word := "end"
	if lower {
		word = "start"
	}
	return helenus.Invalid("More than one restriction was found for the %s bound on %s", word, name)
}

func (s *slice) add(op parse.Operator, v expr, name string) error {
	e := &edge{value: v, inclusive: op == parse.Le || op == parse.Ge}
	side := &s.upper
	if isLower(op) {
		side = &s.lower
	}
	if *side != nil {
		return errSide(isLower(op), name)
	}
	*side = e
	return nil
}

func (c *compiler) tokenRelation(w *where, r *parse.Relation) error {
	key := w.table.PartitionKey
	if len(r.Columns) != len(key) {
		return errTokenColumns()
	}
	for i, name := range r.Columns {
		col, err := c.column(w.table, name)
		if err != nil {
			return err
		}
		switch {
		case col.Kind != schema.PartitionKey:
			return errTokenColumns()
		case col != key[i]:
			return helenus.Invalid("The token function arguments must be in the partition key order: %s", keyNames(key))
		}
	}
	to := ColumnSpec{Keyspace: w.table.Keyspace, Table: w.table.Name, Name: "partition key token", Type: c.engine.tokenType()}
	v, err := c.tokenTerm(w.table, r.Value, to)
	if err != nil {
		return err
	}
	switch r.Op {
	case parse.Eq:
		if w.token != nil {
			return errTwice(keyNames(key))
		}
		e := &edge{v, true}
		w.token = &slice{e, e}
		return nil
	case parse.Lt, parse.Le, parse.Gt, parse.Ge:
		if w.token == nil {
			w.token = &slice{}
		}
		if w.token.lower != nil && w.token.lower == w.token.upper {
			return errTwice(keyNames(key))
		}
		return w.token.add(r.Op, v, keyNames(key))
	}
	return helenus.Invalid("Unsupported %q relation: token(%s) %s %s", operatorText(r.Op), keyNames(key), operatorText(r.Op), c.text(r.Value))
}

func errTokenColumns() error {
	return helenus.Invalid("The token() function must be applied to all partition key components or none of them")
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
	var names []string
	for _, c := range cols {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

func (c *compiler) containsRelation(w *where, r *parse.Relation, col *schema.Column) error {
	t := col.Type
	name := "value(" + col.Name + ")"
	if r.Op == parse.ContainsKey {
		if t.Kind != types.Map {
			return helenus.Invalid("Cannot use CONTAINS KEY on non-map column %s", col.Name)
		}
		name = "key(" + col.Name + ")"
	}
	if !t.IsCollection() {
		return helenus.Invalid("Cannot use %s on non-collection column %s", operatorText(r.Op), col.Name)
	}
	elem := t.Elems[len(t.Elems)-1]
	if r.Op == parse.ContainsKey {
		elem = t.Elems[0]
	}
	v, err := c.term(r.Value, part(name, specOf(w.table, col), elem))
	w.filters = append(w.filters, filter{column: col, op: r.Op, choice: choice{values: []expr{v}}})
	return err
}

func (c *compiler) elementRelation(w *where, r *parse.Relation) error {
	col, err := c.column(w.table, r.Columns[0])
	if err != nil {
		return err
	}
	switch {
	case col.Type.Kind == types.List:
		return helenus.Invalid("Indexes on list entries (%s[index] = value) are not currently supported.", col.Name)
	case col.Type.Kind != types.Map:
		return helenus.Invalid("Column %s cannot be used as a map", col.Name)
	case !col.Type.IsMultiCell():
		return helenus.Invalid("Map-entry equality predicates on frozen map column %s are not supported", col.Name)
	case r.Op != parse.Eq:
		return helenus.Invalid("Only EQ relations are supported on map entries")
	}
	k, err := c.term(r.Key, part("key("+col.Name+")", specOf(w.table, col), col.Type.Elems[0]))
	if err != nil {
		return err
	}
	v, err := c.term(r.Value, part("value("+col.Name+")", specOf(w.table, col), col.Type.Elems[1]))
	w.filters = append(w.filters, filter{column: col, op: r.Op, element: k, choice: choice{values: []expr{v}}})
	return err
}
