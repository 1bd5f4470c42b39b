package query

import (
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// tupleRelation is (a, b) op (x, y) on a run of clustering columns from first.
type tupleRelation struct {
	first int
	op    parse.Operator
	// rows holds the right sides, one for a comparison, some for IN. One of its
	// expressions may stand for a whole tuple, list for a list of tuples.
	rows  [][]expr
	list  expr
	types []*types.Type
}

func (c *compiler) tupleRelation(w *where, r *parse.Relation) error {
	out := &tupleRelation{op: r.Op}
	for i, name := range r.Columns {
		col, err := c.column(w.table, name)
		if err != nil {
			return err
		}
		switch {
		case col.Kind != schema.Clustering:
			return helenus.Invalid("Multi-column relations can only be applied to clustering columns but was applied to: %s", name)
		case slices.Contains(r.Columns[:i], name):
			return helenus.Invalid("Column %q appeared twice in a relation: %s", name, c.tupleText(r))
		case i == 0:
			out.first = col.Position
		case col.Position != out.first+i:
			return helenus.Invalid("Clustering columns must appear in the PRIMARY KEY order in multi-column relations: %s", c.tupleText(r))
		}
		out.types = append(out.types, col.Type)
	}
	whole := ColumnSpec{Keyspace: w.table.Keyspace, Table: w.table.Name, Name: "(" + strings.Join(r.Columns, ",") + ")", Type: types.TupleOf(out.types...)}
	if err := c.tupleValues(out, r, whole, w.table); err != nil {
		return err
	}
	return w.placeTuple(out)
}

// covers tells whether a column is one of the run.
func (r *tupleRelation) covers(col *schema.Column) bool {
	return col.Position >= r.first && col.Position < r.first+len(r.types)
}

func (c *compiler) tupleText(r *parse.Relation) string {
	text := "(" + strings.Join(r.Columns, ", ") + ") " + operatorText(r.Op) + " "
	if r.Value != nil {
		return text + c.text(r.Value)
	}
	var values []string
	for _, v := range r.Values {
		values = append(values, c.text(v))
	}
	return text + "(" + strings.Join(values, ", ") + ")"
}

// placeTuple puts = and IN where choices are, all else to the slices. What is
// said of the columns one by one is kept so.
func (w *where) placeTuple(r *tupleRelation) error {
	columns := w.table.Clustering[r.first : r.first+len(r.types)]
	if r.op != parse.Eq && r.op != parse.In {
		if !w.clustering[r.first].empty() || w.runOver(columns[0]) {
			return errTwice(columns[0].Name)
		}
		for _, col := range columns {
			sl := w.slices[col.Position]
			taken := sl != nil && ((isLower(r.op) && sl.lower != nil) || (!isLower(r.op) && sl.upper != nil))
			if taken || slices.ContainsFunc(w.tuples, func(o *tupleRelation) bool { return o.covers(col) && isLower(o.op) == isLower(r.op) }) {
				return errSide(isLower(r.op), col.Name)
			}
		}
		w.tuples = append(w.tuples, r)
		return nil
	}
	for _, col := range columns {
		if !w.clustering[col.Position].empty() || w.slices[col.Position] != nil || w.runOver(col) {
			return errTwice(col.Name)
		}
	}
	if len(r.rows) == 1 && r.list == nil && !r.wholes() {
		for i, col := range columns {
			w.clustering[col.Position] = choice{values: r.rows[0][i : i+1]}
		}
		return nil
	}
	w.runs[r.first] = r
	return nil
}

// wholes tells whether expressions stand for tuples; those of one column are
// told by their type.
func (r *tupleRelation) wholes() bool {
	for _, row := range r.rows {
		if m, ok := row[0].(*markerExpr); ok && len(row) == 1 && m.typ.Kind == types.Tuple {
			return true
		}
	}
	return false
}

func (c *compiler) tupleValues(out *tupleRelation, r *parse.Relation, whole ColumnSpec, t *schema.Table) error {
	if m, ok := r.Value.(*parse.BindMarker); ok && r.Op == parse.In {
		out.list = c.marker(m, part("in"+whole.Name, whole, types.ListOf(whole.Type, false)))
		return nil
	}
	rights := r.Values
	if r.Value != nil {
		rights = []parse.Expr{r.Value}
	}
	for _, e := range rights {
		if m, ok := e.(*parse.BindMarker); ok {
			out.rows = append(out.rows, []expr{c.marker(m, whole)})
			continue
		}
		tuple, ok := e.(*parse.TupleLit)
		if !ok {
			return helenus.Invalid("Invalid tuple literal for %s", whole.Name)
		}
		if len(tuple.Elems) != len(out.types) {
			return helenus.Invalid("Expected %d elements in value tuple, but got %d: %s", len(out.types), len(tuple.Elems), c.text(tuple))
		}
		var row []expr
		for i, el := range tuple.Elems {
			v, err := c.term(el, specOf(t, t.Clustering[out.first+i]))
			if err != nil {
				return err
			}
			row = append(row, v)
		}
		out.rows = append(out.rows, row)
	}
	return nil
}

// evaluate gives the right sides as components of the run.
func (r *tupleRelation) evaluate(x *execution, w *where) ([][][]byte, error) {
	var out [][][]byte
	if r.list != nil {
		v, err := r.list.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if err := r.missing(w, v); err != nil {
			return nil, err
		}
		for it := types.ListElements(v.Bytes); ; {
			tuple, ok := it.Next()
			if !ok {
				break
			}
			out = append(out, fieldsOf(tuple))
		}
	}
	for _, exprs := range r.rows {
		var tuple [][]byte
		for _, e := range exprs {
			v, err := e.eval(x, nil)
			if err != nil {
				return nil, err
			}
			if m, ok := e.(*markerExpr); ok && m.typ.Kind == types.Tuple && len(exprs) == 1 {
				if err := r.missing(w, v); err != nil {
					return nil, err
				}
				tuple = fieldsOf(v.Bytes)
				break
			}
			if v.Unset {
				return nil, helenus.Invalid("Invalid unset value for column %s", w.table.Clustering[r.first+len(tuple)].Name)
			}
			tuple = append(tuple, v.Bytes)
		}
		out = append(out, tuple)
	}
	for _, tuple := range out {
		for i := range r.types {
			if i >= len(tuple) || tuple[i] == nil {
				return nil, helenus.Invalid("Invalid null value in condition for column %s", w.table.Clustering[r.first+i].Name)
			}
		}
	}
	return out, nil
}

// missing refuses null and unset in place of a tuple or a list of them.
func (r *tupleRelation) missing(w *where, v Value) error {
	var names []string
	for _, col := range w.table.Clustering[r.first : r.first+len(r.types)] {
		names = append(names, col.Name)
	}
	switch {
	case v.Unset:
		return helenus.Invalid("Invalid unset value for tuple (%s)", strings.Join(names, ","))
	case v.Bytes == nil:
		return helenus.Invalid("Invalid null value for tuple (%s)", strings.Join(names, ","))
	}
	return nil
}

// spans of (a, b) > (x, y) are those of a > x and of a = x, b > y; with columns
// of mixed direction they do not join into one.
func (r *tupleRelation) spans(x *execution, w *where) ([]span, error) {
	rights, err := r.evaluate(x, w)
	if err != nil {
		return nil, err
	}
	before, err := w.combinations(x, r.first)
	if err != nil {
		return nil, err
	}
	inclusive := r.op == parse.Ge || r.op == parse.Le
	var out []span
	for _, b := range before {
		right := slices.Concat(b, rights[0])
		for i := r.first; i < len(right); i++ {
			s := w.within(x, right[:i])
			w.clip(x, &s, right[:i+1], isLower(r.op), inclusive && i == len(right)-1)
			out = append(out, s)
		}
	}
	return out, nil
}
