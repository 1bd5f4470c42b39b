package sstable

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"helenus/internal/compress"
)

// Chunking is how Data is compressed.
type Chunking struct {
	Class   string // simple name; empty: not compressed
	Options map[string]string
	// ChunkBytes is a power of two.
	ChunkBytes int
	// MaxStored is the size from which on a chunk is stored as it is.
	MaxStored int32
}

const (
	chunkDefault = 16 << 10
	chunkMax     = 16 << 20
	chunkSumSize = 4
)

// ChunkingOf reads a table's compression options.
func ChunkingOf(options map[string]string) (Chunking, error) {
	c := Chunking{ChunkBytes: chunkDefault, MaxStored: math.MaxInt32}
	if options["enabled"] == "false" || (options["class"] == "" && options["sstable_compression"] == "") {
		return Chunking{}, nil
	}
	for k, v := range options {
		var err error
		switch k {
		case "enabled", "crc_check_chance":
		case "class", "sstable_compression":
			c.Class = v[strings.LastIndexByte(v, '.')+1:]
		case "chunk_length_in_kb", "chunk_length_kb":
			var kb int
			kb, err = strconv.Atoi(v)
			c.ChunkBytes = kb << 10
		case "min_compress_ratio":
			var ratio float64
			if ratio, err = strconv.ParseFloat(v, 64); err == nil && ratio > 0 {
				c.MaxStored = -int32(ratio * 1000) // resolved below, when the chunk size is known
			}
		default:
			if c.Options == nil {
				c.Options = map[string]string{}
			}
			c.Options[k] = v
		}
		if err != nil {
			return Chunking{}, fmt.Errorf("sstable: compression option %s: %w", k, err)
		}
	}
	if c.MaxStored < 0 {
		c.MaxStored = int32((int64(c.ChunkBytes)*1000 - int64(c.MaxStored) - 1) / -int64(c.MaxStored))
	}
	return c, c.check()
}

func (c *Chunking) check() error {
	if c.ChunkBytes < 1<<9 || c.ChunkBytes > chunkMax || c.ChunkBytes&(c.ChunkBytes-1) != 0 {
		return fmt.Errorf("sstable: chunk length %d is not a power of two up to %d", c.ChunkBytes, chunkMax)
	}
	return nil
}

func (c *Chunking) codec() (compress.Codec, error) { return compress.ForTable(c.Class, c.Options) }

// compressionInfo is CompressionInfo.db.
type compressionInfo struct {
	Chunking
	dataBytes int64 // uncompressed
	offsets   []int64
}

func (c *compressionInfo) encode() []byte {
	dst := appendUTF(nil, c.Class)
	dst = appendU32(dst, uint32(len(c.Options)))
	for _, k := range slices.Sorted(maps.Keys(c.Options)) {
		dst = appendUTF(appendUTF(dst, k), c.Options[k])
	}
	dst = appendU32(appendU32(dst, uint32(c.ChunkBytes)), uint32(c.MaxStored))
	dst = appendU64(dst, uint64(c.dataBytes))
	dst = appendU32(dst, uint32(len(c.offsets)))
	for _, o := range c.offsets {
		dst = appendU64(dst, uint64(o))
	}
	return dst
}

// decodeCompression reads the offsets of chunks in a Data file of storedBytes.
func decodeCompression(b []byte, storedBytes int64) (*compressionInfo, error) {
	d := decoder{all: b}
	c := &compressionInfo{}
	c.Class = d.utf()
	for range d.count(uint64(d.u32()), 4) {
		if c.Options == nil {
			c.Options = map[string]string{}
		}
		k := d.utf()
		c.Options[k] = d.utf()
	}
	c.ChunkBytes, c.MaxStored = int(d.i32()), d.i32()
	c.dataBytes = d.i64()
	n := d.count(uint64(d.u32()), 8)
	if d.err != nil {
		return nil, d.err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	// Cassandra's compaction ends some files with a chunk of nothing.
	if c.dataBytes < 0 || int64(n) < (c.dataBytes+int64(c.ChunkBytes)-1)/int64(c.ChunkBytes) {
		return nil, fmt.Errorf("%d chunks of %d for %d bytes", n, c.ChunkBytes, c.dataBytes)
	}
	c.offsets = make([]int64, n)
	for i := range c.offsets {
		c.offsets[i] = d.i64()
		if i == 0 && c.offsets[0] != 0 || i > 0 && c.offsets[i] < c.offsets[i-1]+chunkSumSize {
			d.failf("chunk %d at %d", i, c.offsets[i])
		}
	}
	d.end()
	if d.err == nil && n > 0 && c.offsets[n-1]+chunkSumSize > storedBytes {
		d.failf("the last chunk at %d of %d", c.offsets[n-1], storedBytes)
	}
	return c, d.err
}

// stored gives the place of a chunk's payload; its checksum follows.
func (c *compressionInfo) stored(i int, storedBytes int64) (offset, size int64) {
	end := storedBytes
	if i+1 < len(c.offsets) {
		end = c.offsets[i+1]
	}
	return c.offsets[i], end - c.offsets[i] - chunkSumSize
}
