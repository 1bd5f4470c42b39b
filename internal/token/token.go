// Package token orders partition keys: which token a key has, which of two keys
// comes first, and which keys an arc of the ring holds.
//
// Nouns: Token (a position on the ring), Partitioner (key to token), Range (the
// arc `(left, right]`), Murmur3 (Cassandra's hash, also used by bloom filters).
//
// Everything that places or sorts partitions calls it: ring, store, query. It is
// pure, imports only the standard library and never knows nodes or tables.
package token

import (
	"cmp"
	"strings"
)

// Token is a position on the ring of some partitioner. Tokens of one
// partitioner order by Prefix (unsigned), then by Tail, so that nearly every
// comparison is one of two integers:
//
//	Murmur3Partitioner    Prefix = the int64 with its sign bit flipped, Tail = ""
//	RandomPartitioner     Prefix, Tail = high 64 bits, low 8 bytes of 0..2^127
//	ByteOrderedPartitioner Prefix = first 8 bytes, zero padded; Tail = all bytes
//
// The zero Token is the minimum of every partitioner: Murmur3's -2^63, Random's
// -1 (whose empty Tail sorts below the 8 bytes every other token has) and the
// empty byte string. No key but the empty one has it.
type Token struct {
	Prefix uint64
	Tail   string
}

// Compare is negative, zero or positive as t comes before, is, or comes after u.
func (t Token) Compare(u Token) int {
	if t.Prefix != u.Prefix {
		return cmp.Compare(t.Prefix, u.Prefix)
	}
	return strings.Compare(t.Tail, u.Tail)
}

// Less tells whether t comes before u.
func (t Token) Less(u Token) bool { return t.Compare(u) < 0 }

// IsMin tells whether t is the minimum token, which doubles as "the end of the
// ring" on the right side of a Range.
func (t Token) IsMin() bool { return t == Token{} }

// signBit maps int64 order onto uint64 order.
const signBit = 1 << 63

// FromInt64 is the Murmur3 token of that value.
func FromInt64(v int64) Token { return Token{Prefix: uint64(v) ^ signBit} }

// Int64 is the value of a Murmur3 token; meaningless for other partitioners.
func (t Token) Int64() int64 { return int64(t.Prefix ^ signBit) }
