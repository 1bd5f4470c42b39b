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

// operation changes one column of the row that the run is at.
type operation interface {
	apply(x *execution, m *modifyRun) error
}

// setColumn overwrites a column; of a collection it deletes what is there, one
// microsecond earlier, and writes the elements.
type setColumn struct {
	col   *schema.Column
	value expr
}

func (o *setColumn) apply(x *execution, m *modifyRun) error {
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset {
		return err
	}
	if !o.col.IsComplex() {
		m.cell(o.col, nil, v.Bytes)
		return nil
	}
	m.builder.DeleteComplex(o.col, row.Deletion{Timestamp: m.timestamp - 1, LocalTime: x.nowSeconds})
	if v.Bytes == nil {
		return nil
	}
	return m.addElements(x, o.col, v.Bytes, false)
}

// addElements adds to a collection.
type addElements struct {
	col     *schema.Column
	value   expr
	prepend bool
}

func (o *addElements) apply(x *execution, m *modifyRun) error {
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset || v.Bytes == nil {
		return err
	}
	return m.addElements(x, o.col, v.Bytes, o.prepend)
}

// addElements writes the elements of a serialized collection as cells.
func (m *modifyRun) addElements(x *execution, col *schema.Column, b []byte, prepend bool) error {
	switch col.Type.Kind {
	case types.Set:
		for _, e := range elementsOf(col.Type, b) {
			if err := m.element(x, col, e, []byte{}); err != nil {
				return err
			}
		}
	case types.Map:
		entries := elementsOf(col.Type, b)
		for i := 0; i+1 < len(entries); i += 2 {
			if err := m.element(x, col, entries[i], entries[i+1]); err != nil {
				return err
			}
		}
	case types.UDT:
		for i, f := range fieldsOf(b) {
			if f != nil {
				m.cell(col, binary.BigEndian.AppendUint16(nil, uint16(i)), f)
			}
		}
	default:
		m.listElements(x, col, b, prepend)
	}
	return nil
}

func (m *modifyRun) element(x *execution, col *schema.Column, key, value []byte) error {
	if max := x.engine.opts.Limits.CollectionValueMax; len(key) > max {
		return helenus.Invalid("The sum of all clustering columns or an element of %s is too long (%d > %d)", col.Name, len(key), max)
	}
	m.cell(col, key, value)
	return nil
}

// prependReference is the moment, 2010-01-01 in microseconds, around which the
// clock is mirrored so that elements put in front later sort earlier.
const prependReference = 1262304000000000

func (m *modifyRun) listElements(x *execution, col *schema.Column, b []byte, prepend bool) {
	values := elementsOf(col.Type, b)
	if prepend {
		slices.Reverse(values)
	}
	for _, v := range values {
		var node [8]byte
		x.engine.opts.Rand(node[:])
		at := x.engine.opts.Clock.Micros()
		if prepend {
			at = 2*prependReference - at
		}
		id := types.TimeUUIDFromMicros(at, node)
		m.cell(col, id[:], v)
	}
}

// removeElements takes elements out of a set, or keys out of a map.
type removeElements struct {
	col   *schema.Column
	value expr
}

func (o *removeElements) apply(x *execution, m *modifyRun) error {
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset || v.Bytes == nil {
		return err
	}
	for _, e := range elementsOf(types.SetOf(o.col.Type.Elems[0], false), v.Bytes) {
		m.cell(o.col, e, nil)
	}
	return nil
}

// setElement writes one element of a map, a set or a list; null removes it.
type setElement struct {
	col     *schema.Column
	key     expr
	value   expr
	byIndex bool
	removal bool // DELETE
}

func (o *setElement) apply(x *execution, m *modifyRun) error {
	k, err := o.key.eval(x, nil)
	if err != nil {
		return err
	}
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset {
		return err
	}
	what := "map key"
	if o.byIndex {
		what = "value for list index"
	}
	if k.Unset {
		return helenus.Invalid("Invalid unset %s", what)
	}
	if k.Bytes == nil {
		return helenus.Invalid("Invalid null %s", what)
	}
	if !o.byIndex {
		return m.element(x, o.col, k.Bytes, v.Bytes)
	}
	list := m.current(o.col)
	if len(list) == 0 && o.removal {
		return helenus.Invalid("Attempted to delete an element from a list which is null")
	}
	if len(list) == 0 {
		return helenus.Invalid("Attempted to set an element on a list which is null")
	}
	i := int(int32(binary.BigEndian.Uint32(k.Bytes)))
	if i < 0 || i >= len(list) {
		return helenus.Invalid("List index %d out of bound, list has size %d", i, len(list))
	}
	m.cell(o.col, list[i].path, v.Bytes)
	return nil
}

// discardFromList removes all elements of a list that equal one of some.
type discardFromList struct {
	col   *schema.Column
	value expr
}

func (o *discardFromList) apply(x *execution, m *modifyRun) error {
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset || v.Bytes == nil {
		return err
	}
	unwanted := elementsOf(o.col.Type, v.Bytes)
	for _, e := range m.current(o.col) {
		if slices.ContainsFunc(unwanted, func(u []byte) bool { return bytes.Equal(u, e.value) }) {
			m.cell(o.col, e.path, nil)
		}
	}
	return nil
}

// setField writes one field of a non-frozen user type; null removes it.
type setField struct {
	col   *schema.Column
	field int
	value expr
}

func (o *setField) apply(x *execution, m *modifyRun) error {
	v, err := o.value.eval(x, nil)
	if err != nil || v.Unset {
		return err
	}
	m.cell(o.col, binary.BigEndian.AppendUint16(nil, uint16(o.field)), v.Bytes)
	return nil
}

// cell writes a cell with the timestamp and TTL of the statement, or for a nil
// value a tombstone.
func (m *modifyRun) cell(col *schema.Column, path, value []byte) {
	c := row.Cell{Timestamp: m.timestamp, LocalTime: row.NoDeletionTime, Path: path, Value: value}
	switch {
	case value == nil:
		c.Flags, c.LocalTime = row.Tombstone, m.now
		if m.casting {
			// A conditional write's own values must survive its own deletions.
			c.Timestamp--
		}
	case m.ttl > 0:
		c.Flags, c.TTL, c.LocalTime = row.Expiring, m.ttl, m.now+int64(m.ttl)
	}
	m.builder.Cell(col, c)
}
