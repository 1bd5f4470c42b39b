package balance

import (
	"strings"
	"testing"
)

// TestStaleGoals holds that a plan whose joins, leaves or weights no longer fit
// is stale, not an error, and says why.
func TestStaleGoals(t *testing.T) {
	r := parse(t, classic)
	for _, c := range []struct {
		name, want string
		goal       Goal
		change     func(*Ring)
	}{
		{"joined", "g shall join, and is in the ring", Goal{Join: []Join{{"g", "", ""}}, Tolerance: "0.3"}, func(r *Ring) {
			r.Nodes = append(r.Nodes, Node{ID: "g", Weight: WeightOne, Tokens: []Position{At(5)}})
		}},
		{"left", "f shall leave, and is not in the ring", Goal{Leave: []string{"f"}, Tolerance: "0.9"}, func(r *Ring) { r.Nodes = r.Nodes[:5] }},
		{"gone with its weight", "weight of f: no such node", Goal{Weights: map[string]Decimal{"f": "2"}}, func(r *Ring) { r.Nodes = r.Nodes[:5] }},
		{"moved", "step 1: wrong from: ", Goal{}, func(r *Ring) { r.Nodes[5].Tokens[0] = At(291) }},
	} {
		p, err := MakePlan(r, c.goal)
		if err != nil {
			t.Fatal(err)
		}
		later := r.Clone()
		c.change(later)
		v, err := Verify(p, later)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if v.Valid || !v.Stale || len(v.Steps) > 0 || !strings.HasPrefix(v.Reason, "stale: ") || !strings.Contains(v.Reason, c.want) || len(v.Ownership.Before) != len(later.Nodes) {
			t.Errorf("%s: %+v, not %q", c.name, v, c.want)
		}
		p.RingHash = ""
		if _, err := Verify(p, later); (err != nil) != (c.name != "moved") {
			t.Errorf("%s, of a plan that names no ring: %v", c.name, err)
		}
	}
}

// TestDiskAfter holds that what nobody has cleaned up is still on disk.
func TestDiskAfter(t *testing.T) {
	r := parse(t, `{"circumference":300,"nodes":[{"id":"a","tokens":[0]},{"id":"b","tokens":[90]},{"id":"c","tokens":[180]}],
		"keyspaces":[{"name":"ks","strategy":"SimpleStrategy","rf":1}]}`)
	for cleanup, want := range map[string]Amount{CleanupEach: "110", CleanupDeferred: "120"} {
		p, err := MakePlan(r, Goal{Cleanup: cleanup})
		if err != nil {
			t.Fatal(err)
		}
		// a, with 120, goes from 0 to 290 and then loses 10 more to c.
		if len(p.Steps) != 2 || p.Steps[0].Node != "a" || p.Steps[0].DiskAfter["a"] != want || p.Steps[1].DiskAfter["a"] != "100" {
			t.Errorf("%s: %+v, not %s on a", cleanup, p.Steps, want)
		}
	}
}

// TestVerifyWarns holds that a plan made elsewhere is warned about as one's own.
func TestVerifyWarns(t *testing.T) {
	r := parse(t, strings.Replace(classic, `"rf":2`, `"rf":7`, 1))
	for i := range r.Nodes {
		r.Nodes[i].Rack = "AAABBB"[i : i+1]
	}
	v, err := Verify(&Plan{RingHash: r.Hash(), Goal: Goal{Mode: ModeRack, Racks: RacksRequire, Tolerance: "0.9"}}, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"RF above nodes: keyspace ks wants 7 replicas in the cluster, which has 6 nodes",
		"racks shall alternate, and 4 runs of consecutive tokens repeat one",
		"mode rack balances arcs within racks, and SimpleStrategy, of keyspace ks, does not look at racks",
	} {
		if !strings.Contains(strings.Join(v.Warnings, "\n"), want) {
			t.Errorf("%q, not %q", v.Warnings, want)
		}
	}
	v, err = Verify(&Plan{RingHash: r.Hash()}, r)
	if err != nil || !strings.Contains(strings.Join(v.Warnings, "\n"), "RF above nodes: keyspace ks wants 7 replicas in the cluster, which has 6 nodes") {
		t.Errorf("%v %q", err, v.Warnings)
	}
}

func TestUnknownKeyspaces(t *testing.T) {
	r := parse(t, classic)
	p, err := MakePlan(r, Goal{})
	if err != nil {
		t.Fatal(err)
	}
	const unknown = "which the ring does not have"
	if v, err := Verify(p, r); err != nil || strings.Contains(strings.Join(v.Warnings, "\n"), unknown) {
		t.Errorf("%v %q", err, v.Warnings)
	}
	p.Steps[0].Streams = append(p.Steps[0].Streams, Stream{Keyspace: "gone"}, Stream{Keyspace: "gone"})
	if v, err := Verify(p, r); err != nil || strings.Count(strings.Join(v.Warnings, "\n"), "step 1 streams keyspace gone, "+unknown) != 1 {
		t.Errorf("%v %q", err, v.Warnings)
	}
}

// TestDiskAfterEarlyCleanup holds disk_after to what is stored where deferred
// cleanup comes early, because a node regains what it lost.
func TestDiskAfterEarlyCleanup(t *testing.T) {
	early := 0
	for seed := range 12 {
		r := bigRing(t, 6+seed, 1, 1, 2, 0)
		p, err := MakePlan(r, Goal{Cleanup: CleanupDeferred})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Steps {
			s := &p.Steps[i]
			if r, err = Apply(r, &p.Goal, s); err != nil {
				t.Fatal(err)
			}
			v, err := Verify(&Plan{RingHash: r.Hash()}, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range s.Cleanup {
				held, told := s.DiskAfter[id]
				if told && i+1 < len(p.Steps) {
					early++
				}
				if told && held != v.Ownership.Before[id].Bytes {
					t.Errorf("seed %d, step %d: %s holds %s after its cleanup, not %s", seed, i+1, id, held, v.Ownership.Before[id].Bytes)
				}
			}
		}
	}
	if early == 0 {
		t.Error("no cleanup was early")
	}
}
