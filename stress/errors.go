package stress

import (
	"errors"
	"sync"
	"sync/atomic"

	"helenus"
)

// errorKind is a reason why an operation failed.
type errorKind uint8

const (
	errConnection errorKind = iota // no answer: the connection ended
	errUnavailable
	errOverloaded
	errWriteTimeout
	errReadTimeout
	errWriteFailure
	errReadFailure
	errUnprepared
	errInvalid
	errServer
	errOther
	errLost    // a row that was written is not there
	errStale   // it has the values of an earlier revision
	errCorrupt // it has values that nobody wrote
	errorKindCount
)

var errorNames = [errorKindCount]string{"connection", "unavailable", "overloaded", "write timeout", "read timeout", "write failure",
	"read failure", "unprepared", "invalid", "server", "other", "lost", "stale", "corrupt"}

// kindOfError sorts what a call ended with.
func kindOfError(err error) errorKind {
	var e *helenus.Error
	if !errors.As(err, &e) {
		return errConnection
	}
	switch e.Code {
	case helenus.CodeUnavailable:
		return errUnavailable
	case helenus.CodeOverloaded, helenus.CodeBootstrapping:
		return errOverloaded
	case helenus.CodeWriteTimeout:
		return errWriteTimeout
	case helenus.CodeReadTimeout:
		return errReadTimeout
	case helenus.CodeWriteFailure:
		return errWriteFailure
	case helenus.CodeReadFailure:
		return errReadFailure
	case helenus.CodeUnprepared:
		return errUnprepared
	case helenus.CodeInvalid, helenus.CodeSyntax, helenus.CodeConfig, helenus.CodeUnauthorized, helenus.CodeProtocol:
		return errInvalid
	case helenus.CodeServer:
		return errServer
	}
	return errOther
}

// mismatch is a read that found something else than was written.
type mismatch struct {
	kind errorKind
	text string
}

func (m *mismatch) Error() string { return m.text }

// samplesMax is how many errors are kept in full.
const samplesMax = 10

// samples keeps the first errors, as texts.
type samples struct {
	taken atomic.Int64
	mu    sync.Mutex
	texts []string
}

// wanted takes a place among the first; asking costs less than a text.
func (s *samples) wanted() bool { return s.taken.Load() < samplesMax && s.taken.Add(1) <= samplesMax }

func (s *samples) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, text)
}

func (s *samples) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.texts...)
}
