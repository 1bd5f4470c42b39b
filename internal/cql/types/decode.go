package types

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"time"

	"gopkg.in/inf.v0"
)

// Decode makes a Go value of a value of t:
//
//	ascii, text string          int, smallint, tinyint  int, int16, int8
//	blob, custom []byte         bigint, counter         int64
//	boolean     bool            varint, decimal         *big.Int, *inf.Dec
//	float       float32         timestamp, date         time.Time in UTC
//	double      float64         time                    time.Duration since midnight
//	inet        netip.Addr      duration                DurationValue
//	uuid        [16]byte        timeuuid                [16]byte
//	list, set, tuple, vector    []any
//	map         map[any]any     user type               map[string]any
//
// null, and the empty value of types that are not bytes, is nil. Keys of a map
// that Go cannot use as such are their CQL literals.
func Decode(t *Type, b []byte) (any, error) {
	if err := t.Validate(b); err != nil {
		return nil, fmt.Errorf("types: decode %s: %w", t, err)
	}
	return t.decode(b), nil
}

// decode needs a valid value.
func (t *Type) decode(b []byte) any {
	if b == nil {
		return nil
	}
	switch t.Kind {
	case ASCII, Text:
		return string(b)
	case Blob, Custom:
		return b
	case List, Set, Vector, Tuple:
		return t.decodeSequence(b)
	case Map:
		return t.decodeMap(b)
	case UDT:
		fields := map[string]any{}
		it := FieldElements(b)
		for i := range t.Elems {
			e, _ := it.Next()
			fields[t.fieldName(i)] = t.Elems[i].decode(e)
		}
		return fields
	}
	if len(b) == 0 {
		return nil
	}
	return t.decodeScalar(b)
}

func (t *Type) decodeScalar(b []byte) any {
	switch t.Kind {
	case TinyInt:
		return int8(b[0])
	case SmallInt:
		return int16(signedWord(b))
	case Int:
		return int(signedWord(b))
	case BigInt, Counter:
		return signedWord(b)
	case VarInt:
		return bigFromVarInt(b)
	case Decimal:
		d := inf.NewDec(0, inf.Scale(int32(binary.BigEndian.Uint32(b))))
		if len(b) > 4 {
			d.SetUnscaledBig(bigFromVarInt(b[4:]))
		}
		return d
	case Boolean:
		return b[0] != 0
	case Float:
		return math.Float32frombits(binary.BigEndian.Uint32(b))
	case Double:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case Timestamp:
		return time.UnixMilli(signedWord(b)).UTC()
	case Date:
		return time.Unix((int64(binary.BigEndian.Uint32(b))-dateZero)*secondsPerDay, 0).UTC()
	case Time:
		return time.Duration(signedWord(b))
	case Duration:
		d, _ := DurationFromBytes(b)
		return d
	case Inet:
		a, _ := netip.AddrFromSlice(b)
		return a
	case UUID, TimeUUID:
		return [16]byte(b)
	}
	return nil
}

func (t *Type) decodeSequence(b []byte) []any {
	values := []any{}
	it := t.Elements(b)
	for {
		e, ok := it.Next()
		if !ok {
			break
		}
		et := t.Elems[0]
		if t.Kind == Tuple {
			et = t.Elems[len(values)]
		}
		values = append(values, et.decode(e))
	}
	for t.Kind == Tuple && len(values) < len(t.Elems) {
		values = append(values, nil)
	}
	return values
}

func (t *Type) decodeMap(b []byte) map[any]any {
	m := map[any]any{}
	it := MapElements(b)
	for {
		k, ok := it.Next()
		if !ok {
			return m
		}
		v, _ := it.Next()
		key := t.Elems[0].decode(k)
		if r := reflect.ValueOf(key); !r.IsValid() || !r.Comparable() || r.Kind() == reflect.Pointer {
			key = t.Elems[0].FormatLiteral(k)
		}
		m[key] = t.Elems[1].decode(v)
	}
}
