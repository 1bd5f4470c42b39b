//go:build !race

package coord

import (
	"fmt"
	"sync"
	"testing"

	"helenus"
	"helenus/internal/cputime"
	"helenus/store/row"
)

// readLoop reads again whenever it is answered.
type readLoop struct {
	c    *Coordinator
	read Read
	view row.View
	scan row.Scan
	left int
	rows int
	done *sync.WaitGroup
}

// Partitions implements ReadOwner.
func (l *readLoop) Partitions(ps row.Partitions) error {
	l.view.Reset(ps, l.read.Command, true, &l.scan)
	l.rows = 0
	for {
		p, err := l.view.Next()
		if p == nil || err != nil {
			return err
		}
		for {
			u, err := p.Next()
			if err != nil {
				return err
			}
			if u == nil {
				break
			}
			l.rows++
		}
	}
}

// ReadDone implements ReadOwner.
func (l *readLoop) ReadDone(r *Read) {
	if l.left--; l.left <= 0 || r.Err != nil {
		l.done.Done()
		return
	}
	l.c.Read(&l.read)
}

// BenchmarkRead says what a read of one row costs three nodes together.
func BenchmarkRead(b *testing.B) {
	for _, cl := range []helenus.Consistency{helenus.One, helenus.Quorum, helenus.All} {
		for _, depth := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/depth=%d", cl, depth), func(b *testing.B) {
				c := start(b, three)
				defer c.close()
				for i := range c.all {
					c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=some_value_of_a_row@5")
				}
				var done sync.WaitGroup
				loops := make([]*readLoop, depth)
				cpu := cputime.Process(b)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range loops {
					l := &readLoop{c: c.all[0].coord, left: b.N/depth + 1, done: &done}
					l.read = Read{State: c.state, Consistency: cl, Command: c.command("ks", 1), Done: l}
					loops[i] = l
					done.Add(1)
					go l.c.Read(&l.read)
				}
				done.Wait()
				b.StopTimer()
				b.ReportMetric(float64(cputime.Process(b)-cpu)/float64(b.N), "cpu-ns/op")
				for _, l := range loops {
					if l.read.Err != nil || l.rows != 1 {
						b.Fatalf("%d rows, %v", l.rows, l.read.Err)
					}
				}
			})
		}
	}
}
