package sstable

import (
	"fmt"
	"hash/crc32"
	"path/filepath"

	"helenus/internal/compress"
	"helenus/store/vfs"
)

// componentWriter writes one file front to back, buffered, and sums its blocks.
type componentWriter struct {
	file vfs.File
	name string
	buf  []byte
	size int64 // written and buffered
	sums sumWriter
	err  error
}

const writeBuffer = 256 << 10

func createComponent(fs vfs.FS, dir string, d Descriptor, c Component) (*componentWriter, error) {
	name := filepath.Join(dir, d.File(c))
	f, err := fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("sstable: create %s: %w", d.File(c), err)
	}
	return &componentWriter{file: f, name: d.File(c), sums: newSumWriter(c)}, nil
}

func (w *componentWriter) write(p []byte) {
	w.size += int64(len(p))
	w.buf = append(w.buf, p...)
	if len(w.buf) >= writeBuffer {
		w.flush()
	}
}

func (w *componentWriter) flush() {
	if w.err == nil && len(w.buf) > 0 {
		w.sums.add(w.buf)
		if _, err := w.file.Write(w.buf); err != nil {
			w.err = fmt.Errorf("sstable: write %s: %w", w.name, err)
		}
	}
	w.buf = w.buf[:0]
}

// finish makes the file durable and closes it.
func (w *componentWriter) finish() (blockSums, error) {
	w.flush()
	if w.err == nil {
		if err := w.file.Sync(); err != nil {
			w.err = fmt.Errorf("sstable: sync %s: %w", w.name, err)
		}
	}
	w.close()
	return w.sums.finish(), w.err
}

func (w *componentWriter) close() {
	if w.file == nil {
		return
	}
	if err := w.file.Close(); err != nil && w.err == nil {
		w.err = fmt.Errorf("sstable: close %s: %w", w.name, err)
	}
	w.file = nil
}

// dataWriter is Data.db: chunks, compressed or not, with their sums.
type dataWriter struct {
	out    *componentWriter
	codec  compress.Codec // nil: not compressed
	info   compressionInfo
	block  int // bytes of a chunk
	packed []byte
	// pending is what rows are appended to; cut makes chunks of it.
	pending []byte
	done    int64  // bytes cut off, uncompressed
	digest  uint32 // CRC32 of the whole file
	crcs    []byte // CRC.db, when not compressed
	err     error
}

// crcChunk is the unit of CRC.db, which it names itself.
const crcChunk = 64 << 10

func newDataWriter(out *componentWriter, c Chunking) (*dataWriter, error) {
	w := &dataWriter{out: out}
	if c.Class == "" {
		w.makeRoom(crcChunk)
		w.crcs = appendU32(nil, crcChunk)
		return w, nil
	}
	codec, err := c.codec()
	if err != nil {
		return nil, fmt.Errorf("sstable: %w", err)
	}
	w.codec, w.info.Chunking = codec, c
	w.makeRoom(c.ChunkBytes)
	w.packed = make([]byte, codec.CompressBound(c.ChunkBytes)+c.ChunkBytes)
	return w, nil
}

// makeRoom sets the size of a chunk; one more row or so fits behind it.
func (w *dataWriter) makeRoom(chunkBytes int) {
	w.block, w.pending = chunkBytes, make([]byte, 0, chunkBytes+4<<10)
}

// size is the uncompressed size.
func (w *dataWriter) size() int64 { return w.done + int64(len(w.pending)) }

// cut writes out the whole chunks of what is pending.
func (w *dataWriter) cut() {
	if len(w.pending) < w.block {
		return
	}
	at := 0
	for ; len(w.pending)-at >= w.block; at += w.block {
		w.writeChunk(w.pending[at : at+w.block])
	}
	w.done += int64(at)
	w.pending = w.pending[:copy(w.pending, w.pending[at:])]
}

func (w *dataWriter) writeChunk(chunk []byte) {
	if w.err != nil {
		return
	}
	stored := chunk
	if w.codec != nil {
		n, err := w.codec.Compress(w.packed, chunk)
		if err != nil {
			w.err = fmt.Errorf("sstable: compress %s: %w", w.out.name, err)
			return
		}
		stored = w.packed[:n]
		if int64(n) >= int64(w.info.MaxStored) {
			stored = w.plain(chunk)
		}
		w.info.offsets = append(w.info.offsets, w.out.size)
	}
	sum := appendU32(nil, crc32.ChecksumIEEE(stored))
	w.digest = crc32.Update(w.digest, crc32.IEEETable, stored)
	w.out.write(stored)
	if w.codec != nil {
		w.digest = crc32.Update(w.digest, crc32.IEEETable, sum)
		w.out.write(sum)
	} else {
		w.crcs = append(w.crcs, sum...)
	}
}

// plain is a chunk stored as it is; a short one is padded with zeros, so that
// its length says that it is not compressed.
func (w *dataWriter) plain(chunk []byte) []byte {
	n := max(len(chunk), int(w.info.MaxStored))
	clear(w.packed[copy(w.packed, chunk):n])
	return w.packed[:n]
}

func (w *dataWriter) finish() (blockSums, error) {
	if w.cut(); len(w.pending) > 0 {
		w.writeChunk(w.pending)
	}
	w.info.dataBytes = w.size()
	sums, err := w.out.finish()
	if w.err != nil {
		err = w.err
	}
	return sums, err
}
