package query

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// modifyRun is a write under way: one modification, or those of a batch.
type modifyRun struct {
	items   []modifyItem
	builder row.Builder
	targets []Target
	buf     []byte // the encoded mutation
	kind    helenus.WriteType
	batch   bool
	// shared is the batch's own USING TIMESTAMP, or nil.
	shared expr

	// reading tells that lists are being read for the item at.
	reading bool
	at      int
	command row.Command
	keys    []row.Key   // of the command
	slices  []row.Slice // of the command
	cas     *casPlan
	asked   []row.Slice // the rows that conditions look at
	written []row.Slice // the rows that a conditional write changes unseen
	found   row.Kept    // what the command found
	lists   []currentList

	// Of the statement that is being evaluated:
	plan      *modifyPlan
	now       int64
	timestamp int64
	ttl       int32
	key       row.Key
	order     []byte // of the row
	casting   bool
}

// modifyItem is one statement of a write with the values bound to it.
type modifyItem struct {
	plan   *modifyPlan
	values []Value
}

// currentList is a list as it was read.
type currentList struct {
	item  int
	key   []byte
	order []byte
	col   *schema.Column
	elems []listElement
}

type listElement struct{ path, value []byte }

// execute implements statement.
func (p *modifyPlan) execute(x *execution) {
	m := &x.mod
	m.begin(helenus.WriteSimple)
	m.items = append(m.items, modifyItem{p, x.values})
	if p.conditional() {
		if err := x.conditional(false); err != nil {
			x.fail(err)
		}
		return
	}
	x.readLists()
}

func (m *modifyRun) begin(kind helenus.WriteType) {
	clear(m.items)
	m.items, m.kind, m.shared, m.at, m.reading, m.casting = m.items[:0], kind, nil, 0, false, false
	m.lists, m.batch = m.lists[:0], false
}

// readLists reads the lists that some statement changes by index or value, one
// statement after the other, and then writes.
func (x *execution) readLists() {
	m := &x.mod
	for ; m.at < len(m.items); m.at++ {
		item := &m.items[m.at]
		if len(item.plan.readsColumns) == 0 {
			continue
		}
		x.values = item.values
		if err := m.listCommand(x, item.plan); err != nil {
			x.fail(err)
			return
		}
		m.reading = true
		x.read = Read{Command: &m.command, State: x.state, Consistency: x.req.Params.Consistency, Trace: x.req.Trace, Done: x}
		x.engine.opts.Coordinator.Read(&x.read)
		return
	}
	x.writeModification()
}

func (m *modifyRun) listCommand(x *execution, p *modifyPlan) error {
	keys, err := p.where.keys(x)
	if err != nil {
		return err
	}
	m.keys = append(m.keys[:0], keys...)
	m.slices, err = p.where.rowSlices(x, m.slices[:0])
	m.command = row.Command{Table: p.table, Now: x.nowSeconds, Keys: m.keys, Filter: row.Filter{Slices: m.slices}}
	return err
}

// consume keeps the lists that were read for the statement at hand.
func (m *modifyRun) consume(x *execution, ps row.Partitions) error {
	m.dropLists()
	live := row.Visible(ps, &m.command, true, nil)
	for {
		p, err := live.Next()
		if err != nil || p == nil {
			return err
		}
		m.keepLists(p.Key(), p.StaticRow(), schema.Static)
		for {
			u, err := p.Next()
			if err != nil {
				return err
			}
			if u == nil {
				break
			}
			m.keepLists(p.Key(), u.Row, schema.Regular)
		}
	}
}

// dropLists forgets what an earlier attempt read for the item at.
func (m *modifyRun) dropLists() {
	n := len(m.lists)
	for n > 0 && m.lists[n-1].item == m.at {
		n--
	}
	m.lists = m.lists[:n]
}

func (m *modifyRun) keepLists(key row.Key, r *row.Row, kind schema.ColumnKind) {
	if r == nil {
		return
	}
	for _, col := range m.items[m.at].plan.readsColumns {
		if col.Kind != kind {
			continue
		}
		l := currentList{item: m.at, key: bytes.Clone(key.Bytes), col: col}
		if kind == schema.Regular {
			l.order = bytes.Clone(r.Clustering.Order)
		}
		for _, c := range cells(r, col) {
			l.elems = append(l.elems, listElement{bytes.Clone(c.Path), bytes.Clone(c.Value)})
		}
		m.lists = append(m.lists, l)
	}
}

// current is the list that a column of the row at hand holds.
func (m *modifyRun) current(col *schema.Column) []listElement {
	for _, l := range m.lists {
		if l.item == m.at && l.col == col && bytes.Equal(l.key, m.key.Bytes) &&
			(col.Kind == schema.Static || bytes.Equal(l.order, m.order)) {
			return l.elems
		}
	}
	return nil
}

// writeModification goes on after a read, or writes when all lists are known.
func (x *execution) writeModification() {
	m := &x.mod
	if m.at < len(m.items) && len(m.items[m.at].plan.readsColumns) > 0 {
		m.at++
		x.readLists()
		return
	}
	mutation, err := m.build(x)
	if err == nil && m.batch {
		err = m.warnBatch(x)
	}
	if err != nil {
		x.fail(err)
		return
	}
	if mutation == nil {
		x.WriteDone(&Write{})
		return
	}
	m.targets = m.targets[:0]
	for i := range m.builder.Len() {
		table, key := m.builder.Partition(i)
		m.targets = append(m.targets, Target{Keyspace: table.Keyspace, Key: row.Key{Prefix: x.engine.opts.Partitioner.Prefix(key), Bytes: key}})
	}
	x.write = Write{Mutation: mutation, State: x.state, Targets: m.targets,
		Consistency: x.req.Params.Consistency, Type: m.kind, Trace: x.req.Trace, Done: x}
	x.engine.opts.Coordinator.Write(&x.write)
}

// build evaluates all statements into one mutation.
func (m *modifyRun) build(x *execution) ([]byte, error) {
	m.builder.Reset()
	for m.at = range m.items {
		item := &m.items[m.at]
		x.values = item.values
		if err := m.evaluate(x, item.plan); err != nil {
			return nil, err
		}
	}
	if m.builder.Len() == 0 {
		return nil, nil // IN () names no partition
	}
	m.buf = m.builder.Finish(m.buf[:0])
	if max := x.engine.opts.Limits.MaxMutationBytes; len(m.buf) > max {
		return nil, m.oversized(max)
	}
	return m.buf, nil
}

func (m *modifyRun) evaluate(x *execution, p *modifyPlan) error {
	m.plan, m.now = p, x.nowSeconds
	if err := m.times(x, p); err != nil {
		return err
	}
	keys, err := p.where.keys(x)
	if err != nil {
		return err
	}
	for _, k := range keys {
		m.key = k
		m.builder.Begin(p.table, k.Bytes)
		if err := m.partition(x, p); err != nil {
			return err
		}
	}
	return nil
}

// times evaluates the statement's timestamp and TTL.
func (m *modifyRun) times(x *execution, p *modifyPlan) error {
	if !m.casting {
		m.timestamp = x.micros()
		for _, e := range []expr{m.shared, p.timestamp} {
			if e == nil {
				continue
			}
			v, err := e.eval(x, nil)
			if err != nil {
				return err
			}
			if v.Unset {
				continue
			}
			if len(v.Bytes) != 8 {
				return helenus.Invalid("Invalid null value of timestamp")
			}
			m.timestamp = int64(binary.BigEndian.Uint64(v.Bytes))
			if m.timestamp == row.NoTimestamp {
				return helenus.Invalid("Out of bound timestamp, must be in [%d, %d]", row.NoTimestamp+1, int64(1<<63-1))
			}
		}
	}
	m.ttl = p.table.Options.DefaultTTLSeconds
	if p.ttl == nil {
		return m.expiry(x)
	}
	v, err := p.ttl.eval(x, nil)
	if err != nil || v.Unset {
		return err
	}
	switch ttl := signed(v.Bytes); {
	case v.Bytes == nil:
		m.ttl = 0
	case ttl < 0:
		return helenus.Invalid("A TTL must be greater or equal to 0, but was %d", ttl)
	case ttl > x.engine.opts.Limits.MaxTTLSeconds:
		return helenus.Invalid("ttl is too large. requested (%d) maximum (%d)", ttl, x.engine.opts.Limits.MaxTTLSeconds)
	default:
		m.ttl = int32(ttl)
	}
	return m.expiry(x)
}

// expiry refuses what would expire later than files can say.
func (m *modifyRun) expiry(x *execution) error {
	if max := x.engine.opts.Limits.MaxExpirySeconds; m.ttl > 0 && x.nowSeconds+int64(m.ttl) > max {
		return helenus.Invalid("Request on table %s with ttl of %d seconds exceeds maximum supported expiration date of second %d",
			m.plan.table.QualifiedName(), m.ttl, max)
	}
	return nil
}

// partition applies the statement to the partition begun.
func (m *modifyRun) partition(x *execution, p *modifyPlan) error {
	if len(p.sops) > 0 {
		m.builder.BeginStatic()
		m.order = nil
		for _, op := range p.sops {
			if err := op.apply(x, m); err != nil {
				return err
			}
		}
		m.builder.EndRow()
	}
	if p.removesRows {
		return m.remove(x, p)
	}
	if len(p.ops) == 0 && !p.makesRow {
		return nil
	}
	rows, err := p.where.combinations(x, p.where.prefix)
	if err != nil {
		return err
	}
	for _, components := range rows {
		if err := m.row(x, p, components); err != nil {
			return err
		}
	}
	return nil
}

func (m *modifyRun) row(x *execution, p *modifyPlan, components [][]byte) error {
	n := 0
	for _, c := range components {
		n += len(c)
	}
	if max := x.engine.opts.Limits.KeyBytesMax; n > max {
		return helenus.Invalid("The sum of all clustering columns is too long (%d > %d)", n, max)
	}
	m.builder.BeginRow(components...)
	if len(p.readsColumns) > 0 {
		_, c := row.AppendClustering(nil, p.table, components)
		m.order = c.Order
	}
	if p.makesRow {
		l := row.Liveness{Timestamp: m.timestamp, LocalTime: row.NoDeletionTime}
		if m.ttl > 0 {
			l.TTL, l.LocalTime = m.ttl, m.now+int64(m.ttl)
		}
		m.builder.Liveness(l)
	}
	for _, op := range p.ops {
		if err := op.apply(x, m); err != nil {
			return err
		}
	}
	m.builder.EndRow()
	return nil
}

// remove deletes whole partitions, rows or ranges of rows.
func (m *modifyRun) remove(x *execution, p *modifyPlan) error {
	w := p.where
	d := row.Deletion{Timestamp: m.timestamp, LocalTime: m.now}
	if m.casting {
		d.Timestamp--
	}
	switch {
	case !w.restrictsRows():
		m.builder.DeletePartition(d)
		return nil
	case w.prefix == len(w.clustering):
		rows, err := w.combinations(x, w.prefix)
		if err != nil {
			return err
		}
		for _, components := range rows {
			m.builder.BeginRow(components...)
			m.builder.DeleteRow(d)
			m.builder.EndRow()
		}
		return nil
	}
	spans, err := w.spans(x)
	for _, s := range spans {
		m.builder.DeleteRange(s.start.components, !s.start.after, s.end.components, s.end.after, d)
	}
	return err
}

// warnBatch gives Cassandra's warnings and refusal of large batches. A batch of
// one partition is one mutation and may be large.
func (m *modifyRun) warnBatch(x *execution) error {
	partitions := m.builder.Len()
	if partitions < 2 {
		return nil
	}
	l := &x.engine.opts.Limits
	size := len(m.buf)
	if size > l.BatchFailBytes {
		return helenus.Invalid("Batch too large")
	}
	var tables []string
	for i := range m.items {
		if name := m.items[i].plan.table.QualifiedName(); !slices.Contains(tables, name) {
			tables = append(tables, name)
		}
	}
	names := "[" + strings.Join(tables, ", ") + "]"
	if size > l.BatchWarnBytes {
		x.warn(fmt.Sprintf("Batch for %s is of size %d, exceeding specified threshold of %d by %d.", names, size, l.BatchWarnBytes, size-l.BatchWarnBytes))
	}
	if m.kind == helenus.WriteUnloggedBatch && partitions > l.UnloggedBatchWarn {
		plural := ""
		if len(tables) > 1 {
			plural = "s"
		}
		x.warn(fmt.Sprintf("Unlogged batch covering %d partitions detected against table%s %s. You should use a logged batch for atomicity, "+
			"or asynchronous writes for performance.", partitions, plural, names))
	}
	return nil
}
