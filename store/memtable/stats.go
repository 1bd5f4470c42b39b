package memtable

import (
	"math"
	"math/bits"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// Stats describe what was written, including what has been overwritten since.
type Stats struct {
	Partitions int
	Updates    int64
	Rows       int64 // static rows included
	Cells      int64
	Tombstones int64 // dead cells, deletions of all kinds

	// MinTimestamp is MaxInt64 and MaxTimestamp MinInt64 when nothing was written.
	MinTimestamp, MaxTimestamp int64
	// Of tombstones and what expires; MaxInt64 and MinInt64 when there is neither.
	MinLocalDeletionTime, MaxLocalDeletionTime int64
	MinTTL, MaxTTL                             int32 // 0 when nothing expires

	Mapped int64 // bytes charged to the budget
	Used   int64 // of these, bytes handed out
	Wasted int64 // of these, bytes of versions that were replaced

	columns []uint64 // bits by ColumnID
}

func emptyStats() Stats {
	return Stats{MinTimestamp: math.MaxInt64, MaxTimestamp: math.MinInt64,
		MinLocalDeletionTime: math.MaxInt64, MaxLocalDeletionTime: math.MinInt64}
}

// HasColumn tells whether a static or regular column was written or deleted.
func (s *Stats) HasColumn(id schema.ColumnID) bool {
	return int(id)/64 < len(s.columns) && s.columns[id/64]>>(id%64)&1 != 0
}

// Columns is the number of columns for which HasColumn.
func (s *Stats) Columns() int {
	n := 0
	for _, w := range s.columns {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s *Stats) setColumn(id schema.ColumnID) {
	for int(id)/64 >= len(s.columns) {
		s.columns = append(s.columns, 0)
	}
	s.columns[id/64] |= 1 << (id % 64)
}

func (s *Stats) timestamp(ts int64) {
	s.MinTimestamp, s.MaxTimestamp = min(s.MinTimestamp, ts), max(s.MaxTimestamp, ts)
}

func (s *Stats) localTime(t int64) {
	s.MinLocalDeletionTime, s.MaxLocalDeletionTime = min(s.MinLocalDeletionTime, t), max(s.MaxLocalDeletionTime, t)
}

func (s *Stats) ttl(ttl int32) {
	if s.MinTTL == 0 || ttl < s.MinTTL {
		s.MinTTL = ttl
	}
	s.MaxTTL = max(s.MaxTTL, ttl)
}

func (s *Stats) deletion(d row.Deletion) {
	if !d.IsLive() {
		s.Tombstones++
		s.timestamp(d.Timestamp)
		s.localTime(d.LocalTime)
	}
}

func (s *Stats) row(t *schema.Table, r *row.Row) {
	columns := t.Regulars
	if r.Static {
		columns = t.Statics
	}
	s.Rows++
	s.deletion(r.Deletion)
	if l := r.Liveness; !l.IsEmpty() {
		s.timestamp(l.Timestamp)
		if l.TTL != 0 {
			s.localTime(l.LocalTime)
			s.ttl(l.TTL)
		}
	}
	for _, d := range r.Complex {
		s.deletion(d.Deletion)
		s.setColumn(columns[d.Column].ID)
	}
	s.Cells += int64(len(r.Cells))
	for i := range r.Cells {
		c := &r.Cells[i]
		s.timestamp(c.Timestamp)
		s.setColumn(columns[c.Column].ID)
		if c.Flags&(row.Tombstone|row.Expiring) != 0 {
			s.localTime(c.LocalTime)
		}
		if c.Flags&row.Tombstone != 0 {
			s.Tombstones++
		} else if c.Flags&row.Expiring != 0 {
			s.ttl(c.TTL)
		}
	}
}

// add counts o's writes to s's.
func (s *Stats) add(o *Stats) {
	s.Partitions += o.Partitions
	s.Updates += o.Updates
	s.Rows += o.Rows
	s.Cells += o.Cells
	s.Tombstones += o.Tombstones
	s.MinTimestamp, s.MaxTimestamp = min(s.MinTimestamp, o.MinTimestamp), max(s.MaxTimestamp, o.MaxTimestamp)
	s.MinLocalDeletionTime = min(s.MinLocalDeletionTime, o.MinLocalDeletionTime)
	s.MaxLocalDeletionTime = max(s.MaxLocalDeletionTime, o.MaxLocalDeletionTime)
	if o.MaxTTL != 0 {
		s.ttl(o.MinTTL)
		s.ttl(o.MaxTTL)
	}
	s.Mapped += o.Mapped
	s.Used += o.Used
	s.Wasted += o.Wasted
	for i, w := range o.columns {
		if i == len(s.columns) {
			s.columns = append(s.columns, 0)
		}
		s.columns[i] |= w
	}
}

// counted is a partition whose rows are counted as they are read.
type counted struct {
	row.Partition
	t  *schema.Table
	st *Stats
}

func (c *counted) reset(t *schema.Table, p row.Partition, st *Stats) {
	columns := st.columns
	clear(columns)
	*st = emptyStats()
	st.columns = columns
	*c = counted{Partition: p, t: t, st: st}
	st.Updates = 1
	st.deletion(p.Deletion())
	if s := p.StaticRow(); s != nil {
		st.row(t, s)
	}
}

func (c *counted) Next() (*row.Unfiltered, error) {
	u, err := c.Partition.Next()
	switch {
	case u == nil || err != nil:
	case u.Row != nil:
		c.st.row(c.t, u.Row)
	default:
		c.st.deletion(u.Marker.After)
	}
	return u, err
}
