package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

func testConfig(seed byte) Config {
	traces := &schema.Keyspace{Name: "system_traces", DurableWrites: true,
		Replication: schema.Replication{Class: "SimpleStrategy", Options: map[string]string{"replication_factor": "2"}},
		Tables:      map[string]*schema.Table{}, Types: map[string]*types.Type{}}
	local := &schema.Keyspace{Name: "system", DurableWrites: true, Replication: schema.Replication{Class: "LocalStrategy"},
		Tables: map[string]*schema.Table{}, Types: map[string]*types.Type{}}
	at := netip.MustParseAddrPort("127.0.0.1:7000")
	return Config{
		Dir: "data/metadata", ClusterName: "test", Partitioner: token.Murmur3Partitioner{},
		Local: []*schema.Keyspace{local}, Install: []*schema.Keyspace{traces},
		Node: meta.Node{Broadcast: at, Listen: at, Native: netip.MustParseAddrPort("127.0.0.1:9042"),
			Datacenter: "dc1", Rack: "r1", Release: helenus.ReleaseVersion, Level: meta.CurrentLevel},
		NumTokens: 4, Rand: rand.NewChaCha8([32]byte{seed}), SnapshotEntries: 5,
	}
}

func createKeyspace(i int) meta.CreateKeyspace {
	return meta.CreateKeyspace{Name: fmt.Sprintf("ks%d", i), Properties: []meta.Property{{Name: "replication", IsMap: true,
		Map: map[string]string{"class": "SimpleStrategy", "replication_factor": "1"}}}}
}

func mustOpen(t *testing.T, fs vfs.FS, cfg Config) *Log {
	t.Helper()
	l, err := Open(fs, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustCommit(t *testing.T, l *Log, c meta.Change) *meta.State {
	t.Helper()
	s, err := l.Commit(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFoundingAndRestart(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs, testConfig(1))
	s := l.State()
	if s.Epoch != 3 || s.ClusterName != "test" || len(s.Nodes) != 1 || len(s.Nodes[0].Tokens) != 4 ||
		s.Schema.Keyspaces["system_traces"] == nil || s.Schema.Keyspaces["system"] == nil || s.Level != meta.CurrentLevel {
		t.Fatalf("founded state: %+v", s)
	}
	changed := l.Changed()
	if s := mustCommit(t, l, createKeyspace(1)); s.Epoch != 4 || l.State() != s {
		t.Errorf("epoch %d", s.Epoch)
	}
	select {
	case <-changed:
	default:
		t.Error("Changed was not told")
	}
	conditional := createKeyspace(1)
	conditional.IfNotExists = true
	if s := mustCommit(t, l, conditional); s != l.State() || s.Epoch != 4 {
		t.Error("a change with nothing to do made an epoch")
	}
	var refused *helenus.Error
	if _, err := l.Commit(context.Background(), createKeyspace(1)); !errors.As(err, &refused) || l.State().Epoch != 4 {
		t.Errorf("existing keyspace: %v", err)
	}
	if _, err := Open(fs, testConfig(2)); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("second log on one directory: %v", err)
	}
	before := meta.EncodeState(nil, l.State())
	self := l.Self()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(context.Background(), createKeyspace(9)); !errors.Is(err, ErrClosed) {
		t.Errorf("commit after Close: %v", err)
	}
	l = mustOpen(t, fs, testConfig(3))
	if got := meta.EncodeState(nil, l.State()); !slices.Equal(got, before) || l.Self() != self {
		t.Errorf("after the restart: epoch %d, node %s, was %s", l.State().Epoch, l.Self(), self)
	}
	for i := 2; i < 20; i++ {
		mustCommit(t, l, createKeyspace(i))
	}
	before = meta.EncodeState(nil, l.State())
	l.Close()
	l = mustOpen(t, fs, testConfig(3))
	if !slices.Equal(meta.EncodeState(nil, l.State()), before) {
		t.Errorf("after snapshots: epoch %d", l.State().Epoch)
	}
	l.Close()
}

func TestRefusesToBecomeAnother(t *testing.T) {
	fs := vfs.NewMem()
	mustOpen(t, fs, testConfig(1)).Close()
	for what, change := range map[string]func(*Config){
		"cluster name": func(c *Config) { c.ClusterName = "other" },
		"partitioner":  func(c *Config) { c.Partitioner = token.RandomPartitioner{} },
		"tokens":       func(c *Config) { c.NumTokens = 8 },
		"datacenter":   func(c *Config) { c.Node.Datacenter = "dc2" },
		"rack":         func(c *Config) { c.Node.Rack = "r2" },
	} {
		cfg := testConfig(1)
		change(&cfg)
		if l, err := Open(fs, cfg); err == nil {
			t.Errorf("another %s was taken", what)
			l.Close()
		}
	}
	cfg := testConfig(1)
	cfg.Node.Native = netip.MustParseAddrPort("127.0.0.1:9999")
	l := mustOpen(t, fs, cfg)
	if l.State().Nodes[0].Native.Port() != 9999 {
		t.Error("a new address was not registered")
	}
	l.Close()
	cfg = testConfig(4)
	cfg.InitialTokens = []token.Token{token.FromInt64(7), token.FromInt64(-7)}
	l = mustOpen(t, vfs.NewMem(), cfg)
	if got := l.State().Nodes[0].Tokens; len(got) != 2 || got[0] != token.FromInt64(-7) {
		t.Errorf("initial tokens: %v", got)
	}
	l.Close()
}

// TestCrash takes crash images after every operation on the file system and
// opens each: what was acknowledged is there, and the state is one that was.
func TestCrash(t *testing.T) {
	mem := vfs.NewMem()
	rnd := rand.New(rand.NewPCG(7, 7))
	type image struct {
		fs    *vfs.Mem
		acked meta.Epoch
		op    string
	}
	var images []image
	var acked meta.Epoch
	var self helenus.HostID
	history := map[meta.Epoch]string{}
	fs := vfs.NewTraced(mem, nil, func(op vfs.Op) {
		images = append(images, image{mem.CrashNone(), acked, op.String()}, image{mem.Kill(), acked, op.String()})
		for range 4 {
			images = append(images, image{mem.Crash(rnd), acked, op.String()})
		}
	})
	run := func(l *Log) {
		self, acked = l.Self(), l.State().Epoch
		history[acked] = string(meta.EncodeState(nil, l.State()))
	}
	l := mustOpen(t, fs, testConfig(1))
	run(l)
	for i := range 12 {
		if i == 7 {
			l.Close()
			l = mustOpen(t, fs, testConfig(1))
		}
		change := createKeyspace(i)
		change.Properties[0].Map["replication_factor"] = strings.Repeat("0", 300*i) + "1" // over sector borders
		mustCommit(t, l, change)
		run(l)
	}
	l.Close()
	for _, im := range images {
		l, err := Open(im.fs, testConfig(9))
		if err != nil {
			t.Fatalf("after %s, epoch %d acknowledged: %v", im.op, im.acked, err)
		}
		s := l.State()
		if s.Epoch < im.acked || im.acked > 0 && l.Self() != self {
			t.Fatalf("after %s: epoch %d of %d acknowledged, node %s", im.op, s.Epoch, im.acked, l.Self())
		}
		if want, known := history[s.Epoch]; im.acked > 0 && (!known || string(meta.EncodeState(nil, s)) != want) {
			t.Fatalf("after %s: epoch %d is another", im.op, s.Epoch)
		}
		mustCommit(t, l, createKeyspace(100))
		l.Close()
		if l, err = Open(im.fs, testConfig(9)); err != nil || l.State().Schema.Keyspaces["ks100"] == nil {
			t.Fatalf("after %s, second restart: %v", im.op, err)
		}
		l.Close()
	}
	t.Logf("%d images", len(images))
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(1)
	cfg.SnapshotEntries = 4
	l := mustOpen(t, mem, cfg)
	for i := range 3 {
		mustCommit(t, l, createKeyspace(i))
	}
	want := string(meta.EncodeState(nil, l.State()))
	l.Close()
	names, err := mem.List(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range names {
		size, err := mem.Stat(cfg.Dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for at := range size.Size {
			fs := mem.Kill()
			f, err := fs.OpenReadWrite(cfg.Dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			var b [1]byte
			f.ReadAt(b[:], at)
			b[0] ^= 1 << (at % 8)
			f.WriteAt(b[:], at)
			f.Close()
			l, err := Open(fs, cfg)
			if err != nil {
				if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "backup") {
					t.Fatalf("%s byte %d: no name and no way out: %v", name, at, err)
				}
				checked++
				continue
			}
			if string(meta.EncodeState(nil, l.State())) != want {
				t.Fatalf("%s byte %d: the flip was not noticed", name, at)
			}
			l.Close()
		}
	}
	if checked < 500 {
		t.Errorf("only %d flips were refused", checked)
	}
}

func TestFailedSyncStopsChanges(t *testing.T) {
	broken := false
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
		if broken && op.Kind == vfs.OpSync {
			return vfs.Fault{Err: errors.New("no more disk")}
		}
		return vfs.Fault{}
	})
	l := mustOpen(t, fs, testConfig(1))
	broken = true
	if _, err := l.Commit(context.Background(), createKeyspace(1)); err == nil {
		t.Fatal("acknowledged what was not synced")
	}
	broken = false
	if _, err := l.Commit(context.Background(), createKeyspace(2)); err == nil || l.State().Epoch != 3 {
		t.Fatal("a log in doubt went on")
	}
	l.Close()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	l.turn <- struct{}{}
	if _, err := l.Commit(cancelled, createKeyspace(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled commit: %v", err)
	}
}

// TestChainIsChecked: an entry that does not follow from the one before is damage
// in a file, and a lie from elsewhere.
func TestChainIsChecked(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, mem, testConfig(1))
	s, end := l.State(), l.published.Load().history.end()
	e := entry{epoch: s.Epoch + 1, payload: payload(proposalID{}, meta.EncodeChange(nil, createKeyspace(1)))}
	e.hash = link([hashSize]byte{1}, e.epoch, e.payload)
	if err := l.extend([]entry{e}); err == nil || !strings.Contains(err.Error(), "does not follow") || l.State() != s {
		t.Errorf("another history: %v", err)
	}
	good := e
	good.hash = link(end.hash, e.epoch, e.payload)
	next := entry{epoch: s.Epoch + 3, payload: payload(proposalID{}, meta.EncodeChange(nil, createKeyspace(2)))}
	next.hash = link(good.hash, next.epoch, next.payload)
	if err := l.extend([]entry{good, next}); err == nil || l.State() != s {
		t.Errorf("an epoch left out: %v", err)
	}
	if err := l.extend([]entry{good}); err != nil || l.State().Epoch != s.Epoch+1 {
		t.Errorf("the right one: %v", err)
	}
	l.Close()
	name := fmt.Sprintf("data/metadata/%s%020d", logPrefix, 1)
	f, err := mem.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(appendFrame(nil, uint64(s.Epoch+2), e.hash[:], e.payload))
	f.Close()
	if _, err := Open(mem, testConfig(1)); err == nil || !strings.Contains(err.Error(), "does not follow") {
		t.Errorf("such a file: %v", err)
	}
}
