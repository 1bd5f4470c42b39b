package types

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"strconv"
)

// Byte-comparable encodings: bytes.Compare of two encodings is Compare of the
// values. They are those of Cassandra's tries (version OSS50) so that one day's
// trie-indexed files need no second set; the one difference is that an empty
// value inside a collection, tuple or user type stays apart from null.

// Separators between components. 0x38 sorts before all that introduce one.
const (
	boundBefore    = 0x20 // sorts before every clustering with the same prefix
	sequenceEnd    = 0x38
	nextNull       = 0x3e
	nextEmpty      = 0x3f
	nextValue      = 0x40
	nextEmptyLast  = 0x41 // the empty value of a descending column
	boundAfter     = 0x60 // sorts after every clustering with the same prefix
	varIntLongFrom = 7    // varints with this many bytes or more have a length
)

// AppendClustering appends the encoding of a whole clustering: its order is
// that of rows in a partition. nil values are null and sort first even in a
// descending column. reversed may be nil: all ascending.
func AppendClustering(dst []byte, ts []*Type, reversed []bool, values [][]byte) []byte {
	return append(appendComponents(dst, ts, reversed, values), sequenceEnd)
}

// AppendBound appends a position before or after all clusterings that begin
// with the prefix; an empty prefix is the begin or end of the partition.
func AppendBound(dst []byte, ts []*Type, reversed []bool, prefix [][]byte, after bool) []byte {
	dst = appendComponents(dst, ts, reversed, prefix)
	if after {
		return append(dst, boundAfter)
	}
	return append(dst, boundBefore)
}

func appendComponents(dst []byte, ts []*Type, reversed []bool, values [][]byte) []byte {
	for i, v := range values {
		dst = appendComponent(dst, ts[i], v, reversed != nil && reversed[i])
	}
	return dst
}

func appendComponent(dst []byte, t *Type, v []byte, reversed bool) []byte {
	switch {
	case v == nil:
		return append(dst, nextNull)
	case len(v) > 0 || t.isBytes():
	case reversed:
		return append(dst, nextEmptyLast)
	default:
		return append(dst, nextEmpty)
	}
	dst = append(dst, nextValue)
	start := len(dst)
	dst = t.AppendComparable(dst, v)
	invert(dst[start:], reversed)
	return dst
}

// isBytes tells whether values of t are compared as bytes, of which the empty
// value is an ordinary one.
func (t *Type) isBytes() bool {
	switch t.Kind {
	case ASCII, Text, Blob, Inet, Duration, Counter, Custom:
		return true
	}
	return false
}

// AppendComparable appends the encoding of one value. It tells its own end, but
// only together with a separator behind it. Null, and the empty value of types
// that are not compared as bytes, have no encoding and append nothing.
func (t *Type) AppendComparable(dst, v []byte) []byte {
	if t.isBytes() {
		return appendEscaped(dst, v)
	}
	if len(v) == 0 {
		return dst
	}
	switch t.Kind {
	case BigInt:
		if len(v) == 8 {
			return appendIntOrder(dst, int64(binary.BigEndian.Uint64(v)))
		}
	case Boolean, TinyInt, SmallInt, Int, Timestamp, Float, Double:
		if n := lengthRules[t.Kind].size; len(v) == n {
			w := t.orderWord(v) << (64 - 8*n)
			return binary.BigEndian.AppendUint64(dst, w)[:len(dst)+n]
		}
	case UUID, TimeUUID:
		if len(v) == 16 {
			hi, lo := t.uuidWords(v)
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, hi), lo)
		}
	case VarInt:
		return appendVarIntOrder(dst, v)
	case Decimal:
		return appendDecimalOrder(dst, v)
	case List, Set, Map, Vector:
		return t.appendElementsOrder(dst, v)
	case Tuple, UDT:
		return t.appendFieldsOrder(dst, v)
	}
	return append(dst, v...)
}

func (t *Type) appendElementsOrder(dst, v []byte) []byte {
	it := t.Elements(v)
	for i := 0; ; i++ {
		e, ok := it.Next()
		if !ok {
			return append(dst, sequenceEnd)
		}
		dst = appendComponent(dst, t.Elems[i%len(t.Elems)], e, false)
	}
}

// appendFieldsOrder leaves null fields at the end out, as missing fields are.
func (t *Type) appendFieldsOrder(dst, v []byte) []byte {
	it := FieldElements(v)
	end := len(dst)
	for _, ft := range t.Elems {
		e, ok := it.Next()
		if !ok {
			break
		}
		dst = appendComponent(dst, ft, e, false)
		if e != nil {
			end = len(dst)
		}
	}
	return append(dst[:end], sequenceEnd)
}

// appendEscaped writes bytes so that an end of value sorts before any byte: a
// run of n zeros becomes 00 FE.. FF with n-1 times FE, the end is 00, and zeros
// at the very end are 00 FE.. with n times FE.
func appendEscaped(dst, v []byte) []byte {
	inRun := false
	for _, c := range v {
		switch {
		case c != 0 && inRun:
			dst, inRun = append(dst, 0xff, c), false
		case c != 0:
			dst = append(dst, c)
		case inRun:
			dst = append(dst, 0xfe)
		default:
			dst, inRun = append(dst, 0), true
		}
	}
	if inRun {
		return append(dst, 0xfe)
	}
	return append(dst, 0)
}

// appendIntOrder writes an integer in 1 to 9 bytes: an inverted sign bit, then
// the number of bytes in unary, then two's complement.
func appendIntOrder(dst []byte, v int64) []byte {
	sign := uint64(v >> 63)
	u := uint64(v) ^ sign
	n := len(dst)
	size := min((bits.Len64(u)+7)/7, 9) // 7*size-1 bits fit beside sign and length
	if size == 9 {
		dst = binary.BigEndian.AppendUint64(append(dst, 0xff), u|signBit)
	} else {
		dst = binary.BigEndian.AppendUint64(dst, u<<(64-8*size))[:n+size]
		dst[n] |= ^byte(0xff >> size)
	}
	invert(dst[n:], sign != 0)
	return dst
}

func invert(b []byte, yes bool) {
	if yes {
		for i := range b {
			b[i] = ^b[i]
		}
	}
}

// appendVarIntOrder writes short numbers like a bigint; longer ones as FF (00
// if negative), the number of bytes less 7 as a vint (inverted if negative) and
// the bytes without leading sign bytes.
func appendVarIntOrder(dst, v []byte) []byte {
	negative := v[0] >= 0x80
	fill := byte(0)
	if negative {
		fill = 0xff
	}
	for len(v) > 0 && v[0] == fill {
		v = v[1:]
	}
	if len(v) < varIntLongFrom {
		u := uint64(int64(int8(fill)))
		for _, c := range v {
			u = u<<8 | uint64(c)
		}
		return appendIntOrder(dst, int64(u))
	}
	dst = append(dst, ^fill)
	n := len(dst)
	dst = AppendUnsignedVInt(dst, uint64(len(v)-varIntLongFrom))
	invert(dst[n:], negative)
	return append(dst, v...)
}

// appendDecimalOrder writes a decimal so that equal numbers of different scale
// are equal: 80 for zero; else sign and length of the exponent of 100, the
// exponent, and the mantissa as base 100 digits (offset 0x80, the first one
// floored, so that the others are positive for negative numbers, too), 00.
func appendDecimalOrder(dst, v []byte) []byte {
	if len(v) < 4 {
		return append(dst, v...)
	}
	var room [24]byte
	digits, negative := decimalDigits(room[:0], v[4:])
	if len(digits) == 0 {
		return append(dst, 0x80)
	}
	// value = 0.digits * 10^point = 0.pairs * 100^exponent
	point := int64(len(digits)) - int64(int32(binary.BigEndian.Uint32(v)))
	exponent := (point + 1) >> 1
	dst = appendExponent(dst, exponent, negative)
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	odd := point&1 != 0 // the first pair has one digit only
	for first := true; len(digits) > 0; first = false {
		pair := digits[0] - '0'
		digits = digits[1:]
		if !odd || !first {
			pair *= 10
			if len(digits) > 0 {
				pair, digits = pair+digits[0]-'0', digits[1:]
			}
		}
		switch last := len(digits) == 0; {
		case !negative:
			pair = 0x80 + pair
		case first && last:
			pair = 0x80 - pair
		case first:
			pair = 0x80 - pair - 1
		case last:
			pair = 0x80 + 100 - pair
		default:
			pair = 0x80 + 99 - pair
		}
		dst = append(dst, pair)
	}
	return append(dst, 0)
}

func appendExponent(dst []byte, exponent int64, negative bool) []byte {
	sign, size := byte(0xc0), byte((bits.Len64(uint64(max(exponent, -exponent)))+7)/8)
	if negative {
		sign, exponent = 0x40, -exponent
	}
	if exponent < 0 {
		dst = append(dst, sign-size)
	} else {
		dst = append(dst, sign+size)
	}
	for ; size > 0; size-- {
		dst = append(dst, byte(exponent>>(8*(size-1))))
	}
	return dst
}

// decimalDigits appends the decimal digits of a varint's magnitude without
// leading zeros; nothing for zero.
func decimalDigits(dst, unscaled []byte) (digits []byte, negative bool) {
	if len(unscaled) == 0 {
		return dst, false
	}
	negative = unscaled[0] >= 0x80
	unscaled = trimVarInt(unscaled)
	if len(unscaled) > 8 {
		n := bigFromVarInt(unscaled)
		return n.Abs(n).Append(dst, 10), negative
	}
	u := uint64(int64(int8(unscaled[0])))
	for _, c := range unscaled[1:] {
		u = u<<8 | uint64(c)
	}
	if negative {
		u = -u
	}
	if u == 0 {
		return dst, false
	}
	return strconv.AppendUint(dst, u, 10), negative
}

// bigFromVarInt reads two's complement; b is not empty.
func bigFromVarInt(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}
