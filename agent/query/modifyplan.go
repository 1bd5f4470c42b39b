package query

import (
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// verb is what a modification is, as messages name it.
type verb string

const (
	verbInsert verb = "INSERT"
	verbUpdate verb = "UPDATE"
	verbDelete verb = "DELETE"
)

// modifyPlan is a planned INSERT, UPDATE or DELETE.
type modifyPlan struct {
	verb  verb
	table *schema.Table
	where *where
	ops   []operation // on the row
	sops  []operation // on the static row
	// removesRows is a DELETE without columns.
	removesRows bool
	// makesRow is an INSERT that names a row, so that the row exists even if all
	// its columns are null.
	makesRow  bool
	timestamp expr
	ttl       expr
	// readsColumns are lists that must be read before they can be changed.
	readsColumns []*schema.Column

	ifNotExists, ifExists bool
	conditions            []condition
	cas                   *casPlan // of a conditional statement
	keyIndexes            []int
}

func (p *modifyPlan) current(state *meta.State) bool {
	return state.Schema.Table(p.table.ID) == p.table
}

func (p *modifyPlan) conditional() bool {
	return p.ifNotExists || p.ifExists || len(p.conditions) > 0
}

func (c *compiler) modify(v verb, name parse.QualifiedName, using parse.Using) (*modifyPlan, error) {
	t, err := c.writable(name)
	if err != nil {
		return nil, err
	}
	p := &modifyPlan{verb: v, table: t}
	return p, c.using(p, using)
}

func (c *compiler) using(p *modifyPlan, u parse.Using) (err error) {
	if u.Timestamp != nil {
		p.timestamp, err = c.term(u.Timestamp, ColumnSpec{Keyspace: p.table.Keyspace, Table: p.table.Name, Name: "[timestamp]", Type: types.Native(types.BigInt)})
		if err != nil {
			return err
		}
	}
	if u.TTL != nil {
		p.ttl, err = c.term(u.TTL, ColumnSpec{Keyspace: p.table.Keyspace, Table: p.table.Name, Name: "[ttl]", Type: types.Native(types.Int)})
	}
	return err
}

func (c *compiler) planInsert(s *parse.Insert) (statement, error) {
	p, err := c.modify(verbInsert, s.Into, s.Using)
	if err != nil {
		return nil, err
	}
	if s.JSON != nil {
		return nil, helenus.Unsupported("INSERT JSON")
	}
	if len(s.Columns) != len(s.Values) {
		return nil, helenus.Invalid("Unmatched column names/values")
	}
	var relations []parse.Relation
	seen := make(map[string]bool)
	for i, name := range s.Columns {
		col, err := c.column(p.table, name)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, helenus.Invalid("The column names contains duplicates")
		}
		seen[name] = true
		if col.Kind == schema.PartitionKey || col.Kind == schema.Clustering {
			relations = append(relations, parse.Relation{Kind: parse.ColumnRelation, Op: parse.Eq, Columns: []string{name}, Value: s.Values[i]})
			continue
		}
		if err := c.operation(p, col, &parse.Assignment{Column: name, Op: parse.Set, Value: s.Values[i]}); err != nil {
			return nil, err
		}
	}
	p.ifNotExists = s.IfNotExists
	if p.where, err = c.analyse(p.table, relations); err != nil {
		return nil, err
	}
	// An INSERT of nothing but statics and the partition key names no row.
	p.makesRow = len(p.table.Clustering) == 0 || p.where.prefix > 0 || len(p.sops) == 0
	return c.finishModify(p, p.makesRow || len(p.ops) > 0)
}

func (c *compiler) planUpdate(s *parse.Update) (statement, error) {
	p, err := c.modify(verbUpdate, s.Table, s.Using)
	if err != nil {
		return nil, err
	}
	for i := range s.Assignments {
		a := &s.Assignments[i]
		col, err := c.column(p.table, a.Column)
		if err != nil {
			return nil, err
		}
		if col.Kind == schema.PartitionKey || col.Kind == schema.Clustering {
			return nil, helenus.Invalid("PRIMARY KEY part %s found in SET part", col.Name)
		}
		if err := c.operation(p, col, a); err != nil {
			return nil, err
		}
	}
	if p.where, err = c.analyse(p.table, s.Where); err != nil {
		return nil, err
	}
	p.ifExists = s.IfExists
	if p.conditions, err = c.conditions(p, s.Conditions); err != nil {
		return nil, err
	}
	return c.finishModify(p, len(p.ops) > 0 || p.conditionsOnRows())
}

func (c *compiler) planDelete(s *parse.Delete) (statement, error) {
	p, err := c.modify(verbDelete, s.From, s.Using)
	if err != nil {
		return nil, err
	}
	p.removesRows = len(s.Columns) == 0
	for i := range s.Columns {
		d := &s.Columns[i]
		col, err := c.column(p.table, d.Column)
		if err != nil {
			return nil, err
		}
		if col.Kind == schema.PartitionKey || col.Kind == schema.Clustering {
			return nil, helenus.Invalid("Invalid identifier %s for deletion (should not be a PRIMARY KEY part)", col.Name)
		}
		if err := c.removal(p, col, d); err != nil {
			return nil, err
		}
	}
	if p.where, err = c.analyse(p.table, s.Where); err != nil {
		return nil, err
	}
	p.ifExists = s.IfExists
	if p.conditions, err = c.conditions(p, s.Conditions); err != nil {
		return nil, err
	}
	return c.finishModify(p, len(p.ops) > 0 || p.conditionsOnRows())
}

// finishModify checks that the WHERE clause names what the operations need.
// whole tells that it must name single rows.
func (c *compiler) finishModify(p *modifyPlan, whole bool) (statement, error) {
	w := p.where
	w.deletes = p.removesRows
	if len(w.filters) > 0 {
		f := &w.filters[0]
		if f.column.Kind == schema.PartitionKey && f.element == nil {
			return nil, helenus.Invalid("Only EQ and IN relation are supported on the partition key (unless you use the token() function) for %s statements", p.verb)
		}
		return nil, helenus.Invalid("Non PRIMARY KEY columns found in where clause: %s ", f.column.Name)
	}
	if w.token != nil {
		return nil, helenus.Invalid("The token function cannot be used in WHERE clauses for %s statements", p.verb)
	}
	if !w.wholeKey() {
		return nil, helenus.Invalid("Some partition key parts are missing: %s", missing(w.table.PartitionKey, w.key))
	}
	whole = whole || (len(p.sops) == 0 && p.verb == verbUpdate)
	if err := w.gaps(false); err != nil && !whole {
		return nil, err
	}
	switch {
	case whole && p.verb != verbDelete:
		if len(w.tuples) > 0 || slices.ContainsFunc(w.slices, func(s *slice) bool { return s != nil }) {
			return nil, helenus.Invalid("Slice restrictions are not supported on the clustering columns in %s statements", p.verb)
		}
		if w.prefix < len(w.clustering) {
			return nil, helenus.Invalid("Some clustering keys are missing: %s", missing(w.table.Clustering, w.clustering))
		}
	case whole && w.prefix < len(w.clustering):
		return nil, helenus.Invalid("Range deletions are not supported for specific columns")
	case !whole && len(p.sops) > 0 && w.restrictsRows() && !p.conditionsOnRows():
		return nil, helenus.Invalid("Invalid restrictions on clustering columns since the %s statement modifies only static columns", p.verb)
	}
	p.keyIndexes = markersOf(w.key)
	c.keyIndexes = p.keyIndexes
	if p.conditional() {
		if err := c.finishConditional(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// missing lists the columns that are not restricted.
func missing(columns []*schema.Column, by []choice) string {
	var names []string
	for i, col := range columns {
		if by[i].empty() {
			names = append(names, col.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (p *modifyPlan) add(col *schema.Column, op operation) {
	if col.Kind == schema.Static {
		p.sops = append(p.sops, op)
	} else {
		p.ops = append(p.ops, op)
	}
}

// operation plans one assignment.
func (c *compiler) operation(p *modifyPlan, col *schema.Column, a *parse.Assignment) error {
	to := specOf(p.table, col)
	if col.Type.Kind == types.Counter {
		return helenus.Unsupported("counters")
	}
	switch a.Op {
	case parse.Set:
		v, err := c.term(a.Value, to)
		p.add(col, &setColumn{col: col, value: v})
		return err
	case parse.SetElement:
		return c.setElement(p, col, a, to)
	case parse.SetField:
		return c.setField(p, col, a, to)
	}
	if !col.IsComplex() || col.Type.Kind == types.UDT {
		if col.Type.IsCollection() {
			return helenus.Invalid("Invalid operation (%s = %s %s %s) for frozen collection column %s", col.Name, col.Name, sign(a.Op), c.text(a.Value), col.Name)
		}
		return helenus.Invalid("Invalid operation (%s = %s %s %s) for non counter column %s", col.Name, col.Name, sign(a.Op), c.text(a.Value), col.Name)
	}
	if a.Op == parse.Prepend && col.Type.Kind != types.List {
		return helenus.Invalid("Invalid operation (%s = %s - %s) for non list column %s", col.Name, c.text(a.Value), col.Name, col.Name)
	}
	if a.Op == parse.Subtract && col.Type.Kind == types.Map {
		if _, ok := a.Value.(*parse.MapLit); ok {
			return helenus.Invalid("Value for a map substraction has to be a set, but was: '%s'", c.text(a.Value)) //nolint:misspell // Cassandra's own spelling
		}
		to.Type = types.SetOf(col.Type.Elems[0], false)
	}
	v, err := c.term(a.Value, to)
	if err != nil {
		return err
	}
	switch {
	case a.Op == parse.Add:
		p.add(col, &addElements{col: col, value: v})
	case a.Op == parse.Prepend:
		p.add(col, &addElements{col: col, value: v, prepend: true})
	case col.Type.Kind == types.List:
		p.readsColumns = append(p.readsColumns, col)
		p.add(col, &discardFromList{col: col, value: v})
	default:
		p.add(col, &removeElements{col: col, value: v})
	}
	return nil
}

func sign(op parse.AssignOp) string {
	if op == parse.Subtract {
		return "-"
	}
	return "+"
}

func (c *compiler) setElement(p *modifyPlan, col *schema.Column, a *parse.Assignment, to ColumnSpec) error {
	if !col.IsComplex() || (col.Type.Kind != types.List && col.Type.Kind != types.Map) {
		if col.Type.Kind == types.Set && col.IsComplex() {
			return helenus.Invalid("Invalid operation (%s[%s] = %s) for set column %s", col.Name, c.text(a.Key), c.text(a.Value), col.Name)
		}
		if col.Type.IsCollection() && col.Type.Kind != types.Set {
			return helenus.Invalid("Invalid operation (%s[%s] = %s) for frozen collection column %s", col.Name, c.text(a.Key), c.text(a.Value), col.Name)
		}
		return helenus.Invalid("Invalid operation (%s[%s] = %s) for non collection column %s", col.Name, c.text(a.Key), c.text(a.Value), col.Name)
	}
	key, list, err := c.elementKey(p, col, a.Key, to)
	if err != nil {
		return err
	}
	v, err := c.term(a.Value, part("value("+col.Name+")", to, col.Type.Elems[len(col.Type.Elems)-1]))
	if err != nil {
		return err
	}
	p.add(col, &setElement{col: col, key: key, value: v, byIndex: list})
	return nil
}

// elementKey plans the key in brackets: a map's key, a set's element, or a
// list's index, which takes a read.
func (c *compiler) elementKey(p *modifyPlan, col *schema.Column, key parse.Expr, to ColumnSpec) (expr, bool, error) {
	if col.Type.Kind == types.List {
		p.readsColumns = append(p.readsColumns, col)
		k, err := c.term(key, part("idx("+col.Name+")", to, types.Native(types.Int)))
		return k, true, err
	}
	k, err := c.term(key, part("key("+col.Name+")", to, col.Type.Elems[0]))
	return k, false, err
}

func (c *compiler) setField(p *modifyPlan, col *schema.Column, a *parse.Assignment, to ColumnSpec) error {
	if col.Type.Kind == types.UDT && col.Type.Frozen {
		return helenus.Invalid("Invalid operation (%s.%s = %s) for frozen UDT column %s", col.Name, a.Field, c.text(a.Value), col.Name)
	}
	if col.Type.Kind != types.UDT {
		return helenus.Invalid("Invalid operation (%s.%s = %s) for column %s", col.Name, a.Field, c.text(a.Value), col.Name)
	}
	i := slices.Index(col.Type.FieldNames, a.Field)
	if i < 0 {
		return helenus.Invalid("UDT column %s does not have a field named %s", col.Name, a.Field)
	}
	v, err := c.term(a.Value, part(a.Field, to, col.Type.Elems[i]))
	p.add(col, &setField{col: col, field: i, value: v})
	return err
}

// removal plans one column, element or field of DELETE.
func (c *compiler) removal(p *modifyPlan, col *schema.Column, d *parse.Deletion) error {
	to := specOf(p.table, col)
	switch {
	case d.Field != "":
		return c.setField(p, col, &parse.Assignment{Column: d.Column, Field: d.Field, Value: &parse.Constant{Kind: parse.Null}}, to)
	case d.Key == nil:
		p.add(col, &setColumn{col: col, value: constExpr(nil)})
		return nil
	}
	if col.Type.IsCollection() && !col.IsComplex() {
		return helenus.Invalid("Invalid deletion operation for frozen collection column %s", col.Name)
	}
	if !col.Type.IsCollection() {
		return helenus.Invalid("Invalid deletion operation for non collection column %s", col.Name)
	}
	key, list, err := c.elementKey(p, col, d.Key, to)
	p.add(col, &setElement{col: col, key: key, value: constExpr(nil), byIndex: list, removal: true})
	return err
}
