package gossip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/wire"
)

func TestThreeNodes(t *testing.T) {
	inWorld(t, 1, 3, func(w *world) {
		a := w.nodes[0]
		if a.Alive(target(2).ID) || !a.Alive(target(1).ID) || a.Alive(target(9).ID) {
			t.Error("before anything was heard, only this node itself is alive")
		}
		changed := a.Changed()
		w.until(3*time.Second, "everybody sees everybody", func() bool { return w.allSee(upTo(3)...) })
		select {
		case <-changed:
		default:
			t.Error("nobody was told of a new View")
		}
		e := a.View().Endpoint(target(2).ID)
		load, ok := e.LoadBytes()
		if e.Text(KeyStatus) != "NORMAL,1" || !e.RPCReady() || e.Native().Port() != 9042 || load != 1<<20 || !ok || e.Epoch() != 1 ||
			e.Schema() != [16]byte{1, 15: 9} || e.Text(KeyHostID) != target(2).ID.String() || e.Generation != wallAt || !e.Alive() {
			t.Errorf("node 2 as node 1 sees it: %+v", e)
		}
		if a.View().Endpoint(target(9).ID) != nil || a.View().Len() != 3 {
			t.Error("there is somebody who is no member")
		}
		view := a.View()
		w.run(30 * time.Second)
		if a.View() != view {
			t.Error("heartbeats alone made a new View")
		}
		w.stop(1)
		took := w.until(25*time.Second, "node 2 is down", func() bool { return w.sees(0, false, 1) && w.sees(2, false, 1) })
		t.Logf("down after %v: %s", took, a.fact(1).Reason)
		if e := a.View().Endpoint(target(2).ID); e.Liveness != Down || !strings.Contains(e.Reason, "no heartbeat for") {
			t.Errorf("no reason for being down: %+v", e)
		}
		if !strings.Contains(a.log.String(), "node is down") || !strings.Contains(a.log.String(), "reason=\"no heartbeat for") {
			t.Errorf("the log does not say it: %s", a.log.String())
		}
		w.start(1, wallAt+60)
		w.until(5*time.Second, "everybody sees everybody again", func() bool { return w.allSee(upTo(3)...) })
	})
}

// TestSuspicion: with the second opinion a node is down sooner, and not by it
// alone.
func TestSuspicion(t *testing.T) {
	inWorld(t, 3, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.run(60 * time.Second)
		(*reports)(w.nodes[0].Gossip).Failed(target(2).ID, true)
		w.run(2 * time.Second)
		if !w.sees(0, true, 1) {
			t.Error("down by a probe although heartbeats come")
		}
		w.stop(1)
		w.run(12 * time.Second)
		if !w.sees(0, false, 1) || !strings.Contains(w.nodes[0].fact(1).Reason, "no answer to probes") {
			t.Errorf("still up 12 s after its end: %+v", w.nodes[0].fact(1))
		}
	})
	inWorld(t, 3, 3, func(w *world) {
		for i := range w.nodes {
			w.stop(i)
			w.start(i, wallAt+1, func(o *Options) { o.Members = &silent{} })
		}
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.run(60 * time.Second)
		w.stop(1)
		w.run(12 * time.Second)
		if !w.sees(0, true, 1) {
			t.Errorf("down after 12 s by phi alone: %+v", w.nodes[0].fact(1))
		}
		w.run(13 * time.Second)
		if !w.sees(0, false, 1) {
			t.Errorf("still up after 25 s: %+v", w.nodes[0].fact(1))
		}
	})
}

// silent is a Members without an opinion.
type silent struct{ Probes }

func (*silent) Run(ctx context.Context, _ Room) error {
	<-ctx.Done()
	return nil
}

func TestFiftyNodes(t *testing.T) {
	const n = 50
	inWorld(t, 5, n, func(w *world) {
		all := upTo(n)
		took := w.until(10*time.Second, "all see all", func() bool { return w.allSee(all...) })
		w.nodes[7].Set(Own{Status: "NORMAL,7", RPCReady: false})
		spread := w.until(8*time.Second, "all know that node 7 serves no clients", func() bool {
			return !slices.ContainsFunc(w.nodes, func(m *member) bool { return m.View().Endpoint(target(8).ID).RPCReady() })
		})
		w.stop(20)
		w.stop(21)
		rest := slices.DeleteFunc(slices.Clone(all), func(i int) bool { return i == 20 || i == 21 })
		down := w.until(40*time.Second, "all see two nodes down", func() bool {
			return !slices.ContainsFunc(rest, func(i int) bool { return !w.sees(i, false, 20, 21) })
		})
		if !w.allSee(rest...) {
			t.Error("others went down with them")
		}
		t.Logf("all up after %v, a change everywhere after %v, two dead nodes down everywhere after %v", took, spread, down)
		var most uint64
		for _, i := range rest {
			most = max(most, w.nodes[i].Facts().RoundBytesMax)
		}
		f := w.nodes[0].Facts()
		t.Logf("%d bytes sent in the longest round; node 0 sent %d bytes a round", most, f.BytesSent/f.Rounds)
		if most > 5*2*packetBytesMax || most == 0 {
			t.Errorf("%d bytes in a round", most)
		}
	})
}

// TestRestart: a start with a higher generation replaces everything.
func TestRestart(t *testing.T) {
	inWorld(t, 7, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.run(10 * time.Second)
		w.stop(2)
		w.start(2, wallAt+11)
		w.nodes[2].Set(Own{Status: "NORMAL,2", RPCReady: false})
		w.run(3 * time.Second)
		for i := range 2 {
			e := w.nodes[i].View().Endpoint(target(3).ID)
			if e.Generation != wallAt+11 || e.RPCReady() || !e.Alive() {
				t.Errorf("node %d sees %+v", i, e)
			}
		}
	})
}

// TestForgottenGeneration: a node whose generation was not remembered, as on a
// disk that was put back, is believed all the same.
func TestForgottenGeneration(t *testing.T) {
	inWorld(t, 8, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.stop(2)
		w.run(30 * time.Second)
		w.start(2, wallAt-5000)
		w.until(5*time.Second, "up again", func() bool { return w.allSee(upTo(3)...) })
		w.run(60 * time.Second)
		if !w.allSee(upTo(3)...) || w.nodes[2].Facts().Refuted == 0 {
			t.Errorf("%+v", w.nodes[2].Facts())
		}
	})
}

// TestOneWay: what is cut between two nodes goes by the others; a node that
// hears everybody, and that nobody hears, is down and sees all others down.
func TestOneWay(t *testing.T) {
	inWorld(t, 9, 4, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(4)...) })
		w.set(0, 1, true)
		w.run(60 * time.Second)
		if !w.allSee(upTo(4)...) {
			t.Error("a direction between two of four nodes made somebody down")
		}
		w.set(0, 1, false)
		for i := range 3 {
			w.set(3, i, true)
		}
		w.run(40 * time.Second)
		if !w.allSee(0, 1, 2) || !w.sees(3, false, 0, 1, 2) || !w.sees(0, false, 3) || !w.sees(1, false, 3) || !w.sees(2, false, 3) {
			t.Error("a node that nobody hears is not down, or took others with it")
		}
		for i := range 3 {
			w.set(3, i, false)
		}
		w.until(5*time.Second, "healed", func() bool { return w.allSee(upTo(4)...) })
	})
}

// TestPartition: two halves see each other down, and up after it has healed.
func TestPartition(t *testing.T) {
	inWorld(t, 10, 10, func(w *world) {
		w.until(5*time.Second, "all up", func() bool { return w.allSee(upTo(10)...) })
		cut := func(lost bool) {
			for i := range 5 {
				for j := 5; j < 10; j++ {
					w.set(i, j, lost)
					w.set(j, i, lost)
				}
			}
		}
		cut(true)
		w.run(40 * time.Second)
		for i := range 5 {
			if !w.sees(i, false, 5, 6, 7, 8, 9) || !w.sees(i, true, 0, 1, 2, 3, 4) || !w.sees(5+i, false, 0, 1, 2, 3, 4) {
				t.Errorf("node %d or %d does not see the partition", i, 5+i)
			}
		}
		cut(false)
		took := w.until(20*time.Second, "healed", func() bool { return w.allSee(upTo(10)...) })
		t.Logf("healed after %v", took)
	})
}

// TestPause: a process that stood still is down for the others until it goes on,
// and then convicts nobody.
func TestPause(t *testing.T) {
	inWorld(t, 11, 5, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(5)...) })
		w.run(30 * time.Second)
		before := w.nodes[4].log.String()
		w.pause(4)
		w.run(40 * time.Second)
		for i := range 4 {
			if !w.sees(i, false, 4) {
				t.Errorf("node %d sees the paused node alive", i)
			}
		}
		w.resume(4)
		w.until(5*time.Second, "all up again", func() bool { return w.allSee(upTo(5)...) })
		w.run(30 * time.Second)
		if now := w.nodes[4].log.String(); now != before {
			t.Errorf("after its pause the node saw others down:\n%s", strings.TrimPrefix(now, before))
		}
		if p := w.nodes[4].Facts().Pauses; p != 1 {
			t.Errorf("%d pauses", p)
		}
	})
}

// TestHearsay: a node that has just started does not take a dead node for alive
// because others still tell of it.
func TestHearsay(t *testing.T) {
	inWorld(t, 12, 4, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(4)...) })
		w.stop(3)
		w.run(40 * time.Second)
		w.stop(0)
		w.start(0, wallAt+50)
		for range 40 {
			w.run(time.Second)
			if w.nodes[0].Alive(target(4).ID) {
				t.Fatal("a dead node came up by hearsay")
			}
		}
		if f := w.nodes[0].fact(3); f.Liveness != Unknown || f.Generation != wallAt {
			t.Errorf("%+v", f)
		}
	})
}

// TestNoMembersByGossip: metadata says who is a member, and gossip nothing.
func TestNoMembersByGossip(t *testing.T) {
	inWorld(t, 13, 4, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(4)...) })
		w.mu.Lock()
		w.peers = w.peers[:3]
		w.mu.Unlock()
		w.run(20 * time.Second) // node 3 goes on talking, and does not know
		for i := range 3 {
			if v := w.nodes[i].View(); v.Endpoint(target(4).ID) != nil || v.Alive(target(4).ID) || v.Len() != 3 {
				t.Errorf("node %d still knows the removed node", i)
			}
			if len(w.nodes[i].Facts().Nodes) != 3 {
				t.Errorf("node %d keeps facts of the removed node", i)
			}
		}
		d := delta{id: target(4).ID, generation: wallAt + 1, heartbeat: 5}
		w.nodes[0].acked(&packet{deltas: []delta{d}}, target(4).ID)
		if f := w.nodes[0].Facts(); f.Unknown == 0 || len(f.Nodes) != 3 {
			t.Errorf("%+v", f)
		}
	})
}

// TestLies: generations from the future are not believed, and claims about a
// node that answers are put right by it.
func TestLies(t *testing.T) {
	inWorld(t, 15, 4, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(4)...) })
		lie := func(d delta) {
			w.nodes[0].acked(&packet{deltas: []delta{d}}, target(4).ID)
			w.nodes[1].answer(&packet{digests: []digest{{d.id, d.generation, d.version()}}}, target(4).ID, new(packet))
		}
		lie(delta{id: target(3).ID, generation: wallAt + GenerationAhead + 1, heartbeat: 1})
		if f := w.nodes[0].Facts(); f.Rejected != 1 || w.nodes[0].fact(2).Generation != wallAt {
			t.Errorf("a generation more than a year ahead: %+v", f)
		}
		lie(delta{id: target(3).ID, generation: wallAt + GenerationAhead - 10, heartbeat: numberMax})
		lie(delta{id: target(2).ID, generation: wallAt, heartbeat: numberMax, values: []value{{KeyRPCReady, numberMax, "false"}}})
		w.until(10*time.Second, "the truth", func() bool {
			a := w.nodes[0].View()
			return a.Endpoint(target(3).ID).Generation == wallAt+GenerationAhead-9 && a.Endpoint(target(2).ID).RPCReady()
		})
		w.run(60 * time.Second)
		if !w.allSee(upTo(4)...) {
			t.Error("somebody is down by a lie")
		}
		for range 1000 { // of ids that do not exist, they leave nothing behind
			lie(delta{id: helenus.HostID{1, byte(w.rng.Uint32()), byte(w.rng.Uint32())}, generation: wallAt, heartbeat: 1})
		}
		if n := len(w.nodes[0].Facts().Nodes); n != 4 {
			t.Errorf("%d nodes", n)
		}
	})
}

func TestLeave(t *testing.T) {
	inWorld(t, 17, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		done := make(chan struct{})
		go func() {
			w.nodes[2].Leave(context.Background())
			close(done)
		}()
		synctest.Wait()
		w.run(10 * time.Millisecond)
		select {
		case <-done:
		default:
			t.Fatal("Leave does not return")
		}
		if !w.sees(0, false, 2) || !w.sees(1, false, 2) || w.nodes[0].fact(2).Reason != "it was shut down" {
			t.Errorf("after it said so: %+v", w.nodes[0].fact(2))
		}
		w.nodes[2].Set(Own{Status: "NORMAL,2", RPCReady: true})
		w.run(20 * time.Second) // it still talks, and has said that it goes
		if !w.sees(0, false, 2) {
			t.Error("up again although it is going down")
		}
		w.stop(2)
		w.start(2, wallAt+30)
		w.until(3*time.Second, "up after its next start", func() bool { return w.allSee(upTo(3)...) })
	})
}

// TestEpoch: whoever has a newer epoch is heard from directly, so that everybody
// asks a different node for it.
func TestEpoch(t *testing.T) {
	inWorld(t, 19, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.nodes[1].epoch.Store(5)
		w.run(3 * time.Second)
		for _, i := range []int{0, 2} {
			if h := w.nodes[i].hears(); len(h) == 0 || slices.Compact(h)[0] != fmt.Sprintf("5 from %s", target(2).Addr) {
				t.Errorf("node %d heard %q", i, h)
			}
		}
		w.nodes[0].epoch.Store(5)
		w.nodes[2].epoch.Store(5)
		w.run(3 * time.Second)
		n := len(w.nodes[0].hears())
		w.run(10 * time.Second)
		if len(w.nodes[0].hears()) != n || w.nodes[0].fact(1).Epoch != 5 {
			t.Error("what this node has itself was heard again")
		}
		(*reports)(w.nodes[0].Gossip).Epoch(target(3).ID, 9)
		(*reports)(w.nodes[0].Gossip).Epoch(target(9).ID, 9) // no member
		(*reports)(w.nodes[0].Gossip).Epoch(target(3).ID, 4)
		if h := w.nodes[0].hears()[n:]; len(h) != 1 || h[0] != fmt.Sprintf("9 from %s", target(3).Addr) {
			t.Errorf("heard of Members: %q", h)
		}
	})
}

func TestSeeds(t *testing.T) {
	inWorld(t, 21, 3, func(w *world) {
		b := w.nodes[1]
		if s := b.Seeds(); len(s) != 1 || s[0] != target(1).Addr {
			t.Errorf("seeds %v", s)
		}
		b.SetSeeds([]helenus.Endpoint{target(2).Addr, target(3).Addr})
		if s := b.Seeds(); len(s) != 1 || s[0] != target(3).Addr {
			t.Errorf("seeds %v: this node does not count", s)
		}
		if f := b.Facts(); len(f.Seeds) != 1 || f.Threshold != 8 {
			t.Errorf("%+v", f)
		}
	})
	// Everybody is at another address than metadata says: a seed brings them
	// together.
	inWorld(t, 22, 3, func(w *world) {
		w.until(3*time.Second, "all up", func() bool { return w.allSee(upTo(3)...) })
		w.stop(2)
		w.run(20 * time.Second)
		moved := []wire.Target{target(3), {ID: target(1).ID, Addr: target(101).Addr}, {ID: target(2).ID, Addr: target(102).Addr}}
		w.nodes[2].self.Addr = target(103).Addr
		w.start(2, wallAt+60, func(o *Options) {
			o.Peers = func() []wire.Target { return moved }
			o.Seeds = []helenus.Endpoint{target(1).Addr}
		})
		w.until(15*time.Second, "the node knows the others again", func() bool { return w.sees(2, true, 0, 1) && w.sees(1, true, 2) })
	})
}

// TestProbes: nodes with one seed ask at different times, each of them in turn,
// and again in the same way.
func TestProbes(t *testing.T) {
	one := func(self int) (out []string) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			p := NewProbes(5)
			p.Know([]wire.Target{target(2), target(3), target(4)})
			ctx, stop := context.WithTimeout(t.Context(), 6*time.Second)
			defer stop()
			ask := messenger(func(to wire.Target, c *wire.Call) {
				out = append(out, fmt.Sprint(to.Addr, time.Since(began)))
				c.Owner.Answered(c)
			})
			if err := p.Run(ctx, Room{Self: target(self), Wire: ask, Reports: &reports{core: newCore(target(self), 1, 8)}}); err != nil {
				t.Error(err)
			}
		})
		return out
	}
	a, b := one(1), one(7)
	if len(a) != 6 || len(b) != 6 || strings.Fields(a[0])[1] == strings.Fields(b[0])[1] || !slices.Equal(a, one(1)) {
		t.Errorf("%q %q", a, b)
	}
	for i := range 3 {
		if n := strings.Count(strings.Join(a, " "), target(i+2).Addr.String()); n != 2 {
			t.Errorf("node %d was asked %d times of 6", i+2, n)
		}
	}
}

type messenger func(to wire.Target, c *wire.Call)

func (m messenger) Call(to wire.Target, c *wire.Call) { m(to, c) }

func TestOptions(t *testing.T) {
	good := Options{Self: target(1), Generation: 1, Members: NewProbes(1), Rand: func([]byte) {}}
	for want, change := range map[string]func(*Options){
		"no host id":             func(o *Options) { o.Self.ID = helenus.HostID{} },
		"check the clock":        func(o *Options) { o.Generation = 0 },
		"phi_convict_threshold":  func(o *Options) { o.PhiConvictThreshold = -1 },
		"needs a network":        func(o *Options) { o.Members = nil },
		"make it 16, 24 or 32":   func(o *Options) { o.Members, o.Net, o.Key = nil, &fakeNet{}, make([]byte, 5) },
		"":                       func(*Options) {},
		"gossip: the generation": func(o *Options) { o.Generation = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// TestReplay: the same seed gives the same letters, whatever happens.
func TestReplay(t *testing.T) {
	one := func(seed uint64) string {
		var trace string
		inWorld(t, seed, 8, func(w *world) {
			for range 30 {
				i, j := w.rng.IntN(8), w.rng.IntN(8)
				switch w.rng.IntN(5) {
				case 0:
					w.set(i, j, true)
				case 1:
					w.set(i, j, false)
				case 2:
					w.pause(i)
				case 3:
					w.resume(i)
				case 4:
					w.stop(i)
					w.start(i, wallAt+w.rng.Int64N(1000))
				}
				w.nodes[i].epoch.Add(w.rng.Uint64N(2))
				w.run(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
			}
			for i := range w.nodes {
				fmt.Fprintf(&w.trace, "%d: %+v %q\n", i, w.nodes[i].Facts(), w.nodes[i].log.String())
			}
			trace = w.trace.String()
		})
		return trace
	}
	// The bubble's clock begins at the same time in each, so lines can be compared.
	for seed := uint64(1); seed <= 3; seed++ {
		a, b := strings.Split(one(seed), "\n"), strings.Split(one(seed), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("seed %d, line %d of %d:\n%s\n%s", seed, i, len(a), a[i], b[i])
			}
		}
		if len(a) != len(b) || len(a) < 500 {
			t.Fatalf("seed %d: %d lines and %d", seed, len(a), len(b))
		}
	}
	if one(1) == one(2) {
		t.Error("the seed makes no difference: this tests nothing")
	}
}
