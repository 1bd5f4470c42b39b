package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent"
	"helenus/agent/config"
	"helenus/agent/gossip"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/meta"
	"helenus/internal/metrics"
	"helenus/store/vfs"
)

// Node is an agent with its disk and its host.
type Node struct {
	sim     *Sim
	name    string
	options Options
	cfg     config.Config
	host    *Host
	disk    *vfs.Mem
	skew    atomic.Int64 // of the write clock, as a time.Duration
	// free: nothing that it does is an event.
	free bool
	// The scheduler's: how the disk behaves.
	diskDelay time.Duration
	diskError error // of the next operations that change something
	diskFails int

	rand  *lockedRand
	log   lockedText
	life  *life // the present one; nil before the first
	lives []*life
}

// life is a node from one Start to its end.
type life struct {
	node   *Node
	dead   atomic.Bool // it crashed: nothing that it does matters any more
	files  openFiles
	ended  chan error    // Run has returned
	gone   chan struct{} // everything of it has ended
	facts  *metrics.Registry
	cancel context.CancelFunc

	mu    sync.Mutex // guards what follows
	agent *agent.Agent
	over  bool // stop has been called
}

// Options change a node's settings before it starts.
type Options struct {
	Name string // of its events; "" is n
	// Address is the node's for everybody; "" is the next of 10.0.0.0/16, for a
	// free node 127.0.0.1.
	Address  string
	Seeds    []string // addresses; none: it founds a cluster of its own
	Settings map[string]string
	// Datacenter and Rack; "" for datacenter1 and rack1.
	Datacenter helenus.Datacenter
	Rack       helenus.Rack
	Files      map[string]string // beside the configuration, by name
	Disk       *vfs.Mem          // nil: an empty one
	Skew       time.Duration     // of its write clock
	// Free lets everything happen without the scheduler, on a network of its own:
	// for nodes that are looked at, not tested.
	Free bool
}

// settings are limits so small that everything happens soon.
func settings(address string, seeds []string) map[string]string {
	s := map[string]string{
		"cluster_name": "sim", "num_tokens": "1", "listen_address": address, "rpc_address": address,
		"broadcast_address": address, "broadcast_rpc_address": address,
		"data_file_directories": "/data", "commitlog_directory": "/log",
		"commitlog_segment_size": "32KiB", "commitlog_total_space": "96KiB", "commitlog_sync_group_window": "1ms",
		"memtable_heap_space": "640KiB", "file_cache_size": "512KiB", "memory_limit": "64MiB", "concurrent_reads": "2",
		"prepared_statements_cache_size": "64KiB", "batch_size_fail_threshold": "64KiB",
	}
	if len(seeds) > 0 {
		s["seed_provider"] = strings.Join(seeds, ",")
	}
	return s
}

// NewNode makes a node that has not been started.
func (s *Sim) NewNode(o Options) (*Node, error) {
	if o.Name == "" {
		o.Name = "n"
	}
	if o.Address == "" {
		o.Address = fmt.Sprintf("10.0.%d.%d", (len(s.nodes)+1)>>8, (len(s.nodes)+1)&255)
		if o.Free {
			o.Address = "127.0.0.1"
		}
	}
	flags := settings(o.Address, o.Seeds)
	if o.Datacenter != "" {
		flags["endpoint_snitch"] = "GossipingPropertyFileSnitch"
	}
	for k, v := range o.Settings {
		flags[k] = v
	}
	loaded, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		return nil, err
	}
	if o.Disk == nil {
		o.Disk = vfs.NewMem()
	}
	n := &Node{sim: s, name: o.Name, options: o, cfg: loaded.Config, disk: o.Disk, free: o.Free, diskDelay: diskDelay,
		rand: &lockedRand{r: s.chance("node " + o.Name)}}
	n.SetSkew(o.Skew)
	network := s.net
	if o.Free {
		network = newNetwork(s)
		network.free = true
	}
	if n.host, err = network.add(o.Name, o.Address); err != nil {
		return nil, err
	}
	if !o.Free {
		s.nodes = append(s.nodes, n)
	}
	return n, nil
}

// diskDelay bounds the time of an operation on a healthy disk.
const diskDelay = 400 * time.Microsecond

// ErrCrashed is in the answer of a Start that Crash came into.
var ErrCrashed = errors.New("sim: the power was cut")

// Start opens the agent on the disk and lets it serve. Without Free the
// scheduler must run meanwhile: Start is then called by an actor.
func (n *Node) Start() error {
	l := &life{node: n, ended: make(chan error, 1), gone: make(chan struct{}), facts: metrics.New()}
	n.life = l
	n.lives = append(n.lives, l)
	port := n.host.begin()
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	a, err := agent.New(n.cfg, agent.Env{FS: l.files.watch(l.fs(n.disk)), Net: port,
		Now: func() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) }, Rand: n.rand.fill,
		Log: slog.New(slog.NewTextHandler(&n.log, nil)), Metrics: l.facts, Build: "sim", ReadFile: n.readFile,
		Members: gossip.NewProbes(n.sim.chance(fmt.Sprintf("members %s %d", n.name, len(n.lives))).Uint64())})
	if err == nil && l.dead.Load() {
		err = errors.Join(ErrCrashed, a.Close())
	}
	if err != nil {
		cancel()
		close(l.gone)
		return err
	}
	l.mu.Lock()
	l.agent = a
	l.mu.Unlock()
	go func() { l.ended <- a.Run(ctx) }()
	return nil
}

// readFile has what lies beside the configuration.
func (n *Node) readFile(name string) ([]byte, error) {
	if text, ok := n.options.Files[name]; ok {
		return []byte(text), nil
	}
	if n.options.Datacenter == "" || name != "cassandra-rackdc.properties" {
		return nil, fs.ErrNotExist
	}
	return fmt.Appendf(nil, "dc=%s\nrack=%s\n", n.options.Datacenter, n.options.Rack), nil
}

// State is the metadata that a node which is up has; nil for others.
func (n *Node) State() *meta.State {
	if !n.Up() {
		return nil
	}
	return n.life.agent.State()
}

// fs is the disk as a life sees it.
func (l *life) fs(disk *vfs.Mem) vfs.FS {
	n := l.node
	if n.free {
		return disk
	}
	return vfs.NewFaulty(disk, func(op vfs.Op) (fault vfs.Fault) {
		if l.dead.Load() {
			return fault
		}
		n.sim.wait(&event{name: n.name + " " + op.String(), owner: l,
			delay:   func(r *rand.Rand) time.Duration { return 1 + time.Duration(r.Int64N(int64(n.diskDelay))) },
			blocked: func() bool { return n.paused() },
			do:      func() { fault.Err = n.diskFault(op) },
		})
		return fault
	})
}

// stop ends the agent of a life, once; gone tells when that is done.
func (l *life) stop() error {
	l.mu.Lock()
	a, over := l.agent, l.over
	l.over = l.over || a != nil
	l.mu.Unlock()
	if a == nil || over {
		return nil
	}
	defer close(l.gone)
	l.cancel()
	return errors.Join(<-l.ended, a.Close())
}

// Stop ends the agent as an operator would. Without Free an actor calls it.
func (n *Node) Stop() error {
	if n.life == nil {
		return nil
	}
	err := n.life.stop()
	n.host.end(false)
	return err
}

// Crash ends the process at once: its disk is what image says, which was made of
// it before, and the kernel resets its connections.
func (n *Node) Crash(image *vfs.Mem) { n.end(image, false) }

// CutPower ends the machine: nobody is told, and until the next Start nothing
// that is sent to it has an answer.
func (n *Node) CutPower(image *vfs.Mem) { n.end(image, true) }

func (n *Node) end(image *vfs.Mem, silent bool) {
	n.disk = image
	n.diskError, n.diskFails = nil, 0
	if l := n.life; l != nil {
		l.dead.Store(true)
		n.host.end(silent)
		n.sim.release(l)
		go func() { _ = l.stop() }() // what it still does goes to the disk that is gone
	}
	synctest.Wait()
}

// begun tells whether the node has been started and has not crashed.
func (n *Node) begun() bool { return n.life != nil && !n.life.dead.Load() && !n.life.stopped() }

func (l *life) stopped() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// Up tells whether the node has been started and has not ended.
func (n *Node) Up() bool {
	l := n.life
	if l == nil || l.dead.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.agent != nil && !l.over
}

// Pause holds back everything that happens to the node, as SIGSTOP does, or lets
// it go on. Its timers run.
func (n *Node) Pause(on bool) { n.host.pause(on) }

func (n *Node) paused() bool {
	n.host.net.mu.Lock()
	defer n.host.net.mu.Unlock()
	return n.host.paused
}

// SetSkew makes the write clock wrong by that much.
func (n *Node) SetSkew(d time.Duration) { n.skew.Store(int64(d)) }

// SetDiskDelay bounds the time of operations on the disk; 0: as usual.
func (n *Node) SetDiskDelay(d time.Duration) {
	if d <= 0 {
		d = diskDelay
	}
	n.diskDelay = d
}

// FailDisk makes the next count operations that change the disk fail.
func (n *Node) FailDisk(count int, err error) { n.diskFails, n.diskError = count, err }

func (n *Node) diskFault(op vfs.Op) error {
	if n.diskFails == 0 || !op.Mutates() {
		return nil
	}
	n.diskFails--
	n.sim.Note("%s: %s fails: %v", n.name, op, n.diskError)
	return n.diskError
}

// Disk is the node's disk, to make images of.
func (n *Node) Disk() *vfs.Mem { return n.disk }

// Host is where the node is on the network.
func (n *Node) Host() *Host { return n.host }

// Name is the node's in the trace.
func (n *Node) Name() string { return n.name }

// Log is what the node told its operator.
func (n *Node) Log() string { return n.log.String() }

// Client connects to the node from a host that all share who call this.
func (n *Node) Client(ctx context.Context) (*client.Conn, error) {
	return n.connect(ctx, n.host.net.Host("client"))
}

// Connect connects an actor to a node.
func (a *Actor) Connect(ctx context.Context, n *Node) (*client.Conn, error) {
	return n.connect(ctx, n.host.net.Host(a.Name))
}

func (n *Node) connect(ctx context.Context, from *Host) (*client.Conn, error) {
	return client.Connect(ctx, n.Address(), client.Config{Dial: from.Dial, InFlightMax: 8, Version: proto.V5})
}

// Dial connects to the node at its Address; a load generator's Config takes it.
func (n *Node) Dial(ctx context.Context, address string) (net.Conn, error) {
	return n.host.net.Host("client").Dial(ctx, address)
}

// Address is where the node serves CQL.
func (n *Node) Address() string { return fmt.Sprintf("%s:%d", n.cfg.RPCAddress, n.cfg.NativePort) }

// Flush asks the node, as an operator, to write a table's memtable to a file.
func (n *Node) Flush(ctx context.Context, keyspace, table string) error {
	_, err := n.Operate(ctx, "/flush", fmt.Sprintf(`{"keyspace":%q,"tables":[%q]}`, keyspace, table))
	return err
}

// answerBytesMax bounds what an operator reads.
const answerBytesMax = 1 << 20

// Operate asks the node's admin API: with a body it is a POST.
func (n *Node) Operate(ctx context.Context, path, body string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		return n.host.Dial(ctx, address)
	}}
	defer transport.CloseIdleConnections()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/v1%s", n.cfg.AdminPort, path)
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("sim: %s: %s: %s", path, resp.Status, text)
	}
	return string(text), err
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

// lockedText gathers a log, the last of it.
type lockedText struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

// logBytesMax bounds what is kept of a node's log.
const logBytesMax = 1 << 20

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.b) > logBytesMax {
		l.b = append(l.b[:0], l.b[len(l.b)/2:]...)
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
