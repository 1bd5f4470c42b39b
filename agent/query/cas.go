package query

import (
	"bytes"
	"slices"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// casPlan is what one conditional statement, or the statements of a batch of
// which some are, look at and answer.
type casPlan struct {
	view *selectPlan
	// shown are the slots of the columns that follow [applied] when a condition
	// does not hold.
	shown []int
	// hidden are the slots that Cassandra does not read and so shows as null.
	hidden []bool
	// statics are the static columns that are read.
	statics []*schema.Column
	applied *ResultMetadata
	refused *ResultMetadata
}

// conditionsOnRows tells whether some condition is on a column of a row.
func (p *modifyPlan) conditionsOnRows() bool {
	return slices.ContainsFunc(p.conditions, func(c condition) bool { return c.column.Kind == schema.Regular })
}

// namesRow tells whether the statement is about a row, not about the static row
// alone.
func (p *modifyPlan) namesRow() bool {
	return p.makesRow || p.removesRows || len(p.ops) > 0 || p.conditionsOnRows()
}

// finishConditional checks a conditional statement and plans what it reads.
func (c *compiler) finishConditional(p *modifyPlan) error {
	if p.timestamp != nil {
		return helenus.Invalid("Cannot provide custom timestamp for conditional updates")
	}
	plural := map[verb]string{verbUpdate: "updates", verbDelete: "deletions", verbInsert: "inserts"}[p.verb]
	if slices.ContainsFunc(p.where.key, func(ch choice) bool { return ch.in }) {
		return helenus.Invalid("IN on the partition key is not supported with conditional %s", plural)
	}
	if slices.ContainsFunc(p.where.clustering, func(ch choice) bool { return ch.in }) ||
		slices.ContainsFunc(p.where.runs, func(r *tupleRelation) bool { return r != nil }) {
		return helenus.Invalid("IN on the clustering key columns is not supported with conditional %s", plural)
	}
	if p.removesRows && p.where.prefix < len(p.where.clustering) {
		return helenus.Invalid("DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to delete non static columns")
	}
	p.cas = newCASPlan([]*modifyPlan{p}, false)
	return nil
}

func newCASPlan(plans []*modifyPlan, batch bool) *casPlan {
	t := plans[0].table
	p := &casPlan{view: &selectPlan{table: t, where: &where{table: t}}}
	show := func(col *schema.Column) {
		if slot := p.view.slot(col); !slices.Contains(p.shown, slot) {
			p.shown = append(p.shown, slot)
		}
	}
	all, rows, statics := false, false, false
	var looked []*schema.Column
	for _, m := range plans {
		all = all || m.ifExists || m.ifNotExists
		rows = rows || m.makesRow || m.removesRows || len(m.ops) > 0
		statics = statics || len(m.sops) > 0
		for _, kind := range []schema.ColumnKind{schema.Regular, schema.Static} {
			for i := range m.conditions {
				if col := m.conditions[i].column; col.Kind == kind {
					looked = append(looked, col)
				}
			}
		}
	}
	switch {
	case all:
		for _, col := range t.AllColumns() {
			show(col)
		}
	case batch:
		for _, col := range slices.Concat(t.PartitionKey, t.Clustering) {
			show(col)
		}
		fallthrough
	default:
		for _, col := range looked {
			show(col)
		}
	}
	for _, col := range t.Statics {
		if statics || slices.Contains(looked, col) {
			p.statics = append(p.statics, col)
		}
	}
	p.applied = appliedMetadata(t, nil)
	var columns []*schema.Column
	for _, slot := range p.shown {
		col := p.view.columns[slot]
		columns = append(columns, col)
		unread := (col.Kind == schema.Regular && !rows) || (col.Kind == schema.Static && !statics)
		p.hidden = append(p.hidden, unread && !slices.Contains(looked, col))
	}
	p.refused = appliedMetadata(t, columns)
	return p
}

func appliedMetadata(t *schema.Table, columns []*schema.Column) *ResultMetadata {
	specs := []ColumnSpec{{Keyspace: t.Keyspace, Table: t.Name, Name: "[applied]", Type: types.Native(types.Boolean)}}
	for _, col := range columns {
		specs = append(specs, specOf(t, col))
	}
	return &ResultMetadata{ID: metadataID(specs), Columns: specs}
}

// conditional starts the compare-and-set of a conditional statement or batch.
func (x *execution) conditional(batch bool) error {
	m := &x.mod
	m.cas = m.items[0].plan.cas
	if batch {
		var plans []*modifyPlan
		for i := range m.items {
			plans = append(plans, m.items[i].plan)
		}
		m.cas = newCASPlan(plans, true)
	}
	if err := m.casCommand(x); err != nil {
		return err
	}
	p := &x.req.Params
	x.cas = CAS{Command: &m.command, Written: m.writtenCommand(x), State: x.state, Serial: p.SerialConsistency, Consistency: p.Consistency, Trace: x.req.Trace, Done: x}
	x.engine.opts.Coordinator.CAS(&x.cas)
	return nil
}

// casCommand reads the rows that conditions look at, and those whose lists are
// changed. If conditions look at statics only, it reads the first row: that
// tells a partition without statics from none. What is written but not read it
// leaves in m.written.
func (m *modifyRun) casCommand(x *execution) error {
	t := m.items[0].plan.table
	m.keys, m.slices, m.asked, m.written = m.keys[:0], m.slices[:0], m.asked[:0], m.written[:0]
	for i := range m.items {
		item := &m.items[i]
		p := item.plan
		x.values = item.values
		keys, err := p.where.keys(x)
		switch {
		case err != nil:
			return err
		case p.table != t:
			return helenus.Invalid("Batch with conditions cannot span multiple tables")
		case len(keys) != 1 || (i > 0 && !bytes.Equal(keys[0].Bytes, m.keys[0].Bytes)):
			return helenus.Invalid("Batch with conditions cannot span multiple partitions")
		case i == 0:
			m.keys = append(m.keys, keys[0])
		}
		looks := p.namesRow() && (p.ifExists || p.ifNotExists || p.conditionsOnRows())
		if !looks && len(p.readsColumns) == 0 {
			if len(p.ops) == 0 && !p.makesRow && !p.removesRows {
				continue
			}
			if m.written, err = p.where.rowSlices(x, m.written); err != nil {
				return err
			}
			continue
		}
		from := len(m.slices)
		if m.slices, err = p.where.rowSlices(x, m.slices); err != nil {
			return err
		}
		if looks {
			m.asked = append(m.asked, m.slices[from:]...)
		}
	}
	m.command = row.Command{Table: t, Now: x.nowSeconds, Keys: m.keys}
	if len(m.asked) == 0 && len(m.slices) == 0 {
		m.slices = append(m.slices, row.Slice{})
		m.command.Limits.Rows = 1
	}
	m.command.Filter.Slices = sortedSlices(m.slices)
	return nil
}

// writtenCommand reads the rows that a conditional batch writes unseen.
func (m *modifyRun) writtenCommand(x *execution) *row.Command {
	if len(m.written) == 0 {
		return nil
	}
	c := &row.Command{Table: m.command.Table, Now: x.nowSeconds, Keys: m.keys}
	c.Filter.Slices = unitedSlices(m.written)
	return c
}

// unitedSlices puts slices in order, those that touch made one.
func unitedSlices(in []row.Slice) []row.Slice {
	slices.SortFunc(in, func(a, b row.Slice) int { return bytes.Compare(a.Start, b.Start) })
	out := in[:0]
	for _, s := range in {
		if n := len(out); n > 0 && (out[n-1].End == nil || bytes.Compare(s.Start, out[n-1].End) <= 0) {
			if s.End == nil || (out[n-1].End != nil && bytes.Compare(s.End, out[n-1].End) > 0) {
				out[n-1].End, out[n-1].EndValues, out[n-1].EndSize = s.End, s.EndValues, s.EndSize
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// sortedSlices puts slices, of which any two are equal or disjoint, in order.
func sortedSlices(in []row.Slice) []row.Slice {
	slices.SortFunc(in, func(a, b row.Slice) int { return bytes.Compare(a.Start, b.Start) })
	return slices.CompactFunc(in, func(a, b row.Slice) bool { return bytes.Equal(a.Start, b.Start) })
}

// Decide implements CASOwner.
func (x *execution) Decide(ps row.Partitions) (bool, error) {
	m := &x.mod
	m.found = row.Kept{PartitionKey: m.keys[0]}
	p, err := row.Visible(ps, &m.command, true, nil).Next()
	if err != nil {
		return false, err
	}
	if p != nil {
		kept, err := row.Keep(p)
		if err != nil {
			return false, err
		}
		m.found = *kept
	}
	view := &x.sel.view
	*view = rowView{plan: m.cas.view, now: x.nowSeconds, key: m.found.PartitionKey, static: m.found.Static}
	applied := true
	m.lists = m.lists[:0]
	for m.at = 0; m.at < len(m.items) && applied; m.at++ {
		x.values = m.items[m.at].values
		if applied, err = x.holds(m.items[m.at].plan, view); err != nil {
			return false, err
		}
	}
	x.answerConditional(view, applied)
	return applied, nil
}

// Mutation implements CASOwner.
func (x *execution) Mutation(ballotMicros int64) ([]byte, error) {
	m := &x.mod
	for m.at = range m.items {
		m.keepLists(m.keys[0], m.found.Static, schema.Static)
		for _, u := range m.found.Rows {
			m.keepLists(m.keys[0], u.Row, schema.Regular)
		}
	}
	m.casting, m.timestamp = true, ballotMicros
	return m.build(x)
}

// holds evaluates the conditions of a statement; without any they hold.
func (x *execution) holds(p *modifyPlan, view *rowView) (bool, error) {
	view.row = nil
	exists := view.static != nil
	if p.namesRow() && p.conditional() {
		rows, err := p.where.combinations(x, p.where.prefix)
		if err != nil {
			return false, err
		}
		if len(rows[0]) == len(p.table.Clustering) {
			_, c := row.AppendClustering(nil, p.table, rows[0])
			view.row = x.mod.foundRow(c.Order)
		}
		exists = view.row != nil
	}
	switch {
	case p.ifNotExists:
		return !exists, nil
	case p.ifExists:
		return exists, nil
	}
	view.load()
	for i := range p.conditions {
		if ok, err := p.conditions[i].holds(x, view); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// foundRow finds a row among those that were read.
func (m *modifyRun) foundRow(order []byte) *row.Row {
	for _, u := range m.found.Rows {
		if bytes.Equal(u.Row.Clustering.Order, order) {
			return u.Row
		}
	}
	return nil
}

// answerConditional writes [applied], and when it is false what is there.
func (x *execution) answerConditional(view *rowView, applied bool) {
	m, out := &x.mod, x.req.Out
	var rows []*row.Row
	if !applied && len(m.cas.shown) > 0 {
		for _, u := range m.found.Rows {
			isAsked := func(s row.Slice) bool { return s.Contains(u.Row.Clustering.Order) }
			if len(m.asked) == 0 || slices.ContainsFunc(m.asked, isAsked) {
				rows = append(rows, u.Row)
			}
		}
		hasStatic := func(col *schema.Column) bool { return len(cells(m.found.Static, col)) > 0 }
		if len(rows) == 0 && slices.ContainsFunc(m.cas.statics, hasStatic) {
			rows = append(rows, nil)
		}
	}
	if len(rows) == 0 {
		out.Begin(m.cas.applied, false, false)
		out.Cell([]byte{byte(boolIndex(applied))})
		out.EndRow()
		out.End(nil)
		return
	}
	out.Begin(m.cas.refused, false, false)
	for _, r := range rows {
		out.Cell([]byte{0})
		view.row = r
		view.load()
		for i, slot := range m.cas.shown {
			if m.cas.hidden[i] {
				out.Cell(nil)
			} else {
				out.Cell(view.values[slot])
			}
		}
		out.EndRow()
	}
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
