package wire

import (
	"encoding/binary"
	"hash/crc32"

	"helenus/internal/compress"
)

// kind tells what a frame is.
type kind uint8

const (
	kindRequest kind = iota + 1
	kindResponse
	kindFailure
	kindPing
	kindPong
)

// header is a frame's; docs/format/wire.md has its boxes.
type header struct {
	length uint32 // of the body as it is sent
	kind   kind
	flags  byte
	verb   VerbID
	id     uint64
	arg    uint32 // request: microseconds left; failure: the code
	sum    uint32 // of the body
}

const (
	headerBytes = 28
	headerSum   = 24 // where the sum of what is before stands
	headerArg   = 16
	frameLZ4    = 1 // the body is its raw length as 4 bytes and an LZ4 block
	rawBytes    = 4
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func appendFrame(dst []byte, h header, body []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, h.length)
	dst = append(dst, byte(h.kind), h.flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.verb))
	dst = binary.BigEndian.AppendUint64(dst, h.id)
	dst = binary.BigEndian.AppendUint32(dst, h.arg)
	dst = binary.BigEndian.AppendUint32(dst, h.sum)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli()))
	return append(dst, body...)
}

// patchArg changes the argument of a frame that has not been sent.
func patchArg(frame []byte, arg uint32) {
	binary.BigEndian.PutUint32(frame[headerArg:], arg)
	binary.BigEndian.PutUint32(frame[headerSum:], crc32.Checksum(frame[:headerSum], castagnoli()))
}

// parseHeader reads b[:headerBytes].
func parseHeader(b []byte, bodyMax int) (header, error) {
	if crc32.Checksum(b[:headerSum], castagnoli()) != binary.BigEndian.Uint32(b[headerSum:]) {
		return header{}, garbagef("a frame whose header has a wrong checksum")
	}
	h := header{length: binary.BigEndian.Uint32(b), kind: kind(b[4]), flags: b[5], verb: VerbID(binary.BigEndian.Uint16(b[6:])),
		id: binary.BigEndian.Uint64(b[8:]), arg: binary.BigEndian.Uint32(b[headerArg:]), sum: binary.BigEndian.Uint32(b[20:])}
	switch {
	case int64(h.length) > int64(bodyMax):
		return header{}, garbagef("a frame of %d bytes; the limit is %d", h.length, bodyMax)
	case h.kind < kindRequest || h.kind > kindPong:
		return header{}, garbagef("a frame of unknown kind %d", h.kind)
	case h.flags&^frameLZ4 != 0:
		return header{}, garbagef("a frame with unknown flags %#02x", h.flags)
	case h.kind >= kindPing && h.length != 0:
		return header{}, garbagef("a heartbeat with a body")
	}
	return h, nil
}

// rawLen is how long the body will be once it is decompressed.
func (h *header) rawLen(body []byte, bodyMax int) (int, error) {
	if h.flags&frameLZ4 == 0 {
		return len(body), nil
	}
	n, err := compress.LZ4BodyLen(body)
	if err != nil {
		return 0, garbagef("a compressed frame: %v", err)
	}
	if n > bodyMax {
		return 0, garbagef("a frame of %d bytes once decompressed; the limit is %d", n, bodyMax)
	}
	return n, nil
}

// unpack gives the body as it was encoded; in into if that has to be made.
func (h *header) unpack(into, body []byte, rawLen int) ([]byte, error) {
	if h.flags&frameLZ4 == 0 {
		return body, nil
	}
	if cap(into) < rawLen {
		into = make([]byte, rawLen)
	}
	into = into[:rawLen]
	if _, err := compress.LZ4Block().Decompress(into, body[rawBytes:]); err != nil {
		return nil, garbagef("a compressed frame: %v", err)
	}
	return into, nil
}

// encoder makes the body of a frame.
type encoder struct {
	body, packed []byte
	payload      []byte // one of them
	flags        byte
	sum          uint32
}

// encode takes m, compressed if it may be, is longer than threshold and gets
// shorter by it.
func (e *encoder) encode(m Message, lz4 bool, threshold int) {
	e.body = e.body[:0]
	if m != nil {
		e.body = m.AppendTo(e.body)
	}
	e.payload, e.flags = e.body, 0
	if lz4 && len(e.body) > threshold {
		e.pack()
	}
	e.sum = checksum(e.payload)
}

func (e *encoder) pack() {
	c := compress.LZ4Block()
	if need := rawBytes + c.CompressBound(len(e.body)); cap(e.packed) < need {
		e.packed = make([]byte, need)
	}
	e.packed = e.packed[:cap(e.packed)]
	n, err := c.Compress(e.packed[rawBytes:], e.body)
	if err != nil || n == 0 || n+rawBytes > len(e.body)-len(e.body)/16 {
		return // what does not shrink is sent as it is
	}
	binary.BigEndian.PutUint32(e.packed, uint32(len(e.body)))
	e.payload, e.flags = e.packed[:rawBytes+n], frameLZ4
}

func (e *encoder) header(k kind, v VerbID, id uint64, arg uint32) header {
	return header{length: uint32(len(e.payload)), kind: k, flags: e.flags, verb: v, id: id, arg: arg, sum: e.sum}
}

// shrink lets go of what one large message has made large.
func (e *encoder) shrink() {
	e.payload = nil
	if cap(e.body) > keepBytes {
		e.body = nil
	}
	if cap(e.packed) > keepBytes {
		e.packed = nil
	}
}

// keepBytes is the largest buffer that anybody keeps between messages.
const keepBytes = 64 << 10

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }
