package coord

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"helenus"
	"helenus/internal/ring"
)

var writeLevels = []helenus.Consistency{helenus.Any, helenus.One, helenus.Two, helenus.Three, helenus.Quorum, helenus.All,
	helenus.LocalOne, helenus.LocalQuorum, helenus.EachQuorum}

// asked is a replica in the slow, obvious model of a level.
type asked struct {
	dc      helenus.Datacenter
	pending bool
	alive   bool
}

// enough tells by the words of each level whether these answers reach it.
func enough(cl helenus.Consistency, network bool, factors map[helenus.Datacenter]int, local helenus.Datacenter, all []asked, answered func(i int) bool) bool {
	answers, pending := map[helenus.Datacenter]int{}, map[helenus.Datacenter]int{}
	total, totalPending, factor := 0, 0, 0
	for i, a := range all {
		if answered(i) {
			answers[a.dc]++
			total++
		}
		if a.pending {
			pending[a.dc]++
			totalPending++
		}
	}
	for _, f := range factors {
		factor += f
	}
	localFactor := factors[local]
	if !network {
		localFactor = factor
	}
	switch cl {
	case helenus.Any:
		return total >= 1
	case helenus.One:
		return total >= 1+totalPending
	case helenus.Two:
		return total >= 2+totalPending
	case helenus.Three:
		return total >= 3+totalPending
	case helenus.Quorum:
		return total > factor/2+totalPending
	case helenus.All:
		return total >= factor+totalPending
	case helenus.LocalOne:
		return answers[local] >= 1+pending[local]
	case helenus.LocalQuorum:
		return answers[local] > localFactor/2+pending[local]
	case helenus.EachQuorum:
		if !network {
			return total > factor/2+totalPending
		}
		for dc, f := range factors {
			if answers[dc] <= f/2+pending[dc] {
				return false
			}
		}
		return true
	}
	panic(cl)
}

// TestTally compares the counting with the model: every level, factors of one
// to three datacenters, replicas that join, and all orders of answers that
// chance brings.
func TestTally(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 4000 {
		network := rng.IntN(2) == 0
		factors := map[helenus.Datacenter]int{}
		options := map[string]string{}
		var all []asked
		var pending []*ring.Node
		for i := range 1 + rng.IntN(3) {
			dc := helenus.Datacenter(fmt.Sprint("dc", i))
			factors[dc] = 1 + rng.IntN(4)
			options[string(dc)] = fmt.Sprint(factors[dc])
			for range factors[dc] {
				all = append(all, asked{dc: dc, alive: rng.IntN(4) > 0})
			}
			for range rng.IntN(3) / 2 {
				all = append(all, asked{dc: dc, pending: true, alive: rng.IntN(4) > 0})
				pending = append(pending, &ring.Node{Datacenter: dc})
			}
		}
		strategy, err := ring.NewStrategy(ring.NetworkName, options)
		if !network {
			strategy, err = ring.NewStrategy(ring.SimpleName, map[string]string{ring.FactorOption: fmt.Sprint(strategy.Factor())})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, cl := range writeLevels {
			checkTally(t, rng, cl, strategy, network, factors, all, pending)
		}
	}
}

func checkTally(t *testing.T, rng *rand.Rand, cl helenus.Consistency, s ring.Strategy, network bool, factors map[helenus.Datacenter]int, all []asked, pending []*ring.Node) {
	t.Helper()
	var y tally
	y.reset(cl, s, "dc0", pending)
	var open []int
	acked := map[int]bool{}
	waiting := map[int]bool{}
	for i, a := range all {
		if a.alive {
			y.expect(a.dc)
			open = append(open, i)
			waiting[i] = true
		}
	}
	rng.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	for step := 0; ; step++ {
		met := enough(cl, network, factors, "dc0", all, func(i int) bool { return acked[i] })
		possible := enough(cl, network, factors, "dc0", all, func(i int) bool { return acked[i] || waiting[i] })
		if y.met() != met || y.hopeless() == possible {
			t.Fatalf("%s of %v, network %v, replicas %+v, acked %v, waiting %v: met %v, want %v; hopeless %v, possible %v",
				cl, factors, network, all, acked, waiting, y.met(), met, y.hopeless(), possible)
		}
		if step == len(open) {
			return
		}
		i := open[step]
		delete(waiting, i)
		if rng.IntN(3) > 0 {
			acked[i] = true
			y.acked(all[i].dc)
		} else {
			y.failed(all[i].dc)
		}
	}
}
