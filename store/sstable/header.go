package sstable

import (
	"fmt"
	"math"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// Bases are subtracted from what rows hold, so that the differences are small.
// Any are right; those near the minimum make short files.
type Bases struct {
	MinTimestamp int64
	MinLocalTime int64
	MinTTL       int64
}

// The epoch from which the header counts, 2015-09-22T00:00Z.
const (
	epochMicros  = 1442880000000000
	epochSeconds = 1442880000
)

// DefaultBases serve where nothing is known of what will be written.
func DefaultBases() Bases { return Bases{MinTimestamp: epochMicros, MinLocalTime: epochSeconds} }

// Include lowers b so that d's are covered too; minima that stand for "none"
// change nothing.
func (b *Bases) Include(d Bases) {
	if d.MinTimestamp != row.NoTimestamp && d.MinTimestamp != math.MaxInt64 {
		b.MinTimestamp = min(b.MinTimestamp, d.MinTimestamp)
	}
	if d.MinLocalTime != row.NoDeletionTime {
		b.MinLocalTime = min(b.MinLocalTime, d.MinLocalTime)
	}
	b.MinTTL = min(b.MinTTL, d.MinTTL)
}

// header is the HEADER component of Statistics.db: the bases and the types
// that the rows of this very file were written with.
type header struct {
	bases      Bases
	key        string
	clustering []string
	statics    []headerColumn
	regulars   []headerColumn
}

type headerColumn struct{ name, class string }

func headerOf(t *schema.Table, bases Bases) header {
	h := header{bases: bases}
	var key []*types.Type
	for _, c := range t.PartitionKey {
		key = append(key, c.Type)
	}
	h.key = types.CompositeClassName(key)
	for _, c := range t.Clustering {
		h.clustering = append(h.clustering, c.Type.ClassName(c.Reversed))
	}
	for _, c := range t.Statics {
		h.statics = append(h.statics, headerColumn{c.Name, c.Type.ClassName(false)})
	}
	for _, c := range t.Regulars {
		h.regulars = append(h.regulars, headerColumn{c.Name, c.Type.ClassName(false)})
	}
	return h
}

func (h *header) append(dst []byte) []byte {
	dst = appendUvint(dst, uint64(h.bases.MinTimestamp-epochMicros))
	dst = appendUvint(dst, uint64(h.bases.MinLocalTime-epochSeconds))
	dst = appendUvint(dst, uint64(h.bases.MinTTL))
	dst = appendBlockV(dst, h.key)
	dst = appendUvint(dst, uint64(len(h.clustering)))
	for _, c := range h.clustering {
		dst = appendBlockV(dst, c)
	}
	for _, cs := range [][]headerColumn{h.statics, h.regulars} {
		dst = appendUvint(dst, uint64(len(cs)))
		for _, c := range cs {
			dst = appendBlockV(dst, c.name)
			dst = appendBlockV(dst, c.class)
		}
	}
	return dst
}

func decodeHeader(b []byte) (header, error) {
	d := decoder{all: b}
	var h header
	h.bases.MinTimestamp = int64(d.uvint()) + epochMicros
	h.bases.MinLocalTime = int64(d.uvint()) + epochSeconds
	h.bases.MinTTL = int64(d.uvint())
	h.key = string(d.blockV())
	for range d.count(d.uvint(), 1) {
		h.clustering = append(h.clustering, string(d.blockV()))
	}
	for _, cs := range []*[]headerColumn{&h.statics, &h.regulars} {
		for range d.count(d.uvint(), 2) {
			name := string(d.blockV())
			*cs = append(*cs, headerColumn{name, string(d.blockV())})
		}
	}
	d.end()
	return h, d.err
}

// fileColumn says what becomes of a column of the file.
type fileColumn struct {
	name        string
	column      *schema.Column // nil: dropped
	position    int32          // of column
	droppedAt   int64          // cells written at or before are skipped; NoTimestamp: none
	complex     bool           // as written
	fixedLength int            // of values; -1: they have a length
	pathIsOrder bool           // the bytes of a path compare as they are
	counter     bool
}

// mapping relates the columns of a file to those of the table as it is now.
type mapping struct {
	statics, regulars []fileColumn
}

// resolve checks that the file can be read as the table, by the names and
// types in its header. If t may be older than the file, columns that it does
// not know are passed over.
func (h *header) resolve(t *schema.Table, older bool) (*mapping, error) {
	if len(h.clustering) != len(t.Clustering) {
		return nil, fmt.Errorf("%d clustering columns in the file, %d in %s", len(h.clustering), len(t.Clustering), t.QualifiedName())
	}
	for i, class := range h.clustering {
		ft, reversed, err := types.ParseClass(class)
		if err != nil {
			return nil, err
		}
		c := t.Clustering[i]
		if reversed != c.Reversed || ft.FixedLength() != c.Type.FixedLength() {
			return nil, fmt.Errorf("clustering column %s is %s in the file", c.Name, class)
		}
	}
	var m mapping
	var err error
	if m.statics, err = resolveColumns(t, h.statics, t.Statics, older); err != nil {
		return nil, err
	}
	m.regulars, err = resolveColumns(t, h.regulars, t.Regulars, older)
	return &m, err
}

func resolveColumns(t *schema.Table, in []headerColumn, now []*schema.Column, older bool) ([]fileColumn, error) {
	out := make([]fileColumn, len(in))
	last := int32(-1)
	for i, hc := range in {
		ft, _, err := types.ParseClass(hc.class)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", hc.name, err)
		}
		f := fileColumn{name: hc.name, droppedAt: row.NoTimestamp, complex: ft.IsMultiCell(), counter: ft.Kind == types.Counter}
		// A complex column's values are written by the type of the whole column,
		// and so with a length even where the element's own type has a fixed one.
		f.fixedLength = ft.FixedLength()
		for j := range t.Dropped {
			if t.Dropped[j].Name == hc.name {
				f.droppedAt = max(f.droppedAt, t.Dropped[j].DroppedMicros)
			}
		}
		for _, c := range now {
			if c.Name == hc.name {
				f.column, f.position = c, int32(c.Position)
			}
		}
		switch {
		case f.column == nil && f.droppedAt == row.NoTimestamp && !older:
			return nil, fmt.Errorf("column %q (%s) is not in %s and was not dropped from it", hc.name, hc.class, t.QualifiedName())
		case f.column != nil && f.column.IsComplex() != f.complex:
			return nil, fmt.Errorf("column %q is %s in the file", hc.name, hc.class)
		case f.column != nil && f.position <= last:
			return nil, fmt.Errorf("column %q out of order", hc.name)
		}
		if f.column != nil {
			last = f.position
			f.pathIsOrder = ft.Kind == types.UDT
		}
		out[i] = f
	}
	return out, nil
}

// schema is the table that the header describes.
func (h *header) schema() (*schema.Table, error) {
	t := &schema.Table{Keyspace: "unknown", Name: "unknown", Options: schema.DefaultOptions()}
	add := func(group *[]*schema.Column, name string, kind schema.ColumnKind, ct *types.Type, reversed bool) {
		*group = append(*group, &schema.Column{ID: t.NextColumnID, Name: name, Kind: kind, Type: ct, Reversed: reversed})
		t.NextColumnID++
	}
	key, err := types.ParseKeyClass(h.key)
	if err != nil {
		return nil, err
	}
	for i, ct := range key {
		add(&t.PartitionKey, fmt.Sprintf("key%d", i), schema.PartitionKey, ct, false)
	}
	for i, class := range h.clustering {
		ct, reversed, err := types.ParseClass(class)
		if err != nil {
			return nil, err
		}
		add(&t.Clustering, fmt.Sprintf("clustering%d", i), schema.Clustering, ct, reversed)
	}
	for _, g := range []struct {
		to   *[]*schema.Column
		kind schema.ColumnKind
		from []headerColumn
	}{{&t.Statics, schema.Static, h.statics}, {&t.Regulars, schema.Regular, h.regulars}} {
		for _, c := range g.from {
			ct, _, err := types.ParseClass(c.class)
			if err != nil {
				return nil, err
			}
			add(g.to, c.name, g.kind, ct, false)
		}
	}
	return t.Finish(), nil
}
