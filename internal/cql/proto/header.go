package proto

import "encoding/binary"

// HeaderSize is the size of an envelope's header since version 3.
const HeaderSize = 9

// HeaderFlags are the flags of an envelope (2.2).
type HeaderFlags uint8

// The flags. FlagCompressed means nothing in v5, whose segments compress.
const (
	FlagCompressed HeaderFlags = 0x01
	FlagTracing    HeaderFlags = 0x02
	FlagPayload    HeaderFlags = 0x04
	FlagWarning    HeaderFlags = 0x08
	FlagBeta       HeaderFlags = 0x10
)

// Opcode is the kind of a message (2.4).
type Opcode uint8

// The opcodes.
const (
	OpError         Opcode = 0x00
	OpStartup       Opcode = 0x01
	OpReady         Opcode = 0x02
	OpAuthenticate  Opcode = 0x03
	OpOptions       Opcode = 0x05
	OpSupported     Opcode = 0x06
	OpQuery         Opcode = 0x07
	OpResult        Opcode = 0x08
	OpPrepare       Opcode = 0x09
	OpExecute       Opcode = 0x0A
	OpRegister      Opcode = 0x0B
	OpEvent         Opcode = 0x0C
	OpBatch         Opcode = 0x0D
	OpAuthChallenge Opcode = 0x0E
	OpAuthResponse  Opcode = 0x0F
	OpAuthSuccess   Opcode = 0x10
)

var opcodeNames = [...]string{"ERROR", "STARTUP", "READY", "AUTHENTICATE", "CREDENTIALS", "OPTIONS", "SUPPORTED",
	"QUERY", "RESULT", "PREPARE", "EXECUTE", "REGISTER", "EVENT", "BATCH", "AUTH_CHALLENGE", "AUTH_RESPONSE", "AUTH_SUCCESS"}

// String is the name in the specification.
func (o Opcode) String() string {
	if int(o) < len(opcodeNames) {
		return opcodeNames[o]
	}
	return "UNKNOWN"
}

// IsRequest tells whether clients send o.
func (o Opcode) IsRequest() bool {
	switch o {
	case OpStartup, OpOptions, OpQuery, OpPrepare, OpExecute, OpRegister, OpBatch, OpAuthResponse:
		return true
	}
	return false
}

// EventStream is the stream of envelopes that answer no request.
const EventStream int16 = -1

const responseBit = 0x80

// Header is the head of an envelope.
type Header struct {
	Version  Version
	Response bool
	Flags    HeaderFlags
	Stream   int16
	Op       Opcode
	// Length is the size of the body in bytes. Writers fill it in themselves.
	Length int32
}

// Envelope is one message; Body aliases the Decoder's buffers until its next
// call.
type Envelope struct {
	Header
	Body []byte
}

// AppendHeader appends h's nine bytes.
func AppendHeader(dst []byte, h Header) []byte {
	v := byte(h.Version)
	if h.Response {
		v |= responseBit
	}
	dst = append(dst, v, byte(h.Flags))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Stream))
	dst = append(dst, byte(h.Op))
	return binary.BigEndian.AppendUint32(dst, uint32(h.Length))
}

// parseHeader reads the nine bytes that b must have; it judges nothing.
func parseHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	return Header{
		Version:  Version(b[0] &^ responseBit),
		Response: b[0]&responseBit != 0,
		Flags:    HeaderFlags(b[1]),
		Stream:   int16(binary.BigEndian.Uint16(b[2:])),
		Op:       Opcode(b[4]),
		Length:   int32(binary.BigEndian.Uint32(b[5:])),
	}
}
