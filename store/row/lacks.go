package row

import (
	"helenus/internal/assert"
	"helenus/internal/cql/schema"
)

// Lacks collects what each source of a merge does not have of its result: what
// a coordinator writes to replicas that missed something (read repair). Only
// what was gone through counts; of columns that nobody asked for nothing is
// known, so nothing is said.
type Lacks struct {
	table    *schema.Table
	filter   *Filter
	sources  []lacking
	arena    Arena
	versions []*Row
	values   [][]byte

	key     Key
	claims  int    // sources with something open that they do not have
	last    Marker // behind the row or at the marker that was come to last; Size NoSize: none yet
	lastBuf []byte // what it aliases
}

// lacking is what one source does not have.
type lacking struct {
	b    Builder
	some bool
	size int

	begun bool     // b has the partition at hand
	inRow bool     // and the row
	need  Deletion // open in the result and not here
	start Marker   // where it began, in the direction of the read
	known bool     // start is
}

// Reset begins to collect for n sources of a read of t.
func (l *Lacks) Reset(t *schema.Table, f *Filter, n int) {
	l.table, l.filter, l.claims = t, f, 0
	l.arena.Reset()
	for len(l.sources) < n {
		l.sources = append(l.sources, lacking{})
	}
	l.sources = l.sources[:n]
	l.versions = append(l.versions[:0], make([]*Row, n)...)
	for i := range l.sources {
		l.sources[i].b.Reset()
		l.sources[i].some, l.sources[i].size = false, 0
	}
}

// SizeBytes is about how much the source lacks that lacks the most.
func (l *Lacks) SizeBytes() (n int) {
	for i := range l.sources {
		n = max(n, l.sources[i].size)
	}
	return n
}

// Take appends the mutation that gives source i what it lacks so far, and begins
// anew with it; some is false when that is nothing.
func (l *Lacks) Take(dst []byte, i int) (mutation []byte, some bool) {
	s := &l.sources[i]
	if !s.some {
		return dst, false
	}
	dst = s.b.Finish(dst)
	s.b.Reset()
	s.some, s.begun, s.size = false, false, 0
	return dst, true
}

// Renew lets go of the memory of what was taken.
func (l *Lacks) Renew() {
	l.arena = Arena{}
	l.key.Bytes = l.arena.Bytes(l.key.Bytes)
}

// partition begins a partition of the merge.
func (l *Lacks) partition(m *Merger) {
	l.key = Key{Prefix: m.key.Prefix, Bytes: l.arena.Bytes(m.key.Bytes)}
	l.claims, l.last.Size = 0, NoSize
	for i := range l.sources {
		s := &l.sources[i]
		s.begun, s.need, s.known = false, Live(), false
		if !m.deletion.IsLive() && m.from[i].Deletion() != m.deletion {
			l.begin(s)
			s.b.DeletePartition(m.deletion)
		}
		if m.hasStatic {
			l.diff(s, &m.static.out, m.from[i].StaticRow())
		}
	}
}

func (l *Lacks) begin(s *lacking) {
	if s.begun {
		return
	}
	s.begun, s.some = true, true
	s.b.Begin(l.table, l.key.Bytes)
	s.size += len(l.key.Bytes) + 32
}

// row compares the versions of a row with what they make together: merged, or
// nil when deletions leave nothing of it. at is any of the versions.
func (l *Lacks) row(m *Merger, at, merged *Row) {
	if l.claims > 0 {
		l.remember(at.Clustering.Values, len(l.table.Clustering), !m.reversed)
		l.settleStarts(at.Clustering.Values, m.reversed)
	}
	if merged == nil {
		return
	}
	clear(l.versions)
	for _, i := range m.due {
		l.versions[i] = m.inputs[i].u.Row
	}
	for i := range l.sources {
		l.diff(&l.sources[i], merged, l.versions[i])
	}
}

// remember notes a place that can be named in a mutation.
func (l *Lacks) remember(values []byte, size int, after bool) {
	l.lastBuf = append(l.lastBuf[:0], values...)
	l.last = Marker{Bound: Clustering{Values: l.lastBuf}, Size: size, AfterPrefix: after}
}

// settleStarts lets what began at a place without a name begin at a row.
func (l *Lacks) settleStarts(values []byte, after bool) {
	for i := range l.sources {
		if s := &l.sources[i]; !s.need.IsLive() && !s.known {
			s.start = Marker{Bound: Clustering{Values: l.arena.Bytes(values)}, Size: len(l.table.Clustering), AfterPrefix: after}
			s.known = true
		}
	}
}

// cross comes to a place where deletions of sources change; now is open behind
// it in the result.
func (l *Lacks) cross(m *Merger, at *Marker, now Deletion) {
	for i := range l.sources {
		s := &l.sources[i]
		need := now
		if m.inputs[i].open == now {
			need = Live()
		}
		if need == s.need {
			continue
		}
		l.close(s, m.reversed, at)
		if s.need = need; !need.IsLive() {
			l.claims++
			if s.known = at.Size != NoSize; s.known {
				s.start = Marker{Bound: Clustering{Values: l.arena.Bytes(at.Bound.Values)}, Size: at.Size, AfterPrefix: at.AfterPrefix}
			}
		}
	}
	if l.claims > 0 && at.Size != NoSize {
		l.remember(at.Bound.Values, at.Size, at.AfterPrefix)
	}
}

// close ends what is open and not had, at a place or, if that has no name, at
// the last one that has.
func (l *Lacks) close(s *lacking, reversed bool, at *Marker) {
	if s.need.IsLive() {
		return
	}
	d := s.need
	l.claims--
	s.need = Live()
	if at == nil || at.Size == NoSize {
		at = &l.last
	}
	if !s.known || at.Size == NoSize {
		return
	}
	from, to := &s.start, at
	if reversed {
		from, to = to, from
	}
	if from.Size == 0 && from.AfterPrefix || to.Size == 0 && !to.AfterPrefix {
		return // nothing lies behind the end or before the begin
	}
	l.begin(s)
	start, end := l.components(from), l.components(to)
	s.b.DeleteRange(start, !from.AfterPrefix, end, to.AfterPrefix, d)
	s.size += len(from.Bound.Values) + len(to.Bound.Values) + 32
}

// components clones the values of a bound.
func (l *Lacks) components(m *Marker) [][]byte {
	vs := ReadValues(l.table.ClusteringTypes(), m.Size, l.arena.Bytes(m.Bound.Values))
	out, err := vs.All(make([][]byte, 0, m.Size))
	assert.That(err == nil, "row: %v", err)
	return out
}

// end ends the partition where its reader stopped.
func (l *Lacks) end(m *Merger) {
	for i := range l.sources {
		l.close(&l.sources[i], m.reversed, nil)
	}
}

// diff says what version, which may be nil, does not have of merged.
func (l *Lacks) diff(s *lacking, merged, version *Row) {
	if version == merged {
		return
	}
	s.inRow = false
	if version == nil {
		version = &Row{Liveness: NoLiveness(), Deletion: Live()}
	}
	mask, columns := l.filter.Regulars, l.table.Regulars
	if merged.Static {
		mask, columns = l.filter.Statics, l.table.Statics
	}
	if !merged.Liveness.IsEmpty() && merged.Liveness != version.Liveness {
		l.beginRow(s, merged)
		s.b.Liveness(merged.Liveness)
	}
	if !merged.Deletion.IsLive() && merged.Deletion != version.Deletion {
		l.beginRow(s, merged)
		s.b.DeleteRow(merged.Deletion)
	}
	at := 0
	for _, d := range merged.Complex {
		for at < len(version.Complex) && version.Complex[at].Column < d.Column {
			at++
		}
		if !wanted(mask, int(d.Column)) || at < len(version.Complex) && version.Complex[at] == d {
			continue
		}
		l.beginRow(s, merged)
		s.b.DeleteComplex(columns[d.Column], d.Deletion)
	}
	at = 0
	for i := range merged.Cells {
		c := &merged.Cells[i]
		for at < len(version.Cells) && compareCells(&version.Cells[at], c) < 0 {
			at++
		}
		if !wanted(mask, int(c.Column)) || at < len(version.Cells) && version.Cells[at].Equal(c) {
			continue
		}
		l.beginRow(s, merged)
		cell := *c
		cell.Path, cell.Value = l.arena.Bytes(c.Path), l.arena.Bytes(c.Value)
		s.b.Cell(columns[c.Column], cell)
		s.size += len(c.Path) + len(c.Value) + 16
	}
	if s.inRow {
		s.b.EndRow()
	}
}

func (l *Lacks) beginRow(s *lacking, r *Row) {
	if s.inRow {
		return
	}
	l.begin(s)
	s.inRow = true
	if r.Static {
		s.b.BeginStatic()
		return
	}
	vs := ReadValues(l.table.ClusteringTypes(), len(l.table.Clustering), l.arena.Bytes(r.Clustering.Values))
	var err error
	l.values, err = vs.All(l.values[:0])
	assert.That(err == nil, "row: %v", err)
	s.b.BeginRow(l.values...)
	s.size += len(r.Clustering.Values) + 16
}
