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
	"strconv"
	"sync/atomic"
	"time"

	"helenus/agent/admin"
	"helenus/agent/cluster"
	"helenus/agent/config"
	"helenus/agent/coord"
	"helenus/agent/job"
	"helenus/agent/query"
	"helenus/agent/replica"
	"helenus/agent/server"
	"helenus/agent/system"
	"helenus/internal/budget"
	"helenus/internal/metrics"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/vfs"
)

// Net is how a node listens.
type Net interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
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

	budget  *budget.Budget
	cluster *cluster.Log
	store   *store.Store
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
	if err := a.openCluster(partitioner); err != nil {
		return nil, err
	}
	if err := a.openStore(partitioner); err != nil {
		return nil, err
	}
	if err := a.openJournal(); err != nil {
		return nil, err
	}
	a.makeRooms(partitioner)
	if err := a.makeAdmin(); err != nil {
		return nil, err
	}
	return a, nil
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

// makeRooms wires the request path: server, query, coord, replica, store.
func (a *Agent) makeRooms(p token.Partitioner) {
	self := a.cluster.State().Node(a.cluster.Self())
	clock := coord.NewClock(a.env.Now)
	a.traces = system.NewTraces(self.Broadcast)
	a.tables = system.NewTables(a.systemEnv())
	a.replica = replica.New(replica.Options{Store: a.store, Readers: a.cfg.ConcurrentReads, QueueMax: readQueueMax})
	a.coord = coord.New(coord.Options{Self: self.HostID, Datacenter: self.Datacenter, Partition: p,
		Replica: a.replica, Tables: a.tables, Clock: clock})
	a.engine = query.New(query.Options{
		Coordinator: a.coord, Metadata: (*metadata)(a), Partitioner: p, Now: a.env.Now, Clock: clock, Rand: a.env.Rand,
		Log: a.env.Log, Truncate: a.truncate, Describe: a.describe,
		PreparedBytesMax: int(a.cfg.PreparedStatementsBytes), Limits: queryLimits(&a.cfg),
	})
	a.native.budget = a.budget.Child("native transport", a.cfg.InFlightBytesMax)
	a.server = server.New(server.Options{
		Engine: a.engine, State: &a.applied, Tracer: (*tracer)(a), Log: a.env.Log,
		Budget:        a.native.budget,
		FrameBytesMax: int(a.cfg.FrameBytesMax), ConnectionsMax: a.cfg.ConnectionsMax, ConnectionsPerHost: a.cfg.ConnectionsPerIPMax,
		IdleTimeout: a.cfg.NativeIdleTimeout, InFlightBytes: int(a.cfg.InFlightPerAddrBytesMax),
	})
}

// readQueueMax bounds the reads that wait for the disk.
const readQueueMax = 4096

// Run serves clients and operators until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	native, err := a.env.Net.Listen(ctx, net.JoinHostPort(a.cfg.RPCAddress, strconv.Itoa(a.cfg.NativePort)))
	if err != nil {
		return fmt.Errorf("agent: listen for clients: %w", err)
	}
	operators, err := a.env.Net.Listen(ctx, net.JoinHostPort(a.cfg.AdminAddress, strconv.Itoa(a.cfg.AdminPort)))
	if err != nil {
		_ = native.Close() // nobody has been told of it
		return fmt.Errorf("agent: listen for operators: %w", err)
	}
	address := native.Addr()
	a.native.address.Store(&address)
	a.env.Log.Info("serving", "cql", native.Addr().String(), "admin", operators.Addr().String(),
		"host_id", a.cluster.Self().String(), "startup", a.env.Now().Sub(a.started))
	ends := make(chan error, 3)
	go func() { ends <- a.server.Run(ctx, native) }()
	go func() { ends <- a.admin.Run(ctx, operators) }()
	go func() { ends <- a.followSchema(ctx) }()
	var errs []error
	for range cap(ends) {
		errs = append(errs, <-ends)
		cancel() // one room's end is the node's
	}
	a.native.address.Store(nil)
	return errors.Join(errs...)
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
