package coord

import (
	"errors"

	"helenus"
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
