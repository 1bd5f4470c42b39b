package store_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"helenus/internal/budget"
	"helenus/internal/cputime"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// wide is a store with partitions of 100 rows of five columns of 36 bytes.
type wide struct {
	t       testing.TB
	store   *store.Store
	def     *schema.Table
	builder row.Builder
	write   store.Write
	written chan error
}

const (
	widePartitions = 1000
	wideRows       = 100
)

func newWide(t testing.TB) *wide {
	t.Helper()
	def, err := row.ParseTable("k bigint | c int | v1 text, v2 text, v3 text, v4 text, v5 text")
	if err != nil {
		t.Fatal(err)
	}
	def.Keyspace = "ks"
	w := &wide{t: t, def: def, written: make(chan error, 1)}
	w.store, err = store.Open(store.Options{FS: vfs.NewMem(), DataDir: "data", LogDir: "log", Partitioner: token.Murmur3Partitioner{},
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func([]byte) {}, Budget: budget.New("test", 4<<30), MemtableBytes: 1 << 30,
		CacheBytes: 1 << 28, CommitLog: commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}, ManualCompaction: true},
		schema.New(map[string]*schema.Keyspace{"ks": {Name: "ks", Tables: map[string]*schema.Table{def.Name: def}}}), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Written implements store.Owner.
func (w *wide) Written(x *store.Write) { w.written <- x.Err }

func wideKey(partition int) row.Key {
	key := binary.BigEndian.AppendUint64(nil, uint64(partition))
	return row.Key{Prefix: token.Murmur3Partitioner{}.Prefix(key), Bytes: key}
}

var wideValue = make([]byte, 36)

func (w *wide) put(partition, at int, timestamp int64) {
	b := &w.builder
	b.Reset()
	b.Begin(w.def, wideKey(partition).Bytes)
	b.BeginRow(binary.BigEndian.AppendUint32(nil, uint32(at)))
	b.Liveness(row.Liveness{Timestamp: timestamp, LocalTime: row.NoDeletionTime})
	for _, col := range w.def.Regulars {
		b.Cell(col, row.Cell{Timestamp: timestamp, LocalTime: row.NoDeletionTime, Value: wideValue})
	}
	b.EndRow()
	w.write.Mutation, w.write.Owner = b.Finish(w.write.Mutation[:0]), w
	w.store.Apply(&w.write)
	if err := <-w.written; err != nil {
		w.t.Fatal(err)
	}
}

// slice reads a partition whole.
func (w *wide) slice(partition int) {
	c := &row.Command{Table: w.def, Keys: []row.Key{wideKey(partition)}, Filter: row.Filter{Slices: row.AllRows()}}
	ps, err := w.store.Read(c, store.Blocking)
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for p, err := ps.Next(); p != nil || err != nil; p, err = ps.Next() {
		if err != nil {
			w.t.Fatal(err)
		}
		for u, err := p.Next(); u != nil || err != nil; u, err = p.Next() {
			if err != nil {
				w.t.Fatal(err)
			}
			n++
		}
	}
	if n != wideRows {
		w.t.Fatalf("%d rows", n)
	}
	if err := ps.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// BenchmarkWide writes rows of partitions of 100 rows that grow side by side,
// writes them again, and reads partitions whole.
func BenchmarkWide(b *testing.B) {
	measure := func(name string, do func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before, n := cputime.Process(b), 0
			for ; b.Loop(); n++ {
				do(n)
			}
			b.ReportMetric(float64(cputime.Process(b)-before)/float64(n), "cpu-ns/op")
		})
	}
	w := newWide(b)
	filled := 0
	measure("insert", func(int) {
		w.put(filled%widePartitions+filled/(widePartitions*wideRows)*widePartitions, filled/widePartitions%wideRows, 1)
		filled++
	})
	for ; filled < widePartitions*wideRows; filled++ {
		w.put(filled%widePartitions, filled/widePartitions, 1)
	}
	measure("update", func(i int) { w.put(i*7919%widePartitions, i%wideRows, int64(i+2)) })
	measure("slice, memtable", func(i int) { w.slice(i * 7919 % widePartitions) })
	if err := w.store.Flush(context.Background(), w.def.ID); err != nil {
		b.Fatal(err)
	}
	measure("slice, file", func(i int) { w.slice(i * 7919 % widePartitions) })
}
