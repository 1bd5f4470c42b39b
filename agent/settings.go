package agent

import (
	"context"

	"helenus/agent/config"
	"helenus/agent/query"
	"helenus/agent/system"
	"helenus/internal/cql/types"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
)

// storeOptions translates the settings.
func storeOptions(a *Agent, p token.Partitioner) store.Options {
	cfg := &a.cfg
	log := commitlog.Options{SegmentSize: int(cfg.CommitLogSegmentBytes), GroupWindow: cfg.CommitLogSyncGroupWindow, Period: cfg.CommitLogSyncPeriod}
	// As many segments as the log may have are kept for overwriting: in the long
	// run none has to be made.
	log.FreeSegmentsMax = max(1, int(cfg.CommitLogTotalBytes/max(1, cfg.CommitLogSegmentBytes)))
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
		MemtableBytes: cfg.MemtableHeapBytes, CacheBytes: cfg.FileCacheBytes, LogBytesMax: cfg.CommitLogTotalBytes, CommitLog: log, Background: a.env.Background,
		SetAside: cfg.CommitLogReplayErrors == config.ReplaySetAside}
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
	return system.Env{State: a.applied.State, Self: a.cluster.Self(), Generation: int32(a.generation), PeerSchema: a.peerSchema, Snitch: a.snitch(),
		Traces: a.traces, Views: map[string]func() []system.Record{
			"system_views.clients":      a.clientsView,
			"system_views.settings":     a.settingsView,
			"system_views.caches":       a.cachesView,
			"system_views.thread_pools": a.poolsView,
		}}
}

func (t *tracer) newSessionID() [16]byte {
	var chance [2]byte
	t.env.Rand(chance[:])
	return types.TimeUUIDFromMicros(t.env.Now().UnixMicro(), system.SessionNode(t.cluster.Self(), chance))
}
