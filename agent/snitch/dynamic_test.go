package snitch

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/ring"
)

func id(n byte) helenus.HostID { return helenus.HostID{n} }

// dynamicOf is a Dynamic of node 1 in a/r1.
func dynamicOf(threshold float64) *Dynamic {
	return NewDynamic(DynamicOptions{Self: id(1), Datacenter: "a", Rack: "r1", BadnessThreshold: threshold})
}

// nodesOf reads "2 a/r1, 3 b/r2".
func nodesOf(text string) (nodes []*ring.Node) {
	for _, s := range strings.Split(text, ", ") {
		var n byte
		var place string
		if _, err := fmt.Sscan(s, &n, &place); err != nil {
			panic(err)
		}
		dc, rack, _ := strings.Cut(place, "/")
		nodes = append(nodes, &ring.Node{HostID: id(n), Datacenter: helenus.Datacenter(dc), Rack: helenus.Rack(rack)})
	}
	return nodes
}

func order1(nodes []*ring.Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, fmt.Sprint(n.HostID[0]))
	}
	return strings.Join(out, " ")
}

func TestSort(t *testing.T) {
	const three = "4 b/r1, 3 a/r2, 2 a/r1, 1 a/r1"
	for _, c := range []struct {
		nodes     string
		threshold float64
		millis    string // "node=latency"
		want      string
	}{
		{three, 1, "", "1 2 3 4"},
		{three, 1, "1=10 2=10 3=10 4=10", "1 2 3 4"},
		{three, 1, "1=10 2=19 3=10 4=10", "1 2 3 4"},        // not twice as slow as it could be
		{three, 1, "1=10 2=25 3=10 4=10", "1 3 2 4"},        // more than twice
		{three, 1, "1=25 2=10 3=10 4=10", "2 3 1 4"},        // this node too
		{three, 0.1, "1=10 2=12 3=10 4=10", "1 3 2 4"},      // a stricter threshold
		{three, 0.3, "1=10 2=12 3=10 4=10", "1 2 3 4"},      //
		{three, 0, "1=12 2=11 3=10 4=10", "3 2 1 4"},        // the score alone
		{three, 1, "1=500 2=500 3=500 4=2", "1 2 3 4"},      // never another datacenter first
		{three, 1, "1=10 2=10 4=10", "3 1 2 4"},             // nobody knows 3: it is tried
		{three, 1, "1=0.9 2=0.1 3=0.1 4=10", "1 2 3 4"},     // below a millisecond all are equal
		{"5 b/r1, 4 b/r1, 2 a/r1", 1, "4=10 5=50", "2 4 5"}, // the far ones among themselves
		{"9 c/r1, 5 b/r1, 7 c/r1", 1, "", "9 5 7"},          // equals stay
		{"2 a/r1", 1, "2=10", "2"},
	} {
		d := dynamicOf(c.threshold)
		for _, f := range strings.Fields(c.millis) {
			var n byte
			var ms float64
			if _, err := fmt.Sscanf(f, "%d=%g", &n, &ms); err != nil {
				t.Fatal(err)
			}
			d.Record(id(n), time.Duration(ms*float64(time.Millisecond)))
		}
		d.update(time.Unix(1, 0))
		nodes := nodesOf(c.nodes)
		d.Sort(nodes)
		if got := order1(nodes); got != c.want {
			t.Errorf("%s, threshold %g, %s: %s, want %s", c.nodes, c.threshold, c.millis, got, c.want)
		}
	}
	d := dynamicOf(1)
	d.Sort(nil)
	d.Sort(make([]*ring.Node, 0))
}

// slowMisplaced says it in Cassandra's words: the scores, sorted, are compared
// place by place with the scores as they stand.
func slowMisplaced(scores []float64, threshold float64) bool {
	sorted := slices.Clone(scores)
	sort.Float64s(sorted)
	for i := range scores {
		if scores[i] > sorted[i]*(1+threshold) {
			return true
		}
	}
	return false
}

func TestMisplacedAgainstSlowModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	both := map[bool]int{}
	for range 20000 {
		all := make([]standing, 1+rnd.IntN(6))
		var scores []float64
		for i := range all {
			all[i].score = float64(rnd.IntN(12)) / 10
			scores = append(scores, all[i].score)
		}
		threshold := float64(rnd.IntN(4)) / 2
		want := slowMisplaced(scores, threshold)
		both[want]++
		if got := misplaced(all, threshold); got != want {
			t.Fatalf("%v, threshold %g: %v, want %v", scores, threshold, got, want)
		}
	}
	if both[true] < 1000 || both[false] < 1000 {
		t.Errorf("%v: one-sided", both)
	}
}

// TestSortOfMany orders more replicas than there is room for on the stack.
func TestSortOfMany(t *testing.T) {
	d := dynamicOf(0)
	var nodes []*ring.Node
	for n := byte(60); n > 1; n-- {
		nodes = append(nodes, &ring.Node{HostID: id(n), Datacenter: "a", Rack: "r1"})
		d.Record(id(n), time.Duration(math.Pow(1.1, float64(n))*float64(time.Millisecond)))
	}
	d.update(time.Unix(1, 0))
	d.Sort(nodes)
	for i, n := range nodes {
		if n.HostID != id(byte(i+2)) {
			t.Fatalf("place %d: %d", i, n.HostID[0])
		}
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 2*time.Minute; d = d + d/40 + 10*time.Microsecond {
		b := bucketOf(d)
		low, high := boundsOf(b)
		ms := float64(d) / float64(time.Millisecond)
		switch {
		case b < last || b >= bucketCount:
			t.Fatalf("%s: bucket %d behind %d", d, b, last)
		case d < time.Millisecond && b != 0:
			t.Fatalf("%s: bucket %d", d, b)
		case b > 0 && b < bucketCount-1 && (ms < low || ms >= high || high > low*1.0626):
			t.Fatalf("%s: bucket %d from %g to %g", d, b, low, high)
		}
		last = b
	}
	if last != bucketCount-1 || bucketOf(-time.Second) != 0 || bucketOf(math.MaxInt64) != bucketCount-1 {
		t.Errorf("the ends: %d", last)
	}
}

// TestReservoir: the median of what came lately, where lately fades.
func TestReservoir(t *testing.T) {
	at := func(seconds float64) time.Time { return time.Unix(100, int64(seconds*1e9)) }
	for _, c := range []struct {
		name  string
		steps [][3]float64 // second, how many, milliseconds
		want  float64
	}{
		{"nothing", nil, 0},
		{"one", [][3]float64{{0, 1, 10}}, 10},
		{"fast ones are all a millisecond", [][3]float64{{0, 5, 0.2}}, 1},
		{"the middle", [][3]float64{{0, 3, 10}, {0, 2, 100}}, 10},
		{"the newer, if as many", [][3]float64{{0, 10, 10}, {1, 10, 100}}, 100},
		{"the older, if there are many more", [][3]float64{{0, 100, 10}, {1, 10, 100}}, 10},
		{"but not for ever", [][3]float64{{0, 100, 10}, {10, 1, 100}}, 100},
		{"waiting changes nothing", [][3]float64{{0, 100, 10}, {0, 10, 100}, {1e6, 0, 0}}, 10},
	} {
		var l latencies
		for _, s := range c.steps {
			for range int(s[1]) {
				l.record(time.Duration(s[2] * float64(time.Millisecond)))
			}
			l.drain(at(s[0]))
		}
		if l.middle < c.want || l.middle > c.want*1.07 {
			t.Errorf("%s: %g, want %g", c.name, l.middle, c.want)
		}
	}
}

// TestRun: scores follow what is recorded within the interval, and are forgotten
// after the other; while nothing is recorded no time passes for anybody.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dynamicOf(1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		facts := func() string {
			var out []string
			for _, f := range d.Facts() {
				out = append(out, fmt.Sprintf("%d %.2f", f.ID[0], f.Score))
			}
			return strings.Join(out, ", ")
		}
		step := func(wait time.Duration, want string) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if got := facts(); got != want {
				t.Errorf("scores %q, want %q", got, want)
			}
		}
		step(time.Hour, "")
		d.Record(id(3), 20*time.Millisecond)
		d.Record(id(2), 10*time.Millisecond)
		step(updateInterval-1, "2 0.00, 3 0.00")
		step(1, "") // more than the reset interval since the start: forgotten
		d.Record(id(3), 20*time.Millisecond)
		d.Record(id(2), 10*time.Millisecond)
		step(updateInterval, "2 0.50, 3 1.00")
		d.Record(id(2), 40*time.Millisecond)
		d.Record(id(2), 40*time.Millisecond)
		step(updateInterval, "2 1.00, 3 0.51")
		step(resetInterval, "2 1.00, 3 0.51")
		d.Record(id(2), 40*time.Millisecond)
		step(updateInterval, "")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	d := dynamicOf(1)
	nodes := nodesOf("4 b/r1, 3 a/r2, 2 a/r1, 1 a/r1")
	for _, n := range nodes {
		d.Record(n.HostID, 10*time.Millisecond)
	}
	d.Record(id(2), time.Second)
	d.Record(id(2), time.Second)
	d.update(time.Unix(1, 0))
	if n := testing.AllocsPerRun(100, func() { d.Record(id(2), time.Millisecond) }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { d.Sort(nodes) }); n != 0 {
		t.Errorf("Sort allocates %v times", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	d := dynamicOf(1)
	b.RunParallel(func(pb *testing.PB) {
		for n := byte(0); pb.Next(); n++ {
			d.Record(id(n%3), 3*time.Millisecond)
		}
	})
}

func BenchmarkSort(b *testing.B) {
	d := dynamicOf(1)
	nodes := nodesOf("3 a/r2, 2 a/r1, 1 a/r1")
	for _, n := range nodes {
		d.Record(n.HostID, 10*time.Millisecond)
	}
	d.update(time.Unix(1, 0))
	for b.Loop() {
		d.Sort(nodes)
	}
}
