package ring

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/token"
)

func node(id byte, dc, rack string, tokens ...int64) Node {
	n := Node{HostID: helenus.HostID{id}, Datacenter: helenus.Datacenter(dc), Rack: helenus.Rack(rack)}
	for _, t := range tokens {
		n.Tokens = append(n.Tokens, token.FromInt64(t))
	}
	return n
}

func ids(nodes []*Node) string {
	var out []string
	for _, n := range nodes {
		out = append(out, fmt.Sprint(n.HostID[0]))
	}
	return strings.Join(out, " ")
}

func mustStrategy(t *testing.T, class string, options map[string]string) Strategy {
	t.Helper()
	s, err := NewStrategy(class, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReplicas(t *testing.T) {
	racks := NewTopology([]Node{
		node(1, "a", "r1", 10), node(2, "a", "r1", 20), node(3, "a", "r1", 30), node(4, "a", "r2", 40),
		node(5, "b", "r1", 15), node(6, "b", "r1", 25, 45),
	})
	for _, c := range []struct {
		class   string
		options string
		tok     int64
		want    string
	}{
		{SimpleName, "replication_factor=1", 10, "1"},
		{SimpleName, "replication_factor=1", 11, "5"},
		{SimpleName, "replication_factor=3", 41, "6 1 5"},
		{SimpleName, "replication_factor=3", 46, "1 5 2"}, // past the last token
		{SimpleName, "replication_factor=9", 10, "1 5 2 6 3 4"},
		{SimpleName, "replication_factor=0", 10, ""},
		{NetworkName, "a=1 b=1", 10, "1 5"},
		{NetworkName, "a=2", 10, "1 4"},   // two racks: the second must come from r2
		{NetworkName, "a=3", 10, "1 2 4"}, // one repeat, used up by the first repeated rack
		{NetworkName, "a=3", 35, "4 1 2"}, // likewise from the other side
		{NetworkName, "b=2", 10, "5 6"},   // one rack
		{NetworkName, "b=5", 20, "6 5"},   // more than there are
		{NetworkName, "c=3", 20, ""},      // nobody there
		{NetworkName, "a=0 b=1", 26, "6"}, // 45
		{NetworkName, "a=1 b=2", 21, "6 3 5"},
		{LocalName, "", 20, ""},
	} {
		options := make(map[string]string)
		for _, o := range strings.Fields(c.options) {
			k, v, _ := strings.Cut(o, "=")
			options[k] = v
		}
		p := NewPlacement(mustStrategy(t, c.class, options), racks)
		if got := ids(p.Replicas(token.FromInt64(c.tok))); got != c.want {
			t.Errorf("%s {%s} token %d: replicas %q, want %q", c.class, c.options, c.tok, got, c.want)
		}
	}
}

// slowNetwork says the rule in other words: for one datacenter, go once around
// the ring; the first RF - racks nodes whose rack is already taken are welcome,
// later ones are not.
func slowNetwork(nodes []Node, dc helenus.Datacenter, rf int, start token.Token) map[helenus.HostID]bool {
	type claim struct {
		tok  token.Token
		node Node
	}
	var claims []claim
	members, racks := map[helenus.HostID]bool{}, map[helenus.Rack]bool{}
	for _, n := range nodes {
		if n.Datacenter != dc || n.State == Joining {
			continue
		}
		members[n.HostID], racks[n.Rack] = true, true
		for _, tok := range n.Tokens {
			claims = append(claims, claim{tok, n})
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { return a.tok.Compare(b.tok) })
	first := 0
	for first < len(claims) && claims[first].tok.Less(start) {
		first++
	}
	claims = append(slices.Clone(claims[first:]), claims[:first]...)
	chosen, usedRacks, repeated := map[helenus.HostID]bool{}, map[helenus.Rack]bool{}, 0
	for _, c := range claims {
		switch {
		case len(chosen) == min(rf, len(members)) || chosen[c.node.HostID]:
		case !usedRacks[c.node.Rack]:
			usedRacks[c.node.Rack], chosen[c.node.HostID] = true, true
		case repeated < rf-len(racks):
			repeated++
			chosen[c.node.HostID] = true
		}
	}
	return chosen
}

func TestNetworkAgainstSlowModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var nodes []Node
		for i := range 1 + rnd.IntN(20) {
			n := node(byte(i+1), string(rune('a'+rnd.IntN(3))), fmt.Sprint("r", rnd.IntN(4)))
			for range 1 + rnd.IntN(8) {
				n.Tokens = append(n.Tokens, token.FromInt64(rnd.Int64()-rnd.Int64()))
			}
			if rnd.IntN(10) == 0 {
				n.State = Joining
			}
			nodes = append(nodes, n)
		}
		options := map[string]string{}
		for _, dc := range []string{"a", "b", "c"} {
			options[dc] = fmt.Sprint(rnd.IntN(6))
		}
		topology := NewTopology(nodes)
		s := mustStrategy(t, NetworkName, options)
		p := NewPlacement(s, topology)
		for range 20 {
			tok := token.FromInt64(rnd.Int64() - rnd.Int64())
			want := map[helenus.HostID]bool{}
			for _, dc := range []helenus.Datacenter{"a", "b", "c"} {
				for id := range slowNetwork(nodes, dc, s.FactorIn(dc), tok) {
					want[id] = true
				}
			}
			got := p.Replicas(tok)
			if len(got) != len(want) {
				t.Fatalf("round %d: %d replicas, want %d", round, len(got), len(want))
			}
			for _, n := range got {
				if !want[n.HostID] {
					t.Fatalf("round %d: replica %d is not among the expected", round, n.HostID[0])
				}
			}
		}
	}
}

func TestRangesCoverTheRing(t *testing.T) {
	topology := NewTopology([]Node{node(1, "a", "r", 10, -5), node(2, "a", "r", 20)})
	p := NewPlacement(mustStrategy(t, SimpleName, map[string]string{FactorOption: "1"}), topology)
	ranges := p.Ranges()
	for _, tok := range []int64{-6, -5, 0, 10, 11, 20, 21} {
		hits := 0
		for _, r := range ranges {
			if r.Range.Contains(token.FromInt64(tok)) {
				hits++
				if ids(r.Replicas) != ids(p.Replicas(token.FromInt64(tok))) {
					t.Errorf("token %d: range says %s, Replicas %s", tok, ids(r.Replicas), ids(p.Replicas(token.FromInt64(tok))))
				}
			}
		}
		if hits != 1 {
			t.Errorf("token %d lies in %d ranges", tok, hits)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.Replicas(token.FromInt64(3)) }); n != 0 {
		t.Errorf("Replicas allocates %v times", n)
	}
}

func TestCheckLive(t *testing.T) {
	topology := NewTopology([]Node{
		node(1, "a", "r", 1), node(2, "a", "r", 2), node(3, "a", "r", 3),
		node(4, "b", "r", 4), node(5, "b", "r", 5),
	})
	network := map[string]string{"a": "3", "b": "3"} // one more than b has
	simple := map[string]string{FactorOption: "3"}
	one := NewTopology([]Node{node(1, "a", "r", 1)})
	for _, c := range []struct {
		topology *Topology
		class    string
		options  map[string]string
		cl       helenus.Consistency
		dead     string
		want     string
	}{
		{one, SimpleName, simple, helenus.One, "", "ok"},
		{one, SimpleName, simple, helenus.Any, "1", "ok"},
		{one, SimpleName, simple, helenus.Two, "", "TWO 2/1"},
		{one, SimpleName, simple, helenus.Quorum, "", "QUORUM 2/1"},
		{one, SimpleName, simple, helenus.LocalQuorum, "", "LOCAL_QUORUM 2/1"},
		{one, SimpleName, simple, helenus.EachQuorum, "", "EACH_QUORUM 2/1"},
		{one, SimpleName, simple, helenus.All, "", "ALL 3/1"},
		{one, SimpleName, simple, helenus.Serial, "", "QUORUM 2/1"},
		{one, SimpleName, simple, helenus.LocalSerial, "", "LOCAL_QUORUM 2/1"},
		{one, NetworkName, map[string]string{"a": "3"}, helenus.EachQuorum, "", "EACH_QUORUM in DC a 2/1"},
		{one, LocalName, nil, helenus.Quorum, "", "ok"},
		{topology, NetworkName, network, helenus.Quorum, "", "ok"},
		{topology, NetworkName, network, helenus.Quorum, "1", "ok"},
		{topology, NetworkName, network, helenus.Quorum, "1 2", "QUORUM 4/3"},
		{topology, NetworkName, network, helenus.LocalQuorum, "1 4 5", "ok"},
		{topology, NetworkName, network, helenus.LocalQuorum, "1 2", "LOCAL_QUORUM 2/1"},
		{topology, NetworkName, network, helenus.LocalOne, "1 2 3", "LOCAL_ONE 1/0"},
		{topology, NetworkName, network, helenus.LocalSerial, "1 2", "LOCAL_QUORUM 2/1"},
		{topology, NetworkName, network, helenus.Serial, "1 2", "QUORUM 4/3"},
		{topology, NetworkName, network, helenus.One, "1 2 3", "ok"},
		{topology, NetworkName, network, helenus.EachQuorum, "", "ok"},
		{topology, NetworkName, network, helenus.EachQuorum, "4", "EACH_QUORUM in DC b 2/1"},
		{topology, NetworkName, network, helenus.All, "", "ALL 6/5"},
		{topology, SimpleName, simple, helenus.LocalQuorum, "1", "ok"},
	} {
		s := mustStrategy(t, c.class, c.options)
		p := NewPlacement(s, c.topology)
		replicas := p.Replicas(token.FromInt64(1))
		dead := strings.Fields(c.dead)
		err := CheckLive(c.cl, s, "a", replicas, BlockFor(c.cl, s, "a"), func(n *Node) bool {
			return !slices.Contains(dead, fmt.Sprint(n.HostID[0]))
		})
		got := "ok"
		var e *helenus.Error
		if errors.As(err, &e) {
			got = fmt.Sprintf("%s %d/%d", strings.TrimPrefix(e.Message, "Cannot achieve consistency level "), e.Required, e.Alive)
		}
		if got != c.want {
			t.Errorf("%s %v %s dead {%s}: %s, want %s", c.class, c.options, c.cl, c.dead, got, c.want)
		}
	}
}

func TestBlockForCountsPending(t *testing.T) {
	s := mustStrategy(t, NetworkName, map[string]string{"a": "3", "b": "3"})
	a, b := node(1, "a", "r"), node(2, "b", "r")
	pending := []*Node{&a, &b}
	for cl, want := range map[helenus.Consistency]int{
		helenus.Any: 1, helenus.One: 3, helenus.Quorum: 6, helenus.LocalQuorum: 3, helenus.EachQuorum: 6, helenus.LocalOne: 2,
	} {
		if got := BlockForWrite(cl, s, "a", pending); got != want {
			t.Errorf("%s blocks for %d, want %d", cl, got, want)
		}
	}
	if BlockForPaxos(1) != 1 || BlockForPaxos(3) != 2 || BlockForPaxos(4) != 3 {
		t.Error("paxos majority")
	}
}

func TestStrategyRefusesDamage(t *testing.T) {
	for _, class := range []string{"Nope", SimpleName} {
		if _, err := NewStrategy(class, map[string]string{FactorOption: "-1"}); err == nil {
			t.Errorf("%s: no error", class)
		}
	}
	if _, err := NewStrategy(NetworkName, map[string]string{"a": "x"}); err == nil {
		t.Error("a factor that is no number was taken")
	}
}
