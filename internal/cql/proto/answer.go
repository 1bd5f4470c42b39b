package proto

import (
	"net/netip"

	"helenus"
)

// AppendAuthenticate appends the body of AUTHENTICATE.
func AppendAuthenticate(dst []byte, class string) []byte { return appendString(dst, class) }

// AppendToken appends the body of AUTH_CHALLENGE or AUTH_SUCCESS; nil is null.
func AppendToken(dst, token []byte) []byte { return appendBytes(dst, token) }

// Support is one entry of SUPPORTED.
type Support struct {
	Key    string
	Values []string
}

// AppendSupported appends the body of SUPPORTED.
func AppendSupported(dst []byte, entries []Support) []byte {
	dst = appendU16(dst, len(entries))
	for _, e := range entries {
		dst = appendStrings(appendString(dst, e.Key), e.Values)
	}
	return dst
}

// EventType is what a client registers for (4.1.8).
type EventType string

// The types of event.
const (
	EventTopology EventType = "TOPOLOGY_CHANGE"
	EventStatus   EventType = "STATUS_CHANGE"
	EventSchema   EventType = "SCHEMA_CHANGE"
)

// Event is the contents of EVENT: Change and Node for topology (NEW_NODE,
// REMOVED_NODE, MOVED_NODE) and status (UP, DOWN), Schema otherwise.
type Event struct {
	Type   EventType
	Change string
	Node   netip.AddrPort
	Schema SchemaChange
}

// AppendEvent appends the body of EVENT.
func AppendEvent(dst []byte, v Version, e *Event) []byte {
	dst = appendString(dst, string(e.Type))
	if e.Type == EventSchema {
		return appendChange(dst, v, &e.Schema)
	}
	return appendInet(appendString(dst, e.Change), e.Node)
}

// Extras stand before a response's message: they exist since v4 except tracing.
type Extras struct {
	Tracing    [16]byte
	HasTracing bool
	Warnings   []string
	Payload    Payload
}

// append appends the extras a version can carry and says which flags they need.
func (x *Extras) append(dst []byte, v Version) ([]byte, HeaderFlags) {
	var f HeaderFlags
	if x.HasTracing {
		dst = append(dst, x.Tracing[:]...)
		f |= FlagTracing
	}
	if len(x.Warnings) > 0 && v >= V4 {
		dst = appendStrings(dst, x.Warnings)
		f |= FlagWarning
	}
	if x.Payload.Len() > 0 && v >= V4 {
		dst = append(dst, x.Payload...)
		f |= FlagPayload
	}
	return dst, f
}

// Error codes without a name among helenus's kinds.
const codeCDCFailure helenus.ErrorCode = 0x1600

// downgrade is the nearest error that version v can express.
func downgrade(v Version, e *helenus.Error) (code helenus.ErrorCode, writeType helenus.WriteType) {
	code, writeType = e.Code, e.WriteType
	if v < V5 && code == helenus.CodeCASUnknown {
		return helenus.CodeWriteTimeout, helenus.WriteCAS
	}
	if v < V4 {
		switch code {
		case helenus.CodeReadFailure:
			code = helenus.CodeReadTimeout
		case helenus.CodeWriteFailure:
			code = helenus.CodeWriteTimeout
		case helenus.CodeFunctionFailure, codeCDCFailure:
			code = helenus.CodeInvalid
		}
	}
	return code, writeType
}

// AppendError appends the body of ERROR (9), in words version v knows.
func AppendError(dst []byte, v Version, e *helenus.Error) []byte {
	code, writeType := downgrade(v, e)
	dst = appendString(appendI32(dst, int(code)), e.Message)
	counts := func() {
		dst = appendI32(appendI32(appendConsistency(dst, e.Consistency), e.Alive), e.Required)
	}
	switch code {
	case helenus.CodeUnavailable:
		dst = appendI32(appendI32(appendConsistency(dst, e.Consistency), e.Required), e.Alive)
	case helenus.CodeWriteTimeout:
		counts()
		dst = appendString(dst, string(writeType))
		if v >= V5 && writeType == helenus.WriteCAS {
			dst = appendU16(dst, e.Contentions)
		}
	case helenus.CodeReadTimeout:
		counts()
		dst = append(dst, flagByte(e.DataPresent))
	case helenus.CodeReadFailure:
		counts()
		dst = append(appendFailures(dst, v, e.Failures), flagByte(e.DataPresent))
	case helenus.CodeWriteFailure:
		counts()
		dst = appendString(appendFailures(dst, v, e.Failures), string(writeType))
	case helenus.CodeCASUnknown:
		counts()
	case helenus.CodeFunctionFailure:
		dst = appendStrings(appendString(appendString(dst, e.Keyspace), e.Table), nil)
	case helenus.CodeAlreadyExists:
		dst = appendString(appendString(dst, e.Keyspace), e.Table)
	case helenus.CodeUnprepared:
		dst = appendString(dst, e.ID)
	}
	return dst
}

func flagByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendFailures writes a count until v4 and who failed why since v5, where
// addresses have no port.
func appendFailures(dst []byte, v Version, list []helenus.Failure) []byte {
	dst = appendI32(dst, len(list))
	if v < V5 {
		return dst
	}
	for _, f := range list {
		dst = appendU16(appendAddress(dst, f.From.Addr()), int(f.Reason))
	}
	return dst
}
