package report

// GossipState is one of the states that gossip holds of a node.
type GossipState struct {
	Name    string `json:"name"`    // Cassandra's: STATUS_WITH_PORT, LOAD, SCHEMA, DC, RACK, RELEASE_VERSION, HOST_ID, RPC_READY, ...
	Version uint64 `json:"version"` // of the node's counter when the state was last set
	Value   string `json:"value"`   // as Cassandra writes it; of TOKENS <hidden>
}

// GossipNode is what gossip holds of one node, this one included.
type GossipNode struct {
	Address    string        `json:"address"`
	Port       int           `json:"port"` // for other nodes
	HostID     string        `json:"host_id"`
	Generation int64         `json:"generation"` // when the node started, in seconds since 1970
	Heartbeat  uint64        `json:"heartbeat"`  // the version of its last heartbeat
	States     []GossipState `json:"states"`     // in the order they are shown in
}

// GossipInfo is the answer of gossipinfo: agent/gossip's Facts, by address.
type GossipInfo struct {
	Nodes []GossipNode `json:"nodes"`
}

// Suspicion is how sure this node is that another is away.
type Suspicion struct {
	Address  string   `json:"address"`
	Port     int      `json:"port"` // for other nodes
	HostID   string   `json:"host_id"`
	Liveness Liveness `json:"liveness"`
	Reason   string   `json:"reason,omitempty"` // why it is down
	Phi      float64  `json:"phi"`              // has no unit, is finite
	// What phi is made of, and the second opinion: probes.
	SilenceMillis   int64 `json:"silence_millis"`    // since the last heartbeat
	IntervalMillis  int64 `json:"interval_millis"`   // the mean between heartbeats
	Samples         int   `json:"samples"`           // heartbeats that the mean is of
	ProbeFailed     bool  `json:"probe_failed"`      // the last one
	RoundTripMicros int64 `json:"round_trip_micros"` // of the last probe that was answered
}

// FailureDetector is the answer of failuredetector: agent/gossip's Facts of all
// nodes but this one, by address.
type FailureDetector struct {
	Threshold float64     `json:"threshold"` // a node of greater phi is down: phi_convict_threshold
	Nodes     []Suspicion `json:"nodes"`
}

// Seeds are the addresses that the configuration names for finding the
// cluster, without this node's.
type Seeds struct {
	Addresses []string `json:"addresses"` // host:port
}

// Service tells whether a part of a node runs.
type Service struct {
	Running bool `json:"running"`
}
