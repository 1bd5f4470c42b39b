package wire

import (
	"errors"
	"fmt"
	"strings"

	"helenus"
)

// Kind is why a Call has no answer.
type Kind uint8

const (
	// Unreachable: there is no connection, or it broke before the answer came.
	// The request may have been carried out.
	Unreachable Kind = iota + 1
	// Timeout: the answer did not come in time. The request may have been
	// carried out.
	Timeout
	// Overloaded: too much is under way, here or there. Nothing was carried out.
	Overloaded
	// Refused: the other node does not talk to this one; Reason says why.
	Refused
	// Failed: the handler answered with an error; Code says which.
	Failed
)

func (k Kind) String() string {
	names := [...]string{Unreachable: "unreachable", Timeout: "timeout", Overloaded: "overloaded", Refused: "refused", Failed: "failed"}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// Error is the only type of error that a Call ends with.
type Error struct {
	Kind   Kind
	To     Target
	Code   helenus.ErrorCode // Failed and Overloaded
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("wire: %s: %s: %s", e.To, e.Kind, e.Reason)
}

// KindOf is the kind of a Call's error; 0 for other errors and for none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// failureOf gives a handler's error the form that it has at every caller,
// whether it went over a connection or not.
func failureOf(err error) (helenus.ErrorCode, string) {
	var coded *helenus.Error
	if errors.As(err, &coded) {
		return coded.Code, bounded(coded.Message)
	}
	return helenus.CodeServer, bounded(err.Error())
}

// reasonMax bounds what one node makes another log.
const reasonMax = 1 << 10

func bounded(s string) string {
	if len(s) > reasonMax {
		s = s[:reasonMax]
	}
	return strings.ToValidUTF8(s, "?")
}

func failed(to Target, code helenus.ErrorCode, reason string) *Error {
	kind := Failed
	if code == helenus.CodeOverloaded {
		kind = Overloaded
	}
	return &Error{Kind: kind, To: to, Code: code, Reason: reason}
}

// garbage is the error of a peer that does not keep to the format.
type garbage struct{ reason string }

func (g *garbage) Error() string { return g.reason }

func garbagef(format string, args ...any) error {
	return &garbage{fmt.Sprintf(format, args...)}
}

func isGarbage(err error) bool {
	var g *garbage
	return errors.As(err, &g)
}
