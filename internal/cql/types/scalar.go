package types

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// AppendBoolean appends a boolean.
func AppendBoolean(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendTinyInt appends a tinyint.
func AppendTinyInt(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendSmallInt appends a smallint.
func AppendSmallInt(dst []byte, v int16) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(v))
}

// AppendInt appends an int.
func AppendInt(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }

// AppendBigInt appends a bigint, counter, timestamp (milliseconds since 1970)
// or time (nanoseconds since midnight).
func AppendBigInt(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// AppendDate appends a date given in days since 1970-01-01.
func AppendDate(dst []byte, days int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(days)+1<<31)
}

// AppendFloat appends a float.
func AppendFloat(dst []byte, v float32) []byte {
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(v))
}

// AppendDouble appends a double.
func AppendDouble(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendInet appends an address; an IPv4 address inside IPv6 becomes IPv4.
func AppendInet(dst []byte, a netip.Addr) []byte { return append(dst, a.Unmap().AsSlice()...) }

// ReadInt reads an int; ok is false for null, empty and malformed values.
func ReadInt(b []byte) (v int32, ok bool) {
	if len(b) != 4 {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(b)), true
}

// ReadBigInt reads what AppendBigInt wrote; ok is false for null, empty and
// malformed values.
func ReadBigInt(b []byte) (v int64, ok bool) {
	if len(b) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(b)), true
}

// signedWord reads two's complement of up to 8 bytes; b is not empty.
func signedWord(b []byte) int64 {
	u := uint64(int64(int8(b[0])))
	for _, c := range b[1:] {
		u = u<<8 | uint64(c)
	}
	return int64(u)
}
