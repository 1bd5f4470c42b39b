// Package agent assembles a node: from a Config and an Env it makes an Agent,
// which is a whole node as one value. It is the only package that knows all
// rooms, and holds nothing but the wires between them.
//
// Nouns: Agent (a node), Env (its whole outside world).
//
// cmd/helenus-agent and internal/sim make and run Agents. It never reads the
// environment, the clock or the disk but through Env.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/admin"
	"helenus/agent/cluster"
	"helenus/agent/config"
	"helenus/agent/coord"
	"helenus/agent/gossip"
	"helenus/agent/hint"
	"helenus/agent/job"
	"helenus/agent/query"
	"helenus/agent/replica"
	"helenus/agent/server"
	"helenus/agent/snitch"
	"helenus/agent/system"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/internal/meta"
	"helenus/internal/metrics"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/vfs"
)

// Net is how a node listens and reaches others.
type Net interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, address string) (net.PacketConn, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Env is a node's whole outside world.
type Env struct {
	FS      vfs.FS
	Net     Net
	Now     func() time.Time // the write clock
	Rand    func(b []byte)
	Log     *slog.Logger
	Metrics *metrics.Registry
	Build   string // what was built, for operators
	PID     int
	// Background runs what writes files, maybe with less priority than requests
	// have; nil: as it is. See store.Options.
	Background func(work func())
	// Members is gossip's second opinion on who answers; nil: memberlist.
	Members gossip.Members
	// ReadFile reads a file by its absolute name, or else one beside the
	// configuration, such as cassandra-rackdc.properties; its error for one that is
	// not there is fs.ErrNotExist. Nil: there are none.
	ReadFile func(name string) ([]byte, error)
	// Reload reads the configuration again, for what may change while a node
	// runs; nil: it cannot be.
	Reload func() (config.Config, error)
	// MemoryBytes is the host's or container's; 0 when it is not known.
	MemoryBytes int64
	// Settings are the configuration as it was read, for system_views.settings.
	Settings []config.Origin
}

// Agent is a node.
type Agent struct {
	cfg     config.Config
	env     Env
	started time.Time

	place      *snitch.Snitch
	far        far
	seeds      []helenus.Endpoint
	gossipKey  []byte    // nil: gossip is not encrypted
	node       meta.Node // this one as it registers: without host id and tokens
	generation int64     // of this start, for gossip

	budget  *budget.Budget
	cluster *cluster.Log
	store   *store.Store
	gossip  *gossip.Gossip
	dynamic *snitch.Dynamic // nil: switched off
	hints   *hint.Hints
	handoff atomic.Pointer[hint.Settings] // in force
	wire    *wire.Wire
	replica *replica.Replica
	coord   *coord.Coordinator
	engine  *query.Engine
	traces  *system.Traces
	tables  *system.Tables
	server  *server.Server
	journal *job.Journal
	admin   *admin.Server

	native struct {
		address atomic.Pointer[net.Addr] // once clients are served
		budget  *budget.Budget
	}
	// applied is the newest state whose tables the store has: what statements are
	// planned against.
	applied published
}

// New opens a node's data and makes its rooms; Run serves, Close ends it.
func New(cfg config.Config, env Env) (_ *Agent, err error) {
	a := &Agent{cfg: auto(cfg, env.MemoryBytes), env: env, started: env.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	partitioner, err := token.ByName(a.cfg.Partitioner)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	a.budget = budget.New("node", a.cfg.MemoryLimitBytes)
	for _, open := range []func() error{
		a.findPlace, a.findSeeds, a.findKey,
		func() error { return a.openCluster(partitioner) },
		func() error { return a.openStore(partitioner) },
		a.openJournal, a.openGossip, a.makeTables, a.openReplica, a.openHints,
		func() error { a.makeRooms(partitioner); return nil },
		a.openWire, a.makeAdmin,
	} {
		if err := open(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Check finds what is wrong with a configuration as New would, and opens nothing.
// Of Env it needs ReadFile, Log and Net.
func Check(cfg config.Config, env Env) error {
	a := &Agent{cfg: cfg, env: env}
	return errors.Join(a.findPlace(), a.findSeeds(), a.findKey())
}

// dataDir is where the node keeps what is not a table's.
func (a *Agent) dataDir() string { return a.cfg.DataDirectories[0] }

func (a *Agent) openStore(p token.Partitioner) error {
	state := a.cluster.State()
	s, err := store.Open(storeOptions(a, p), state.Schema, uint64(state.Epoch))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.store = s
	a.applied.publish(state)
	return nil
}

func (a *Agent) openJournal() (err error) {
	dir := a.dataDir() + "/jobs"
	if err = a.env.FS.MkdirAll(dir); err == nil {
		err = a.env.FS.SyncDir(a.dataDir())
	}
	if err == nil {
		a.journal, err = job.Open(a.env.FS, dir, a.env.Log)
	}
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// makeTables makes the tables that are rendered from what the node knows.
func (a *Agent) makeTables() error {
	a.traces = system.NewTraces(a.node.Broadcast)
	a.tables = system.NewTables(a.systemEnv())
	return nil
}

// makeRooms wires the request path: server, query, coord, replica, store.
func (a *Agent) makeRooms(p token.Partitioner) {
	clock := coord.NewClock(a.env.Now)
	a.coord = coord.New(coord.Options{Self: a.cluster.Self(), Datacenter: a.node.Datacenter, Partition: p,
		Replica: a.replica, Tables: a.tables, Clock: clock,
		Liveness: a.gossip, Hints: a.hints, Proximity: a.proximity(), Timeouts: a.timeouts,
		Memory: a.budget.Child("answers of other nodes", a.cfg.InFlightBytesMax)})
	a.engine = query.New(query.Options{
		Coordinator: a.coord, Metadata: (*metadata)(a), Partitioner: p, Now: a.env.Now, Clock: clock, Rand: a.env.Rand,
		Log: a.env.Log, Truncate: a.truncate, Describe: a.describe,
		PreparedBytesMax: int(a.cfg.PreparedStatementsBytes), Limits: queryLimits(&a.cfg),
	})
	a.native.budget = a.budget.Child("native transport", a.cfg.InFlightBytesMax)
	a.server = server.New(server.Options{
		Engine: a.engine, State: &a.applied, Peers: (*clientPeers)(a), Self: a.cluster.Self(), Tracer: (*tracer)(a), Log: a.env.Log,
		Budget:        a.native.budget,
		FrameBytesMax: int(a.cfg.FrameBytesMax), ConnectionsMax: a.cfg.ConnectionsMax, ConnectionsPerHost: a.cfg.ConnectionsPerIPMax,
		IdleTimeout: a.cfg.NativeIdleTimeout, InFlightBytes: int(a.cfg.InFlightPerAddrBytesMax),
	})
}

// Run takes part in the cluster and serves operators, and clients once this
// node is a member, until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	doors, err := a.open(ctx)
	if err != nil {
		return err
	}
	// What clients and others lean on goes on while the front is closing.
	back, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	front, closeFront := context.WithCancel(ctx)
	defer closeFront()
	rooms := []func(context.Context) error{
		func(ctx context.Context) error { return a.wire.Run(ctx, doors.peers) },
		func(ctx context.Context) error { return a.cluster.Run(ctx, a.wire, a.gossip) },
		func(ctx context.Context) error { return a.gossip.Run(ctx, a.wire, doors.packets) },
		func(ctx context.Context) error { return a.admin.Run(ctx, doors.operators) },
		a.replica.Run, a.followSchema, a.tell,
	}
	if a.dynamic != nil {
		rooms = append(rooms, a.dynamic.Run)
	}
	ends := make(chan error, len(rooms))
	for _, room := range rooms {
		go func() {
			ends <- room(back)
			closeFront() // one room's end is the node's
		}()
	}
	last, stopHints := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHints()
	hinted := make(chan error, 1)
	go func() { hinted <- a.hints.Run(last, a.wire) }()
	errs := []error{a.serve(front, doors.clients)}
	a.leave()
	stop()
	for range rooms {
		errs = append(errs, <-ends)
	}
	a.coord.Close()
	stopHints() // calls that broke off just now have left hints
	errs = append(errs, <-hinted)
	return errors.Join(errs...)
}

// doors are where a node listens.
type doors struct {
	peers, operators, clients net.Listener
	packets                   net.PacketConn // of peers; nil: nobody reads them
}

func (d *doors) close() {
	for _, ln := range []net.Listener{d.peers, d.operators, d.clients} {
		if ln != nil {
			_ = ln.Close() // nobody has been told of it
		}
	}
}

// open listens at all of them before anything begins: a node that could not
// serve must not become a member.
func (a *Agent) open(ctx context.Context) (d doors, err error) {
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	for _, door := range []struct {
		to       *net.Listener
		who      string
		host     string
		port     int
		settings string
	}{
		{&d.peers, "other nodes", a.cfg.ListenAddress, a.cfg.StoragePort, "listen_address, storage_port"},
		{&d.operators, "operators", a.cfg.AdminAddress, a.cfg.AdminPort, "admin_address, admin_port"},
		{&d.clients, "clients", a.cfg.RPCAddress, a.cfg.NativePort, "rpc_address, native_transport_port"},
	} {
		if *door.to, err = a.env.Net.Listen(ctx, net.JoinHostPort(door.host, strconv.Itoa(door.port))); err != nil {
			return d, fmt.Errorf("agent: listen for %s (%s): %w", door.who, door.settings, err)
		}
	}
	if a.env.Members != nil {
		return d, nil
	}
	storage := net.JoinHostPort(a.cfg.ListenAddress, strconv.Itoa(a.cfg.StoragePort))
	if d.packets, err = a.env.Net.ListenPacket(ctx, storage); err != nil {
		return d, fmt.Errorf("agent: listen for other nodes by UDP (listen_address, storage_port): %w", err)
	}
	d.packets = &nearPackets{d.packets, (*near)(a)}
	return d, nil
}

// serve waits until this node is a member, and serves clients until ctx ends.
func (a *Agent) serve(ctx context.Context, native net.Listener) error {
	select {
	case <-a.cluster.Joined():
	case <-ctx.Done():
		return native.Close()
	}
	a.meetPeers(ctx)
	// What the node joined with may have come after the store was opened.
	if err := a.apply(a.cluster.State()); err != nil {
		return errors.Join(fmt.Errorf("agent: the store cannot follow the schema: %w", err), native.Close())
	}
	address := native.Addr()
	a.native.address.Store(&address)
	a.say()
	a.env.Log.Info("serving", "cql", address.String(), "admin", net.JoinHostPort(a.cfg.AdminAddress, strconv.Itoa(a.cfg.AdminPort)),
		"host_id", a.cluster.Self().String(), "startup", a.env.Now().Sub(a.started))
	err := a.server.Run(ctx, native)
	a.native.address.Store(nil)
	return err
}

// meetTimeout bounds how long a start waits to hear of every member: some may be
// down.
const meetTimeout = 5 * time.Second

// meetPeers waits until of every member something was heard, so that the first
// requests do not find the others missing.
func (a *Agent) meetPeers(ctx context.Context) {
	timeout := time.NewTimer(meetTimeout)
	defer timeout.Stop()
	for {
		changed, view := a.gossip.Changed(), a.gossip.View()
		if !slices.ContainsFunc(a.peers(), func(t wire.Target) bool {
			e := view.Endpoint(t.ID)
			return e == nil || e.Liveness == gossip.Unknown
		}) {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// leaveTimeout bounds how long a node that ends waits for others to hear of it.
const leaveTimeout = 2 * time.Second

// leave tells others that this node ends, so that they need not find out.
func (a *Agent) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	a.gossip.Leave(ctx)
}

// Close ends what New began, in reverse. Run must have returned.
func (a *Agent) Close() error {
	var errs []error
	if a.journal != nil {
		a.journal.Close()
	}
	if a.replica != nil {
		a.replica.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.hints != nil {
		a.hints.Close() // writes that the store has just ended leave hints
	}
	if a.cluster != nil {
		errs = append(errs, a.cluster.Close())
	}
	return errors.Join(errs...)
}

// Address is where clients are served now; empty when they are not.
func (a *Agent) Address() string {
	if addr := a.native.address.Load(); addr != nil {
		return (*addr).String()
	}
	return ""
}
