package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"helenus/agent"
	"helenus/agent/config"
	"helenus/agent/gossip"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// Node is an agent and its disk.
type Node struct {
	sim  *Sim
	name string
	cfg  config.Config
	net  *network
	disk *vfs.Mem
	skew time.Duration
	// free: operations on the disk are not events.
	free bool
	dead *atomic.Bool // of the present life: its operations are no events any more

	rand *lockedRand
	log  lockedText
	life struct {
		agent  *agent.Agent
		cancel context.CancelFunc
		ended  chan error
	}
}

// Options change a node's settings before it starts.
type Options struct {
	Name     string // of its events; "" is n
	Settings map[string]string
	Disk     *vfs.Mem      // nil: an empty one
	Skew     time.Duration // of its write clock
	// Free lets operations on the disk happen without the scheduler: for nodes
	// that are looked at, not tested.
	Free bool
}

// settings are limits so small that everything happens soon.
func settings() map[string]string {
	return map[string]string{
		"cluster_name": "sim", "num_tokens": "1", "listen_address": "127.0.0.1", "rpc_address": "127.0.0.1",
		"broadcast_address": "127.0.0.1", "broadcast_rpc_address": "127.0.0.1",
		"data_file_directories": "/data", "commitlog_directory": "/log",
		"commitlog_segment_size": "32KiB", "commitlog_total_space": "96KiB", "commitlog_sync_group_window": "1ms",
		"memtable_heap_space": "640KiB", "file_cache_size": "512KiB", "memory_limit": "64MiB", "concurrent_reads": "2",
		"prepared_statements_cache_size": "64KiB", "batch_size_fail_threshold": "64KiB",
	}
}

// NewNode makes a node that has not been started.
func (s *Sim) NewNode(o Options) (*Node, error) {
	flags := settings()
	for k, v := range o.Settings {
		flags[k] = v
	}
	loaded, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "n"
	}
	if o.Disk == nil {
		o.Disk = vfs.NewMem()
	}
	n := &Node{sim: s, name: o.Name, cfg: loaded.Config, disk: o.Disk, skew: o.Skew, free: o.Free,
		rand: &lockedRand{r: rand.New(rand.NewPCG(s.seed, 77))}}
	return n, nil
}

// ErrCrashed is in the answer of a Start that Crash came into.
var ErrCrashed = errors.New("sim: the power was cut")

// Start opens the agent on the disk and lets it serve. Without Free the
// scheduler must run meanwhile: Start is then called by an actor.
func (n *Node) Start() error {
	n.net, n.dead = newNetwork(), new(atomic.Bool)
	dead := n.dead
	var fs vfs.FS = n.disk
	if !n.free {
		fs = vfs.NewFaulty(n.disk, func(op vfs.Op) vfs.Fault {
			if !dead.Load() {
				n.sim.wait(n.name + " " + op.String())
			}
			return vfs.Fault{}
		})
	}
	log := slog.New(slog.NewTextHandler(&n.log, nil))
	a, err := agent.New(n.cfg, agent.Env{FS: fs, Net: n.net, Now: func() time.Time { return time.Now().Add(n.skew) }, Rand: n.rand.fill,
		Log: log, Metrics: metrics.New(), Build: "sim", Members: gossip.NewProbes(n.sim.seed)})
	if err == nil && dead.Load() {
		err = errors.Join(ErrCrashed, a.Close())
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.life.agent, n.life.cancel, n.life.ended = a, cancel, make(chan error, 1)
	go func() { n.life.ended <- a.Run(ctx) }()
	return nil
}

// Stop ends the agent as an operator would.
func (n *Node) Stop() error {
	if n.life.agent == nil {
		return nil
	}
	n.life.cancel()
	err := errors.Join(<-n.life.ended, n.life.agent.Close())
	n.life.agent = nil
	return err
}

// Crash cuts the power: the node is gone, and its disk is what image says, which
// was made of it before.
func (n *Node) Crash(image *vfs.Mem) {
	n.dead.Store(true)
	n.sim.release(n.name + " ")
	_ = n.Stop() // what it still writes goes to the disk that is gone
	synctest.Wait()
	n.disk = image
}

// Disk is the node's disk, to make images of.
func (n *Node) Disk() *vfs.Mem { return n.disk }

// Log is what the node told its operator.
func (n *Node) Log() string { return n.log.String() }

// Client connects to the node.
func (n *Node) Client(ctx context.Context) (*client.Conn, error) {
	return client.Connect(ctx, n.Address(), client.Config{Dial: n.net.Dial, InFlightMax: 8, Version: proto.V5})
}

// Dial connects to the node at its Address; a load generator's Config takes it.
func (n *Node) Dial(ctx context.Context, address string) (net.Conn, error) {
	return n.net.Dial(ctx, address)
}

// Address is where the node serves CQL.
func (n *Node) Address() string { return fmt.Sprintf("%s:%d", n.cfg.RPCAddress, n.cfg.NativePort) }

// Flush asks the node, as an operator, to write a table's memtable to a file.
func (n *Node) Flush(ctx context.Context, keyspace, table string) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		return n.net.Dial(ctx, address)
	}}
	defer transport.CloseIdleConnections()
	body := fmt.Sprintf(`{"keyspace":%q,"tables":[%q]}`, keyspace, table)
	url := fmt.Sprintf("http://127.0.0.1:%d/v1/flush", n.cfg.AdminPort)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sim: flush %s.%s: %s", keyspace, table, resp.Status)
	}
	return nil
}

// lockedRand is a node's source of chance.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand // guarded by mu
}

func (l *lockedRand) fill(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range b {
		b[i] = byte(l.r.Uint32())
	}
}

// lockedText gathers a log.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
