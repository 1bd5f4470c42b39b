package types

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
)

// IsComparable tells whether values of t have an order: whether t may be part
// of a primary key. Durations and counters have none, nor has anything that
// holds a duration.
func (t *Type) IsComparable() bool {
	if t.Kind == Duration || t.Kind == Counter {
		return false
	}
	for _, e := range t.Elems {
		if !e.IsComparable() {
			return false
		}
	}
	return true
}

// Compare is the order of two values as Cassandra sorts them, ascending: empty
// values first. Bytes that Validate would refuse have some order, too; types
// without an order compare as bytes.
func (t *Type) Compare(a, b []byte) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(min(len(a), 1), min(len(b), 1))
	}
	switch t.Kind {
	case Boolean, TinyInt, SmallInt, Int, BigInt, Float, Double, Timestamp:
		if n := lengthRules[t.Kind].size; len(a) == n && len(b) == n {
			return cmp.Compare(t.orderWord(a), t.orderWord(b))
		}
	case UUID, TimeUUID:
		if len(a) == 16 && len(b) == 16 {
			ah, al := t.uuidWords(a)
			bh, bl := t.uuidWords(b)
			if c := cmp.Compare(ah, bh); c != 0 {
				return c
			}
			return cmp.Compare(al, bl)
		}
	case VarInt:
		return compareVarInt(a, b)
	case Decimal:
		return compareDecimal(a, b)
	case List, Set, Map, Vector:
		return t.compareElements(a, b)
	case Tuple, UDT:
		return t.compareFields(a, b)
	}
	return bytes.Compare(a, b)
}

const signBit = 1 << 63

// orderWord maps a scalar of 1 to 8 bytes to an integer with the same order.
func (t *Type) orderWord(v []byte) uint64 {
	var u uint64
	for _, c := range v {
		u = u<<8 | uint64(c)
	}
	switch t.Kind {
	case Boolean:
		return min(u, 1)
	case Float:
		return uint64(floatWord(uint32(u)))
	case Double:
		return doubleWord(u)
	}
	return u ^ 1<<(8*len(v)-1)
}

// floatWord orders IEEE numbers as Java does: -0 before 0, NaN last and one.
func floatWord(u uint32) uint32 {
	if f := math.Float32frombits(u); f != f {
		u = 0x7fc00000
	}
	if u>>31 != 0 {
		return ^u
	}
	return u | 1<<31
}

func doubleWord(u uint64) uint64 {
	if f := math.Float64frombits(u); f != f {
		u = 0x7ff8000000000000
	}
	if u>>63 != 0 {
		return ^u
	}
	return u | signBit
}

// uuidWords orders uuids by version, then version 1 by time, then the rest as
// unsigned bytes. A timeuuid's last half compares as signed bytes instead.
func (t *Type) uuidWords(v []byte) (hi, lo uint64) {
	hi, lo = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	version := hi >> 12 & 15
	if t.Kind == TimeUUID || version == 1 {
		hi = hi<<48 | hi>>16&0xffff<<32 | hi>>32 // version and time_hi, time_mid, time_low
	} else {
		hi = version<<60 | hi>>16<<12 | hi&0xfff
	}
	if t.Kind == TimeUUID {
		lo ^= 0x8080808080808080
	}
	return hi, lo
}

// trimVarInt drops leading bytes that only repeat the sign; b is not empty.
func trimVarInt(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

func compareVarInt(a, b []byte) int {
	a, b = trimVarInt(a), trimVarInt(b)
	negative := a[0] >= 0x80
	if negative != (b[0] >= 0x80) {
		if negative {
			return -1
		}
		return 1
	}
	if len(a) != len(b) {
		if c := cmp.Compare(len(a), len(b)); !negative {
			return c
		}
		return cmp.Compare(len(b), len(a))
	}
	return bytes.Compare(a, b)
}

func compareDecimal(a, b []byte) int {
	if len(a) > 4 && len(b) > 4 && bytes.Equal(a[:4], b[:4]) {
		return compareVarInt(a[4:], b[4:])
	}
	var room [2][64]byte
	return bytes.Compare(appendDecimalOrder(room[0][:0], a), appendDecimalOrder(room[1][:0], b))
}

// compareElements: element by element, the shorter one first.
func (t *Type) compareElements(a, b []byte) int {
	ia, ib := t.Elements(a), t.Elements(b)
	for i := 0; ; i++ {
		va, oka := ia.Next()
		vb, okb := ib.Next()
		if !oka || !okb {
			switch {
			case oka:
				return 1
			case okb:
				return -1
			}
			return 0
		}
		if c := compareNullable(t.Elems[i%len(t.Elems)], va, vb); c != 0 {
			return c
		}
	}
}

// compareFields: field by field, null first; a missing field is null.
func (t *Type) compareFields(a, b []byte) int {
	ia, ib := FieldElements(a), FieldElements(b)
	for _, ft := range t.Elems {
		va, oka := ia.Next()
		vb, okb := ib.Next()
		if !oka && !okb {
			return 0
		}
		if c := compareNullable(ft, va, vb); c != 0 {
			return c
		}
	}
	return 0
}

func compareNullable(t *Type, a, b []byte) int {
	if a == nil || b == nil {
		switch {
		case a != nil:
			return 1
		case b != nil:
			return -1
		}
		return 0
	}
	return t.Compare(a, b)
}
