package sim

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/cputime"
	"helenus/internal/cql/client"
)

// ring is a cluster under clients.
type ring struct {
	*Sim
	t      testing.TB
	nodes  []*Node
	epochs Epochs
	regs   *Registers
	load   *Workload
	conns  map[*Node]*client.Conn // of ask
}

// inCluster runs a test in a world with a cluster that has formed and has the
// table of a workload.
func inCluster(t *testing.T, seed uint64, l Layout, test func(r *ring)) {
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) { clusterIn(t, seed, l, test) })
}

func clusterIn(t testing.TB, seed uint64, l Layout, test func(r *ring)) {
	s := New(t, seed)
	nodes, err := s.NewCluster(l)
	if err != nil {
		t.Fatal(err)
	}
	r := &ring{Sim: s, t: t, nodes: nodes, conns: map[*Node]*client.Conn{}}
	r.watchEpochs()
	if err := s.Form(nodes, 2*time.Minute); err != nil {
		for _, n := range nodes {
			t.Logf("%s: %s", n.name, tail(n.Log()))
		}
		s.Errorf("%v", err)
		return
	}
	replicas := map[helenus.Datacenter]int{}
	replication := "'class': 'NetworkTopologyStrategy'"
	for i := range max(l.Datacenters, 1) {
		dc := helenus.Datacenter(fmt.Sprint("dc", i+1))
		replicas[dc] = min(3, l.Nodes/max(l.Datacenters, 1))
		replication += fmt.Sprintf(", '%s': %d", dc, replicas[dc])
	}
	r.regs = NewRegisters(replicas)
	r.load = &Workload{Registers: r.regs, Nodes: nodes, Table: "ks.r", Keys: 12, Pause: 200 * time.Millisecond,
		Datacenter: func(n *Node) helenus.Datacenter { return n.options.Datacenter },
		Writes:     []helenus.Consistency{helenus.Quorum, helenus.Quorum, helenus.LocalQuorum, helenus.One, helenus.All},
		Reads:      []helenus.Consistency{helenus.Quorum, helenus.Quorum, helenus.LocalQuorum, helenus.One, helenus.All}}
	r.do("operator", func(a *Actor) error {
		return a.Ask(context.Background(), nodes[0], "CREATE KEYSPACE ks WITH replication = {"+replication+"}", WorkloadTable("ks.r"))
	})
	if !t.Failed() && !r.RunUntil(10*time.Second, r.agreed) {
		r.Errorf("a change of the schema has not reached all nodes in 10 s")
	}
	if !t.Failed() && !r.RunUntil(20*time.Second, func() bool { return r.agreed() && len(nodes[0].State().Voters) >= min(3, len(nodes)) }) {
		r.Errorf("there are fewer than three voters after 20 s")
	}
	r.RunFor(3 * time.Second) // everybody takes everybody for alive
	if !t.Failed() {
		test(r)
	}
}

// agreed tells whether all nodes have the same metadata.
func (r *ring) agreed() bool {
	for _, n := range r.nodes {
		s, first := n.State(), r.nodes[0].State()
		if s == nil || first == nil || s.Epoch != first.Epoch {
			return false
		}
	}
	return true
}

// do runs one actor to its end.
func (r *ring) do(name string, script func(a *Actor) error) {
	var done atomic.Bool
	r.Go(fmt.Sprintf("%s at %v", name, r.Elapsed()), func(a *Actor) {
		if err := script(a); err != nil {
			r.Errorf("%s: %v", a.Name, err)
		}
		done.Store(true)
	})
	if !r.RunUntil(10*time.Minute, done.Load) && !r.t.Failed() {
		r.Errorf("%s has not ended", name)
	}
}

// watchEpochs compares the metadata of all nodes ten times a second.
func (r *ring) watchEpochs() {
	r.At(100*time.Millisecond, "epochs", func() {
		for _, n := range r.nodes {
			if s := n.State(); s != nil {
				if err := r.epochs.Observe(n.name, s); err != nil {
					r.Errorf("%v", err)
				}
			}
		}
		r.watchEpochs()
	})
}

// clients begins a load that ends at some time of the world.
func (r *ring) clients(count int, until time.Duration) {
	for i := range count {
		r.Go(fmt.Sprint("client", i+1), r.load.Script(until))
	}
}

// settle ends all faults and wants everything to be well a minute later:
// everybody knows everybody, metadata and replicas are equal, and at the end
// nothing is left. hintsAlone: no coordinator has died.
func (r *ring) settle(hintsAlone bool) {
	if r.t.Failed() {
		return
	}
	r.Heal(r.nodes)
	r.RunFor(convergenceMax)
	if err := r.Settle(r.nodes, time.Second*10); err != nil {
		r.Errorf("a minute after healing: %v", err)
		return
	}
	if !r.agreed() {
		r.Errorf("a minute after healing the nodes are at different epochs")
	}
	r.do("reader", func(a *Actor) error { return r.readAll(a, hintsAlone) })
	r.do("operator", func(*Actor) error {
		for _, n := range r.nodes {
			if err := n.Stop(); err != nil {
				return fmt.Errorf("stop of %s: %w", n.name, err)
			}
		}
		return nil
	})
	if err := r.Leaks(); err != nil {
		r.Errorf("%v", err)
	}
	r.t.Logf("seed %d: %+v, longest silence %v, %d events", r.seed, r.regs.Counts(), r.load.Silence(), r.Events)
}

// convergenceMax is how long replicas may differ when all faults are over.
const convergenceMax = 60 * time.Second

// readAll reads every register at all nodes, so that what nobody has hints for,
// as its coordinator died, is repaired; then from each node's own copy. With
// hints alone the copies are equal before.
func (r *ring) readAll(a *Actor, hintsAlone bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	levels := []helenus.Consistency{helenus.All, helenus.Quorum, helenus.One}
	if hintsAlone {
		levels = []helenus.Consistency{helenus.One, helenus.Quorum, helenus.One}
	}
	for _, l := range levels {
		var copies []Copy
		for _, n := range r.nodes {
			c, err := r.readNode(ctx, a, n, l)
			if err != nil {
				return err
			}
			copies = append(copies, c)
		}
		if err := Convergence(copies, nil); err != nil {
			return fmt.Errorf("read at %s: %w", l, err)
		}
	}
	return nil
}

// readNode reads every register with one node as the coordinator, and judges it.
func (r *ring) readNode(ctx context.Context, a *Actor, n *Node, l helenus.Consistency) (Copy, error) {
	out := Copy{Node: n.name, Partitions: map[string]string{}}
	c, err := a.Connect(ctx, n)
	if err != nil {
		return out, err
	}
	defer c.Close()
	for _, key := range r.regs.Keys() {
		read := r.regs.Read(key, Level{l, n.options.Datacenter})
		number, err := ReadRegister(ctx, c, r.load.Table, key, l)
		if err == nil {
			err = read.Ended(number)
		}
		if err != nil {
			return out, fmt.Errorf("%s: %w", n.name, err)
		}
		out.Partitions[key] = shown(number)
	}
	return out, nil
}

// TestThreeNodes: they find each other, a change of the schema reaches all, and
// with one node cut off, or dead, the others go on; when it is back it catches
// up.
func TestThreeNodes(t *testing.T) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			r.do("operator", func(a *Actor) error {
				for _, n := range r.nodes {
					if err := a.Ask(context.Background(), n, "SELECT * FROM ks.r"); err != nil {
						return fmt.Errorf("%s: %w", n.name, err)
					}
				}
				return nil
			})
			r.clients(3, r.Elapsed()+70*time.Second)
			now := r.Elapsed()
			r.Inject(r.nodes, []Fault{
				{At: now + 10*time.Second, For: 20 * time.Second, Kind: Isolate, A: 2},
				{At: now + 40*time.Second, For: 20 * time.Second, Kind: Kill, A: 1},
			})
			r.RunFor(75 * time.Second)
			r.settle(false)
		})
	}
}

// TestClusterRepeats: a whole cluster under faults makes the same history again.
func TestClusterRepeats(t *testing.T) {
	run := func(seed uint64) (trace string) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
			now := r.Elapsed()
			r.clients(3, now+20*time.Second)
			r.Inject(r.nodes, PlanFaults(r.Rand(), 3, now, now+20*time.Second))
			r.RunFor(25 * time.Second)
			trace = r.Trace()
		})
		return trace
	}
	for _, seed := range seeds(t, 4) {
		if a, b := run(seed), run(seed); a != b {
			t.Fatalf("seed %d: %s", seed, difference(a, b))
		}
	}
}

// TestFaultyCluster lets everything that can go wrong do so, for a minute or,
// with HELENUS_SIM_HOURS, for ten minutes at a time.
func TestFaultyCluster(t *testing.T) {
	few, d := uint64(2), time.Minute
	if hours := variable(t, "HELENUS_SIM_HOURS", 0); hours > 0 {
		few, d = 6*hours, 10*time.Minute
	}
	for _, seed := range seeds(t, few) {
		layout := Layout{Nodes: 3, Racks: 3}
		if seed%3 == 2 {
			layout = Layout{Nodes: 6, Datacenters: 2, Racks: 3}
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inCluster(t, seed, layout, func(r *ring) {
				now := r.Elapsed()
				r.clients(4, now+d)
				r.Inject(r.nodes, PlanFaults(r.Rand(), len(r.nodes), now, now+d))
				r.RunFor(d + 20*time.Second)
				r.settle(false)
			})
		})
	}
}

// TestHintsAlone: while no coordinator dies, hints bring all that was missed.
func TestHintsAlone(t *testing.T) {
	for _, seed := range seeds(t, 2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inCluster(t, seed, Layout{Nodes: 3, Racks: 3}, func(r *ring) {
				now := r.Elapsed()
				r.clients(4, now+time.Minute)
				r.Inject(r.nodes, PlanFaults(r.Rand(), 3, now, now+time.Minute, CutOneWay, CutBoth, Isolate, Split, Slow, Lossy, Narrow, Break, Pause, Skew, SlowDisk))
				r.RunFor(80 * time.Second)
				r.settle(true)
			})
		})
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said string // guarded by mu
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said += fmt.Sprintf(format, args...) + "\n"
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said != ""
}

// TestClustersWithBugs: what is wrong with whole agents is found, too. The bugs
// are settings and clients that promise less than the checkers are told.
func TestClustersWithBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("a dozen clusters")
	}
	network := []Kind{CutOneWay, CutBoth, Isolate, Split, Pause}
	for _, b := range []struct {
		name     string
		settings map[string]string
		plant    func(r *ring)
		want     string
	}{
		{"no hints", map[string]string{"hinted_handoff_enabled": "false"}, func(*ring) {}, "differ"},
		{"no read repair", nil, func(r *ring) {
			r.do("operator", func(a *Actor) error {
				return a.Ask(context.Background(), r.nodes[0], "ALTER TABLE ks.r WITH read_repair = 'NONE'")
			})
		}, "had been read"},
		{"writes at ONE that count as QUORUM", nil, func(r *ring) { r.load.lie = helenus.One }, "had been acknowledged"},
	} {
		t.Run(b.name, func(t *testing.T) {
			said := ""
			for seed := uint64(0); seed < 20 && !strings.Contains(said, b.want); seed++ {
				cryptotest.SetGlobalRandom(t, seed)
				synctest.Test(t, func(t *testing.T) {
					rec := &recorder{TB: t}
					clusterIn(rec, seed, Layout{Nodes: 3, Racks: 3, Settings: b.settings}, func(r *ring) {
						b.plant(r)
						r.load.Keys = 3
						now := r.Elapsed()
						r.clients(4, now+time.Minute)
						r.Inject(r.nodes, PlanFaults(r.Rand(), 3, now, now+time.Minute, network...))
						r.RunFor(80 * time.Second)
						r.settle(true)
					})
					said += rec.said
				})
			}
			if !strings.Contains(said, b.want) {
				t.Errorf("not found; found was: %q", said)
			}
		})
	}
}

// TestFiftyAgents is how long ten minutes of fifty agents with clients and faults
// take.
func TestFiftyAgents(t *testing.T) {
	if os.Getenv("HELENUS_SIM_HOURS") == "" {
		t.Skip("HELENUS_SIM_HOURS is not set: a measurement of minutes")
	}
	began, cpu := time.Now(), cputime.Process(t)
	inCluster(t, 1, Layout{Nodes: 50, Racks: 3}, func(r *ring) {
		t.Logf("formed after %v, %v of CPU", r.Elapsed(), cputime.Process(t)-cpu)
		now := r.Elapsed()
		end := 10 * time.Minute
		r.clients(4, now+end)
		r.Inject(r.nodes, PlanFaults(r.Rand(), len(r.nodes), now, now+end))
		r.RunFor(end)
		t.Logf("%d events, %+v", r.Events, r.regs.Counts())
	})
	t.Logf("%v, %v of CPU", time.Since(began).Round(time.Second), (cputime.Process(t) - cpu).Round(time.Second))
}
