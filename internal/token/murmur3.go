package token

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

const (
	murmurC1 = 0x87c37b91114253d5
	murmurC2 = 0x4cf5ad432745937f
)

// Murmur3 is MurmurHash3 x64 128 with seed 0 as Cassandra computes it: bytes of
// the tail (the last len mod 16) are sign-extended before they are mixed in, so
// the result differs from the standard hash when one of them is >= 0x80. Tokens
// and bloom filters of every existing cluster depend on it.
func Murmur3(key []byte) (h1, h2 uint64) {
	n := uint64(len(key))
	for len(key) >= 16 {
		k1 := binary.LittleEndian.Uint64(key)
		k2 := binary.LittleEndian.Uint64(key[8:])
		key = key[16:]
		h1 ^= mixK1(k1)
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mixK2(k2)
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	if len(key) > 8 {
		h2 ^= mixK2(signedTail(key[8:]))
		key = key[:8]
	}
	h1 ^= mixK1(signedTail(key))
	h1 ^= n
	h2 ^= n
	h1 += h2
	h2 += h1
	h1 = finalMix(h1)
	h2 = finalMix(h2)
	h1 += h2
	h2 += h1
	return h1, h2
}

// signedTail gathers up to 8 bytes, little-endian, each sign-extended and XORed
// in, so that a byte >= 0x80 inverts everything above it.
func signedTail(b []byte) (k uint64) {
	for i, c := range b {
		k ^= uint64(int64(int8(c))) << (8 * uint(i))
	}
	return k
}

func mixK1(k uint64) uint64 { return bits.RotateLeft64(k*murmurC1, 31) * murmurC2 }
func mixK2(k uint64) uint64 { return bits.RotateLeft64(k*murmurC2, 33) * murmurC1 }

func finalMix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Murmur3Partitioner is the default: tokens are the signed 64-bit h1 of Murmur3.
type Murmur3Partitioner struct{}

// Name implements Partitioner.
func (Murmur3Partitioner) Name() string { return javaPackage + "Murmur3Partitioner" }

// Token implements Partitioner.
func (p Murmur3Partitioner) Token(key []byte) Token { return Token{Prefix: p.Prefix(key)} }

// Prefix implements Partitioner. The empty key has the minimum token, and a
// hash that would be the minimum becomes the maximum, so no other key has it.
func (Murmur3Partitioner) Prefix(key []byte) uint64 {
	if len(key) == 0 {
		return 0
	}
	h1, _ := Murmur3(key)
	if h1 == signBit {
		return math.MaxUint64
	}
	return h1 ^ signBit
}

// CompareTie implements Partitioner: the prefix is the whole token.
func (Murmur3Partitioner) CompareTie(a, b []byte) int { return bytes.Compare(a, b) }

// Min implements Partitioner.
func (Murmur3Partitioner) Min() Token { return Token{} }

// Parse implements Partitioner.
func (Murmur3Partitioner) Parse(s string) (Token, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return Token{}, fmt.Errorf("token: %q is not a Murmur3 token", s)
	}
	return FromInt64(v), nil
}

// Format implements Partitioner.
func (Murmur3Partitioner) Format(t Token) string { return strconv.FormatInt(t.Int64(), 10) }

// Midpoint implements Partitioner.
func (Murmur3Partitioner) Midpoint(l, r Token) Token {
	if l.Prefix < r.Prefix {
		return Token{Prefix: l.Prefix + (r.Prefix-l.Prefix)>>1}
	}
	// Cassandra counts the wrapped arc from maximum to minimum as 2^64-1 long and
	// halves L + R + 2^64-1 in signed arithmetic; in the shifted domain here that
	// is (l + r + 2^64 - 1) >> 1 with a 65-bit sum, less 2^64-1 when it passes the top.
	lo, carry := bits.Add64(l.Prefix, r.Prefix, 0)
	lo, borrow := bits.Sub64(lo, 1, 0)
	hi := carry + 1 - borrow
	mid := lo>>1 | hi<<63
	if hi > 1 {
		mid++
	}
	return Token{Prefix: mid}
}

// Share implements Partitioner.
func (Murmur3Partitioner) Share(l, r Token) float64 { return prefixShare(l, r) }

func prefixShare(l, r Token) float64 {
	if l.Prefix == r.Prefix {
		return 1
	}
	return float64(r.Prefix-l.Prefix) / (1 << 64)
}

// TypeName implements Partitioner.
func (Murmur3Partitioner) TypeName() string { return "bigint" }

// Value implements Partitioner.
func (Murmur3Partitioner) Value(t Token) []byte {
	return binary.BigEndian.AppendUint64(nil, t.Prefix^signBit)
}

// FromValue implements Partitioner.
func (Murmur3Partitioner) FromValue(v []byte) (Token, error) {
	if len(v) != 8 {
		return Token{}, fmt.Errorf("token: a Murmur3 token has 8 bytes, not %d", len(v))
	}
	return FromInt64(int64(binary.BigEndian.Uint64(v))), nil
}
