// Package helenus holds the nouns that every room of the house shares: who a
// node is (HostID, Endpoint, Datacenter, Rack), when something was written
// (Timestamp), how many replicas must answer (Consistency) and the kinds of
// error a client may be told (Error and its details).
//
// Everybody may import it; it imports only the standard library and does
// nothing by itself.
package helenus

import (
	"fmt"
	"net/netip"
	"strings"
)

// ReleaseVersion is the Cassandra release whose behaviour clients may expect;
// drivers choose their queries by it.
const ReleaseVersion = "5.0.9"

// CQLVersion is the CQL language version announced to clients.
const CQLVersion = "3.4.7"

// HostID names a node for ever, whatever its address.
type HostID [16]byte

// String renders the usual 8-4-4-4-12 form.
func (h HostID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Endpoint is an address and port of one node.
type Endpoint = netip.AddrPort

// Datacenter and Rack place a node.
type (
	Datacenter string
	Rack       string
)

// Timestamp is a write timestamp, by convention microseconds since 1970.
type Timestamp int64

// Consistency is a consistency level; the values are those of the wire.
type Consistency uint16

// The consistency levels of the native protocol.
const (
	Any         Consistency = 0x00
	One         Consistency = 0x01
	Two         Consistency = 0x02
	Three       Consistency = 0x03
	Quorum      Consistency = 0x04
	All         Consistency = 0x05
	LocalQuorum Consistency = 0x06
	EachQuorum  Consistency = 0x07
	Serial      Consistency = 0x08
	LocalSerial Consistency = 0x09
	LocalOne    Consistency = 0x0A
)

var consistencyNames = [...]string{"ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM",
	"EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"}

// String is the name in CQL's spelling.
func (c Consistency) String() string {
	if int(c) < len(consistencyNames) {
		return consistencyNames[c]
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint16(c))
}

// Valid tells whether the level exists.
func (c Consistency) Valid() bool { return int(c) < len(consistencyNames) }

// IsSerial tells whether the level is one of the two serial ones.
func (c Consistency) IsSerial() bool { return c == Serial || c == LocalSerial }

// IsLocal tells whether the level counts only replicas of the coordinator's datacenter.
func (c Consistency) IsLocal() bool { return c == LocalOne || c == LocalQuorum || c == LocalSerial }

// ParseConsistency reads a level's name in any case.
func ParseConsistency(s string) (Consistency, error) {
	for i, n := range consistencyNames {
		if strings.EqualFold(n, s) {
			return Consistency(i), nil
		}
	}
	return 0, fmt.Errorf("unknown consistency level %q: one of %s", s, strings.Join(consistencyNames[:], ", "))
}
