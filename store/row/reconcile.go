package row

import (
	"bytes"
	"math"
)

// This file says who wins when two versions of one thing meet. Every rule is
// symmetric and total, so that replicas agree whatever the order in which they
// learned of writes; where Cassandra keeps whichever it saw first, we go on
// comparing. None depends on the time: an expired cell wins as if it had not.

// reconcile tells whether b wins over a.
func reconcile(a, b *Cell) bool {
	if (a.Flags|b.Flags)&CounterCell != 0 {
		// A counter's tombstone is final whatever the timestamps, because shards
		// cannot be told from ones written before it.
		if ta, tb := a.Flags&Tombstone, b.Flags&Tombstone; ta != tb {
			return tb != 0
		}
	}
	if a.Timestamp != b.Timestamp {
		return b.Timestamp > a.Timestamp
	}
	if ra, rb := rank(a), rank(b); ra != rb {
		return rb > ra
	}
	if a.LocalTime != b.LocalTime {
		return b.LocalTime > a.LocalTime
	}
	if d := bytes.Compare(a.Value, b.Value); d != 0 {
		return d < 0
	}
	if a.TTL != b.TTL {
		return b.TTL < a.TTL // the later write
	}
	return bytes.Compare(a.Path, b.Path) > 0 // equal in order, not in bytes
}

// rank orders cells of one timestamp: tombstone, expiring, live.
func rank(c *Cell) int {
	switch {
	case c.Flags&Tombstone != 0:
		return 2
	case c.Flags&Expiring != 0:
		return 1
	}
	return 0
}

// supersedes tells whether l wins over m.
func (l Liveness) supersedes(m Liveness) bool {
	if l.Timestamp != m.Timestamp {
		return l.Timestamp > m.Timestamp
	}
	if l.LocalTime != m.LocalTime {
		// Expiring beats what does not; of two that do, the later one.
		if (l.TTL != 0) != (m.TTL != 0) {
			return l.TTL != 0
		}
		return l.LocalTime > m.LocalTime
	}
	return l.TTL < m.TTL
}

// RowMerger merges versions of one row and keeps the buffers for it. The zero
// value is ready; used again it allocates nothing.
type RowMerger struct {
	out    Row
	at     []int // per row: next cell, or next complex deletion
	single [1]*Row
}

// Merge returns what rows of one clustering make together under the deletion
// active around them, that of the partition or of a range, whichever is
// stronger; nil when nothing is left. The result is valid until the next call.
func (m *RowMerger) Merge(rows []*Row, active Deletion) *Row {
	first := rows[0]
	m.out = Row{Static: first.Static, Clustering: first.Clustering, Liveness: NoLiveness(), Deletion: Live(),
		Complex: m.out.Complex[:0], Cells: m.out.Cells[:0]}
	for _, r := range rows {
		if bytes.Compare(r.Clustering.Values, m.out.Clustering.Values) < 0 {
			m.out.Clustering = r.Clustering // equal in order, not in bytes: any, but always the same one
		}
		if r.Liveness.supersedes(m.out.Liveness) {
			m.out.Liveness = r.Liveness
		}
		if r.Deletion.Supersedes(m.out.Deletion) {
			m.out.Deletion = r.Deletion
		}
	}
	if m.out.Deletion.Supersedes(active) {
		active = m.out.Deletion
	} else {
		m.out.Deletion = Live()
	}
	if active.Covers(m.out.Liveness.Timestamp) {
		m.out.Liveness = NoLiveness()
	}
	m.mergeComplex(rows, active)
	m.mergeCells(rows, active)
	if m.out.isEmpty() {
		return nil
	}
	return &m.out
}

// Under returns what a deletion active around a row leaves of it.
func (m *RowMerger) Under(r *Row, active Deletion) *Row {
	m.single[0] = r
	out := m.Merge(m.single[:], active)
	m.single[0] = nil
	return out
}

func (m *RowMerger) start(n int) {
	m.at = m.at[:0]
	for range n {
		m.at = append(m.at, 0)
	}
}

func (m *RowMerger) mergeComplex(rows []*Row, active Deletion) {
	total := 0
	for _, r := range rows {
		total += len(r.Complex)
	}
	if total == 0 {
		return
	}
	m.start(len(rows))
	for {
		column := int32(math.MaxInt32)
		for i, r := range rows {
			if m.at[i] < len(r.Complex) {
				column = min(column, r.Complex[m.at[i]].Column)
			}
		}
		if column == math.MaxInt32 {
			return
		}
		best := active
		for i, r := range rows {
			if m.at[i] < len(r.Complex) && r.Complex[m.at[i]].Column == column {
				if d := r.Complex[m.at[i]].Deletion; d.Supersedes(best) {
					best = d
				}
				m.at[i]++
			}
		}
		if best != active {
			m.out.Complex = append(m.out.Complex, ComplexDeletion{Column: column, Deletion: best})
		}
	}
}

func (m *RowMerger) mergeCells(rows []*Row, active Deletion) {
	if len(rows) == 1 {
		m.filterCells(rows[0].Cells, active)
		return
	}
	m.start(len(rows))
	cx := 0
	for {
		var win *Cell
		for i, r := range rows {
			if m.at[i] == len(r.Cells) {
				continue
			}
			c := &r.Cells[m.at[i]]
			if win == nil {
				win = c
				continue
			}
			if d := compareCells(c, win); d < 0 || (d == 0 && reconcile(win, c)) {
				win = c
			}
		}
		if win == nil {
			return
		}
		for i, r := range rows {
			if m.at[i] < len(r.Cells) && compareCells(&r.Cells[m.at[i]], win) == 0 {
				m.at[i]++
			}
		}
		cx = m.keepCell(win, cx, active)
	}
}

func (m *RowMerger) filterCells(cells []Cell, active Deletion) {
	if active.IsLive() && len(m.out.Complex) == 0 {
		m.out.Cells = append(m.out.Cells, cells...)
		return
	}
	cx := 0
	for i := range cells {
		cx = m.keepCell(&cells[i], cx, active)
	}
}

// keepCell appends c unless a deletion covers it. cx walks along the complex
// deletions, which are sorted as the cells are.
func (m *RowMerger) keepCell(c *Cell, cx int, active Deletion) int {
	for cx < len(m.out.Complex) && m.out.Complex[cx].Column < c.Column {
		cx++
	}
	covered := active.Covers(c.Timestamp)
	if cx < len(m.out.Complex) && m.out.Complex[cx].Column == c.Column {
		covered = covered || m.out.Complex[cx].Deletion.Covers(c.Timestamp)
	}
	if !covered {
		m.out.Cells = append(m.out.Cells, *c)
	}
	return cx
}

// isEmpty tells whether r says nothing at all.
func (r *Row) isEmpty() bool {
	return r.Liveness.IsEmpty() && r.Deletion.IsLive() && len(r.Complex) == 0 && len(r.Cells) == 0
}
