package token

import (
	"fmt"
	"strings"
)

// Partitioner maps keys to tokens. Implementations are stateless values and may
// be compared with ==.
type Partitioner interface {
	// Name is the full Java class name, as drivers and SSTables spell it.
	Name() string
	// Token is the token of a partition key.
	Token(key []byte) Token
	// Prefix is Token(key).Prefix without an allocation: the hot path.
	Prefix(key []byte) uint64
	// CompareTie orders two keys whose prefixes are equal: by the rest of their
	// tokens, then by the key bytes, unsigned.
	CompareTie(a, b []byte) int
	// Min is the minimum token; always the zero Token.
	Min() Token
	// Parse reads the text form of tokens in system tables and initial_token.
	Parse(s string) (Token, error)
	// Format is the inverse of Parse.
	Format(t Token) string
	// Midpoint halves the arc (l, r], wrapping if l >= r.
	Midpoint(l, r Token) Token
	// Share is the part of the ring in (l, r], 0 < Share <= 1 if the arc is not
	// empty; l == r is the whole ring.
	Share(l, r Token) float64
	// TypeName is the CQL type of token(): bigint, varint or blob.
	TypeName() string
	// Value is the token as a CQL value of that type.
	Value(t Token) []byte
	// FromValue is the inverse of Value.
	FromValue(v []byte) (Token, error)
}

// ByName finds a partitioner by its class name, with or without its package.
func ByName(name string) (Partitioner, error) {
	for _, p := range []Partitioner{Murmur3Partitioner{}, RandomPartitioner{}, ByteOrderedPartitioner{}} {
		if name == p.Name() || name == strings.TrimPrefix(p.Name(), javaPackage) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("token: unknown partitioner %q: one of Murmur3Partitioner, RandomPartitioner, ByteOrderedPartitioner", name)
}

const javaPackage = "org.apache.cassandra.dht."
