package query

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"helenus"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// selectRun is a SELECT under way.
type selectRun struct {
	plan    *selectPlan
	command row.Command
	slices  []row.Slice // of the command
	filters []boundFilter
	view    rowView
	live    row.View

	rowsMax      int // the statement's LIMIT less what earlier pages gave
	perPartition int
	pageRows     int // 0: no paging
	resume       pagingState

	// What follows is begun anew by each call of consume.
	rows        int // given to the client in this page
	inPartition int
	aggregates  []aggregateState
	sorted      []sortedRow
	sortedBytes int
	firstRow    [][]byte    // of an aggregation, by slot
	last        pagingState // behind the last row given
	more        bool
	scan        row.Scan
}

// sortedRow is a row kept for ORDER BY over several partitions.
type sortedRow struct {
	order []byte
	cells [][]byte
}

// execute implements statement.
func (p *selectPlan) execute(x *execution) {
	r := &x.sel
	x.mod.reading = false
	if err := r.prepare(x, p); err != nil {
		x.fail(err)
		return
	}
	if r.rowsMax == 0 || (p.where.wholeKey() && len(r.command.Keys) == 0) || len(r.command.Filter.Slices) == 0 {
		x.read.Tombstones = 0
		r.begin(x)
		r.done(x, nil)
		return
	}
	x.read = Read{Command: &r.command, State: x.state, Consistency: x.req.Params.Consistency, Trace: x.req.Trace, Done: x}
	x.engine.opts.Coordinator.Read(&x.read)
}

func (r *selectRun) prepare(x *execution, p *selectPlan) error {
	*r = selectRun{plan: p, view: rowView{plan: p, now: x.nowSeconds, values: r.view.values, parts: r.view.parts, scratch: r.view.scratch},
		slices: r.slices, filters: r.filters[:0], last: pagingState{key: r.last.key, after: r.last.after}}
	r.command = row.Command{Table: p.table, Now: x.nowSeconds}
	var err error
	if r.filters, err = p.bindFilters(x, r.filters); err != nil {
		return err
	}
	if err := r.limits(x); err != nil {
		return err
	}
	f := &r.command.Filter
	f.Reversed, f.Statics, f.Regulars = p.reversed, p.wantStatics, p.wantRegulars
	if r.slices, err = p.where.rowSlices(x, r.slices[:0]); err != nil {
		return err
	}
	f.Slices = r.slices
	if err := r.tokenRange(x); err != nil {
		return err
	}
	if p.where.wholeKey() {
		if err := r.keys(x); err != nil {
			return err
		}
	}
	if err := r.continueFrom(x); err != nil {
		return err
	}
	r.bound()
	return nil
}

// bound says to the replicas how much will be gone through, where that is known.
func (r *selectRun) bound() {
	l := &r.command.Limits
	if r.perPartition < math.MaxInt32 && len(r.filters) == 0 {
		l.PerPartition = r.perPartition
	}
	if len(r.filters) > 0 || r.plan.aggregates != nil || r.plan.sortBy > 0 {
		return
	}
	rows := r.rowsMax
	if r.pageRows > 0 {
		rows = min(rows, r.pageRows+1) // one more tells that there is another page
	}
	if l.PerPartition > 0 && rows < math.MaxInt32 {
		rows += min(r.resume.inPartition, l.PerPartition) // too many of the partition where the page goes on
	}
	if rows < math.MaxInt32 {
		l.Rows = rows
	}
}

// keys sets the partitions by key: those in the range of token relations, if
// there are any.
func (r *selectRun) keys(x *execution) error {
	keys, err := r.plan.where.keys(x)
	if err != nil {
		return err
	}
	if r.plan.where.token != nil {
		p, c := x.engine.opts.Partitioner, &r.command
		keys = slices.DeleteFunc(keys, func(k row.Key) bool { return !c.Start.AfterStart(k, p) || !c.End.BeforeEnd(k, p) })
		c.Start, c.End = row.Bound{}, row.Bound{}
	}
	r.command.Keys = keys
	return nil
}

func (r *selectRun) limits(x *execution) error {
	r.rowsMax, r.perPartition = math.MaxInt, math.MaxInt
	for _, l := range []struct {
		e    expr
		to   *int
		name string
	}{{r.plan.limit, &r.rowsMax, "limit"}, {r.plan.perPartition, &r.perPartition, "per partition limit"}} {
		if l.e == nil {
			continue
		}
		v, err := l.e.eval(x, nil)
		if err != nil {
			return err
		}
		if v.Unset {
			continue
		}
		if len(v.Bytes) != 4 {
			return helenus.Invalid("Invalid null value of %s", l.name)
		}
		n := int(int32(binary.BigEndian.Uint32(v.Bytes)))
		if n <= 0 {
			return helenus.Invalid("LIMIT must be strictly positive")
		}
		*l.to = n
	}
	if r.plan.aggregates != nil {
		r.rowsMax = math.MaxInt // LIMIT is of the one row that comes out
	} else if x.req.Params.PageSize > 0 {
		r.pageRows = x.req.Params.PageSize
	}
	if r.plan.sortBy > 0 && r.pageRows > 0 {
		return helenus.Invalid("Cannot page queries with both ORDER BY and a IN restriction on the partition key; you must either " +
			"remove the ORDER BY or the IN and sort client side, or disable paging for this query")
	}
	if r.plan.distinct {
		r.perPartition = 1
	}
	return nil
}

// tokenRange sets the range of partitions from token relations.
func (r *selectRun) tokenRange(x *execution) error {
	c := &r.command
	c.Start, c.End = row.Bound{Open: true}, row.Bound{Open: true}
	t := r.plan.where.token
	if t == nil {
		return nil
	}
	for _, side := range []struct {
		e  *edge
		to *row.Bound
	}{{t.lower, &c.Start}, {t.upper, &c.End}} {
		if side.e == nil {
			continue
		}
		v, err := side.e.value.eval(x, nil)
		if err != nil {
			return err
		}
		if v.Bytes == nil {
			return helenus.Invalid("Invalid null token value")
		}
		tok, err := x.engine.opts.Partitioner.FromValue(v.Bytes)
		if err != nil {
			return helenus.Invalid("%s", err.Error())
		}
		// An end at the minimum token is no end: (x, MIN] is the tail of the ring.
		if side.to == &c.End && tok == x.engine.opts.Partitioner.Min() {
			continue
		}
		*side.to = row.Bound{Key: row.Key{Prefix: tok.Prefix, Bytes: []byte(tok.Tail)}, Inclusive: side.e.inclusive}
	}
	return nil
}

// continueFrom narrows the command to what lies behind the paging state.
func (r *selectRun) continueFrom(x *execution) error {
	raw := x.req.Params.PagingState
	if len(raw) == 0 {
		return nil
	}
	if err := r.resume.decode(raw); err != nil {
		return err
	}
	s := &r.resume
	r.rowsMax = min(r.rowsMax, s.remaining)
	at := row.Key{Prefix: x.engine.opts.Partitioner.Prefix(s.key), Bytes: s.key}
	c := &r.command
	if c.Keys != nil {
		i := slices.IndexFunc(c.Keys, func(k row.Key) bool { return bytes.Equal(k.Bytes, s.key) })
		if i < 0 {
			return helenus.Invalid("Invalid value for the paging state")
		}
		if s.partitionDone {
			i++
		}
		c.Keys = c.Keys[i:]
	} else {
		c.Start = row.Bound{Key: at, HasKey: true, Inclusive: !s.partitionDone}
	}
	if !s.partitionDone {
		c.After = s.after
	}
	return nil
}

// begin starts, or starts again, to give rows.
func (r *selectRun) begin(x *execution) {
	x.req.Out.Begin(r.plan.meta, x.req.Params.SkipMetadata, x.metadataChanged)
	r.rows, r.inPartition, r.more, r.sorted, r.sortedBytes, r.firstRow = 0, 0, false, nil, 0, nil
	r.aggregates = newAggregates(r.plan.aggregates)
}

// consume goes through the partitions and gives their rows until the page is
// full.
func (r *selectRun) consume(x *execution, ps row.Partitions) error {
	r.begin(x)
	r.scan = row.Scan{TombstonesMax: x.engine.opts.Limits.TombstoneFail}
	r.live.Reset(ps, &r.command, r.plan.staticRow, &r.scan)
	for !r.full() {
		p, err := r.live.Next()
		if err != nil {
			return err
		}
		if p == nil {
			break
		}
		r.inPartition = 0
		if r.command.Continues(p.Key()) {
			r.inPartition = r.resume.inPartition
		}
		if err := r.partition(x, p); err != nil {
			return err
		}
	}
	return nil
}

// full tells whether the page must end; it is asked before each row that could
// follow, so more is true only when there is one.
func (r *selectRun) full() bool { return r.more || r.rows >= r.rowsMax }

func (r *selectRun) partition(x *execution, p row.Partition) error {
	v := &r.view
	v.key, v.static = p.Key(), p.StaticRow()
	for n := 0; ; n++ {
		u, err := p.Next()
		if err != nil {
			return err
		}
		if u == nil {
			if n == 0 && v.static != nil && r.plan.staticRow && !r.command.Continues(v.key) {
				v.row = nil
				return r.offer(x)
			}
			return nil
		}
		if u.Row == nil {
			continue
		}
		if r.inPartition >= r.perPartition {
			return nil
		}
		v.row = u.Row
		if err := r.offer(x); err != nil || r.full() {
			return err
		}
	}
}

// offer takes the row at hand if it passes the filters.
func (r *selectRun) offer(x *execution) error {
	v := &r.view
	v.load()
	for i := range r.filters {
		if !r.filters[i].matches(v) {
			return nil
		}
	}
	if r.pageRows > 0 && (r.rows >= r.pageRows || x.req.Out.SizeBytes() > x.engine.opts.Limits.PageBytesMax) {
		r.more = true
		return nil
	}
	if r.plan.aggregates != nil {
		return r.aggregate(x)
	}
	if r.plan.sortBy > 0 {
		r.inPartition++
		return r.keep(x)
	}
	r.rows++
	r.inPartition++
	if err := r.give(x); err != nil {
		return err
	}
	if r.pageRows > 0 {
		r.remember()
		return nil
	}
	return x.fits(x.req.Out.SizeBytes())
}

// fits bounds what a request without paging may gather.
func (x *execution) fits(sizeBytes int) error {
	if max := x.engine.opts.Limits.UnpagedBytesMax; sizeBytes > max {
		return helenus.Invalid("The answer is larger than %d bytes, the most that is sent at once; set a page size, or ask for less with LIMIT", max)
	}
	return nil
}

func (r *selectRun) give(x *execution) error {
	for _, out := range r.plan.outputs {
		v, err := out.eval(x, &r.view)
		if err != nil {
			return err
		}
		x.req.Out.Cell(v.Bytes)
	}
	x.req.Out.EndRow()
	return nil
}

// remember notes where the page would be continued.
func (r *selectRun) remember() {
	s := &r.last
	s.key = append(s.key[:0], r.view.key.Bytes...)
	s.after = s.after[:0]
	s.inPartition = r.inPartition
	s.partitionDone = r.view.row == nil || len(r.plan.table.Clustering) == 0 || r.inPartition >= r.perPartition
	if r.view.row != nil {
		s.after = append(s.after, r.view.row.Clustering.Order...)
	}
}

// cellOverheadBytes is what a cell costs beside its value: its length in the
// answer, and the slice that holds it until then.
const cellOverheadBytes = 4 + 24

// keep stores a row for sorting.
func (r *selectRun) keep(x *execution) error {
	kept := sortedRow{}
	for _, out := range r.plan.outputs {
		v, err := out.eval(x, &r.view)
		if err != nil {
			return err
		}
		kept.cells = append(kept.cells, bytes.Clone(v.Bytes))
		r.sortedBytes += cellOverheadBytes + len(v.Bytes)
	}
	if t := r.plan.table; r.view.row != nil && r.plan.sortBy > 0 {
		n := r.plan.sortBy
		kept.order = types.AppendClustering(nil, t.ClusteringTypes()[:n], t.ClusteringReversed()[:n], r.view.clustering(t)[:n])
	}
	r.sorted = append(r.sorted, kept)
	return x.fits(r.sortedBytes)
}

// done ends the request after the last partition.
func (r *selectRun) done(x *execution, err error) {
	if err == nil && r.plan.aggregates != nil {
		err = r.giveAggregates(x)
	}
	if err != nil {
		x.fail(err)
		return
	}
	dead := max(r.scan.Tombstones, x.read.Tombstones)
	if n := x.engine.opts.Limits.TombstoneWarn; dead > n {
		x.warn(fmt.Sprintf("Read %d live rows and %d tombstone cells for table %s; token and tombstone counts beyond %d slow reads down",
			r.scan.Rows, dead, r.plan.table.QualifiedName(), n))
	}
	r.giveSorted(x)
	var state []byte
	if r.more {
		r.last.remaining = math.MaxInt32
		if r.rowsMax != math.MaxInt {
			r.last.remaining = r.rowsMax - r.rows
		}
		state = r.last.encode()
	}
	x.req.Out.End(state)
	x.req.Result.Kind = ResultRows
	x.finish()
}

func (r *selectRun) giveSorted(x *execution) {
	if r.plan.sortBy > 0 {
		slices.SortStableFunc(r.sorted, func(a, b sortedRow) int {
			if r.plan.reversed {
				a, b = b, a
			}
			return bytes.Compare(a.order, b.order)
		})
	}
	for i, s := range r.sorted {
		if i >= r.rowsMax {
			break
		}
		for _, c := range s.cells {
			x.req.Out.Cell(c)
		}
		x.req.Out.EndRow()
	}
}
