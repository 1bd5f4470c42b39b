package row

import "math"

// Purger drops what deletes nothing any more: tombstones older than the grace
// period that cover nothing elsewhere. Expired cells become tombstones of the
// second in which they were written. Compaction and reads use it.
type Purger struct {
	// Now decides what has expired; tombstones made before GCBefore, which is now
	// less the grace period, may go. Both are seconds.
	Now, GCBefore int64
	// MaxPurgeable is the timestamp below which tombstones of a key may go: the
	// least one in any source for that key outside of those merged here. Asked
	// at most once per partition and only when it counts; nil means no limit.
	MaxPurgeable func(Key) int64

	p         Partition
	asked     bool
	limit     int64
	deletion  Deletion
	static    purgedRow
	staticRow *Row
	rows      purgedRow
	u         Unfiltered
	marker    Marker
}

type purgedRow struct {
	out     Row
	cells   []Cell
	complex []ComplexDeletion
}

// Reset shows p as it is without what may go. The result is valid until the
// next Reset; it may be empty.
func (x *Purger) Reset(p Partition) Partition {
	x.p, x.asked = p, false
	x.deletion = x.purged(p.Deletion())
	if x.staticRow = p.StaticRow(); x.staticRow != nil {
		x.staticRow = x.row(x.staticRow, &x.static)
	}
	return x
}

// may tells whether what was deleted at these times may go.
func (x *Purger) may(timestamp, localTime int64) bool {
	if localTime >= x.GCBefore {
		return false
	}
	if !x.asked {
		x.asked, x.limit = true, math.MaxInt64
		if x.MaxPurgeable != nil {
			x.limit = x.MaxPurgeable(x.p.Key())
		}
	}
	return timestamp < x.limit
}

func (x *Purger) purged(d Deletion) Deletion {
	if !d.IsLive() && x.may(d.Timestamp, d.LocalTime) {
		return Live()
	}
	return d
}

// touches tells whether r holds anything that may change.
func (x *Purger) touches(r *Row) bool {
	if !r.Deletion.IsLive() || len(r.Complex) > 0 || (!r.Liveness.IsEmpty() && !r.Liveness.IsLive(x.Now)) {
		return true
	}
	for i := range r.Cells {
		if !r.Cells[i].IsLive(x.Now) {
			return true
		}
	}
	return false
}

// row returns r without what may go: r itself when nothing may, else made in
// buf; nil when nothing is left.
func (x *Purger) row(r *Row, buf *purgedRow) *Row {
	if !x.touches(r) {
		if r.isEmpty() {
			return nil
		}
		return r
	}
	buf.out = Row{Static: r.Static, Clustering: r.Clustering, Liveness: r.Liveness, Deletion: x.purged(r.Deletion)}
	if l := r.Liveness; !l.IsEmpty() && !l.IsLive(x.Now) && x.may(l.Timestamp, l.LocalTime) {
		buf.out.Liveness = NoLiveness()
	}
	buf.complex, buf.cells = buf.complex[:0], buf.cells[:0]
	for _, d := range r.Complex {
		if d.Deletion = x.purged(d.Deletion); !d.Deletion.IsLive() {
			buf.complex = append(buf.complex, d)
		}
	}
	for i := range r.Cells {
		c := r.Cells[i]
		if !c.IsLive(x.Now) {
			if c.Flags&Expiring != 0 {
				c.Flags = c.Flags&^Expiring | Tombstone
				c.LocalTime -= int64(c.TTL)
				c.TTL, c.Value = 0, nil
			}
			if x.may(c.Timestamp, c.LocalTime) {
				continue
			}
		}
		buf.cells = append(buf.cells, c)
	}
	buf.out.Complex, buf.out.Cells = buf.complex, buf.cells
	if buf.out.isEmpty() {
		return nil
	}
	return &buf.out
}

// Key implements Partition.
func (x *Purger) Key() Key { return x.p.Key() }

// Deletion implements Partition.
func (x *Purger) Deletion() Deletion { return x.deletion }

// StaticRow implements Partition.
func (x *Purger) StaticRow() *Row {
	return x.staticRow
}

// Next implements Partition.
func (x *Purger) Next() (*Unfiltered, error) {
	for {
		u, err := x.p.Next()
		if u == nil || err != nil {
			return nil, err
		}
		if u.Marker != nil {
			x.marker = *u.Marker
			x.marker.Before, x.marker.After = x.purged(u.Marker.Before), x.purged(u.Marker.After)
			if x.marker.Before == x.marker.After {
				continue
			}
			x.u = Unfiltered{Marker: &x.marker}
			return &x.u, nil
		}
		r := x.row(u.Row, &x.rows)
		if r == u.Row {
			return u, nil
		}
		if r != nil {
			x.u = Unfiltered{Row: r}
			return &x.u, nil
		}
	}
}

// Close implements Partition.
func (x *Purger) Close() error { return x.p.Close() }

// PurgePartitions runs every partition of ps through x and leaves out those of
// which nothing remains.
func PurgePartitions(ps Partitions, x *Purger) Partitions { return &purgedPartitions{ps: ps, x: x} }

type purgedPartitions struct {
	ps     Partitions
	x      *Purger
	peeked peekedPartition
}

func (p *purgedPartitions) Next() (Partition, error) {
	for {
		from, err := p.ps.Next()
		if from == nil || err != nil {
			return nil, err
		}
		full, err := p.peeked.reset(p.x.Reset(from))
		if err != nil {
			return nil, err
		}
		if full {
			return &p.peeked, nil
		}
	}
}

func (p *purgedPartitions) Close() error { return p.ps.Close() }

// peekedPartition has looked at the first row to see whether there is any.
type peekedPartition struct {
	Partition
	first *Unfiltered
	ahead bool
}

// reset tells whether p holds anything.
func (p *peekedPartition) reset(from Partition) (bool, error) {
	p.Partition = from
	var err error
	if p.first, err = from.Next(); err != nil {
		return false, err
	}
	p.ahead = true
	return p.first != nil || !from.Deletion().IsLive() || from.StaticRow() != nil, nil
}

func (p *peekedPartition) Next() (*Unfiltered, error) {
	if p.ahead {
		p.ahead = false
		return p.first, nil
	}
	return p.Partition.Next()
}
