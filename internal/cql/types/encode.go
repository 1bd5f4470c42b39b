package types

import (
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"gopkg.in/inf.v0"
)

// Encode makes a value of t from a Go value. Integers of any Go type fit every
// integer type that has room, and counters, timestamps (ms), dates (days since
// 1970) and times (ns); strings are text or, for other scalars, the text of a
// constant; a [16]byte by any name is a uuid; slices are lists, sets, tuples
// and vectors, maps are maps, sets of their keys, or user types by field name;
// nil is null. Sets and maps are sorted. It is for tests, tools and system
// tables, not for hot paths.
func Encode(t *Type, v any) ([]byte, error) {
	b, err := encode(t, v)
	if err == nil && b != nil {
		err = t.Validate(b)
	}
	if err != nil {
		return nil, fmt.Errorf("types: encode %T as %s: %w", v, t, err)
	}
	return b, nil
}

func encode(t *Type, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return t.encodeText(v)
	case []byte:
		if v == nil || t.isBytes() {
			return v, nil
		}
	case bool:
		if t.Kind == Boolean {
			return AppendBoolean(nil, v), nil
		}
	case time.Time:
		switch t.Kind {
		case Timestamp:
			return AppendBigInt(nil, v.UnixMilli()), nil
		case Date:
			y, m, d := v.Date()
			return AppendDate(nil, int32(daysSinceEpoch(int64(y), int64(m), int64(d)))), nil
		}
	case time.Duration:
		switch t.Kind {
		case Time:
			return AppendBigInt(nil, int64(v)), nil
		case Duration:
			return AppendDuration(nil, DurationValue{Nanos: int64(v)}), nil
		}
	case DurationValue:
		if t.Kind == Duration {
			return AppendDuration(nil, v), nil
		}
	case netip.Addr:
		if t.Kind == Inet {
			return AppendInet([]byte{}, v), nil
		}
	case *big.Int:
		return t.encodeInteger(v)
	case *inf.Dec:
		if t.Kind == Decimal {
			return AppendDecimal(nil, v), nil
		}
	}
	return t.encodeReflected(reflect.ValueOf(v))
}

// encodeText reads constants of other types from strings, whatever kind of
// constant they take.
func (t *Type) encodeText(s string) ([]byte, error) {
	if t.Kind == Blob || t.Kind == Custom {
		return []byte(s), nil
	}
	for k := StringConst; k <= DurationConst; k++ {
		if t.Accepts(k) {
			if b, err := t.ParseConstant(k, s); err == nil || k == StringConst || k == DurationConst {
				return b, err
			}
		}
	}
	return nil, fmt.Errorf("%q is not a value", s)
}

func (t *Type) encodeInteger(n *big.Int) ([]byte, error) {
	switch t.Kind {
	case VarInt:
		return AppendVarInt(nil, n), nil
	case Decimal:
		return AppendVarInt(AppendInt(nil, 0), n), nil
	case Date:
		if !n.IsInt64() || n.Int64() != int64(int32(n.Int64())) {
			return nil, fmt.Errorf("%d is out of range", n)
		}
		return AppendDate(nil, int32(n.Int64())), nil
	}
	if !t.Accepts(IntegerConst) {
		return nil, fmt.Errorf("an integer does not fit")
	}
	return t.ParseConstant(IntegerConst, n.String())
}

func (t *Type) encodeReflected(v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return t.encodeInteger(big.NewInt(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return t.encodeInteger(new(big.Int).SetUint64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		switch t.Kind {
		case Float:
			return AppendFloat(nil, float32(v.Float())), nil
		case Double:
			return AppendDouble(nil, v.Float()), nil
		}
	case reflect.String:
		return t.encodeText(v.String())
	case reflect.Array:
		if (t.Kind == UUID || t.Kind == TimeUUID) && v.Len() == 16 && v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, 16)
			reflect.Copy(reflect.ValueOf(b), v)
			return b, nil
		}
		return t.encodeSequence(v)
	case reflect.Slice:
		return t.encodeSequence(v)
	case reflect.Map:
		return t.encodeMap(v)
	}
	return nil, fmt.Errorf("no such conversion")
}

func (t *Type) encodeSequence(v reflect.Value) ([]byte, error) {
	switch t.Kind {
	case List, Set, Vector, Tuple:
	default:
		return nil, fmt.Errorf("no such conversion")
	}
	if t.Kind == Tuple && v.Len() > len(t.Elems) || t.Kind == Vector && v.Len() != t.Dimension {
		return nil, fmt.Errorf("%d elements", v.Len())
	}
	var elems [][]byte
	for i := range v.Len() {
		et := t.Elems[0]
		if t.Kind == Tuple {
			et = t.Elems[i]
		}
		e, err := encode(et, v.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
	}
	switch t.Kind {
	case Tuple:
		return EncodeFields(elems), nil
	case Vector:
		return EncodeVector(t, elems), nil
	case Set:
		slices.SortFunc(elems, t.Elems[0].Compare)
		elems = slices.CompactFunc(elems, func(a, b []byte) bool { return t.Elems[0].Compare(a, b) == 0 })
	}
	return EncodeCollection(t, elems), nil
}

func (t *Type) encodeMap(v reflect.Value) ([]byte, error) {
	if t.Kind == UDT {
		return t.encodeUser(v)
	}
	if t.Kind == Set {
		keys := reflect.MakeSlice(reflect.SliceOf(v.Type().Key()), 0, v.Len())
		return t.encodeSequence(reflect.Append(keys, v.MapKeys()...))
	}
	if t.Kind != Map {
		return nil, fmt.Errorf("no such conversion")
	}
	var entries [][2][]byte
	for it := v.MapRange(); it.Next(); {
		key, err := encode(t.Elems[0], it.Key().Interface())
		if err != nil {
			return nil, err
		}
		value, err := encode(t.Elems[1], it.Value().Interface())
		if err != nil {
			return nil, err
		}
		entries = append(entries, [2][]byte{key, value})
	}
	slices.SortFunc(entries, func(a, b [2][]byte) int { return t.Elems[0].Compare(a[0], b[0]) })
	var parts [][]byte
	for _, e := range entries {
		parts = append(parts, e[0], e[1])
	}
	return EncodeCollection(t, parts), nil
}

// encodeUser takes fields by name; a name the type does not have is an error.
func (t *Type) encodeUser(v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("fields need names")
	}
	fields := make([][]byte, len(t.Elems))
	for it := v.MapRange(); it.Next(); {
		i := slices.Index(t.FieldNames, it.Key().String())
		if i < 0 {
			return nil, fmt.Errorf("no field %s", it.Key())
		}
		f, err := encode(t.Elems[i], it.Value().Interface())
		if err != nil {
			return nil, err
		}
		fields[i] = f
	}
	return EncodeFields(fields), nil
}
