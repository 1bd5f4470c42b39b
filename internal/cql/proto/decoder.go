package proto

import (
	"slices"

	"helenus"
	"helenus/internal/compress"
)

// Compression is what STARTUP agreed on. In v5 it is part of the Framing.
type Compression uint8

// The compressions.
const (
	CompressNone Compression = iota
	CompressLZ4
	CompressSnappy
)

// FrameSizeMaxDefault bounds an envelope unless a Decoder is told otherwise.
const FrameSizeMaxDefault = 16 << 20

const (
	readMin  = 4 << 10   // the least room Buffer gives
	readIdle = 256 << 10 // larger buffers are given back once they are empty
)

// Decoder takes one connection's incoming bytes apart. The owner reads into
// Buffer, says with Fill how much came, and calls Next until it has no more.
// It holds at most two envelopes' worth of memory, and buffers grow only with
// bytes that have arrived.
type Decoder struct {
	// FrameSizeMax bounds an envelope's body; 0 means FrameSizeMaxDefault.
	FrameSizeMax int
	// Responses is set on the client's side.
	Responses bool

	framing     Framing
	compression Compression
	version     Version // 0 until the connection has settled on one

	buf        []byte // bytes as they came; start to end are unread
	start, end int

	segment []byte // what is left of a self-contained segment's payload
	scratch []byte // backs segment under LZ4, and bodies of v4
	large   []byte // an envelope in several segments, as far as it has come
	inLarge bool
	skip    int // bytes of an envelope too large that are still to come
}

// SetFraming switches to segments; what has been filled in but not yet
// returned by Next is read the new way.
func (d *Decoder) SetFraming(f Framing) { d.framing = f }

// SetCompression sets how bodies of v3 and v4 are compressed.
func (d *Decoder) SetCompression(c Compression) { d.compression = c }

// SetVersion makes envelopes of any other version an error.
func (d *Decoder) SetVersion(v Version) { d.version = v }

// HeldBytes is the memory the buffers take.
func (d *Decoder) HeldBytes() int { return cap(d.buf) + cap(d.scratch) + cap(d.large) }

// Buffer gives room for at least a few kilobytes to read into. It ends the
// life of all envelopes returned so far.
func (d *Decoder) Buffer() []byte {
	if d.start == d.end && len(d.segment) == 0 {
		d.start, d.end = 0, 0
		if cap(d.buf) > readIdle {
			d.buf = nil
		}
	}
	if !d.inLarge && cap(d.large) > readIdle {
		d.large = nil // its envelope's life ends here
	}
	if len(d.segment) > 0 {
		// The owner stopped amid a segment, whose rest must stay where it is.
		d.buf = append(make([]byte, 0, d.end-d.start+4*readMin), d.unread()...)
		d.start, d.end = 0, len(d.buf)
		d.buf = d.buf[:cap(d.buf)]
	}
	if len(d.buf)-d.end < readMin && d.start > 0 {
		d.end = copy(d.buf, d.buf[d.start:d.end])
		d.start = 0
	}
	if len(d.buf)-d.end < readMin {
		// Doubling follows the bytes that are here, not a length they claim.
		grown := slices.Grow(d.buf[:d.end], max(4*readMin, d.end))
		d.buf = grown[:cap(grown)]
	}
	return d.buf[d.end:]
}

// Fill says that n bytes were read into what Buffer gave.
func (d *Decoder) Fill(n int) { d.end += n }

// Next returns the next envelope; ok is false when more bytes are needed. Its
// body lives until the next call of Next or Buffer. A ProtocolError that is
// not Fatal concerns one envelope, and Next may be called again.
func (d *Decoder) Next() (e Envelope, ok bool, err *ProtocolError) {
	for {
		if len(d.segment) > 0 {
			return d.fromSegment()
		}
		if d.framing == FramingNone {
			return d.unframed()
		}
		more, err := d.nextSegment()
		if err != nil {
			return Envelope{}, false, fatal(err)
		}
		if !more {
			return Envelope{}, false, nil
		}
		if d.inLarge {
			if e, ok, err := d.fromLarge(); ok || err != nil {
				return e, ok, err
			}
		}
	}
}

func fatal(err *helenus.Error) *ProtocolError { return &ProtocolError{Fatal: true, Err: err} }

func (d *Decoder) unread() []byte { return d.buf[d.start:d.end] }

// unframed takes an envelope straight from the connection's bytes.
func (d *Decoder) unframed() (e Envelope, ok bool, perr *ProtocolError) {
	if d.skip > 0 {
		n := min(d.skip, d.end-d.start)
		d.skip -= n
		d.start += n
		if d.skip > 0 {
			return e, false, nil
		}
	}
	b := d.unread()
	if perr := d.refuse(b); perr != nil || len(b) < HeaderSize {
		return e, false, perr
	}
	h := parseHeader(b)
	if perr := d.check(h); perr != nil {
		if !perr.Fatal {
			d.start += HeaderSize
			d.skip = int(h.Length)
		}
		return e, false, perr
	}
	if len(b)-HeaderSize < int(h.Length) {
		return e, false, nil
	}
	end := HeaderSize + int(h.Length)
	d.start += end
	return d.plainBody(Envelope{Header: h, Body: b[HeaderSize:end:end]})
}

// refuse looks at the version before the header is whole: versions 1 and 2
// have a shorter one, with a stream of one byte.
func (d *Decoder) refuse(b []byte) *ProtocolError {
	if len(b) < 4 {
		return nil
	}
	h := Header{Version: Version(b[0] &^ responseBit), Flags: HeaderFlags(b[1]), Stream: int16(b[2])<<8 | int16(b[3])}
	if h.Version < V3 {
		h.Stream = int16(int8(b[2]))
	}
	return d.checkVersion(h)
}

func (d *Decoder) checkVersion(h Header) *ProtocolError {
	switch {
	case d.version != 0 && h.Version != d.version:
		return &ProtocolError{Stream: h.Stream, Fatal: true, Err: protocolErrorf(
			"Invalid message version. Got %s but previous messages on this connection had version %s", h.Version, d.version)}
	case !h.Version.Supported():
		return &ProtocolError{Stream: h.Stream, Fatal: true, VersionMismatch: true, Err: versionError(h.Version, h.Flags)}
	}
	return nil
}

// check judges a header before its body is waited for.
func (d *Decoder) check(h Header) *ProtocolError {
	if perr := d.checkVersion(h); perr != nil {
		return perr
	}
	limit := d.FrameSizeMax
	if limit <= 0 {
		limit = FrameSizeMaxDefault
	}
	switch {
	case h.Length < 0:
		return &ProtocolError{Stream: h.Stream, Fatal: true,
			Err: protocolErrorf("Invalid value for envelope header body length field: %d", h.Length)}
	case h.Response != d.Responses:
		return &ProtocolError{Stream: h.Stream, Fatal: true,
			Err: protocolErrorf("Wrong protocol direction (expected %s, got %s) for opcode %d (%s)", direction(d.Responses), direction(h.Response), uint8(h.Op), h.Op)}
	case int(h.Length) > limit:
		return &ProtocolError{Stream: h.Stream,
			Err: helenus.Invalid("Request is too big: length %d exceeds maximum allowed length %d.", h.Length, limit)}
	}
	return nil
}

func direction(response bool) string {
	if response {
		return "RESPONSE"
	}
	return "REQUEST"
}

// plainBody undoes the compression of bodies, which v5 does not have.
func (d *Decoder) plainBody(e Envelope) (Envelope, bool, *ProtocolError) {
	if e.Flags&FlagCompressed == 0 || e.Version >= V5 {
		return e, true, nil
	}
	limit := d.FrameSizeMax
	if limit <= 0 {
		limit = FrameSizeMaxDefault
	}
	var codec compress.Codec
	var n int
	var err error
	switch d.compression {
	case CompressLZ4:
		codec = compress.LZ4Body()
		n, err = compress.LZ4BodyLen(e.Body)
	case CompressSnappy:
		codec = compress.Snappy()
		n, err = compress.SnappyLen(e.Body)
	default:
		return e, false, &ProtocolError{Stream: e.Stream, Fatal: true, Err: protocolErrorf("Received a compressed frame, but no compression was agreed on")}
	}
	if err == nil && n > limit {
		return e, false, &ProtocolError{Stream: e.Stream,
			Err: helenus.Invalid("Request is too big: length %d exceeds maximum allowed length %d.", n, limit)}
	}
	if err == nil {
		d.scratch = sized(d.scratch, n)
		_, err = codec.Decompress(d.scratch, e.Body)
	}
	if err != nil {
		return e, false, &ProtocolError{Stream: e.Stream, Fatal: true, Err: protocolErrorf("Cannot decompress a frame: %v", err)}
	}
	e.Flags &^= FlagCompressed
	e.Body = d.scratch[:n:n]
	return e, true, nil
}

// nextSegment takes the next whole segment into segment or large.
func (d *Decoder) nextSegment() (more bool, err *helenus.Error) {
	b := d.unread()
	if len(b) < d.framing.headerSize() {
		return false, nil
	}
	h, err := parseSegmentHeader(b, d.framing)
	if err != nil {
		return false, err
	}
	size := d.framing.headerSize() + h.size + segmentTrailer
	if len(b) < size {
		return false, nil
	}
	payload, scratch, err := openSegment(b, d.framing, h, d.scratch)
	if err != nil {
		return false, err
	}
	d.scratch = scratch
	d.start += size
	if h.selfContained {
		if d.inLarge {
			return false, protocolErrorf("Self-contained frame inside a message of several frames")
		}
		d.segment = payload
		return true, nil
	}
	if !d.inLarge {
		d.inLarge = true
		d.large = d.large[:0]
		if cap(d.large) > readIdle {
			d.large = nil
		}
	}
	if d.skip > 0 {
		if len(payload) > d.skip {
			return false, protocolErrorf("Frame longer than the message it is part of")
		}
		if d.skip -= len(payload); d.skip == 0 {
			d.inLarge = false
		}
		return true, nil
	}
	d.large = append(d.large, payload...)
	return true, nil
}

// fromSegment takes the next envelope of a self-contained segment.
func (d *Decoder) fromSegment() (Envelope, bool, *ProtocolError) {
	b := d.segment
	if len(b) < HeaderSize {
		return Envelope{}, false, fatal(protocolErrorf("Frame ends inside an envelope's header"))
	}
	h := parseHeader(b)
	perr := d.check(h)
	if perr != nil && perr.Fatal {
		return Envelope{}, false, perr
	}
	if len(b)-HeaderSize < int(h.Length) {
		return Envelope{}, false, fatal(protocolErrorf("Frame ends inside an envelope's body"))
	}
	end := HeaderSize + int(h.Length)
	d.segment = b[end:]
	if perr != nil {
		return Envelope{}, false, perr
	}
	return Envelope{Header: h, Body: b[HeaderSize:end:end]}, true, nil
}

// fromLarge looks whether the envelope in several segments is complete.
func (d *Decoder) fromLarge() (Envelope, bool, *ProtocolError) {
	if len(d.large) < HeaderSize || d.skip > 0 {
		return Envelope{}, false, nil
	}
	h := parseHeader(d.large)
	perr := d.check(h)
	if perr != nil && perr.Fatal {
		return Envelope{}, false, perr
	}
	missing := HeaderSize + int(h.Length) - len(d.large)
	if missing < 0 {
		return Envelope{}, false, fatal(protocolErrorf("Frame longer than the message it is part of"))
	}
	if perr != nil {
		d.skip = missing
		d.inLarge = missing > 0
		d.large = nil
		return Envelope{}, false, perr
	}
	if missing > 0 {
		return Envelope{}, false, nil
	}
	d.inLarge = false
	return Envelope{Header: h, Body: d.large[HeaderSize:len(d.large):len(d.large)]}, true, nil
}
