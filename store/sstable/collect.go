package sstable

import (
	"bytes"
	"math"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// collector gathers Meta from what is written.
type collector struct {
	meta      Meta
	drop      dropTimesBuilder
	keys      sketch
	cells     int64 // of the current partition
	sizes     int   // the buckets of the last partition
	counts    int
	first     bool
	unbounded bool   // a partition deletion reaches beyond all rows
	minOrder  []byte // of the least and greatest clusterings
	maxOrder  []byte
	minSize   int
	maxSize   int
}

func newCollector() *collector {
	c := &collector{first: true}
	c.meta.PartitionSizes, c.meta.PartitionCells = newHistogram(sizeOffsets), newHistogram(cellOffsets)
	c.meta.MinTimestamp, c.meta.MaxTimestamp = math.MinInt64, math.MaxInt64 // what Cassandra says of nothing
	c.meta.MinLocalTime, c.meta.MaxLocalTime = row.NoDeletionTime, row.NoDeletionTime
	c.meta.CompressionRatio = -1
	return c
}

// see notes one timestamp with its time to live and local time.
func (c *collector) see(ts int64, ttl int32, local int64) {
	m := &c.meta
	if c.first {
		c.first = false
		m.MinTimestamp, m.MaxTimestamp, m.MinLocalTime, m.MaxLocalTime = ts, ts, local, local
		m.MinTTL, m.MaxTTL = ttl, ttl
	} else {
		m.MinTimestamp, m.MaxTimestamp = min(m.MinTimestamp, ts), max(m.MaxTimestamp, ts)
		m.MinLocalTime, m.MaxLocalTime = min(m.MinLocalTime, local), max(m.MaxLocalTime, local)
		m.MinTTL, m.MaxTTL = min(m.MinTTL, ttl), max(m.MaxTTL, ttl)
	}
	if local != row.NoDeletionTime {
		c.drop.add(local)
	}
}

func (c *collector) deletion(d row.Deletion) {
	if !d.IsLive() {
		c.see(d.Timestamp, 0, d.LocalTime)
	}
}

func (c *collector) startPartition(key []byte, d row.Deletion) {
	c.cells = 0
	c.keys.add(key)
	c.deletion(d)
	if !d.IsLive() {
		c.unbounded, c.meta.HasPartitionDeletions = true, true
	}
}

func (c *collector) endPartition(size int64) {
	c.sizes = c.meta.PartitionSizes.add(size, c.sizes)
	c.counts = c.meta.PartitionCells.add(c.cells, c.counts)
}

func (c *collector) row(r *row.Row) {
	if !r.Liveness.IsEmpty() {
		c.see(r.Liveness.Timestamp, r.Liveness.TTL, r.Liveness.LocalTime)
	}
	c.deletion(r.Deletion)
	for i := range r.Complex {
		c.deletion(r.Complex[i].Deletion)
	}
	plain := !r.Liveness.IsEmpty() && r.Liveness.LocalTime == row.NoDeletionTime
	last := int32(-1)
	for i := range r.Cells {
		cell := &r.Cells[i]
		if !plain || cell.LocalTime != row.NoDeletionTime || cell.Timestamp != r.Liveness.Timestamp {
			c.see(cell.Timestamp, cell.TTL, cell.LocalTime)
		} // else it says what the row has said
		if cell.Column != last {
			last = cell.Column
			c.meta.Columns++
		}
	}
	c.cells += int64(len(r.Cells))
	c.meta.Rows++
	if !r.Static {
		c.cover(&r.Clustering, -1)
	}
}

// cover widens the span of clusterings; size is that of a bound, negative for a
// row.
func (c *collector) cover(at *row.Clustering, size int) {
	if c.minOrder == nil || bytes.Compare(at.Order, c.minOrder) < 0 {
		c.minOrder, c.minSize = append(c.minOrder[:0], at.Order...), size
		c.meta.MinClustering = keepValues(c.meta.MinClustering, at.Values)
	}
	if c.maxOrder == nil || bytes.Compare(at.Order, c.maxOrder) > 0 {
		c.maxOrder, c.maxSize = append(c.maxOrder[:0], at.Order...), size
		c.meta.MaxClustering = keepValues(c.meta.MaxClustering, at.Values)
	}
}

// keepValues keeps a values block as its only element until finish takes it apart.
func keepValues(old [][]byte, values []byte) [][]byte {
	if old == nil {
		old = [][]byte{nil}
	}
	old[0] = append(old[0][:0], values...)
	return old
}

func (c *collector) marker(m *row.Marker) {
	c.deletion(m.Before)
	c.deletion(m.After)
	c.cover(&m.Bound, m.Size)
}

func (c *collector) finish(t *schema.Table, l layout) *Meta {
	m := &c.meta
	m.DropTimes = c.drop.bins()
	m.sketch = c.keys.bytes()
	m.MinClustering = c.covered(t, m.MinClustering, c.minSize)
	m.MaxClustering = c.covered(t, m.MaxClustering, c.maxSize)
	return m
}

func (c *collector) covered(t *schema.Table, values [][]byte, size int) [][]byte {
	if c.unbounded || values == nil {
		return nil
	}
	if size < 0 {
		size = len(t.Clustering)
	}
	return coveredPrefix(t.ClusteringTypes(), size, values[0])
}

// coveredPrefix takes a values block apart up to the first null, or the first
// value too long for the file's 16 bits.
func coveredPrefix(ts []*types.Type, size int, block []byte) (out [][]byte) {
	vs := row.ReadValues(ts, size, block)
	for v, ok := vs.Next(); ok && v != nil && len(v) <= math.MaxUint16; v, ok = vs.Next() {
		out = append(out, v)
	}
	return out
}
