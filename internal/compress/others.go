package compress

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Snappy is the raw snappy block, in tables and in protocol v4 bodies alike.
func Snappy() Codec { return snappyCodec{} }

// SnappyLen reads the uncompressed length a snappy block declares; the caller
// compares it with its limit before it makes room.
func SnappyLen(src []byte) (int, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return 0, corrupt(NameSnappy, err)
	}
	// A copy of three bytes makes at most 64.
	if int64(n) > 64*int64(len(src)) {
		return 0, wrongSize(NameSnappy, n, len(src))
	}
	return n, nil
}

type snappyCodec struct{}

func (snappyCodec) Name() string            { return NameSnappy }
func (snappyCodec) CompressBound(n int) int { return s2.MaxEncodedLen(n) }

func (c snappyCodec) Compress(dst, src []byte) (int, error) {
	if bound := c.CompressBound(len(src)); bound < 0 || len(dst) < bound {
		return 0, errShort
	}
	return len(s2.EncodeSnappy(dst, src)), nil
}

func (snappyCodec) Decompress(dst, src []byte) (int, error) {
	n, err := SnappyLen(src)
	if err != nil {
		return 0, err
	}
	if n != len(dst) {
		return 0, wrongSize(NameSnappy, len(dst), n)
	}
	if _, err := s2.Decode(dst, src); err != nil {
		return 0, corrupt(NameSnappy, err)
	}
	return n, nil
}

// deflate is zlib's format (RFC 1950), the one Java's Deflater writes.
type deflate struct{ writers, readers sync.Pool }

type deflateWriter struct {
	sink fixedSink
	z    *zlib.Writer
}

type deflateReader struct {
	src  bytes.Reader
	z    io.ReadCloser
	tail [1]byte
}

func newDeflate() *deflate {
	d := &deflate{}
	d.writers.New = func() any { return &deflateWriter{z: zlib.NewWriter(nil)} }
	d.readers.New = func() any { return &deflateReader{} }
	return d
}

func (*deflate) Name() string { return NameDeflate }

// CompressBound allows for stored blocks: five bytes for each of at most
// 16 KiB, two of header, four of checksum, and the final empty block.
func (*deflate) CompressBound(n int) int { return n + n>>11 + 64 }

func (d *deflate) Compress(dst, src []byte) (int, error) {
	if len(dst) < d.CompressBound(len(src)) {
		return 0, errShort
	}
	w := d.writers.Get().(*deflateWriter)
	defer d.writers.Put(w)
	w.sink = fixedSink{buf: dst}
	w.z.Reset(&w.sink)
	if _, err := w.z.Write(src); err != nil {
		return 0, err
	}
	err := w.z.Close()
	n := w.sink.n
	w.sink = fixedSink{}
	return n, err
}

func (d *deflate) Decompress(dst, src []byte) (int, error) {
	r := d.readers.Get().(*deflateReader)
	defer d.readers.Put(r)
	r.src.Reset(src)
	defer r.src.Reset(nil)
	var err error
	if r.z == nil {
		r.z, err = zlib.NewReader(&r.src)
	} else {
		err = r.z.(zlib.Resetter).Reset(&r.src, nil)
	}
	if err != nil {
		r.z = nil
		return 0, corrupt(NameDeflate, err)
	}
	n, err := io.ReadFull(r.z, dst)
	if err != nil {
		return 0, corrupt(NameDeflate, err)
	}
	// The end also checks the Adler sum.
	if m, err := r.z.Read(r.tail[:]); m != 0 || err != io.EOF {
		return 0, corrupt(NameDeflate, errors.Join(errTail, err))
	}
	return n, nil
}

var errTail = errors.New("bytes beyond the declared size, or a bad checksum")

// fixedSink is a writer into a slice that does not grow.
type fixedSink struct {
	buf []byte
	n   int
}

func (s *fixedSink) Write(p []byte) (int, error) {
	if len(p) > len(s.buf)-s.n {
		return 0, errShort
	}
	s.n += copy(s.buf[s.n:], p)
	return len(p), nil
}

// zstdCodec writes and reads plain frames.
type zstdCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newZstd(level int) *zstdCodec {
	// The options are constants that the library accepts, so no error can
	// come back; nil readers and writers start no goroutine.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		panic(err)
	}
	return &zstdCodec{enc: enc, dec: dec}
}

func (*zstdCodec) Name() string              { return NameZstd }
func (z *zstdCodec) CompressBound(n int) int { return z.enc.MaxEncodedSize(n) }

func (z *zstdCodec) Compress(dst, src []byte) (int, error) {
	if len(dst) < z.CompressBound(len(src)) {
		return 0, errShort
	}
	out := z.enc.EncodeAll(src, dst[:0:len(dst)])
	if len(out) > len(dst) {
		return 0, errShort
	}
	return len(out), nil
}

func (z *zstdCodec) Decompress(dst, src []byte) (int, error) {
	out, err := z.dec.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return 0, corrupt(NameZstd, err)
	}
	if len(out) != len(dst) {
		return 0, wrongSize(NameZstd, len(dst), len(out))
	}
	return len(out), nil
}

// Noop stores bytes as they are.
func Noop() Codec { return noop{} }

type noop struct{}

func (noop) Name() string            { return NameNoop }
func (noop) CompressBound(n int) int { return n }

func (noop) Compress(dst, src []byte) (int, error) {
	if len(dst) < len(src) {
		return 0, errShort
	}
	return copy(dst, src), nil
}

func (noop) Decompress(dst, src []byte) (int, error) {
	if len(dst) != len(src) {
		return 0, wrongSize(NameNoop, len(dst), len(src))
	}
	return copy(dst, src), nil
}
