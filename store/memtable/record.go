package memtable

import (
	"bytes"
	"encoding/binary"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// A partition is one record in the arena, small or large. All begin with
//
//	0 kind u8  1 flags u8  2 key length u16  8 least timestamp i64
//	16 timestamp base i64  24 local time base i64
//
// A small one is immutable; a new version replaces it in the index:
//
//	4 body length u32  32 key  body: [deletion 16 bytes] [static row] rows
//
// A large one's header is guarded by the shard's lock; readers copy it.
//
//	32 greatest timestamp i64  40 sequence u64  48 deletion 16 bytes
//	64 rows  72 markers  80 static row (a node)  88 live, 92 dead markers u32  96 key
const (
	kindSmall = 1
	kindLarge = 2

	flagDeleted = 1 // small only
	flagStatic  = 2

	recordKeyLen   = 2
	recordBodyLen  = 4
	recordLeast    = 8
	recordBase     = 16
	recordLocal    = 24
	smallKey       = 32
	largeGreatest  = 32
	largeSequence  = 40
	largeDeletion  = 48
	largeRows      = 64
	largeMarkers   = 72
	largeStatic    = 80
	largeLiveMarks = 88
	largeDeadMarks = 92
	largeKey       = 96
)

func i64(b []byte, at int) int64       { return int64(binary.LittleEndian.Uint64(b[at:])) }
func setI64(b []byte, at int, v int64) { binary.LittleEndian.PutUint64(b[at:], uint64(v)) }

func getDeletion(b []byte) row.Deletion {
	return row.Deletion{Timestamp: i64(b, 0), LocalTime: i64(b, 8)}
}

func putDeletion(b []byte, d row.Deletion) {
	setI64(b, 0, d.Timestamp)
	setI64(b, 8, d.LocalTime)
}

// recordKey is the partition key of a record.
func recordKey(b []byte) []byte {
	at := smallKey
	if b[0] == kindLarge {
		at = largeKey
	}
	end := at + int(binary.LittleEndian.Uint16(b[recordKeyLen:]))
	return b[at:end:end]
}

// appendSmall appends a small record of p, giving up (fits false) when it gets
// larger than bodyMax. Its least timestamp is still to be set. raw, when not nil,
// is the update with these bases that p reads row by row.
func appendSmall(dst []byte, t *schema.Table, p row.Partition, raw *row.Update, base, local int64, bodyMax int) (out []byte, fits bool, err error) {
	key := p.Key().Bytes
	dst = append(dst, make([]byte, smallKey)...)
	dst[0] = kindSmall
	binary.LittleEndian.PutUint16(dst[recordKeyLen:], uint16(len(key)))
	setI64(dst, recordBase, base)
	setI64(dst, recordLocal, local)
	dst = append(dst, key...)
	start := len(dst)
	if d := p.Deletion(); !d.IsLive() {
		dst[1] |= flagDeleted
		dst = append(dst, make([]byte, 16)...)
		putDeletion(dst[start:], d)
	}
	e := row.Encoding{Table: t, Timestamp: base, LocalTime: local, Form: row.Ordered}
	if s := p.StaticRow(); s != nil {
		dst[1] |= flagStatic
		dst = e.AppendRow(dst, s)
	}
	for {
		if len(dst)-start > bodyMax {
			return dst, false, nil
		}
		u, err := p.Next()
		if err != nil {
			return dst, false, err
		}
		if u == nil {
			binary.LittleEndian.PutUint32(dst[recordBodyLen:], uint32(len(dst)-start))
			return dst, true, nil
		}
		switch {
		case u.Marker != nil:
			dst = e.AppendMarker(dst, u.Marker)
		case raw != nil:
			dst = raw.AppendRow(dst, row.Ordered)
		default:
			dst = e.AppendRow(dst, u.Row)
		}
	}
}

// smallReader is a small record as a Partition.
type smallReader struct {
	e        row.Encoding
	key      row.Key
	deletion row.Deletion
	static   *row.Row
	filter   row.Filter
	body     []byte
	rest     []byte
	offsets  []uint32 // of rows and markers, for reading backwards

	staticScratch row.Scratch
	scratch       row.Scratch
}

func (s *smallReader) reset(record []byte, t *schema.Table, prefix uint64, f row.Filter) error {
	s.e = row.Encoding{Table: t, Timestamp: i64(record, recordBase), LocalTime: i64(record, recordLocal), Form: row.Ordered}
	s.key = row.Key{Prefix: prefix, Bytes: recordKey(record)}
	s.filter = f
	at := smallKey + len(s.key.Bytes)
	s.body = record[at : at+int(binary.LittleEndian.Uint32(record[recordBodyLen:]))]
	s.deletion, s.static = row.Live(), nil
	if record[1]&flagDeleted != 0 {
		s.deletion = getDeletion(s.body)
		s.body = s.body[16:]
	}
	if record[1]&flagStatic != 0 {
		u, rest, err := s.e.Read(s.body, &s.staticScratch)
		if err != nil {
			return err
		}
		s.body = rest
		if len(u.Row.Cells)+len(u.Row.Complex) > 0 { // else its columns were dropped
			s.static = u.Row
		}
	}
	s.rest = s.body
	s.offsets = s.offsets[:0]
	if f.Reversed {
		for rest := s.body; len(rest) > 0; {
			s.offsets = append(s.offsets, uint32(len(s.body)-len(rest)))
			var err error
			if _, rest, err = s.e.Read(rest, &s.scratch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *smallReader) Key() row.Key           { return s.key }
func (s *smallReader) Deletion() row.Deletion { return s.deletion }
func (s *smallReader) StaticRow() *row.Row    { return s.static }

func (s *smallReader) Next() (*row.Unfiltered, error) {
	for {
		if s.filter.Reversed {
			if len(s.offsets) == 0 {
				return nil, nil
			}
			last := len(s.offsets) - 1
			s.rest = s.body[s.offsets[last]:]
			s.offsets = s.offsets[:last]
		} else if len(s.rest) == 0 {
			return nil, nil
		}
		u, rest, err := s.e.Read(s.rest, &s.scratch)
		if err != nil {
			return nil, err
		}
		s.rest = rest
		if u.Row == nil || (wanted(s.filter.Slices, u.Row.Clustering.Order) && says(u.Row)) {
			return u, nil
		}
	}
}

// says tells whether a row says anything: it may not once columns are dropped.
func says(r *row.Row) bool {
	return len(r.Cells) > 0 || !r.Liveness.IsEmpty() || !r.Deletion.IsLive() || len(r.Complex) > 0
}

func wanted(slices []row.Slice, order []byte) bool {
	for i := range slices {
		if slices[i].Contains(order) {
			return true
		}
		if len(slices[i].Start) > 0 && bytes.Compare(order, slices[i].Start) <= 0 {
			return false
		}
	}
	return false
}

func (s *smallReader) Close() error { return nil }
