package wire

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/fakenet"
)

func TestRefusals(t *testing.T) {
	none, other := ClusterID{}, ClusterID{9}
	identity := func(c ClusterID) func(*Options) {
		return func(o *Options) { o.Identity = func() Identity { return Identity{Cluster: c} } }
	}
	key := func(k KeyID) func(*Options) {
		return func(o *Options) { o.Identity = func() Identity { return Identity{Cluster: testCluster, Key: k} } }
	}
	for _, c := range []struct {
		name   string
		change func(*Options) // of the asking node
		to     Target
		verb   VerbID
		reason string // empty: let in
	}{
		{"same cluster", nil, target(2), verbEcho, ""},
		{"no cluster yet, urgent", identity(none), target(2), verbGossip, ""},
		{"no cluster yet, small", identity(none), target(2), verbEcho, "may only use the urgent lane"},
		{"another cluster", identity(other), target(2), verbEcho, "this node is of cluster 01020300-0000-0000-0000-000000000000, the peer of cluster 09000000"},
		{"another cluster, urgent", identity(other), target(2), verbGossip, "check the seeds of both"},
		{"own host id", func(o *Options) { o.Self.ID = target(2).ID }, Target{Addr: target(2).Addr}, verbEcho, "this node's own host id"},
		{"a key", key(KeyID{9}), target(2), verbGossip, "host 00000000-0000-0000-0000-000000000002 has the gossip key none, host 00000000-0000-0000-0000-000000000001 has 0900000000000000: give all nodes the same gossip_key_file"},
		{"another host", nil, Target{ID: target(3).ID, Addr: target(2).Addr}, verbEcho, "this is host 00000000-0000-0000-0000-000000000002, not 00000000-0000-0000-0000-000000000003"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn := fakenet.New(time.Millisecond)
				a, b := start(t, fn, 1, c.change), start(t, fn, 2, nil)
				synctest.Wait()
				w := a.ask(c.to, c.verb, nil, 0)
				time.Sleep(50 * time.Millisecond)
				switch {
				case c.reason == "":
					w.want(t, 0)
				default:
					w.want(t, Refused)
					if !strings.Contains(w.err.Error(), c.reason) {
						t.Error(w.err)
					}
					if !strings.Contains(a.log.String(), c.reason) || !strings.Contains(b.log.String(), c.reason) {
						t.Errorf("the logs do not say why:\n%s%s", a.log, b.log)
					}
					if n := b.Facts().Refused; n != 1 {
						t.Errorf("%d refused", n)
					}
				}
				a.end(t)
				b.end(t)
			})
		})
	}
}

func TestKeys(t *testing.T) {
	for keys, want := range map[[2]KeyID]status{
		{}: statusWelcome, {{1}, {1}}: statusWelcome, {{1}, {2}}: statusKey, {{1}, {}}: statusKey, {{}, {1}}: statusKey,
	} {
		if w := judge(&hello{from: target(1).ID, key: keys[0]}, &hello{from: target(2).ID, key: keys[1]}); w.status != want {
			t.Errorf("%v: %+v", keys, w)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		me, peer [2]uint8
		version  uint8 // 0: refused
	}{
		{[2]uint8{1, 1}, [2]uint8{1, 1}, 1},
		{[2]uint8{1, 3}, [2]uint8{2, 9}, 3},
		{[2]uint8{2, 9}, [2]uint8{1, 3}, 3},
		{[2]uint8{1, 1}, [2]uint8{2, 3}, 0},
		{[2]uint8{2, 3}, [2]uint8{1, 1}, 0},
		{[2]uint8{1, 3}, [2]uint8{3, 1}, 0},
	} {
		w := judge(&hello{min: c.me[0], max: c.me[1], from: target(1).ID}, &hello{min: c.peer[0], max: c.peer[1], from: target(2).ID})
		if w.version != c.version || (w.status == statusVersion) != (c.version == 0) {
			t.Errorf("%v %v: %+v", c.me, c.peer, w)
		}
	}
}

// TestBackoffEndsWithTheirCall: a node that was away for long is called again as
// soon as it has called itself.
func TestBackoffEndsWithTheirCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(time.Millisecond)
		a := start(t, fn, 1, nil)
		synctest.Wait()
		for range 2000 {
			a.ask(target(2), verbEcho, nil, 0)
			time.Sleep(50 * time.Millisecond)
		}
		b := start(t, fn, 2, nil)
		synctest.Wait()
		w := a.ask(b.self, verbEcho, nil, 0)
		w.want(t, Unreachable) // it is not tried again yet
		theirs := b.ask(a.self, verbGossip, nil, 0)
		time.Sleep(10 * time.Millisecond)
		theirs.want(t, 0)
		w = a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
		a.end(t)
		b.end(t)
	})
}

// TestBackoff: while a node is away calls fail at once, and attempts get rarer.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(time.Millisecond)
		a := start(t, fn, 1, nil)
		synctest.Wait()
		began := time.Now()
		for time.Since(began) < 2*time.Minute {
			w := a.ask(target(2), verbEcho, nil, 0)
			synctest.Wait()
			w.want(t, Unreachable)
			time.Sleep(10 * time.Millisecond)
		}
		// 0.1 s doubled to 10 s, each halved at worst: 7 steps and then one in 5 to
		// 10 s.
		if n := len(fn.Dials()); n < 15 || n > 32 {
			t.Errorf("%d attempts in two minutes", n)
		}
		synctest.Wait()
		equal, dials := 0, fn.Dials()
		for i := 9; i < len(dials); i++ {
			if dials[i].Sub(dials[i-1]) == dials[i-1].Sub(dials[i-2]) {
				equal++
			}
		}
		if equal > 2 {
			t.Error("attempts come at equal distances")
		}
		b := start(t, fn, 2, nil)
		time.Sleep(11 * time.Second)
		w := a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
		a.end(t)
		b.end(t)
	})
}

// TestPeerDies: all calls under way fail once, and the next connection works.
func TestPeerDies(t *testing.T) {
	two(t, nil, func(a, b *node) {
		var ws []*waiter
		for range 100 {
			ws = append(ws, a.ask(b.self, verbPark, nil, 0))
		}
		time.Sleep(10 * time.Millisecond)
		parked := b.unpark()
		if len(parked) != 100 {
			t.Fatalf("%d arrived", len(parked))
		}
		a.net.Break(b.self.Addr.Addr())
		time.Sleep(10 * time.Millisecond)
		for _, w := range ws {
			w.want(t, Unreachable)
		}
		time.Sleep(time.Second)
		w := a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
		for _, r := range parked {
			r.Reply(&text{[]byte("too late")})
		}
		time.Sleep(10 * time.Millisecond)
		if f := facts(b, "PARK"); f.Unanswered != 100 {
			t.Errorf("%+v", f)
		}
		for _, w := range ws {
			w.want(t, Unreachable)
		}
	})
}

// TestOneWayCut: what goes there arrives, what comes back does not.
func TestOneWayCut(t *testing.T) {
	for _, there := range []bool{true, false} {
		two(t, nil, func(a, b *node) {
			a.ask(b.self, verbEcho, nil, 0)
			time.Sleep(10 * time.Millisecond)
			from, to := b.self.Addr.Addr(), a.self.Addr.Addr()
			if there {
				from, to = to, from
			}
			a.net.Stall(from, to, true)
			w := a.ask(b.self, verbEcho, nil, 0)
			began := time.Now()
			time.Sleep(3 * time.Second)
			w.want(t, Timeout)
			if d := w.at.Sub(began); d != 2*time.Second {
				t.Errorf("timed out after %v", d)
			}
			time.Sleep(10 * time.Second)
			if f := a.Facts(); f.HalfOpen+b.Facts().HalfOpen == 0 || f.Peers[0].Lanes[Small].State != "down" {
				t.Errorf("there=%v: not found out: %+v", there, f)
			}
			if there && b.Facts().Inbound != 0 {
				t.Error("the other side keeps its end")
			}
			a.net.Stall(from, to, false)
			time.Sleep(10 * time.Second)
			w = a.ask(b.self, verbEcho, nil, 0)
			time.Sleep(10 * time.Millisecond)
			w.want(t, 0)
		})
	}
}

// TestSilenceFromTheStart: a connection on which only one long call was made, and
// nothing came since, is found out as soon as any other.
func TestSilenceFromTheStart(t *testing.T) {
	two(t, nil, func(a, b *node) {
		w := a.ask(b.self, verbPark, nil, time.Minute)
		time.Sleep(10 * time.Millisecond)
		a.net.Stall(b.self.Addr.Addr(), a.self.Addr.Addr(), true)
		began := time.Now()
		time.Sleep(20 * time.Second)
		w.want(t, Unreachable)
		if d := w.at.Sub(began); d > 11*time.Second {
			t.Errorf("cut after %v", d)
		}
		a.net.Stall(b.self.Addr.Addr(), a.self.Addr.Addr(), false)
	})
}

// TestHeartbeats keep a connection without calls, until it is idle for long.
func TestHeartbeats(t *testing.T) {
	two(t, nil, func(a, b *node) {
		a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(4 * time.Minute)
		if f := a.Facts(); f.Peers[0].Lanes[Small].State != "up" || b.Facts().Inbound != 1 {
			t.Fatalf("%+v", f)
		}
		time.Sleep(2 * time.Minute)
		if f := a.Facts(); f.Peers[0].Lanes[Small].State != "down" || b.Facts().Inbound != 0 {
			t.Fatalf("%+v", f)
		}
		w := a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
		time.Sleep(2 * time.Hour)
		if f := a.Facts(); len(f.Peers) != 0 {
			t.Errorf("nobody asked for two hours, and the peer is remembered: %+v", f)
		}
		w = a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
	})
}

// TestCallWhileClosingIdle: it gets a new connection, not an error.
func TestCallWhileClosingIdle(t *testing.T) {
	two(t, nil, func(a, b *node) {
		a.ask(b.self, verbEcho, nil, 0)
		time.Sleep(10 * time.Millisecond)
		l := &a.peer(b.self).links[Small]
		l.mu.Lock()
		l.cause = errIdle
		l.mu.Unlock()
		w := a.ask(b.self, verbEcho, []byte("again"), 0)
		l.cut(errIdle)
		time.Sleep(10 * time.Millisecond)
		w.want(t, 0)
		if n := len(a.net.Dials()); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestGarbage: a peer that does not keep to the format is cut off, the reason is
// in the log, and it is counted; nothing else happens.
func TestGarbage(t *testing.T) {
	good := hello{min: 1, max: 1, lane: Small, cluster: testCluster, from: target(9).ID}
	head := string(appendHello(nil, &good))
	frame := func(h header, body string, spoil int) string {
		h.length, h.sum = uint32(len(body)), checksum([]byte(body))
		b := appendFrame(nil, h, []byte(body))
		if spoil >= 0 {
			b[spoil] ^= 1
		}
		return string(b)
	}
	long := appendFrame(nil, header{length: 33 << 20, kind: kindRequest, verb: verbEcho}, nil)
	for name, c := range map[string]struct{ send, reason string }{
		"hello's sum":       {head[:20] + "x" + head[21:], "a handshake with a wrong checksum"},
		"hello's length":    {"\xC1\xFF\xFF" + head[3:], "a handshake of 65535 bytes"},
		"noise":             {head + strings.Repeat("\x55", 100), "header has a wrong checksum"},
		"header's sum":      {head + frame(header{kind: kindRequest, verb: verbEcho}, "abc", 9), "header has a wrong checksum"},
		"body's sum":        {head + frame(header{kind: kindRequest, verb: verbEcho}, "abc", headerBytes+1), "body has a wrong checksum"},
		"too long":          {head + string(long), "a frame of 34603008 bytes"},
		"kind":              {head + frame(header{kind: 77}, "", -1), "unknown kind 77"},
		"flags":             {head + frame(header{kind: kindRequest, flags: 2}, "", -1), "unknown flags 0x02"},
		"answer":            {head + frame(header{kind: kindResponse}, "", -1), "a frame of kind 2 as a request"},
		"heartbeat's body":  {head + frame(header{kind: kindPing}, "x", -1), "a heartbeat with a body"},
		"compressed length": {head + frame(header{kind: kindRequest, verb: verbEcho, flags: frameLZ4, arg: 1e6}, "\x7f\xff\xff\xffxxxxxx", -1), "a compressed frame"},
		"compressed bytes":  {head + frame(header{kind: kindRequest, verb: verbEcho, flags: frameLZ4, arg: 1e6}, "\x00\x00\x00\x20xxxxxx", -1), "a compressed frame"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn := fakenet.New(0)
				b := start(t, fn, 2, nil)
				synctest.Wait()
				nc := raw(t, fn, b)
				_, _ = io.WriteString(nc, c.send)
				if _, err := io.ReadAll(nc); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if f := b.Facts(); f.Garbage != 1 || f.Inbound != 0 || !strings.Contains(b.log.String(), c.reason) {
					t.Errorf("%+v\n%s", f, b.log)
				}
				_ = nc.Close()
				b.end(t)
			})
		})
	}
}

func raw(t *testing.T, fn *fakenet.Net, to *node) net.Conn {
	t.Helper()
	nc, err := fn.Host(target(9).Addr.Addr()).Dial(t.Context(), to.self.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestGarbageAnswers: a peer that answers with nonsense fails the calls on the
// connection, and nothing waits for ever.
func TestGarbageAnswers(t *testing.T) {
	ok := string(appendWelcome(nil, &welcome{version: 1, from: target(2).ID, feature: 1}))
	for name, c := range map[string]struct {
		send string
		kind Kind
	}{
		"no hello":      {"HTTP/1.1 400 Bad Request\r\n", Unreachable},
		"version":       {string(appendWelcome(nil, &welcome{version: 9, from: target(2).ID})), Unreachable},
		"another host":  {string(appendWelcome(nil, &welcome{version: 1, from: target(3).ID})), Refused},
		"refusal":       {string(appendWelcome(nil, &welcome{status: 77, reason: "a later reason"})), Refused},
		"noise":         {ok + strings.Repeat("\x55", 100), Unreachable},
		"never asked":   {ok + string(appendFrame(nil, header{kind: kindResponse, id: 7}, nil)), Unreachable},
		"other verb":    {ok + string(appendFrame(nil, header{kind: kindResponse, verb: verbBig}, nil)), Unreachable},
		"a request":     {ok + string(appendFrame(nil, header{kind: kindRequest}, nil)), Unreachable},
		"half a frame":  {ok + string(appendFrame(nil, header{kind: kindResponse, verb: verbPark}, nil)[:20]), Timeout},
		"half a hello":  {ok[:10], Unreachable},
		"not in packed": {ok + string(appendFrame(nil, header{kind: kindResponse, verb: verbPark, flags: frameLZ4, length: 3, sum: checksum([]byte("abc"))}, []byte("abc"))), Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn := fakenet.New(0)
				a := start(t, fn, 1, nil)
				ln := fn.Listen(target(2).Addr)
				synctest.Wait()
				w := a.ask(target(2), verbPark, nil, 5*time.Second)
				nc, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				_, _ = io.WriteString(nc, c.send)
				time.Sleep(20 * time.Second)
				w.want(t, c.kind)
				if f := a.Facts().Peers[0].Lanes[Small]; f.State != "down" || f.Error == "" {
					t.Errorf("%+v", f)
				}
				_, _ = nc.Close(), ln.Close()
				a.end(t)
			})
		})
	}
}

// TestHalfFrame: a peer that stops in the middle is found out by its silence.
func TestHalfFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(0)
		b := start(t, fn, 2, nil)
		synctest.Wait()
		good := hello{min: 1, max: 1, lane: Small, cluster: testCluster, from: target(9).ID}
		nc, mute := raw(t, fn, b), raw(t, fn, b)
		_, _ = nc.Write(appendHello(nil, &good))
		_, _ = nc.Write(appendFrame(nil, header{length: 1 << 20, kind: kindRequest, verb: verbEcho, arg: 1e6}, []byte("begin")))
		synctest.Wait()
		if u := b.budget.Used(); u < 1<<20 || u > 1<<20+1<<10 {
			t.Errorf("%d bytes are charged for a frame of 1 MiB", u)
		}
		time.Sleep(10 * time.Second)
		if f := b.Facts(); f.Inbound != 0 || f.HalfOpen != 1 || b.budget.Used() != 0 {
			t.Errorf("%+v, %d bytes", f, b.budget.Used())
		}
		if _, err := mute.Read(make([]byte, 1)); err == nil {
			t.Error("who says nothing was answered")
		}
		b.end(t)
	})
}

// TestStop ends every call, at whatever stage.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(time.Millisecond)
		a, b := start(t, fn, 1, nil), start(t, fn, 2, nil)
		synctest.Wait()
		up := a.ask(b.self, verbPark, nil, 0)
		time.Sleep(10 * time.Millisecond)
		ln := fn.Listen(target(3).Addr) // accepts nothing
		connecting := a.ask(target(3), verbEcho, nil, time.Hour)
		again := a.ask(b.self, verbPark, nil, 0)
		again.then = func() { a.ask(b.self, verbPark, nil, 0).want(t, Unreachable) }
		a.end(t)
		for _, w := range []*waiter{up, connecting, again} {
			w.want(t, Unreachable)
		}
		a.ask(b.self, verbEcho, nil, 0).want(t, Unreachable)
		a.ask(a.self, verbEcho, nil, 0).want(t, 0)
		_ = ln.Close()
		b.end(t)
	})
}

func TestReplyTwicePanics(t *testing.T) {
	two(t, nil, func(a, _ *node) {
		a.ask(a.self, verbPark, nil, 0)
		r := a.unpark()[0]
		r.Reply(&text{})
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		r.Fail(helenus.Invalid("again"))
	})
}
