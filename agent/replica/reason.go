package replica

import (
	"errors"

	"helenus"
	"helenus/agent/wire"
	"helenus/store/row"
)

// Why a replica did not do what it was asked, as the native protocol numbers it.
const (
	ReasonUnknown    uint16 = 0
	ReasonTombstones uint16 = 1
	ReasonTimeout    uint16 = 2
	ReasonSchema     uint16 = 3 // the table is not known here, or no longer
	ReasonReadSize   uint16 = 4
	ReasonNodeDown   uint16 = 5
)

// reasonBase plus a reason is the code of a failure between nodes, above all
// codes of the native protocol.
const reasonBase helenus.ErrorCode = 0x10000

// Failed is the error of a replica with its reason; ReasonOf gets that back on
// either side of the wire.
func Failed(reason uint16, format string, args ...any) *helenus.Error {
	return helenus.Errorf(reasonBase+helenus.ErrorCode(reason), format, args...)
}

// ReasonOf is the reason of a replica's failure, this node's or another's.
func ReasonOf(err error) uint16 {
	var told *helenus.Error
	var tombstones *row.TombstonesError
	var call *wire.Error
	code := helenus.ErrorCode(0)
	switch {
	case errors.As(err, &tombstones):
		return ReasonTombstones
	case errors.As(err, &call):
		switch call.Kind {
		case wire.Timeout:
			return ReasonTimeout
		case wire.Unreachable, wire.Refused:
			return ReasonNodeDown
		}
		code = call.Code
	case errors.As(err, &told):
		code = told.Code
	}
	switch {
	case code >= reasonBase && code <= reasonBase+0xFFFF:
		return uint16(code - reasonBase)
	case code == helenus.CodeInvalid: // not so to the coordinator: it knows other tables
		return ReasonSchema
	}
	return ReasonUnknown
}
