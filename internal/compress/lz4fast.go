package compress

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// The rules of the LZ4 block format: a match has at least four bytes, starts no
// later than twelve bytes before the end of the block and leaves its last five
// to literals.
const (
	lz4MatchMin  = 4
	lz4StartEnd  = 12
	lz4TailBytes = 5
	lz4Nibble    = 15 // of a token, from which on bytes of length follow

	// lz4FastMax is the largest input of lz4Fast: every position fits into 16
	// bits, and no match can be too far back.
	lz4FastMax = 1 << 16

	// The table has an entry for each position or two.
	lz4TableBits    = 15
	lz4TableBitsMin = 8
	// lz4Patience says how soon the search takes larger steps where nothing
	// repeats: one byte more for each 64 without a match.
	lz4Patience = 6
)

// lz4Table holds where a hash was seen last. All of it is cleared for each
// block, so that the same input always gives the same output; zero is also the
// first position, which is as good a guess as any, since all are compared.
type lz4Table [1 << lz4TableBits]uint16

var lz4Tables = sync.Pool{New: func() any { return new(lz4Table) }}

// lz4Fast compresses a block of at most lz4FastMax bytes into dst, which has
// room for the largest result. For a chunk of 16 KiB its table takes 32 KiB, which
// a core's first cache holds; the library's takes 136 for every block.
func lz4Fast(dst, src []byte) int {
	t := lz4Tables.Get().(*lz4Table)
	n := t.compress(dst, src)
	lz4Tables.Put(t)
	return n
}

func (t *lz4Table) compress(dst, src []byte) int {
	d, anchor := 0, 0
	// Three places are looked at before the end is.
	if end := len(src) - lz4StartEnd - 2; end > 0 {
		width := min(max(bits.Len(uint(len(src)))-1, lz4TableBitsMin), lz4TableBits)
		clear(t[:1<<width])
		shift := uint(64 - width)
		for s := 1; s <= end; {
			x := binary.LittleEndian.Uint64(src[s:])
			ref, found := t.seen(src, x, s, shift)
			if !found {
				s++
				ref, found = t.seen(src, x>>8, s, shift)
			}
			if !found {
				s++
				ref, found = t.seen(src, x>>16, s, shift)
			}
			if !found {
				s += 2 + (s-anchor)>>lz4Patience
				continue
			}
			for ref > 0 && s > anchor && src[ref-1] == src[s-1] {
				ref--
				s--
			}
			n := lz4MatchMin + lz4Equal(src[:len(src)-lz4TailBytes], s+lz4MatchMin, ref+lz4MatchMin)
			d = lz4Sequence(dst, d, src, anchor, s, s-ref, n)
			s += n
			anchor = s
			if s <= end {
				t[lz4Hash(binary.LittleEndian.Uint64(src[s-2:]), shift)] = uint16(s - 2)
			}
		}
	}
	return lz4Literals(dst, d, src[anchor:], 0)
}

// seen gives the last place, as far as is known, of the four bytes x begins
// with, and notes that they are at s, too.
func (t *lz4Table) seen(src []byte, x uint64, s int, shift uint) (ref int, found bool) {
	h := lz4Hash(x, shift)
	ref = int(t[h])
	t[h] = uint16(s)
	return ref, binary.LittleEndian.Uint32(src[ref:]) == uint32(x)
}

// lz4Hash hashes six bytes: places that share only four or five are often not
// worth a match.
func lz4Hash(x uint64, shift uint) uint64 {
	const odd = 227718039650203 // a prime of 48 bits
	return (x << 16 * odd) >> shift & (1<<lz4TableBits - 1)
}

// lz4Equal counts the equal bytes from a and from b, which is less, on.
func lz4Equal(src []byte, a, b int) int {
	p, q := src[a:], src[b:]
	q = q[:len(p)]
	n := 0
	for ; n <= len(p)-8; n += 8 {
		if x := binary.LittleEndian.Uint64(p[n:n+8]) ^ binary.LittleEndian.Uint64(q[n:n+8]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < len(p) && p[n] == q[n] {
		n++
	}
	return n
}

// lz4Sequence writes the literals from anchor to s and a match of n bytes.
func lz4Sequence(dst []byte, d int, src []byte, anchor, s, offset, n int) int {
	n -= lz4MatchMin
	l := s - anchor
	if l < lz4Nibble+255 && s+16 <= len(src) && d+2+l+16 <= len(dst) {
		dst[d] = byte(min(l, lz4Nibble)<<4 | min(n, lz4Nibble))
		d++
		if l >= lz4Nibble {
			dst[d] = byte(l - lz4Nibble)
			d++
		}
		// 16 bytes at a time: what follows overwrites those too many.
		for i := 0; i < l; i += 16 {
			*(*[16]byte)(dst[d+i:]) = *(*[16]byte)(src[anchor+i:])
		}
		d += l
	} else {
		d = lz4Literals(dst, d, src[anchor:s], min(n, lz4Nibble))
	}
	binary.LittleEndian.PutUint16(dst[d:], uint16(offset))
	d += 2
	if n >= lz4Nibble {
		d = lz4Length(dst, d, n-lz4Nibble)
	}
	return d
}

// lz4Literals writes a token with the length of a match, and literals.
func lz4Literals(dst []byte, d int, literals []byte, match int) int {
	dst[d] = byte(min(len(literals), lz4Nibble)<<4 | match)
	d++
	if len(literals) >= lz4Nibble {
		d = lz4Length(dst, d, len(literals)-lz4Nibble)
	}
	return d + copy(dst[d:], literals)
}

// lz4Length writes what a nibble could not say of a length.
func lz4Length(dst []byte, d, n int) int {
	for ; n >= 255; n -= 255 {
		dst[d] = 255
		d++
	}
	dst[d] = byte(n)
	return d + 1
}
