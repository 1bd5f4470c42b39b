package report

// Voter is one of the nodes that decide the cluster's metadata.
type Voter struct {
	HostID     string   `json:"host_id"`
	Address    string   `json:"address"`
	Port       int      `json:"port"` // for other nodes
	Datacenter string   `json:"datacenter"`
	Rack       string   `json:"rack"`
	Liveness   Liveness `json:"liveness"`
	Leader     bool     `json:"leader"`
}

// Metadata is how the cluster's metadata stands at one node. Source:
// agent/cluster's Status, and its State for the places of the voters.
type Metadata struct {
	ClusterID string `json:"cluster_id"`
	Epoch     uint64 `json:"epoch"`             // of the state this node follows
	Level     uint64 `json:"level"`             // the feature level of the cluster
	Member    bool   `json:"member"`            // this node is one of the cluster
	Waiting   string `json:"waiting,omitempty"` // what a node that is none waits for
	Problem   string `json:"problem,omitempty"` // why this node cannot follow the others
	Leader    string `json:"leader,omitempty"`  // host id; empty: none is known here
	Term      uint64 `json:"term"`              // raft's; 0: this node does not vote, or decides alone
	Applied   uint64 `json:"applied"`           // raft's index; 0 as for Term
	// Available tells whether more than half of the voters live: without them no
	// change of schema or topology is decided.
	Available bool    `json:"available"`
	Voters    []Voter `json:"voters"`
}
