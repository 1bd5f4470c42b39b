package query

import (
	"bytes"
	"encoding/binary"
	"slices"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// composeKey lays out a partition key: the value itself, or for several
// columns each with its length and a zero byte.
func composeKey(dst []byte, parts [][]byte) []byte {
	if len(parts) == 1 {
		return append(dst, parts[0]...)
	}
	for _, p := range parts {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(p)))
		dst = append(dst, p...)
		dst = append(dst, 0)
	}
	return dst
}

// splitKey is the reverse of composeKey; it appends to parts.
func splitKey(parts [][]byte, key []byte, columns int) [][]byte {
	if columns == 1 {
		return append(parts, key)
	}
	for len(key) >= 3 {
		n := int(binary.BigEndian.Uint16(key))
		if len(key) < n+3 {
			break
		}
		parts = append(parts, key[2:2+n])
		key = key[n+3:]
	}
	return parts
}

// candidates evaluates a choice to its values, sorted and without duplicates
// for IN.
func (ch *choice) candidates(x *execution, col *schema.Column) ([][]byte, error) {
	var out [][]byte
	add := func(v Value) error {
		if v.Unset {
			return helenus.Invalid("Invalid unset value for column %s", col.Name)
		}
		if v.Bytes == nil {
			return helenus.Invalid("Invalid null value in condition for column %s", col.Name)
		}
		out = append(out, v.Bytes)
		return nil
	}
	if ch.list != nil {
		v, err := ch.list.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if v.Bytes == nil {
			return nil, add(v)
		}
		for _, e := range elementsOf(types.ListOf(col.Type, false), v.Bytes) {
			if err := add(Value{Bytes: e}); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range ch.values {
		v, err := e.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if err := add(v); err != nil {
			return nil, err
		}
	}
	if ch.in && !col.IsComplex() {
		slices.SortFunc(out, col.Type.Compare)
		if col.Reversed {
			slices.Reverse(out)
		}
		out = slices.CompactFunc(out, bytes.Equal)
	}
	return out, nil
}

// product multiplies the candidates of columns, the last varying fastest.
func product(rows [][][]byte, candidates [][]byte, max int) ([][][]byte, error) {
	if len(rows)*len(candidates) > max {
		return nil, helenus.Invalid("IN restrictions multiply to more than %d combinations; split the query", max)
	}
	if len(candidates) == 1 {
		for i := range rows {
			rows[i] = append(rows[i], candidates[0])
		}
		return rows, nil
	}
	out := make([][][]byte, 0, len(rows)*len(candidates))
	for _, r := range rows {
		for _, c := range candidates {
			out = append(out, append(r[:len(r):len(r)], c))
		}
	}
	return out, nil
}

// keys evaluates the partition keys a statement names, in the order of IN.
func (w *where) keys(x *execution) ([]row.Key, error) {
	rows := [][][]byte{make([][]byte, 0, len(w.key))}
	for i := range w.key {
		values, err := w.key[i].candidates(x, w.table.PartitionKey[i])
		if err != nil {
			return nil, err
		}
		if rows, err = product(rows, values, x.engine.opts.Limits.InCombinationsMax); err != nil {
			return nil, err
		}
	}
	keys := make([]row.Key, 0, len(rows))
	for _, parts := range rows {
		k, err := x.key(parts)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// key makes a partition key and checks its size.
func (x *execution) key(parts [][]byte) (row.Key, error) {
	b := composeKey(nil, parts)
	if len(b) == 0 {
		return row.Key{}, helenus.Invalid("Key may not be empty")
	}
	if max := x.engine.opts.Limits.KeyBytesMax; len(b) > max {
		return row.Key{}, helenus.Invalid("Key length of %d is longer than maximum of %d", len(b), max)
	}
	return row.Key{Prefix: x.engine.opts.Partitioner.Prefix(b), Bytes: b}, nil
}

// prefixes evaluates the = and IN at the start of the clustering columns.
func (w *where) prefixes(x *execution) ([][][]byte, error) {
	rows := [][][]byte{make([][]byte, 0, len(w.clustering))}
	for i := 0; i < w.prefix; i++ {
		values, err := w.clustering[i].candidates(x, w.table.Clustering[i])
		if err != nil {
			return nil, err
		}
		if rows, err = product(rows, values, x.engine.opts.Limits.InCombinationsMax); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// bound is the byte-comparable bound of a clustering prefix.
func (w *where) bound(prefix [][]byte, after bool) []byte {
	return types.AppendBound(nil, w.table.ClusteringTypes(), w.table.ClusteringReversed(), prefix, after)
}

// spans evaluates what the WHERE clause selects of a partition's rows: sorted,
// disjoint slices.
func (w *where) spans(x *execution) ([]row.Slice, error) {
	prefixes, err := w.prefixes(x)
	if err != nil {
		return nil, err
	}
	var out []row.Slice
	for _, p := range prefixes {
		s, err := w.span(x, p)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	for i := range w.tuples {
		more, err := w.tuples[i].spans(x, w)
		if err != nil {
			return nil, err
		}
		out = intersect(normalise(out), normalise(more))
	}
	return normalise(out), nil
}

// span is one prefix with the slice of the column behind it, if any.
func (w *where) span(x *execution, prefix [][]byte) (row.Slice, error) {
	if len(prefix) == 0 && (len(w.slices) == 0 || w.slices[0] == nil) {
		return row.Slice{}, nil
	}
	s := row.Slice{Start: w.bound(prefix, false), End: w.bound(prefix, true)}
	if w.prefix >= len(w.slices) || w.slices[w.prefix] == nil {
		return s, nil
	}
	col, sl := w.table.Clustering[w.prefix], w.slices[w.prefix]
	for _, side := range []struct {
		e     *edge
		lower bool
	}{{sl.lower, true}, {sl.upper, false}} {
		if side.e == nil {
			continue
		}
		v, err := side.e.value.eval(x, nil)
		if err != nil {
			return s, err
		}
		if v.Unset || v.Bytes == nil {
			return s, helenus.Invalid("Invalid null value in condition for column %s", col.Name)
		}
		w.clip(&s, append(prefix[:len(prefix):len(prefix)], v.Bytes), col.Reversed, side.lower, side.e.inclusive)
	}
	return s, nil
}

// clip sets the side of s that a comparison with the last component of prefix
// means: in a descending column the lower values lie behind.
func (w *where) clip(s *row.Slice, prefix [][]byte, reversed, lower, inclusive bool) {
	if lower != reversed {
		s.Start = w.bound(prefix, !inclusive)
	} else {
		s.End = w.bound(prefix, inclusive)
	}
}

// spans of (a, b) > (x, y) are those of a > x and of a = x, b > y; with columns
// of mixed direction they do not join into one.
func (r *tupleRelation) spans(x *execution, w *where) ([]row.Slice, error) {
	rights, err := r.rights(x, w)
	if err != nil {
		return nil, err
	}
	var out []row.Slice
	for _, right := range rights {
		if r.op == parse.Eq || r.op == parse.In {
			out = append(out, row.Slice{Start: w.bound(right, false), End: w.bound(right, true)})
			continue
		}
		lower := r.op == parse.Gt || r.op == parse.Ge
		inclusive := r.op == parse.Ge || r.op == parse.Le
		for i := r.first; i < len(right); i++ {
			s := row.Slice{Start: w.bound(right[:i], false), End: w.bound(right[:i], true)}
			w.clip(&s, right[:i+1], w.table.Clustering[i].Reversed, lower, inclusive && i == len(right)-1)
			out = append(out, s)
		}
	}
	return out, nil
}

// rights evaluates the right sides, each behind the = values of the columns
// before the tuple.
func (r *tupleRelation) rights(x *execution, w *where) ([][][]byte, error) {
	tuples, err := r.evaluate(x)
	if err != nil {
		return nil, err
	}
	before := [][][]byte{{}}
	for i := 0; i < r.first; i++ {
		values, err := w.clustering[i].candidates(x, w.table.Clustering[i])
		if err != nil {
			return nil, err
		}
		if before, err = product(before, values, x.engine.opts.Limits.InCombinationsMax); err != nil {
			return nil, err
		}
	}
	var out [][][]byte
	for _, b := range before {
		for _, t := range tuples {
			if len(t) != len(r.types) || slices.ContainsFunc(t, func(v []byte) bool { return v == nil }) {
				return nil, helenus.Invalid("Invalid null value in condition for columns: %s", "tuple")
			}
			out = append(out, slices.Concat(b, t))
		}
	}
	return out, nil
}

func (r *tupleRelation) evaluate(x *execution) ([][][]byte, error) {
	var out [][][]byte
	for _, e := range []expr{r.tuple, r.list} {
		if e == nil {
			continue
		}
		v, err := e.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if r.list == nil {
			return [][][]byte{fieldsOf(v.Bytes)}, nil
		}
		for _, tuple := range elementsOf(types.ListOf(types.TupleOf(r.types...), false), v.Bytes) {
			out = append(out, fieldsOf(tuple))
		}
		return out, nil
	}
	for _, exprs := range r.rows {
		var t [][]byte
		for _, e := range exprs {
			v, err := e.eval(x, nil)
			if err != nil {
				return nil, err
			}
			if len(exprs) == 1 && len(r.types) > 1 {
				t = fieldsOf(v.Bytes)
				break
			}
			t = append(t, v.Bytes)
		}
		out = append(out, t)
	}
	return out, nil
}

// fieldsOf splits a serialized tuple that was validated.
func fieldsOf(b []byte) [][]byte {
	var out [][]byte
	for it := types.FieldElements(b); ; {
		f, ok := it.Next()
		if !ok {
			return out
		}
		out = append(out, f)
	}
}

// elementsOf splits a serialized list or set, or with two parts an entry a map,
// that was validated.
func elementsOf(t *types.Type, b []byte) [][]byte {
	it := t.Elements(b)
	out := make([][]byte, 0, max(it.Len(), 0))
	for {
		v, ok := it.Next()
		if !ok {
			return out
		}
		out = append(out, v)
	}
}

// normalise sorts slices and drops empty and duplicate ones. An empty End is
// open and thus the greatest.
func normalise(in []row.Slice) []row.Slice {
	slices.SortFunc(in, func(a, b row.Slice) int { return bytes.Compare(a.Start, b.Start) })
	out := in[:0]
	for _, s := range in {
		if len(s.End) > 0 && bytes.Compare(s.Start, s.End) >= 0 {
			continue
		}
		if n := len(out); n > 0 && (len(out[n-1].End) == 0 || bytes.Compare(s.Start, out[n-1].End) <= 0) {
			if len(out[n-1].End) > 0 && (len(s.End) == 0 || bytes.Compare(s.End, out[n-1].End) > 0) {
				out[n-1].End = s.End
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func intersect(a, b []row.Slice) []row.Slice {
	var out []row.Slice
	for _, s := range a {
		for _, t := range b {
			r := s
			if bytes.Compare(t.Start, r.Start) > 0 {
				r.Start = t.Start
			}
			if len(r.End) == 0 || (len(t.End) > 0 && bytes.Compare(t.End, r.End) < 0) {
				r.End = t.End
			}
			if len(r.End) == 0 || bytes.Compare(r.Start, r.End) < 0 {
				out = append(out, r)
			}
		}
	}
	return out
}
