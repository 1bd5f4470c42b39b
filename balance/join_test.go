package balance

import (
	"fmt"
	"slices"
	"testing"
)

// joinAll grows a datacenter node by node and hands every step to look.
func joinAll(t *testing.T, nodes, racks, tokens, factor int, look func(r *Ring)) {
	t.Helper()
	r := joinedRing(t)
	r.Keyspaces[0].DCs["dc1"] = factor
	for i := range nodes {
		j := Join{fmt.Sprint("n", i), "dc1", fmt.Sprint("r", i%racks)}
		at, err := JoinTokens(r, j, tokens, factor, 12345)
		if err != nil {
			t.Fatal(err)
		}
		r.Nodes = append(r.Nodes, Node{ID: j.ID, DC: j.DC, Rack: j.Rack, Weight: WeightOne, Tokens: at})
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		look(r)
	}
}

// worstShare is the most that a node stores, over what it would if the nodes of
// its rack stored the same: racks store as much as they have to.
func worstShare(t *testing.T, r *Ring) (worst float64) {
	t.Helper()
	m, err := newModel(r)
	if err != nil {
		t.Fatal(err)
	}
	stored, nodes := map[string]float64{}, map[string]float64{}
	all := newReplay(m).stored
	for v := range r.Nodes {
		stored[r.Nodes[v].Rack] += all[v].float()
		nodes[r.Nodes[v].Rack]++
	}
	for v := range r.Nodes {
		rack := r.Nodes[v].Rack
		worst = max(worst, all[v].float()*nodes[rack]/stored[rack])
	}
	return worst
}

// TestJoinTokens grows datacenters: no node ever stores much more than its share.
func TestJoinTokens(t *testing.T) {
	for _, c := range []struct {
		racks, tokens, factor, nodes int
		most                         float64
	}{
		{1, 16, 3, 12, 1.02}, {2, 16, 3, 12, 1.08}, {3, 16, 3, 12, 1.02}, {5, 16, 3, 12, 1.06}, {1, 16, 1, 8, 1.02}, {1, 16, 2, 8, 1.02},
		{1, 16, 5, 10, 1.08}, {1, 4, 3, 12, 1.12}, {3, 4, 3, 12, 1.04}, {1, 64, 3, 8, 1.01}, {1, 1, 3, 3, 1.01},
	} {
		worst := 0.0
		joinAll(t, c.nodes, c.racks, c.tokens, c.factor, func(r *Ring) {
			w := worstShare(t, r)
			t.Logf("%+v, %d nodes: %.4f", c, len(r.Nodes), w)
			worst = max(worst, w)
		})
		if worst > c.most {
			t.Errorf("%+v: %.4f", c, worst)
		}
	}
}

// TestJoinTokensFirstNodes: a token in every part of the ring, the third node
// makes all arcs equal, and chance decides which slots are whose.
func TestJoinTokensFirstNodes(t *testing.T) {
	var owners []string
	joinAll(t, 3, 1, 16, 3, func(r *Ring) {
		if len(r.Nodes) < 3 {
			return
		}
		type claim struct {
			at   Position
			node string
		}
		var all []claim
		for _, n := range r.Nodes {
			for i, p := range n.Tokens {
				if part := p.fraction(1, 1<<60); part != At(uint64(i)) {
					t.Errorf("%s: token %d lies in part %v", n.ID, i, part)
				}
				all = append(all, claim{p, n.ID})
			}
		}
		slices.SortFunc(all, func(a, b claim) int { return a.at.cmp(b.at) })
		for i := range all[1:] {
			if arc := after(all[i].at, all[i+1].at, r.size()); arc != At((1<<64-1)/48) {
				t.Errorf("arc %d: %v", i, arc)
			}
		}
		for i := 0; i < len(all); i += 3 {
			owners = append(owners, all[i].node+all[i+1].node+all[i+2].node)
		}
	})
	slices.Sort(owners)
	if len(slices.Compact(owners)) < 5 {
		t.Errorf("orders of the nodes: %q, nearly always the same", owners)
	}
	r := joinedRing(t)
	j := Join{"n", "dc1", "r0"}
	a, errA := JoinTokens(r, j, 16, 3, 1)
	b, errB := JoinTokens(r, j, 16, 3, 2<<40)
	again, _ := JoinTokens(r, j, 16, 3, 1)
	if errA != nil || errB != nil || slices.Equal(a, b) || !slices.Equal(a, again) {
		t.Errorf("%v %v\n%v\n%v\n%v", errA, errB, a, b, again)
	}
}

// TestJoinTokensElsewhere: nodes that lie anyhow are joined too, other
// datacenters' tokens are kept off, and nonsense is refused.
func TestJoinTokensElsewhere(t *testing.T) {
	r := bigRing(t, 2, 16, 1, 3, 0)
	if at, err := JoinTokens(r, Join{"n", "dc1", "r0"}, 16, 3, 1); err != nil || len(at) != 16 {
		t.Errorf("%v %v", at, err)
	}
	r = joinedRing(t)
	for i := range 6 { // the same chance: the same grid
		j := Join{fmt.Sprint("n", i), fmt.Sprint("dc", 1+i%2), "r0"}
		at, err := JoinTokens(r, j, 16, 3, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.Nodes = append(r.Nodes, Node{ID: j.ID, DC: j.DC, Rack: j.Rack, Weight: WeightOne, Tokens: at})
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		if i > 1 {
			if slot, ok := slotOf(at[0], r.Nodes[i%2].Tokens[0], At((1<<64-1)/48)); !ok {
				t.Errorf("%s left the grid: %v, slot %d", j.ID, at[0], slot)
			}
		}
	}
	for _, c := range [][2]int{{0, 3}, {16, 0}, {16, factorMax + 1}, {tokensMax + 1, 3}} {
		if _, err := JoinTokens(r, Join{"x", "dc1", "r0"}, c[0], c[1], 1); err == nil {
			t.Errorf("%d tokens, factor %d: no error", c[0], c[1])
		}
	}
}
