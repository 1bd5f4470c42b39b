// Package report holds what a node tells its operator, as types.
//
// Its nouns are Ring, Info, Cluster, Job and Error; what gossip, hints and the
// metadata tell has a file each. The admin API fills them in
// and ctl reads them; it stands on the first floor because ctl and agent may
// not import each other. It never formats anything for people and never asks
// a node: numbers here are in plain units, and a layout is ctl's business.
package report

import (
	"errors"
	"fmt"
	"time"
)

// Liveness is what a node thinks of another.
type Liveness string

// The verdicts of liveness.
const (
	Up      Liveness = "up"
	Down    Liveness = "down"
	Unknown Liveness = "unknown"
)

// Movement is where a node stands on its way into, through or out of the ring.
type Movement string

// The movements of a node.
const (
	Normal  Movement = "normal"
	Joining Movement = "joining"
	Leaving Movement = "leaving"
	Moving  Movement = "moving"
)

// Member is one node as another sees it.
type Member struct {
	Address    string   `json:"address"`
	Port       int      `json:"port"`
	HostID     string   `json:"host_id"`
	Datacenter string   `json:"datacenter"`
	Rack       string   `json:"rack"`
	Liveness   Liveness `json:"liveness"`
	Movement   Movement `json:"movement"`
	LoadBytes  *int64   `json:"load_bytes"` // null: not known
	TokenCount int      `json:"token_count"`
	Tokens     []string `json:"tokens,omitempty"` // of the operation ring, in ring order
	Owns       *float64 `json:"owns"`             // the share of the data, 0 to 1; null: not known
}

// Ring is the answer of status and ring.
type Ring struct {
	Keyspace  string   `json:"keyspace,omitempty"` // the one asked for
	Effective bool     `json:"effective"`          // Owns counts replicas, not only primary ranges
	Note      string   `json:"note,omitempty"`     // why it is not effective
	Members   []Member `json:"members"`
}

// Cache is one cache of a node. What a cache does not have is zero.
type Cache struct {
	Name              string  `json:"name"` // key, row, counter, chunk, network
	Entries           int64   `json:"entries"`
	SizeBytes         int64   `json:"size_bytes"`
	CapacityBytes     int64   `json:"capacity_bytes"`
	Hits              int64   `json:"hits"`
	Requests          int64   `json:"requests"`
	SavePeriodSeconds int64   `json:"save_period_seconds,omitempty"`
	MissLatencyMicros float64 `json:"miss_latency_micros,omitempty"`
	OverflowBytes     int64   `json:"overflow_bytes,omitempty"`
}

// Info is one node about itself.
type Info struct {
	HostID                string   `json:"host_id"`
	GossipActive          bool     `json:"gossip_active"`
	NativeActive          bool     `json:"native_transport_active"`
	LoadBytes             int64    `json:"load_bytes"`
	UncompressedLoadBytes int64    `json:"uncompressed_load_bytes"`
	Generation            int64    `json:"generation"`
	UptimeSeconds         int64    `json:"uptime_seconds"`
	HeapUsedBytes         int64    `json:"heap_used_bytes"`
	HeapMaxBytes          int64    `json:"heap_max_bytes"`
	OffHeapBytes          int64    `json:"off_heap_bytes"`
	Datacenter            string   `json:"datacenter"`
	Rack                  string   `json:"rack"`
	Exceptions            int64    `json:"exceptions"`
	Caches                []Cache  `json:"caches"`
	Repaired              float64  `json:"repaired"` // the share of the data, 0 to 1
	Tokens                []string `json:"tokens"`
	BootstrapState        string   `json:"bootstrap_state"`
	BootstrapFailed       bool     `json:"bootstrap_failed"`
	Decommissioning       bool     `json:"decommissioning"`
	DecommissionFailed    bool     `json:"decommission_failed"`
}

// SchemaVersion is a version of the schema and who has it. Version
// "UNREACHABLE" stands for nodes that did not answer.
type SchemaVersion struct {
	Version   string   `json:"version"`
	Addresses []string `json:"addresses"`
	Endpoints []string `json:"endpoints,omitempty"` // the same with ports
}

// DatacenterCount counts the nodes of a datacenter.
type DatacenterCount struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
	Down  int    `json:"down"`
}

// ReleaseCount says who runs a release.
type ReleaseCount struct {
	Release   string   `json:"release"`
	Endpoints []string `json:"endpoints"` // with ports
}

// Keyspace is a keyspace with its replication.
type Keyspace struct {
	Name    string            `json:"name"`
	Class   string            `json:"class"`
	Options map[string]string `json:"options"`
}

// Cluster is the cluster as one node knows it.
type Cluster struct {
	Name          string            `json:"name"`
	Snitch        string            `json:"snitch"`
	DynamicSnitch bool              `json:"dynamic_snitch"`
	Partitioner   string            `json:"partitioner"`
	Schemas       []SchemaVersion   `json:"schemas"`
	Live          int               `json:"live"`
	Joining       int               `json:"joining"`
	Moving        int               `json:"moving"`
	Leaving       int               `json:"leaving"`
	Unreachable   int               `json:"unreachable"`
	Datacenters   []DatacenterCount `json:"datacenters"`
	Releases      []ReleaseCount    `json:"releases"`
	Keyspaces     []Keyspace        `json:"keyspaces"`
}

// Replica is a node that keeps a range.
type Replica struct {
	Address       string `json:"address"`
	Port          int    `json:"port"`           // for other nodes
	NativeAddress string `json:"native_address"` // for clients
	NativePort    int    `json:"native_port"`
	HostID        string `json:"host_id"`
	Datacenter    string `json:"datacenter"`
	Rack          string `json:"rack"`
}

// TokenRange is a range of the ring with its replicas, the primary one first.
type TokenRange struct {
	Start    string    `json:"start"` // exclusive
	End      string    `json:"end"`   // inclusive
	Replicas []Replica `json:"replicas"`
}

// TokenRanges are the ranges of a keyspace, in ring order: the placement of the
// metadata, pending replicas not counted.
type TokenRanges struct {
	Keyspace      string       `json:"keyspace"`
	SchemaVersion string       `json:"schema_version"`
	Ranges        []TokenRange `json:"ranges"`
}

// Endpoints are the replicas of a key.
type Endpoints struct {
	Addresses []string `json:"addresses"`
}

// Version is what runs.
type Version struct {
	Release string `json:"release"` // the Cassandra release whose behaviour it shows
	Build   string `json:"build"`
}

// Ready is the answer of a node that serves clients.
type Ready struct {
	PID        int    `json:"pid"`
	CQLAddress string `json:"cql_address"` // host:port
	HostID     string `json:"host_id"`
}

// Empty is the request or the answer of an operation that needs none.
type Empty struct{}

// KeyspaceRequest names a keyspace, or none for all.
type KeyspaceRequest struct {
	Keyspace string `json:"keyspace,omitempty"`
}

// KeyRequest names a partition; Key is written as nodetool takes it, the
// components of a compound key joined by colons.
type KeyRequest struct {
	Keyspace string `json:"keyspace"`
	Table    string `json:"table"`
	Key      string `json:"key"`
}

// TablesRequest names tables of a keyspace; none means all of it, no keyspace
// means everything.
type TablesRequest struct {
	Keyspace string   `json:"keyspace,omitempty"`
	Tables   []string `json:"tables,omitempty"`
}

// JobRequest names a job.
type JobRequest struct {
	ID string `json:"id" in:"path"`
}

// JobState is where a job stands.
type JobState string

// The states of a job. Interrupted means that the node went down under it.
const (
	Running     JobState = "running"
	Done        JobState = "done"
	Failed      JobState = "failed"
	Cancelled   JobState = "cancelled"
	Interrupted JobState = "interrupted"
)

// Job is a piece of long work.
type Job struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind"`   // the operation that began it
	Target     string     `json:"target"` // what it works on
	State      JobState   `json:"state"`
	Done       int64      `json:"done"`
	Total      int64      `json:"total"` // 0: not known yet
	Unit       string     `json:"unit,omitempty"`
	Started    time.Time  `json:"started"`
	Ended      *time.Time `json:"ended,omitempty"`
	ETASeconds *int64     `json:"eta_seconds,omitempty"`
	Error      string     `json:"error,omitempty"`
	ErrorKind  ErrorKind  `json:"error_kind,omitempty"`
}

// Jobs are the jobs of a node, newest first.
type Jobs struct {
	Jobs []Job `json:"jobs"`
}

// FactValue is one reading. Of a histogram, Number is the mean.
type FactValue struct {
	Labels      map[string]string  `json:"labels,omitempty"`
	Number      float64            `json:"number"`
	Count       int64              `json:"count,omitempty"`
	Percentiles map[string]float64 `json:"percentiles,omitempty"`
}

// Fact is one line of a node's table of facts.
type Fact struct {
	Name   string      `json:"name"`
	Help   string      `json:"help"`
	Unit   string      `json:"unit,omitempty"`
	Kind   string      `json:"kind"`
	Values []FactValue `json:"values"`
}

// Facts is the table of facts.
type Facts struct {
	Facts []Fact `json:"facts"`
}

// ErrorKind tells what sort of failure it was, for programs.
type ErrorKind string

// The kinds of errors of the admin API.
const (
	Invalid     ErrorKind = "invalid"     // the request can never succeed
	NotFound    ErrorKind = "not_found"   // what it names does not exist
	Conflict    ErrorKind = "conflict"    // not in this state
	Overloaded  ErrorKind = "overloaded"  // try again later
	Unsupported ErrorKind = "unsupported" // not built yet
	Forbidden   ErrorKind = "forbidden"   // not from there
	Timeout     ErrorKind = "timeout"     // the deadline passed
	Internal    ErrorKind = "internal"    // a failure of the node
)

// Error is a failure as the admin API tells it.
type Error struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// KindOf is the kind of an error; what is not an Error is Internal.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Errorf makes an Error of a kind.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
