package commitlog_test

import (
	"fmt"
	"sync"
	"testing"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// parked is a writer that waits like a request does: one token, made once.
type parked struct{ token chan error }

func (p *parked) Synced(err error) { p.token <- err }

// BenchmarkGroupAppend has n writers, each of which waits for its record of 300
// bytes to be durable before it appends the next.
func BenchmarkGroupAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 1024} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			l, err := commitlog.Open(vfs.NewReal(), b.TempDir(), commitlog.Options{})
			must(b, err)
			_, err = l.Replay(ignore)
			must(b, err)
			payload := make([]byte, 300)
			tables := []commitlog.TableID{table(1)}
			var wg sync.WaitGroup
			b.SetBytes(300)
			b.ReportAllocs()
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					p := &parked{make(chan error, 1)}
					for range (b.N + writers - 1 - w) / writers {
						if _, err := l.Append(tables, p, payload); err != nil {
							b.Error(err)
							return
						}
						if err := <-p.token; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := l.Stats()
			b.ReportMetric(float64(s.Appends)/float64(max(1, s.Syncs)), "records/sync")
			b.ReportMetric(float64(s.Appends)/b.Elapsed().Seconds(), "records/s")
			must(b, l.Close())
		})
	}
}

// nullFS takes writes and forgets them: what is left is the log's own cost.
type nullFS struct{ vfs.FS }

type nullFile struct{ vfs.File }

func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) Preallocate(int64) error                { return nil }

func (n nullFS) Create(name string) (vfs.File, error) {
	f, err := n.FS.Create(name)
	return nullFile{f}, err
}

// BenchmarkAppend is the processor time of an append that nobody waits for.
func BenchmarkAppend(b *testing.B) {
	l := open(b, nullFS{vfs.NewMem()}, commitlog.Options{})
	payload := make([]byte, 300)
	tables := []commitlog.TableID{table(1)}
	b.SetBytes(300)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := l.Append(tables, nil, payload); err != nil {
				b.Error(err)
				return
			}
		}
	})
	must(b, l.Close())
}
