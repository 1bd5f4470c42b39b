package hint

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/fakenet"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/row"
	"helenus/store/vfs"
)

// TestStories runs the scenarios of hints: node 0 keeps them, the others get
// them. Each file is a cluster of its own.
//
//	cluster nodes=3 [grace=864000]    table t, and table u without gc_grace_seconds=grace
//	set enabled=false | window=1h | max=1000 | rate=1000 | paused=true | without=dc1
//	dead 1 | alive 1                  what node 0 believes
//	store for=1 [from=1 to=10]        rows from..to of table t; tables=(t,u) in one mutation
//	wait 10s
//	restart | crash                   node 0
//	received 1                        the rows in the order of their arrival
//	facts
//	drop u | truncate t | leave 1 | refuse 1 | forget 1 | damage
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := &story{t: t}
			defer func() {
				for _, n := range s.all {
					n.end()
				}
			}()
			datadriven.RunTest(t, path, s.step)
		})
	})
}

type story struct {
	t   *testing.T
	net *fakenet.Net
	all []*member

	mu       sync.Mutex // guards what follows
	state    *meta.State
	settings Settings
	dead     map[helenus.HostID]bool
}

// member is one node.
type member struct {
	s      *story
	target wire.Target
	fs     *vfs.Mem
	hints  *Hints
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	received []string
	refuses  bool
}

// Write implements Replica.
func (m *member) Write(w *store.Write) {
	m.mu.Lock()
	w.Err = nil
	if m.refuses {
		w.Err = fmt.Errorf("the disk is full")
	} else {
		m.received = append(m.received, m.s.describe(w.Mutation))
	}
	m.mu.Unlock()
	w.Owner.Written(w)
}

// Alive implements Liveness.
func (s *story) Alive(id helenus.HostID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dead[id]
}

func (s *story) metadata() *meta.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *story) apply(changes ...meta.Change) {
	s.t.Helper()
	for _, change := range changes {
		next, err := meta.Apply(s.metadata(), change)
		if err != nil {
			s.t.Fatal(err)
		}
		s.mu.Lock()
		s.state = next
		s.mu.Unlock()
	}
}

func hostID(i int) helenus.HostID { return helenus.HostID{15: byte(i + 1)} }

func (s *story) cluster(n int, grace string) {
	s.net, s.dead = fakenet.New(time.Millisecond), map[helenus.HostID]bool{}
	s.settings = Settings{Enabled: true, Window: 3 * time.Hour}
	s.state = meta.New(nil)
	s.apply(meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "test", Partitioner: token.Murmur3Partitioner{}.Name()})
	for i := range n {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 7000)
		s.apply(meta.Register{Node: meta.Node{HostID: hostID(i), Broadcast: at, Listen: at, Native: at, Datacenter: helenus.Datacenter(fmt.Sprint("dc", i%2)),
			Rack: "r", Tokens: []token.Token{token.FromInt64(int64(i))}, Level: meta.CurrentLevel}})
	}
	s.apply(meta.CreateKeyspace{Name: "ks", Properties: []meta.Property{{Name: "replication", IsMap: true,
		Map: map[string]string{"class": "SimpleStrategy", "replication_factor": "3"}}}})
	for i, name := range []string{"t", "u"} {
		c := meta.CreateTable{Keyspace: "ks", Name: name, ID: schema.TableID{15: byte(i + 1)}, PartitionKey: []string{"k"}, KeyClauses: 1,
			Columns: []meta.ColumnDef{{Name: "k", Type: types.Native(types.Int)}, {Name: "v", Type: types.Native(types.Text)}}}
		if name == "t" && grace != "" {
			c.Properties = []meta.Property{{Name: "gc_grace_seconds", Text: grace}}
		}
		s.apply(c)
	}
	for i := range n {
		m := &member{s: s, target: wire.Target{ID: hostID(i), Addr: s.state.Node(hostID(i)).Broadcast}, fs: vfs.NewMem()}
		m.start()
		s.all = append(s.all, m)
	}
}

func (m *member) start() {
	s := m.s
	var err error
	m.hints, err = Open(Options{FS: m.fs, Dir: "/hints", Self: m.target.ID, State: s.metadata, Liveness: s, Replica: m, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), SegmentBytes: 2000, BatchBytes: 500, ReceiveBytes: 1000,
		Settings: func() Settings {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.settings
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	w, err := wire.New(wire.Options{Self: m.target, Identity: func() wire.Identity { return wire.Identity{Cluster: wire.ClusterID{1}, Feature: 1} },
		Verbs: m.hints.Verbs(), Net: s.net.Host(m.target.Addr.Addr()), Rand: func([]byte) {}, Log: slog.New(slog.DiscardHandler), Budget: budget.New("wire", 64<<20)})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	ln := s.net.Listen(m.target.Addr)
	m.done.Go(func() { _ = w.Run(ctx, ln) })
	m.done.Go(func() { _ = m.hints.Run(ctx, w) })
	synctest.Wait()
}

func (m *member) end() {
	m.stop()
	m.done.Wait()
}

// describe shows a mutation as table.key.
func (s *story) describe(mutation []byte) string {
	var out []string
	m := row.ReadMutation(mutation)
	for update, ok := m.Next(); ok; update, ok = m.Next() {
		id, key, err := row.PeekUpdate(update)
		if err != nil {
			return err.Error()
		}
		out = append(out, fmt.Sprintf("%s%d", map[byte]string{1: "t", 2: "u"}[id[15]], int(key[2])<<8|int(key[3])))
	}
	return strings.Join(out, "+")
}

func (s *story) mutation(key int, tables ...string) []byte {
	var b row.Builder
	b.Reset()
	for _, name := range tables {
		t := s.metadata().Schema.Find("ks", name)
		b.Begin(t, []byte{0, 0, byte(key >> 8), byte(key)})
		b.BeginRow()
		b.Liveness(row.Liveness{Timestamp: 5, LocalTime: row.NoDeletionTime})
		b.Cell(t.Column("v"), row.Cell{Timestamp: 5, LocalTime: row.NoDeletionTime, Value: bytes.Repeat([]byte("x"), 100)})
		b.EndRow()
	}
	return b.Finish(nil)
}

func number(d *datadriven.TestData, name string, otherwise int) int {
	a, ok := d.Arg(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(a.Vals[0])
	if err != nil {
		panic(err)
	}
	return n
}

func (s *story) step(t *testing.T, d *datadriven.TestData) string {
	node := 0
	if len(d.CmdArgs) > 0 {
		node, _ = strconv.Atoi(d.CmdArgs[0].Key)
	}
	switch d.Cmd {
	case "cluster":
		grace := ""
		d.MaybeScanArgs(t, "grace", &grace)
		s.cluster(number(d, "nodes", 2), grace)
	case "set":
		return s.set(d)
	case "dead", "alive":
		s.mu.Lock()
		s.dead[hostID(node)] = d.Cmd == "dead"
		s.mu.Unlock()
	case "store":
		return s.store(d)
	case "wait":
		pause, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		time.Sleep(pause)
		synctest.Wait()
	case "restart":
		s.all[0].end()
		s.all[0].start()
	case "crash":
		image := s.all[0].fs.CrashNone()
		s.all[0].end()
		s.all[0].fs = image
		s.all[0].start()
	case "received":
		m := s.all[node]
		m.mu.Lock()
		defer m.mu.Unlock()
		text := strings.Join(m.received, " ")
		m.received = nil
		if text == "" {
			text = "nothing"
		}
		return text + "\n"
	case "facts":
		return s.facts()
	case "drop":
		s.apply(meta.DropTable{Keyspace: "ks", Name: d.CmdArgs[0].Key})
	case "truncate":
		if err := s.all[0].hints.Truncated(t.Context(), s.metadata().Schema.Find("ks", d.CmdArgs[0].Key).ID); err != nil {
			t.Fatal(err)
		}
	case "leave":
		s.leave(node)
	case "refuse":
		s.all[node].mu.Lock()
		s.all[node].refuses = !s.all[node].refuses
		s.all[node].mu.Unlock()
	case "forget":
		s.all[0].hints.Forget(hostID(node))
	case "damage":
		return s.damage()
	default:
		d.Fatalf(t, "what is %s?", d.Cmd)
	}
	return ""
}

func (s *story) set(d *datadriven.TestData) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range d.CmdArgs {
		n, _ := strconv.ParseInt(a.Vals[0], 10, 64)
		switch a.Key {
		case "enabled":
			s.settings.Enabled = a.Vals[0] == "true"
		case "paused":
			s.settings.Paused = a.Vals[0] == "true"
		case "window":
			s.settings.Window, _ = time.ParseDuration(a.Vals[0])
		case "max":
			s.settings.BytesPerHostMax = n
		case "rate":
			s.settings.BytesPerSec = n
		case "without":
			s.settings.DisabledDCs = []helenus.Datacenter{helenus.Datacenter(a.Vals[0])}
		default:
			return "what is " + a.Key + "?"
		}
	}
	return ""
}

func (s *story) store(d *datadriven.TestData) string {
	tables := []string{"t"}
	if a, ok := d.Arg("tables"); ok {
		tables = a.Vals
	}
	var age time.Duration
	if a, ok := d.Arg("age"); ok {
		age, _ = time.ParseDuration(a.Vals[0])
	}
	kept, from := 0, number(d, "from", 1)
	to := number(d, "to", from)
	for i := from; i <= to; i++ {
		if s.all[0].hints.Store(hostID(number(d, "for", 1)), s.metadata(), s.mutation(i, tables...), age) {
			kept++
		}
	}
	return fmt.Sprintf("%d of %d kept\n", kept, to-from+1)
}

func (s *story) facts() string {
	var out strings.Builder
	for _, f := range s.all[0].hints.Facts() {
		fmt.Fprintf(&out, "node %d: %d bytes in %d segments", int(f.Host[15])-1, f.Bytes, f.Segments)
		if !f.Oldest.IsZero() {
			fmt.Fprintf(&out, ", oldest %v ago", time.Since(f.Oldest).Round(time.Second))
		}
		if !f.DownSince.IsZero() {
			fmt.Fprintf(&out, ", down for %v", time.Since(f.DownSince).Round(time.Second))
		}
		for _, m := range f.Missed {
			fmt.Fprintf(&out, ", misses %s for %v", map[byte]string{0: "all", 1: "t", 2: "u"}[m.Table[15]], time.Since(m.Since).Round(time.Second))
		}
		out.WriteByte('\n')
	}
	names, err := s.all[0].fs.List("/hints")
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&out, "%d files\n", len(names))
	return out.String()
}

func (s *story) leave(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.state
	next.Nodes = nil
	for _, n := range s.state.Nodes {
		if n.HostID != hostID(node) {
			next.Nodes = append(next.Nodes, n)
		}
	}
	s.state = &next
}

// damage turns a bit over in the middle of the first segment.
func (s *story) damage() string {
	names, err := s.all[0].fs.List("/hints")
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := s.all[0].fs.OpenReadWrite("/hints/" + names[0])
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	size, _ := f.Size()
	b := make([]byte, 1)
	_, _ = f.ReadAt(b, size/2)
	b[0] ^= 4
	if _, err := f.WriteAt(b, size/2); err != nil {
		s.t.Fatal(err)
	}
	return names[0] + "\n"
}

// TestHintAfterTheEnd: what comes when nothing is written any more is not taken,
// and noted for the next start.
func TestHintAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &story{t: t}
		s.cluster(2, "")
		s.dead[hostID(1)] = true
		for _, m := range s.all {
			m.end()
		}
		h := s.all[0].hints
		if h.Store(hostID(1), s.metadata(), s.mutation(1, "t"), 0) {
			t.Error("it is taken")
		}
		h.StoreSynced(hostID(1), s.metadata(), s.mutation(2, "t"), 0, func(kept bool) {
			if kept {
				t.Error("it is kept")
			}
		})
		h.Close()
		s.all[0].fs = s.all[0].fs.CrashNone()
		s.all[0].start()
		defer s.all[0].end()
		facts := s.all[0].hints.Facts()
		if len(facts) != 1 || len(facts[0].Missed) != 1 || facts[0].Missed[0].Table != s.metadata().Schema.Find("ks", "t").ID {
			t.Errorf("%+v", facts)
		}
	})
}

// TestCrash loses the power now and then: no hint that was synced is lost, and
// the order stays.
func TestCrash(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			s := &story{t: t}
			s.cluster(2, "")
			rng := rand.New(rand.NewPCG(seed, 3))
			s.dead[hostID(1)] = true
			next := 1
			var durable []int
			for range 3 {
				first := next
				for range 1 + rng.IntN(30) {
					s.all[0].hints.Store(hostID(1), s.metadata(), s.mutation(next, "t"), 0)
					next++
				}
				if rng.IntN(2) == 0 {
					time.Sleep(2 * time.Second)
					synctest.Wait()
					for k := first; k < next; k++ {
						durable = append(durable, k)
					}
				}
				image := s.all[0].fs.Crash(rng)
				s.all[0].end()
				s.all[0].fs = image
				s.all[0].start()
			}
			s.mu.Lock()
			s.dead[hostID(1)] = false
			s.mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
			s.all[0].end()
			s.all[1].end()
			last, seen := 0, map[int]bool{}
			for _, text := range s.all[1].received {
				k, _ := strconv.Atoi(text[1:])
				if k < last {
					t.Errorf("seed %d: %d after %d", seed, k, last)
				}
				last, seen[k] = k, true
			}
			for _, k := range durable {
				if !seen[k] {
					t.Errorf("seed %d: hint %d of %d synced ones is lost", seed, k, len(durable))
				}
			}
		})
	}
}

// TestStoreSynced: who waits for a hint is told when it is on disk, at once and
// not in a second, and of one that is not kept or cannot be written.
func TestStoreSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &story{t: t}
		s.cluster(2, "")
		defer func() {
			for _, m := range s.all {
				m.end()
			}
		}()
		var told []bool
		began := time.Now()
		store := func(to int) {
			s.all[0].hints.StoreSynced(hostID(to), s.metadata(), s.mutation(1, "t"), 0, func(kept bool) { told = append(told, kept) })
			synctest.Wait()
		}
		s.dead[hostID(1)] = true
		store(1)
		if names, _ := s.all[0].fs.CrashNone().List("/hints"); len(names) == 0 || time.Since(began) > 0 {
			t.Errorf("files %v after %v", names, time.Since(began))
		}
		store(7)
		s.all[0].fs.SetCapacity(1)
		store(1)
		if want := []bool{true, false, false}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if f := s.all[0].hints.Facts(); len(f[0].Missed) != 1 {
			t.Errorf("what the full disk did not take is not noted: %+v", f)
		}
	})
}
