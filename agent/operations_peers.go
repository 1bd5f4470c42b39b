package agent

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"helenus"
	"helenus/agent/gossip"
	"helenus/agent/hint"
	"helenus/internal/meta"
	"helenus/internal/report"
	"helenus/internal/ring"
)

// What operators are told of other nodes.

func (a *Agent) liveness(id helenus.HostID) report.Liveness {
	if a.gossip.Alive(id) {
		return report.Up
	}
	return report.Down
}

func (a *Agent) ranges(_ context.Context, r report.KeyspaceRequest) (report.TokenRanges, error) {
	state := a.cluster.State()
	switch ks := state.Schema.Keyspaces[r.Keyspace]; {
	case ks == nil || ks.Virtual:
		return report.TokenRanges{}, report.Errorf(report.NotFound, "No such keyspace: %s", r.Keyspace)
	case ks.Replication.Class == ring.LocalName:
		return report.TokenRanges{}, report.Errorf(report.NotFound, "There is no ring for the keyspace: %s", r.Keyspace)
	}
	out := report.TokenRanges{Keyspace: r.Keyspace, SchemaVersion: helenus.HostID(state.SchemaVersion()).String(), Ranges: []report.TokenRange{}}
	for _, arc := range state.Placement(r.Keyspace).Ranges() {
		one := report.TokenRange{Start: state.Partitioner.Format(arc.Range.Left), End: state.Partitioner.Format(arc.Range.Right), Replicas: []report.Replica{}}
		for _, n := range arc.Replicas {
			m := state.Node(n.HostID)
			one.Replicas = append(one.Replicas, report.Replica{Address: m.Broadcast.Addr().String(), Port: int(m.Broadcast.Port()),
				NativeAddress: m.Native.Addr().String(), NativePort: int(m.Native.Port()), HostID: m.HostID.String(),
				Datacenter: string(m.Datacenter), Rack: string(m.Rack)})
		}
		out.Ranges = append(out.Ranges, one)
	}
	return out, nil
}

func (a *Agent) gossipInfo(context.Context, report.Empty) (report.GossipInfo, error) {
	out := report.GossipInfo{Nodes: []report.GossipNode{}}
	for _, n := range gossipNodes(a.gossip.Facts().Nodes) {
		one := report.GossipNode{Address: n.Target.Addr.Addr().String(), Port: int(n.Target.Addr.Port()), HostID: n.Target.ID.String(),
			Generation: n.Generation, Heartbeat: n.Heartbeat, States: []report.GossipState{}}
		for _, v := range n.Values {
			one.States = append(one.States, report.GossipState{Name: v.Name, Version: v.Version, Value: v.Text})
		}
		out.Nodes = append(out.Nodes, one)
	}
	return out, nil
}

func gossipNodes(nodes []gossip.NodeFacts) []gossip.NodeFacts {
	slices.SortFunc(nodes, func(a, b gossip.NodeFacts) int { return a.Target.Addr.Compare(b.Target.Addr) })
	return nodes
}

func (a *Agent) failureDetector(context.Context, report.Empty) (report.FailureDetector, error) {
	facts := a.gossip.Facts()
	out := report.FailureDetector{Threshold: facts.Threshold, Nodes: []report.Suspicion{}}
	for _, n := range gossipNodes(facts.Nodes) {
		if n.Target.ID == a.cluster.Self() {
			continue
		}
		out.Nodes = append(out.Nodes, report.Suspicion{Address: n.Target.Addr.Addr().String(), Port: int(n.Target.Addr.Port()), HostID: n.Target.ID.String(),
			Liveness: a.liveness(n.Target.ID), Reason: n.Reason, Phi: n.Phi, SilenceMillis: n.Silence.Milliseconds(), IntervalMillis: n.Interval.Milliseconds(),
			Samples: n.Samples, ProbeFailed: n.ProbeFailed, RoundTripMicros: n.RoundTrip.Microseconds()})
	}
	return out, nil
}

func (a *Agent) gossipService(context.Context, report.Empty) (report.Service, error) {
	return report.Service{Running: true}, nil
}

func (a *Agent) nativeService(context.Context, report.Empty) (report.Service, error) {
	return report.Service{Running: a.Address() != ""}, nil
}

func (a *Agent) listSeeds(context.Context, report.Empty) (report.Seeds, error) {
	out := report.Seeds{Addresses: []string{}}
	for _, s := range a.gossip.Seeds() {
		out.Addresses = append(out.Addresses, s.String())
	}
	return out, nil
}

// reloadSeeds takes the seeds of the configuration as it is now.
func (a *Agent) reloadSeeds(ctx context.Context, e report.Empty) (report.Seeds, error) {
	if a.env.Reload == nil {
		return report.Seeds{}, report.Errorf(report.Invalid, "this node was started without a configuration file")
	}
	cfg, err := a.env.Reload()
	if err != nil {
		return report.Seeds{}, report.Errorf(report.Invalid, "%s", err.Error())
	}
	seeds, err := resolveSeeds(cfg.Seeds, a.cfg.StoragePort)
	if err != nil {
		return report.Seeds{}, report.Errorf(report.Invalid, "%s", err.Error())
	}
	a.gossip.SetSeeds(seeds)
	return a.listSeeds(ctx, e)
}

func (a *Agent) hintSettings(context.Context, report.Empty) (report.HintSettings, error) {
	return reportHints(a.handoff.Load()), nil
}

func reportHints(s *hint.Settings) report.HintSettings {
	out := report.HintSettings{Enabled: s.Enabled, Paused: s.Paused, DisabledDatacenters: []string{}, WindowMillis: s.Window.Milliseconds(), ThrottleKiBPerSec: s.BytesPerSec >> 10}
	for _, dc := range s.DisabledDCs {
		out.DisabledDatacenters = append(out.DisabledDatacenters, string(dc))
	}
	slices.Sort(out.DisabledDatacenters)
	return out
}

// The greatest values that can be asked for: a year, and a TiB a second.
const (
	hintWindowMax   = 365 * 24 * time.Hour
	hintThrottleMax = 1 << 30 // KiB
)

func (a *Agent) changeHints(_ context.Context, r report.HintChange) (report.HintSettings, error) {
	if w := r.WindowMillis; w != nil && (*w < 0 || *w > hintWindowMax.Milliseconds()) {
		return report.HintSettings{}, report.Errorf(report.Invalid, "a hint window of %d ms is not from 0 to a year", *w)
	}
	if k := r.ThrottleKiBPerSec; k != nil && (*k < 0 || *k > hintThrottleMax) {
		return report.HintSettings{}, report.Errorf(report.Invalid, "a throttle of %d KiB/s is not from 0 to %d", *k, hintThrottleMax)
	}
	if dc := r.Datacenter; dc != nil && !slices.Contains(a.cluster.State().Topology.Datacenters(), helenus.Datacenter(dc.Name)) {
		return report.HintSettings{}, report.Errorf(report.NotFound, "there is no datacenter %s", dc.Name)
	}
	for {
		old := a.handoff.Load()
		next := *old
		if r.Enabled != nil {
			next.Enabled = *r.Enabled
		}
		if r.Paused != nil {
			next.Paused = *r.Paused
		}
		if r.WindowMillis != nil {
			next.Window = time.Duration(*r.WindowMillis) * time.Millisecond
		}
		if r.ThrottleKiBPerSec != nil {
			next.BytesPerSec = *r.ThrottleKiBPerSec << 10
		}
		if dc := r.Datacenter; dc != nil {
			next.DisabledDCs = slices.DeleteFunc(slices.Clone(old.DisabledDCs), func(d helenus.Datacenter) bool { return string(d) == dc.Name })
			if !dc.Enabled {
				next.DisabledDCs = append(next.DisabledDCs, helenus.Datacenter(dc.Name))
			}
		}
		if a.handoff.CompareAndSwap(old, &next) {
			return reportHints(&next), nil
		}
	}
}

func (a *Agent) pendingHints(context.Context, report.Empty) (report.HintList, error) {
	state := a.cluster.State()
	out := report.HintList{Hints: []report.PendingHints{}}
	for _, f := range a.hints.Facts() {
		if f.Bytes == 0 && len(f.Missed) == 0 {
			continue
		}
		one := report.PendingHints{HostID: f.Host.String(), Liveness: a.liveness(f.Host), Files: f.Segments, SizeBytes: f.Bytes, Oldest: f.Oldest, Delivering: f.Delivering}
		if n := state.Node(f.Host); n != nil {
			one.Address, one.Port, one.Datacenter, one.Rack = n.Broadcast.Addr().String(), int(n.Broadcast.Port()), string(n.Datacenter), string(n.Rack)
		}
		for _, m := range f.Missed {
			missed := report.MissedWrites{Since: m.Since}
			if t := state.Schema.Table(m.Table); t != nil {
				missed.Table = t.QualifiedName()
			}
			one.Missed = append(one.Missed, missed)
		}
		out.Hints = append(out.Hints, one)
	}
	slices.SortFunc(out.Hints, func(a, b report.PendingHints) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), a.Port-b.Port)
	})
	return out, nil
}

func (a *Agent) truncateHints(_ context.Context, r report.HintsRequest) (report.Empty, error) {
	if len(r.Addresses) == 0 {
		a.hints.Forget()
		return report.Empty{}, nil
	}
	var hosts []helenus.HostID
	for _, address := range r.Addresses {
		n := memberAt(a.cluster.State(), address)
		if n == nil {
			return report.Empty{}, report.Errorf(report.NotFound, "Can't delete hints for unknown address /%s", address)
		}
		hosts = append(hosts, n.HostID)
	}
	a.hints.Forget(hosts...)
	return report.Empty{}, nil
}

// memberAt finds a member by its address, with or without the port.
func memberAt(state *meta.State, address string) *meta.Node {
	for _, n := range state.Nodes {
		if n.Broadcast.String() == address || n.Broadcast.Addr().String() == address {
			return n
		}
	}
	return nil
}

func (a *Agent) metadataStatus(context.Context, report.Empty) (report.Metadata, error) {
	return a.reportMetadata(), nil
}

func (a *Agent) reportMetadata() report.Metadata {
	st, state := a.cluster.Status(), a.cluster.State()
	out := report.Metadata{Epoch: uint64(st.Epoch), Level: uint64(st.Level), Member: st.Member, Waiting: st.Waiting,
		Problem: st.Problem, Term: st.Term, Applied: st.Applied, Voters: []report.Voter{}}
	if state.Founded() {
		out.ClusterID = helenus.HostID(state.ClusterID).String()
	}
	if st.Leader != (helenus.HostID{}) {
		out.Leader = st.Leader.String()
	}
	live := 0
	for _, v := range st.Voters {
		one := report.Voter{HostID: v.HostID.String(), Address: v.Address.Addr().String(), Port: int(v.Address.Port()), Liveness: report.Down, Leader: v.HostID == st.Leader}
		if v.Alive || v.HostID == a.cluster.Self() {
			one.Liveness = report.Up
			live++
		}
		if n := state.Node(v.HostID); n != nil {
			one.Datacenter, one.Rack = string(n.Datacenter), string(n.Rack)
		}
		out.Voters = append(out.Voters, one)
	}
	out.Available = 2*live > len(st.Voters)
	return out
}

func (a *Agent) recoverMetadata(ctx context.Context, _ report.Empty) (report.Metadata, error) {
	if _, err := a.cluster.Recover(ctx); err != nil {
		return report.Metadata{}, report.Errorf(report.Conflict, "%s", err.Error())
	}
	return a.reportMetadata(), nil
}
