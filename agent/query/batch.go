package query

import (
	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
)

// batchPlan is a planned BEGIN BATCH ... APPLY BATCH. Its statements share the
// values of the whole text.
type batchPlan struct {
	kind      BatchKind
	plans     []*modifyPlan
	timestamp expr
}

func (p *batchPlan) current(state *meta.State) bool {
	for _, m := range p.plans {
		if !m.current(state) {
			return false
		}
	}
	return true
}

func (c *compiler) planBatch(s *parse.Batch) (statement, error) {
	p := &batchPlan{kind: BatchKind(s.Kind)}
	if s.Using.TTL != nil {
		return nil, helenus.Invalid("Global TTL on the BATCH statement is not supported.")
	}
	if s.Using.Timestamp != nil {
		t, err := c.term(s.Using.Timestamp, ColumnSpec{Keyspace: "[batch]", Table: "[batch]", Name: "[timestamp]", Type: types.Native(types.BigInt)})
		if err != nil {
			return nil, err
		}
		p.timestamp = t
	}
	for _, st := range s.Statements {
		planned, err := c.plan(st)
		if err != nil {
			return nil, err
		}
		m := planned.(*modifyPlan)
		if p.timestamp != nil && m.timestamp != nil {
			return nil, helenus.Invalid("Timestamp must be set either on BATCH or individual statements")
		}
		p.plans = append(p.plans, m)
	}
	return p, nil
}

// execute implements statement.
func (p *batchPlan) execute(x *execution) {
	m := &x.mod
	m.begin(p.kind.writeType())
	m.shared = p.timestamp
	for _, plan := range p.plans {
		m.items = append(m.items, modifyItem{plan, x.values})
	}
	x.runBatch(p.kind)
}

func (k BatchKind) writeType() helenus.WriteType {
	return [...]helenus.WriteType{helenus.WriteBatch, helenus.WriteUnloggedBatch, helenus.WriteCounter}[k]
}

// batch runs a BATCH frame.
func (x *execution) batch() error {
	m := &x.mod
	m.begin(x.req.BatchKind.writeType())
	for i := range x.req.Batch {
		item := &x.req.Batch[i]
		plan, err := x.batchItem(item)
		if err != nil {
			return err
		}
		m.items = append(m.items, modifyItem{plan, item.Values})
	}
	x.runBatch(x.req.BatchKind)
	return nil
}

func (x *execution) batchItem(item *BatchItem) (*modifyPlan, error) {
	var s statement
	var specs []ColumnSpec
	if item.ID != nil {
		p := x.engine.prepared.get(item.ID)
		if p != nil && !p.statement.current(x.state) {
			x.engine.prepared.remove(p.ID)
			p = nil
		}
		if p == nil {
			return nil, unprepared(item.ID)
		}
		s, specs = p.statement, p.Params
	} else {
		var err error
		if s, specs, err = x.engine.compile(x.state, x.keyspace(), item.Text); err != nil {
			return nil, err
		}
	}
	plan, ok := s.(*modifyPlan)
	if !ok {
		return nil, helenus.Invalid("Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.")
	}
	if len(item.Values) != len(specs) {
		return nil, helenus.Invalid("There were %d markers(?) in CQL but %d bound variables", len(specs), len(item.Values))
	}
	return plan, nil
}

// runBatch writes all items as one mutation: at each replica they take effect
// together or not at all. Over several nodes a LOGGED batch has no log yet: of one
// whose coordinator dies between two sends a part may stay.
func (x *execution) runBatch(kind BatchKind) {
	m := &x.mod
	if len(m.items) == 0 {
		x.WriteDone(&Write{})
		return
	}
	if kind == BatchCounter {
		x.fail(helenus.Invalid("Cannot include non-counter statement in a counter batch"))
		return
	}
	for i := range m.items {
		if !m.items[i].plan.conditional() {
			continue
		}
		err := error(helenus.Invalid("Cannot provide custom timestamp for conditional BATCH"))
		if m.shared == nil {
			err = x.conditional(true)
		}
		if err != nil {
			x.fail(err)
		}
		return
	}
	m.batch = true
	x.micros() // all statements of the batch share it
	x.readLists()
}
