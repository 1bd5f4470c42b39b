package coord

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDeadlines ends a write and begins another while so many are under
// way, each second of them with a second look at half of its time.
func BenchmarkDeadlines(b *testing.B) {
	for _, outstanding := range []int{100, 10000} {
		b.Run(fmt.Sprint("outstanding=", outstanding), func(b *testing.B) {
			c := New(Options{})
			ops := make([]*writing, outstanding)
			add := func(i int) {
				again := time.Duration(0)
				if i%2 == 1 {
					again = time.Hour / 2
				}
				c.deadlines.add(ops[i], time.Hour, again)
			}
			for i := range ops {
				ops[i] = newWriting(c)
				add(i)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				i := n % outstanding
				if !c.deadlines.remove(ops[i]) {
					b.Fatal("it is not there")
				}
				add(i)
			}
		})
	}
}
