package coord

import (
	"math/rand/v2"
	"slices"
	"testing"

	"helenus"
	"helenus/internal/token"
	"helenus/store/row"
)

// aliveBut is who lives: all but one.
type aliveBut helenus.HostID

// Alive implements Liveness.
func (a aliveBut) Alive(id helenus.HostID) bool { return id != helenus.HostID(a) }

// TestArcs: the parts of a range hold each of its keys once, in order, and those
// asked for a part are replicas of all of it.
func TestArcs(t *testing.T) {
	murmur := token.Murmur3Partitioner{}
	s := spec{places: "dc1/r1 dc1/r2 dc1/r3 dc1/r1 dc1/r2 dc1/r3 dc1/r1", keyspaces: map[string]string{"wide": "7", "ks": "3", "one": "1"}}
	state := (&nodes{TB: t}).metadata(s)
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		c := New(Options{Self: hostID(r.IntN(7)), Datacenter: "dc1", Partition: murmur, Tables: noTables{}, Wire: noCalls{}, Liveness: aliveBut(hostID(9))})
		keyspace := []string{"wide", "ks", "one"}[r.IntN(3)]
		p := state.Placement(keyspace)
		start, end := randomBound(r), randomBound(r)
		cl := []helenus.Consistency{helenus.One, helenus.Quorum, helenus.All}[r.IntN(3)]
		var a arcs
		a.begin(c, p, cl, start, end)
		var bounds [][2]row.Bound
		var who []contacts
		for n := 0; ; n++ {
			var one contacts
			left := a.left()
			from, to, ok, err := a.next(&one)
			if err != nil || n > 8 {
				t.Fatalf("part %d: %v", n, err)
			}
			if ok != (left > 0) {
				t.Fatalf("%d parts are left, and another is there: %v", left, ok)
			}
			if !ok {
				break
			}
			bounds, who = append(bounds, [2]row.Bound{from, to}), append(who, one)
		}
		if keyspace == "wide" && len(bounds) != 1 {
			t.Fatalf("%d parts, though all nodes have everything", len(bounds))
		}
		for k := range 60 {
			key := keyOf(k)
			var in []int
			for i := range bounds {
				if bounds[i][0].AfterStart(key, murmur) && bounds[i][1].BeforeEnd(key, murmur) {
					in = append(in, i)
				}
			}
			if within := start.AfterStart(key, murmur) && end.BeforeEnd(key, murmur); within != (len(in) == 1) || len(in) > 1 {
				t.Fatalf("key %d, in the range: %v, lies in parts %v", k, within, in)
			}
			for _, i := range in {
				for _, n := range who[i].nodes {
					if !slices.Contains(p.Replicas(murmur.Token(key.Bytes)), n) {
						t.Fatalf("%s is asked for key %d and does not have it", n.HostID, k)
					}
				}
			}
		}
	}
}

// noCalls is a way to others that no test uses.
type noCalls struct{ Caller }

func randomBound(r *rand.Rand) row.Bound {
	k := keyOf(r.IntN(60))
	switch r.IntN(4) {
	case 0:
		return row.Bound{Open: true}
	case 1:
		return row.KeyBound(k, r.IntN(2) == 0)
	case 2:
		return row.TokenBound(token.FromInt64(tokenOf(r.IntN(7), 7)), r.IntN(2) == 0)
	}
	return row.TokenBound(token.Token{Prefix: k.Prefix}, r.IntN(2) == 0)
}
