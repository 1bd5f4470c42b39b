package gossip

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

func target(i int) wire.Target {
	return wire.Target{ID: helenus.HostID{14: byte(i >> 8), 15: byte(i)}, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), 7000)}
}

// world is a network of Gossips in a bubble. It delivers one letter at a time
// and waits until everybody is at rest, so that it repeats.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	trace strings.Builder // what was delivered

	mu    sync.Mutex // guards what follows
	seq   int
	queue []*letter
	nodes []*member
	cut   map[[2]int]bool // from, to: letters are lost
	peers []wire.Target

	change []func(*member, *Options)
}

type letter struct {
	at  time.Time
	seq int
	do  func()
}

// member is one node of a world.
type member struct {
	*Gossip
	w      *world
	number int
	self   wire.Target
	epoch  atomic.Uint64
	log    bytes.Buffer
	stop   context.CancelFunc
	done   chan error

	mu     sync.Mutex    // guards what follows
	paused chan struct{} // nil: it runs
	down   bool
	heard  []string
}

const wallAt = 1_700_000_000 // when nodes of tests start unless they say otherwise

// inWorld runs f with n nodes; f moves the time by run.
func inWorld(t *testing.T, seed uint64, n int, f func(w *world), change ...func(*member, *Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), cut: map[[2]int]bool{}, change: change}
		for i := range n {
			w.peers = append(w.peers, target(i+1))
		}
		for i := range n {
			w.nodes = append(w.nodes, &member{w: w, number: i, self: target(i + 1)})
			w.nodes[i].epoch.Store(1)
			w.start(i, wallAt)
		}
		defer func() { // also after a Fatal
			for i := range w.nodes {
				w.stop(i)
			}
			w.run(10 * time.Second) // what is under way ends
		}()
		f(w)
	})
}

func (w *world) start(i int, generation int64, change ...func(*Options)) {
	m := w.nodes[i]
	seed := w.rng.Uint64()
	o := Options{
		Self: m.self, Generation: generation, Peers: m.peers, Seeds: []helenus.Endpoint{target(1).Addr}, Epoch: func() meta.Epoch { return meta.Epoch(m.epoch.Load()) },
		Heard: func(from wire.Target, e meta.Epoch) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.heard = append(m.heard, fmt.Sprintf("%d from %s", e, from.Addr))
		},
		Rand: func(b []byte) {
			_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
		},
		Log:     slog.New(slog.NewTextHandler(&m.log, nil)),
		Now:     func() time.Time { return time.Unix(wallAt, 0) },
		Members: NewProbes(seed),
	}
	for _, c := range w.change {
		c(m, &o)
	}
	for _, c := range change {
		c(&o)
	}
	g, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	m.mu.Lock()
	m.Gossip, m.down, m.done = g, false, make(chan error, 1)
	m.mu.Unlock()
	g.Set(Own{Status: fmt.Sprintf("NORMAL,%d", i), Datacenter: "dc1", Rack: helenus.Rack(fmt.Sprintf("r%d", i%3)), Release: helenus.ReleaseVersion,
		LoadBytes: int64(i) << 20, Schema: [16]byte{1, 15: 9}, RPCReady: true, Native: netip.AddrPortFrom(m.self.Addr.Addr(), 9042)})
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	var packets net.PacketConn
	if h, ok := o.Net.(*host); ok {
		packets = h.listen()
	}
	go func() { m.done <- g.Run(ctx, m, packets) }()
	synctest.Wait()
}

// stop ends a node as kill does: nobody is told.
func (w *world) stop(i int) {
	m := w.nodes[i]
	m.mu.Lock()
	down := m.down
	m.down = true
	m.mu.Unlock()
	w.resume(i)
	if !down {
		m.stop()
		if err := <-m.done; err != nil {
			w.t.Errorf("Run of node %d: %v", i, err)
		}
	}
}

// pause stops a process where it is: SIGSTOP.
func (w *world) pause(i int) {
	m := w.nodes[i]
	m.mu.Lock()
	if m.paused == nil {
		m.paused = make(chan struct{})
	}
	m.mu.Unlock()
}

func (w *world) resume(i int) {
	m := w.nodes[i]
	m.mu.Lock()
	if m.paused != nil {
		close(m.paused)
		m.paused = nil
	}
	m.mu.Unlock()
	synctest.Wait()
}

// peers is where a paused node's rounds stop.
func (m *member) peers() []wire.Target {
	m.mu.Lock()
	paused := m.paused
	m.mu.Unlock()
	if paused != nil {
		<-paused
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.w.peers
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		for l := w.due(); l != nil; l = w.due() {
			l.do()
			synctest.Wait()
		}
	}
}

// until lets time pass until ok, at most for limit, and says how long it took.
func (w *world) until(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) >= limit {
			w.t.Fatalf("not in %v: %s", limit, what)
		}
		w.run(100 * time.Millisecond)
	}
	return time.Since(began)
}

func (w *world) due() *letter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 || w.queue[0].at.After(time.Now()) {
		return nil
	}
	l := w.queue[0]
	w.queue = w.queue[1:]
	return l
}

func (w *world) post(after time.Duration, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	l := &letter{time.Now().Add(after), w.seq, do}
	at, _ := slices.BinarySearchFunc(w.queue, l, func(a, b *letter) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	w.queue = slices.Insert(w.queue, at, l)
}

func (w *world) lost(from, to int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[[2]int{from, to}]
}

// set cuts what goes from one node to another, or mends it.
func (w *world) set(from, to int, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]int{from, to}] = lost
}

// under is a call under way.
type under struct {
	m    *member
	c    *wire.Call
	verb wire.VerbID
	body []byte
	to   wire.Target
	over bool
}

// Call implements Messenger: each way takes a millisecond, and what is lost ends
// by its time-out.
func (m *member) Call(to wire.Target, c *wire.Call) {
	u := &under{m: m, c: c, verb: c.Verb, body: c.Request.AppendTo(nil), to: to}
	timeout := cmp.Or(c.Timeout, callTimeout)
	m.w.post(timeout, func() { u.end(nil, &wire.Error{Kind: wire.Timeout, To: to, Reason: "no answer"}) })
	m.w.post(time.Millisecond, u.arrive)
}

func (u *under) end(answer wire.Message, err error) {
	if !u.over {
		u.over = true
		u.c.Response, u.c.Err = answer, err
		u.c.Owner.Answered(u.c)
	}
}

func (u *under) arrive() {
	w := u.m.w
	i := slices.IndexFunc(w.nodes, func(n *member) bool {
		return n.self == u.to || n.self.Addr == u.to.Addr && u.to.ID == (helenus.HostID{})
	})
	if i < 0 || w.lost(u.m.number, i) {
		return
	}
	n := w.nodes[i]
	n.mu.Lock()
	down, paused := n.down, n.paused != nil
	n.mu.Unlock()
	switch {
	case down:
		u.end(nil, &wire.Error{Kind: wire.Unreachable, To: u.to, Reason: "refused"})
		return
	case paused:
		w.post(time.Second, u.arrive) // it lies in a buffer
		return
	}
	fmt.Fprintf(&w.trace, "%v %d>%d verb %d, %d bytes, sum %08x\n", time.Now().UnixNano(), u.m.number, i, u.verb, len(u.body), crc32.ChecksumIEEE(u.body))
	in := new(packet)
	if err := in.Decode(u.body); err != nil {
		w.t.Errorf("node %d sent what does not decode: %v", u.m.number, err)
		return
	}
	var body []byte
	if u.verb == verbSyn {
		out := new(packet)
		n.answer(in, u.m.self.ID, out)
		body = out.AppendTo(nil)
	} else {
		n.acked(in, u.m.self.ID)
	}
	if w.lost(i, u.m.number) {
		return
	}
	w.post(time.Millisecond, func() {
		u.m.mu.Lock()
		down, paused := u.m.down, u.m.paused != nil
		u.m.mu.Unlock()
		var answer wire.Message
		if u.verb == verbSyn {
			p := new(packet)
			if err := p.Decode(body); err != nil {
				w.t.Errorf("node %d answered what does not decode: %v", i, err)
			}
			answer = p
		}
		if !down && !paused {
			u.end(answer, nil)
		}
	})
}

// sees tells whether node i holds all others for alive, or down.
func (w *world) sees(i int, alive bool, others ...int) bool {
	for _, j := range others {
		if w.nodes[i].Alive(target(j+1).ID) != alive {
			return false
		}
	}
	return true
}

// allSee tells whether the nodes hold each other for alive.
func (w *world) allSee(nodes ...int) bool {
	for _, i := range nodes {
		if !w.sees(i, true, nodes...) {
			return false
		}
	}
	return true
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// hears is what the node heard of epochs so far.
func (m *member) hears() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

func (m *member) fact(of int) NodeFacts {
	for _, n := range m.Facts().Nodes {
		if n.Target == target(of+1) {
			return n
		}
	}
	return NodeFacts{}
}
