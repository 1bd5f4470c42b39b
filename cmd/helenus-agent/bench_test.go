//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"helenus/store/vfs"
	"helenus/stress"
)

// benchWanted skips unless HELENUS_BENCH=1 asks for minutes of load.
func benchWanted(t *testing.T) {
	t.Helper()
	if os.Getenv("HELENUS_BENCH") != "1" {
		t.Skip("SKIP: puts load on real processes for minutes; HELENUS_BENCH=1 runs it")
	}
}

// benchNumber is a number from the environment.
func benchNumber(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return fallback
}

// benchWords is a list from the environment, with commas.
func benchWords(name string) []string {
	return strings.FieldsFunc(os.Getenv(name), func(r rune) bool { return r == ',' || r == ' ' })
}

// benchSize is how much is measured.
type benchSize struct {
	name       string
	cell       time.Duration // of each cell at saturation
	paced      time.Duration // of each cell at a fixed rate
	rounds     int
	warm       uint64        // operations of a round before anything is measured
	warmFor    time.Duration // after which no more is asked for that
	keptRows   uint64
	widePaths  uint64 // partitions of 100 rows
	diskRows   uint64
	rates      []uint64
	allShapes  bool
	compaction bool   // reads during a full compaction, which has to outlast its cells
	memory     string // of Helenus
	heap       string // of Cassandra
	diskMemory string // of Helenus when its data is to be larger than its cache
	starts     int
}

// sizes of a run with one node, by HELENUS_BENCH_SIZE.
func sizes() benchSize {
	if os.Getenv("HELENUS_BENCH_SIZE") == "full" {
		return adjusted(benchSize{name: "full", cell: 4 * time.Second, paced: 15 * time.Second, rounds: 2, warm: 300_000, warmFor: 4 * time.Minute,
			keptRows: 400_000, widePaths: 4000, diskRows: 4_000_000, rates: []uint64{2000, 10_000}, allShapes: true, compaction: true,
			memory: "4GiB", heap: "4g", diskMemory: "512MiB", starts: 11})
	}
	return adjusted(benchSize{name: "smoke", cell: time.Second, paced: 3 * time.Second, rounds: 1, warm: 100_000, warmFor: 4 * time.Minute,
		keptRows: 100_000, widePaths: 500, diskRows: 300_000, rates: []uint64{2000}, memory: "4GiB", heap: "2g", diskMemory: "128MiB", starts: 3})
}

// adjusted takes single numbers from variables of their own.
func adjusted(s benchSize) benchSize {
	s.rounds = benchNumber("HELENUS_BENCH_ROUNDS", s.rounds)
	s.cell = time.Duration(benchNumber("HELENUS_BENCH_CELL_MS", int(s.cell.Milliseconds()))) * time.Millisecond
	s.paced = time.Duration(benchNumber("HELENUS_BENCH_PACED_MS", int(s.paced.Milliseconds()))) * time.Millisecond
	s.warm = uint64(benchNumber("HELENUS_BENCH_WARM", int(s.warm)))
	s.warmFor = time.Duration(benchNumber("HELENUS_BENCH_WARM_MS", int(s.warmFor.Milliseconds()))) * time.Millisecond
	s.diskRows = uint64(benchNumber("HELENUS_BENCH_DISK_ROWS", int(s.diskRows)))
	if rates := benchWords("HELENUS_BENCH_RATES"); len(rates) > 0 {
		s.rates = nil
		for _, r := range rates {
			n, _ := strconv.ParseUint(r, 10, 32) // 0 is left out
			if n > 0 {
				s.rates = append(s.rates, n)
			}
		}
	}
	return s
}

// TestBenchPeer measures Helenus beside Cassandra: the same load, in turns, on
// the same machine and disk. Only the server under load runs; the others are
// stopped meanwhile, so that what one does in the background is not charged to
// another.
func TestBenchPeer(t *testing.T) {
	benchWanted(t)
	b := newBench(t)
	for _, name := range b.only {
		if !slices.Contains(b.loadNames(), name) {
			t.Fatalf("HELENUS_BENCH_LOADS: there is no load %q; the loads are %s", name, strings.Join(b.loadNames(), ", "))
		}
	}
	b.disk = append(b.disk, diskCost(t))
	b.start()
	defer b.write() // what there is, also after a failure
	b.fill()
	for _, l := range b.loads {
		if l.phase == inMemory && b.wanted(l) {
			b.measure(l)
		}
	}
	if b.wantsDisk() {
		b.toDisk()
		for _, l := range b.loads {
			if l.phase != inMemory && b.wanted(l) {
				b.measure(l)
			}
		}
	}
	for _, s := range b.servers {
		s.note("%d MiB resident at the end, %d MiB at most", s.resident("VmRSS")>>20, s.resident("VmHWM")>>20)
		if hints := s.folder("hints") >> 10; hints > 0 {
			s.note("%d KiB of hints at the end", hints)
		}
	}
	if len(b.only) == 0 && b.nodes == 1 {
		b.crash()
	}
	b.disk = append(b.disk, diskCost(t))
}

// plan is what differs between servers of one node and of several.
type plan struct {
	nodes       int // of each server
	replication string
	launch      func(b *bench) []*server
	pairs       []pair
	loads       []benchLoad // in the order in which they are carried out
	kept        []stress.Table
	crowd       shape // warms, fills, and is there at a fixed rate
	warming     []warming
	rampUp      time.Duration // the part of a cell that is not measured: whoever was stopped has to come round
}

// bench is one run of TestBenchPeer.
type bench struct {
	plan
	t       *testing.T
	size    benchSize
	only    []string
	servers []*server
	cells   []cell
	turn    uint64   // of measuring: no two insert the same rows
	disk    []string // what it costs, before and after
}

// newBench plans a run as the environment says.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, size: sizes(), only: benchWords("HELENUS_BENCH_LOADS")}
	switch nodes := benchNumber("HELENUS_BENCH_NODES", 1); nodes {
	case 1:
		b.plan = nodePlan(b.size)
	case 3:
		b.size = ringSizes()
		b.plan = ringPlan(b.size)
	default:
		t.Fatalf("HELENUS_BENCH_NODES: %d nodes; there are plans for 1 and for 3", nodes)
	}
	return b
}

func (b *bench) loadNames() []string {
	var names []string
	for _, l := range b.loads {
		names = append(names, l.name)
	}
	return names
}

func (b *bench) wanted(l benchLoad) bool { return len(b.only) == 0 || slices.Contains(b.only, l.name) }

func (b *bench) wantsDisk() bool {
	return slices.ContainsFunc(b.loads, func(l benchLoad) bool { return l.phase != inMemory && b.wanted(l) })
}

// Periodic has to be decided, or the shipped pair counts as not chosen:
// docs/configuration.md, commitlog_sync_decided.
const (
	helenusPeriodic   = "commitlog_sync: periodic\ncommitlog_sync_period: 10s\ncommitlog_sync_decided: true\n"
	cassandraPeriodic = "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms\n"
	cassandraGroup    = "commitlog_sync: group\ncommitlog_sync_group_window: 10ms\ncommitlog_sync_period: 0ms\n"
)

// idleFor is how long servers that nobody asks anything are looked at.
const idleFor = 5 * time.Second

// start runs the servers, one after the other, and notes how long they take to
// start and what they take when idle.
func (b *bench) start() {
	b.servers = b.launch(b)
	var before []usage
	for _, s := range b.servers {
		before = append(before, s.usage())
	}
	wait(idleFor)
	for i, s := range b.servers {
		used := s.usage().since(before[i])
		s.note("%.1f MiB resident, empty and idle", float64(s.resident("VmRSS"))/(1<<20))
		if b.nodes > 1 {
			s.note("%.1f ms of CPU and %.0f bytes between the nodes a second, empty and idle", used.cpu.Seconds()*1e3/idleFor.Seconds(), float64(used.sent)/idleFor.Seconds())
		}
	}
	for _, s := range b.servers {
		s.pause()
	}
}

// launchNodes runs the four servers of one node.
func launchNodes(b *bench) []*server {
	memory := "memory_limit: " + b.size.memory + "\n"
	return []*server{
		newCassandra(b.t, "Cassandra periodic", b.size.heap, cassandraPeriodic, 1),
		newHelenus(b.t, "Helenus periodic", memory+helenusPeriodic, b.size.starts),
		newCassandra(b.t, "Cassandra group", b.size.heap, cassandraGroup, 1),
		newHelenus(b.t, "Helenus group", memory, b.size.starts),
	}
}

// crash kills the servers and notes how long they take to come back with what
// their commit logs hold.
func (b *bench) crash() {
	for _, s := range b.servers {
		s.resume()
		b.preload(s, table("kept", b.size.keptRows, 1)) // flushes have emptied the log
		log := s.folder("commitlog")
		s.kill()
		took := s.restart()
		s.note("%.2f s from a kill -9 to serving, with %d MiB of commit log", took.Seconds(), log>>20)
		s.pause()
	}
}

// write shows the tables and puts them into HELENUS_BENCH_OUT.
func (b *bench) write() {
	text := b.report()
	b.t.Log("\n" + text)
	file := os.Getenv("HELENUS_BENCH_OUT")
	if file == "" {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.t.Error(err)
	}
}

// diskCost is what the least a durable write can do costs here: one block
// overwritten and synced, by a process that does nothing else.
func diskCost(t *testing.T) string {
	t.Helper()
	const size, block, syncs = 8 << 20, 4096, 2000
	f, err := vfs.NewReal().Create(filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = f.WriteAt(make([]byte, size), 0)
	check(err)
	check(f.Sync())
	before := processCPU(t, os.Getpid())
	var took []time.Duration
	for i := range syncs {
		began := time.Now()
		_, err := f.WriteAt(make([]byte, block), int64(i*block%size))
		check(err)
		check(f.Sync())
		took = append(took, time.Since(began))
	}
	used := processCPU(t, os.Getpid()) - before
	slices.Sort(took)
	return fmt.Sprintf("one block written and synced: %.0f µs of CPU, p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms", float64(used.Microseconds())/syncs,
		took[syncs/2].Seconds()*1e3, took[syncs*99/100].Seconds()*1e3, took[syncs*999/1000].Seconds()*1e3)
}
