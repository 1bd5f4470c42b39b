package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/acceptor"
	"helenus/internal/budget"
	"helenus/internal/meta"
)

// Engine executes requests: *query.Engine, or a stand-in in tests.
type Engine interface {
	Execute(*query.Request)
}

// Tracer keeps what happened to traced requests.
type Tracer interface {
	// Begin starts a session and gives the trace to fill; end closes it.
	Begin(client netip.Addr, command, request string, parameters map[string]string) (t *query.Trace, end func())
}

// State is where schema events come from.
type State interface {
	State() *meta.State
	Changed() <-chan struct{}
}

// Peers tells which other nodes take clients.
type Peers interface {
	// Serving tells which start of a member is alive and answers at its native
	// port, by a number that is another at each start; 0: none.
	Serving(id helenus.HostID) (start int64)
	Changed() <-chan struct{}
}

// Options are what a Server works with.
type Options struct {
	Engine Engine
	State  State
	Peers  Peers          // nil: there are no others
	Self   helenus.HostID // never told of to its own clients
	Tracer Tracer
	Log    *slog.Logger
	Budget *budget.Budget // bytes of requests and answers of all connections

	FrameBytesMax      int
	ConnectionsMax     int           // below 1: no limit
	ConnectionsPerHost int           // below 1: no limit
	IdleTimeout        time.Duration // below 1: none; otherwise up to a quarter longer
	// InFlightBytes is how much one connection may have in requests not answered
	// and answers not read before the server stops reading from it; below 1 means
	// inFlightBytesDefault.
	InFlightBytes int
}

const inFlightBytesDefault = 8 << 20

// Server serves clients.
type Server struct {
	opts  Options
	stats Stats
	calls sync.Pool // *call

	mu     sync.Mutex // guards what follows
	conns  map[*conn]struct{}
	hosts  map[netip.Addr]int
	closed bool

	run sync.WaitGroup
}

// Stats count since the start.
type Stats struct {
	Connections atomic.Int64 // now
	Accepted    atomic.Uint64
	Refused     atomic.Uint64
	Requests    atomic.Uint64
	Errors      atomic.Uint64
	InFlight    atomic.Int64 // now
}

// New makes a Server.
func New(opts Options) *Server {
	if opts.InFlightBytes < 1 {
		opts.InFlightBytes = inFlightBytesDefault
	}
	s := &Server{opts: opts, conns: make(map[*conn]struct{}), hosts: make(map[netip.Addr]int)}
	s.calls.New = func() any { return new(call) }
	return s
}

// Stats gives the counters; they are live.
func (s *Server) Stats() *Stats { return &s.stats }

// Run accepts connections until ctx ends, then closes them all and waits for
// their requests. Its error is why it could not go on accepting.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.run.Go(func() { s.watch(ctx) })
	s.run.Go(func() { s.watchdog(ctx) })
	err := acceptor.Run(ctx, ln, s.opts.Log, func(nc net.Conn) { s.accept(ctx, nc) })
	cancel()
	s.closeAll()
	s.run.Wait()
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func (s *Server) accept(ctx context.Context, nc net.Conn) {
	s.stats.Accepted.Add(1)
	c := newConn(s, nc)
	if !s.add(c) {
		s.stats.Refused.Add(1)
		_ = nc.Close() // nothing was promised to it
		return
	}
	s.run.Go(c.writeLoop)
	s.run.Go(func() {
		defer s.remove(c)
		c.readLoop(ctx)
	})
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := c.session.Client.Addr()
	if s.closed || (s.opts.ConnectionsMax > 0 && len(s.conns) >= s.opts.ConnectionsMax) ||
		(s.opts.ConnectionsPerHost > 0 && s.hosts[host] >= s.opts.ConnectionsPerHost) {
		return false
	}
	s.conns[c] = struct{}{}
	s.hosts[host]++
	s.stats.Connections.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := c.session.Client.Addr()
	delete(s.conns, c)
	if s.hosts[host]--; s.hosts[host] == 0 {
		delete(s.hosts, host)
	}
	s.stats.Connections.Add(-1)
}

func (s *Server) closeAll() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.close()
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// registered are the connections that want events of a type.
func (s *Server) registered(bit eventBits) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*conn
	for c := range s.conns {
		if c.events.Load()&uint32(bit) != 0 {
			out = append(out, c)
		}
	}
	return out
}

// Client describes a connection to operators.
type Client struct {
	Address  netip.AddrPort
	Version  int
	Keyspace string
	Driver   string
	Release  string // of the driver
	Requests uint64
}

// Clients lists the connections.
func (s *Server) Clients() []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Client, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c.describe())
	}
	return out
}

// overloaded is the refusal of a request for lack of memory.
func overloaded() *helenus.Error {
	return helenus.Errorf(helenus.CodeOverloaded, "Too many requests are in flight on this node; try again later or another node")
}
