package types

import (
	"encoding/binary"
	"math/bits"
)

// The variable-length integers of Cassandra's files and of durations: as many
// leading 1 bits in the first byte as bytes follow it, then the value big-endian
// in what remains. Writers use the shortest form.

// UnsignedVIntMax is the longest form in bytes.
const UnsignedVIntMax = 9

// UnsignedVIntSize is the number of bytes of u.
func UnsignedVIntSize(u uint64) int {
	return (639 - 9*bits.LeadingZeros64(u|1)) >> 6
}

// AppendUnsignedVInt appends u.
func AppendUnsignedVInt(dst []byte, u uint64) []byte {
	if u < 0x80 {
		return append(dst, byte(u))
	}
	size := UnsignedVIntSize(u)
	if size == UnsignedVIntMax {
		return binary.BigEndian.AppendUint64(append(dst, 0xff), u)
	}
	n := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, u<<(64-8*size))
	dst[n] |= ^byte(0xff >> (size - 1))
	return dst[:n+size]
}

// UnsignedVInt reads a value and its length n from the start of b; n is 0 when
// b ends too early.
func UnsignedVInt(b []byte) (u uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	first := b[0]
	if first < 0x80 {
		return uint64(first), 1
	}
	more := bits.LeadingZeros8(^first)
	if len(b) <= more {
		return 0, 0
	}
	if len(b) > 8 {
		u = binary.BigEndian.Uint64(b[1:]) >> (64 - 8*more)
	} else {
		for _, c := range b[1 : 1+more] {
			u = u<<8 | uint64(c)
		}
	}
	return u | uint64(first&(0xff>>more))<<(8*more), 1 + more
}

// AppendVInt appends a signed value in zigzag form.
func AppendVInt(dst []byte, v int64) []byte {
	return AppendUnsignedVInt(dst, uint64(v)<<1^uint64(v>>63))
}

// VInt reads a signed value; n is 0 when b ends too early.
func VInt(b []byte) (v int64, n int) {
	u, n := UnsignedVInt(b)
	return int64(u>>1) ^ -int64(u&1), n
}
