package main

import (
	"encoding/binary"
	"fmt"
)

// A row is a key of 16 random bytes and five values of 36 characters: 12 that
// follow from row and column, 4 that follow from the version, 20 of a small
// dictionary, so that there is something to compress.
const (
	keySize    = 16
	columns    = 5
	columnSize = 36
	ownSize    = 12
	phrase     = 20
	digits     = "0123456789abcdef"
	phrases    = "the quick brown fox jumped over a lazydog and went straight home to sleepwhile all others wait for the next morning and its rain and the cat sat still on a warm mat by a window and looked upon the whole garden below it"
)

// missing is added to the number of a row that was never written.
const missing = 1 << 40

// mix is splitmix64: the same number always gives the same bytes.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func putKey(dst []byte, row uint64) {
	binary.BigEndian.PutUint64(dst, mix(row))
	binary.BigEndian.PutUint64(dst[8:], mix(^row))
}

func putHex(dst []byte, x uint64) {
	for i := range dst {
		dst[i] = digits[x&15]
		x >>= 4
	}
}

// putValue fills one column of a version of a row.
func putValue(dst []byte, key []byte, column int, version uint64) {
	x := ownOf(key, column)
	putHex(dst[:ownSize], x)
	putHex(dst[ownSize:columnSize-phrase], mix(version))
	copy(dst[columnSize-phrase:columnSize], phrases[(x>>48)%9*phrase:])
}

func ownOf(key []byte, column int) uint64 {
	return mix(binary.BigEndian.Uint64(key[8:]) + uint64(column))
}

// checkValue tells whether a value is of that row and column, of any version.
func checkValue(value, key []byte, column int) error {
	var want [ownSize]byte
	putHex(want[:], ownOf(key, column))
	if len(value) != columnSize || string(value[:ownSize]) != string(want[:]) {
		return fmt.Errorf("column %d of %x is %q, should begin with %q", column, key, value, want)
	}
	return nil
}

// timestampOf gives versions microseconds of 16 decimal digits, later ones
// greater: encoded, all are as long as each other.
func timestampOf(version uint64) int64 { return 1_700_000_000_000_000 + int64(version) }
