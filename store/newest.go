package store

import (
	"math"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// A read of one row need not look into files that are older than all of it: once
// a row has been found that says everything that is asked, and says it later
// than the latest timestamp of a file, nothing in that file can matter. (As
// Cassandra reads by names, in the order of timestamps.)

// found is a partition of one source, of which the first row has been looked at.
type found struct {
	row.Partition
	first *row.Unfiltered
	held  bool
}

// Next implements row.Partition.
func (f *found) Next() (*row.Unfiltered, error) {
	if f.held {
		f.held = false
		return f.first, nil
	}
	return f.Partition.Next()
}

// settled gives the timestamp up to which other sources have nothing to add to
// what p has of the one row that is asked for; math.MinInt64 if they may. It
// gives p back to be read in its place.
func (r *reading) settled(p row.Partition) (row.Partition, int64, error) {
	u, err := p.Next()
	if err != nil {
		return p, 0, err
	}
	if n := len(r.founds); n < cap(r.founds) { // what is in use must not move
		r.founds = r.founds[:n+1]
	} else {
		r.founds = make([]found, 1, 2*cap(r.founds)+2)
	}
	f := &r.founds[len(r.founds)-1]
	*f = found{p, u, true}
	if u == nil || u.Row == nil {
		return f, math.MinInt64, nil
	}
	return f, r.sayingAll(u.Row), nil
}

// sayingAll gives the least timestamp of a row that lives by its own marker and
// has all columns that are asked for.
func (r *reading) sayingAll(u *row.Row) int64 {
	if len(r.c.Table.Clustering) > 0 && !only(r.filter.Slices, u.Clustering.Order) {
		return math.MinInt64
	}
	if !u.Liveness.IsLive(r.c.Now) {
		return math.MinInt64
	}
	least, have := u.Liveness.Timestamp, 0
	for i := range u.Cells {
		c := &u.Cells[i]
		if !asked(r.filter.Regulars, int(c.Column)) {
			continue
		}
		if c.Flags&row.CounterCell != 0 {
			return math.MinInt64
		}
		have++
		least = min(least, c.Timestamp)
	}
	if have < r.wants {
		return math.MinInt64
	}
	return least
}

func asked(mask []bool, column int) bool { return mask == nil || mask[column] }

// only tells whether the slices name just the row of this order: an order is
// that of its clustering and one byte, which in bounds says before or after.
func only(slices []row.Slice, order []byte) bool {
	if len(slices) != 1 {
		return false
	}
	n := len(order) - 1
	s := &slices[0]
	return len(s.Start) == n+1 && len(s.End) == n+1 && string(s.Start[:n]) == string(order[:n]) && string(s.End[:n]) == string(order[:n])
}

// plan notes whether single rows of a read may be settled by one source: no
// statics and no collections are asked for.
func (r *reading) plan(t *schema.Table) {
	r.plain, r.wants = true, 0
	for i := range t.Statics {
		if asked(r.c.Filter.Statics, i) {
			r.plain = false
		}
	}
	for i, col := range t.Regulars {
		if asked(r.c.Filter.Regulars, i) {
			r.wants++
			r.plain = r.plain && !col.IsComplex()
		}
	}
}
