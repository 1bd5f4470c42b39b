package types

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

// FormatLiteral is v as a CQL literal, as DESCRIBE and warnings show it. null
// and empty values of types without an empty literal are "null"; bytes that
// are no value of t are written as a blob.
func (t *Type) FormatLiteral(v []byte) string {
	if v == nil {
		return "null"
	}
	if t.Validate(v) != nil {
		return "0x" + hex.EncodeToString(v)
	}
	return string(t.appendLiteral(nil, v))
}

// appendLiteral needs a valid value.
func (t *Type) appendLiteral(b, v []byte) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	switch t.Kind {
	case ASCII, Text:
		return appendQuoted(b, strings.ToValidUTF8(string(v), "\uFFFD"))
	case Blob, Custom:
		return hex.AppendEncode(append(b, "0x"...), v)
	case List, Vector:
		return t.appendElements(b, v, '[', ']')
	case Set, Map:
		return t.appendElements(b, v, '{', '}')
	case Tuple:
		return t.appendFields(b, v, '(', ')')
	case UDT:
		return t.appendFields(b, v, '{', '}')
	}
	if len(v) == 0 {
		return append(b, "null"...)
	}
	return t.appendScalar(b, v)
}

func appendQuoted(b []byte, s string) []byte {
	return append(append(append(b, '\''), strings.ReplaceAll(s, "'", "''")...), '\'')
}

func (t *Type) appendScalar(b, v []byte) []byte {
	switch t.Kind {
	case TinyInt, SmallInt, Int, BigInt, Counter:
		return strconv.AppendInt(b, signedWord(v), 10)
	case Boolean:
		return strconv.AppendBool(b, v[0] != 0)
	case Float:
		return appendJavaFloat(b, float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 32)
	case Double:
		return appendJavaFloat(b, math.Float64frombits(binary.BigEndian.Uint64(v)), 64)
	case VarInt:
		return bigFromVarInt(v).Append(b, 10)
	case Decimal:
		return appendDecimalText(b, v)
	case UUID, TimeUUID:
		return appendUUID(b, v)
	case Duration:
		d, _ := DurationFromBytes(v)
		return append(b, d.String()...)
	}
	b = append(b, '\'')
	switch t.Kind {
	case Timestamp:
		b = appendTimestamp(b, signedWord(v))
	case Date:
		b = appendDate(b, binary.BigEndian.Uint32(v))
	case Time:
		b = appendTime(b, signedWord(v))
	case Inet:
		b = append(b, formatInet(v)...)
	}
	return append(b, '\'')
}

func appendUUID(b, v []byte) []byte {
	for i, part := range [][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

func (t *Type) appendElements(b, v []byte, open, closing byte) []byte {
	it := t.Elements(v)
	b = append(b, open)
	for i := 0; ; i++ {
		e, ok := it.Next()
		if !ok {
			return append(b, closing)
		}
		switch {
		case i%len(t.Elems) == 1:
			b = append(b, ": "...)
		case i > 0:
			b = append(b, ", "...)
		}
		b = t.Elems[i%len(t.Elems)].appendLiteral(b, e)
	}
}

func (t *Type) appendFields(b, v []byte, open, closing byte) []byte {
	it := FieldElements(v)
	b = append(b, open)
	for i, ft := range t.Elems {
		e, ok := it.Next()
		if !ok {
			break
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		if t.Kind == UDT {
			b = append(append(b, QuoteName(t.fieldName(i))...), ": "...)
		}
		b = ft.appendLiteral(b, e)
	}
	return append(b, closing)
}

// appendJavaFloat writes a number as Java does: at least one digit behind the
// point, an exponent below 1e-3 and from 1e7 on.
func appendJavaFloat(b []byte, f float64, size int) []byte {
	switch {
	case f != f:
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	if m := math.Abs(f); m == 0 || m >= 1e-3 && m < 1e7 {
		b = strconv.AppendFloat(b, f, 'f', -1, size)
		if f == math.Trunc(f) {
			b = append(b, ".0"...)
		}
		return b
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, size), "e")
	if !strings.Contains(mantissa, ".") {
		// Java has at least two digits, the nearest two: 4.9E-324, not 5.0E-324.
		mantissa, exponent, _ = strings.Cut(strconv.FormatFloat(f, 'e', 1, size), "e")
	}
	n, _ := strconv.Atoi(exponent)
	return strconv.AppendInt(append(append(b, mantissa...), 'E'), int64(n), 10)
}

// appendDecimalText writes a decimal as Java's BigDecimal does: plain unless
// the scale is negative or there would be more than six zeros behind the point.
func appendDecimalText(b, v []byte) []byte {
	digits, negative := decimalDigits(nil, v[4:])
	if len(digits) == 0 {
		digits = []byte{'0'}
	}
	if negative {
		b = append(b, '-')
	}
	scale := int64(int32(binary.BigEndian.Uint32(v)))
	exponent := int64(len(digits)) - 1 - scale
	point := int64(len(digits)) - scale
	switch {
	case scale == 0:
		return append(b, digits...)
	case scale > 0 && exponent >= -6:
		for ; point <= 0; point++ {
			digits = append([]byte{'0'}, digits...)
		}
		return append(append(append(b, digits[:point]...), '.'), digits[point:]...)
	}
	b = append(b, digits[0])
	if len(digits) > 1 {
		b = append(append(b, '.'), digits[1:]...)
	}
	if exponent == 0 {
		return b
	}
	b = append(b, 'E')
	if exponent > 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, exponent, 10)
}
