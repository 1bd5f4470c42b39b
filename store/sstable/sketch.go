package sstable

import (
	"encoding/binary"
	"math/bits"
)

// sketch estimates how many distinct keys a set holds, in the form of
// HyperLogLog++ that Cassandra keeps in the COMPACTION component to size the
// filter of a merged table. We do not read it back.
type sketch struct{ registers [1 << sketchBits]uint8 }

const (
	sketchBits       = 13
	sketchSparseBits = 25 // of the sparse form, which is named but not used
	sketchVersion    = 2
	sketchRunMax     = 31 // a register has five bits
)

func (s *sketch) add(key []byte) {
	h := murmur2(key)
	run := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1))) + 1
	i := h >> (64 - sketchBits)
	s.registers[i] = max(s.registers[i], min(run, sketchRunMax))
}

func (s *sketch) bytes() []byte {
	const perWord = 6
	version := int32(-sketchVersion)
	dst := appendU32(nil, uint32(version))
	dst = binary.AppendUvarint(dst, sketchBits)
	dst = binary.AppendUvarint(dst, sketchSparseBits)
	words := make([]uint32, len(s.registers)/perWord+1)
	for i, r := range s.registers {
		words[i/perWord] |= uint32(r) << (5 * (i % perWord))
	}
	dst = binary.AppendUvarint(dst, 0) // the dense form
	dst = binary.AppendUvarint(dst, uint64(4*len(words)))
	for _, w := range words {
		dst = appendU32(dst, w)
	}
	return dst
}

// murmur2 is MurmurHash2's 64-bit form with seed 0 as Cassandra computes it:
// bytes of the tail are sign-extended, as in its Murmur3.
func murmur2(key []byte) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := uint64(len(key)) * m
	for len(key) >= 8 {
		k := binary.LittleEndian.Uint64(key) * m
		k ^= k >> r
		h = (h ^ k*m) * m
		key = key[8:]
	}
	if len(key) > 0 {
		for i := len(key) - 1; i >= 0; i-- {
			h ^= uint64(int64(int8(key[i]))) << (8 * uint(i))
		}
		h *= m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}
