package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"net"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"

	"helenus"
	"helenus/agent/admin"
	"helenus/agent/job"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/internal/report"
	"helenus/internal/ring"
)

// makeAdmin fills the operators' table of operations.
func (a *Agent) makeAdmin() (err error) {
	if err := a.registerFacts(); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.admin, err = admin.New(admin.Options{Journal: a.journal, Registry: a.env.Metrics, Metrics: a.cfg.Metrics, Log: a.env.Log,
		Release: helenus.ReleaseVersion}, admin.NodeOperations(admin.Backend{
		Ready: a.ready, Status: a.status, Ring: a.ring, Info: a.info, Cluster: a.describeCluster,
		Endpoints: a.endpoints, Version: a.version, Flush: a.flush, Compact: a.compact, Ranges: a.ranges,
		GossipInfo: a.gossipInfo, FailureDetector: a.failureDetector, GossipService: a.gossipService, NativeService: a.nativeService,
		Seeds: a.listSeeds, ReloadSeeds: a.reloadSeeds, HintSettings: a.hintSettings, ChangeHints: a.changeHints, PendingHints: a.pendingHints, TruncateHints: a.truncateHints,
		Metadata: a.metadataStatus, RecoverMetadata: a.recoverMetadata,
	}))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

func (a *Agent) ready(context.Context, report.Empty) (report.Ready, error) {
	address := a.Address()
	if address == "" {
		return report.Ready{}, report.Errorf(report.Overloaded, "the node does not serve clients yet")
	}
	return report.Ready{PID: a.env.PID, CQLAddress: address, HostID: a.cluster.Self().String()}, nil
}

func (a *Agent) version(context.Context, report.Empty) (report.Version, error) {
	return report.Version{Release: helenus.ReleaseVersion, Build: a.env.Build}, nil
}

// status lists the members; tokens are the ring's.
func (a *Agent) status(ctx context.Context, r report.KeyspaceRequest) (report.Ring, error) {
	out, err := a.ring(ctx, r)
	for i := range out.Members {
		out.Members[i].Tokens = nil
	}
	return out, err
}

func (a *Agent) ring(_ context.Context, r report.KeyspaceRequest) (report.Ring, error) {
	state := a.cluster.State()
	owns, err := ownership(state, r.Keyspace)
	if err != nil {
		return report.Ring{}, err
	}
	out := report.Ring{Keyspace: r.Keyspace, Effective: owns.effective, Note: owns.note, Members: []report.Member{}}
	for _, n := range state.Nodes {
		m := report.Member{Address: n.Broadcast.Addr().String(), Port: int(n.Broadcast.Port()), HostID: n.HostID.String(),
			Datacenter: string(n.Datacenter), Rack: string(n.Rack), Liveness: report.Down, Movement: movement(n.State), TokenCount: len(n.Tokens)}
		if a.gossip.Alive(n.HostID) {
			m.Liveness = report.Up
		}
		if load, ok := a.loadOf(n.HostID); ok {
			m.LoadBytes = &load
		}
		for _, t := range n.Tokens {
			m.Tokens = append(m.Tokens, state.Partitioner.Format(t))
		}
		if share, ok := owns.shares[n.HostID]; ok {
			share = math.Round(share*1e12) / 1e12 // a sum of many: 1 is 1
			m.Owns = &share
		}
		out.Members = append(out.Members, m)
	}
	return out, nil
}

// loadOf is how much data a node has, as it last said.
func (a *Agent) loadOf(id helenus.HostID) (int64, bool) {
	if id == a.cluster.Self() {
		return a.store.LoadBytes(), true
	}
	if e := a.gossip.View().Endpoint(id); e != nil {
		return e.LoadBytes()
	}
	return 0, false
}

// errNoMember is the answer of a node that is in no cluster yet.
func errNoMember() error {
	return report.Errorf(report.Overloaded, "the node is not a member of a cluster yet")
}

func movement(s ring.NodeState) report.Movement {
	return report.Movement(strings.ToLower(s.String()))
}

// shares are what each node owns of the data.
type shares struct {
	shares    map[helenus.HostID]float64
	effective bool
	note      string
}

// Why ownership is not effective, as Cassandra words it.
const (
	ownsNote  = "Non-system keyspaces don't have the same replication settings, effective ownership information is meaningless"
	localNote = "Ownership values for keyspaces with LocalStrategy are meaningless"
)

// ownership computes the effective ownership of a keyspace, or of all if they
// are replicated alike; otherwise that of the primary ranges.
func ownership(state *meta.State, keyspace string) (shares, error) {
	if keyspace != "" {
		ks := state.Schema.Keyspaces[keyspace]
		if ks == nil || ks.Virtual {
			return shares{}, report.Errorf(report.NotFound, "The keyspace %s, does not exist", keyspace)
		}
		if ks.Replication.Class == ring.LocalName {
			return shares{shares: primary(state), note: localNote}, nil
		}
		return effective(state, state.Placement(keyspace)), nil
	}
	var only *ring.Placement
	for name := range state.Schema.Keyspaces {
		if meta.IsSystemKeyspace(name) {
			continue
		}
		p := state.Placement(name)
		if only != nil && only != p {
			return shares{shares: primary(state), note: ownsNote}, nil
		}
		only = p
	}
	if only == nil {
		// Without keyspaces of users Cassandra takes this one, and so do we.
		only = state.Placement("system_traces")
	}
	return effective(state, only), nil
}

func effective(state *meta.State, p *ring.Placement) shares {
	out := shares{shares: map[helenus.HostID]float64{}, effective: true}
	for _, n := range state.Nodes {
		out.shares[n.HostID] = 0
	}
	for _, r := range p.Ranges() {
		for _, n := range r.Replicas {
			out.shares[n.HostID] += state.Partitioner.Share(r.Range.Left, r.Range.Right)
		}
	}
	return out
}

func primary(state *meta.State) map[helenus.HostID]float64 {
	out := map[helenus.HostID]float64{}
	tokens := state.Topology.Tokens()
	for i, right := range tokens {
		left := tokens[(i+len(tokens)-1)%len(tokens)]
		out[state.Topology.Owner(i).HostID] += state.Partitioner.Share(left, right)
	}
	return out
}

func (a *Agent) info(context.Context, report.Empty) (report.Info, error) {
	state := a.cluster.State()
	self := state.Node(a.cluster.Self())
	if self == nil {
		return report.Info{}, errNoMember()
	}
	c := a.store.CacheStats()
	heap, limit := heapBytes()
	info := report.Info{HostID: self.HostID.String(), GossipActive: true, NativeActive: a.Address() != "",
		LoadBytes: a.store.LoadBytes(), UncompressedLoadBytes: a.store.DataBytes(), Generation: a.generation,
		UptimeSeconds: int64(a.env.Now().Sub(a.started).Seconds()), HeapUsedBytes: heap, HeapMaxBytes: limit,
		OffHeapBytes: a.store.MemoryBytes() + c.BytesUsed, Datacenter: string(self.Datacenter), Rack: string(self.Rack),
		BootstrapState: "COMPLETED"}
	if info.LoadBytes == 0 {
		info.Repaired = 1 // nothing that could be out of repair
	}
	info.Caches = append(info.Caches, a.caches()...)
	info.Caches = append(info.Caches, report.Cache{Name: "network", SizeBytes: a.native.budget.Used(), CapacityBytes: a.native.budget.Limit()})
	for _, t := range self.Tokens {
		info.Tokens = append(info.Tokens, state.Partitioner.Format(t))
	}
	return info, nil
}

// snitchPackage makes a class name of a snitch's.
const snitchPackage = "org.apache.cassandra.locator."

// heapBytes is what the collector's heap holds and may hold.
func heapBytes() (used, limit int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(samples)
	used, limit = int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
	if limit == math.MaxInt64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		limit = int64(m.HeapSys)
	}
	return used, limit
}

// unreachable stands where the schema of nodes that do not answer would.
const unreachable = "UNREACHABLE"

func (a *Agent) describeCluster(context.Context, report.Empty) (report.Cluster, error) {
	state := a.cluster.State()
	out := report.Cluster{Name: state.ClusterName, Snitch: snitchPackage + a.snitch(), DynamicSnitch: a.dynamic != nil}
	if !state.Founded() {
		return out, errNoMember()
	}
	out.Partitioner = state.Partitioner.Name()
	counts := map[string]*report.DatacenterCount{}
	schemas, releases := map[[16]byte][]string{}, map[string][]string{}
	for _, n := range state.Nodes {
		dc := counts[string(n.Datacenter)]
		if dc == nil {
			dc = &report.DatacenterCount{Name: string(n.Datacenter)}
			counts[dc.Name] = dc
		}
		dc.Nodes++
		releases[n.Release] = append(releases[n.Release], n.Broadcast.String())
		if !a.gossip.Alive(n.HostID) {
			out.Unreachable++
			dc.Down++
			schemas[[16]byte{}] = append(schemas[[16]byte{}], n.Broadcast.Addr().String())
			continue
		}
		out.Live++
		version := state.SchemaVersion()
		if other, ok := a.peerSchema(n.HostID); ok && n.HostID != a.cluster.Self() {
			version = other
		}
		schemas[version] = append(schemas[version], n.Broadcast.Addr().String())
	}
	for _, version := range slices.SortedFunc(maps.Keys(schemas), func(a, b [16]byte) int { return -bytes.Compare(a[:], b[:]) }) {
		name := unreachable
		if version != ([16]byte{}) {
			name = helenus.HostID(version).String()
		}
		out.Schemas = append(out.Schemas, report.SchemaVersion{Version: name, Addresses: schemas[version]})
	}
	for _, release := range slices.Sorted(maps.Keys(releases)) {
		out.Releases = append(out.Releases, report.ReleaseCount{Release: release, Endpoints: releases[release]})
	}
	for _, dc := range counts {
		out.Datacenters = append(out.Datacenters, *dc)
	}
	slices.SortFunc(out.Datacenters, func(a, b report.DatacenterCount) int { return strings.Compare(a.Name, b.Name) })
	for _, ks := range state.Schema.Keyspaces {
		if ks.Virtual {
			continue
		}
		out.Keyspaces = append(out.Keyspaces, report.Keyspace{Name: ks.Name, Class: ks.Replication.Class, Options: ks.Replication.Options})
	}
	slices.SortFunc(out.Keyspaces, func(a, b report.Keyspace) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (a *Agent) endpoints(_ context.Context, r report.KeyRequest) (report.Endpoints, error) {
	state := a.cluster.State()
	switch ks := state.Schema.Keyspaces[r.Keyspace]; {
	case ks == nil:
		return report.Endpoints{}, report.Errorf(report.NotFound, "Unknown keyspace '%s'", r.Keyspace)
	case ks.Virtual:
		return report.Endpoints{}, report.Errorf(report.Invalid, "Keyspace '%s' is virtual: its rows are made when they are read, on each node", r.Keyspace)
	}
	t := state.Schema.Find(r.Keyspace, r.Table)
	if t == nil {
		return report.Endpoints{}, report.Errorf(report.NotFound, "Unknown table '%s' in keyspace '%s'", r.Table, r.Keyspace)
	}
	key, err := parseKey(t, r.Key)
	if err != nil {
		return report.Endpoints{}, report.Errorf(report.Invalid, "%s", err.Error())
	}
	out := report.Endpoints{Addresses: []string{}}
	for _, n := range state.Placement(r.Keyspace).Replicas(state.Partitioner.Token(key)) {
		out.Addresses = append(out.Addresses, n.Endpoint.Addr().String())
	}
	return out, nil
}

// parseKey reads a partition key as nodetool takes it: components by colons, and
// a colon within one behind a backslash.
func parseKey(t *schema.Table, text string) ([]byte, error) {
	parts := []string{text}
	if len(t.PartitionKey) > 1 {
		parts = splitKey(text)
	}
	if len(parts) != len(t.PartitionKey) {
		return nil, fmt.Errorf("the key of %s has %d columns, joined by colons; got %q", t.QualifiedName(), len(t.PartitionKey), text)
	}
	var out [][]byte
	for i, p := range parts {
		v, err := parseValue(t.PartitionKey[i].Type, p)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", t.PartitionKey[i].Name, err)
		}
		out = append(out, v)
	}
	return types.AppendKey(nil, out), nil
}

func splitKey(text string) []string {
	parts := []string{""}
	for i := 0; i < len(text); i++ {
		last := &parts[len(parts)-1]
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ':':
			i++
			*last += ":"
		case text[i] == ':':
			parts = append(parts, "")
		default:
			*last += text[i : i+1]
		}
	}
	return parts
}

// parseValue reads a value without CQL's quotes.
func parseValue(t *types.Type, text string) ([]byte, error) {
	if t.Kind == types.Blob {
		return hex.DecodeString(strings.TrimPrefix(text, "0x"))
	}
	var first error
	for _, kind := range []types.ConstantKind{types.StringConst, types.IntegerConst, types.UUIDConst, types.FloatConst, types.BooleanConst} {
		if !t.Accepts(kind) {
			continue
		}
		v, err := t.ParseConstant(kind, text)
		if err == nil {
			return v, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// tablesOf finds the tables an operator means.
func (a *Agent) tablesOf(r report.TablesRequest) ([]*schema.Table, error) {
	state := a.cluster.State()
	var out []*schema.Table
	if ks := state.Schema.Keyspaces[r.Keyspace]; r.Keyspace != "" && (ks == nil || ks.Virtual) {
		return nil, report.Errorf(report.NotFound, "Keyspace [%s] does not exist.", r.Keyspace)
	}
	for _, name := range r.Tables {
		if state.Schema.Find(r.Keyspace, name) == nil {
			return nil, report.Errorf(report.NotFound, "Unknown keyspace/cf pair (%s.%s)", r.Keyspace, name)
		}
	}
	for _, info := range a.store.Tables() {
		t := info.Table
		if (r.Keyspace == "" || t.Keyspace == r.Keyspace) && (len(r.Tables) == 0 || slices.Contains(r.Tables, t.Name)) {
			out = append(out, t)
		}
	}
	return out, nil
}

func (a *Agent) flush(ctx context.Context, r report.TablesRequest) (report.Empty, error) {
	tables, err := a.tablesOf(r)
	for _, t := range tables {
		if err == nil {
			err = a.store.Flush(ctx, t.ID)
		}
	}
	return report.Empty{}, err
}

func (a *Agent) compact(ctx context.Context, r report.TablesRequest, p *job.Progress) error {
	tables, err := a.tablesOf(r)
	if err != nil {
		return err
	}
	p.Begin(int64(len(tables)), "tables")
	for _, t := range tables {
		if err := a.store.Compact(ctx, t.ID); err != nil {
			return err
		}
		p.Add(1)
	}
	return nil
}

// realNet is the host's network.
type realNet struct{}

// RealNet is the host's network.
func RealNet() Net { return realNet{} }

// Listen implements Net.
func (realNet) Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", address)
}

// ListenPacket implements Net.
func (realNet) ListenPacket(ctx context.Context, address string) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, "udp", address)
}

// Dial implements Net.
func (realNet) Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}
