package store_test

import (
	"context"
	"encoding/binary"
	"fmt"
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

// warmed is a store with one table of rows, each a partition.
type warmed struct {
	rows      int
	t         testing.TB
	store     *store.Store
	def       *schema.Table
	log       commitlog.Options
	mutations [][]byte
	commands  []row.Command
	write     store.Write
	written   chan error
}

const rowCount = 1000

func newWarmed(t testing.TB, fs vfs.FS, dir string, log commitlog.Options) *warmed {
	t.Helper()
	return newWarmedRows(t, fs, dir, log, rowCount)
}

func newWarmedRows(t testing.TB, fs vfs.FS, dir string, log commitlog.Options, rows int) *warmed {
	t.Helper()
	def, err := row.ParseTable("k bigint | | v text")
	if err != nil {
		t.Fatal(err)
	}
	def.Keyspace = "ks"
	w := &warmed{rows: rows, t: t, def: def, written: make(chan error, 1)}
	w.log = log
	w.reopen(fs, dir)
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.fill()
	return w
}

// reopen opens the store, with what is there.
func (w *warmed) reopen(fs vfs.FS, dir string) {
	w.t.Helper()
	sch := schema.New(map[string]*schema.Keyspace{"ks": {Name: "ks", Tables: map[string]*schema.Table{w.def.Name: w.def}}})
	log := w.log
	log.SegmentSize = 4 << 20
	var err error
	w.store, err = store.Open(store.Options{FS: fs, DataDir: dir + "/data", LogDir: dir + "/log", Partitioner: token.Murmur3Partitioner{},
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func([]byte) {}, Budget: budget.New("test", 1<<30),
		MemtableBytes: 1 << 28, CacheBytes: 1 << 28, CommitLog: log, ManualCompaction: true}, sch, 1)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *warmed) fill() {
	var b row.Builder
	value := make([]byte, 180)
	for i := range w.rows {
		key := binary.BigEndian.AppendUint64(nil, uint64(i))
		b.Reset()
		b.Begin(w.def, key)
		b.BeginRow()
		b.Liveness(row.Liveness{Timestamp: 1, LocalTime: row.NoDeletionTime})
		b.Cell(w.def.Regulars[0], row.Cell{Timestamp: 1, LocalTime: row.NoDeletionTime, Value: value})
		b.EndRow()
		w.mutations = append(w.mutations, b.Finish(nil))
		k := row.Key{Prefix: token.Murmur3Partitioner{}.Prefix(key), Bytes: key}
		w.commands = append(w.commands, row.Command{Table: w.def, Keys: []row.Key{k}, Filter: row.Filter{Slices: row.AllRows()}})
		w.apply(i)
	}
}

// Written implements store.Owner.
func (w *warmed) Written(x *store.Write) { w.written <- x.Err }

// apply writes one row and waits for its completion.
func (w *warmed) apply(i int) {
	w.write.Mutation, w.write.Owner = w.mutations[i%w.rows], w
	w.store.Apply(&w.write)
	if err := <-w.written; err != nil {
		w.t.Fatal(err)
	}
}

// read reads one row as it is.
func (w *warmed) read(i int) {
	ps, err := w.store.Read(&w.commands[i%w.rows], store.NonBlocking)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := ps.Next()
	if err != nil || p == nil {
		w.t.Fatalf("row %d: %v, %v", i, p, err)
	}
	if u, err := p.Next(); err != nil || u == nil || u.Row == nil || len(u.Row.Cells) != 1 {
		w.t.Fatalf("row %d: %v, %v", i, u, err)
	}
	if err := ps.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// TestAllocations holds the store's hot paths to memory that is kept. Reads have
// room for what pools lose under the race detector; without a pool they miss.
func TestAllocations(t *testing.T) {
	periodic := commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}
	w := newWarmed(t, vfs.NewMem(), "", periodic)
	check := func(name string, limit float64, do func(i int)) {
		t.Helper()
		i := 0
		got := testing.AllocsPerRun(rowCount, func() { do(i); i++ })
		t.Logf("%s: %.2f allocations", name, got)
		if got > limit {
			t.Errorf("%s: %.2f allocations an operation, want at most %.1f", name, got, limit)
		}
	}
	check("Apply, periodic", 0.5, w.apply)
	check("Read, memtable", 2.5, w.read)
	if err := w.store.Flush(context.Background(), w.def.ID); err != nil {
		t.Fatal(err)
	}
	for i := range rowCount { // bring the blocks into the cache
		w.readBlocking(i)
	}
	check("Read, cached file", 1.5, w.read)
	// The file system in memory allocates for what is not synced; this one does not.
	g := newWarmed(t, vfs.NewReal(), t.TempDir(), commitlog.Options{})
	check("Apply, group", 0.5, g.apply)
}

func (w *warmed) readBlocking(i int) {
	ps, err := w.store.Read(&w.commands[i], store.Blocking)
	if err != nil {
		w.t.Fatal(err)
	}
	if p, err := ps.Next(); err != nil || p == nil {
		w.t.Fatalf("row %d: %v, %v", i, p, err)
	}
	if err := ps.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// TestReadsKept: handles that are used again mix nothing up, also when several
// are open and closed in another order.
func TestReadsKept(t *testing.T) {
	w := newWarmed(t, vfs.NewMem(), "", commitlog.Options{})
	for round := range 50 {
		a, b := round*7%rowCount, round*13%rowCount
		pa, pb := w.open(a), w.open(b)
		w.expect(pa, a)
		w.expect(pb, b)
		for _, ps := range []row.Partitions{pb, pa} {
			if p, err := ps.Next(); p != nil || err != nil {
				t.Fatalf("a second partition: %v, %v", p, err)
			}
			if err := ps.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *warmed) open(i int) row.Partitions {
	ps, err := w.store.Read(&w.commands[i], store.Blocking)
	if err != nil {
		w.t.Fatal(err)
	}
	return ps
}

func (w *warmed) expect(ps row.Partitions, i int) {
	p, err := ps.Next()
	if err != nil || p == nil {
		w.t.Fatal(p, err)
	}
	if got := fmt.Sprintf("%x", p.Key().Bytes); got != fmt.Sprintf("%016x", i) {
		w.t.Fatalf("key %s, want %d", got, i)
	}
}

func BenchmarkApply(b *testing.B) {
	for name, o := range map[string]commitlog.Options{"group": {}, "periodic": {Mode: commitlog.Periodic, Period: time.Hour}} {
		b.Run(name, func(b *testing.B) {
			w := newWarmed(b, vfs.NewReal(), b.TempDir(), o)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.apply(i)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, rows := range []int{rowCount, 300 * rowCount} {
		w := newWarmedRows(b, vfs.NewMem(), "", commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}, rows)
		run := func(b *testing.B) {
			b.ReportAllocs()
			before := cputime.Process(b)
			for i := 0; b.Loop(); i++ {
				w.read(i * 7919) // a prime: each row in turn, not the next one
			}
			b.ReportMetric(float64(cputime.Process(b)-before)/float64(b.N), "cpu-ns/op")
		}
		b.Run(fmt.Sprintf("memtable/%d", rows), run)
		if err := w.store.Flush(context.Background(), w.def.ID); err != nil {
			b.Fatal(err)
		}
		for i := range rows {
			w.readBlocking(i)
		}
		b.Run(fmt.Sprintf("file/%d", rows), run)
	}
}
