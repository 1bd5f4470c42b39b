package query

import (
	"encoding/binary"
	"math"

	"helenus"
	"helenus/internal/cql/types"
)

// pagingState says where a page ended, so that any node can go on from there:
// version byte, flags, key, clustering order, rows remaining under LIMIT, rows
// given of the partition. Clients treat it as opaque.
type pagingState struct {
	key           []byte
	after         []byte // clustering order of the last row; empty with partitionDone
	remaining     int    // of the LIMIT; MaxInt32 when there is none
	inPartition   int
	partitionDone bool
}

const pagingVersion = 1

func (s *pagingState) encode() []byte {
	out := []byte{pagingVersion, 0}
	if s.partitionDone {
		out[1] = 1
	}
	for _, b := range [][]byte{s.key, s.after} {
		out = types.AppendUnsignedVInt(out, uint64(len(b)))
		out = append(out, b...)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(min(s.remaining, math.MaxInt32)))
	return binary.BigEndian.AppendUint32(out, uint32(min(s.inPartition, math.MaxInt32)))
}

func (s *pagingState) decode(b []byte) error {
	bad := helenus.Errorf(helenus.CodeProtocol, "Invalid value for the paging state")
	if len(b) < 2 || b[0] != pagingVersion || b[1] > 1 {
		return bad
	}
	s.partitionDone = b[1] == 1
	b = b[2:]
	for _, to := range []*[]byte{&s.key, &s.after} {
		n, size := types.UnsignedVInt(b)
		if size == 0 || n > uint64(len(b)-size) {
			return bad
		}
		*to, b = b[size:size+int(n)], b[size+int(n):]
	}
	if len(b) != 8 || len(s.key) == 0 {
		return bad
	}
	s.remaining = int(int32(binary.BigEndian.Uint32(b)))
	s.inPartition = int(int32(binary.BigEndian.Uint32(b[4:])))
	if s.remaining <= 0 || s.inPartition < 0 {
		return bad
	}
	if s.remaining == math.MaxInt32 {
		s.remaining = math.MaxInt
	}
	return nil
}
