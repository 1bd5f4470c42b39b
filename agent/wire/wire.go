package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/internal/acceptor"
	"helenus/internal/budget"
)

// Target is whom a call goes to. A zero ID is whoever is at the address.
type Target struct {
	ID   helenus.HostID
	Addr helenus.Endpoint
}

func (t Target) String() string {
	if t.ID == (helenus.HostID{}) {
		return t.Addr.String()
	}
	return t.Addr.String() + " (" + t.ID.String() + ")"
}

// Net is how a node reaches others.
type Net interface {
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Identity is what a node says of itself to others.
type Identity struct {
	Cluster ClusterID // zero while it is in none
	Feature uint32    // the feature level
	Key     KeyID     // of gossip
}

// Options are what a Wire works with. Sizes and times that are zero get the
// value named beside them.
type Options struct {
	Self     Target
	Identity func() Identity
	Verbs    []Verb
	Net      Net
	Rand     func(b []byte)
	Log      *slog.Logger
	Budget   *budget.Budget // bytes of all that is under way at this node
	// Doors take connections whose first byte is not FirstMessages; the byte
	// will be read again. It must not wait. False: nobody wants it, and the
	// connection is closed.
	Doors func(first byte, nc net.Conn) bool

	NoCompression     bool
	CompressBytes     int           // 4 KiB: shorter messages are sent as they are
	FrameBytesMax     int           // 32 MiB
	PeerBytes         int           // 32 MiB: what is under way to or from one peer
	InFlightMax       int           // 32768 calls on a lane, requests on a connection
	ConnectionsMax    int           // 16384 that others have opened
	ConnectTimeout    time.Duration // 2 s, the hello included
	BackoffMin        time.Duration // 100 ms, doubled up to
	BackoffMax        time.Duration // 10 s
	HeartbeatInterval time.Duration // 2 s without a byte before a heartbeat
	SilenceMax        time.Duration // 8 s without a byte before a connection is cut
	IdleTimeout       time.Duration // 5 min without a call
}

func (o *Options) fill() {
	o.CompressBytes = cmp.Or(o.CompressBytes, 4<<10)
	o.FrameBytesMax = cmp.Or(o.FrameBytesMax, 32<<20)
	o.PeerBytes = cmp.Or(o.PeerBytes, 32<<20)
	o.InFlightMax = cmp.Or(o.InFlightMax, 32768)
	o.ConnectionsMax = cmp.Or(o.ConnectionsMax, 16384)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 2*time.Second)
	o.BackoffMin = cmp.Or(o.BackoffMin, 100*time.Millisecond)
	o.BackoffMax = cmp.Or(o.BackoffMax, 10*time.Second)
	o.HeartbeatInterval = cmp.Or(o.HeartbeatInterval, 2*time.Second)
	o.SilenceMax = cmp.Or(o.SilenceMax, 8*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 5*time.Minute)
	if o.Doors == nil {
		o.Doors = func(byte, net.Conn) bool { return false }
	}
}

// Wire is a node's end of all messages.
type Wire struct {
	opts     Options
	verbs    []*verb
	began    time.Time
	clock    clock
	stats    stats
	requests sync.Pool // *Request
	encoders sync.Pool // *encoder
	peers    atomic.Pointer[map[Target]*peer]

	mu       sync.Mutex // guards what follows; the clock's is the only lock taken below it
	order    []*peer    // of peers, oldest first
	inbound  []*inbound
	accepted map[net.Conn]struct{} // not yet past their first byte and hello
	running  bool

	run sync.WaitGroup
}

// stats count since the start.
type stats struct {
	accepted, refused, garbage, halfOpen, handedOver atomic.Uint64
}

// New makes a Wire. Calls to this node work at once, others while it runs.
func New(opts Options) (*Wire, error) {
	opts.fill()
	if opts.Self.ID == (helenus.HostID{}) {
		return nil, errors.New("wire: this node has no host id")
	}
	verbs, err := newTable(opts.Verbs)
	if err != nil {
		return nil, err
	}
	w := &Wire{opts: opts, verbs: verbs, began: time.Now(), accepted: make(map[net.Conn]struct{})}
	w.clock.init()
	w.requests.New = func() any { return &Request{w: w} }
	w.encoders.New = func() any { return new(encoder) }
	w.peers.Store(&map[Target]*peer{})
	return w, nil
}

// now is the time since New; deadlines are in it.
func (w *Wire) now() time.Duration { return time.Since(w.began) }

func (w *Wire) verb(id VerbID) *verb {
	if int(id) >= len(w.verbs) {
		return nil
	}
	return w.verbs[id]
}

// Run accepts connections and serves all of them until ctx ends; then every
// call fails, and it waits for its goroutines. It runs once. Its error is why it
// could not go on accepting.
func (w *Wire) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	w.running = true
	w.mu.Unlock()
	w.run.Go(func() { w.watchClock(ctx) })
	err := acceptor.Run(ctx, ln, w.opts.Log, w.accept)
	cancel()
	w.closeAll()
	w.run.Wait()
	if err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	return nil
}

// start runs f as a goroutine that Run waits for, unless Run is ending.
func (w *Wire) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		w.run.Go(f)
	}
	return w.running
}

func (w *Wire) closeAll() {
	w.mu.Lock()
	w.running = false
	order, inbound := w.order, append([]*inbound(nil), w.inbound...)
	for nc := range w.accepted {
		_ = nc.Close() // nothing was promised on it
	}
	w.mu.Unlock()
	for _, p := range order {
		for i := range p.links {
			p.links[i].cut(errClosing)
		}
	}
	for _, c := range inbound {
		c.close()
	}
}

var errClosing = errors.New("this node is stopping")

// peersMax bounds the targets that are remembered; those without a connection
// and without calls are forgotten first.
const peersMax = 4096

// peer finds or makes what is known of a target; nil beyond peersMax.
func (w *Wire) peer(to Target) *peer {
	if p := (*w.peers.Load())[to]; p != nil {
		return p
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := *w.peers.Load()
	if p := old[to]; p != nil {
		return p
	}
	if len(old) >= peersMax {
		return nil
	}
	p := newPeer(w, to)
	w.order = append(w.order[:len(w.order):len(w.order)], p)
	w.publishLocked()
	return p
}

// forget drops peers that have been without a call for long.
func (w *Wire) forget(now time.Duration) {
	w.mu.Lock()
	order := w.order
	w.mu.Unlock()
	var gone map[*peer]bool
	for _, p := range order {
		if p.retire(now) {
			if gone == nil {
				gone = make(map[*peer]bool)
			}
			gone[p] = true
		}
	}
	if gone == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var kept []*peer
	for _, p := range w.order {
		if !gone[p] {
			kept = append(kept, p)
		}
	}
	w.order = kept
	w.publishLocked()
}

func (w *Wire) publishLocked() {
	m := make(map[Target]*peer, len(w.order))
	for _, p := range w.order {
		m[p.to] = p
	}
	w.peers.Store(&m)
}
