package balance

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestRoom gives every node in turn as little free disk as lets a plan through,
// and a little less than the best plan wants of it: another plan is found where
// there is one, and all that is found fits.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		nodes, rf int
		rings     int
		least     int // of them: for which another plan was found
	}{{6, 2, 10, 1}, {20, 2, 4, 2}, {40, 1, 2, 1}} { // on a small one the end alone may need it
		found := 0
		for seed := range c.rings {
			rnd := rand.New(rand.NewPCG(uint64(seed), 36))
			r := bigRing(t, c.nodes, 1, 1, c.rf, 0)
			r.Keyspaces[0].PerToken = "0.000001"
			for i := range r.Nodes {
				r.Nodes[i].Tokens[0] = At(rnd.Uint64())
			}
			best, err := MakePlan(r, Goal{})
			if err != nil {
				t.Fatal(err)
			}
			peak := best.Summary.PeakDisk
			free := new(big.Int).SetUint64(uint64(peak.Bytes.Float() * 0.98))
			r.Nodes[r.node(peak.Node)].DiskFree = free
			p, err := MakePlan(r, Goal{})
			if err != nil {
				if impossible := (*Impossible)(nil); !errors.As(err, &impossible) {
					t.Error(err)
				}
				continue
			}
			found++
			if v, err := Verify(p, r); err != nil || !v.Valid {
				t.Errorf("%d nodes, seed %d: %v %s", c.nodes, seed, err, v.Reason)
			}
			if p.Summary.Moves == best.Summary.Moves && p.Summary.Bytes.Float() < best.Summary.Bytes.Float()*(1-1e-9) && best.Summary.Proof == ProofExhaustive {
				t.Errorf("%d nodes, seed %d: %s bytes, of all %s is best", c.nodes, seed, p.Summary.Bytes, best.Summary.Bytes)
			}
		}
		if t.Logf("%d nodes, RF %d: %d", c.nodes, c.rf, found); found < c.least {
			t.Errorf("%d nodes, RF %d: another plan for %d rings of %d", c.nodes, c.rf, found, c.rings)
		}
	}
}
