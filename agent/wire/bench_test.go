//go:build !race

package wire

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"helenus/internal/cputime"
)

// loop asks again whenever it is answered.
type loop struct {
	from *node
	to   Target
	call Call
	left int
	done *sync.WaitGroup
}

func (l *loop) Answered(c *Call) {
	if l.left--; l.left <= 0 || c.Err != nil {
		l.done.Done()
		return
	}
	l.from.Call(l.to, &l.call)
}

// BenchmarkCall says what a call costs both nodes together, with so many under
// way: time, and CPU of the whole process.
func BenchmarkCall(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			from, to := loopback(b)
			request := &text{make([]byte, 200)}
			var done sync.WaitGroup
			cpu := cputime.Process(b)
			b.ReportAllocs()
			b.ResetTimer()
			for range depth {
				l := &loop{from: from, to: to, left: b.N/depth + 1, done: &done}
				l.call = Call{Verb: verbEcho, Request: request, Owner: l, Timeout: time.Minute}
				done.Add(1)
				from.Call(to, &l.call)
			}
			done.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cputime.Process(b)-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}
