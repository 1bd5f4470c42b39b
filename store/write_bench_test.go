package store_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// BenchmarkWrite is what a written row costs with everything that follows: log
// and memtable, one flush, one compaction of four files. A row is a key of 16
// bytes and five columns of 36, half of them compressible. The numbers are CPU
// time of the thread that does it, the best of many short rounds, which holds
// best where others are at work; what runs in the background is not in them. Run
// it with -benchtime=1x.
func BenchmarkWrite(b *testing.B) {
	const perFlush, flushes, rounds = 2500, 4, 25
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the agent's
	for _, bench := range []struct {
		name     string
		distinct int
	}{{"new", flushes * perFlush}, {"overwrite", perFlush}} {
		b.Run(bench.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			best := map[string]float64{}
			measure := func(unit string, rows int, do func()) {
				took := float64(threadTime(b, do)) / float64(rows)
				if old, ok := best[unit]; !ok || took < old {
					best[unit] = took
				}
			}
			w := newBulk(b, bench.distinct)
			for range rounds {
				w.open(b)
				for n := range flushes {
					measure("apply-ns/row", perFlush, func() {
						for i := range perFlush {
							w.apply(b, n*perFlush+i)
						}
					})
					measure("flush-ns/row", perFlush, func() { w.settle(b, w.store.Flush) })
				}
				measure("compact-ns/row", flushes*perFlush, func() { w.settle(b, w.store.Compact) })
				if err := w.store.Close(); err != nil {
					b.Fatal(err)
				}
			}
			for unit, ns := range best {
				b.ReportMetric(ns, unit)
			}
		})
	}
}

// threadTime is the CPU time that this thread spends on do.
func threadTime(b *testing.B, do func()) time.Duration {
	b.Helper()
	now := func() time.Duration {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
			b.Fatal(err)
		}
		return time.Duration(t.Nano())
	}
	before := now()
	do()
	return now() - before
}

// bulk writes the same mutations again and again.
type bulk struct {
	store     *store.Store
	def       *schema.Table
	mutations [][]byte
	write     store.Write
	written   chan error
}

func newBulk(b *testing.B, rows int) *bulk {
	def, err := row.ParseTable("k blob | | c0 text, c1 text, c2 text, c3 text, c4 text")
	if err != nil {
		b.Fatal(err)
	}
	w := &bulk{def: def, written: make(chan error, 1)}
	for i := range rows {
		w.mutations = append(w.mutations, w.mutation(uint64(i)))
	}
	return w
}

// open begins with an empty store.
func (w *bulk) open(b *testing.B) {
	def, dir := w.def, b.TempDir()
	sch := schema.New(map[string]*schema.Keyspace{def.Keyspace: {Name: def.Keyspace, Tables: map[string]*schema.Table{def.Name: def}}})
	var err error
	w.store, err = store.Open(store.Options{FS: vfs.NewReal(), DataDir: dir + "/data", LogDir: dir + "/log", Partitioner: token.Murmur3Partitioner{},
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func(p []byte) { _, _ = rand.Read(p) }, Budget: budget.New("bench", math.MaxInt64),
		MemtableBytes: 1 << 30, CacheBytes: 8 << 20, CommitLog: commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}, ManualCompaction: true}, sch, 1)
	if err != nil {
		b.Fatal(err)
	}
}

func (w *bulk) mutation(i uint64) []byte {
	const ts = 1_700_000_000_000_000
	const phrases = "the quick brown fox jumped over a lazydog and went straight home to sleepwhile all others wait for the next morning and its rain"
	key := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, spread(i)), spread(^i))
	var r row.Builder
	r.Reset()
	r.Begin(w.def, key)
	r.BeginRow()
	r.Liveness(row.Liveness{Timestamp: ts, LocalTime: row.NoDeletionTime})
	for c, col := range w.def.Regulars {
		x := spread(i*5 + uint64(c))
		at := x >> 48 % 5 * 20
		v := fmt.Appendf(nil, "%016x%s", x, phrases[at:at+20])
		r.Cell(col, row.Cell{Timestamp: ts, LocalTime: row.NoDeletionTime, Value: v})
	}
	r.EndRow()
	return r.Finish(nil)
}

// Written implements store.Owner.
func (w *bulk) Written(x *store.Write) { w.written <- x.Err }

func (w *bulk) apply(b *testing.B, i int) {
	w.write.Mutation, w.write.Owner = w.mutations[i%len(w.mutations)], w
	w.store.Apply(&w.write)
	if err := <-w.written; err != nil {
		b.Fatal(err)
	}
}

func (w *bulk) settle(b *testing.B, how func(context.Context, schema.TableID) error) {
	if err := how(context.Background(), w.def.ID); err != nil {
		b.Fatal(err)
	}
}

// spread is splitmix64: numbers to bits that look like chance.
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
