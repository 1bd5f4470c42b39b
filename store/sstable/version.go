package sstable

import (
	"fmt"
	"math"

	"helenus/store/row"
)

// Version is a version of the file format: two letters in every file name.
type Version string

// The versions that Writer makes.
const (
	NB Version = "nb"
	OA Version = "oa"
)

// layout says in which respects the versions differ.
type layout struct {
	longDeletionTime bool // u32 seconds, deletions timestamp first, LIVE in one byte
	improvedMinMax   bool // covered slice, key range, token space instead of min and max values
}

func (v Version) layout() (layout, error) {
	switch v {
	case NB:
		return layout{}, nil
	case OA:
		return layout{longDeletionTime: true, improvedMinMax: true}, nil
	}
	return layout{}, fmt.Errorf("format version %q is not one this build reads (nb, oa)", string(v))
}

// The greatest local deletion times of a file, in seconds since 1970. Greater
// ones than a version's are reserved: no deletion, and invalid.
const (
	maxLocalTimeNB = math.MaxInt32 - 1
	maxLocalTimeOA = math.MaxUint32 - 2
)

// VersionFor chooses the version that can express maxLocalTime, the greatest
// local deletion time among what will be written (row.NoDeletionTime counts
// not): nb if possible, which all of Cassandra since 4.0 reads.
func VersionFor(maxLocalTime int64) Version {
	if maxLocalTime > maxLocalTimeNB && maxLocalTime != row.NoDeletionTime {
		return OA
	}
	return NB
}

func (l layout) maxLocalTime() int64 {
	if l.longDeletionTime {
		return maxLocalTimeOA
	}
	return maxLocalTimeNB
}
