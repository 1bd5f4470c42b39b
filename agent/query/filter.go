package query

import (
	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
)

// filter is a restriction that rows are tested against one by one.
type filter struct {
	column  *schema.Column
	op      parse.Operator // In stands for = too
	element expr           // the key of m[k] = v
	choice  choice
}

// boundFilter is a filter with its values evaluated.
type boundFilter struct {
	*filter
	slot    int
	element []byte
	values  [][]byte
}

func (p *selectPlan) bindFilters(x *execution, out []boundFilter) ([]boundFilter, error) {
	for i := range p.where.filters {
		f := &p.where.filters[i]
		b := boundFilter{filter: f, slot: p.slot(f.column)}
		if f.element != nil {
			k, err := f.element.eval(x, nil)
			if err != nil {
				return nil, err
			}
			if err := f.refuse(k, "map key"); err != nil {
				return nil, err
			}
			b.element = k.Bytes
		}
		var err error
		if b.values, err = f.wanted(x); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (f *filter) refuse(v Value, what string) error {
	switch {
	case v.Unset:
		return helenus.Invalid("Unsupported unset %s for column %s", what, f.column.Name)
	case v.Bytes == nil:
		return helenus.Invalid("Unsupported null %s for column %s", what, f.column.Name)
	}
	return nil
}

// wanted evaluates the values of a filter. Among those of IN null is like
// nothing.
func (f *filter) wanted(x *execution) ([][]byte, error) {
	if f.choice.list != nil {
		return f.choice.elements(x, f.column)
	}
	var out [][]byte
	what := "value"
	if f.element != nil {
		what = "map value"
	}
	for _, e := range f.choice.values {
		v, err := e.eval(x, nil)
		if err != nil {
			return nil, err
		}
		if v.Bytes == nil && !v.Unset && f.choice.in {
			continue
		}
		if err := f.refuse(v, what); err != nil {
			return nil, err
		}
		out = append(out, v.Bytes)
	}
	return out, nil
}

// matches tests the row at hand.
func (f *boundFilter) matches(r *rowView) bool {
	v := r.values[f.slot]
	if v == nil {
		return false
	}
	t := f.column.Type
	switch f.op {
	case parse.Contains, parse.ContainsKey:
		return contains(t, v, f.values[0], f.op == parse.ContainsKey)
	}
	if f.filter.element != nil {
		if v = mapValue(t, v, f.element); v == nil {
			return false
		}
		t = t.Elems[1]
	}
	for _, want := range f.values {
		if satisfies(f.op, t.Compare(v, want)) {
			return true
		}
	}
	return false
}

func satisfies(op parse.Operator, cmp int) bool {
	switch op {
	case parse.Lt:
		return cmp < 0
	case parse.Le:
		return cmp <= 0
	case parse.Gt:
		return cmp > 0
	case parse.Ge:
		return cmp >= 0
	case parse.Neq:
		return cmp != 0
	}
	return cmp == 0
}

// contains looks for an element, or a key, in a serialized collection.
func contains(t *types.Type, collection, want []byte, keys bool) bool {
	elem := t.Elems[len(t.Elems)-1]
	if keys {
		elem = t.Elems[0]
	}
	it := t.Elements(collection)
	for i := 0; ; i++ {
		v, ok := it.Next()
		if !ok {
			return false
		}
		if t.Kind == types.Map && (i%2 == 0) != keys {
			continue
		}
		if elem.Compare(v, want) == 0 {
			return true
		}
	}
}

// mapValue is the value of a key in a serialized map; nil when it is absent.
func mapValue(t *types.Type, m, key []byte) []byte {
	for it := types.MapElements(m); ; {
		k, ok := it.Next()
		if !ok {
			return nil
		}
		v, _ := it.Next()
		if t.Elems[0].Compare(k, key) == 0 {
			return v
		}
	}
}
