package sstable

import (
	"encoding/binary"
	"fmt"

	"github.com/bits-and-blooms/bloom/v3"

	"helenus/internal/token"
)

// bloomFilter is Filter.db: the library's bit set with Cassandra's positions.
type bloomFilter struct {
	bits   *bloom.BloomFilter
	words  []uint64
	hashes int
}

// filterRates is Cassandra's table of false positive rates: row b-2 for b bits
// per key, from one hash on. Filters must be sized by it, since Cassandra
// compares a file's filter with what it would have made.
var filterRates = [...][]float64{
	{0.393, 0.4},
	{0.283, 0.237, 0.253},
	{0.221, 0.155, 0.147, 0.16},
	{0.181, 0.109, 0.092, 0.092, 0.101},
	{0.154, 0.0804, 0.0609, 0.0561, 0.0578, 0.0638},
	{0.133, 0.0618, 0.0423, 0.0359, 0.0347, 0.0364},
	{0.118, 0.0489, 0.0306, 0.024, 0.0217, 0.0216, 0.0229},
	{0.105, 0.0397, 0.0228, 0.0166, 0.0141, 0.0133, 0.0135, 0.0145},
	{0.0952, 0.0329, 0.0174, 0.0118, 0.00943, 0.00844, 0.00819, 0.00846},
	{0.0869, 0.0276, 0.0136, 0.00864, 0.0065, 0.00552, 0.00513, 0.00509},
	{0.08, 0.0236, 0.0108, 0.00646, 0.00459, 0.00371, 0.00329, 0.00314},
	{0.074, 0.0203, 0.00875, 0.00492, 0.00332, 0.00255, 0.00217, 0.00199, 0.00194},
	{0.0689, 0.0177, 0.00718, 0.00381, 0.00244, 0.00179, 0.00146, 0.00129, 0.00121, 0.0012},
	{0.0645, 0.0156, 0.00596, 0.003, 0.00183, 0.00128, 0.001, 0.000852, 0.000775, 0.000744},
	{0.0606, 0.0138, 0.005, 0.00239, 0.00139, 0.000935, 0.000702, 0.000574, 0.000505, 0.00047, 0.000459},
	{0.0571, 0.0123, 0.00423, 0.00193, 0.00107, 0.000692, 0.000499, 0.000394, 0.000335, 0.000302, 0.000287, 0.000284},
	{0.054, 0.0111, 0.00362, 0.00158, 0.000839, 0.000519, 0.00036, 0.000275, 0.000226, 0.000198, 0.000183, 0.000176},
	{0.0513, 0.00998, 0.00312, 0.0013, 0.000663, 0.000394, 0.000264, 0.000194, 0.000155, 0.000132, 0.000118, 0.000111, 0.000109},
	{0.0488, 0.00906, 0.0027, 0.00108, 0.00053, 0.000303, 0.000196, 0.00014, 0.000108, 0.0000889, 0.0000777, 0.0000712, 0.0000679, 0.0000671},
}

const (
	filterHashesMax = 64
	filterExcess    = 20
)

// filterShape gives bits per key and hashes for a rate of false positives.
func filterShape(chance float64) (bitsPerKey, hashes int) {
	for i, rates := range filterRates {
		bitsPerKey = i + 2
		hashes = 1
		for k, rate := range rates {
			if rate < rates[hashes-1] {
				hashes = k + 1
			}
		}
		if rates[hashes-1] > chance {
			continue
		}
		for hashes > 1 && rates[hashes-2] <= chance {
			hashes--
		}
		return bitsPerKey, hashes
	}
	return bitsPerKey, hashes
}

// newFilter makes an empty filter for keys; nil when chance asks for none.
func newFilter(keys int64, chance float64) *bloomFilter {
	if chance >= 1 {
		return nil
	}
	perKey, hashes := filterShape(chance)
	n := (max(keys, 1)*int64(perKey) + filterExcess + 63) / 64
	return filterOf(make([]uint64, n), hashes)
}

func filterOf(words []uint64, hashes int) *bloomFilter {
	return &bloomFilter{bloom.FromWithM(words, uint(len(words))*64, uint(hashes)), words, hashes}
}

// KeyHash is what filters need of a key: computed once, it serves many tables.
type KeyHash struct{ base, inc uint64 }

// HashKey hashes a partition key.
func HashKey(key []byte) KeyHash {
	inc, base := token.Murmur3(key)
	return KeyHash{base, inc}
}

// position is one of base, base+inc, ... modulo the size, signed, and then
// without its sign.
func (f *bloomFilter) position(base uint64) uint64 {
	p := int64(base) % (int64(len(f.words)) * 64)
	if p < 0 {
		p = -p
	}
	return uint64(p)
}

func (f *bloomFilter) add(key []byte) {
	h := HashKey(key)
	set := f.bits.BitSet()
	for range f.hashes {
		set.Set(uint(f.position(h.base)))
		h.base += h.inc
	}
}

// mayContain is true for every key that was added; no filter contains all.
func (f *bloomFilter) mayContain(h KeyHash) bool {
	if f == nil {
		return true
	}
	for range f.hashes { // a key that is not there most often ends it soon
		p := f.position(h.base)
		if f.words[p>>6]>>(p&63)&1 == 0 {
			return false
		}
		h.base += h.inc
	}
	return true
}

func (f *bloomFilter) append(dst []byte) []byte {
	dst = appendU32(dst, uint32(f.hashes))
	dst = appendU32(dst, uint32(len(f.words)))
	for _, w := range f.words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

func decodeFilter(b []byte) (*bloomFilter, error) {
	d := decoder{all: b}
	hashes := d.u32()
	n := d.count(uint64(d.u32()), 8)
	if d.err == nil && (hashes < 1 || hashes > filterHashesMax || n < 1) {
		return nil, fmt.Errorf("a filter of %d hashes and %d words", hashes, n)
	}
	words := make([]uint64, n)
	for i := range words {
		if w := d.take(8); w != nil {
			words[i] = binary.LittleEndian.Uint64(w)
		}
	}
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	return filterOf(words, int(hashes)), nil
}
