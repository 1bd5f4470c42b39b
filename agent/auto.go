package agent

import (
	"runtime"

	"helenus/agent/config"
)

// The least memory a node plans with, and what it assumes when the host does
// not tell.
const (
	memoryLimitMin     = 256 << 20
	memoryLimitUnknown = 1 << 30
)

// auto fills in what the configuration leaves to the node. Shares of the limit:
// memtables an eighth (up to a quarter while flushing), the block cache a
// quarter, requests in flight a sixteenth; the rest is the collector's heap.
func auto(cfg config.Config, hostBytes int64) config.Config {
	set := func(to *int64, v int64) {
		if *to == 0 {
			*to = v
		}
	}
	if cfg.MemoryLimitBytes == 0 {
		cfg.MemoryLimitBytes = max(hostBytes/2, memoryLimitMin)
		if hostBytes == 0 {
			cfg.MemoryLimitBytes = memoryLimitUnknown
		}
	}
	limit := cfg.MemoryLimitBytes
	set(&cfg.MemtableHeapBytes, limit/8)
	set(&cfg.FileCacheBytes, limit/4)
	set(&cfg.InFlightBytesMax, limit/16)
	set(&cfg.InFlightPerAddrBytesMax, min(limit/64, 16<<20))
	set(&cfg.PreparedStatementsBytes, max(limit/256, 8<<20))
	set(&cfg.MutationBytesMax, cfg.CommitLogSegmentBytes/2)
	if cfg.ConcurrentCompactors == 0 {
		cfg.ConcurrentCompactors = min(max(runtime.GOMAXPROCS(0), 1), 8)
	}
	return cfg
}

// HeapLimitBytes is what is left of the memory limit for the collector's heap.
func HeapLimitBytes(cfg config.Config, hostBytes int64) int64 {
	c := auto(cfg, hostBytes)
	return c.MemoryLimitBytes - c.FileCacheBytes - 2*c.MemtableHeapBytes
}
