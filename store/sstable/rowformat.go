package sstable

// The flags of a row or marker in Data.
const (
	flagEnd             = 0x01
	flagMarker          = 0x02
	flagTimestamp       = 0x04
	flagTTL             = 0x08
	flagDeletion        = 0x10
	flagAllColumns      = 0x20
	flagComplexDeletion = 0x40
	flagExtended        = 0x80

	extStatic     = 0x01
	extShadowable = 0x02 // a row deletion of old materialized views
)

// The flags of a cell.
const (
	cellDeleted      = 0x01
	cellExpiring     = 0x02
	cellEmpty        = 0x04
	cellRowTimestamp = 0x08
	cellRowTTL       = 0x10
)

// The kinds of clusterings and bounds.
const (
	kindExclEnd                = 0
	kindInclStart              = 1
	kindExclEndInclStart       = 2
	kindStatic                 = 3
	kindRow                    = 4
	kindInclEndExclStart       = 5
	kindInclEnd                = 6
	kindExclStart              = 7
	largeSubset                = 64 // columns from which on a subset is a list
	indexBlockWidthBase  int64 = 64 << 10
)

// boundAfter tells whether a bound of a kind lies behind all rows with its
// prefix; false for kinds that are no bound.
func boundAfter(kind byte) (after, ok bool) {
	switch kind {
	case kindExclEnd, kindInclStart, kindExclEndInclStart:
		return false, true
	case kindInclEnd, kindExclStart, kindInclEndExclStart:
		return true, true
	}
	return false, false
}
