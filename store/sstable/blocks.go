package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"helenus/internal/compress"
	"helenus/store/cache"
	"helenus/store/vfs"
)

// ErrWouldBlock ends a read with ReadOptions.NonBlocking that needs a block
// which is not cached. The same read without NonBlocking succeeds.
var ErrWouldBlock = errors.New("sstable: a block is not cached")

// blockFile is a component that is read in blocks: Data (in its chunks) and
// Index. Every block is checked when it comes from the disk.
type blockFile struct {
	name      string
	file      vfs.File
	cache     *cache.Cache
	number    uint64 // in the cache
	size      int64  // of the contents
	stored    int64  // of the file
	blockSize int64
	sums      blockSums        // when not compressed
	info      *compressionInfo // when compressed
	codec     compress.Codec
	raw       sync.Pool // *[]byte, for stored chunks
}

func (f *blockFile) blockLen(i int64) int { return int(min(f.blockSize, f.size-i*f.blockSize)) }

// place is where a block is stored; for a chunk, its checksum follows.
func (f *blockFile) place(i int64) (offset, size int64) {
	if f.info == nil {
		return i * f.blockSize, int64(f.blockLen(i))
	}
	return f.info.stored(int(i), f.stored)
}

func (f *blockFile) corrupt(offset int64, cause error) error {
	return &corruptError{f.name, offset, cause}
}

// get pins a block, from the cache or into it.
func (f *blockFile) get(i int64, nonBlocking bool) (cache.Handle, error) {
	k := cache.Key{File: f.number, Block: uint64(i)}
	if h, ok := f.cache.Get(k); ok {
		return h, nil
	}
	if nonBlocking {
		return cache.Handle{}, ErrWouldBlock
	}
	h := f.cache.Reserve(k, f.blockLen(i))
	if err := f.load(i, h.Bytes()); err != nil {
		h.Release()
		return cache.Handle{}, err
	}
	return f.cache.Insert(k, h), nil
}

// load reads a block into dst.
func (f *blockFile) load(i int64, dst []byte) error {
	if f.info == nil {
		if err := f.readAt(dst, i*f.blockSize); err != nil {
			return err
		}
		return f.unpack(i, dst, dst)
	}
	offset, size := f.place(i)
	if err := f.checkStored(offset, size); err != nil {
		return err
	}
	buf, _ := f.raw.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer f.raw.Put(buf)
	if n := int(size + chunkSumSize); cap(*buf) < n {
		*buf = make([]byte, n)
	}
	raw := (*buf)[:size+chunkSumSize]
	if err := f.readAt(raw, offset); err != nil {
		return err
	}
	return f.unpack(i, raw, dst)
}

// span reads the bytes between two positions of a file that is not compressed,
// past the cache, into room that grows as needed.
func (f *blockFile) span(from, to int64, room *[]byte) ([]byte, error) {
	first := from / f.blockSize
	start := first * f.blockSize
	end := min((to+f.blockSize-1)/f.blockSize*f.blockSize, f.size)
	if n := int(end - start); cap(*room) < n {
		*room = make([]byte, n)
	}
	b := (*room)[:end-start]
	if err := f.readAt(b, start); err != nil {
		return nil, err
	}
	for i := first; i*f.blockSize < end; i++ {
		block := b[i*f.blockSize-start:][:f.blockLen(i)]
		if err := f.unpack(i, block, block); err != nil {
			return nil, err
		}
	}
	return b[from-start : to-start], nil
}

// checkStored bounds what a damaged table of offsets can make us allocate.
func (f *blockFile) checkStored(offset, size int64) error {
	if most := int64(f.codec.CompressBound(int(f.blockSize))) + f.blockSize; size <= 0 || size > most {
		return f.corrupt(offset, fmt.Errorf("a chunk of %d bytes stored", size))
	}
	return nil
}

// unpack checks the stored form of a block and makes dst of it. Where nothing
// is compressed, raw may be dst.
func (f *blockFile) unpack(i int64, raw, dst []byte) error {
	offset, size := f.place(i)
	if f.info == nil {
		if err := f.sums.check(i, raw); err != nil {
			return f.corrupt(offset, err)
		}
		if &raw[0] != &dst[0] {
			copy(dst, raw)
		}
		return nil
	}
	payload := raw[:size]
	if got, want := crc32.ChecksumIEEE(payload), binary.BigEndian.Uint32(raw[size:]); got != want {
		return f.corrupt(offset, fmt.Errorf("chunk checksum mismatch: %08x, should be %08x", got, want))
	}
	if size >= int64(f.info.MaxStored) {
		if len(payload) < len(dst) {
			return f.corrupt(offset, fmt.Errorf("a chunk of %d bytes stored as it is, should be %d", len(payload), len(dst)))
		}
		copy(dst, payload)
		return nil
	}
	if _, err := f.codec.Decompress(dst, payload); err != nil {
		return f.corrupt(offset, err)
	}
	return nil
}

func (f *blockFile) readAt(b []byte, offset int64) error {
	n, err := f.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return f.corrupt(offset, errShort)
	}
	return fmt.Errorf("sstable: read %s at %d: %w", f.name, offset, err)
}

func (f *blockFile) close() error {
	f.cache.DropFile(f.number)
	return f.file.Close()
}

// window gives consecutive bytes of a blockFile: the rest of a block where that
// is enough, else a copy of what spans several. What peek returns holds until
// the next call of anything but skip.
type window struct {
	f      *blockFile
	buf    []byte
	pos    int64 // of buf[0]
	handle cache.Handle
	joined []byte
	// nonBlocking and sequential are the read's options.
	nonBlocking bool
	sequential  bool
	ahead       readAhead
}

// readAhead serves a sequential reader without the cache: it reads big pieces
// of the file and unpacks one block at a time.
type readAhead struct {
	raw   []byte
	from  int64 // of raw[0] in the file
	block []byte
	index int64 // of block; -1: none
	piece int64 // how much is read at once
	end   int64 // nothing behind is wanted; 0: up to the file's end
}

const readAheadBytes = 256 << 10

// limit reads less ahead, and nothing behind end.
func (r *readAhead) limit(end, piece int64) { r.end, r.piece = end, piece }

func (w *window) open(f *blockFile, o ReadOptions) {
	w.f, w.buf, w.pos = f, nil, 0
	w.nonBlocking, w.sequential = o.NonBlocking, o.Sequential
	w.ahead.raw, w.ahead.index = w.ahead.raw[:0], -1
	w.ahead.limit(0, readAheadBytes)
}

func (w *window) close() {
	w.handle.Release()
	w.buf = nil
}

// seek goes to a position; what lies in the present buffer is kept.
func (w *window) seek(pos int64) {
	if d := pos - w.pos; d >= 0 && d <= int64(len(w.buf)) {
		w.buf, w.pos = w.buf[d:], pos
		return
	}
	w.buf, w.pos = nil, pos
}

func (w *window) skip(n int) { w.buf, w.pos = w.buf[n:], w.pos+int64(n) }

// left is how many bytes there are up to the end of the file.
func (w *window) left() int64 { return w.f.size - w.pos }

// peek gives at least n bytes from the present position on; errShort at the end
// of the file.
func (w *window) peek(n int) ([]byte, error) {
	if len(w.buf) >= n {
		return w.buf, nil
	}
	if int64(n) > w.left() {
		return nil, w.f.corrupt(w.pos, errShort)
	}
	if len(w.buf) == 0 {
		block, err := w.load(w.pos / w.f.blockSize)
		if err != nil {
			return nil, err
		}
		if w.buf = block[w.pos%w.f.blockSize:]; len(w.buf) >= n {
			return w.buf, nil
		}
	}
	// Whether buf lies in joined or in a block, its bytes move to the front.
	w.joined = append(w.joined[:0], w.buf...)
	for len(w.joined) < n {
		at := w.pos + int64(len(w.joined))
		block, err := w.load(at / w.f.blockSize)
		if err != nil {
			w.buf = nil
			return nil, err
		}
		block = block[at%w.f.blockSize:]
		w.joined = append(w.joined, block[:min(len(block), n-len(w.joined))]...)
	}
	w.buf = w.joined
	return w.buf, nil
}

// more gives some more bytes than the present ones; ok is false when there are
// no more in the file.
func (w *window) more() (b []byte, ok bool, err error) {
	const step = 512
	n := min(int64(len(w.buf)+max(step, len(w.buf))), w.left())
	if n <= int64(len(w.buf)) {
		return w.buf, false, nil
	}
	b, err = w.peek(int(n))
	return b, err == nil, err
}

// load gives a block, pinned until the next.
func (w *window) load(i int64) ([]byte, error) {
	if w.sequential {
		return w.ahead.load(w.f, i)
	}
	h, err := w.f.get(i, w.nonBlocking)
	if err != nil {
		return nil, err
	}
	w.handle.Release()
	w.handle = h
	return h.Bytes(), nil
}

func (r *readAhead) load(f *blockFile, i int64) ([]byte, error) {
	if r.index == i {
		return r.block, nil
	}
	offset, size := f.place(i)
	if f.info != nil {
		if err := f.checkStored(offset, size); err != nil {
			return nil, err
		}
		size += chunkSumSize
	}
	if offset < r.from || offset+size > r.from+int64(len(r.raw)) {
		n := min(r.piece, f.stored-offset)
		if r.end > 0 {
			n = min(n, r.end-offset)
		}
		n = max(n, size)
		if int64(cap(r.raw)) < n {
			r.raw = make([]byte, n)
		}
		r.raw, r.from = r.raw[:n], offset
		if err := f.readAt(r.raw, offset); err != nil {
			r.raw = r.raw[:0]
			return nil, err
		}
	}
	n := f.blockLen(i)
	if cap(r.block) < n {
		r.block = make([]byte, f.blockSize)
	}
	r.block, r.index = r.block[:n], -1
	raw := r.raw[offset-r.from:][:size]
	if err := f.unpack(i, raw, r.block); err != nil {
		return nil, err
	}
	r.index = i
	return r.block, nil
}
