package agent

import (
	"helenus/internal/metrics"
	"helenus/internal/report"
)

// unknown marks a number that nobody counts.
const unknown = -1

// pool is work that is done by a bounded number of workers, under the name that
// Cassandra has for the same duty.
type pool struct {
	name                   string
	active, limit, pending int64
	completed              int64
}

// pools are all there are: what Cassandra does on stages of threads is mostly
// done by completions here.
func (a *Agent) pools() []pool {
	reads, clients, stored := a.replica.Stats(), a.server.Stats(), a.store.Stats()
	return []pool{
		{"ReadStage", reads.Active.Load(), int64(a.cfg.ConcurrentReads), int64(a.replica.Waiting()), int64(reads.Completed.Load())},
		{"Native-Transport-Requests", clients.InFlight.Load(), unknown, unknown, int64(clients.Requests.Load())},
		{"MemtableFlushWriter", unknown, 1, unknown, int64(stored.Flushes.Load())},
		{"CompactionExecutor", unknown, 1, unknown, int64(stored.Compactions.Load())},
	}
}

// caches are Cassandra's, of which a node here has only the chunks' (blocks').
func (a *Agent) caches() []report.Cache {
	var out []report.Cache
	for _, name := range []string{"key", "row", "counter"} {
		out = append(out, report.Cache{Name: name})
	}
	c := a.store.CacheStats()
	return append(out, report.Cache{Name: "chunk", Entries: int64(c.Entries), SizeBytes: c.BytesUsed, CapacityBytes: c.LimitBytes,
		Hits: int64(c.Hits), Requests: int64(c.Hits + c.Misses)})
}

// registerFacts puts what the rooms count into the one table of facts.
func (a *Agent) registerFacts() error {
	count := func(name, help string, read func() uint64) metrics.Fact {
		return metrics.CounterFunc(name, help, "", func() float64 { return float64(read()) })
	}
	gauge := func(name, help string, unit metrics.Unit, read func() int64) metrics.Fact {
		return metrics.GaugeFunc(name, help, unit, func() float64 { return float64(read()) })
	}
	cs, ss, st := a.coord.Stats(), a.server.Stats(), a.store.Stats()
	err := a.env.Metrics.Register(
		count("reads", "Reads coordinated.", cs.Reads.Load),
		count("writes", "Writes coordinated.", cs.Writes.Load),
		count("remote_reads", "Reads by key of which the coordinator is no replica of every partition: few when drivers route by token.", cs.RemoteReads.Load),
		count("remote_writes", "Writes of which the coordinator is no replica of every partition: few when drivers route by token.", cs.RemoteWrites.Load),
		count("conditional_writes", "Conditional writes coordinated.", cs.CAS.Load),
		count("read_errors", "Reads that failed.", cs.ReadErrors.Load),
		count("write_errors", "Writes that failed.", cs.WriteErrors.Load),
		count("unavailable", "Requests refused for lack of live replicas.", cs.Unavailable.Load),
		count("requests", "Requests of clients.", ss.Requests.Load),
		count("request_errors", "Requests of clients answered with an error.", ss.Errors.Load),
		gauge("connections", "Client connections.", "", ss.Connections.Load),
		gauge("requests_in_flight", "Requests of clients not answered yet.", "", ss.InFlight.Load),
		count("flushes", "Memtables written to files.", st.Flushes.Load),
		count("compactions", "Compactions finished.", st.Compactions.Load),
		gauge("memtable", "Memory of all memtables.", metrics.Bytes, a.store.MemoryBytes),
		gauge("load", "Size of all table files.", metrics.Bytes, a.store.LoadBytes),
		gauge("commit_log", "Size of the commit log's live segments.", metrics.Bytes, a.store.LogBytes),
		count("commit_log_syncs", "Syncs of the commit log.", func() uint64 { return a.store.LogStats().Syncs }),
	)
	if err != nil {
		return err
	}
	return a.env.Metrics.Register(append(a.cacheFacts(), a.poolFacts()...)...)
}

func (a *Agent) cacheFacts() []metrics.Fact {
	fact := func(name, help string, unit metrics.Unit, kind metrics.Kind, of func(report.Cache) int64) metrics.Fact {
		return metrics.Fact{Name: name, Help: help, Unit: unit, Kind: kind, Labels: []string{"cache"}, Read: func(emit func(metrics.Value)) {
			for _, c := range a.caches() {
				emit(metrics.Value{Labels: []string{c.Name}, Number: float64(of(c))})
			}
		}}
	}
	return []metrics.Fact{
		fact("cache_requests", "Look-ups in a cache.", metrics.None, metrics.CounterKind, func(c report.Cache) int64 { return c.Requests }),
		fact("cache_hits", "Look-ups that found what they were for.", metrics.None, metrics.CounterKind, func(c report.Cache) int64 { return c.Hits }),
		fact("cache_entries", "Entries of a cache.", metrics.None, metrics.GaugeKind, func(c report.Cache) int64 { return c.Entries }),
		fact("cache_size", "Memory of a cache.", metrics.Bytes, metrics.GaugeKind, func(c report.Cache) int64 { return c.SizeBytes }),
		fact("cache_capacity", "Memory that a cache may take.", metrics.Bytes, metrics.GaugeKind, func(c report.Cache) int64 { return c.CapacityBytes }),
	}
}

func (a *Agent) poolFacts() []metrics.Fact {
	fact := func(name, help string, kind metrics.Kind, of func(pool) int64) metrics.Fact {
		return metrics.Fact{Name: name, Help: help, Kind: kind, Labels: []string{"pool"}, Read: func(emit func(metrics.Value)) {
			for _, p := range a.pools() {
				if n := of(p); n != unknown {
					emit(metrics.Value{Labels: []string{p.name}, Number: float64(n)})
				}
			}
		}}
	}
	return []metrics.Fact{
		fact("pool_active", "Tasks that a pool works on.", metrics.GaugeKind, func(p pool) int64 { return p.active }),
		fact("pool_pending", "Tasks that wait for a pool.", metrics.GaugeKind, func(p pool) int64 { return p.pending }),
		fact("pool_completed", "Tasks that a pool has finished.", metrics.CounterKind, func(p pool) int64 { return p.completed }),
	}
}
