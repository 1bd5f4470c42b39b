package report

import "time"

// HintSettings are how a node keeps writes for nodes that are away. Source:
// agent/hint's settings in force, which may differ from the configuration.
type HintSettings struct {
	Enabled             bool     `json:"enabled"`              // writes are kept
	Paused              bool     `json:"paused"`               // what is kept is not delivered
	DisabledDatacenters []string `json:"disabled_datacenters"` // writes for nodes there are not kept; sorted
	WindowMillis        int64    `json:"window_millis"`        // how long after a node went away writes are kept for it
	ThrottleKiBPerSec   int64    `json:"throttle_kib_per_sec"` // of the delivery to all nodes; 0: none
}

// HintChange changes settings until the node restarts; what is null stays as
// it is.
type HintChange struct {
	Enabled           *bool            `json:"enabled,omitempty"`
	Paused            *bool            `json:"paused,omitempty"`
	Datacenter        *HintsDatacenter `json:"datacenter,omitempty"`
	WindowMillis      *int64           `json:"window_millis,omitempty"`
	ThrottleKiBPerSec *int64           `json:"throttle_kib_per_sec,omitempty"`
}

// HintsDatacenter says whether writes are kept for the nodes of a datacenter.
type HintsDatacenter struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// HintsRequest names the nodes whose hints are meant, by address with or
// without a port; none means all.
type HintsRequest struct {
	Addresses []string `json:"addresses,omitempty"`
}

// PendingHints are the hints that wait for one node. Source: agent/hint's
// Facts, and the metadata and gossip for where the node is and how it does.
type PendingHints struct {
	HostID     string    `json:"host_id"`
	Address    string    `json:"address"` // empty: the node is none of the cluster any more
	Port       int       `json:"port"`    // for other nodes
	Datacenter string    `json:"datacenter"`
	Rack       string    `json:"rack"`
	Liveness   Liveness  `json:"liveness"`
	Files      int       `json:"files"`
	SizeBytes  int64     `json:"size_bytes"` // of the files
	Oldest     time.Time `json:"oldest"`     // hint; zero: not known
	Newest     time.Time `json:"newest"`
	Delivering bool      `json:"delivering"`
	// Missed are the tables of which the node misses writes that no hint is kept
	// of either: they need repair.
	Missed []MissedWrites `json:"missed,omitempty"`
}

// MissedWrites are those of one table.
type MissedWrites struct {
	Table string    `json:"table"` // keyspace.table; empty: any
	Since time.Time `json:"since"` // when the first was missed
}

// HintList is the answer of listpendinghints, by address.
type HintList struct {
	Hints []PendingHints `json:"hints"`
}
