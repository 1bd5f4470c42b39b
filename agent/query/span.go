package query

import (
	"bytes"
	"encoding/binary"
	"slices"

	"helenus"
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

// candidates evaluates a choice to its values: sorted and without duplicates
// for IN.
func (ch *choice) candidates(x *execution, col *schema.Column) ([][]byte, error) {
	var out [][]byte
	if ch.list != nil {
		list, err := ch.elements(x, col)
		if err != nil {
			return nil, err
		}
		out = list
	}
	for _, e := range ch.values {
		v, err := e.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if v.Unset {
			return nil, helenus.Invalid("Invalid unset value for column %s", col.Name)
		}
		out = append(x.take(out), v.Bytes)
	}
	for _, v := range out {
		if v == nil {
			return nil, helenus.Invalid("Invalid null value in condition for column %s", col.Name)
		}
	}
	if ch.in && len(out) > 1 {
		slices.SortFunc(out, col.Type.Compare)
		if col.Reversed {
			slices.Reverse(out)
		}
		out = slices.CompactFunc(out, bytes.Equal)
	}
	return out, nil
}

// elements evaluates the list of IN ?. A marker's elements are checked one by
// one, so that a null among them is told as one.
func (ch *choice) elements(x *execution, col *schema.Column) ([][]byte, error) {
	m, isMarker := ch.list.(*markerExpr)
	var v Value
	var err error
	if isMarker {
		v = x.values[m.index]
	} else {
		v, err = ch.list.eval(x, nil)
	}
	switch {
	case err != nil:
		return nil, err
	case v.Unset:
		return nil, helenus.Invalid("Invalid unset value for column %s", col.Name)
	case v.Bytes == nil:
		return nil, helenus.Invalid("Invalid null value for column %s", col.Name)
	}
	out := elementsOf(types.ListOf(col.Type, false), v.Bytes)
	if isMarker && !slices.ContainsFunc(out, func(e []byte) bool { return e == nil }) {
		_, err = m.eval(x, nil)
	}
	return out, err
}

// take gives dst, or for nil a slice of room for one value that costs nothing.
func (x *execution) take(dst [][]byte) [][]byte {
	if dst != nil {
		return dst
	}
	return x.components(1)
}

// components gives an empty slice of components with room for n. Those given
// out before stay as they are.
func (x *execution) components(n int) [][]byte {
	if cap(x.parts)-len(x.parts) < n {
		x.parts = make([][]byte, 0, max(2*cap(x.parts), n, 16))
	}
	at := len(x.parts)
	x.parts = x.parts[:at+n]
	return x.parts[at : at : at+n]
}

// product multiplies rows with the candidates of the next columns, the last
// varying fastest.
func product(rows, candidates [][][]byte, max int) ([][][]byte, error) {
	if len(rows)*len(candidates) > max {
		return nil, helenus.Invalid("IN restrictions multiply to more than %d combinations; split the query", max)
	}
	if len(candidates) == 1 {
		for i := range rows {
			rows[i] = append(rows[i], candidates[0]...)
		}
		return rows, nil
	}
	out := make([][][]byte, 0, len(rows)*len(candidates))
	for _, r := range rows {
		for _, c := range candidates {
			out = append(out, append(r[:len(r):len(r)], c...))
		}
	}
	return out, nil
}

// singles gives each value a tuple of its own.
func singles(x *execution, values [][]byte) [][][]byte {
	if len(values) == 1 {
		x.one[0] = values
		return x.one[:]
	}
	out := make([][][]byte, len(values))
	for i := range values {
		out[i] = values[i : i+1 : i+1]
	}
	return out
}

// keys evaluates the partition keys a statement names, in the order of IN.
func (w *where) keys(x *execution) ([]row.Key, error) {
	x.rows[0] = x.components(len(w.key))
	rows := x.rows[:]
	for i := range w.key {
		values, err := w.key[i].candidates(x, w.table.PartitionKey[i])
		if err != nil {
			return nil, err
		}
		if rows, err = product(rows, singles(x, values), x.engine.opts.Limits.InCombinationsMax); err != nil {
			return nil, err
		}
	}
	keys := x.keys[:0]
	for _, parts := range rows {
		k, err := x.key(parts)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	x.keys = keys
	return keys, nil
}

// key makes a partition key and checks its size.
func (x *execution) key(parts [][]byte) (row.Key, error) {
	b := parts[0]
	if len(parts) > 1 {
		at := len(x.bytes)
		x.bytes = composeKey(x.bytes, parts)
		b = x.bytes[at:len(x.bytes):len(x.bytes)]
	}
	if len(b) == 0 {
		return row.Key{}, helenus.Invalid("Key may not be empty")
	}
	if max := x.engine.opts.Limits.KeyBytesMax; len(b) > max {
		return row.Key{}, helenus.Invalid("Key length of %d is longer than maximum of %d", len(b), max)
	}
	return row.Key{Prefix: x.engine.opts.Partitioner.Prefix(b), Bytes: b}, nil
}

// combinations evaluates the = and IN of the first n clustering columns.
func (w *where) combinations(x *execution, n int) ([][][]byte, error) {
	x.rows[0] = x.components(len(w.clustering))
	rows := x.rows[:]
	for i := 0; i < n; {
		var tuples [][][]byte
		width := 1
		if run := w.runs[i]; run != nil {
			var err error
			if tuples, err = run.evaluate(x, w); err != nil {
				return nil, err
			}
			width = len(run.types)
		} else {
			values, err := w.clustering[i].candidates(x, w.table.Clustering[i])
			if err != nil {
				return nil, err
			}
			tuples = singles(x, values)
		}
		var err error
		if rows, err = product(rows, tuples, x.engine.opts.Limits.InCombinationsMax); err != nil {
			return nil, err
		}
		i += width
	}
	return rows, nil
}

// bound is an end of a span: before or after all rows with a prefix. One
// without components is open.
type bound struct {
	components [][]byte
	after      bool
	order      []byte
	values     []byte
}

// span is a run of a partition's rows.
type span struct{ start, end bound }

func (w *where) bound(x *execution, prefix [][]byte, after bool) bound {
	b := bound{components: prefix, after: after}
	if len(prefix) > 0 {
		var at row.Clustering
		x.bytes, at = row.AppendBound(x.bytes, w.table, prefix, after)
		b.order, b.values = at.Order, at.Values
	}
	return b
}

// within is the span of all rows with a prefix.
func (w *where) within(x *execution, prefix [][]byte) span {
	return span{w.bound(x, prefix, false), w.bound(x, prefix, true)}
}

// spans evaluates what the WHERE clause selects of a partition's rows: sorted
// and disjoint.
func (w *where) spans(x *execution) ([]span, error) {
	prefixes, err := w.combinations(x, w.prefix)
	if err != nil {
		return nil, err
	}
	out := x.spans[:0]
	for _, p := range prefixes {
		s := w.within(x, p)
		if w.prefix < len(w.slices) && w.slices[w.prefix] != nil {
			some, err := w.narrow(x, &s, p)
			if err != nil {
				return nil, err
			}
			if !some {
				continue
			}
		}
		out = append(out, s)
	}
	x.spans = out
	out = normalise(out)
	for _, r := range w.tuples {
		more, err := r.spans(x, w)
		if err != nil {
			return nil, err
		}
		out = normalise(intersect(out, normalise(more)))
	}
	return out, nil
}

// slices gives the spans in the form of a command.
func (w *where) rowSlices(x *execution, dst []row.Slice) ([]row.Slice, error) {
	spans, err := w.spans(x)
	for _, s := range spans {
		dst = append(dst, row.Slice{Start: s.start.order, StartValues: s.start.values, StartSize: len(s.start.components),
			End: s.end.order, EndValues: s.end.values, EndSize: len(s.end.components)})
	}
	return dst, err
}

// narrow clips a span to the slice of the column behind its prefix and tells
// whether anything is left. Null stands before all values in the table's order.
func (w *where) narrow(x *execution, s *span, prefix [][]byte) (bool, error) {
	col, sl := w.table.Clustering[w.prefix], w.slices[w.prefix]
	for i, e := range [...]*edge{sl.lower, sl.upper} {
		if e == nil {
			continue
		}
		lower := i == 0
		v, err := e.value.eval(x, nil)
		if err != nil {
			return false, err
		}
		switch {
		case v.Unset:
			return false, helenus.Invalid("Invalid unset value for column %s", col.Name)
		case v.Bytes == nil && w.deletes:
			return false, helenus.Invalid("Invalid null value in condition for column %s", col.Name)
		case v.Bytes == nil && lower != col.Reversed:
			continue
		case v.Bytes == nil:
			return false, nil
		}
		w.clip(x, s, append(append(x.components(len(prefix)+1), prefix...), v.Bytes), lower, e.inclusive)
	}
	return true, nil
}

// clip sets the side of s that a comparison with the last component of prefix
// means: in a descending column the lower values lie behind.
func (w *where) clip(x *execution, s *span, prefix [][]byte, lower, inclusive bool) {
	if lower != w.table.Clustering[len(prefix)-1].Reversed {
		s.start = w.bound(x, prefix, !inclusive)
	} else {
		s.end = w.bound(x, prefix, inclusive)
	}
}

func compareStarts(a, b span) int { return bytes.Compare(a.start.order, b.start.order) }

// compareEnds puts the open end behind all others.
func compareEnds(a, b bound) int {
	switch {
	case len(a.order) == 0 || len(b.order) == 0:
		return len(b.order) - len(a.order)
	}
	return bytes.Compare(a.order, b.order)
}

func (s span) empty() bool {
	return len(s.end.order) > 0 && bytes.Compare(s.start.order, s.end.order) >= 0
}

// normalise sorts spans, drops empty ones and joins those that touch.
func normalise(in []span) []span {
	if len(in) > 1 {
		slices.SortFunc(in, compareStarts)
	}
	out := in[:0]
	for _, s := range in {
		if s.empty() {
			continue
		}
		if n := len(out); n > 0 && (len(out[n-1].end.order) == 0 || bytes.Compare(s.start.order, out[n-1].end.order) <= 0) {
			if compareEnds(s.end, out[n-1].end) > 0 {
				out[n-1].end = s.end
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func intersect(a, b []span) []span {
	var out []span
	for _, s := range a {
		for _, t := range b {
			r := s
			if compareStarts(t, r) > 0 {
				r.start = t.start
			}
			if compareEnds(t.end, r.end) < 0 {
				r.end = t.end
			}
			if !r.empty() {
				out = append(out, r)
			}
		}
	}
	return out
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
