package proto

import (
	"encoding/binary"

	"helenus/internal/compress"
)

// compressMin is the smallest body of v4 worth compressing.
const compressMin = 512

// Writer gathers one connection's outgoing envelopes in one buffer, so that
// many leave in one write. Between Begin and End, Abort or another Begin, the
// bytes after the header are the caller's.
type Writer struct {
	framing     Framing
	compression Compression

	buf     []byte
	payload int // where the open segment's payload begins; -1: none is open
	at      int // where the current envelope begins
	version Version
	scratch []byte
}

// NewWriter makes a Writer without framing or compression.
func NewWriter() *Writer { return &Writer{payload: -1} }

// SetFraming applies to envelopes begun from now on.
func (w *Writer) SetFraming(f Framing) {
	w.seal()
	w.framing = f
}

// SetCompression sets how bodies of v3 and v4 are compressed.
func (w *Writer) SetCompression(c Compression) { w.compression = c }

// Begin starts an envelope and returns the buffer to append its body to.
func (w *Writer) Begin(h Header) []byte {
	if w.framing != FramingNone && w.payload < 0 {
		w.buf = append(w.buf, make([]byte, w.framing.headerSize())...)
		w.payload = len(w.buf)
	}
	w.at = len(w.buf)
	w.version = h.Version
	w.buf = AppendHeader(w.buf, h)
	return w.buf
}

// Abort throws away the envelope that was begun.
func (w *Writer) Abort() { w.buf = w.buf[:w.at] }

// End completes the envelope: dst is what Begin gave, with the body appended.
// The extras, if any, are moved in before the body.
func (w *Writer) End(dst []byte, x *Extras) {
	w.buf = dst
	if x != nil {
		w.insertExtras(x)
	}
	if w.framing == FramingNone {
		w.compressBody()
	}
	binary.BigEndian.PutUint32(w.buf[w.at+5:], uint32(len(w.buf)-w.at-HeaderSize))
	if w.framing != FramingNone && len(w.buf)-w.payload > segmentMax {
		w.overflow()
	}
}

// Append adds a whole envelope whose body already stands somewhere else.
func (w *Writer) Append(h Header, body []byte) { w.End(append(w.Begin(h), body...), nil) }

// Len is the number of bytes waiting, before the last segment's compression.
func (w *Writer) Len() int { return len(w.buf) }

// Take returns all bytes to be written and goes on in the room of next, which
// may be what an earlier Take returned, once it has been written.
func (w *Writer) Take(next []byte) []byte {
	w.seal()
	out := w.buf
	w.buf = next[:0]
	return out
}

func (w *Writer) insertExtras(x *Extras) {
	var flags HeaderFlags
	w.scratch, flags = x.append(w.scratch[:0], w.version)
	if flags == 0 {
		return
	}
	w.buf[w.at+1] |= byte(flags)
	w.buf = openGap(w.buf, w.at+HeaderSize, len(w.scratch))
	copy(w.buf[w.at+HeaderSize:], w.scratch)
}

// compressBody replaces a body of v3 or v4 by its compressed form if that is
// shorter. STARTUP goes out before compression is set, as it must.
func (w *Writer) compressBody() {
	body := w.buf[w.at+HeaderSize:]
	if w.compression == CompressNone || w.version >= V5 || len(body) < compressMin {
		return
	}
	codec := compress.LZ4Body()
	if w.compression == CompressSnappy {
		codec = compress.Snappy()
	}
	w.scratch = sized(w.scratch, codec.CompressBound(len(body)))
	n, err := codec.Compress(w.scratch, body)
	if err != nil || n >= len(body) {
		return
	}
	copy(body, w.scratch[:n])
	w.buf = w.buf[:w.at+HeaderSize+n]
	w.buf[w.at+1] |= byte(FlagCompressed)
}

// overflow takes the newest envelope out of a segment it does not fit in:
// into the next one, or if it is larger than any, into several.
func (w *Writer) overflow() {
	large := append([]byte(nil), w.buf[w.at:]...)
	w.buf = w.buf[:w.at]
	w.seal()
	header := make([]byte, w.framing.headerSize())
	if len(large) <= segmentMax {
		w.buf = append(w.buf, header...)
		w.payload = len(w.buf)
		w.at = len(w.buf)
		w.buf = append(w.buf, large...)
		return
	}
	for len(large) > 0 {
		n := min(len(large), segmentMax)
		w.buf = append(w.buf, header...)
		w.payload = len(w.buf)
		w.buf = append(w.buf, large[:n]...)
		large = large[n:]
		w.close(false)
	}
}

// seal completes the open segment. An empty one is taken back.
func (w *Writer) seal() {
	switch {
	case w.payload < 0:
	case w.payload == len(w.buf):
		w.buf = w.buf[:w.payload-w.framing.headerSize()]
		w.payload = -1
	default:
		w.close(true)
	}
}

func (w *Writer) close(selfContained bool) {
	payload := w.buf[w.payload:]
	size, plainSize := len(payload), 0
	if w.framing == FramingLZ4 {
		codec := compress.LZ4Block()
		w.scratch = sized(w.scratch, codec.CompressBound(size))
		if n, err := codec.Compress(w.scratch, payload); err == nil && n < size {
			copy(payload, w.scratch[:n])
			size, plainSize = n, size
		}
	}
	w.buf = w.buf[:w.payload+size]
	putSegmentHeader(w.buf[w.payload-w.framing.headerSize():], w.framing, size, plainSize, selfContained)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, payloadCRC(w.buf[w.payload:]))
	w.payload = -1
}
