//go:build linux

package main

import (
	"os"
	"time"

	"helenus"
	"helenus/stress"
)

// ringSizes is how much is measured of three nodes: sizes for a machine of two
// cores, on which three Cassandras answer some thousand requests a second.
func ringSizes() benchSize {
	if os.Getenv("HELENUS_BENCH_SIZE") == "full" {
		return adjusted(benchSize{name: "full", cell: 4 * time.Second, paced: 8 * time.Second, rounds: 2, warm: 100_000, warmFor: 6 * time.Minute,
			keptRows: 100_000, rates: []uint64{500, 2000}, memory: "1GiB", heap: "1g"})
	}
	return adjusted(benchSize{name: "smoke", cell: 2 * time.Second, paced: 4 * time.Second, rounds: 1, warm: 50_000, warmFor: 90 * time.Second,
		keptRows: 30_000, rates: []uint64{500}, memory: "1GiB", heap: "1g"})
}

// ringPlan is the plan for servers of three nodes, each row on all of them.
func ringPlan(size benchSize) plan {
	kept, warm := table("kept", size.keptRows, 1), table("warm", 20_000, 1)
	shapes := []shape{{3, 1}, {9, 32}}
	insert := workload(table("written", endless, 1), stress.Sequential, stress.Insert)
	read := workload(kept, stress.Uniform, stress.Select)
	both := workload(warm, stress.Uniform, stress.Insert, stress.Select)
	return plan{nodes: 3, replication: "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}", launch: launchRings, crowd: shape{9, 32}, rampUp: time.Second,
		pairs: []pair{
			{"periodic, periodic", "Helenus periodic", "Cassandra periodic"},
			{"group, periodic", "Helenus group", "Cassandra periodic"},
		},
		loads: []benchLoad{
			{name: "insert-quorum", title: "INSERT at QUORUM", workload: insert, level: helenus.Quorum, shapes: shapes, rates: size.rates},
			{name: "insert-one", title: "INSERT at ONE", workload: insert, level: helenus.One, shapes: shapes, rates: size.rates},
			{name: "select-quorum", title: "SELECT by key at QUORUM", workload: read, level: helenus.Quorum, readOnly: true, shapes: shapes, rates: size.rates},
			{name: "select-one", title: "SELECT by key at ONE", workload: read, level: helenus.One, readOnly: true, shapes: shapes, rates: size.rates},
		},
		kept:    []stress.Table{kept},
		warming: []warming{{1, benchLoad{workload: both, level: helenus.Quorum}}, {2, benchLoad{workload: both, level: helenus.One}}},
	}
}

// launchRings runs the three servers of three nodes.
func launchRings(b *bench) []*server {
	memory := "memory_limit: " + b.size.memory + "\n"
	return []*server{
		newCassandra(b.t, "Cassandra periodic", b.size.heap, cassandraPeriodic, b.nodes),
		newHelenusRing(b, "Helenus periodic", memory+helenusPeriodic),
		newHelenusRing(b, "Helenus group", memory),
	}
}

// newHelenusRing has the same patience as Cassandra: what is given up early
// need not be done.
func newHelenusRing(b *bench, name, more string) *server {
	b.t.Helper()
	began := time.Now()
	s := &server{t: b.t, name: name}
	l := &lab{t: b.t, more: "num_tokens: 16\n" + patience + more} // on loopback, as Cassandra is
	l.begin(racks("dc1", 3)...)
	for _, p := range l.nodes {
		s.nodes = append(s.nodes, p.node())
	}
	s.note("%.1f s to build and start, empty", time.Since(began).Seconds())
	b.t.Cleanup(s.resume)
	return s
}
