package wire

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/fakenet"
)

var seedFlag = flag.Uint64("seed", 0, "the only seed of TestModel")

// TestModel makes random calls between three nodes while connections break,
// directions stall, nodes stop and start and a stranger sends garbage. Whatever
// happens, each call ends exactly once, in time, with the answer to its own
// question or a typed error, and nothing stays charged.
func TestModel(t *testing.T) {
	if *seedFlag != 0 {
		model(t, *seedFlag)
		return
	}
	for seed := uint64(1); seed <= 8; seed++ {
		model(t, seed)
	}
}

type modelRun struct {
	*testing.T
	rng   *rand.Rand
	net   *fakenet.Net
	nodes [3]*node
	calls []*modelCall
}

type modelCall struct {
	*waiter
	local   bool
	timeout time.Duration
	began   time.Time
	body    string
}

func model(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		m := &modelRun{T: t, rng: rand.New(rand.NewPCG(seed, 1)), net: fakenet.New(time.Millisecond)}
		for i := range m.nodes {
			m.start(i)
		}
		synctest.Wait()
		for range 600 {
			m.step()
			time.Sleep(time.Duration(m.rng.IntN(40)) * time.Millisecond)
		}
		for i := range m.nodes {
			for j := range m.nodes {
				m.net.Stall(target(i+1).Addr.Addr(), target(j+1).Addr.Addr(), false)
			}
		}
		time.Sleep(12 * time.Second)
		for _, n := range m.nodes {
			n.endParked(m)
		}
		for i := range m.nodes {
			w := m.nodes[i].ask(target(1+(i+1)%3), verbEcho, []byte("healed"), 0)
			time.Sleep(time.Second)
			if w.want(t, 0); string(w.body) != "healed" {
				t.Errorf("after healing: %q", w.body)
			}
		}
		for _, n := range m.nodes {
			n.end(t)
		}
		m.check(seed)
	})
}

func (m *modelRun) start(i int) {
	m.nodes[i] = start(m, m.net, i+1, func(o *Options) {
		o.PeerBytes, o.InFlightMax, o.CompressBytes = 256<<10, 200, 500
	})
}

func (m *modelRun) step() {
	i, j := m.rng.IntN(3), m.rng.IntN(3)
	switch p := m.rng.IntN(100); {
	case p < 70:
		for range 1 + m.rng.IntN(20) {
			m.call(m.nodes[i], j)
		}
	case p < 80:
		m.nodes[i].endParked(m)
	case p < 83:
		m.net.Break(target(i + 1).Addr.Addr())
	case p < 88:
		m.net.Stall(target(i+1).Addr.Addr(), target(j+1).Addr.Addr(), true)
	case p < 96:
		m.net.Stall(target(i+1).Addr.Addr(), target(j+1).Addr.Addr(), false)
	case p < 98:
		if nc, err := m.net.Host(target(9).Addr.Addr()).Dial(m.Context(), target(i+1).Addr.String()); err == nil {
			_, _ = nc.Write(append(appendHello(nil, &hello{min: 1, max: 1, cluster: testCluster}), noise(100)...))
			_ = nc.Close()
		}
	default:
		m.nodes[i].end(m)
		m.start(i)
		synctest.Wait()
	}
}

func (m *modelRun) call(from *node, to int) {
	v := []VerbID{verbEcho, verbPark, verbFail, verbBig, verbDrop, verbGossip}[m.rng.IntN(6)]
	body := make([]byte, m.rng.IntN(3000)) // compresses
	if v == verbBig {
		body = body[:len(body)%50]
	}
	for i := range min(len(body), 8) {
		body[i] = byte(m.rng.Uint32())
	}
	c := &modelCall{waiter: &waiter{}, local: from.self == target(to+1), body: string(body), began: time.Now(),
		timeout: time.Duration(1+m.rng.IntN(3000)) * time.Millisecond}
	c.call = Call{Verb: v, Request: &text{body}, Timeout: c.timeout, Owner: c.waiter}
	m.calls = append(m.calls, c)
	from.Call(target(to+1), &c.call)
}

// endParked answers what is parked, one way or the other.
func (n *node) endParked(m *modelRun) {
	for _, r := range n.unpark() {
		switch m.rng.IntN(4) {
		case 0:
			r.Fail(helenus.Invalid("by chance"))
		case 1:
			r.Drop()
		default:
			r.Reply(r.Message)
		}
	}
}

func (m *modelRun) check(seed uint64) {
	kinds := map[Kind]int{}
	for i, c := range m.calls {
		kind := KindOf(c.err)
		kinds[kind]++
		switch {
		case c.ended.Load() != 1:
			m.Fatalf("seed %d, call %d of verb %d ended %d times", seed, i, c.call.Verb, c.ended.Load())
		case kind == 0 && c.err != nil:
			m.Fatalf("seed %d, call %d: untyped error %v", seed, i, c.err)
		case !c.local && c.at.Sub(c.began) > c.timeout+clockStep:
			m.Fatalf("seed %d, call %d ended after %v, timeout %v", seed, i, c.at.Sub(c.began), c.timeout)
		case kind == 0 && c.call.Verb != verbBig && string(c.waiter.body) != c.body:
			m.Fatalf("seed %d, call %d got the answer to another question", seed, i)
		case kind == 0 && c.call.Verb == verbBig && len(c.waiter.body) != len(c.body)<<10:
			m.Fatalf("seed %d, call %d got %d bytes", seed, i, len(c.waiter.body))
		}
	}
	if *seedFlag != 0 {
		m.Logf("seed %d: %d calls, by kind of error %v", seed, len(m.calls), kinds)
	}
	for _, k := range []Kind{0, Unreachable, Timeout, Failed} {
		if kinds[k] == 0 {
			m.Errorf("seed %d: no call ended as %q: this tests too little", seed, k)
		}
	}
}
