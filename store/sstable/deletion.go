package sstable

import (
	"encoding/binary"
	"errors"
	"math"

	"helenus/store/row"
)

// errDeletion is a deletion time that no writer makes.
var errDeletion = errors.New("an impossible deletion time")

const (
	deletionSizeMax = 12
	liveOA          = 0x80 // the one byte that says "not deleted"
)

// appendDeletion appends a deletion as partitions and index blocks hold it:
// local time, timestamp in nb; timestamp, local time, or one byte in oa.
func (l layout) appendDeletion(dst []byte, d row.Deletion) []byte {
	if !l.longDeletionTime {
		if d.IsLive() {
			return appendU64(appendU32(dst, math.MaxInt32), 1<<63)
		}
		return appendU64(appendU32(dst, uint32(d.LocalTime)), uint64(d.Timestamp))
	}
	if d.IsLive() {
		return append(dst, liveOA)
	}
	return appendU32(appendU64(dst, uint64(d.Timestamp)), uint32(d.LocalTime))
}

// deletion reads one from the front of b and returns its size: 0 when b is too
// short.
func (l layout) deletion(b []byte) (d row.Deletion, size int, err error) {
	if !l.longDeletionTime {
		if len(b) < deletionSizeMax {
			return d, 0, nil
		}
		d = row.Deletion{LocalTime: int64(int32(binary.BigEndian.Uint32(b))), Timestamp: int64(binary.BigEndian.Uint64(b[4:]))}
		return normal(d), deletionSizeMax, checkLocal(d)
	}
	if len(b) < 1 {
		return d, 0, nil
	}
	if b[0] == liveOA {
		// A timestamp that begins so would lie 290,000 years back.
		return row.Live(), 1, nil
	}
	if len(b) < deletionSizeMax {
		return d, 0, nil
	}
	d = row.Deletion{Timestamp: int64(binary.BigEndian.Uint64(b)), LocalTime: int64(binary.BigEndian.Uint32(b[8:]))}
	return normal(d), deletionSizeMax, nil
}

// normal gives the one form of "not deleted".
func normal(d row.Deletion) row.Deletion {
	if d.Timestamp == row.NoTimestamp {
		return row.Live()
	}
	return d
}

func checkLocal(d row.Deletion) error {
	if d.LocalTime < 0 {
		return errDeletion
	}
	return nil
}
