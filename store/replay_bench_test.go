package store_test

import (
	"testing"
	"time"

	"helenus/internal/cputime"
	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// BenchmarkReplay opens a store whose log holds 300,000 rows that no file has.
// MB/cpu-s is how much of the log a second of CPU brings back.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	w := newWarmedRows(b, vfs.NewReal(), dir, commitlog.Options{Mode: commitlog.Periodic, Period: time.Hour}, 300*rowCount)
	bytes := 0
	for _, m := range w.mutations {
		bytes += len(m)
	}
	var used time.Duration
	for b.Loop() {
		if err := w.store.Close(); err != nil {
			b.Fatal(err)
		}
		before := cputime.Process(b)
		w.reopen(vfs.NewReal(), dir)
		used += cputime.Process(b) - before
	}
	b.ReportMetric(float64(bytes)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
	w.read(7)
}
