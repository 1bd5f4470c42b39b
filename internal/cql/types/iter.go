package types

import "encoding/binary"

// Elements walks the parts of a composite value: the elements of a list or
// set, the keys and values of a map in turn, the fields of a tuple or user
// type, the elements of a vector. It allocates nothing and its slices alias the
// value. Ask Err after Next has returned false.
type Elements struct {
	rest   []byte
	left   int // elements still to come; -1: up to the end of the bytes
	size   int // length of an element, or one of the two below
	failed bool
}

// How an element says its length.
const (
	sizeInt32 = -1
	sizeVInt  = -2
)

// elements opens a value of the form `i32 count, count * n values`.
func elements(b []byte, perEntry int) Elements {
	if len(b) < 4 {
		return Elements{failed: len(b) > 0}
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	e := Elements{rest: b[4:], left: max(n, 0) * perEntry, size: sizeInt32}
	// An element has at least its length, so a longer count is a lie.
	e.failed = e.left > len(e.rest)/4
	return e
}

// ListElements walks a list or set.
func ListElements(b []byte) Elements { return elements(b, 1) }

// MapElements walks a map: key, value, key, value...
func MapElements(b []byte) Elements { return elements(b, 2) }

// FieldElements walks a tuple or user type, whose last fields may be missing.
func FieldElements(b []byte) Elements { return Elements{rest: b, left: -1, size: sizeInt32} }

// VectorElements walks a vector of type t.
func VectorElements(t *Type, b []byte) Elements {
	size := t.Elems[0].FixedLength()
	if size < 0 {
		size = sizeVInt
	}
	return Elements{rest: b, left: t.Dimension, size: size}
}

// Elements opens a value of the composite type t.
func (t *Type) Elements(b []byte) Elements {
	switch t.Kind {
	case List, Set:
		return ListElements(b)
	case Map:
		return MapElements(b)
	case Tuple, UDT:
		return FieldElements(b)
	case Vector:
		return VectorElements(t, b)
	}
	return Elements{}
}

// Len is how many elements are still to come by the value's own count; -1 for
// tuples and user types.
func (e *Elements) Len() int { return e.left }

// Next returns the next element, nil for null. ok is false behind the last one
// and when the value is malformed.
func (e *Elements) Next() (v []byte, ok bool) {
	if e.failed || e.left == 0 || (e.left < 0 && len(e.rest) == 0) {
		return nil, false
	}
	n := e.size
	switch {
	case e.size == sizeVInt:
		u, used := UnsignedVInt(e.rest)
		if used == 0 || u > uint64(len(e.rest)-used) {
			e.failed = true
			return nil, false
		}
		n, e.rest = int(u), e.rest[used:]
	case e.size == sizeInt32:
		if len(e.rest) < 4 {
			e.failed = true
			return nil, false
		}
		n, e.rest = int(int32(binary.BigEndian.Uint32(e.rest))), e.rest[4:]
	}
	if n > len(e.rest) {
		e.failed = true
		return nil, false
	}
	if e.left > 0 {
		e.left--
	}
	if n < 0 {
		return nil, true
	}
	v, e.rest = e.rest[:n:n], e.rest[n:]
	return v, true
}

// Failed tells whether Next stopped because the bytes ended too early.
func (e *Elements) Failed() bool { return e.failed }

// Rest is what stands behind the last element.
func (e *Elements) Rest() []byte { return e.rest }

// AppendCount begins a list, set or map of n elements or entries.
func AppendCount(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(int32(n)))
}

// AppendElement appends an element of a collection or a field of a tuple or
// user type; nil is null.
func AppendElement(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(AppendCount(dst, len(v)), v...)
}

// EncodeCollection makes a list, set or map of its elements (of a map: keys
// and values in turn).
func EncodeCollection(t *Type, values [][]byte) []byte {
	n := len(values)
	if t.Kind == Map {
		n /= 2
	}
	return appendAll(AppendCount(nil, n), values)
}

// EncodeFields makes a tuple or user type; nil fields are null.
func EncodeFields(values [][]byte) []byte { return appendAll([]byte{}, values) }

func appendAll(dst []byte, values [][]byte) []byte {
	for _, v := range values {
		dst = AppendElement(dst, v)
	}
	return dst
}

// EncodeVector makes a vector of its elements.
func EncodeVector(t *Type, values [][]byte) []byte {
	fixed := t.Elems[0].FixedLength() >= 0
	dst := []byte{}
	for _, v := range values {
		if !fixed {
			dst = AppendUnsignedVInt(dst, uint64(len(v)))
		}
		dst = append(dst, v...)
	}
	return dst
}
