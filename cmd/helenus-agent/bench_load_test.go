//go:build linux

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"helenus"
	"helenus/stress"
)

// phase is where the data of a load is.
type phase uint8

const (
	inMemory phase = iota
	onDiskCold
	onDiskWarm
)

// shape is how many requests are in flight.
type shape struct{ connections, depth int }

// benchLoad is one row of the plan: what is done, to which table, by how many.
type benchLoad struct {
	name, title string
	phase       phase
	workload    stress.Workload
	level       helenus.Consistency // of each operation; the zero value stands for LOCAL_ONE
	unprepared  bool
	lz4         bool
	readOnly    bool // how the commit log is synced makes no difference
	compacting  bool // while all files of the table are merged into one
	shapes      []shape
	rates       []uint64
}

// The sizes of a row, as in the comparisons that others publish.
const (
	columnCount = 5
	columnBytes = 36
	wideRows    = 100
)

// endless is more partitions than anybody inserts.
const endless = 1 << 40

func table(name string, partitions, rows uint64) stress.Table {
	return stress.Table{Keyspace: "bench", Name: name, Partitions: partitions, Rows: rows, Columns: columnCount, ColumnBytes: columnBytes, Seed: 1}
}

func workload(t stress.Table, order stress.Order, kinds ...stress.Kind) stress.Workload {
	w := stress.Workload{Table: t, Order: order, SliceRows: min(t.Rows, wideRows)}
	for _, k := range kinds {
		w.Mix[k] = 1
	}
	return w
}

// nodePlan is the plan for servers of one node.
func nodePlan(size benchSize) plan {
	warm := table("warm", 200, wideRows)
	return plan{nodes: 1, replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}", launch: launchNodes, crowd: shape{8, 64}, rampUp: 250 * time.Millisecond,
		pairs: []pair{
			{"periodic, periodic", "Helenus periodic", "Cassandra periodic"},
			{"group, group", "Helenus group", "Cassandra group"},
			{"group, periodic", "Helenus group", "Cassandra periodic"},
		},
		loads: nodeLoads(size),
		kept:  []stress.Table{table("kept", size.keptRows, 1), table("wide", size.widePaths, wideRows)},
		warming: []warming{
			{1, benchLoad{workload: workload(warm, stress.Uniform, stress.Insert, stress.Select, stress.Update, stress.Missing)}},
			{4, benchLoad{workload: workload(warm, stress.Uniform, stress.Insert, stress.Select), unprepared: true}},
			{20, benchLoad{workload: workload(warm, stress.Uniform, stress.Slice)}},
		}}
}

func nodeLoads(size benchSize) []benchLoad {
	few := []shape{{1, 1}, {8, 64}}
	most := []shape{{1, 1}, {1, 512}, {8, 64}, {256, 1}}
	if size.allShapes {
		few = []shape{{1, 1}, {1, 64}, {8, 64}, {256, 1}}
		most = []shape{{1, 1}, {1, 16}, {1, 64}, {1, 512}, {8, 1}, {8, 16}, {8, 64}, {256, 1}, {256, 16}}
	}
	kept, wide, disk := table("kept", size.keptRows, 1), table("wide", size.widePaths, wideRows), table("disk", size.diskRows, 1)
	mixed := workload(kept, stress.Uniform, stress.Insert, stress.Select)
	var compacting []uint64
	if size.compaction {
		compacting = size.rates
	}
	return []benchLoad{
		{name: "select-memory", title: "SELECT by key, from memory", workload: workload(kept, stress.Uniform, stress.Select), readOnly: true, shapes: most, rates: size.rates},
		{name: "slice", title: "SELECT of 100 rows of a partition, from memory", workload: workload(wide, stress.Uniform, stress.Slice), readOnly: true, shapes: few},
		{name: "insert", title: "INSERT into many partitions", workload: workload(table("written", endless, 1), stress.Sequential, stress.Insert), shapes: most, rates: size.rates},
		{name: "insert-wide", title: "INSERT into partitions of 100 rows", workload: workload(table("widened", endless, wideRows), stress.Sequential, stress.Insert), shapes: few},
		{name: "update", title: "UPDATE of rows of partitions of 100 rows", workload: workload(wide, stress.Uniform, stress.Update), shapes: few},
		{name: "mixed", title: "50 % INSERT, 50 % SELECT by key, from memory", workload: mixed, shapes: few, rates: size.rates},
		{name: "unprepared", title: "50 % INSERT, 50 % SELECT, as text, not prepared", workload: mixed, unprepared: true, shapes: few},
		{name: "lz4", title: "50 % INSERT, 50 % SELECT, compressed with LZ4", workload: mixed, lz4: true, shapes: few},
		{name: "select-cold", title: "SELECT by key, from disk, caches empty", phase: onDiskCold, workload: workload(disk, stress.Uniform, stress.Select), readOnly: true, shapes: []shape{{8, 64}}},
		{name: "select-disk", title: "SELECT by key, from files in the page cache", phase: onDiskWarm, workload: workload(disk, stress.Uniform, stress.Select), readOnly: true, shapes: few, rates: compacting},
		{name: "compaction", title: "SELECT by key, from files, during a full compaction", phase: onDiskWarm, workload: workload(disk, stress.Uniform, stress.Select), readOnly: true,
			compacting: true, rates: compacting},
		{name: "missing", title: "SELECT of missing keys, from files", phase: onDiskWarm, workload: workload(disk, stress.Uniform, stress.Missing), readOnly: true, shapes: few},
	}
}

// cell is what one run of a load on one server found.
type cell struct {
	load      string
	shape     shape
	rate      uint64 // 0: saturation
	server    string
	cpuPerOp  time.Duration
	readPerOp float64       // bytes from the disk
	sentPerOp float64       // bytes between the nodes
	behind    time.Duration // the server was at work after its last answer
	result    *stress.Result
}

// config makes a run of a load.
func (b *bench) config(l benchLoad, s *server, sh shape) stress.Config {
	level := l.level
	if level == helenus.Any {
		level = helenus.LocalOne
	}
	return stress.Config{Workload: l.workload, Addresses: s.addresses(), Connections: sh.connections, Depth: sh.depth,
		Consistency: level, Unprepared: l.unprepared, LZ4: l.lz4, Patience: time.Minute}
}

// run puts a load on a server.
func (b *bench) run(s *server, cfg stress.Config) *stress.Result {
	b.t.Helper()
	res, err := stress.Run(context.Background(), cfg)
	if err != nil {
		b.t.Fatalf("%s: %v", s.name, err)
	}
	if res.ErrorCount() > 0 {
		b.t.Errorf("%s: %d of %d operations failed: %v\n%s", s.name, res.ErrorCount(), res.Operations+res.ErrorCount(), res.Errors, strings.Join(res.Samples, "\n"))
	}
	return res
}

// cell measures one load in one shape on one server.
func (b *bench) cell(l benchLoad, s *server, sh shape, rate uint64) cell {
	b.t.Helper()
	s.resume()
	defer s.pause()
	b.agree(s)
	switch l.phase {
	case onDiskCold:
		s.forget()
	case onDiskWarm:
		s.recall()
	}
	if l.compacting {
		defer b.compact(s)()
	}
	b.turn++
	cfg := b.config(l, s, sh)
	cfg.Workload.First = b.turn << 32
	if l.phase != onDiskCold {
		cfg.Duration = b.rampUp
		b.run(s, cfg)
		cfg.Workload.First += 1 << 31
		s.settle()
	}
	c := cell{load: l.name, shape: sh, rate: rate, server: s.name}
	cfg.Duration, cfg.Rate = b.size.cell, rate
	if rate > 0 {
		cfg.Duration = b.size.paced
	}
	var used usage
	cfg.Begin = func() { used = s.usage() }
	cfg.End = func() {
		if !l.readOnly { // who has answered a read owes nothing
			c.behind = s.settle()
		}
		used = s.usage().since(used)
	}
	c.result = b.run(s, cfg)
	if used.lost > 0 {
		s.note("%d connections between the nodes ended during %s, %d x %d: the bytes between the nodes are too few there", used.lost, l.name, sh.connections, sh.depth)
	}
	operations := max(1, c.result.Operations+c.result.ErrorCount())
	c.cpuPerOp, c.readPerOp, c.sentPerOp = used.cpu/time.Duration(operations), float64(used.read)/float64(operations), float64(used.sent)/float64(operations)
	return c
}

// compactionLead is how long a compaction has to get going: nodetool is a Java
// program of its own.
const compactionLead = 3 * time.Second

// compact merges the files of the table on disk while a cell is measured. The
// function it gives notes whether the cell outlasted it, and waits.
func (b *bench) compact(s *server) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.compact()
	}()
	wait(compactionLead)
	return func() {
		select {
		case <-done:
			s.note("the compaction ended before its cell did: the cell says too little")
		default:
			<-done
		}
	}
}

// measure runs a load in all its shapes and rates, the servers in turns, and
// keeps the round with the median CPU time of each.
func (b *bench) measure(l benchLoad) {
	type point struct {
		shape
		rate uint64
	}
	var points []point
	for _, sh := range l.shapes {
		points = append(points, point{sh, 0})
	}
	for _, r := range l.rates {
		points = append(points, point{b.crowd, r})
	}
	for _, p := range points {
		rounds := map[*server][]cell{}
		for range b.size.rounds {
			for _, s := range b.serversOf(l) {
				rounds[s] = append(rounds[s], b.cell(l, s, p.shape, p.rate))
			}
		}
		for _, s := range b.serversOf(l) {
			cells := rounds[s]
			slices.SortFunc(cells, func(a, b cell) int { return int(a.cpuPerOp - b.cpuPerOp) })
			b.cells = append(b.cells, cells[(len(cells)-1)/2]) // of two the better one, for each server
		}
	}
	b.t.Logf("%s: done", l.title)
}

func (b *bench) serversOf(l benchLoad) []*server {
	if l.readOnly {
		return b.servers[:2]
	}
	return b.servers
}

// setup makes the table of a workload.
func (b *bench) setup(s *server, w stress.Workload) {
	b.t.Helper()
	cfg := b.config(benchLoad{workload: w}, s, shape{1, 1})
	cfg.Operations = 1
	if err := stress.Setup(context.Background(), cfg, b.replication); err != nil {
		b.t.Fatalf("%s: %v", s.name, err)
	}
}

// awake is what is written to see that a server is all there.
func awake() stress.Workload { return workload(table("awake", 1, 1), stress.Sequential, stress.Insert) }

// agreeMax is how long nodes may take to see each other again.
const agreeMax = 2 * time.Minute

// agree waits until each node of a server that was stopped, or whose tables are
// new, writes to all of them.
func (b *bench) agree(s *server) {
	b.t.Helper()
	cfg := b.config(benchLoad{workload: awake(), level: helenus.All}, s, shape{1, 1})
	cfg.Operations = 1
	deadline := time.Now().Add(agreeMax)
	for _, address := range s.addresses() {
		cfg.Addresses = []string{address}
		for {
			res, err := stress.Run(context.Background(), cfg)
			if err == nil && res.ErrorCount() == 0 {
				break
			}
			if time.Now().After(deadline) {
				b.t.Fatalf("%s: %s does not reach all nodes after %s: %v, %+v", s.name, address, agreeMax, err, res)
			}
			wait(50 * time.Millisecond)
		}
	}
}

// fill makes the tables, lets the servers run until their code is compiled, and
// writes what is read later.
func (b *bench) fill() {
	for _, s := range b.servers {
		s.resume()
		for _, l := range b.loads {
			b.setup(s, l.workload)
		}
		b.setup(s, b.warming[0].load.workload)
		b.setup(s, awake())
		b.agree(s)
		b.warm(s)
		s.written("before any flush", func() (size int64) {
			for _, t := range b.kept {
				size += b.preload(s, t)
			}
			return size
		})
		s.pause()
	}
}

// The bounds of warming.
const (
	warmMin       = time.Second // of a part, when the time is up
	warmRoundsMax = 40
	warmPatience  = 6 // rounds without a better one: the Java compiler goes on in steps
)

// warming is a part of each round of warming: a share of the round's operations.
type warming struct {
	share uint64 // 1: all, 4: a fourth
	load  benchLoad
}

// warm lets a server run all paths, on a table of its own, until that gets no
// cheaper for some rounds. What the Java compiler has not compiled would be held
// against Cassandra, and on two cores that takes it a few million operations.
func (b *bench) warm(s *server) {
	b.preload(s, b.warming[0].load.workload.Table)
	operations, began := int64(0), time.Now()
	warm := func(w warming) time.Duration {
		cfg := b.config(w.load, s, b.crowd)
		cfg.Operations, cfg.Duration = max(1, b.size.warm/w.share), max(warmMin, b.size.warmFor-time.Since(began))
		used := s.cpu()
		res := b.run(s, cfg)
		s.settle()
		operations += res.Operations
		return (s.cpu() - used) / time.Duration(max(1, res.Operations))
	}
	var costs []time.Duration // of the first part
	best := 0                 // the round that was cheaper by a twentieth than the best before
	for len(costs) < warmRoundsMax && len(costs)-best <= warmPatience && time.Since(began) < b.size.warmFor {
		costs = append(costs, warm(b.warming[0]))
		for _, w := range b.warming[1:] {
			warm(w)
		}
		n := len(costs) - 1
		b.t.Logf("%s: warmed for %.0f s, %s of CPU an operation", s.name, time.Since(began).Seconds(), costs[n])
		if costs[n] < costs[best]*95/100 {
			best = n
		}
	}
	s.note("warmed by %d operations in %d rounds, %.0f s, from %s to %s of CPU an operation", operations, len(costs), time.Since(began).Seconds(),
		costs[0].Round(100*time.Nanosecond), costs[len(costs)-1].Round(100*time.Nanosecond))
}

// preload writes all rows of a table to all nodes and answers how many bytes
// they are.
func (b *bench) preload(s *server, t stress.Table) int64 {
	cfg := b.config(benchLoad{workload: workload(t, stress.Sequential, stress.Insert), level: helenus.All}, s, b.crowd)
	cfg.Operations = t.Partitions * t.Rows
	b.run(s, cfg)
	return int64(cfg.Operations) * int64(t.DataBytes())
}

// toDisk writes the table that is read from disk, and starts Helenus again with a
// cache that is smaller. Cassandra, which reads through the page cache, keeps
// what its compiler has made.
func (b *bench) toDisk() {
	for _, s := range b.servers[:2] {
		s.resume()
		s.flush() // what earlier loads have left
		s.written("with the flush", func() int64 {
			defer s.flush()
			return b.preload(s, table("disk", b.size.diskRows, 1))
		})
		if s.remember != nil {
			s.kill()
			s.remember(b.size.diskMemory)
			s.restart()
			b.warm(s)
		}
		s.pause()
	}
}
