package compress

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/pierrec/lz4/v4"
)

var errNoPrefix = errors.New("shorter than its length prefix")

// LZ4Block is the bare block: what a protocol v5 segment carries, whose header
// has both lengths.
func LZ4Block() Codec { return lz4Block{} }

// LZ4Body is the body of a compressed protocol v4 envelope: the uncompressed
// length as 4 bytes big-endian, then the block.
func LZ4Body() Codec { return lz4Body }

// lz4Body is shared, as a Codec made for each body would be an allocation.
var lz4Body = &lz4Prefixed{order: binary.BigEndian, block: lz4Block{}}

// LZ4BodyLen reads the uncompressed length of such a body; the caller compares
// it with its limit before it makes room. More than the format could make of
// so few bytes is an error.
func LZ4BodyLen(src []byte) (int, error) {
	if len(src) < lz4PrefixSize {
		return 0, corrupt(NameLZ4, errNoPrefix)
	}
	n := int32(binary.BigEndian.Uint32(src))
	if n < 0 || int64(n) > lz4RatioMax*int64(len(src)) {
		return 0, wrongSize(NameLZ4, int(n), len(src))
	}
	return int(n), nil
}

// newLZ4Table is a chunk of Data.db: the length little-endian, then the block.
func newLZ4Table(high bool, level int) Codec {
	p := &lz4Prefixed{order: binary.LittleEndian, block: lz4Block{}}
	if high {
		// The library's depth is a search window, doubled per level up to 9;
		// the file format does not depend on it.
		depth := lz4.CompressionLevel(1 << (8 + min(level, 9)))
		p.block = &lz4High{pool: sync.Pool{New: func() any { return &lz4.CompressorHC{Level: depth} }}}
	}
	return p
}

type lz4Block struct{}

func (lz4Block) Name() string            { return NameLZ4 }
func (lz4Block) CompressBound(n int) int { return lz4.CompressBlockBound(n) }

func (lz4Block) Compress(dst, src []byte) (int, error) {
	if len(dst) < lz4.CompressBlockBound(len(src)) {
		return 0, errShort
	}
	if len(src) == 0 {
		return lz4Empty(dst), nil
	}
	if len(src) <= lz4FastMax {
		return lz4Fast(dst, src), nil
	}
	return lz4.CompressBlock(src, dst, nil)
}

func (lz4Block) Decompress(dst, src []byte) (int, error) {
	// The library takes an empty source for an empty block; the format wants
	// a token even for nothing, and so does Cassandra's decompressor.
	if len(src) == 0 {
		return 0, wrongSize(NameLZ4, len(dst), 0)
	}
	// The library's assembly reads through a nil destination; the block of
	// nothing is one zero token and is settled here.
	if len(dst) == 0 {
		if len(src) == 1 && src[0] == 0 {
			return 0, nil
		}
		return 0, wrongSize(NameLZ4, 0, len(src))
	}
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return 0, corrupt(NameLZ4, err)
	}
	if n != len(dst) {
		return 0, wrongSize(NameLZ4, len(dst), n)
	}
	return n, nil
}

// lz4Empty writes the block of no bytes: one token, no literals, no match.
func lz4Empty(dst []byte) int {
	dst[0] = 0
	return 1
}

// lz4High searches longer for the same format.
type lz4High struct {
	lz4Block
	pool sync.Pool
}

func (h *lz4High) Compress(dst, src []byte) (int, error) {
	if len(dst) < lz4.CompressBlockBound(len(src)) {
		return 0, errShort
	}
	if len(src) == 0 {
		return lz4Empty(dst), nil
	}
	c := h.pool.Get().(*lz4.CompressorHC)
	n, err := c.CompressBlock(src, dst)
	h.pool.Put(c)
	return n, err
}

const lz4PrefixSize = 4

// lz4RatioMax is the most a byte of a block can stand for: a byte that
// lengthens a match adds 255.
const lz4RatioMax = 255

type lz4Prefixed struct {
	order binary.ByteOrder
	block Codec
}

func (p *lz4Prefixed) Name() string            { return NameLZ4 }
func (p *lz4Prefixed) CompressBound(n int) int { return lz4PrefixSize + lz4.CompressBlockBound(n) }

func (p *lz4Prefixed) Compress(dst, src []byte) (int, error) {
	if len(dst) < p.CompressBound(len(src)) {
		return 0, errShort
	}
	p.order.PutUint32(dst, uint32(len(src)))
	n, err := p.block.Compress(dst[lz4PrefixSize:], src)
	return n + lz4PrefixSize, err
}

func (p *lz4Prefixed) Decompress(dst, src []byte) (int, error) {
	if len(src) < lz4PrefixSize {
		return 0, corrupt(NameLZ4, errNoPrefix)
	}
	if n := p.order.Uint32(src); int64(n) != int64(len(dst)) {
		return 0, wrongSize(NameLZ4, len(dst), int(n))
	}
	return p.block.Decompress(dst, src[lz4PrefixSize:])
}
