package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"helenus"
	"helenus/internal/token"
)

// TestPending compares with what it means: whoever is a replica of the ring as
// it will be and is none of the ring as it is.
func TestPending(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := 0
	for range 300 {
		var now, then []Node
		for i := range 3 + rng.IntN(6) {
			n := Node{HostID: helenus.HostID{byte(i)}, Datacenter: helenus.Datacenter(fmt.Sprint("dc", i%2)), Rack: helenus.Rack(fmt.Sprint(i % 3))}
			for range 3 {
				n.Tokens = append(n.Tokens, token.FromInt64(rng.Int64N(1000)))
			}
			n.State = []NodeState{Normal, Normal, Normal, Joining, Leaving, Moving}[rng.IntN(6)]
			if i == 0 {
				n.State = Normal
			}
			now = append(now, n)
			if n.State != Leaving {
				n.State = Normal
				then = append(then, n)
			}
		}
		strategy := Strategy(Simple{1 + rng.IntN(4)})
		if rng.IntN(2) == 0 {
			strategy = &Network{factors: map[helenus.Datacenter]int{"dc0": 2, "dc1": 1}, total: 3}
		}
		p, q := NewPlacement(strategy, NewTopology(now)), NewPlacement(strategy, NewTopology(then))
		for range 20 {
			tok := token.FromInt64(rng.Int64N(1000))
			var want []helenus.HostID
			for _, n := range q.Replicas(tok) {
				if !slices.ContainsFunc(p.Replicas(tok), func(have *Node) bool { return have.HostID == n.HostID }) {
					want = append(want, n.HostID)
				}
			}
			var got []helenus.HostID
			for _, n := range p.Pending(tok) {
				got = append(got, n.HostID)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("token %v of %+v: pending %v, want %v", tok, now, got, want)
			}
			some += len(got)
		}
	}
	if some == 0 {
		t.Error("nothing was ever pending")
	}
}
