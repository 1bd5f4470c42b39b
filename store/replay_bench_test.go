package store_test

import (
	"testing"
	"time"

	"helenus/internal/cputime"
	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// BenchmarkReplay opens a store whose log holds 300,000 rows that no file has.
// log-MB/cpu-s is how much of the log a second of CPU brings back: bytes of
// segments, in periodic mode, where syncs leave next to nothing of a block
// empty. MB/cpu-s counts the bytes of the mutations only.
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
	w.read(7)
	if err := w.store.Close(); err != nil {
		b.Fatal(err)
	}
	defer w.reopen(vfs.NewReal(), dir)
	seconds := used.Seconds() / float64(b.N)
	b.ReportMetric(float64(bytes)/1e6/seconds, "MB/cpu-s")
	b.ReportMetric(float64(logBytes(b, dir+"/log"))/1e6/seconds, "log-MB/cpu-s")
	b.ReportMetric(seconds*1e9/float64(w.rows), "cpu-ns/row")
}

// logBytes is what a start reads of a log.
func logBytes(b *testing.B, dir string) int64 {
	b.Helper()
	l, err := commitlog.Open(vfs.NewReal(), dir, commitlog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	stats, err := l.Replay(func(*commitlog.Record) error { return nil })
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return stats.Read
}
