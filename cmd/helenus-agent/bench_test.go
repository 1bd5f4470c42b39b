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
	warm       uint64 // operations of each kind before anything is measured
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

// sizes are chosen by HELENUS_BENCH_SIZE; single numbers by variables of their
// own.
func sizes() benchSize {
	s := benchSize{name: "smoke", cell: time.Second, paced: 3 * time.Second, rounds: 1, warm: 100_000, keptRows: 100_000, widePaths: 500,
		diskRows: 300_000, rates: []uint64{2000}, memory: "4GiB", heap: "2g", diskMemory: "128MiB", starts: 3}
	if os.Getenv("HELENUS_BENCH_SIZE") == "full" {
		s = benchSize{name: "full", cell: 4 * time.Second, paced: 15 * time.Second, rounds: 2, warm: 300_000, keptRows: 400_000, widePaths: 4000,
			diskRows: 4_000_000, rates: []uint64{2000, 10_000}, allShapes: true, compaction: true, memory: "4GiB", heap: "4g", diskMemory: "512MiB", starts: 11}
	}
	s.rounds = benchNumber("HELENUS_BENCH_ROUNDS", s.rounds)
	s.cell = time.Duration(benchNumber("HELENUS_BENCH_CELL_MS", int(s.cell.Milliseconds()))) * time.Millisecond
	s.paced = time.Duration(benchNumber("HELENUS_BENCH_PACED_MS", int(s.paced.Milliseconds()))) * time.Millisecond
	s.warm = uint64(benchNumber("HELENUS_BENCH_WARM", int(s.warm)))
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
	b := &bench{t: t, size: sizes(), only: benchWords("HELENUS_BENCH_LOADS")}
	for _, name := range b.only {
		if !slices.ContainsFunc(loads(b.size), func(l benchLoad) bool { return l.name == name }) {
			t.Fatalf("HELENUS_BENCH_LOADS: there is no load %q; the loads are %s", name, strings.Join(loadNames(b.size), ", "))
		}
	}
	b.disk = append(b.disk, diskCost(t))
	b.start()
	defer b.write() // what there is, also after a failure
	b.fill()
	for _, l := range loads(b.size) {
		if l.phase == inMemory && b.wanted(l) {
			b.measure(l)
		}
	}
	if b.wantsDisk() {
		b.toDisk()
		for _, l := range loads(b.size) {
			if l.phase != inMemory && b.wanted(l) {
				b.measure(l)
			}
		}
	}
	for _, s := range b.servers {
		s.notes = append(s.notes, fmt.Sprintf("%d MiB resident at the end, %d MiB at most", residentBytes(t, s.pid(), "VmRSS")>>20, residentBytes(t, s.pid(), "VmHWM")>>20))
	}
	if len(b.only) == 0 {
		b.crash()
	}
	b.disk = append(b.disk, diskCost(t))
}

// bench is one run of TestBenchPeer.
type bench struct {
	t       *testing.T
	size    benchSize
	only    []string
	servers []*server
	cells   []cell
	turn    uint64   // of measuring: no two insert the same rows
	disk    []string // what it costs, before and after
}

func (b *bench) wanted(l benchLoad) bool { return len(b.only) == 0 || slices.Contains(b.only, l.name) }

func (b *bench) wantsDisk() bool {
	return slices.ContainsFunc(loads(b.size), func(l benchLoad) bool { return l.phase != inMemory && b.wanted(l) })
}

// Periodic has to be decided, or the shipped pair counts as not chosen:
// docs/configuration.md, commitlog_sync_decided.
const (
	helenusPeriodic   = "commitlog_sync: periodic\ncommitlog_sync_period: 10s\ncommitlog_sync_decided: true\n"
	cassandraPeriodic = "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms\n"
	cassandraGroup    = "commitlog_sync: group\ncommitlog_sync_group_window: 10ms\ncommitlog_sync_period: 0ms\n"
)

// start runs the four servers, one after the other, and notes how long they
// take to start.
func (b *bench) start() {
	memory := "memory_limit: " + b.size.memory + "\n"
	b.servers = []*server{
		newCassandra(b.t, "Cassandra periodic", b.size.heap, cassandraPeriodic),
		newHelenus(b.t, "Helenus periodic", memory+helenusPeriodic, b.size.starts),
		newCassandra(b.t, "Cassandra group", b.size.heap, cassandraGroup),
		newHelenus(b.t, "Helenus group", memory, b.size.starts),
	}
	wait(5 * time.Second)
	for _, s := range b.servers {
		s.notes = append(s.notes, fmt.Sprintf("%.1f MiB resident, empty and idle", float64(residentBytes(b.t, s.pid(), "VmRSS"))/(1<<20)))
	}
	for _, s := range b.servers {
		s.pause()
	}
}

// crash kills the servers and notes how long they take to come back with what
// their commit logs hold.
func (b *bench) crash() {
	for _, s := range b.servers {
		s.resume()
		b.preload(s, table("kept", b.size.keptRows, 1)) // flushes have emptied the log
		log := folderBytes(b.t, s.logDir)
		s.kill()
		took := s.restart()
		s.notes = append(s.notes, fmt.Sprintf("%.2f s from a kill -9 to serving, with %d MiB of commit log", took.Seconds(), log>>20))
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
