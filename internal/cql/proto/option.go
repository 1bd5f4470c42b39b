package proto

import "helenus/internal/cql/types"

// Type options (4.2.5.2). Frozen is not visible in them, and vectors and types
// younger than the version travel as custom with their marshal class.

const (
	optionCustom = 0x00
	optionList   = 0x20
	optionMap    = 0x21
	optionSet    = 0x22
	optionUDT    = 0x30
	optionTuple  = 0x31
)

// scalar is one row of the table of native types: since is the first version
// that has the code; before it a type travels as its class.
type scalar struct {
	kind  types.Kind
	code  uint16
	since Version
}

var scalars = [...]scalar{
	{types.ASCII, 0x01, V3},
	{types.BigInt, 0x02, V3},
	{types.Blob, 0x03, V3},
	{types.Boolean, 0x04, V3},
	{types.Counter, 0x05, V3},
	{types.Decimal, 0x06, V3},
	{types.Double, 0x07, V3},
	{types.Float, 0x08, V3},
	{types.Int, 0x09, V3},
	{types.Timestamp, 0x0B, V3},
	{types.UUID, 0x0C, V3},
	{types.Text, 0x0D, V3},
	{types.VarInt, 0x0E, V3},
	{types.TimeUUID, 0x0F, V3},
	{types.Inet, 0x10, V3},
	{types.Date, 0x11, V4},
	{types.Time, 0x12, V4},
	{types.SmallInt, 0x13, V4},
	{types.TinyInt, 0x14, V4},
	{types.Duration, 0x15, V5},
	{types.Empty, 0, 0xff},
}

// byKind and byCode index scalars.
var byKind = func() (t [types.Custom + 1]*scalar) {
	for i := range scalars {
		t[scalars[i].kind] = &scalars[i]
	}
	return t
}()

var byCode = func() (t [optionList]*scalar) {
	for i := range scalars {
		if c := scalars[i].code; c != 0 {
			t[c] = &scalars[i]
		}
	}
	return t
}()

// textOld is [option] 0x0A, text before varchar took its place; still readable.
const textOld = 0x0A

func appendOption(dst []byte, v Version, t *types.Type) []byte {
	if s := byKind[t.Kind]; s != nil {
		if v >= s.since {
			return appendU16(dst, int(s.code))
		}
		return appendString(appendU16(dst, optionCustom), t.ClassName(false))
	}
	switch t.Kind {
	case types.List:
		return appendOption(appendU16(dst, optionList), v, t.Elems[0])
	case types.Set:
		return appendOption(appendU16(dst, optionSet), v, t.Elems[0])
	case types.Map:
		return appendOption(appendOption(appendU16(dst, optionMap), v, t.Elems[0]), v, t.Elems[1])
	case types.Tuple:
		dst = appendU16(appendU16(dst, optionTuple), len(t.Elems))
		for _, e := range t.Elems {
			dst = appendOption(dst, v, e)
		}
		return dst
	case types.UDT:
		dst = appendString(appendString(appendU16(dst, optionUDT), t.Keyspace), t.Name)
		dst = appendU16(dst, len(t.Elems))
		for i, e := range t.Elems {
			dst = appendOption(appendString(dst, t.FieldNames[i]), v, e)
		}
		return dst
	}
	return appendString(appendU16(dst, optionCustom), t.ClassName(false))
}

// optionDepth bounds the nesting a peer may send; Cassandra's own metadata
// stays far below.
const optionDepth = 64

// option reads a type. What is nested in a collection can only be frozen and
// is said to be; what stands at the top is said not to be.
func (r *reader) option(depth int) *types.Type {
	if depth > optionDepth {
		r.fail("Type nested deeper than %d", optionDepth)
	}
	if r.err != nil {
		return types.Native(types.Invalid)
	}
	nested := depth > 0
	switch code := r.u16(); code {
	case optionCustom:
		return typeOfClass(r.string())
	case optionList:
		return types.ListOf(r.option(depth+1), nested)
	case optionSet:
		return types.SetOf(r.option(depth+1), nested)
	case optionMap:
		k := r.option(depth + 1)
		return types.MapOf(k, r.option(depth+1), nested)
	case optionTuple:
		t := types.TupleOf()
		for range r.count(int(r.u16()), 2, "tuple elements") {
			t.Elems = append(t.Elems, r.option(depth+1))
		}
		return t
	case optionUDT:
		t := &types.Type{Kind: types.UDT, Keyspace: r.string(), Name: r.string(), Frozen: nested}
		for range r.count(int(r.u16()), 4, "fields") {
			t.FieldNames = append(t.FieldNames, r.string())
			t.Elems = append(t.Elems, r.option(depth+1))
		}
		return t
	case textOld:
		return types.Native(types.Text)
	default:
		if int(code) < len(byCode) && byCode[code] != nil {
			return types.Native(byCode[code].kind)
		}
		r.fail("Unknown type option %d", code)
		return types.Native(types.Invalid)
	}
}

// typeOfClass reads a custom option's class; one that cannot be read stays
// Custom with its whole text.
func typeOfClass(class string) *types.Type {
	t, reversed, err := types.ParseClass(class)
	if err != nil || reversed {
		return &types.Type{Kind: types.Custom, Name: class}
	}
	return t
}
