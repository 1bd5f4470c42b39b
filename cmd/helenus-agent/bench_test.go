package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"helenus/internal/peer"
	"helenus/store/vfs"
)

// benchWanted skips unless HELENUS_BENCH=1 asks for minutes of load.
func benchWanted(t *testing.T) {
	t.Helper()
	if os.Getenv("HELENUS_BENCH") != "1" {
		t.Skip("SKIP: puts load on real processes for minutes; HELENUS_BENCH=1 runs it")
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: reads the CPU time of processes from /proc")
	}
}

// benchNumber is a number from the environment.
func benchNumber(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return fallback
}

const benchMemory = "memory_limit: 4GiB\n"

// Periodic has to be decided, or the shipped pair counts as not chosen:
// docs/configuration.md, commitlog_sync_decided.
const benchPeriodic = "commitlog_sync: periodic\ncommitlog_sync_period: 10s\ncommitlog_sync_decided: true\n"

// patience keeps a Cassandra that shares its disk with others from giving up:
// a time-out would end the comparison.
const patience = "write_request_timeout: 30s\nread_request_timeout: 30s\n"

// shape is how many requests are in flight.
type shape struct{ connections, depth int }

// TestBenchPeer measures Helenus beside Cassandra: the same client and load,
// in turns, on the same machine and disk.
func TestBenchPeer(t *testing.T) {
	benchWanted(t)
	cassandra := benchCassandra(t)
	servers := []*server{cassandra, benchHelenus(t, "Helenus periodic", benchPeriodic), benchHelenus(t, "Helenus group", "")}
	for _, s := range servers {
		s.query(t, "CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
		for _, table := range []string{"warm", "written", "kept"} {
			s.query(t, "CREATE TABLE bench."+table+" (key bigint PRIMARY KEY, c0 text, c1 text, c2 text, c3 text, c4 text)")
		}
	}
	// The Java compiler has to see the paths before they are measured; both get
	// the same.
	warm := benchNumber("HELENUS_BENCH_WARM", 200_000)
	for _, s := range servers {
		for _, read := range []bool{false, true} {
			workload{table: "bench.warm", read: read, connections: 8, depth: 8, operations: warm, keys: uint64(warm)}.run(t, s)
		}
	}
	b := &bench{t: t, servers: servers, rounds: benchNumber("HELENUS_BENCH_ROUNDS", 3), operations: benchNumber("HELENUS_BENCH_OPS", 60_000)}
	b.text.WriteString(diskCost(t))
	defer func() { // what there is, also after a failure
		for _, s := range servers {
			fmt.Fprintf(&b.text, "\n%s: %d MiB resident at the end", s.name, residentBytes(t, s.pid)>>20)
		}
		t.Logf("%s, %d CPUs, %s; %d operations a cell, median of %d rounds\n%s", runtime.Version(), runtime.NumCPU(),
			time.Now().UTC().Format(time.DateOnly), b.operations, b.rounds, b.text.String())
	}()
	b.run("INSERT", workload{table: "bench.written"})
	kept := workload{table: "bench.kept", connections: 8, depth: 8, operations: b.operations}
	for _, s := range servers {
		kept.run(t, s)
	}
	read := workload{table: "bench.kept", read: true, keys: uint64(b.operations)}
	b.run("SELECT, memtable", read)
	for _, s := range servers {
		s.flush()
	}
	b.run("SELECT, flushed", read)
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
	before := cpu(t, os.Getpid())
	var took []time.Duration
	for i := range syncs {
		began := time.Now()
		_, err := f.WriteAt(make([]byte, block), int64(i*block%size))
		check(err)
		check(f.Sync())
		took = append(took, time.Since(began))
	}
	used := cpu(t, os.Getpid()) - before
	slices.Sort(took)
	return fmt.Sprintf("one block written and synced: %.0f µs of CPU, p50 %.2f ms, p99 %.2f ms\n", float64(used.Microseconds())/syncs,
		took[syncs/2].Seconds()*1e3, took[syncs*99/100].Seconds()*1e3)
}

// bench collects a table of results.
type bench struct {
	t          *testing.T
	servers    []*server
	rounds     int
	operations int
	written    uint64
	text       strings.Builder
}

// run measures one load in all shapes.
func (b *bench) run(name string, l workload) {
	fmt.Fprintf(&b.text, "\n### %s\n\n| in flight | server | CPU an operation | operations/s | p50 | p99 | CPU, Cassandra = 1 |\n|---|---|---|---|---|---|---|\n", name)
	for _, s := range []shape{{1, 1}, {1, 16}, {1, 64}, {8, 1}, {8, 8}, {8, 64}} {
		l.connections, l.depth = s.connections, s.depth
		l.operations = b.operations
		switch inFlight := s.connections * s.depth; {
		case inFlight == 1:
			l.operations /= 4 // slow by nature
		case inFlight >= 64:
			l.operations *= 4 // the clock of CPU time has ticks of 10 ms
		}
		b.shape(l)
	}
}

func (b *bench) shape(l workload) {
	results := make([][]measured, len(b.servers))
	for range b.rounds {
		for i, s := range b.servers {
			l.firstKey = b.written
			results[i] = append(results[i], l.run(b.t, s))
		}
		b.written += uint64(l.operations)
	}
	base := median(results[0]).cpuPerOp
	for i, s := range b.servers {
		m := median(results[i])
		fmt.Fprintf(&b.text, "| %d x %d | %s | %.1f µs | %.0f | %.2f ms | %.2f ms | %.2f |\n", l.connections, l.depth, s.name,
			float64(m.cpuPerOp)/1e3, m.throughput, m.p50.Seconds()*1e3, m.p99.Seconds()*1e3, float64(m.cpuPerOp)/float64(base))
	}
}

// median takes the round with the median CPU time.
func median(rounds []measured) measured {
	slices.SortFunc(rounds, func(a, b measured) int { return int(a.cpuPerOp - b.cpuPerOp) })
	return rounds[len(rounds)/2]
}

func (s *server) query(t testing.TB, text string) {
	t.Helper()
	c, err := dial(context.Background(), s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Query(context.Background(), text); err != nil {
		t.Fatalf("%s: %s: %v", s.name, text, err)
	}
}

func benchCassandra(t *testing.T) *server {
	t.Helper()
	began := time.Now()
	c := peer.Start(t, peer.Options{Heap: "4g", YAML: patience})
	t.Logf("Cassandra started in %.1f s", time.Since(began).Seconds())
	return &server{name: "Cassandra periodic", pid: pidOf(t, "-Dcassandra.storagedir="+filepath.Dir(c.DataDir())),
		address: net.JoinHostPort(c.Address(), "9042"), flush: func() { c.Nodetool(t, "flush") }}
}

// pidOf finds the process that was started with an argument.
func pidOf(t *testing.T, argument string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && slices.Contains(strings.Split(string(line), "\x00"), argument) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			return pid
		}
	}
	t.Fatalf("no process with %s", argument)
	return 0
}

func benchHelenus(t *testing.T, name, more string) *server {
	t.Helper()
	p := newProcess(t, benchMemory+more)
	p.start()
	return &server{name: name, pid: p.cmd.Process.Pid, address: fmt.Sprintf("127.0.0.1:%d", p.cql), flush: p.flush}
}

// flush writes all memtables to files.
func (p *process) flush() {
	p.t.Helper()
	p.post("/v1/flush", "{}")
}

// TestBenchStart measures what an empty node needs: time to its first
// connection, memory when it has nothing to do.
func TestBenchStart(t *testing.T) {
	benchWanted(t)
	p := newProcess(t, "")
	var took []time.Duration
	for range benchNumber("HELENUS_BENCH_STARTS", 11) {
		for _, dir := range []string{"data", "commitlog"} {
			if err := os.RemoveAll(filepath.Join(p.dir, dir)); err != nil {
				t.Fatal(err)
			}
		}
		took = append(took, p.startTimed())
		if len(took) == 1 {
			wait(5 * time.Second)
			t.Logf("resident memory, empty, after 5 s: %.1f MiB", float64(residentBytes(t, p.cmd.Process.Pid))/(1<<20))
		}
		p.kill()
	}
	slices.Sort(took)
	t.Logf("empty start to the first CQL connection: median %s, least %s, most %s of %d", took[len(took)/2], took[0], took[len(took)-1], len(took))
}

// startTimed runs the agent and looks every millisecond whether it serves.
func (p *process) startTimed() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.cmd = exec.Command(p.binary, "--config", p.config())
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.cql))
		if err == nil {
			took := time.Since(began)
			c.Close()
			return took
		}
		if time.Since(began) > time.Minute {
			p.t.Fatal("the agent does not serve after a minute")
		}
		wait(time.Millisecond)
	}
}

// TestBenchProfile puts load on an agent that profiles itself, and leaves the
// files in HELENUS_BENCH_PROFILE: cpu.NAME.pprof and allocs.NAME.pprof.
func TestBenchProfile(t *testing.T) {
	benchWanted(t)
	dir := os.Getenv("HELENUS_BENCH_PROFILE")
	if dir == "" {
		t.Skip("SKIP: HELENUS_BENCH_PROFILE names the folder for the profiles")
	}
	operations := benchNumber("HELENUS_BENCH_OPS", 300_000)
	s := shape{benchNumber("HELENUS_BENCH_CONNECTIONS", 1), benchNumber("HELENUS_BENCH_DEPTH", 64)}
	for _, mode := range []struct{ name, more string }{{"group", ""}, {"periodic", benchPeriodic}} {
		write := workload{table: "bench.kept", connections: s.connections, depth: s.depth, operations: operations}
		read := write
		read.read, read.keys = true, uint64(operations)
		profile(t, filepath.Join(dir, mode.name), mode.more, func(on *server, section func(name string, do func())) {
			on.query(t, "CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
			on.query(t, "CREATE TABLE bench.kept (key bigint PRIMARY KEY, c0 text, c1 text, c2 text, c3 text, c4 text)")
			section("insert", func() { t.Logf("%s insert: %+v", mode.name, write.run(t, on)) })
			if mode.name == "group" {
				section("memtable", func() { t.Logf("memtable read: %+v", read.run(t, on)) })
				on.flush()
				section("file", func() { t.Logf("file read: %+v", read.run(t, on)) })
			}
		})
	}
}

// profile runs an agent in a process of its own, made of this test binary so
// that it can profile itself, and gives sections of a load their files.
func profile(t *testing.T, files, more string, load func(on *server, section func(name string, do func()))) {
	p := newProcess(t, benchMemory+more)
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestBenchAgent$", "-test.timeout=0")
	p.cmd.Env = append(os.Environ(), "HELENUS_BENCH_AGENT="+p.config())
	p.cmd.Stderr = p.log
	orders, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !p.ready() {
		wait(20 * time.Millisecond)
	}
	said := bufio.NewScanner(answers)
	order := func(line string) string {
		if _, err := fmt.Fprintln(orders, line); err != nil {
			t.Fatal(err)
		}
		if !said.Scan() {
			t.Fatal("the agent has ended")
		}
		return said.Text()
	}
	on := &server{name: files, pid: p.cmd.Process.Pid, address: fmt.Sprintf("127.0.0.1:%d", p.cql), flush: p.flush}
	load(on, func(name string, do func()) {
		order("begin " + files + "." + name)
		do()
		t.Logf("%s: %s", name, order("end"))
	})
}

// TestBenchAgent is the agent of TestBenchProfile: a profile begins with an
// order on standard input and ends with the next.
func TestBenchAgent(t *testing.T) {
	config := os.Getenv("HELENUS_BENCH_AGENT")
	if config == "" {
		t.Skip("SKIP: this is the process that TestBenchProfile starts")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		defer stop()
		var before runtime.MemStats
		name := ""
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if begun, ok := strings.CutPrefix(in.Text(), "begin "); ok {
				name = begun
				beginProfile(t, name, &before)
				fmt.Println("begun")
				continue
			}
			fmt.Println(endProfile(t, name, &before))
		}
	}()
	if err := run(ctx, []string{"--config", config}); err != nil {
		t.Error(err)
	}
}

func beginProfile(t *testing.T, name string, before *runtime.MemStats) {
	f, err := os.Create(name + ".cpu.pprof")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(before)
}

// endProfile tells what was allocated since beginProfile.
func endProfile(t *testing.T, name string, before *runtime.MemStats) string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	pprof.StopCPUProfile()
	f, err := os.Create(name + ".allocs.pprof")
	if err == nil {
		err = pprof.Lookup("allocs").WriteTo(f, 0)
		f.Close()
	}
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d allocations, %d bytes, %d collections, heap in use %d MiB", m.Mallocs-before.Mallocs, m.TotalAlloc-before.TotalAlloc,
		m.NumGC-before.NumGC, m.HeapInuse>>20)
}

// post asks the admin API for an action.
func (p *process) post(path, body string) {
	p.t.Helper()
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d%s", p.admin, path), "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body) // what it says is for people
		p.t.Fatalf("%s: %s: %s", path, resp.Status, text)
	}
}
