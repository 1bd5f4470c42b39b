package token

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
)

// ByteOrderedPartitioner has the key itself as token.
type ByteOrderedPartitioner struct{}

// Name implements Partitioner.
func (ByteOrderedPartitioner) Name() string { return javaPackage + "ByteOrderedPartitioner" }

// Token implements Partitioner.
func (p ByteOrderedPartitioner) Token(key []byte) Token {
	return Token{Prefix: p.Prefix(key), Tail: string(key)}
}

// Prefix implements Partitioner.
func (ByteOrderedPartitioner) Prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// CompareTie implements Partitioner.
func (ByteOrderedPartitioner) CompareTie(a, b []byte) int { return bytes.Compare(a, b) }

// Min implements Partitioner.
func (ByteOrderedPartitioner) Min() Token { return Token{} }

// Parse implements Partitioner: hexadecimal.
func (p ByteOrderedPartitioner) Parse(s string) (Token, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return Token{}, fmt.Errorf("token: %q is not a ByteOrdered token (hexadecimal)", s)
	}
	return p.Token(b), nil
}

// Format implements Partitioner.
func (ByteOrderedPartitioner) Format(t Token) string { return hex.EncodeToString([]byte(t.Tail)) }

// Midpoint implements Partitioner. An arc of odd length gets half a step by one
// byte more.
func (p ByteOrderedPartitioner) Midpoint(l, r Token) Token {
	n := max(len(l.Tail), len(r.Tail), 1)
	mid, half := bigMidpoint(padded(l.Tail, n), padded(r.Tail, n), uint(8*n))
	b := mid.FillBytes(make([]byte, n))
	if half {
		b = append(b, 0x80)
	}
	return p.Token(b)
}

func padded(s string, n int) *big.Int {
	b := make([]byte, n)
	copy(b, s)
	return new(big.Int).SetBytes(b)
}

// Share implements Partitioner. Key bytes are not spread evenly, so this is the
// share of byte strings, by their first 8 bytes; not of data.
func (ByteOrderedPartitioner) Share(l, r Token) float64 {
	if l != r && l.Prefix == r.Prefix {
		return 0
	}
	return prefixShare(l, r)
}

// TypeName implements Partitioner.
func (ByteOrderedPartitioner) TypeName() string { return "blob" }

// Value implements Partitioner.
func (ByteOrderedPartitioner) Value(t Token) []byte { return []byte(t.Tail) }

// FromValue implements Partitioner.
func (p ByteOrderedPartitioner) FromValue(v []byte) (Token, error) { return p.Token(v), nil }
