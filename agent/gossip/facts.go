package gossip

import (
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// Facts are what an operator may know of gossip: `ctl gossipinfo`, `ctl
// failuredetector` and `ctl getseeds` show them.
type Facts struct {
	Seeds     []helenus.Endpoint // without this node
	Threshold float64            // phi_convict_threshold
	Nodes     []NodeFacts        // this node first, then by host id

	// Counts since the start.
	Rounds        uint64
	Sent          uint64 // SYN and ACK2
	Failed        uint64 // of them, without an answer
	Answered      uint64 // SYNs of others
	BytesSent     uint64
	BytesReceived uint64
	RoundBytesMax uint64 // the most that this node sent of its own accord in a round
	Unknown       uint64 // what was said of nodes that are no members
	Rejected      uint64 // generations more than a year ahead, values beyond their number
	Refuted       uint64 // false claims about this node
	Pauses        uint64 // of this process, so long that nobody was judged after them
}

// NodeFacts are one node's.
type NodeFacts struct {
	Target     wire.Target
	Liveness   Liveness
	Reason     string        // why it is down
	Since      time.Duration // how long it has been so
	Generation int64
	Heartbeat  uint64
	Epoch      meta.Epoch
	Values     []ValueFacts // by key

	// Of the failure detector; zero for this node.
	Phi         float64
	Silence     time.Duration // since the last heartbeat
	Interval    time.Duration // the mean between heartbeats
	Samples     int
	ProbeFailed bool          // the second opinion
	RoundTrip   time.Duration // of the last probe
}

// ValueFacts is one thing that a node says of itself.
type ValueFacts struct {
	Name    string
	Version uint64
	Text    string
}

// Facts gives a picture of now.
func (g *Gossip) Facts() Facts {
	seeds := g.Seeds()
	g.mu.Lock()
	defer g.mu.Unlock()
	now, n, t := g.now().at, &g.counts, g.core.tally
	f := Facts{Seeds: seeds, Threshold: g.core.threshold, Rounds: n.rounds.Load(), Sent: n.sent.Load(), Failed: n.failed.Load(),
		Answered: n.answered.Load(), BytesSent: n.bytesOut.Load(), BytesReceived: n.bytesIn.Load(), RoundBytesMax: n.roundBytesMax.Load(),
		Unknown: t.unknown, Rejected: t.rejected, Refuted: t.refuted, Pauses: t.pauses}
	f.Nodes = append(f.Nodes, g.core.self.facts(now))
	for _, n := range g.core.members {
		f.Nodes = append(f.Nodes, n.facts(now))
	}
	return f
}

func (n *node) facts(now time.Duration) NodeFacts {
	f := NodeFacts{Target: n.target, Liveness: n.liveness, Reason: n.reason, Since: now - n.since, Generation: n.generation,
		Heartbeat: n.heartbeat, Epoch: epochOf(n.values), Phi: n.arrivals.phi(now), Interval: n.arrivals.mean(),
		Samples: len(n.arrivals.micros), ProbeFailed: n.failed, RoundTrip: n.trip}
	if n.arrivals.heard {
		f.Silence = now - n.arrivals.last
	}
	for _, v := range n.values {
		f.Values = append(f.Values, ValueFacts{v.key.String(), v.version, v.text})
	}
	return f
}
