package agent

import (
	"context"

	"helenus/agent/config"
	"helenus/agent/query"
	"helenus/agent/system"
	"helenus/internal/cql/types"
	"helenus/internal/metrics"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
)

// storeOptions translates the settings.
func storeOptions(a *Agent, p token.Partitioner) store.Options {
	cfg := &a.cfg
	log := commitlog.Options{SegmentSize: int(cfg.CommitLogSegmentBytes), GroupWindow: cfg.CommitLogSyncGroupWindow, Period: cfg.CommitLogSyncPeriod}
	switch cfg.CommitLogSync {
	case config.SyncBatch:
		log.Mode = commitlog.Batch
	case config.SyncPeriodic:
		log.Mode = commitlog.Periodic
	}
	var compaction func(ctx context.Context, bytes int64) error
	if cfg.CompactionBytesPerSec > 0 {
		compaction = (&throttle{bytesPerSec: cfg.CompactionBytesPerSec}).wait
	}
	return store.Options{CompactionThrottle: compaction, FS: a.env.FS, DataDir: cfg.DataDirectories[0], LogDir: cfg.CommitLogDirectory, HostID: a.cluster.Self(),
		Partitioner: p, Log: a.env.Log, Now: a.env.Now, Rand: a.env.Rand, Budget: a.budget,
		MemtableBytes: cfg.MemtableHeapBytes, CacheBytes: cfg.FileCacheBytes, LogBytesMax: cfg.CommitLogTotalBytes, CommitLog: log}
}

func queryLimits(cfg *config.Config) query.Limits {
	l := query.DefaultLimits()
	l.BatchWarnBytes, l.BatchFailBytes = int(cfg.BatchWarnBytes), int(cfg.BatchFailBytes)
	l.UnloggedBatchWarn = cfg.UnloggedBatchWarn
	l.TombstoneWarn, l.TombstoneFail = cfg.TombstoneWarn, cfg.TombstoneFail
	l.MaxMutationBytes = int(cfg.MutationBytesMax)
	// A small node cannot gather what a large one may; but what one mutation
	// brought in, one answer takes out.
	l.UnpagedBytesMax = max(min(l.UnpagedBytesMax, int(cfg.InFlightBytesMax)), 2*l.MaxMutationBytes)
	l.PageBytesMax = min(l.PageBytesMax, l.UnpagedBytesMax/2)
	return l
}

// systemEnv is where the system tables get their facts.
func (a *Agent) systemEnv() system.Env {
	return system.Env{State: a.cluster.State, Self: a.cluster.Self(), Generation: int32(a.started.Unix()), Snitch: a.snitch(),
		Traces: a.traces, Views: map[string]func() []system.Record{
			"system_views.clients":  a.clientsView,
			"system_views.settings": a.settingsView,
			"system_views.caches":   a.cachesView,
		}}
}

func (a *Agent) clientsView() []system.Record {
	var out []system.Record
	for _, c := range a.server.Clients() {
		out = append(out, system.Record{"address": c.Address.Addr(), "port": int32(c.Address.Port()), "protocol_version": int32(c.Version),
			"driver_name": c.Driver, "driver_version": c.Release, "request_count": int64(c.Requests), "connection_stage": "ready",
			"username": "anonymous", "ssl_enabled": false})
	}
	return out
}

func (a *Agent) settingsView() []system.Record {
	var out []system.Record
	for _, s := range a.env.Settings {
		out = append(out, system.Record{"name": s.Name, "value": s.Value})
	}
	return out
}

func (a *Agent) cachesView() []system.Record {
	c := a.store.CacheStats()
	ratio := 0.0
	if n := c.Hits + c.Misses; n > 0 {
		ratio = float64(c.Hits) / float64(n)
	}
	return []system.Record{{"name": "chunks", "capacity_bytes": c.LimitBytes, "size_bytes": c.BytesUsed, "entry_count": int32(c.Entries),
		"hit_count": int64(c.Hits), "request_count": int64(c.Hits + c.Misses), "hit_ratio": ratio}}
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
	return a.env.Metrics.Register(
		count("reads", "Reads coordinated.", cs.Reads.Load),
		count("writes", "Writes coordinated.", cs.Writes.Load),
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
}

func (t *tracer) newTimeUUID() [16]byte {
	var node [8]byte
	t.env.Rand(node[:])
	return types.TimeUUIDFromMicros(t.env.Now().UnixMicro(), node)
}
