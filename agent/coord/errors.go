package coord

import (
	"errors"
	"fmt"
	"strings"

	"helenus"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/store/row"
)

// reasonTombstones is the protocol's reason code for a read that met too many.
const reasonTombstones = 1

// writeError is what a client is told of a failed write at this node: its
// replica failed, with the reason kept in the node's log.
func writeError(err error, w *Write) error {
	var told *helenus.Error
	if errors.As(err, &told) {
		return err
	}
	return &helenus.Error{Code: helenus.CodeWriteFailure, Consistency: w.Consistency, Required: 1, WriteType: w.Type,
		Message:  "Operation failed - received 0 responses and 1 failures: " + err.Error(),
		Failures: []helenus.Failure{{}}}
}

// readError is the same for a read.
func readError(err error, cl helenus.Consistency) error {
	if err == nil { // first of all: told is on the heap
		return nil
	}
	var told *helenus.Error
	if errors.As(err, &told) {
		return err
	}
	failure := helenus.Failure{}
	var tombstones *row.TombstonesError
	if errors.As(err, &tombstones) {
		failure.Reason = reasonTombstones
	}
	return &helenus.Error{Code: helenus.CodeReadFailure, Consistency: cl, Required: 1,
		Message:  "Operation failed - received 0 responses and 1 failures: " + err.Error(),
		Failures: []helenus.Failure{failure}}
}

// errLate is the error of a replica of which nothing was heard in time.
var errLate error = &wire.Error{Kind: wire.Timeout, Reason: "no answer in time"}

// errDead is the error of a replica that was not asked.
var errDead error = &wire.Error{Kind: wire.Unreachable, Reason: "it is down"}

// writeTimeout is what a client is told of a write that too few replicas
// answered in time.
func writeTimeout(cl helenus.Consistency, kind helenus.WriteType, received, blockFor int) error {
	received = min(received, blockFor-1) // answers of the wrong datacenter do not help
	return &helenus.Error{Code: helenus.CodeWriteTimeout, Consistency: cl, Required: blockFor, Alive: received, WriteType: kind,
		Message: fmt.Sprintf("Operation timed out - received only %d responses.", received)}
}

// writeFailure is what a client is told of a write that too many replicas
// refused.
func writeFailure(cl helenus.Consistency, kind helenus.WriteType, received, blockFor int, failures []helenus.Failure) error {
	received = min(received, blockFor-1)
	return &helenus.Error{Code: helenus.CodeWriteFailure, Consistency: cl, Required: blockFor, Alive: received, WriteType: kind, Failures: failures,
		Message: fmt.Sprintf("Operation failed - received %d responses and %d failures: %s", received, len(failures), failureText(failures))}
}

// failureText lists who failed why, as Cassandra does.
func failureText(failures []helenus.Failure) string {
	var b strings.Builder
	for i, f := range failures {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s from /%s", reasonName(f.Reason), f.From)
	}
	return b.String()
}

// reasonName is Cassandra's word for a replica's reason.
func reasonName(reason uint16) string {
	switch reason {
	case replica.ReasonTombstones:
		return "READ_TOO_MANY_TOMBSTONES"
	case replica.ReasonTimeout:
		return "TIMEOUT"
	case replica.ReasonSchema:
		return "INCOMPATIBLE_SCHEMA"
	case replica.ReasonReadSize:
		return "READ_SIZE"
	case replica.ReasonNodeDown:
		return "NODE_DOWN"
	}
	return "UNKNOWN"
}
