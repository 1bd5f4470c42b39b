package balance

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// mostOverMean is what the fullest node stores, over what nodes store on average.
func mostOverMean(t *testing.T, r *Ring) float64 {
	t.Helper()
	m, err := newModel(r)
	if err != nil {
		t.Fatal(err)
	}
	sum, most := 0.0, 0.0
	for _, s := range newReplay(m).stored {
		sum, most = sum+s.float(), max(most, s.float())
	}
	return most / sum * float64(len(r.Nodes))
}

// carryOut does a plan's steps.
func carryOut(t *testing.T, r *Ring, p *Plan) *Ring {
	t.Helper()
	for i := range p.Steps {
		var err error
		if r, err = Apply(r, &p.Goal, &p.Steps[i]); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// grow does one join or leave as a plan. Where the tolerance is out of reach, a
// joiner's tokens are chosen and nobody else's move.
func grow(t *testing.T, r *Ring, g Goal) *Ring {
	t.Helper()
	g.Tolerance = "0.005"
	p, err := MakePlan(r, g)
	if err == nil {
		return carryOut(t, r, p)
	}
	var impossible *Impossible
	if !errors.As(err, &impossible) || len(g.Join) != 1 {
		t.Fatal(err)
	}
	j := g.Join[0]
	at, err := allocate(r, j, 16, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	r = r.Clone()
	r.Nodes = append(r.Nodes, Node{ID: j.ID, DC: j.DC, Rack: j.Rack, Weight: WeightOne, Tokens: at})
	return r
}

// TestJoinsAgainstCassandra does recorded joins and leaves: after each the
// fullest node stores no more, over the mean, than Cassandra's allocator made of
// the same.
func TestJoinsAgainstCassandra(t *testing.T) {
	data, err := os.ReadFile("testdata/allocate/cassandra.txt")
	if err != nil {
		t.Fatal(err)
	}
	var r *Ring
	racks, events, eventsMax := "", 0, count(t, "BALANCE_JOINS", 12)
	sums := map[string][2]float64{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		f := strings.Fields(line)
		switch f[0] {
		case "racks":
			racks, events, r = f[1], 0, joinedRing(t)
			continue
		case "start":
			n := Node{ID: f[1], DC: "dc1", Rack: f[2], Weight: WeightOne}
			for _, s := range f[3:] {
				p, err := r.ParseToken(s)
				if err != nil {
					t.Fatal(err)
				}
				n.Tokens = append(n.Tokens, p)
			}
			r.Nodes = append(r.Nodes, n)
			continue
		case "#":
			continue
		}
		if events++; events > eventsMax {
			continue
		}
		if f[0] == "join" {
			r = grow(t, r, Goal{Join: []Join{{f[1], "dc1", f[2]}}})
		} else {
			r = grow(t, r, Goal{Leave: []string{f[1]}})
		}
		theirs, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		ours := mostOverMean(t, r)
		if ours > theirs+1e-6 {
			t.Errorf("%s racks, event %d (%s %s): %.4f, Cassandra %.4f", racks, events, f[0], f[1], ours, theirs)
		}
		s := sums[racks]
		sums[racks] = [2]float64{s[0] + ours, s[1] + theirs}
	}
	for racks, s := range sums {
		n := float64(min(eventsMax, 100))
		t.Logf("%s racks: most over mean %.4f on average, Cassandra %.4f", racks, s[0]/n, s[1]/n)
	}
}

func joinedRing(t *testing.T) *Ring {
	t.Helper()
	r, err := NewRing(murmur3)
	if err != nil {
		t.Fatal(err)
	}
	r.Keyspaces = []Keyspace{{Name: "ks", Strategy: network, DCs: map[string]int{"dc1": 3}}}
	return r
}

// TestTwoRacksForThreeReplicas grows where Cassandra's allocator refuses.
func TestTwoRacksForThreeReplicas(t *testing.T) {
	r := bigRing(t, 4, 16, 2, 3, 0)
	for i := range 6 {
		r = grow(t, r, Goal{Join: []Join{{fmt.Sprint("new", i), "dc1", fmt.Sprint("r", i%2)}}})
		if most := mostOverMean(t, r); i%2 == 1 && most > 1.0051 {
			t.Errorf("%d nodes: the fullest stores %.4f of the mean", len(r.Nodes), most)
		}
	}
}

// TestAllocateAlone chooses tokens while nobody else's move: the joiner gets its
// share, and no node more than before.
func TestAllocateAlone(t *testing.T) {
	for _, racks := range []int{1, 2, 3, 5} {
		r := bigRing(t, 15, 16, racks, 3, 0)
		before := mostOverMean(t, r) / 15
		at, err := allocate(r, Join{"new", "dc1", "r0"}, 16, Goal{})
		if err != nil || len(at) != 16 {
			t.Fatalf("%v %d", err, len(at))
		}
		r.Nodes = append(r.Nodes, Node{ID: "new", DC: "dc1", Rack: "r0", Weight: WeightOne, Tokens: at})
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		if after := mostOverMean(t, r) / 16; after > before+1e-9 {
			t.Errorf("%d racks: the fullest node stores %.4f of all, before %.4f", racks, after, before)
		}
	}
}
