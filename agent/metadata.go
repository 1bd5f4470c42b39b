package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/cluster"
	"helenus/agent/coord"
	"helenus/agent/query"
	"helenus/agent/system"
	"helenus/internal/cql/parse"
	"helenus/internal/meta"
	"helenus/internal/token"
)

func (a *Agent) openCluster(p token.Partitioner) error {
	var err error
	if a.node, err = a.describeNode(); err != nil {
		return err
	}
	var initial []token.Token
	for _, text := range a.cfg.InitialToken {
		t, err := p.Parse(text)
		if err != nil {
			return fmt.Errorf("agent: initial_token: %w", err)
		}
		initial = append(initial, t)
	}
	local, install, err := system.Keyspaces()
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.cluster, err = cluster.Open(a.env.FS, cluster.Config{Dir: a.dataDir() + "/metadata", ClusterName: a.cfg.ClusterName,
		Partitioner: p, Local: local, Install: install, Node: a.node, NumTokens: a.cfg.NumTokens, InitialTokens: initial,
		JoinWithoutData: !a.cfg.AutoBootstrap, MayJoin: a.mayJoin, Seeds: a.seeds, Allocate: allocateTokens(a.cfg.AllocateRF, a.env.Rand, a.env.Log), Rand: reader(a.env.Rand), Log: a.env.Log})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// mayJoin compares this node's place with those of the members of a cluster.
func (a *Agent) mayJoin(s *meta.State) error { return a.place.Check(s.Topology.Nodes()) }

// reader makes an io.Reader of the node's source of chance.
type reader func(b []byte)

func (r reader) Read(b []byte) (int, error) {
	r(b)
	return len(b), nil
}

// describeNode is what this node is by its configuration.
func (a *Agent) describeNode() (meta.Node, error) {
	datacenter, rack := a.place.Place()
	n := meta.Node{Datacenter: datacenter, Rack: rack, Release: helenus.ReleaseVersion, Level: meta.CurrentLevel}
	for _, e := range []struct {
		to      *helenus.Endpoint
		name    string
		address string
		port    int
	}{
		{&n.Listen, "listen_address", a.cfg.ListenAddress, a.cfg.StoragePort},
		{&n.Broadcast, "broadcast_address", a.cfg.BroadcastAddress, a.cfg.StoragePort},
		{&n.Native, "broadcast_rpc_address", a.cfg.BroadcastRPCAddress, a.cfg.NativePort},
	} {
		addr, err := resolve(e.address)
		if err != nil {
			return n, fmt.Errorf("agent: %s: %w", e.name, err)
		}
		*e.to = netip.AddrPortFrom(addr, uint16(e.port))
	}
	if known := a.place.Broadcast(); known.IsValid() {
		n.Broadcast = netip.AddrPortFrom(known, n.Broadcast.Port())
	}
	return n, nil
}

// resolve turns an address or a host name into an address, IPv4 first, as
// Cassandra does with localhost.
func resolve(host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	all, err := net.LookupIP(host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range all {
		if v4 := ip.To4(); v4 != nil {
			return netip.AddrFrom4([4]byte(v4)), nil
		}
	}
	for _, ip := range all {
		if a, ok := netip.AddrFromSlice(ip); ok {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address", host)
}

// metadata is the Agent as query sees it: changes of the schema reach the store
// before the client is told of them.
type metadata Agent

// State implements query.Metadata.
func (m *metadata) State() *meta.State { return m.applied.State() }

// Commit implements query.Metadata.
func (m *metadata) Commit(ctx context.Context, c meta.Change) (*meta.State, error) {
	state, err := m.cluster.Commit(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := (*Agent)(m).apply(state); err != nil {
		return nil, fmt.Errorf("the change is decided and cannot be taken back, but this node's store could not follow it yet and tries again: %w", err)
	}
	return state, nil
}

// apply makes the store follow a state, and then statements.
func (a *Agent) apply(state *meta.State) error {
	if err := a.store.SetSchema(state.Schema, uint64(state.Epoch)); err != nil {
		return err
	}
	a.applied.publish(state)
	return nil
}

// published is the newest state that the store has followed. Statements, events
// and system tables all go by it: nobody hears of a table that cannot be used.
type published struct {
	state atomic.Pointer[meta.State]

	mu      sync.Mutex
	changed chan struct{} // guarded by mu: closed with the next state
}

// State implements server.State.
func (p *published) State() *meta.State { return p.state.Load() }

// Changed implements server.State: the channel is closed when there is another
// state than the one that State gave before.
func (p *published) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *published) publish(s *meta.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.state.Load(); old != nil && old.Epoch >= s.Epoch {
		return
	}
	p.state.Store(s)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// followRetry is how long after a failure the store is brought up to date again.
const followRetry = time.Second

// followSchema brings the store up to date with changes that came by another
// way than Commit, or that it could not follow then.
func (a *Agent) followSchema(ctx context.Context) error {
	for {
		changed := a.cluster.Changed()
		var again <-chan time.Time
		if err := a.apply(a.cluster.State()); err != nil {
			a.env.Log.Error("the store cannot follow the schema yet", "error", err)
			again = time.After(followRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		}
	}
}

func (a *Agent) truncate(t query.TruncateTable) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.TruncateTimeout)
	defer cancel()
	return a.coord.Truncate(ctx, a.applied.State(), t.Table)
}

// describe answers DESCRIBE.
func (a *Agent) describe(state *meta.State, keyspace string, s *parse.Describe) ([]query.ColumnSpec, [][][]byte, error) {
	d, err := a.tables.Describe(state, keyspace, s)
	if err != nil {
		return nil, nil, err
	}
	var columns []query.ColumnSpec
	for _, c := range d.Columns {
		columns = append(columns, query.ColumnSpec(c))
	}
	return columns, d.Rows, nil
}

func (a *Agent) snitch() string { return a.place.Name() }

// tracer is the Agent as server sees it for traced requests.
type tracer Agent

// Begin implements server.Tracer.
func (t *tracer) Begin(client netip.Addr, command, request string, parameters map[string]string) (*query.Trace, func()) {
	session := system.Session{ID: t.newSessionID(), Client: client, Command: command, Request: request, Parameters: parameters, Started: t.env.Now()}
	trace := t.traces.Start(session)
	return coord.NewTrace(session.ID, func(activity string) { trace.Event(t.env.Now(), activity) }),
		func() { trace.Finish(t.env.Now()) }
}
