package coord

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/hint"
	"helenus/agent/replica"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/fakenet"
	"helenus/internal/meta"
	"helenus/internal/ring"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// nodes is a cluster in one process: each node with a store in memory, a
// replica, a coordinator and a wire on one fake network. Metadata stands still
// unless a test changes it; who is alive is what the test says.
//
//	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "3"}}, func(c *nodes) {
//		err := c.write(0, helenus.Quorum, "ks", "partition 1\nrow 1 live=5 v=x@5")
//		...
//		c.stored(2, "ks", 1) // what node 2 alone has of partition 1
//	})
//
// Every keyspace has a table t (k int, c int, v text, primary key (k, c)).
// Nodes count from 0 and have the addresses 127.0.0.1, .2, ...; each has one
// token, at equal distances, so that c.key(i) is a partition of which node i is
// the first replica.
type nodes struct {
	testing.TB
	net   *fakenet.Net
	state *meta.State
	all   []*testNode
}

// spec says what a cluster is like.
type spec struct {
	places    string            // datacenter/rack of each node
	keyspaces map[string]string // name to "3" (SimpleStrategy) or "dc1:3 dc2:2"
	latency   time.Duration
	hinted    bool                    // hints are kept and delivered; else noted in listedHints
	periodic  bool                    // the commit log is synced seldom: what is measured is not vfs.Mem
	change    func(i int, o *Options) // nil, or what is different about a coordinator
	replica   func(i int, o *replica.Options)
}

// testNode is one node of it.
type testNode struct {
	id      helenus.HostID
	target  wire.Target
	fs      *vfs.Mem
	disk    *faultyDisk
	store   *store.Store
	replica *replica.Replica
	coord   *Coordinator
	wire    *wire.Wire
	hints   *listedHints
	kept    *hint.Hints // if the spec says so
	states  *testStates
	behind  []meta.Epoch

	mu   sync.Mutex // guards dead
	dead map[helenus.HostID]bool

	stop context.CancelFunc
	done sync.WaitGroup
}

// Alive implements Liveness.
func (n *testNode) Alive(id helenus.HostID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.dead[id]
}

// testStates publishes metadata.
type testStates struct {
	mu      sync.Mutex // guards what follows
	state   *meta.State
	changed chan struct{}
}

// State implements replica.States.
func (s *testStates) State() *meta.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Changed implements replica.States.
func (s *testStates) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *testStates) publish(state *meta.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}

// listedHints notes what was to be kept for whom.
type listedHints struct {
	mu    sync.Mutex // guards what follows
	off   bool
	count map[helenus.HostID]int
	ages  []time.Duration
	kept  map[helenus.HostID][][]byte
}

// Store implements Hints.
func (h *listedHints) Store(to helenus.HostID, _ *meta.State, mutation []byte, age time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.off {
		return false
	}
	h.count[to]++
	h.ages = append(h.ages, age)
	h.kept[to] = append(h.kept[to], append([]byte(nil), mutation...))
	return true
}

// StoreSynced implements Hints.
func (h *listedHints) StoreSynced(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration, done func(bool)) {
	done(h.Store(to, state, mutation, age))
}

func (h *listedHints) of(id helenus.HostID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[id]
}

// faultyDisk makes syncs of the commit log fail or wait.
type faultyDisk struct {
	mu     sync.Mutex // guards what follows
	err    error
	paused chan struct{}
}

func (d *faultyDisk) decide(op vfs.Op) vfs.Fault {
	d.mu.Lock()
	err, paused := d.err, d.paused
	d.mu.Unlock()
	if op.Kind != vfs.OpSync || !strings.Contains(op.Name, "/log/") {
		return vfs.Fault{}
	}
	if paused != nil {
		<-paused
	}
	return vfs.Fault{Err: err}
}

// pause holds up the commit log until the function that it returns is called.
func (d *faultyDisk) pause() (resume func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	paused := make(chan struct{})
	d.paused = paused
	return func() {
		d.mu.Lock()
		d.paused = nil
		d.mu.Unlock()
		close(paused)
	}
}

func (d *faultyDisk) fail(err error) {
	d.mu.Lock()
	d.err = err
	d.mu.Unlock()
}

// run runs f with a cluster, in a bubble of its own.
func run(t *testing.T, s spec, f func(c *nodes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := start(t, s)
		defer c.close()
		synctest.Wait() // the wires run
		f(c)
	})
}

// start makes a cluster; benchmarks use it without a bubble.
func start(tb testing.TB, s spec) *nodes {
	tb.Helper()
	c := &nodes{TB: tb, net: fakenet.New(s.latency)}
	c.state = c.metadata(s)
	for i := range strings.Fields(s.places) {
		c.all = append(c.all, c.startNode(i, s))
	}
	return c
}

func (c *nodes) close() {
	for _, n := range c.all {
		n.stop()
		n.done.Wait()
		n.replica.Close()
		if err := n.store.Close(); err != nil && n.disk.err == nil {
			c.Errorf("close the store of %s: %v", n.target, err)
		}
	}
}

// tokenOf is the token of node i of n.
func tokenOf(i, n int) int64 { return int64(uint64(i)*(1<<63/uint64(n))*2 + 1<<63 + 1000) }

func hostID(i int) helenus.HostID { return helenus.HostID{0: 0xA0, 15: byte(i + 1)} }

func (c *nodes) metadata(s spec) *meta.State {
	c.Helper()
	places := strings.Fields(s.places)
	changes := []meta.Change{meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "test", Partitioner: token.Murmur3Partitioner{}.Name()}}
	for i, place := range places {
		dc, rack, _ := strings.Cut(place, "/")
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 7000)
		changes = append(changes, meta.Register{Node: meta.Node{HostID: hostID(i), Broadcast: at, Listen: at, Native: at,
			Datacenter: helenus.Datacenter(dc), Rack: helenus.Rack(rack), Tokens: []token.Token{token.FromInt64(tokenOf(i, len(places)))}, Level: meta.CurrentLevel}})
	}
	for name, factors := range s.keyspaces {
		replication := map[string]string{"class": "SimpleStrategy", "replication_factor": factors}
		if strings.Contains(factors, ":") {
			replication = map[string]string{"class": "NetworkTopologyStrategy"}
			for _, f := range strings.Fields(factors) {
				dc, factor, _ := strings.Cut(f, ":")
				replication[dc] = factor
			}
		}
		changes = append(changes, meta.CreateKeyspace{Name: name, Properties: []meta.Property{{Name: "replication", IsMap: true, Map: replication}}},
			createTable(name, "t"))
	}
	state := meta.New(nil)
	for _, change := range changes {
		state = c.apply(state, change)
	}
	return state
}

func createTable(keyspace, name string) meta.Change {
	t := meta.CreateTable{Keyspace: keyspace, Name: name, PartitionKey: []string{"k"}, Clustering: []string{"c"}, KeyClauses: 1,
		Columns: []meta.ColumnDef{{Name: "k", Type: types.Native(types.Int)}, {Name: "c", Type: types.Native(types.Int)}, {Name: "v", Type: types.Native(types.Text)}}}
	copy(t.ID[:], keyspace+"."+name)
	return t
}

func (c *nodes) apply(s *meta.State, change meta.Change) *meta.State {
	c.Helper()
	next, err := meta.Apply(s, change)
	if err != nil {
		c.Fatal(err)
	}
	return next
}

func (c *nodes) startNode(i int, s spec) *testNode {
	c.Helper()
	self := c.state.Node(hostID(i))
	n := &testNode{id: self.HostID, target: wire.Target{ID: self.HostID, Addr: self.Broadcast}, fs: vfs.NewMem(), disk: new(faultyDisk),
		dead: map[helenus.HostID]bool{}, hints: &listedHints{count: map[helenus.HostID]int{}, kept: map[helenus.HostID][][]byte{}},
		states: &testStates{state: c.state, changed: make(chan struct{})}}
	chance := rand.NewChaCha8([32]byte{byte(i)})
	var mu sync.Mutex
	random := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = chance.Read(b)
	}
	quiet := slog.New(slog.DiscardHandler)
	log := commitlog.Options{Mode: commitlog.Group, SegmentSize: 1 << 20, PreparePause: -1}
	if s.periodic {
		log = commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}
	}
	var err error
	n.store, err = store.Open(store.Options{FS: vfs.NewFaulty(n.fs, n.disk.decide), DataDir: "/data", LogDir: "/log", HostID: n.id,
		Partitioner: token.Murmur3Partitioner{}, Log: quiet, Now: time.Now, Rand: random, Budget: budget.New("store", 1<<30),
		MemtableBytes: 64 << 20, CacheBytes: 1 << 20, ManualCompaction: true,
		CommitLog: log}, c.state.Schema, uint64(c.state.Epoch))
	if err != nil {
		c.Fatal(err)
	}
	share := replica.Options{Store: n.store, Readers: 2, QueueMax: 64, States: n.states,
		Behind: func(_ helenus.HostID, e meta.Epoch) { n.behind = append(n.behind, e) },
		Truncated: func(ctx context.Context, id schema.TableID) error {
			if n.kept == nil {
				return nil
			}
			return n.kept.Truncated(ctx, id)
		}}
	if s.replica != nil {
		s.replica(i, &share)
	}
	n.replica = replica.New(share)
	o := Options{Self: n.id, Datacenter: self.Datacenter, Partition: token.Murmur3Partitioner{}, Replica: n.replica, Tables: noTables{},
		Clock: NewClock(time.Now), Liveness: n, Hints: n.hints}
	verbs := n.replica.Verbs()
	if s.hinted {
		n.kept, err = hint.Open(hint.Options{FS: n.fs, Dir: "/hints", Self: n.id, State: n.states.State, Liveness: n, Replica: n.replica, Now: time.Now, Log: quiet,
			Settings: func() hint.Settings { return hint.Settings{Enabled: true, Window: 3 * time.Hour} }})
		if err != nil {
			c.Fatal(err)
		}
		o.Hints = n.kept
		verbs = append(verbs, n.kept.Verbs()...)
	}
	if s.change != nil {
		s.change(i, &o)
	}
	n.coord = New(o)
	verbs = append(verbs, n.coord.Verbs()...)
	n.wire, err = wire.New(wire.Options{Self: n.target, Identity: func() wire.Identity { return wire.Identity{Cluster: wire.ClusterID{1}, Feature: 1} },
		Verbs: verbs, Net: c.net.Host(self.Broadcast.Addr()), Rand: random, Log: quiet, Budget: budget.New("wire", 256<<20)})
	if err != nil {
		c.Fatal(err)
	}
	n.coord.Connect(n.wire)
	n.replica.Connect(n.wire)
	c.serve(n)
	return n
}

// serve runs a node's rooms until stop.
func (c *nodes) serve(n *testNode) {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	ln := c.net.Listen(n.target.Addr)
	n.done.Go(func() {
		if err := n.wire.Run(ctx, ln); err != nil {
			c.Errorf("wire of %s: %v", n.target, err)
		}
	})
	n.done.Go(func() { _ = n.replica.Run(ctx) })
	if n.kept != nil {
		n.done.Go(func() { _ = n.kept.Run(ctx, n.wire) })
	}
}

// setDead makes all other nodes believe that node i is dead, or alive.
func (c *nodes) setDead(i int, dead bool) {
	for _, n := range c.all {
		n.mu.Lock()
		n.dead[hostID(i)] = dead && n != c.all[i]
		n.mu.Unlock()
	}
}

// cut stops all that goes between two nodes, as lost packets do, or lets it go.
func (c *nodes) cut(i, j int, on bool) {
	a, b := c.all[i].target.Addr.Addr(), c.all[j].target.Addr.Addr()
	c.net.Stall(a, b, on)
	c.net.Stall(b, a, on)
}

// isolate cuts a node off from all others.
func (c *nodes) isolate(i int, on bool) {
	for j := range c.all {
		if j != i {
			c.cut(i, j, on)
		}
	}
}

// key is a partition key of which node i holds the first replica.
func (c *nodes) key(i int) int {
	for k := 0; ; k++ {
		p := ring.NewPlacement(mustStrategy(c, "1"), c.state.Topology)
		if p.Replicas(token.Murmur3Partitioner{}.Token(keyBytes(k)))[0].HostID == hostID(i) {
			return k
		}
	}
}

func mustStrategy(tb testing.TB, factor string) ring.Strategy {
	s, err := ring.NewStrategy(ring.SimpleName, map[string]string{ring.FactorOption: factor})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func keyBytes(k int) []byte { return []byte{byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)} }

func keyOf(k int) row.Key {
	b := keyBytes(k)
	return row.Key{Prefix: token.Murmur3Partitioner{}.Prefix(b), Bytes: b}
}

func (c *nodes) table(keyspace string) *schema.Table {
	t := c.state.Schema.Find(keyspace, "t")
	if t == nil {
		c.Fatalf("no table %s.t", keyspace)
	}
	return t
}

// waiter is the owner of one request at a time.
type waiter struct{ done chan struct{} }

// WriteDone implements WriteOwner.
func (w *waiter) WriteDone(*Write) { w.done <- struct{}{} }

// newWrite makes a write of what the text says; see row.Parse.
func (c *nodes) newWrite(cl helenus.Consistency, keyspace, text string) (*Write, *waiter) {
	c.Helper()
	var b row.Builder
	b.Reset()
	if err := row.ParseInto(&b, c.table(keyspace), text); err != nil {
		c.Fatal(err)
	}
	owner := &waiter{done: make(chan struct{}, 1)}
	w := &Write{State: c.state, Consistency: cl, Type: helenus.WriteSimple, Done: owner}
	for i := range b.Len() {
		_, key := b.Partition(i)
		w.Targets = append(w.Targets, Target{keyspace, row.Key{Prefix: token.Murmur3Partitioner{}.Prefix(key), Bytes: key}})
	}
	if len(w.Targets) > 1 {
		w.Type = helenus.WriteUnloggedBatch
	}
	w.Mutation = b.Finish(nil)
	return w, owner
}

// write writes by node i and waits for the end.
func (c *nodes) write(i int, cl helenus.Consistency, keyspace, text string) error {
	c.Helper()
	w, owner := c.newWrite(cl, keyspace, text)
	c.all[i].coord.Write(w)
	<-owner.done
	return w.Err
}

// put writes one row of a partition.
func (c *nodes) put(i int, cl helenus.Consistency, keyspace string, k int, timestamp int64, value string) error {
	c.Helper()
	return c.write(i, cl, keyspace, fmt.Sprintf("partition %d\nrow 1 live=%d v=%s@%[2]d", k, timestamp, value))
}

// applyAt writes to the store of one node alone.
func (c *nodes) applyAt(i int, keyspace, text string) {
	c.Helper()
	w, _ := c.newWrite(helenus.One, keyspace, text)
	done := make(chan error, 1)
	c.all[i].replica.Write(&replica.Write{Mutation: w.Mutation, Owner: written(done)})
	if err := <-done; err != nil {
		c.Fatal(err)
	}
}

type written chan error

// Written implements replica.Owner.
func (ch written) Written(w *replica.Write) { ch <- w.Err }

// stored is what the store of node i alone has of a partition, as row.Print
// shows it; empty for nothing.
func (c *nodes) stored(i int, keyspace string, k int) string {
	c.Helper()
	t := c.table(keyspace)
	ps, err := c.all[i].store.Read(&row.Command{Table: t, Keys: []row.Key{keyOf(k)}, Filter: row.Filter{Slices: row.AllRows()}}, store.Blocking)
	if err != nil {
		c.Fatal(err)
	}
	defer ps.Close()
	text, err := row.PrintAll(nil, t, ps)
	if err != nil {
		c.Fatal(err)
	}
	return string(text)
}

// holders are the nodes that have something of a partition, such as "0 2".
func (c *nodes) holders(keyspace string, k int) string {
	c.Helper()
	var all []string
	for i := range c.all {
		if c.stored(i, keyspace, k) != "" {
			all = append(all, fmt.Sprint(i))
		}
	}
	return strings.Join(all, " ")
}
