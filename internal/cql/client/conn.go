package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"helenus"
	"helenus/internal/cql/proto"
)

// Config says how to connect.
type Config struct {
	// Dial makes the connection.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Version is the only version to speak; 0 tries the highest first and the
	// one before when the node refuses it.
	Version proto.Version
	// Compression of everything after the start; v5 knows LZ4 only.
	Compression proto.Compression
	// Username and Password answer a node that asks for them.
	Username, Password string
	// Consistency of Query and Execute; the zero value means LOCAL_ONE.
	Consistency helenus.Consistency
	// InFlightMax bounds the requests without an answer; 0 means 2048.
	InFlightMax int
	// FrameSizeMax bounds an answer; 0 means 256 MiB, the protocol's limit.
	FrameSizeMax int
	// DriverName is announced to the node.
	DriverName string
}

const (
	inFlightDefault  = 2048
	inFlightLimit    = 1 << 15 // stream ids are 0 to 32767
	frameSizeDefault = 256 << 20
	eventsMax        = 256
)

// ErrBusy is the answer of Go when InFlightMax requests are waiting.
var ErrBusy = errors.New("client: too many requests in flight")

// ErrClosed ends the requests of a connection that was closed on this side.
var ErrClosed = errors.New("client: connection closed")

// Conn is one connection. Its methods may be called from many goroutines.
type Conn struct {
	cfg     Config
	addr    string
	nc      net.Conn
	version proto.Version
	dec     proto.Decoder

	events       chan proto.Event
	eventsMissed atomic.Int64
	try          func([]byte) int // writes what can be written without waiting
	freed        chan struct{}    // capacity 1: one of those who wait may look for a stream
	kick         chan struct{}    // capacity 1: writeLoop is to write out
	dead         chan struct{}    // closed with err set
	finished     sync.WaitGroup

	// Who has set writing owns these: room backs out, which is not written yet.
	room, out []byte

	mu      sync.Mutex // guards what follows
	w       *proto.Writer
	pending []*Call // by stream
	free    []int16 // streams
	waiting int     // for a stream
	reading bool    // the reader is at work and will flush when it is done
	writing bool
	err     error
}

// forgotten stands in pending for a call whose caller went away: the stream
// is free only when its answer has come.
func (c *Conn) forgotten(call *Call) bool { return call != nil && call.Done == nil }

// Connect dials addr and agrees on a version, compression and who we are.
func Connect(ctx context.Context, addr string, cfg Config) (*Conn, error) {
	if cfg.InFlightMax <= 0 {
		cfg.InFlightMax = inFlightDefault
	}
	cfg.InFlightMax = min(cfg.InFlightMax, inFlightLimit)
	if cfg.FrameSizeMax <= 0 {
		cfg.FrameSizeMax = frameSizeDefault
	}
	if cfg.Consistency == helenus.Any {
		cfg.Consistency = helenus.LocalOne
	}
	version := cfg.Version
	if version == 0 {
		version = proto.Highest
	}
	c, err := connect(ctx, addr, cfg, version)
	var refused *helenus.Error
	if cfg.Version == 0 && errors.As(err, &refused) && refused.Code == helenus.CodeProtocol {
		// A node that does not speak a version says so and hangs up.
		c, err = connect(ctx, addr, cfg, version-1)
	}
	if err != nil {
		return nil, fmt.Errorf("client: connect to %s: %w", addr, err)
	}
	return c, nil
}

func connect(ctx context.Context, addr string, cfg Config, v proto.Version) (*Conn, error) {
	nc, err := cfg.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		cfg: cfg, addr: addr, nc: nc, version: v,
		dec:     proto.Decoder{Responses: true, FrameSizeMax: cfg.FrameSizeMax},
		events:  make(chan proto.Event, eventsMax),
		try:     tryWrite(nc),
		freed:   make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		dead:    make(chan struct{}),
		w:       proto.NewWriter(),
		pending: make([]*Call, cfg.InFlightMax),
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	err = c.start()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	for i := range cfg.InFlightMax {
		c.free = append(c.free, int16(cfg.InFlightMax-1-i))
	}
	c.finished.Add(2)
	go c.readLoop()
	go c.writeLoop()
	return c, nil
}

// Version is the version that was agreed on.
func (c *Conn) Version() proto.Version { return c.version }

// Addr is the address given to Connect.
func (c *Conn) Addr() string { return c.addr }

// Events are what the node tells of after Register, at most eventsMax unread
// ones; EventsMissed counts the others. The channel is closed with the
// connection.
func (c *Conn) Events() <-chan proto.Event { return c.events }

// EventsMissed is the number of events nobody read in time.
func (c *Conn) EventsMissed() int64 { return c.eventsMissed.Load() }

// Dead is closed when the connection has ended; Err then says why.
func (c *Conn) Dead() <-chan struct{} { return c.dead }

// Err is why the connection ended; nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, completes all calls with ErrClosed and waits for
// its goroutines. It must not be called from a Call's Done.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.finished.Wait()
	return nil
}

// fail ends the connection for the first reason given.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		close(c.dead)
	}
	c.mu.Unlock()
	if first {
		_ = c.nc.Close()
	}
}
