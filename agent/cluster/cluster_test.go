package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

// inBubble runs a story of some nodes.
func inBubble(t *testing.T, count int, seed uint64, story func(b *bubble)) {
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, count, seed)
		defer b.stopAll()
		story(b)
	})
}

func pass(d time.Duration) { time.Sleep(d) }

func all(count int) (out []int) {
	for i := range count {
		out = append(out, i)
	}
	return out
}

// TestGrow: nodes found and join, voters are chosen, and a change made anywhere is
// everywhere.
func TestGrow(t *testing.T) {
	for _, count := range []int{2, 3, 5, 7} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			inBubble(t, count, 1, func(b *bubble) {
				b.start(all(count)...)
				pass(40 * time.Second)
				s := b.equal()
				if len(s.Nodes) != count || len(s.Voters) != votersOf(count) {
					t.Fatalf("%d members, voters %v; %+v", len(s.Nodes), s.Voters, b.nodes[count-1].log.Status())
				}
				for i := range count {
					before := time.Now()
					s := b.commit(i, createKeyspace(i))
					if s.Schema.Keyspaces[fmt.Sprintf("ks%d", i)] == nil || b.nodes[i].log.State().Epoch < s.Epoch {
						t.Errorf("node %d: no keyspace at epoch %d", i+1, s.Epoch)
					}
					if took := time.Since(before); took > 100*time.Millisecond {
						t.Errorf("node %d: a change took %v", i+1, took)
					}
				}
				pass(20 * time.Second)
				s = b.equal()
				again := createKeyspace(0)
				again.IfNotExists = true
				for i := range count {
					if same := b.commit(i, again); same.Epoch != s.Epoch {
						t.Errorf("node %d: a change with nothing to do made epoch %d", i+1, same.Epoch)
					}
					_, err := b.nodes[i].log.Commit(context.Background(), createKeyspace(0))
					var refused *helenus.Error
					if !errors.As(err, &refused) || refused.Code != helenus.CodeAlreadyExists || refused.Keyspace != "ks0" {
						t.Errorf("node %d: %v", i+1, err)
					}
				}
				if b.equal().Epoch != s.Epoch {
					t.Error("refused changes made an epoch")
				}
			})
		})
	}
}

// TestJoinThroughStale: a new node that reads the metadata of a member that is
// behind wants tokens that are taken. It waits until it can know more, and neither
// asks over and over nor gives up.
func TestJoinThroughStale(t *testing.T) {
	inBubble(t, 5, 1, func(b *bubble) {
		for _, n := range b.nodes {
			n.cfg.Allocate = func(s *meta.State, _ meta.Node, tokens int) (out []token.Token) {
				for i := range tokens {
					out = append(out, token.Murmur3Partitioner{}.Token([]byte{byte(len(s.Nodes)), byte(i)}))
				}
				slices.SortFunc(out, token.Token.Compare)
				return out
			}
		}
		b.start(0, 1, 2)
		pass(20 * time.Second)
		stale := (b.leader() + 1) % 3
		behind := b.nodes[stale].at
		b.net.set(func(from, to helenus.Endpoint) bool {
			newest := b.nodes[4].at // reaches everybody
			return (from == behind || to == behind) && from != newest && to != newest
		})
		b.start(3)
		pass(10 * time.Second)
		b.nodes[4].cfg.Seeds = []helenus.Endpoint{behind}
		b.start(4)
		pass(20 * time.Second)
		if s := b.nodes[b.leader()].log.State(); len(s.Nodes) != 4 {
			t.Fatalf("%d members, want the four that know of each other", len(s.Nodes))
		}
		if why := b.nodes[4].log.Status().Waiting; !strings.Contains(why, "cannot read the metadata") {
			t.Errorf("it waits for %q", why)
		}
		b.net.set(func(_, _ helenus.Endpoint) bool { return false })
		pass(30 * time.Second)
		if s := b.equal(); len(s.Nodes) != 5 {
			t.Errorf("%d members", len(s.Nodes))
		}
	})
}

// TestLeaderKilled: with one voter of three, or two of five, gone, changes go on;
// with one more gone they do not, nodes restart and serve what they have, and all
// is well when the voters are back.
func TestLeaderKilled(t *testing.T) {
	for _, count := range []int{3, 5} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			inBubble(t, count, 2, func(b *bubble) {
				r := rand.New(rand.NewPCG(1, 1))
				b.start(all(count)...)
				pass(40 * time.Second)
				b.equal()
				var gone []int
				for k := range count / 2 {
					lead := b.leader()
					b.nodes[lead].crash(r)
					gone = append(gone, lead)
					next := (lead + 1) % count
					for b.nodes[next].log == nil {
						next = (next + 1) % count
					}
					b.commit(next, createKeyspace(k))
					pass(10 * time.Second)
					b.equal()
				}
				lead := b.leader()
				b.nodes[lead].crash(r)
				gone = append(gone, lead)
				rest := -1
				for i, n := range b.nodes {
					if n.log != nil {
						rest = i
					}
				}
				before := b.equal()
				_, err := b.nodes[rest].log.Commit(context.Background(), createKeyspace(90))
				var refused *helenus.Error
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), fmt.Sprintf("%d of %d voters must agree", count/2+1, count)) ||
					!strings.Contains(err.Error(), "reads and writes go on") {
					t.Errorf("without a majority: %v", err)
				}
				short, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if _, err := b.nodes[rest].log.Commit(short, createKeyspace(90)); !errors.As(err, &refused) {
					t.Errorf("without a majority and with little time: %v", err)
				}
				if err := b.nodes[rest].stop(); err != nil {
					t.Fatal(err)
				}
				b.start(rest)
				if s := b.nodes[rest].log.State(); s.Epoch != before.Epoch {
					t.Errorf("restarted without voters at epoch %d, was %d", s.Epoch, before.Epoch)
				}
				b.start(gone...)
				pass(15 * time.Second)
				b.commit(gone[0], createKeyspace(91))
				pass(15 * time.Second)
				s := b.equal()
				for k := range count / 2 {
					if s.Schema.Keyspaces[fmt.Sprintf("ks%d", k)] == nil {
						t.Errorf("change %d is lost", k)
					}
				}
			})
		})
	}
}

// TestVoterReplaced: a voter that is dead for long gives its seat to another.
func TestVoterReplaced(t *testing.T) {
	inBubble(t, 4, 3, func(b *bubble) {
		b.start(all(4)...)
		pass(40 * time.Second)
		voters := b.voters()
		dead := voters[0]
		if err := b.nodes[dead].stop(); err != nil {
			t.Fatal(err)
		}
		pass(9 * time.Minute)
		if s := b.equal(); !s.IsVoter(b.nodes[dead].self()) {
			t.Error("replaced too early")
		}
		pass(2 * time.Minute)
		s := b.equal()
		if s.IsVoter(b.nodes[dead].self()) || len(s.Voters) != 3 {
			t.Fatalf("voters %v", s.Voters)
		}
		b.commit(voters[1], createKeyspace(1))
		b.start(dead)
		pass(15 * time.Second)
		if s := b.equal(); s.Schema.Keyspaces["ks1"] == nil {
			t.Error("the replaced voter has not followed")
		}
		b.commit(dead, createKeyspace(2))
	})
}

// self is the host id, also while the node is down.
func (n *testNode) self() (id helenus.HostID) {
	if n.log != nil {
		return n.log.self
	}
	l := &Log{fs: n.fs, cfg: n.cfg}
	id, _ = l.identity()
	return id
}

// TestPartition: the side with the majority goes on, the other does not, and after
// healing all are equal.
func TestPartition(t *testing.T) {
	inBubble(t, 5, 4, func(b *bubble) {
		b.start(all(5)...)
		pass(40 * time.Second)
		b.commit(0, createKeyspace(0))
		lead := b.leader()
		small := map[helenus.Endpoint]bool{b.nodes[lead].at: true, b.nodes[(lead+1)%5].at: true}
		b.net.set(func(from, to helenus.Endpoint) bool { return small[from] != small[to] })
		again := createKeyspace(0)
		again.IfNotExists = true
		for _, c := range []meta.Change{again, createKeyspace(1)} {
			if _, err := b.nodes[lead].log.Commit(context.Background(), c); err == nil {
				t.Errorf("a minority decided %v", c)
			}
		}
		b.commit((lead+2)%5, createKeyspace(2))
		b.commit((lead+3)%5, createKeyspace(3))
		b.net.set(nil)
		pass(15 * time.Second)
		s := b.equal()
		if s.Schema.Keyspaces["ks2"] == nil || s.Schema.Keyspaces["ks3"] == nil {
			t.Error("a change of the majority is lost")
		}
		// One way only: what a node sends arrives, what is sent to it does not.
		lead = b.leader()
		deaf := b.nodes[lead].at
		b.net.set(func(_, to helenus.Endpoint) bool { return to == deaf })
		b.commit((lead+1)%5, createKeyspace(4))
		b.net.set(nil)
		pass(15 * time.Second)
		if b.equal().Schema.Keyspaces["ks4"] == nil {
			t.Error("a change is lost")
		}
	})
}

func (n *bubbleNet) set(cut func(from, to helenus.Endpoint) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut == nil {
		cut = func(_, _ helenus.Endpoint) bool { return false }
	}
	n.cut = cut
}

// TestRetriedProposal: answers to proposals are lost, and yet each change happens
// once.
func TestRetriedProposal(t *testing.T) {
	inBubble(t, 4, 5, func(b *bubble) {
		b.start(all(4)...)
		pass(40 * time.Second)
		s := b.equal()
		from := 0
		for s.IsVoter(b.nodes[from].self()) {
			from++
		}
		lost := 0
		b.net.mu.Lock()
		b.net.lie = func(_ helenus.Endpoint, v wire.VerbID, m wire.Message) {
			if out, ok := m.(*outcome); ok && out.verdict == decided && lost < 3 {
				lost++
				*out = outcome{verdict: elsewhere, epoch: out.epoch}
			}
		}
		b.net.mu.Unlock()
		next := b.commit(from, createKeyspace(1))
		if b.net.value(&lost) != 3 || next.Epoch != s.Epoch+1 {
			t.Errorf("%d answers lost, epoch %d after %d", b.net.value(&lost), next.Epoch, s.Epoch)
		}
		pass(10 * time.Second)
		b.equal()
	})
}

// TestLyingPeer: entries and snapshots that do not belong to this history are
// refused with the reason, and change nothing.
func TestLyingPeer(t *testing.T) {
	for what, lie := range map[string]func(a *pullAnswer, forged []byte){
		"another change":   func(a *pullAnswer, forged []byte) { a.entries[0].payload = forged },
		"consistent lie":   func(a *pullAnswer, forged []byte) { a.entries[0].payload = forged[:30] },
		"an epoch skipped": func(a *pullAnswer, _ []byte) { a.entries[0].epoch++ },
		"a snapshot of another cluster": func(a *pullAnswer, _ []byte) {
			s := meta.New(nil)
			s, _ = meta.Apply(s, meta.Found{ClusterID: meta.ClusterID{66}, ClusterName: "x", Partitioner: token.Murmur3Partitioner{}.Name()})
			s.Epoch = a.epoch
			b := meta.EncodeState(nil, s)
			*a = pullAnswer{epoch: a.epoch, snapshot: point{epoch: a.epoch}, total: uint64(len(b)), piece: b}
		},
		"a snapshot with a hole": func(a *pullAnswer, _ []byte) {
			*a = pullAnswer{epoch: a.epoch, snapshot: point{epoch: a.epoch}, total: 100, offset: 50, piece: make([]byte, 50)}
		},
		"a snapshot of garbage": func(a *pullAnswer, _ []byte) {
			*a = pullAnswer{epoch: a.epoch, snapshot: point{epoch: a.epoch}, total: 50, piece: make([]byte, 50)}
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, 2, 6, func(b *bubble) {
				b.start(0, 1)
				pass(10 * time.Second)
				before := b.equal()
				decider := b.leader()
				victim := b.nodes[1-decider].log
				lies := 0
				b.net.mu.Lock()
				b.net.lie = func(_ helenus.Endpoint, _ wire.VerbID, m wire.Message) {
					if a, ok := m.(*pullAnswer); ok && len(a.entries) > 0 {
						lies++
						entries := append([]entry(nil), a.entries...)
						a.entries = entries
						lie(a, payload(proposalID{}, meta.EncodeChange(nil, createKeyspace(66))))
						if what == "consistent lie" {
							e := a.entries[0]
							a.last = link(victim.published.Load().history.end().hash, e.epoch, e.payload)
						}
					}
				}
				b.net.mu.Unlock()
				b.commit(decider, createKeyspace(1))
				pass(12 * time.Second)
				if s := victim.State(); s.Epoch != before.Epoch || b.net.value(&lies) == 0 || victim.Status().Problem == "" {
					t.Fatalf("epoch %d after %d, %d lies, problem %q", s.Epoch, before.Epoch, b.net.value(&lies), victim.Status().Problem)
				}
				b.net.mu.Lock()
				b.net.lie = nil
				b.net.mu.Unlock()
				pass(12 * time.Second)
				if b.equal(); victim.Status().Problem != "" {
					t.Errorf("problem %q stays", victim.Status().Problem)
				}
			})
		})
	}
}

// TestRefusals: who cannot be a member is told why, and nothing changes.
func TestRefusals(t *testing.T) {
	for what, c := range map[string]struct {
		change func(b *bubble, n *testNode)
		want   string
	}{
		"another cluster":     {func(_ *bubble, n *testNode) { n.cfg.ClusterName = "other" }, `is in cluster "test"`},
		"another partitioner": {func(_ *bubble, n *testNode) { n.cfg.Partitioner = token.RandomPartitioner{} }, "correct partitioner"},
		"an older build":      {func(_ *bubble, n *testNode) { n.cfg.Node.Level = 1 }, "upgrade this node"},
		"a place of another scheme": {func(_ *bubble, n *testNode) {
			n.cfg.MayJoin = func(s *meta.State) error { return fmt.Errorf("%d members speak against it", len(s.Nodes)) }
		}, "cannot join test: 3 members speak against it"},
		"a taken token": {func(b *bubble, n *testNode) {
			n.cfg.InitialTokens = b.equal().Nodes[0].Tokens[:1]
		}, "belongs to node"},
		"a taken address": {func(b *bubble, n *testNode) { n.cfg.Node.Broadcast = b.nodes[0].at }, "address 127.0.0.1:7000 belongs to node"},
		"a taken host id": {func(b *bubble, n *testNode) {
			n.fs.MkdirAll(n.cfg.Dir)
			l := &Log{fs: n.fs, cfg: n.cfg}
			l.cfg.Rand = idReader(b.nodes[0].log.self)
			if id, err := l.identity(); err != nil || id != b.nodes[0].log.self {
				panic("no such id")
			}
		}, "runs on a copy of its directory"},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, 4, 7, func(b *bubble) {
				b.start(0, 1, 2)
				pass(20 * time.Second)
				before := b.equal()
				n := b.nodes[3]
				c.change(b, n)
				b.start(3)
				pass(10 * time.Second)
				select {
				case err := <-n.ended:
					if err == nil || !strings.Contains(err.Error(), c.want) {
						t.Errorf("ended with %v", err)
					}
					n.ended <- nil
				default:
					t.Errorf("goes on: %+v", n.log.Status())
				}
				if n.log.State().Founded() {
					t.Error("the refused node keeps the metadata")
				}
				n.stop()
				if s := b.equal(); s.Epoch != before.Epoch {
					t.Errorf("epoch %d after %d", s.Epoch, before.Epoch)
				}
			})
		})
	}
}

type idReader helenus.HostID

func (r idReader) Read(b []byte) (int, error) { return copy(b, r[:]), nil }

// TestMembersRefused: a member that comes back as another is told why.
func TestMembersRefused(t *testing.T) {
	inBubble(t, 3, 8, func(b *bubble) {
		b.start(0, 1, 2)
		pass(20 * time.Second)
		n := b.nodes[2]
		n.stop()
		for what, change := range map[string]func(c *Config){
			"rack":   func(c *Config) { c.Node.Rack = "r9" },
			"name":   func(c *Config) { c.ClusterName = "other" },
			"tokens": func(c *Config) { c.NumTokens++ },
		} {
			cfg := n.cfg
			change(&cfg)
			if l, err := Open(n.fs, cfg); err == nil {
				l.Close()
				t.Errorf("another %s was taken", what)
			}
		}
		b.start(2)
		pass(5 * time.Second)
		// A copy of its directories, at another address.
		twin := *n
		twin.at, twin.fs = address(9), n.fs.Kill()
		twin.cfg.Node.Broadcast, twin.cfg.Node.Listen = twin.at, twin.at
		if err := twin.start(); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		if err := twin.stop(); err == nil || !strings.Contains(err.Error(), "runs on a copy") {
			t.Errorf("the copy: %v", err)
		}
		n.stop()
		n.at = address(9) // and in earnest
		n.cfg.Node.Broadcast, n.cfg.Node.Listen = n.at, n.at
		b.start(2)
		pass(10 * time.Second)
		if s := b.equal(); s.Node(n.log.self).Broadcast != n.at {
			t.Errorf("moved to %s", s.Node(n.log.self).Broadcast)
		}
	})
}

// TestFoundingWaits: below half of the seeds nobody founds; then one does.
func TestFoundingWaits(t *testing.T) {
	inBubble(t, 4, 9, func(b *bubble) {
		b.start(2, 3)
		pass(30 * time.Second)
		for _, i := range []int{2, 3} {
			l := b.nodes[i].log
			if l.State().Founded() || !strings.Contains(l.Status().Waiting, "127.0.0.1:7000") {
				t.Errorf("node %d: %+v", i+1, l.Status())
			}
			if _, err := l.Commit(context.Background(), createKeyspace(1)); err == nil || !strings.Contains(err.Error(), "no cluster yet") {
				t.Errorf("node %d commits: %v", i+1, err)
			}
		}
		b.start(1)
		pass(10 * time.Second)
		s := b.equal()
		if len(s.Nodes) != 3 {
			t.Fatalf("%d members: %+v", len(s.Nodes), b.nodes[1].log.Status())
		}
		b.start(0) // late, and with the whole list gone but for members
		pass(10 * time.Second)
		if s := b.equal(); len(s.Nodes) != 4 {
			t.Errorf("%d members", len(s.Nodes))
		}
	})
}

// TestPromiseSurvivesCrash: who promised one node that it founds keeps to it after
// a power cut, whatever others say.
func TestPromiseSurvivesCrash(t *testing.T) {
	inBubble(t, 3, 13, func(b *bubble) {
		first := 0 // the one with the lowest host id founds
		b.start(0, 1)
		if b.nodes[1].self().String() < b.nodes[0].self().String() {
			first = 1
		}
		for !b.nodes[first].log.State().Founded() {
			pass(time.Millisecond)
		}
		at := b.nodes[first].at
		b.net.set(func(from, to helenus.Endpoint) bool { return from == at || to == at })
		b.nodes[1-first].fs = b.nodes[1-first].fs.CrashNone()
		image := b.nodes[1-first].fs
		b.nodes[1-first].stop()
		b.nodes[1-first].fs = image
		b.start(1-first, 2)
		pass(30 * time.Second)
		for _, i := range []int{1 - first, 2} {
			if b.nodes[i].log.State().Founded() {
				t.Errorf("node %d founded another cluster", i+1)
			}
		}
		b.net.set(nil)
		pass(20 * time.Second)
		if s := b.equal(); len(s.Nodes) != 3 {
			t.Errorf("%d members", len(s.Nodes))
		}
	})
}

// TestPromisedBeforeSaid: when a voter tells others of its vote or of entries, a
// power cut cannot take them back any more.
func TestPromisedBeforeSaid(t *testing.T) {
	inBubble(t, 3, 14, func(b *bubble) {
		votes, entries := 0, 0
		b.net.sent = func(from *port, m wire.Message) {
			said, ok := m.(*raftMessage)
			if !ok || said.body.GetReject() {
				return
			}
			var fs *vfs.Mem
			for _, n := range b.nodes {
				if n.at == from.at {
					fs = n.fs.CrashNone()
				}
			}
			f := &raftFile{l: &Log{fs: fs, cfg: from.log.cfg}, name: raftName(said.group), group: said.group}
			r := raftRecord{base: newRaftSnapshot(1, 1, point{})}
			raw, err := vfs.ReadFile(fs, f.l.path(f.name), logSizeMax)
			if err == nil {
				_, err = f.replay(raw, &r)
			}
			last := r.base.GetMetadata().GetIndex() + uint64(len(r.entries))
			switch said.body.GetType() {
			case raftpb.MsgVoteResp:
				votes++
				if err != nil || r.hard.GetVote() != said.body.GetTo() || r.hard.GetTerm() != said.body.GetTerm() {
					t.Errorf("a vote is said and not kept: %v, %v", r.hard, err)
				}
			case raftpb.MsgAppResp:
				entries++
				if err != nil || last < said.body.GetIndex() || r.hard.GetTerm() != said.body.GetTerm() {
					t.Errorf("entry %d is said to be here, the last is %d: %v", said.body.GetIndex(), last, err)
				}
			}
		}
		b.start(0, 1, 2)
		pass(20 * time.Second)
		for i := range 5 {
			lead := b.leader()
			b.nodes[lead].stop()
			b.commit((lead+1)%3, createKeyspace(i))
			b.start(lead)
			pass(5 * time.Second)
		}
		if b.equal(); b.net.value(&votes) < 5 || b.net.value(&entries) < 10 {
			t.Errorf("%d votes, %d entries", b.net.value(&votes), b.net.value(&entries))
		}
	})
}

// TestFoundersApart: partitions come and go while all are new, and one cluster
// comes out.
func TestFoundersApart(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, 5, 100+seed, func(b *bubble) {
				r := rand.New(rand.NewPCG(seed, 2))
				for i := range b.nodes {
					b.nodes[i].cfg.Seeds = nil
					for k := range 5 {
						b.nodes[i].cfg.Seeds = append(b.nodes[i].cfg.Seeds, address(byte(k+1)))
					}
				}
				b.start(all(5)...)
				for range 10 {
					blocked := map[[2]helenus.Endpoint]bool{}
					for range r.IntN(14) {
						blocked[[2]helenus.Endpoint{address(byte(r.IntN(5) + 1)), address(byte(r.IntN(5) + 1))}] = true
					}
					b.net.set(func(from, to helenus.Endpoint) bool { return blocked[[2]helenus.Endpoint{from, to}] })
					pass(time.Duration(r.IntN(4000)) * time.Millisecond)
					if k := r.IntN(5); r.IntN(3) == 0 {
						b.nodes[k].crash(r)
						b.start(k)
					}
				}
				b.net.set(nil)
				pass(40 * time.Second)
				if s := b.equal(); len(s.Nodes) != 5 {
					t.Errorf("%d members", len(s.Nodes))
				}
			})
		})
	}
}

// TestRecover: two of three voters are gone for ever; the third brings the cluster
// back, and others follow it even where they knew more.
func TestRecover(t *testing.T) {
	inBubble(t, 4, 10, func(b *bubble) {
		b.start(all(4)...)
		pass(40 * time.Second)
		voters := b.voters()
		left, ahead := b.nodes[voters[2]], 0
		for b.equal().IsVoter(b.nodes[ahead].log.self) {
			ahead++
		}
		if _, err := left.log.Recover(context.Background()); err == nil || !strings.Contains(err.Error(), "nothing to recover") {
			t.Errorf("with a leader: %v", err)
		}
		// A change that the one left over does not know.
		b.net.set(func(from, to helenus.Endpoint) bool { return from == left.at || to == left.at })
		b.commit(ahead, createKeyspace(1))
		b.nodes[voters[0]].stop()
		b.nodes[voters[1]].stop()
		pass(10 * time.Second)
		if left.log.State().Schema.Keyspaces["ks1"] != nil {
			t.Fatal("it knows already")
		}
		if _, err := left.log.Recover(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.net.set(nil)
		pass(15 * time.Second)
		s := b.equal()
		if s.Epoch.Incarnation() != 1 || len(s.Voters) != 1 || s.Schema.Keyspaces["ks1"] != nil {
			t.Errorf("epoch %d, voters %v", s.Epoch, s.Voters)
		}
		b.commit(ahead, createKeyspace(2))
		b.start(voters[0]) // not so gone after all
		pass(15 * time.Second)
		s = b.equal()
		if s.Schema.Keyspaces["ks2"] == nil || len(s.Voters) != 3 {
			t.Errorf("epoch %d, voters %v", s.Epoch, s.Voters)
		}
	})
}

// TestSameSeedSameTrace: a run with crashes and lost messages repeats byte for
// byte.
func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) (sum string) {
		t.Run("", func(t *testing.T) {
			inBubble(t, 5, seed, func(b *bubble) {
				r := rand.New(rand.NewPCG(seed, 3))
				b.start(all(5)...)
				pass(20 * time.Second)
				for i := range 6 {
					k := r.IntN(5)
					b.nodes[k].crash(r)
					b.commit((k+1)%5, createKeyspace(i))
					b.start(k)
					pass(time.Duration(r.IntN(3000)) * time.Millisecond)
				}
				pass(15 * time.Second)
				b.equal()
				b.net.mu.Lock()
				sum = fmt.Sprintf("%x", b.net.trace.Sum(nil))
				b.net.mu.Unlock()
			})
		})
		return sum
	}
	one, two, other := run(11), run(11), run(12)
	if one != two {
		t.Error("the same seed gave two runs")
	}
	if one == other {
		t.Error("another seed gave the same run")
	}
}
