package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/ring"
	"helenus/internal/token"
)

// chance fills bytes by a seed.
func chance(seed byte) func([]byte) {
	c := rand.NewChaCha8([32]byte{seed})
	return func(b []byte) { _, _ = c.Read(b) }
}

// joiner is the i-th node of a datacenter whose nodes take racks in turn.
func joiner(dc string, i, racks int) meta.Node {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, dc[len(dc)-1], 0, byte(i)}), 7000)
	return meta.Node{HostID: helenus.HostID{dc[len(dc)-1], byte(i)}, Broadcast: at, Listen: at, Native: at, Datacenter: helenus.Datacenter(dc),
		Rack: helenus.Rack(fmt.Sprint("r", i%racks)), Release: helenus.ReleaseVersion, Level: meta.CurrentLevel}
}

func founded(t *testing.T, p token.Partitioner) *meta.State {
	t.Helper()
	return apply(t, meta.New(nil), meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "c", Partitioner: p.Name()})
}

func apply(t *testing.T, s *meta.State, c meta.Change) *meta.State {
	t.Helper()
	next, err := meta.Apply(s, c)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// worst is the most that a node of a datacenter stores, over what it would if
// all was even: racks store as much as they have to, and nodes of a rack the
// same for each of their tokens.
func worst(t *testing.T, s *meta.State, dc helenus.Datacenter, factor int) float64 {
	t.Helper()
	strategy, err := ring.NewStrategy(ring.NetworkName, map[string]string{string(dc): fmt.Sprint(factor)})
	if err != nil {
		t.Fatal(err)
	}
	stored, inRack, rackStores := map[*ring.Node]float64{}, map[helenus.Rack]float64{}, map[helenus.Rack]float64{}
	for _, n := range s.Topology.Nodes() {
		if n.Datacenter == dc {
			inRack[n.Rack] += float64(len(n.Tokens))
		}
	}
	for _, r := range ring.NewPlacement(strategy, s.Topology).Ranges() {
		share := s.Partitioner.Share(r.Range.Left, r.Range.Right)
		for _, n := range r.Replicas {
			stored[n] += share
			rackStores[n.Rack] += share
		}
	}
	most := 0.0
	for n, share := range stored {
		most = max(most, share/float64(len(n.Tokens))*inRack[n.Rack]/rackStores[n.Rack])
	}
	return most
}

// TestJoinsKeepTheRingEven grows a datacenter from one node to twelve.
func TestJoinsKeepTheRingEven(t *testing.T) {
	for _, p := range []token.Partitioner{token.Murmur3Partitioner{}, token.RandomPartitioner{}} {
		for _, c := range []struct {
			racks, tokens int
			most, random  float64 // allowed of ours; what random tokens exceed at least once
		}{
			{1, 16, 1.02, 1.2}, {2, 16, 1.08, 1.2}, {3, 16, 1.02, 1.2}, {1, 4, 1.15, 1.3}, {3, 4, 1.05, 1.3}, {1, 64, 1.01, 1.07},
		} {
			if p.Name() != (token.Murmur3Partitioner{}).Name() && c.tokens != 16 {
				continue
			}
			grow := func(allocate func(*meta.State, meta.Node, int) []token.Token) (most float64) {
				s := founded(t, p)
				for i := range 12 {
					n := joiner("dc1", i, c.racks)
					n.Tokens = allocate(s, n, c.tokens)
					if len(n.Tokens) != c.tokens {
						t.Fatalf("%d tokens, want %d", len(n.Tokens), c.tokens)
					}
					s = apply(t, s, meta.Register{Node: n})
					most = max(most, worst(t, s, "dc1", 3))
				}
				return most
			}
			var log bytes.Buffer
			ours := grow(allocateTokens(3, chance(1), slog.New(slog.NewTextHandler(&log, nil))))
			if ours > c.most || log.Len() > 0 {
				t.Errorf("%s, %d racks, %d tokens: a node stores %.3f of its share, more than %.3f\n%s", p.Name(), c.racks, c.tokens, ours, c.most, log.String())
			}
			random := grow(func(s *meta.State, _ meta.Node, count int) []token.Token {
				return randomTokens(s, count, chance(byte(len(s.Nodes))))
			})
			if random < c.random {
				t.Errorf("%d racks, %d tokens: random tokens reach %.3f, so that this test shows nothing", c.racks, c.tokens, random)
			}
		}
	}
}

// TestJoinsInProportion: machines of several sizes store in proportion to their
// tokens.
func TestJoinsInProportion(t *testing.T) {
	for racks, allowed := range map[int]float64{1: 1.15, 3: 1.05} {
		s := founded(t, token.Murmur3Partitioner{})
		allocate := allocateTokens(3, chance(1), slog.New(slog.DiscardHandler))
		for i := range 15 {
			n := joiner("dc1", i, racks)
			n.Tokens = allocate(s, n, []int{16, 32, 8}[i/3%3])
			s = apply(t, s, meta.Register{Node: n})
			// Before that the largest would store more than all there is.
			if w := worst(t, s, "dc1", 3); i >= 4 && w > allowed {
				t.Errorf("%d racks, %d nodes: a node stores %.3f of its share, more than %.2f", racks, i+1, w, allowed)
			}
		}
	}
}

// TestJoinsOfTwoDatacenters: each is even by itself, and no token is taken twice.
func TestJoinsOfTwoDatacenters(t *testing.T) {
	s := founded(t, token.Murmur3Partitioner{})
	same := func(b []byte) { clear(b) } // both would begin at the same token
	allocate := allocateTokens(3, same, slog.New(slog.DiscardHandler))
	for i := range 12 {
		n := joiner(fmt.Sprint("dc", 1+i%2), i/2, 3)
		n.Tokens = allocate(s, n, 16)
		s = apply(t, s, meta.Register{Node: n}) // refuses a taken token
	}
	for _, dc := range []helenus.Datacenter{"dc1", "dc2"} {
		if w := worst(t, s, dc, 3); w > 1.02 {
			t.Errorf("%s: %.3f", dc, w)
		}
	}
}

// TestJoinsFirstNode begins by chance and is even; the same chance repeats.
func TestJoinsFirstNode(t *testing.T) {
	s := founded(t, token.Murmur3Partitioner{})
	first := func(seed byte) []token.Token {
		return allocateTokens(3, chance(seed), slog.New(slog.DiscardHandler))(s, joiner("dc1", 0, 1), 16)
	}
	a, b := first(1), first(2)
	if slices.Equal(a, b) || !slices.Equal(a, first(1)) {
		t.Errorf("seeds 1 and 2 gave\n%v\n%v", a, b)
	}
	for i, tok := range a {
		if tok.Prefix>>60 != uint64(i) {
			t.Errorf("token %d, %s, does not lie in its sixteenth of the ring", i, s.Partitioner.Format(tok))
		}
	}
	many := allocateTokens(3, chance(1), slog.New(slog.DiscardHandler))(s, joiner("dc1", 0, 1), 256)
	if len(many) != 256 || !slices.Equal(many, randomTokens(s, 256, chance(1))) {
		t.Errorf("%d tokens", len(many))
	}
	if allocateTokens(0, chance(1), nil) != nil {
		t.Error("factor 0 is not random tokens")
	}
}

// TestJoinsARingThatCannotBePlanned: tokens longer than balance can hold.
func TestJoinsARingThatCannotBePlanned(t *testing.T) {
	p := token.ByteOrderedPartitioner{}
	s := founded(t, p)
	n := joiner("dc1", 0, 1)
	n.Tokens = []token.Token{p.Token([]byte("a key of more than fifteen bytes"))}
	s = apply(t, s, meta.Register{Node: n})
	var log bytes.Buffer
	got := allocateTokens(3, chance(1), slog.New(slog.NewTextHandler(&log, nil)))(s, joiner("dc1", 1, 1), 4)
	if len(got) != 4 || !bytes.Contains(log.Bytes(), []byte("at random")) {
		t.Errorf("%v\n%s", got, log.String())
	}
}
