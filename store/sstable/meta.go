package sstable

import (
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf8"

	"helenus/internal/cql/types"
	"helenus/store/row"
)

// Position is a place in a commit log; the zero Segment is none.
type Position struct {
	Segment int64
	Offset  int32
}

// Less orders positions.
func (p Position) Less(q Position) bool {
	return p.Segment < q.Segment || (p.Segment == q.Segment && p.Offset < q.Offset)
}

// Interval is a part of a commit log, Start excluded, whose records a set holds.
type Interval struct{ Start, End Position }

// Meta is what a set says about itself in Statistics.db.
type Meta struct {
	Partitioner  string
	FilterChance float64

	PartitionSizes Histogram // bytes of Data
	PartitionCells Histogram
	// The extremes of what is in the rows. MinLocalTime and MaxLocalTime are of
	// cells, row markers and deletions; row.NoDeletionTime stands for what does
	// not expire, so a set with any such cell has it as maximum.
	MinTimestamp, MaxTimestamp int64
	MinLocalTime, MaxLocalTime int64
	MinTTL, MaxTTL             int32
	CompressionRatio           float64 // -1: not compressed
	DropTimes                  DropTimes
	Level                      int32
	RepairedAt                 int64 // milliseconds; 0: not
	// MinClustering and MaxClustering bound the rows, component by component;
	// empty when nothing is known or a deletion reaches beyond rows.
	MinClustering, MaxClustering [][]byte
	Columns                      int64 // cells, in Cassandra's words "columns set"
	Rows                         int64
	// Intervals tell which commit log records need no replay, if HostID is the
	// node's own.
	Intervals     []Interval
	HostID        [16]byte // zero: unknown
	PendingRepair [16]byte // zero: none
	Transient     bool

	// Of oa only.
	HasPartitionDeletions bool
	FirstKey, LastKey     []byte

	legacyShards bool
	sketch       []byte
	header       header
}

// Partitions is the number of partitions.
func (m *Meta) Partitions() int64 { return m.PartitionSizes.Total() }

// DroppableRatio estimates which part of the cells are tombstones that may be
// dropped when those from before the second gcBefore may.
func (m *Meta) DroppableRatio(gcBefore int64) float64 {
	cells := m.PartitionCells.Mean() * m.PartitionCells.Total()
	if cells == 0 {
		return 0
	}
	return m.DropTimes.Before(gcBefore) / float64(cells)
}

// Bases are those the file was written with, as a hint for the next.
func (m *Meta) Bases() Bases { return m.header.bases }

// The components of Statistics.db.
const (
	metaValidation = iota
	metaCompaction
	metaStats
	metaHeader
	metaKinds
)

func appendUTF(dst []byte, s string) []byte { return appendBlock16(dst, []byte(s)) }

// utf reads Java's modified UTF; names of classes and options are ASCII.
func (d *decoder) utf() string {
	b := d.block16()
	if !utf8.Valid(b) {
		d.failf("a string that is not UTF-8")
	}
	return string(b)
}

// encode gives the whole of Statistics.db: a table of contents with its own
// checksums, then each component with one.
func (m *Meta) encode(v Version, l layout, clustering []*types.Type) []byte {
	parts := [metaKinds][]byte{
		metaValidation: appendFloat(appendUTF(nil, m.Partitioner), m.FilterChance),
		metaCompaction: appendBlock32(nil, m.sketch),
		metaStats:      m.appendStats(nil, l, clustering),
		metaHeader:     m.header.append(nil),
	}
	dst := appendU32(nil, metaKinds)
	dst = appendU32(dst, crc32.ChecksumIEEE(dst))
	const tocSize = 4 + 4 + metaKinds*8 + 4
	sum := crc32.ChecksumIEEE(dst[:4])
	offset := uint32(tocSize)
	for i, p := range parts {
		at := len(dst)
		dst = appendU32(appendU32(dst, uint32(i)), offset)
		sum = crc32.Update(sum, crc32.IEEETable, dst[at:])
		offset += uint32(len(p)) + 4
	}
	dst = appendU32(dst, sum)
	for _, p := range parts {
		dst = append(dst, p...)
		dst = appendU32(dst, crc32.ChecksumIEEE(p))
	}
	return dst
}

func (l layout) appendLocalTime(dst []byte, t int64) []byte {
	if l.longDeletionTime {
		if t == row.NoDeletionTime {
			return appendU32(dst, math.MaxUint32)
		}
		return appendU32(dst, uint32(min(t, maxLocalTimeOA)))
	}
	return appendU32(dst, uint32(min(t, math.MaxInt32)))
}

func (d *decoder) localTime(l layout) int64 {
	v := d.u32()
	switch {
	case l.longDeletionTime && v == math.MaxUint32, !l.longDeletionTime && v == math.MaxInt32:
		return row.NoDeletionTime
	case !l.longDeletionTime && v > math.MaxInt32:
		// Old bugs wrote negative ones: treat as the oldest.
		return 0
	}
	return int64(v)
}

func appendPosition(dst []byte, p Position) []byte {
	return appendU32(appendU64(dst, uint64(p.Segment)), uint32(p.Offset))
}

func (d *decoder) position() Position { return Position{d.i64(), d.i32()} }

func (m *Meta) appendStats(dst []byte, l layout, clustering []*types.Type) []byte {
	dst = m.PartitionSizes.append(dst)
	dst = m.PartitionCells.append(dst)
	lower, upper := Position{Segment: -1}, Position{Segment: -1}
	if n := len(m.Intervals); n > 0 {
		lower, upper = m.Intervals[0].Start, m.Intervals[n-1].End
	}
	dst = appendPosition(dst, upper)
	dst = appendU64(appendU64(dst, uint64(m.MinTimestamp)), uint64(m.MaxTimestamp))
	dst = l.appendLocalTime(l.appendLocalTime(dst, m.MinLocalTime), m.MaxLocalTime)
	dst = appendU32(appendU32(dst, uint32(m.MinTTL)), uint32(m.MaxTTL))
	dst = appendFloat(dst, m.CompressionRatio)
	dst = appendU32(appendU32(dst, dropTimesMax), uint32(len(m.DropTimes)))
	for _, b := range m.DropTimes {
		if l.longDeletionTime {
			dst = appendU32(appendU64(dst, uint64(b.LocalTime)), uint32(min(b.Count, math.MaxInt32)))
		} else {
			dst = appendU64(appendFloat(dst, float64(b.LocalTime)), uint64(b.Count))
		}
	}
	dst = appendU64(appendU32(dst, uint32(m.Level)), uint64(m.RepairedAt))
	dst = m.appendCovered(dst, l, clustering)
	dst = appendBool(dst, m.legacyShards)
	dst = appendU64(appendU64(dst, uint64(m.Columns)), uint64(m.Rows))
	dst = appendPosition(dst, lower)
	dst = appendU32(dst, uint32(len(m.Intervals)))
	for _, in := range m.Intervals {
		dst = appendPosition(appendPosition(dst, in.Start), in.End)
	}
	dst = appendOptionalID(dst, m.PendingRepair)
	dst = appendBool(dst, m.Transient)
	dst = appendOptionalID(dst, m.HostID)
	if l.improvedMinMax {
		dst = appendBool(dst, m.HasPartitionDeletions)
		dst = appendBlockV(appendBlockV(dst, m.FirstKey), m.LastKey)
		dst = appendFloat(dst, math.NaN()) // token space covered: unknown
	}
	return dst
}

func appendOptionalID(dst []byte, id [16]byte) []byte {
	if id == ([16]byte{}) {
		return append(dst, 0)
	}
	return append(append(dst, 1), id[:]...)
}

func (d *decoder) optionalID() (id [16]byte) {
	if d.flag() {
		copy(id[:], d.take(len(id)))
	}
	return id
}

// appendCovered appends what is known of the clusterings: in nb the least and
// the greatest values, in oa their types and a slice.
func (m *Meta) appendCovered(dst []byte, l layout, clustering []*types.Type) []byte {
	if !l.improvedMinMax {
		for _, values := range [][][]byte{m.MinClustering, m.MaxClustering} {
			dst = appendU32(dst, uint32(len(values)))
			for _, v := range values {
				dst = appendBlock16(dst, v)
			}
		}
		return dst
	}
	dst = appendUvint(dst, uint64(len(m.header.clustering)))
	for _, c := range m.header.clustering {
		dst = appendBlockV(dst, c)
	}
	for _, end := range []struct {
		kind   byte
		values [][]byte
	}{{kindInclStart, m.MinClustering}, {kindInclEnd, m.MaxClustering}} {
		dst = appendU16(append(dst, end.kind), uint16(len(end.values)))
		dst = row.AppendValues(dst, clustering, end.values)
	}
	return dst
}

func decodeMeta(b []byte, v Version, l layout) (*Meta, error) {
	parts, err := metaParts(b)
	if err != nil {
		return nil, err
	}
	m := &Meta{}
	d := decoder{all: parts[metaValidation]}
	m.Partitioner, m.FilterChance = d.utf(), d.float()
	d.end()
	if d.err != nil {
		return nil, fmt.Errorf("VALIDATION: %w", d.err)
	}
	if m.header, err = decodeHeader(parts[metaHeader]); err != nil {
		return nil, fmt.Errorf("HEADER: %w", err)
	}
	if err := m.decodeStats(parts[metaStats], l); err != nil {
		return nil, fmt.Errorf("STATS: %w", err)
	}
	return m, nil
}

// metaParts finds the components and checks all sums.
func metaParts(b []byte) (parts [metaKinds][]byte, err error) {
	d := decoder{all: b}
	n := d.u32()
	sum := crc32.ChecksumIEEE(b[:d.at])
	if d.u32() != sum || n != metaKinds {
		return parts, fmt.Errorf("a damaged count of components")
	}
	var offsets [metaKinds + 1]int
	for i := range metaKinds {
		at := d.at
		kind := d.u32()
		offsets[i] = int(d.u32())
		sum = crc32.Update(sum, crc32.IEEETable, b[at:d.at])
		if kind != uint32(i) {
			d.failf("component %d of kind %d", i, kind)
		}
	}
	if d.u32() != sum && d.err == nil {
		d.failf("a damaged table of contents")
	}
	if d.err != nil {
		return parts, d.err
	}
	offsets[metaKinds] = len(b)
	for i := range parts {
		from, to := offsets[i], offsets[i+1]-4
		if from < d.at || to < from || to > len(b)-4 {
			return parts, fmt.Errorf("component %d at %d to %d of %d bytes", i, from, to, len(b))
		}
		parts[i] = b[from:to]
		tail := decoder{all: b, at: to}
		if tail.u32() != crc32.ChecksumIEEE(parts[i]) {
			return parts, fmt.Errorf("component %d: checksum mismatch", i)
		}
	}
	return parts, nil
}

func (m *Meta) decodeStats(b []byte, l layout) error {
	d := decoder{all: b}
	m.PartitionSizes, m.PartitionCells = d.histogram(), d.histogram()
	d.position() // upper; the intervals say it
	m.MinTimestamp, m.MaxTimestamp = d.i64(), d.i64()
	m.MinLocalTime, m.MaxLocalTime = d.localTime(l), d.localTime(l)
	m.MinTTL, m.MaxTTL = d.i32(), d.i32()
	m.CompressionRatio = d.float()
	d.u32() // how many bins there may be
	if n := d.u32(); l.longDeletionTime {
		for range d.count(uint64(n), 12) {
			m.DropTimes = append(m.DropTimes, DropTime{d.i64(), int64(d.i32())})
		}
	} else {
		for range d.count(uint64(n), 16) {
			m.DropTimes = append(m.DropTimes, DropTime{int64(d.float()), d.i64()})
		}
	}
	m.Level, m.RepairedAt = d.i32(), d.i64()
	m.decodeCovered(&d, l)
	m.legacyShards = d.flag()
	m.Columns, m.Rows = d.i64(), d.i64()
	d.position() // lower
	for range d.count(uint64(d.u32()), 24) {
		m.Intervals = append(m.Intervals, Interval{d.position(), d.position()})
	}
	m.PendingRepair = d.optionalID()
	m.Transient = d.flag()
	m.HostID = d.optionalID()
	if l.improvedMinMax {
		m.HasPartitionDeletions = d.flag()
		m.FirstKey, m.LastKey = d.blockV(), d.blockV()
		d.float()
		// Cassandra takes each bin above for four bytes longer than it is, and
		// leaves so many zeros at the end.
		for range m.DropTimes {
			if d.err == nil && d.at < len(b) && d.u32() != 0 {
				d.failf("no zeros at the end")
			}
		}
	}
	d.end()
	if d.err == nil && len(m.MinClustering) > len(m.header.clustering) {
		d.failf("%d least clustering values for %d columns", len(m.MinClustering), len(m.header.clustering))
	}
	return d.err
}

func (m *Meta) decodeCovered(d *decoder, l layout) {
	if !l.improvedMinMax {
		for _, values := range []*[][]byte{&m.MinClustering, &m.MaxClustering} {
			for range d.count(uint64(d.u32()), 2) {
				*values = append(*values, d.block16())
			}
		}
		return
	}
	var ts []*types.Type
	for range d.count(d.uvint(), 1) {
		t, _, err := types.ParseClass(string(d.blockV()))
		if err != nil {
			d.failf("%w", err)
			return
		}
		ts = append(ts, t)
	}
	for _, values := range []*[][]byte{&m.MinClustering, &m.MaxClustering} {
		d.u8()
		size := int(d.u16())
		if d.err != nil {
			return
		}
		vs := row.ReadValues(ts, size, d.all[d.at:])
		for v, ok := vs.Next(); ok; v, ok = vs.Next() {
			*values = append(*values, v)
		}
		if vs.Err() != nil {
			d.failf("%w", vs.Err())
			return
		}
		d.at = len(d.all) - len(vs.Rest())
	}
}
