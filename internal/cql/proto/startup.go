package proto

import (
	"strconv"
	"strings"

	"helenus"
)

// The keys of STARTUP that servers look at (4.1.1).
const (
	OptionCQLVersion      = "CQL_VERSION"
	OptionCompression     = "COMPRESSION"
	OptionThrowOnOverload = "THROW_ON_OVERLOAD"
	OptionDriverName      = "DRIVER_NAME"
	OptionDriverVersion   = "DRIVER_VERSION"
)

// Startup is what a STARTUP asks for.
type Startup struct {
	Compression     Compression
	ThrowOnOverload bool
	DriverName      string
	DriverVersion   string
}

// Framing is what the connection switches to after the answer to STARTUP.
func (s *Startup) Framing(v Version) Framing {
	switch {
	case v < V5:
		return FramingNone
	case s.Compression == CompressLZ4:
		return FramingLZ4
	}
	return FramingPlain
}

// Startup reads and judges the options of a STARTUP.
func (q *Request) Startup() (Startup, *helenus.Error) {
	s := Startup{
		ThrowOnOverload: q.Option(OptionThrowOnOverload) == "1",
		DriverName:      q.Option(OptionDriverName),
		DriverVersion:   q.Option(OptionDriverVersion),
	}
	cql := q.Option(OptionCQLVersion)
	if cql == "" {
		return s, protocolErrorf("Missing value CQL_VERSION in STARTUP message")
	}
	major, _, _ := strings.Cut(cql, ".")
	if n, err := strconv.Atoi(major); err != nil {
		return s, protocolErrorf("Invalid version value: %s", cql)
	} else if n < 3 {
		return s, protocolErrorf("CQL version %s is not supported by the binary protocol (supported version are >= 3.0.0)", cql)
	}
	switch name := strings.ToLower(q.Option(OptionCompression)); name {
	case "":
	case "lz4":
		s.Compression = CompressLZ4
	case "snappy":
		if q.Version >= V5 {
			return s, protocolErrorf("Snappy compression is not supported in protocol V5")
		}
		s.Compression = CompressSnappy
	default:
		return s, protocolErrorf("Unknown compression algorithm: %s", name)
	}
	return s, nil
}

// SupportedCompressions is what SUPPORTED announces.
func SupportedCompressions() []string { return []string{"snappy", "lz4"} }
