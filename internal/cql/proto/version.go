package proto

import (
	"fmt"
	"strings"

	"helenus"
)

// Version is a version of the native protocol.
type Version uint8

// The versions whose formats this package knows. Which of them a server
// speaks is said by Supported.
const (
	V3 Version = 3
	V4 Version = 4
	V5 Version = 5
	v6 Version = 6 // known only to be answered: its beta needs a flag nobody sets
)

// supported is the one table of what we speak, lowest first; the text of the
// refusal and of SUPPORTED are made from it.
var supported = [...]Version{V4, V5}

// Highest is the version that a refusal is written in.
const Highest = V5

// String is the form in SUPPORTED and in errors.
func (v Version) String() string {
	if v == v6 {
		return "6/v6-beta"
	}
	return fmt.Sprintf("%d/v%d", uint8(v), uint8(v))
}

// Supported tells whether a connection may use v.
func (v Version) Supported() bool { return v >= supported[0] && v <= supported[len(supported)-1] }

// SupportedVersions lists what SUPPORTED announces, lowest first.
func SupportedVersions() []string {
	out := make([]string, len(supported))
	for i, v := range supported {
		out[i] = v.String()
	}
	return out
}

// flagWidth is the size of the flags of QUERY's parameters (4.1.4): a byte
// until v4, four bytes since.
func (v Version) flagWidth() int {
	if v >= V5 {
		return 4
	}
	return 1
}

// versionError is the refusal drivers parse: Python's looks for "unsupported
// protocol version", Node's for the first four words and the version in the
// header of the reply.
func versionError(v Version, flags HeaderFlags) *helenus.Error {
	if v == v6 && flags&FlagBeta == 0 {
		return helenus.Errorf(helenus.CodeProtocol, "Beta version of the protocol used (%s), but USE_BETA flag is unset", v)
	}
	return helenus.Errorf(helenus.CodeProtocol, "Invalid or unsupported protocol version (%d); supported versions are (%s)",
		uint8(v), strings.Join(SupportedVersions(), ", "))
}

// ProtocolError is what a Decoder found wrong with the bytes of a connection.
// Err belongs into an ERROR on Stream; after a Fatal one the connection cannot
// be understood any more and is closed once the ERROR is out.
type ProtocolError struct {
	Stream int16
	Fatal  bool
	// VersionMismatch is set when the peer spoke a version we do not: the ERROR
	// is written in version Highest.
	VersionMismatch bool
	Err             *helenus.Error
}

func (e *ProtocolError) Error() string { return "proto: " + e.Err.Message }

// Unwrap gives the error for the peer.
func (e *ProtocolError) Unwrap() error { return e.Err }

func protocolErrorf(format string, args ...any) *helenus.Error {
	return helenus.Errorf(helenus.CodeProtocol, format, args...)
}
