package helenus

import "fmt"

// ErrorCode is the kind of an error as the native protocol numbers it.
type ErrorCode int32

// The error kinds of the native protocol (v5, section 9).
const (
	CodeServer          ErrorCode = 0x0000
	CodeProtocol        ErrorCode = 0x000A
	CodeBadCredentials  ErrorCode = 0x0100
	CodeUnavailable     ErrorCode = 0x1000
	CodeOverloaded      ErrorCode = 0x1001
	CodeBootstrapping   ErrorCode = 0x1002
	CodeTruncate        ErrorCode = 0x1003
	CodeWriteTimeout    ErrorCode = 0x1100
	CodeReadTimeout     ErrorCode = 0x1200
	CodeReadFailure     ErrorCode = 0x1300
	CodeFunctionFailure ErrorCode = 0x1400
	CodeWriteFailure    ErrorCode = 0x1500
	CodeCASUnknown      ErrorCode = 0x1700
	CodeSyntax          ErrorCode = 0x2000
	CodeUnauthorized    ErrorCode = 0x2100
	CodeInvalid         ErrorCode = 0x2200
	CodeConfig          ErrorCode = 0x2300
	CodeAlreadyExists   ErrorCode = 0x2400
	CodeUnprepared      ErrorCode = 0x2500
)

// Error is what a client is told. Detail fields beyond the message depend on
// the code and are zero otherwise.
type Error struct {
	Code    ErrorCode
	Message string

	Consistency Consistency // Unavailable, timeouts, failures
	Required    int         // Unavailable: replicas required; timeouts and failures: block for
	Alive       int         // Unavailable: replicas alive; timeouts and failures: received
	Failures    []Failure   // read and write failures
	DataPresent bool        // read timeout and failure
	WriteType   WriteType   // write timeout and failure, CAS unknown
	Contentions int         // CAS write timeout
	Keyspace    string      // AlreadyExists
	Table       string      // AlreadyExists; empty for a keyspace
	ID          []byte      // Unprepared: the statement id
}

// Failure is one replica's reason, code as in the protocol's reason map.
type Failure struct {
	From   Endpoint
	Reason uint16
}

// WriteType tells drivers what kind of write timed out.
type WriteType string

// The write types of the native protocol.
const (
	WriteSimple        WriteType = "SIMPLE"
	WriteBatch         WriteType = "BATCH"
	WriteUnloggedBatch WriteType = "UNLOGGED_BATCH"
	WriteCounter       WriteType = "COUNTER"
	WriteBatchLog      WriteType = "BATCH_LOG"
	WriteCAS           WriteType = "CAS"
)

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error of a code that carries only a message.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid is the commonest error: a request that can never succeed as it stands.
func Invalid(format string, args ...any) *Error { return Errorf(CodeInvalid, format, args...) }

// Unsupported names a feature Helenus does not have yet.
func Unsupported(what string) *Error { return Errorf(CodeInvalid, "not supported yet: %s", what) }

// Unavailable is the answer when too few replicas live for the level.
func Unavailable(cl Consistency, required, alive int) *Error {
	return &Error{Code: CodeUnavailable, Message: "Cannot achieve consistency level " + cl.String(),
		Consistency: cl, Required: required, Alive: alive}
}
