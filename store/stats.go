package store

import (
	"sync/atomic"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
)

// Stats count what the store did since its start.
type Stats struct {
	Reads, Writes, Flushes, Compactions atomic.Uint64
	CompactedBytes                      atomic.Uint64
}

// Stats gives the counters; they are live.
func (s *Store) Stats() *Stats { return &s.stats }

// LogStats gives the commit log's counters.
func (s *Store) LogStats() commitlog.Stats { return s.log.Stats() }

// LogBytes is the size of all live segments.
func (s *Store) LogBytes() int64 { return s.log.TotalSize() }

// TableInfo is a table's size.
type TableInfo struct {
	Table         *schema.Table
	MemtableBytes int64
	Files         int
	FileBytes     int64
	Partitions    int64 // estimate: files may share some
}

// Tables lists all tables with their sizes.
func (s *Store) Tables() []TableInfo {
	var out []TableInfo
	for _, t := range s.sortedTables() {
		v := t.acquire()
		if v == nil {
			continue
		}
		info := TableInfo{Table: t.def.Load(), MemtableBytes: v.active.m.Stats().Mapped, Files: len(v.files),
			Partitions: int64(v.active.m.Stats().Partitions)}
		for _, f := range v.files {
			info.FileBytes += f.Bytes()
			info.Partitions += f.Keys()
		}
		v.release()
		out = append(out, info)
	}
	return out
}

// LoadBytes is the size of all files.
func (s *Store) LoadBytes() (n int64) {
	for _, t := range s.Tables() {
		n += t.FileBytes
	}
	return n
}

// MemoryBytes is what the memtables hold.
func (s *Store) MemoryBytes() int64 { return s.memory.budget.Used() }
