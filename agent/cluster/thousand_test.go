package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

// sharedStates lets many nodes of one process hold the same immutable State.
type sharedStates struct {
	mu    sync.Mutex // guards next
	first *meta.State
	next  map[string]*meta.State // by epoch before and change
}

func (m *sharedStates) apply(s *meta.State, change []byte) (*meta.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprintf("%d %s", s.Epoch, change)
	if known := m.next[key]; known != nil {
		return known, nil
	}
	next, err := applyEncoded(s, change)
	if err == nil {
		m.next[key] = next
	}
	return next, err
}

// largeState is a cluster of so many members with 16 tokens each and 5 voters.
func largeState(t *testing.T, members int) *meta.State {
	l := mustOpen(t, vfs.NewMem(), testConfig(1))
	s := *l.State()
	l.Close()
	r := rand.New(rand.NewPCG(1, 1))
	var nodes []*meta.Node
	for i := range members {
		n := *s.Nodes[0]
		n.HostID = helenus.HostID{byte(i >> 8), byte(i), 1}
		n.Broadcast = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 7000)
		n.Listen, n.Rack = n.Broadcast, helenus.Rack(fmt.Sprint("r", i%3))
		n.Tokens = randomTokens(r, 16)
		slices.SortFunc(n.Tokens, token.Token.Compare)
		nodes = append(nodes, &n)
	}
	s.Nodes, s.Group, s.Voters = nodes, meta.GroupID{1}, nil
	for i := range 5 {
		s.Voters = append(s.Voters, nodes[i*members/5].HostID)
	}
	out, err := meta.DecodeState(meta.EncodeState(nil, &s), s.LocalKeyspaces())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestThousandNodes: a schema change is everywhere within ten seconds when each
// node talks to three others a second, and no node has more to do for it in a
// large cluster than in a small one.
func TestThousandNodes(t *testing.T) {
	small := changeInLarge(t, 100)
	large := changeInLarge(t, 1000)
	t.Logf("100 nodes: %v; 1,000 nodes: %v", small, large)
	// It takes some more rounds to reach ten times the nodes; each is three peers.
	if large.bytesMost > 2*small.bytesMost || large.callsMost > 2*small.callsMost {
		t.Errorf("a node's part grows with the cluster: %v, %v", small, large)
	}
}

type cost struct {
	seconds, callsMost, bytesMost int
}

func changeInLarge(t *testing.T, members int) (c cost) {
	s := largeState(t, members)
	shared := &sharedStates{first: s, next: map[string]*meta.State{}}
	cryptotest.SetGlobalRandom(t, 1)
	t.Run(fmt.Sprint(members), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &bubble{t: t, net: newBubbleNet(1)}
			b.net.quiet = true
			defer b.stopAll()
			for i, n := range s.Nodes {
				b.addLight(i, n, shared)
			}
			pass(10 * time.Second)
			b.net.mu.Lock()
			clear(b.net.traffic)
			b.net.mu.Unlock()
			b.commit(members-1, createKeyspace(1))
			r := rand.New(rand.NewPCG(2, 2))
			for b.knowing("ks1") < members && c.seconds < 30 {
				b.gossipRound(r)
				c.seconds++
			}
			if b.knowing("ks1") < members || c.seconds > 10 {
				t.Errorf("%d of %d nodes have the change after %d s", b.knowing("ks1"), members, c.seconds)
			}
			b.net.mu.Lock()
			defer b.net.mu.Unlock()
			for at, n := range b.net.traffic {
				if s.IsVoter(b.net.nodes[at].log.self) {
					continue // they have heartbeats
				}
				c.callsMost, c.bytesMost = max(c.callsMost, n.calls), max(c.bytesMost, n.bytes)
			}
		})
	})
	return c
}

// addLight starts a member that shares its State with the others.
func (b *bubble) addLight(i int, m *meta.Node, shared *sharedStates) {
	n := &testNode{net: b.net, at: m.Broadcast, fs: vfs.NewMem(), cfg: testConfig(0)}
	n.cfg.Rand = rand.NewChaCha8([32]byte{byte(i >> 8), byte(i)})
	n.cfg.Node, n.cfg.NumTokens = *m, len(m.Tokens)
	n.cfg.Seeds = []helenus.Endpoint{address(1), address(2)}
	n.cfg.Install = nil
	n.cfg.apply = shared.apply
	n.cfg.decode = func([]byte, []*schema.Keyspace) (*meta.State, error) { return shared.first, nil }
	n.noLiveness = true
	n.fs.MkdirAll(n.cfg.Dir)
	for name, content := range map[string][]byte{"identity": sealed(identityMagic, m.HostID[:]), "snapshot": sealed(snapshotMagic, make([]byte, hashSize))} {
		if err := vfs.WriteFile(n.fs, n.cfg.Dir+"/"+name, content); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := n.start(); err != nil {
		b.t.Fatal(err)
	}
	b.nodes = append(b.nodes, n)
}

// gossipRound is a second in which every node compares epochs with three others.
func (b *bubble) gossipRound(r *rand.Rand) {
	for i, n := range b.nodes {
		for range 3 {
			other := b.nodes[r.IntN(len(b.nodes))]
			mine, theirs := n.log.State().Epoch, other.log.State().Epoch
			if mine > theirs {
				other.log.Heard(wire.Target{ID: n.log.self, Addr: n.at}, mine)
			} else if theirs > mine {
				n.log.Heard(wire.Target{ID: other.log.self, Addr: other.at}, theirs)
			}
		}
		if i%10 == 9 {
			pass(10 * time.Second / time.Duration(len(b.nodes)))
		}
	}
}

func (b *bubble) knowing(keyspace string) (count int) {
	var first []byte
	for _, n := range b.nodes {
		if s := n.log.State(); s.Schema.Keyspaces[keyspace] != nil {
			count++
			end := n.log.published.Load().history.end()
			if first == nil {
				first = end.hash[:]
			}
			if !bytes.Equal(first, end.hash[:]) {
				b.t.Fatal("histories differ")
			}
		}
	}
	return count
}
