package query

import (
	"slices"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// selectPlan is a planned SELECT.
type selectPlan struct {
	table *schema.Table
	where *where
	// columns are those that selectors and filters read, by slot.
	columns []*schema.Column
	outputs []expr
	meta    *ResultMetadata

	distinct   bool
	aggregates []aggregateSpec
	aggregated []bool // outputs with an aggregate in them, when there are any
	reversed   bool
	// sortBy is how many clustering columns order the rows of several partitions
	// (IN with ORDER BY); 0 leaves them as they come.
	sortBy       int
	several      bool // IN on the partition key
	limit        expr
	perPartition expr
	// wantStatics and wantRegulars are the columns to fetch, by storage index.
	wantStatics, wantRegulars []bool
	// staticRow tells that a partition with nothing but a static row counts as
	// one row.
	staticRow bool
}

func (p *selectPlan) current(state *meta.State) bool {
	return state.Schema.Table(p.table.ID) == p.table
}

// slot gives the place of a column in rowView, making one if need be.
func (p *selectPlan) slot(col *schema.Column) int {
	if i := slices.Index(p.columns, col); i >= 0 {
		return i
	}
	p.columns = append(p.columns, col)
	return len(p.columns) - 1
}

func (c *compiler) planSelect(s *parse.Select) (statement, error) {
	if s.JSON {
		return nil, helenus.Unsupported("SELECT JSON")
	}
	if len(s.GroupBy) > 0 {
		return nil, helenus.Unsupported("GROUP BY")
	}
	t, err := c.table(s.From)
	if err != nil {
		return nil, err
	}
	p := &selectPlan{table: t, distinct: s.Distinct}
	if err := c.selectors(p, s); err != nil {
		return nil, err
	}
	if p.where, err = c.analyse(t, s.Where); err != nil {
		return nil, err
	}
	if err := c.checkSelectWhere(p, s); err != nil {
		return nil, err
	}
	if s.Distinct && s.PerPartitionLimit != nil {
		return nil, helenus.Invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries")
	}
	if len(p.aggregates) > 0 && s.PerPartitionLimit != nil {
		return nil, helenus.Invalid("PER PARTITION LIMIT is not allowed with aggregate queries.")
	}
	if err := c.ordering(p, s); err != nil {
		return nil, err
	}
	limit := ColumnSpec{Keyspace: t.Keyspace, Table: t.Name, Name: "[limit]", Type: types.Native(types.Int)}
	if p.limit, err = c.limit(s.Limit, limit); err != nil {
		return nil, err
	}
	limit.Name = "[per_partition_limit]"
	if p.perPartition, err = c.limit(s.PerPartitionLimit, limit); err != nil {
		return nil, err
	}
	c.finishSelect(p)
	return p, nil
}

func (c *compiler) limit(e parse.Expr, to ColumnSpec) (expr, error) {
	if e == nil {
		return nil, nil
	}
	return c.term(e, to)
}

// selectors compiles the outputs and the result's metadata.
func (c *compiler) selectors(p *selectPlan, s *parse.Select) error {
	t := p.table
	var specs []ColumnSpec
	if s.Columns == nil {
		for _, col := range t.AllColumns() {
			p.outputs = append(p.outputs, &columnExpr{slot: p.slot(col)})
			specs = append(specs, specOf(t, col))
		}
		if p.distinct {
			return c.checkDistinct(p, t.AllColumns())
		}
	}
	var plain []*schema.Column
	for _, sel := range s.Columns {
		before := len(p.aggregates)
		x, typ, err := c.typed(sel.Expr, nil, &scope{table: t, plan: p})
		if err != nil {
			return err
		}
		p.outputs = append(p.outputs, x)
		p.aggregated = append(p.aggregated, len(p.aggregates) > before)
		spec := ColumnSpec{Keyspace: t.Keyspace, Table: t.Name, Name: sel.Alias, Type: typ}
		if spec.Name == "" {
			spec.Name = c.selectorName(sel.Expr)
		}
		specs = append(specs, spec)
		if _, ok := x.(*columnExpr); ok || p.distinct {
			plain = append(plain, p.columns...)
		}
	}
	p.meta = &ResultMetadata{ID: metadataID(specs), Columns: specs}
	c.result = p.meta
	if p.distinct {
		return c.checkDistinct(p, plain)
	}
	return nil
}

func (c *compiler) checkDistinct(p *selectPlan, columns []*schema.Column) error {
	for _, col := range columns {
		if col.Kind == schema.Clustering || col.Kind == schema.Regular {
			return helenus.Invalid("SELECT DISTINCT queries must only request partition key columns and/or static columns (not %s)", col.Name)
		}
	}
	for _, col := range p.table.PartitionKey {
		if len(columns) > 0 && !slices.Contains(columns, col) {
			return helenus.Invalid("SELECT DISTINCT queries must request all the partition key columns (missing %s)", col.Name)
		}
	}
	return nil
}

// selectorName is how Cassandra names a result column without alias.
func (c *compiler) selectorName(e parse.Expr) string {
	switch e := e.(type) {
	case *parse.Column:
		return e.Name
	case *parse.CellInfo:
		return [...]string{"writetime", "maxwritetime", "ttl"}[e.Kind] + "(" + c.selectorName(e.X) + ")"
	case *parse.Call:
		name := functionText(e.Name.Name)
		switch {
		case e.Star || (e.Name.Name == "count" && isConstant(e.Args)):
			return "count"
		case e.Name.Name == "token":
			name = "system.token"
		}
		args := ""
		for i, a := range e.Args {
			if i > 0 {
				args += ", "
			}
			args += c.selectorName(a)
		}
		return name + "(" + args + ")"
	}
	return c.text(e)
}

func isConstant(args []parse.Expr) bool {
	if len(args) != 1 {
		return false
	}
	_, ok := args[0].(*parse.Constant)
	return ok
}

const needsFiltering = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. " +
	"If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING"

// checkSelectWhere decides what the restrictions may do and turns those that
// select neither partitions nor slices into filters.
func (c *compiler) checkSelectWhere(p *selectPlan, s *parse.Select) error {
	w := p.where
	behind := slices.ContainsFunc(w.slices, func(s *slice) bool { return s != nil }) ||
		slices.ContainsFunc(w.clustering, func(ch choice) bool { return !ch.empty() })
	if (behind || w.restrictsRows()) && p.onlyStatics() {
		return helenus.Invalid("Cannot restrict clustering columns when selecting only static columns")
	}
	ofRows := func(f filter) bool { return f.column.Kind == schema.Clustering || f.column.Kind == schema.Regular }
	if p.distinct && (behind || w.restrictsRows() || slices.ContainsFunc(w.filters, ofRows)) {
		return helenus.Invalid("SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or static columns.")
	}
	if w.keySet > 0 && !w.wholeKey() {
		if !s.AllowFiltering {
			return helenus.Invalid("%s", needsFiltering)
		}
		for i := range w.key {
			w.demote(w.table.PartitionKey[i], &w.key[i])
		}
		w.keySet = 0
	}
	if err := w.gaps(s.AllowFiltering); err != nil {
		return err
	}
	if !s.AllowFiltering && (len(w.filters) > 0 || (w.restrictsRows() && !w.wholeKey())) {
		return helenus.Invalid("%s", needsFiltering)
	}
	p.staticRow = !w.restrictsRows() && !slices.ContainsFunc(w.filters, ofRows)
	return nil
}

// onlyStatics tells whether the selectors read static columns and none of rows.
func (p *selectPlan) onlyStatics() bool {
	statics := false
	for _, col := range p.columns {
		if col.Kind == schema.Clustering || col.Kind == schema.Regular {
			return false
		}
		statics = statics || col.Kind == schema.Static
	}
	return statics
}

// demote makes a filter of a choice.
func (w *where) demote(col *schema.Column, ch *choice) {
	if !ch.empty() {
		w.filters = append(w.filters, filter{column: col, op: parse.In, choice: *ch})
		*ch = choice{}
	}
}

// gaps refuses, or with filtering allowed demotes, restrictions of clustering
// columns behind one that is not restricted by = or IN.
func (w *where) gaps(filtering bool) error {
	for i := w.prefix; i < len(w.clustering); i++ {
		ch, sl := &w.clustering[i], w.slices[i]
		col, before := w.table.Clustering[i], w.table.Clustering[w.prefix]
		if w.runs[i] != nil {
			return errGap(col, before)
		}
		if ch.empty() && (sl == nil || i == w.prefix) {
			continue
		}
		if !filtering {
			if w.slices[w.prefix] != nil {
				return helenus.Invalid("Clustering column \"%s\" cannot be restricted (preceding column \"%s\" is restricted by a non-EQ relation)", col.Name, before.Name)
			}
			return errGap(col, before)
		}
		w.demote(col, ch)
		w.demoteSlice(col, sl)
		w.slices[i] = nil
	}
	for _, t := range w.tuples {
		if t.first > w.prefix {
			return errGap(w.table.Clustering[t.first], w.table.Clustering[w.prefix])
		}
	}
	return nil
}

func errGap(col, before *schema.Column) error {
	return helenus.Invalid("PRIMARY KEY column %q cannot be restricted as preceding column %q is not restricted", col.Name, before.Name)
}

func (w *where) demoteSlice(col *schema.Column, sl *slice) {
	if sl == nil {
		return
	}
	if sl.lower != nil {
		op := parse.Gt
		if sl.lower.inclusive {
			op = parse.Ge
		}
		w.filters = append(w.filters, filter{column: col, op: op, choice: choice{values: []expr{sl.lower.value}}})
	}
	if sl.upper != nil {
		op := parse.Lt
		if sl.upper.inclusive {
			op = parse.Le
		}
		w.filters = append(w.filters, filter{column: col, op: op, choice: choice{values: []expr{sl.upper.value}}})
	}
}

// ordering plans ORDER BY: the table's order, its reverse, or with IN on the
// partition key a sort of everything.
func (c *compiler) ordering(p *selectPlan, s *parse.Select) error {
	if len(s.OrderBy) == 0 {
		return nil
	}
	w := p.where
	if !w.wholeKey() {
		return helenus.Invalid("ORDER BY is only supported when the partition key is restricted by an EQ or an IN.")
	}
	direction, next := 0, 0
	for _, o := range s.OrderBy {
		if o.ANN != nil {
			return helenus.Unsupported("ORDER BY ... ANN OF")
		}
		col, err := c.column(p.table, o.Column)
		if err != nil {
			return err
		}
		if col.Kind != schema.Clustering {
			return helenus.Invalid("Order by is currently only supported on the clustered columns of the PRIMARY KEY, got %s", col.Name)
		}
		// Columns pinned to one value may be left out.
		for next < col.Position && !w.clustering[next].empty() && !w.clustering[next].in {
			next++
		}
		if col.Position != next {
			return helenus.Invalid("Order by currently only supports the ordering of columns following their declared order in the PRIMARY KEY")
		}
		next++
		d := 1
		if o.Descending != col.Reversed {
			d = -1
		}
		if direction != 0 && d != direction {
			return helenus.Invalid("Unsupported order by relation")
		}
		direction = d
		p.sortBy = col.Position + 1
	}
	p.reversed = direction < 0
	if !slices.ContainsFunc(w.key, func(ch choice) bool { return ch.in }) {
		p.sortBy = 0
	}
	return nil
}

// finishSelect derives what to fetch, and the metadata that PREPARE answers.
func (c *compiler) finishSelect(p *selectPlan) {
	for _, f := range p.where.filters {
		p.slot(f.column)
	}
	p.wantStatics = make([]bool, len(p.table.Statics))
	p.wantRegulars = make([]bool, len(p.table.Regulars))
	for _, col := range p.columns {
		switch col.Kind {
		case schema.Static:
			p.wantStatics[col.Position] = true
		case schema.Regular:
			p.wantRegulars[col.Position] = true
		}
	}
	if p.meta == nil {
		specs := make([]ColumnSpec, 0, len(p.outputs))
		for _, col := range p.table.AllColumns() {
			specs = append(specs, specOf(p.table, col))
		}
		p.meta = &ResultMetadata{ID: metadataID(specs), Columns: specs}
	}
	c.result = p.meta
	c.keyIndexes = markersOf(p.where.key)
	p.several = slices.ContainsFunc(p.where.key, func(ch choice) bool { return ch.in })
}

// markersOf gives the markers of a partition key restricted by nothing but
// plain markers; nil otherwise.
func markersOf(key []choice) []int {
	var out []int
	for _, ch := range key {
		if len(ch.values) != 1 || ch.in {
			return nil
		}
		m, ok := ch.values[0].(*markerExpr)
		if !ok {
			return nil
		}
		out = append(out, m.index)
	}
	return out
}
