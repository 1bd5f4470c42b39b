package gossip

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// Key names one thing that a node says of itself. Keys of later releases are
// kept and passed on.
type Key uint8

// The keys. A number is never given to another.
const (
	KeyStatus Key = iota + 1
	KeyLoad
	KeySchema
	KeyDatacenter
	KeyRack
	KeyRelease
	KeyRPCReady
	KeyNative
	KeyHostID
	KeyEpoch
	KeySeverity
)

// String is the name that nodetool gossipinfo has for it.
func (k Key) String() string {
	names := [...]string{KeyStatus: "STATUS_WITH_PORT", KeyLoad: "LOAD", KeySchema: "SCHEMA", KeyDatacenter: "DC", KeyRack: "RACK",
		KeyRelease: "RELEASE_VERSION", KeyRPCReady: "RPC_READY", KeyNative: "NATIVE_ADDRESS_AND_PORT", KeyHostID: "HOST_ID",
		KeyEpoch: "EPOCH", KeySeverity: "SEVERITY"}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("KEY_%d", uint8(k))
	}
	return names[k]
}

// StatusShutdown is the status of a node that is going down on purpose.
const StatusShutdown = "shutdown,true"

// Own is what a node says of itself. What is zero is not said, or stays as it
// was said, but for RPCReady, LoadBytes and Severity.
type Own struct {
	Status     string // as Cassandra's: "NORMAL,<first token>"
	LoadBytes  int64
	Schema     [16]byte // the version
	Datacenter helenus.Datacenter
	Rack       helenus.Rack
	Release    string
	RPCReady   bool             // clients are served
	Native     helenus.Endpoint // where
	Severity   float64          // how busy its disks are
}

// texts is o as values, by key.
func (o *Own) texts() []value {
	list := []value{{key: KeyStatus, text: o.Status}, {key: KeyLoad, text: strconv.FormatFloat(float64(o.LoadBytes), 'f', 1, 64)}}
	if o.Schema != ([16]byte{}) {
		list = append(list, value{key: KeySchema, text: helenus.HostID(o.Schema).String()})
	}
	list = append(list, value{key: KeyDatacenter, text: string(o.Datacenter)}, value{key: KeyRack, text: string(o.Rack)},
		value{key: KeyRelease, text: o.Release}, value{key: KeyRPCReady, text: strconv.FormatBool(o.RPCReady)})
	if o.Native.IsValid() {
		list = append(list, value{key: KeyNative, text: o.Native.String()})
	}
	list = append(list, value{key: KeySeverity, text: strconv.FormatFloat(o.Severity, 'f', -1, 64)})
	return slices.DeleteFunc(list, func(v value) bool { return v.text == "" })
}

// Liveness is what this node thinks of another.
type Liveness uint8

// The verdicts.
const (
	Unknown Liveness = iota // nothing was heard of it since this node started
	Up
	Down
)

func (l Liveness) String() string { return [...]string{"unknown", "up", "down"}[l] }

// Endpoint is one node as this one sees it. It does not change.
type Endpoint struct {
	Target     wire.Target
	Liveness   Liveness
	Reason     string // why it is down
	Generation int64  // when it started, in seconds since 1970; zero: nothing was heard of it
	values     []value
}

// Alive tells whether requests should go to it.
func (e *Endpoint) Alive() bool { return e.Liveness == Up }

// Text is the value of a key as it is sent; empty if the node does not say it.
func (e *Endpoint) Text(k Key) string { return textOf(e.values, k) }

// RPCReady tells whether it serves clients.
func (e *Endpoint) RPCReady() bool { return e.Text(KeyRPCReady) == "true" }

// Native is where it serves clients; not valid if it does not say.
func (e *Endpoint) Native() helenus.Endpoint {
	a, _ := netip.ParseAddrPort(e.Text(KeyNative))
	return a
}

// LoadBytes is the size of its data; false if it does not say.
func (e *Endpoint) LoadBytes() (int64, bool) {
	f, err := strconv.ParseFloat(e.Text(KeyLoad), 64)
	if err != nil || !(f >= 0 && f < 1<<62) {
		return 0, false
	}
	return int64(f), true
}

// Schema is the version of its schema; zero if it does not say.
func (e *Endpoint) Schema() (version [16]byte) {
	b, err := hex.DecodeString(strings.ReplaceAll(e.Text(KeySchema), "-", ""))
	if err != nil || len(b) != len(version) {
		return version
	}
	return [16]byte(b)
}

// Epoch is the epoch of its metadata; zero if it does not say.
func (e *Endpoint) Epoch() meta.Epoch { return epochOf(e.values) }

func epochOf(values []value) meta.Epoch {
	n, _ := strconv.ParseUint(textOf(values, KeyEpoch), 10, 64)
	return meta.Epoch(n)
}

func textOf(values []value, k Key) string {
	if i, ok := find(values, k); ok {
		return values[i].text
	}
	return ""
}

func find(values []value, k Key) (int, bool) {
	return slices.BinarySearchFunc(values, k, func(v value, k Key) int { return int(v.key) - int(k) })
}

// View is a picture of the cluster. It does not change.
type View struct {
	byID map[helenus.HostID]*Endpoint
}

// Alive tells whether requests should go to a node; this one is always alive.
func (v *View) Alive(id helenus.HostID) bool {
	e := v.byID[id]
	return e != nil && e.Liveness == Up
}

// Endpoint is one node; nil if it is no member.
func (v *View) Endpoint(id helenus.HostID) *Endpoint { return v.byID[id] }

// Len is how many nodes there are, this one included.
func (v *View) Len() int { return len(v.byID) }
