// Package compress turns blocks of bytes into smaller ones and back: the
// compressors that Cassandra's tables name and the ones its protocol names.
//
// Nouns: Codec (one algorithm with one framing, safe for many goroutines) and
// the framings of LZ4 (a bare block, a table's chunk, a protocol v4 body).
//
// store/sstable calls it for chunks, internal/cql/proto for bodies and
// segments, agent/wire for messages. It never reads or writes files or
// connections, and never allocates by a length it was sent: the caller hands
// in the destination, so the caller's bound is the bound.
package compress

import (
	"errors"
	"fmt"
	"strconv"
)

// Codec compresses one block at a time. A Codec is safe for concurrent use.
type Codec interface {
	// Name is the simple class name that tables and schemas use.
	Name() string
	// CompressBound is the largest size Compress makes of n bytes.
	CompressBound(n int) int
	// Compress writes src compressed to dst, which has at least
	// CompressBound(len(src)) bytes, and returns how many it wrote.
	Compress(dst, src []byte) (int, error)
	// Decompress fills dst, whose length is exactly the uncompressed size,
	// from src. Anything else in src is an error wrapping ErrCorrupt.
	Decompress(dst, src []byte) (int, error)
}

// ErrCorrupt is wrapped by every error of Decompress and of the length
// readers: the bytes are not what the codec writes.
var ErrCorrupt = errors.New("corrupt block")

// errShort is a programmer's mistake at the caller, reported rather than
// trusted because dst often comes from a pool.
var errShort = errors.New("compress: destination smaller than CompressBound")

// The names of the codecs, as in Cassandra's table options.
const (
	NameLZ4     = "LZ4Compressor"
	NameSnappy  = "SnappyCompressor"
	NameDeflate = "DeflateCompressor"
	NameZstd    = "ZstdCompressor"
	NameNoop    = "NoopCompressor"
)

// ForTable makes the codec of a table's compression class with its options,
// in the framing of Data.db chunks. Options of the chunking itself
// (chunk_length_in_kb and the like) are not the codec's and are refused here.
func ForTable(class string, options map[string]string) (Codec, error) {
	o := optionReader{class: class, left: len(options), m: options}
	var c Codec
	switch class {
	case NameLZ4:
		high := o.choice("lz4_compressor_type", "fast", "high") == "high"
		level := o.number("lz4_high_compressor_level", 9, 1, 17)
		c = newLZ4Table(high, level)
	case NameSnappy:
		c = Snappy()
	case NameDeflate:
		c = newDeflate()
	case NameZstd:
		c = newZstd(o.number("compression_level", 3, -131072, 22))
	case NameNoop:
		c = Noop()
	default:
		return nil, fmt.Errorf("compress: unknown compressor %q", class)
	}
	if o.err != nil {
		return nil, o.err
	}
	if o.left != 0 {
		return nil, fmt.Errorf("compress: %s: unknown option among %v", class, options)
	}
	return c, nil
}

// ForFile makes the codec that reads what a table of that class wrote. Options
// only steer writers, and old files carry some that no codec knows any more.
func ForFile(class string) (Codec, error) { return ForTable(class, nil) }

// optionReader takes options one by one, so that what is left is unknown.
type optionReader struct {
	class string
	m     map[string]string
	left  int
	err   error
}

func (o *optionReader) choice(key string, allowed ...string) string {
	v, ok := o.m[key]
	if !ok {
		return allowed[0]
	}
	o.left--
	for _, a := range allowed {
		if a == v {
			return v
		}
	}
	o.err = fmt.Errorf("compress: %s: %s is %q, want one of %v", o.class, key, v, allowed)
	return v
}

func (o *optionReader) number(key string, otherwise, low, high int) int {
	v, ok := o.m[key]
	if !ok {
		return otherwise
	}
	o.left--
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		o.err = fmt.Errorf("compress: %s: %s is %q, want %d to %d", o.class, key, v, low, high)
	}
	return n
}

func corrupt(name string, cause error) error {
	return fmt.Errorf("compress: %s: %w: %w", name, ErrCorrupt, cause)
}

func wrongSize(name string, want, got int) error {
	return fmt.Errorf("compress: %s: %w: %d bytes declared, %d found", name, ErrCorrupt, want, got)
}
