package system

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
	"helenus/store/row"
)

// rendered is one partition, and after it the next: what Read gives out.
type rendered struct {
	parts []*partition
	next  int
}

// Next implements row.Partitions.
func (r *rendered) Next() (row.Partition, error) {
	if r.next == len(r.parts) {
		return nil, nil
	}
	p := r.parts[r.next]
	r.next++
	return p, nil
}

// Close implements row.Partitions.
func (r *rendered) Close() error { return nil }

type partition struct {
	key  row.Key
	rows []*row.Row
	next int
	out  row.Unfiltered
}

// Key implements row.Partition.
func (p *partition) Key() row.Key { return p.key }

// Deletion implements row.Partition.
func (p *partition) Deletion() row.Deletion { return row.Live() }

// StaticRow implements row.Partition; no table that is rendered has statics.
func (p *partition) StaticRow() *row.Row { return nil }

// Next implements row.Partition.
func (p *partition) Next() (*row.Unfiltered, error) {
	if p.next == len(p.rows) {
		return nil, nil
	}
	p.out.Row = p.rows[p.next]
	p.next++
	return &p.out, nil
}

// Close implements row.Partition.
func (p *partition) Close() error { return nil }

// render turns records into the partitions a command asks for.
func render(cmd *row.Command, records []Record, p token.Partitioner) (row.Partitions, error) {
	t := cmd.Table
	byKey := make(map[string]*partition)
	var parts []*partition
	for _, rec := range records {
		key, err := keyOf(t, rec)
		if err != nil {
			return nil, err
		}
		k := row.Key{Prefix: p.Prefix(key), Bytes: key}
		if !wanted(cmd, k, p) {
			continue
		}
		r, err := rowOf(t, rec)
		if err != nil {
			return nil, err
		}
		filter := cmd.FilterFor(k, nil)
		if !slices.ContainsFunc(filter.Slices, func(s row.Slice) bool { return s.Contains(r.Clustering.Order) }) {
			continue
		}
		part := byKey[string(key)]
		if part == nil {
			part = &partition{key: k}
			byKey[string(key)] = part
			parts = append(parts, part)
		}
		part.rows = append(part.rows, r)
	}
	slices.SortFunc(parts, func(a, b *partition) int { return row.CompareKeys(a.key, b.key, p.CompareTie) })
	for _, part := range parts {
		slices.SortFunc(part.rows, func(a, b *row.Row) int {
			d := bytes.Compare(a.Clustering.Order, b.Clustering.Order)
			if cmd.Filter.Reversed {
				d = -d
			}
			return d
		})
	}
	if cmd.Keys != nil {
		parts = inOrderOf(cmd.Keys, byKey)
	}
	return &rendered{parts: parts}, nil
}

// inOrderOf gives the partitions as a list of keys names them: the store does,
// and paging counts on it.
func inOrderOf(keys []row.Key, byKey map[string]*partition) []*partition {
	var out []*partition
	for _, k := range keys {
		if p := byKey[string(k.Bytes)]; p != nil {
			out = append(out, p)
		}
	}
	return out
}

func wanted(cmd *row.Command, k row.Key, p token.Partitioner) bool {
	if cmd.Keys != nil {
		return slices.ContainsFunc(cmd.Keys, func(w row.Key) bool { return bytes.Equal(w.Bytes, k.Bytes) })
	}
	return cmd.Start.AfterStart(k, p) && cmd.End.BeforeEnd(k, p)
}

// keyOf is the partition key: the value alone, or each component with a length
// before and a zero byte behind.
func keyOf(t *schema.Table, rec Record) ([]byte, error) {
	var key []byte
	for _, c := range t.PartitionKey {
		v, err := encode(c.Type, rec[c.Name])
		if err != nil {
			return nil, fmt.Errorf("system: %s.%s: %w", t.QualifiedName(), c.Name, err)
		}
		if v == nil {
			return nil, fmt.Errorf("system: %s.%s is missing in a row", t.QualifiedName(), c.Name)
		}
		if len(t.PartitionKey) == 1 {
			return v, nil
		}
		key = binary.BigEndian.AppendUint16(key, uint16(len(v)))
		key = append(append(key, v...), 0)
	}
	return key, nil
}

// rowOf makes a row written at time 0, so that WRITETIME has an answer.
func rowOf(t *schema.Table, rec Record) (*row.Row, error) {
	r := &row.Row{Liveness: row.Liveness{LocalTime: row.NoDeletionTime}, Deletion: row.Live()}
	values := make([][]byte, len(t.Clustering))
	for i, c := range t.Clustering {
		v, err := encode(c.Type, rec[c.Name])
		if err != nil {
			return nil, fmt.Errorf("system: %s.%s: %w", t.QualifiedName(), c.Name, err)
		}
		values[i] = v
	}
	_, r.Clustering = row.AppendClustering(nil, t, values)
	for i, c := range t.Regulars {
		v, there := rec[c.Name]
		if !there || v == nil {
			continue
		}
		cells, err := cellsOf(c, v)
		if err != nil {
			return nil, fmt.Errorf("system: %s.%s: %w", t.QualifiedName(), c.Name, err)
		}
		for _, cell := range cells {
			cell.Column, cell.LocalTime = int32(i), row.NoDeletionTime
			r.Cells = append(r.Cells, cell)
		}
	}
	return r, nil
}

// cellsOf is one cell, or one for each element of a collection, in the order of
// their paths.
func cellsOf(c *schema.Column, v any) ([]row.Cell, error) {
	if !c.IsComplex() {
		b, err := encode(c.Type, v)
		return []row.Cell{{Value: b}}, err
	}
	var cells []row.Cell
	add := func(path, value any, pathType, valueType *types.Type) error {
		p, err := encode(pathType, path)
		if err != nil {
			return err
		}
		b := []byte{}
		if valueType != nil {
			if b, err = encode(valueType, value); err != nil {
				return err
			}
		}
		cells = append(cells, row.Cell{Path: p, PathOrder: row.AppendPathOrder(nil, c, p), Value: b})
		return nil
	}
	var err error
	elems := c.Type.Elems
	switch v := v.(type) {
	case []string:
		if c.Type.Kind != types.Set {
			return nil, fmt.Errorf("%T for %s", v, c.Type)
		}
		for _, e := range v {
			err = add(e, nil, elems[0], nil)
		}
	case map[string]string:
		for k, e := range v {
			err = add(k, e, elems[0], elems[1])
		}
	case map[[16]byte][]byte:
		for k, e := range v {
			err = add(k, e, elems[0], elems[1])
		}
	default:
		return nil, fmt.Errorf("%T for %s", v, c.Type)
	}
	slices.SortFunc(cells, func(a, b row.Cell) int { return bytes.Compare(a.PathOrder, b.PathOrder) })
	return cells, err
}

// encode makes the CQL value of a Go value; nil is null.
func encode(t *types.Type, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if t.Kind == types.Text || t.Kind == types.ASCII {
			return append([]byte{}, v...), nil
		}
	case []byte:
		if t.Kind == types.Blob {
			return append([]byte{}, v...), nil
		}
	case [16]byte:
		if t.Kind == types.UUID || t.Kind == types.TimeUUID {
			return v[:], nil
		}
	case bool:
		if t.Kind == types.Boolean {
			return map[bool][]byte{true: {1}, false: {0}}[v], nil
		}
	case float64:
		if t.Kind == types.Double {
			return binary.BigEndian.AppendUint64(nil, math.Float64bits(v)), nil
		}
	case netip.Addr:
		if t.Kind == types.Inet {
			return v.Unmap().AsSlice(), nil
		}
	case time.Time:
		if t.Kind == types.Timestamp {
			return binary.BigEndian.AppendUint64(nil, uint64(v.UnixMilli())), nil
		}
	case int:
		return encodeInt(t, int64(v))
	case int32:
		return encodeInt(t, int64(v))
	case int64:
		return encodeInt(t, v)
	case []string, map[string]string:
		return encodeCollection(t, v)
	}
	return nil, fmt.Errorf("%T for %s", v, t)
}

func encodeInt(t *types.Type, v int64) ([]byte, error) {
	switch {
	case t.Kind == types.BigInt:
		return binary.BigEndian.AppendUint64(nil, uint64(v)), nil
	case t.Kind == types.Int && v == int64(int32(v)):
		return binary.BigEndian.AppendUint32(nil, uint32(v)), nil
	}
	return nil, fmt.Errorf("integer %d for %s", v, t)
}

// encodeCollection makes the value of a frozen list, set or map.
func encodeCollection(t *types.Type, v any) ([]byte, error) {
	var parts [][]byte
	add := func(t *types.Type, s string) error {
		b, err := encode(t, s)
		parts = append(parts, b)
		return err
	}
	var err error
	switch v := v.(type) {
	case []string:
		if t.Kind != types.List && t.Kind != types.Set {
			return nil, fmt.Errorf("%T for %s", v, t)
		}
		if t.Kind == types.Set {
			v = slices.Sorted(slices.Values(v))
		}
		for _, e := range v {
			err = add(t.Elems[0], e)
		}
	case map[string]string:
		if t.Kind != types.Map {
			return nil, fmt.Errorf("%T for %s", v, t)
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if err = add(t.Elems[0], k); err == nil {
				err = add(t.Elems[1], v[k])
			}
		}
	}
	if err != nil {
		return nil, err
	}
	n := len(parts)
	if t.Kind == types.Map {
		n /= 2
	}
	b := types.AppendCount(nil, n)
	for _, p := range parts {
		b = types.AppendElement(b, p)
	}
	return b, nil
}
