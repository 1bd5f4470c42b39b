package store

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/store/cache"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// gcSeconds is the CPU time that the collector has used.
func gcSeconds() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64()
}

// BenchmarkCollection forces collections while the block cache holds 6 GiB and
// memtables 2 GiB. The bytes are not in the heap; what the collector would look
// at are the books about them.
func BenchmarkCollection(b *testing.B) {
	const cached, buffered = 6 << 30, 2 << 30
	def := definition(b, 0, 864000)
	o := tiny(vfs.NewReal(), commitlog.Periodic, rand.New(rand.NewPCG(1, 1)))
	dir := b.TempDir()
	o.DataDir, o.LogDir, o.ManualCompaction, o.Log = dir+"/data", dir+"/log", true, slog.New(slog.DiscardHandler)
	o.Budget, o.CacheBytes, o.MemtableBytes, o.LogBytesMax = budget.New("test", cached+4*buffered), cached+1<<20, 2*buffered, 1<<40
	o.CommitLog = commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}
	s, err := Open(o, schemaOf(def), 1)
	must(b, err)
	defer s.Close()
	file := s.cache.NextFile()
	for i := range uint64(cached / (16 << 10)) {
		k := cache.Key{File: file, Block: i}
		h := s.cache.Insert(k, s.cache.Reserve(k, 16<<10))
		h.Release()
	}
	fillMemtable(b, s, def, buffered)
	st := s.cache.Stats()
	b.Logf("%d blocks, %d MiB cached, %d MiB buffered", st.Entries, st.BytesUsed>>20, s.memory.budget.Used()>>20)
	runtime.GC()
	before := gcSeconds()
	b.ResetTimer() // once: b.N is what -benchtime says
	for range b.N {
		runtime.GC()
	}
	b.ReportMetric((gcSeconds()-before)/float64(b.N)*1e3, "cpu-ms/collection")
}

// fillMemtable writes static rows, a partition each, until the memtables hold
// so many bytes.
func fillMemtable(b *testing.B, s *Store, def *schema.Table, until int64) {
	b.Helper()
	var builder row.Builder
	w := &writing{done: make(chan error, 1)}
	value := make([]byte, 1000)
	for i := uint64(0); s.memory.budget.Used() < until; i++ {
		builder.Reset()
		builder.Begin(def, binary.BigEndian.AppendUint64(nil, i))
		builder.BeginStatic()
		builder.Cell(def.Statics[0], row.Cell{Timestamp: 1, LocalTime: row.NoDeletionTime, Value: value})
		builder.EndRow()
		w.Mutation, w.Owner = builder.Finish(w.Mutation[:0]), w
		s.Apply(&w.Write)
		must(b, <-w.done)
	}
}
