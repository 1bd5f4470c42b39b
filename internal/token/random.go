package token

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// RandomPartitioner has the absolute value of the signed MD5 of the key as
// token, 0..2^127 both included.
type RandomPartitioner struct{}

// Name implements Partitioner.
func (RandomPartitioner) Name() string { return javaPackage + "RandomPartitioner" }

// hash128 is |MD5(key)| as two words; key is not empty.
func hash128(key []byte) (hi, lo uint64) {
	sum := md5.Sum(key)
	hi = binary.BigEndian.Uint64(sum[:8])
	lo = binary.BigEndian.Uint64(sum[8:])
	if hi&signBit != 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return hi, lo
}

func token128(hi, lo uint64) Token {
	var tail [8]byte
	binary.BigEndian.PutUint64(tail[:], lo)
	return Token{Prefix: hi, Tail: string(tail[:])}
}

// Token implements Partitioner.
func (RandomPartitioner) Token(key []byte) Token {
	if len(key) == 0 {
		return Token{}
	}
	return token128(hash128(key))
}

// Prefix implements Partitioner.
func (RandomPartitioner) Prefix(key []byte) uint64 {
	if len(key) == 0 {
		return 0
	}
	hi, _ := hash128(key)
	return hi
}

// CompareTie implements Partitioner.
func (RandomPartitioner) CompareTie(a, b []byte) int {
	if len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) {
		return bytes.Compare(a, b)
	}
	_, la := hash128(a)
	_, lb := hash128(b)
	if la != lb {
		if la < lb {
			return -1
		}
		return 1
	}
	return bytes.Compare(a, b)
}

// Min implements Partitioner.
func (RandomPartitioner) Min() Token { return Token{} }

func pow2(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

// bigOf is -1 for the minimum, else 0..2^127.
func bigOf(t Token) *big.Int {
	if len(t.Tail) != 8 {
		return big.NewInt(-1)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], t.Prefix)
	copy(b[8:], t.Tail)
	return new(big.Int).SetBytes(b[:])
}

func tokenOfBig(n *big.Int) (Token, error) {
	if n.IsInt64() && n.Int64() == -1 {
		return Token{}, nil
	}
	if n.Sign() < 0 || n.Cmp(pow2(127)) > 0 {
		return Token{}, fmt.Errorf("token: a Random token is between 0 and 2^127")
	}
	var b [16]byte
	n.FillBytes(b[:])
	return token128(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])), nil
}

// Parse implements Partitioner.
func (RandomPartitioner) Parse(s string) (Token, error) {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || len(s) > 40 || strings.HasPrefix(s, "+") {
		return Token{}, fmt.Errorf("token: %q is not a Random token", s)
	}
	return tokenOfBig(n)
}

// Format implements Partitioner.
func (RandomPartitioner) Format(t Token) string { return bigOf(t).String() }

// Midpoint implements Partitioner; the minimum counts as 0.
func (RandomPartitioner) Midpoint(l, r Token) Token {
	a, b := bigOf(l), bigOf(r)
	for _, n := range []*big.Int{a, b} {
		if n.Sign() < 0 {
			n.SetInt64(0)
		}
	}
	mid, _ := bigMidpoint(a, b, 127)
	t, err := tokenOfBig(mid)
	if err != nil {
		panic("token: midpoint outside the ring") // both ends were inside
	}
	return t
}

// bigMidpoint halves the arc from a to b on a ring of 2^sigBits positions; half
// tells that it was of odd length.
func bigMidpoint(a, b *big.Int, sigBits uint) (mid *big.Int, half bool) {
	mid = new(big.Int)
	if a.Cmp(b) < 0 {
		mid.Add(a, b)
		half = mid.Bit(0) == 1
		return mid.Rsh(mid, 1), half
	}
	ring := pow2(sigBits)
	mid.Add(ring, b)
	mid.Sub(mid, a)
	half = mid.Bit(0) == 1
	mid.Rsh(mid, 1)
	mid.Add(mid, a)
	return mid.Mod(mid, ring), half
}

// Share implements Partitioner.
func (RandomPartitioner) Share(l, r Token) float64 {
	if l == r {
		return 1
	}
	d := new(big.Int).Sub(bigOf(r), bigOf(l))
	d.Mod(d, pow2(127))
	f, _ := new(big.Float).Quo(new(big.Float).SetInt(d), new(big.Float).SetInt(pow2(127))).Float64()
	return f
}

// TypeName implements Partitioner.
func (RandomPartitioner) TypeName() string { return "varint" }

// Value implements Partitioner: a varint, minimal two's complement.
func (RandomPartitioner) Value(t Token) []byte {
	n := bigOf(t)
	if n.Sign() < 0 {
		return []byte{0xff}
	}
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

// FromValue implements Partitioner.
func (RandomPartitioner) FromValue(v []byte) (Token, error) {
	if len(v) == 0 || len(v) > 17 {
		return Token{}, fmt.Errorf("token: a Random token has 1 to 17 bytes, not %d", len(v))
	}
	n := new(big.Int).SetBytes(v)
	if v[0]&0x80 != 0 {
		n.Sub(n, pow2(8*uint(len(v))))
	}
	return tokenOfBig(n)
}
