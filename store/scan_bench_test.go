package store_test

import (
	"context"
	"testing"
	"time"

	"helenus/internal/cputime"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// BenchmarkScan reads 100 partitions of one cached file, or all of them. cpu-ns
// is for a partition.
func BenchmarkScan(b *testing.B) {
	const rows = 100 * rowCount
	w := newWarmedRows(b, vfs.NewMem(), "", commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}, rows)
	if err := w.store.Flush(context.Background(), w.def.ID); err != nil {
		b.Fatal(err)
	}
	for name, count := range map[string]int{"100": 100, "all": rows} {
		b.Run(name, func(b *testing.B) {
			c := &row.Command{Table: w.def, Filter: row.Filter{Slices: row.AllRows()}, End: row.Bound{Open: true}}
			p := token.Murmur3Partitioner{}
			b.ReportAllocs()
			before := cputime.Process(b)
			n := 0
			for i := 0; b.Loop(); i++ {
				c.Start = row.Bound{Open: true}
				if count < rows {
					key := w.commands[i*7919%rows].Keys[0]
					c.Start = row.Bound{Key: row.Key{Prefix: p.Prefix(key.Bytes) / 2}}
				}
				n += w.scan(c, count)
			}
			b.ReportMetric(float64(cputime.Process(b)-before)/float64(n), "cpu-ns/op")
		})
	}
}

// scan reads up to so many partitions.
func (w *warmed) scan(c *row.Command, count int) (n int) {
	ps, err := w.store.Read(c, store.Blocking)
	if err != nil {
		w.t.Fatal(err)
	}
	for ; n < count; n++ {
		p, err := ps.Next()
		if err != nil {
			w.t.Fatal(err)
		}
		if p == nil {
			break
		}
		if u, err := p.Next(); err != nil || u == nil {
			w.t.Fatal(u, err)
		}
	}
	if err := ps.Close(); err != nil {
		w.t.Fatal(err)
	}
	return n
}
