package proto

import (
	"encoding/binary"
	"hash/crc32"

	"helenus"
	"helenus/internal/compress"
)

// Segments of v5 (2.2 of its specification, which calls them frames):
// a header of 6 or, with LZ4, 8 bytes in little-endian order with a CRC24 in
// its last three, a payload, a CRC32 of the payload as it stands.
//
//	plain: 17 bits length, 1 bit self-contained
//	LZ4:   17 bits length, 17 bits length before compression (0: not
//	       compressed), 1 bit self-contained; the CRC24 covers five bytes
const (
	segmentMax         = 1<<17 - 1
	segmentPlainHeader = 6
	segmentLZ4Header   = 8
	segmentTrailer     = 4
	crc24Size          = 3
)

// Framing is how envelopes travel on a connection.
type Framing uint8

// The framings. A connection begins with FramingNone and, when both speak v5,
// switches right after the answer to STARTUP.
const (
	FramingNone Framing = iota
	FramingPlain
	FramingLZ4
)

func (f Framing) headerSize() int {
	if f == FramingLZ4 {
		return segmentLZ4Header
	}
	return segmentPlainHeader
}

// crc24 covers the low n bytes of a header, least significant first. The
// polynomial and the start value were chosen by Cassandra's authors for their
// Hamming distance at this length.
func crc24(header uint64, n int) uint32 {
	const start, polynomial = 0x875060, 0x1974F0B
	crc := uint32(start)
	for range n {
		crc ^= uint32(header&0xff) << 16
		header >>= 8
		for range 8 {
			crc <<= 1
			if crc&0x1000000 != 0 {
				crc ^= polynomial
			}
		}
	}
	return crc
}

// crc32Seed is the state after the four bytes FA 2D 55 CA, which keep a
// payload of zeros from having the sum zero.
const crc32Seed = 0x44777ed3

func payloadCRC(b []byte) uint32 { return crc32.Update(crc32Seed, crc32.IEEETable, b) }

// putSegmentHeader fills the header at b. plainSize is the size before
// compression, used with LZ4 only; 0 says the payload is not compressed.
func putSegmentHeader(b []byte, f Framing, size, plainSize int, selfContained bool) {
	h, flag := uint64(size), 17
	if f == FramingLZ4 {
		h |= uint64(plainSize) << 17
		flag = 34
	}
	if selfContained {
		h |= 1 << flag
	}
	n := f.headerSize() - crc24Size
	h |= uint64(crc24(h, n)) << (8 * n)
	for i := range f.headerSize() {
		b[i] = byte(h >> (8 * i))
	}
}

// segmentHeader is a header read and checked.
type segmentHeader struct {
	size, plainSize int
	selfContained   bool
}

func parseSegmentHeader(b []byte, f Framing) (segmentHeader, *helenus.Error) {
	var h uint64
	for i := range f.headerSize() {
		h |= uint64(b[i]) << (8 * i)
	}
	n := f.headerSize() - crc24Size
	read := uint32(h >> (8 * n))
	h &= 1<<(8*n) - 1
	if computed := crc24(h, n); computed != read {
		return segmentHeader{}, protocolErrorf("Unrecoverable CRC mismatch detected in frame header. Read %d, Computed %d", read, computed)
	}
	s := segmentHeader{size: int(h & segmentMax), selfContained: h>>17&1 != 0}
	if f == FramingLZ4 {
		s.plainSize = int(h >> 17 & segmentMax)
		s.selfContained = h>>34&1 != 0
	}
	return s, nil
}

// openSegment checks the payload of a whole segment and, if it is compressed,
// decompresses it into scratch, which is returned grown.
func openSegment(b []byte, f Framing, h segmentHeader, scratch []byte) (payload, grown []byte, err *helenus.Error) {
	payload = b[f.headerSize() : f.headerSize()+h.size]
	read := binary.LittleEndian.Uint32(b[f.headerSize()+h.size:])
	if computed := payloadCRC(payload); computed != read {
		return nil, scratch, protocolErrorf("Unrecoverable CRC mismatch detected in frame body. Read %d, Computed %d", int32(read), int32(computed))
	}
	if f != FramingLZ4 || h.plainSize == 0 {
		return payload, scratch, nil
	}
	scratch = sized(scratch, h.plainSize)
	if _, e := compress.LZ4Block().Decompress(scratch, payload); e != nil {
		return nil, scratch, protocolErrorf("Cannot decompress a frame: %v", e)
	}
	return scratch, scratch, nil
}

// sized is b with length n, its contents of no interest.
func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
