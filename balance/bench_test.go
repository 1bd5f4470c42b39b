package balance

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"helenus/internal/cputime"
)

// bigRing is a Murmur3 ring of random single tokens, or nearly even ones.
func bigRing(tb testing.TB, nodes, tokens, racks, rf int, jitter float64) *Ring {
	tb.Helper()
	r, err := NewRing(murmur3)
	if err != nil {
		tb.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(uint64(nodes), uint64(tokens)))
	for i := range nodes {
		n := Node{ID: fmt.Sprint("n", i), DC: "dc1", Rack: fmt.Sprint("r", i%racks), Weight: WeightOne}
		for range tokens {
			p := At(rnd.Uint64())
			if jitter > 0 {
				p = r.size().fraction(uint64(i), uint64(nodes)).add(At(uint64(rnd.Float64() * jitter * (1 << 63) / float64(nodes) * 2)))
			}
			n.Tokens = append(n.Tokens, p)
		}
		r.Nodes = append(r.Nodes, n)
	}
	r.Keyspaces = []Keyspace{{Name: "ks", Strategy: network, DCs: map[string]int{"dc1": rf}}}
	return r
}

func reportCPU(b *testing.B) func() {
	start := cputime.Process(b)
	return func() { b.ReportMetric((cputime.Process(b)-start).Seconds()/float64(b.N), "cpu-s/op") }
}

func benchPlan(b *testing.B, r *Ring, g Goal) {
	defer reportCPU(b)()
	for b.Loop() {
		p, err := MakePlan(r, g)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(p.Summary.Moves), "moves")
		b.ReportMetric(100*p.Summary.Gap, "gap%")
	}
}

func BenchmarkExact100RF1(b *testing.B)   { benchPlan(b, bigRing(b, 100, 1, 1, 1, 0), Goal{}) }
func BenchmarkExact100RF3(b *testing.B)   { benchPlan(b, bigRing(b, 100, 1, 1, 3, 0), Goal{}) }
func BenchmarkExact1000RF1(b *testing.B)  { benchPlan(b, bigRing(b, 1000, 1, 1, 1, 0), Goal{}) }
func BenchmarkExact1000RF3(b *testing.B)  { benchPlan(b, bigRing(b, 1000, 1, 1, 3, 0), Goal{}) }
func BenchmarkRacks1000(b *testing.B)     { benchPlan(b, bigRing(b, 1000, 1, 3, 3, 0), Goal{}) }
func BenchmarkExact10000RF3(b *testing.B) { benchPlan(b, bigRing(b, 10000, 1, 1, 3, 0), Goal{}) }
func BenchmarkTolerance1000(b *testing.B) {
	benchPlan(b, bigRing(b, 1000, 1, 1, 3, 0), Goal{Tolerance: "0.05"})
}

func BenchmarkVnodes100x16(b *testing.B) {
	benchPlan(b, bigRing(b, 100, 16, 1, 3, 0), Goal{Tolerance: "0.05"})
}
func BenchmarkVnodes300x16(b *testing.B) {
	benchPlan(b, bigRing(b, 300, 16, 1, 3, 0), Goal{Tolerance: "0.05"})
}
func BenchmarkVnodes300x16Racks(b *testing.B) {
	benchPlan(b, bigRing(b, 300, 16, 3, 3, 0), Goal{Tolerance: "0.05"})
}

// BenchmarkOwnership counts what 75,000 nodes of 16 tokens hold.
func BenchmarkOwnership(b *testing.B) {
	r := bigRing(b, 75000, 16, 3, 3, 0)
	m, err := newModel(r)
	if err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		newReplay(m)
	}
}

func BenchmarkTolerance10000(b *testing.B) {
	benchPlan(b, bigRing(b, 10000, 1, 1, 3, 0), Goal{Tolerance: "0.05"})
}

// BenchmarkMeasured1000 has data that is not even.
func BenchmarkMeasured1000(b *testing.B) {
	r := bigRing(b, 1000, 1, 1, 3, 0)
	for i := range uint64(64) {
		r.Keyspaces[0].Density = append(r.Keyspaces[0].Density, Density{At(i << 58), Decimal(fmt.Sprint(1 + i*7%5))})
	}
	benchPlan(b, r, Goal{})
}

func BenchmarkJoin100x16(b *testing.B) {
	benchPlan(b, bigRing(b, 100, 16, 1, 3, 0), Goal{Tolerance: "0.05", Join: []Join{{"new", "dc1", "r0"}}})
}
