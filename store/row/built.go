package row

import "bytes"

// builtPartition shows one partition of a sorted Builder as a Partition: rows
// of one clustering merged, range tombstones made disjoint, nothing left that
// its own deletions cover.
type builtPartition struct {
	b            *Builder
	part         *builtPart
	row, rowTo   int // rows of b left
	rng, rangeTo int // ranges of b that have not begun
	static       *Row
	statics      RowMerger

	active []int32 // heap of ranges of b that have begun, the winner first
	open   Deletion

	u      Unfiltered
	marker Marker
}

func (v *builtPartition) reset(part int32) {
	b := v.b
	v.part = &b.parts[part]
	v.row, v.rng = v.rowTo, v.rangeTo
	for v.rowTo < len(b.rows) && b.rows[v.rowTo].part == part {
		v.rowTo++
	}
	for v.rangeTo < len(b.ranges) && b.ranges[v.rangeTo].part == part {
		v.rangeTo++
	}
	v.active, v.open, v.static = v.active[:0], Live(), nil
	if v.row < v.rowTo && b.rows[v.row].static {
		v.static = v.mergeGroup(&v.statics, v.part.deletion)
	}
}

// mergeGroup merges the next rows that have one clustering.
func (v *builtPartition) mergeGroup(m *RowMerger, active Deletion) *Row {
	b := v.b
	from := v.row
	for v.row < v.rowTo && b.rows[v.row].static == b.rows[from].static &&
		bytes.Equal(b.rows[v.row].clustering.Order, b.rows[from].clustering.Order) {
		v.row++
	}
	b.views, b.group = b.views[:0], b.group[:0]
	for _, r := range b.rows[from:v.row] {
		b.views = append(b.views, Row{Static: r.static, Clustering: r.clustering, Liveness: r.liveness, Deletion: r.deletion,
			Cells: b.cells[r.cellFrom:r.cellTo], Complex: b.complex[r.complexFrom:r.complexTo]})
	}
	for i := range b.views {
		b.group = append(b.group, &b.views[i])
	}
	return m.Merge(b.group, active)
}

// Key implements Partition. AppendUpdate has no use for the prefix.
func (v *builtPartition) Key() Key { return Key{Bytes: v.part.key} }

func (v *builtPartition) Deletion() Deletion { return v.part.deletion }

func (v *builtPartition) StaticRow() *Row { return v.static }

func (v *builtPartition) Close() error { return nil }

func (v *builtPartition) Next() (*Unfiltered, error) {
	for {
		bound := v.nextBound()
		if v.row < v.rowTo && (bound == nil || bytes.Compare(v.b.rows[v.row].clustering.Order, bound.clustering.Order) < 0) {
			active := v.part.deletion
			if v.open.Supersedes(active) {
				active = v.open
			}
			if r := v.mergeGroup(&v.b.merge, active); r != nil {
				v.u = Unfiltered{Row: r}
				return &v.u, nil
			}
			continue
		}
		if bound == nil {
			return nil, nil
		}
		if v.cross(bound) {
			v.u = Unfiltered{Marker: &v.marker}
			return &v.u, nil
		}
	}
}

// nextBound is the nearest place where the open deletion may change: the start
// of the next range, or the end of the winning one.
func (v *builtPartition) nextBound() *builtBound {
	var next *builtBound
	if len(v.active) > 0 {
		next = &v.b.ranges[v.active[0]].end
	}
	if v.rng < v.rangeTo {
		if s := &v.b.ranges[v.rng].start; next == nil || bytes.Compare(s.clustering.Order, next.clustering.Order) <= 0 {
			next = s
		}
	}
	return next
}

// cross steps over a bound and tells whether there is a marker there.
func (v *builtPartition) cross(at *builtBound) bool {
	for v.rng < v.rangeTo && bytes.Equal(v.b.ranges[v.rng].start.clustering.Order, at.clustering.Order) {
		v.active = pushHeap(v.active, int32(v.rng), v.wins)
		v.rng++
	}
	for len(v.active) > 0 && bytes.Compare(v.b.ranges[v.active[0]].end.clustering.Order, at.clustering.Order) <= 0 {
		v.active = popHeap(v.active, v.wins)
	}
	now := Live()
	if len(v.active) > 0 {
		if d := v.b.ranges[v.active[0]].deletion; d.Supersedes(v.part.deletion) {
			now = d
		}
	}
	if now == v.open {
		return false
	}
	v.marker = Marker{Bound: at.clustering, Size: at.size, AfterPrefix: at.after, Before: v.open, After: now}
	v.open = now
	return true
}

func (v *builtPartition) wins(a, b int32) bool {
	return v.b.ranges[a].deletion.Supersedes(v.b.ranges[b].deletion)
}
