package commitlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The bytes of a segment: docs/format/commitlog.md. All integers are
// little-endian.
const (
	formatVersion = 1
	magic         = "HLog"

	headerSize      = 64 // of a segment; lies in one sector
	blockHeaderSize = 24
	frameSize       = 8 // of a record: size and checksum

	flagFirst = 1 // first block of its group
	flagLast  = 2 // last block of its group

	kindData   = 1
	kindMarker = 2
	kindClosed = 3

	dataOverhead = 1 + 2       // kind, number of tables
	markerSize   = 1 + 16 + 12 // kind, table, position
)

// castagnoli is never changed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHeader is the first block of a segment.
type segmentHeader struct {
	id          uint64
	firstLive   uint64 // segments before it are not part of the log
	previousEnd uint32 // where segment id-1 ends; 0 if it is not part of the log
	segmentSize uint32
	blockSize   uint32
}

func appendSegmentHeader(dst []byte, h segmentHeader) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, formatVersion)
	dst = append(dst, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.id)
	dst = binary.LittleEndian.AppendUint64(dst, h.firstLive)
	dst = binary.LittleEndian.AppendUint32(dst, h.previousEnd)
	dst = binary.LittleEndian.AppendUint32(dst, h.segmentSize)
	dst = binary.LittleEndian.AppendUint32(dst, h.blockSize)
	dst = append(dst, make([]byte, headerSize-(len(dst)-start))...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// parseSegmentHeader tells whether b starts a segment. A header of a version
// that this release cannot read is an error, not a missing header.
func parseSegmentHeader(b []byte) (h segmentHeader, ok bool, err error) {
	if len(b) < headerSize || string(b[4:8]) != magic ||
		binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:headerSize], castagnoli) {
		return h, false, nil
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != formatVersion {
		return h, false, fmt.Errorf("format version %d, this release reads %d", v, formatVersion)
	}
	h = segmentHeader{
		id:          binary.LittleEndian.Uint64(b[12:]),
		firstLive:   binary.LittleEndian.Uint64(b[20:]),
		previousEnd: binary.LittleEndian.Uint32(b[28:]),
		segmentSize: binary.LittleEndian.Uint32(b[32:]),
		blockSize:   binary.LittleEndian.Uint32(b[36:]),
	}
	o := Options{SegmentSize: int(h.segmentSize), BlockSize: int(h.blockSize)}
	if _, err := o.withDefaults(); err != nil {
		return h, false, err
	}
	if h.id == 0 || h.firstLive == 0 || h.firstLive > h.id || h.segmentSize == 0 || h.blockSize == 0 {
		return h, false, fmt.Errorf("segment %d with first live segment %d", h.id, h.firstLive)
	}
	return h, true, nil
}

// blockHeader stands before the bytes of each block but the first.
type blockHeader struct {
	segment uint64
	group   uint32 // number in the segment, from 1
	index   uint32 // of the block in the segment
	used    int    // bytes after the header
	flags   byte
}

// putBlockHeader fills the header of a block whose bytes are in place.
func putBlockHeader(block []byte, h blockHeader) {
	binary.LittleEndian.PutUint64(block[4:], h.segment)
	binary.LittleEndian.PutUint32(block[12:], h.group)
	binary.LittleEndian.PutUint32(block[16:], h.index)
	binary.LittleEndian.PutUint16(block[20:], uint16(h.used))
	block[22], block[23] = h.flags, 0
	binary.LittleEndian.PutUint32(block, crc32.Checksum(block[4:blockHeaderSize+h.used], castagnoli))
}

// parseBlock gives the header and bytes of a block, if they are intact.
func parseBlock(block []byte) (h blockHeader, body []byte, ok bool) {
	if len(block) < blockHeaderSize {
		return h, nil, false
	}
	used := int(binary.LittleEndian.Uint16(block[20:]))
	if used > len(block)-blockHeaderSize {
		return h, nil, false
	}
	if binary.LittleEndian.Uint32(block) != crc32.Checksum(block[4:blockHeaderSize+used], castagnoli) {
		return h, nil, false
	}
	h = blockHeader{
		segment: binary.LittleEndian.Uint64(block[4:]),
		group:   binary.LittleEndian.Uint32(block[12:]),
		index:   binary.LittleEndian.Uint32(block[16:]),
		used:    used,
		flags:   block[22],
	}
	return h, block[blockHeaderSize : blockHeaderSize+used], true
}

// checkFrame says what is wrong with a whole record, frame included.
func checkFrame(rec []byte) (reason string) {
	crc := crc32.Update(0, castagnoli, rec[:4])
	crc = crc32.Update(crc, castagnoli, rec[frameSize:])
	if crc != binary.LittleEndian.Uint32(rec[4:]) {
		return "record checksum"
	}
	return ""
}

// parseData splits the body of a data record, kind included.
func parseData(body, tables []byte) (_, payload []byte, ok bool) {
	if len(body) < dataOverhead {
		return tables, nil, false
	}
	n := int(binary.LittleEndian.Uint16(body[1:])) * len(TableID{})
	body = body[dataOverhead:]
	if n == 0 || n > len(body) {
		return tables, nil, false
	}
	return append(tables, body[:n]...), body[n:], true
}

func appendMarker(dst []byte, table TableID, upTo Position) []byte {
	dst = append(dst, kindMarker)
	dst = append(dst, table[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, upTo.Segment)
	return binary.LittleEndian.AppendUint32(dst, upTo.Offset)
}

// parseMarker reads the body of a marker record, kind included.
func parseMarker(body []byte) (table TableID, upTo Position, ok bool) {
	if len(body) != markerSize {
		return table, upTo, false
	}
	copy(table[:], body[1:])
	upTo.Segment = binary.LittleEndian.Uint64(body[17:])
	upTo.Offset = binary.LittleEndian.Uint32(body[25:])
	return table, upTo, true
}
