package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

// bubbleNet carries messages between the nodes of a test, inside a bubble. No two
// things happen at the same time, so that a run repeats.
type bubbleNet struct {
	mu      sync.Mutex // guards what follows
	rnd     *rand.Rand
	nodes   map[helenus.Endpoint]*port // of those that run
	cut     func(from, to helenus.Endpoint) bool
	lie     func(to helenus.Endpoint, v wire.VerbID, m wire.Message) // changes an answer
	sent    func(from *port, m wire.Message)                         // is told of each request
	trace   hash.Hash
	traffic map[helenus.Endpoint]*traffic
	quiet   bool // no random delays, which cost time with a thousand nodes
}

type traffic struct{ calls, bytes int }

func newBubbleNet(seed uint64) *bubbleNet {
	return &bubbleNet{rnd: rand.New(rand.NewPCG(seed, 1)), nodes: map[helenus.Endpoint]*port{}, trace: sha256.New(),
		cut: func(_, _ helenus.Endpoint) bool { return false }, traffic: map[helenus.Endpoint]*traffic{}}
}

func (n *bubbleNet) latency() time.Duration {
	if n.quiet {
		return time.Millisecond
	}
	return time.Millisecond + time.Duration(n.rnd.IntN(1e6))
}

// testNode is a node of a test: its disk, and its log while it runs.
type testNode struct {
	net    *bubbleNet
	at     helenus.Endpoint
	cfg    Config
	fs     *vfs.Mem
	log    *Log // nil while it does not run
	cancel context.CancelFunc
	ended  chan error

	noLiveness bool
}

// port is how a running node reaches others.
type port struct {
	net   *bubbleNet
	at    helenus.Endpoint
	log   *Log
	table map[wire.VerbID]verb
}

// call is one on its way; it ends once.
type call struct {
	c    *wire.Call
	to   wire.Target
	done atomic.Bool
}

func (c *call) end(m wire.Message, err *wire.Error) {
	if !c.done.CompareAndSwap(false, true) {
		return
	}
	c.c.Response, c.c.Err = m, nil
	if err != nil {
		c.c.Response, c.c.Err = nil, err
	}
	c.c.Owner.Answered(c.c)
}

func (c *call) fail(k wire.Kind, code helenus.ErrorCode, why string) {
	c.end(nil, &wire.Error{Kind: k, To: c.to, Code: code, Reason: why})
}

// Call implements Messenger, for the node that asks.
func (from *port) Call(to wire.Target, c *wire.Call) {
	n := from.net
	v, w := from.table[c.Verb], &call{c: c, to: to}
	if to.ID == from.log.self || to.ID == (helenus.HostID{}) && to.Addr == from.at {
		from.log.serve(from.log.self, c.Request, v.handle, func(m wire.Message, err error) {
			if err != nil {
				w.fail(wire.Failed, helenus.CodeServer, err.Error())
				return
			}
			w.end(m, nil)
		})
		return
	}
	body := c.Request.AppendTo(nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sent != nil {
		n.sent(from, c.Request)
	}
	n.count(from.at, len(body))
	there, back := n.latency(), n.latency()
	time.AfterFunc(v.Timeout+there%time.Microsecond, func() { w.fail(wire.Timeout, 0, "no answer in time") })
	self, cluster := from.log.self, from.log.Identity().Cluster
	time.AfterFunc(there, func() { n.deliver(from.at, self, cluster, body, w, back) })
}

// value reads what lie and sent write.
func (n *bubbleNet) value(v *int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *v
}

func (n *bubbleNet) count(at helenus.Endpoint, size int) {
	t := n.traffic[at]
	if t == nil {
		t = &traffic{}
		n.traffic[at] = t
	}
	t.calls++
	t.bytes += size
}

// deliver hands a request over and brings the answer back.
func (n *bubbleNet) deliver(from helenus.Endpoint, self helenus.HostID, cluster wire.ClusterID, body []byte, w *call, back time.Duration) {
	n.mu.Lock()
	to, cut := n.nodes[w.to.Addr], n.cut(from, w.to.Addr)
	fmt.Fprintf(n.trace, "%d %s %s %d %x\n", time.Now().UnixNano(), from, w.to.Addr, w.c.Verb, body)
	n.mu.Unlock()
	var none wire.ClusterID
	switch {
	case cut:
		return
	case to == nil:
		w.fail(wire.Unreachable, 0, "connection refused")
		return
	case w.to.ID != (helenus.HostID{}) && w.to.ID != to.log.self:
		w.fail(wire.Refused, 0, "this is another host")
		return
	case self == to.log.self:
		w.fail(wire.Refused, 0, "the peer has this node's own host id")
		return
	}
	if c := to.log.Identity().Cluster; c != cluster && c != none && cluster != none {
		w.fail(wire.Refused, 0, "the peer is of another cluster")
		return
	}
	v := to.table[w.c.Verb]
	m := v.NewRequest()
	if err := m.Decode(body); err != nil {
		w.fail(wire.Failed, helenus.CodeProtocol, err.Error())
		return
	}
	to.log.serve(self, m, v.handle, func(m wire.Message, err error) {
		var body []byte
		if err == nil {
			n.mu.Lock()
			if n.lie != nil {
				n.lie(to.at, w.c.Verb, m)
			}
			n.mu.Unlock()
			body = m.AppendTo(nil)
		}
		n.mu.Lock()
		n.count(to.at, len(body))
		n.mu.Unlock()
		time.AfterFunc(back, func() {
			n.mu.Lock()
			cut := n.cut(to.at, from)
			n.mu.Unlock()
			if cut {
				return
			}
			if err != nil {
				w.fail(wire.Failed, helenus.CodeServer, err.Error())
				return
			}
			m := v.NewResponse()
			if err := m.Decode(body); err != nil {
				panic(err)
			}
			w.end(m, nil)
		})
	})
}

// Alive implements Liveness: what runs and can be reached.
func (from *port) Alive(id helenus.HostID) bool {
	n := from.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, to := range n.nodes {
		if to.log.self == id {
			return !n.cut(from.at, to.at) && !n.cut(to.at, from.at)
		}
	}
	return false
}

// bubble is a cluster in a test.
type bubble struct {
	t     *testing.T
	net   *bubbleNet
	nodes []*testNode
}

// newBubble makes nodes in as many racks; nobody runs yet. The seeds are the
// first three.
func newBubble(t *testing.T, count int, seed uint64) *bubble {
	b := &bubble{t: t, net: newBubbleNet(seed)}
	for i := range count {
		n := &testNode{net: b.net, at: address(byte(i + 1)), fs: vfs.NewMem(), cfg: testConfig(byte(i + 1))}
		n.cfg.Node.Broadcast, n.cfg.Node.Listen = n.at, n.at
		n.cfg.Node.Rack = helenus.Rack(fmt.Sprintf("r%d", i%3+1))
		n.cfg.SnapshotEntries = 20
		var chance [32]byte
		binary.BigEndian.PutUint64(chance[:], seed)
		chance[31] = byte(i + 1)
		n.cfg.Rand = rand.NewChaCha8(chance)
		for s := range min(3, count) {
			n.cfg.Seeds = append(n.cfg.Seeds, address(byte(s+1)))
		}
		b.nodes = append(b.nodes, n)
	}
	return b
}

func (b *bubble) start(indices ...int) {
	b.t.Helper()
	for _, i := range indices {
		if err := b.nodes[i].start(); err != nil {
			b.t.Fatalf("node %d: %v", i+1, err)
		}
		pass(time.Duration(i+1) * 17 * time.Millisecond) // not all begin at the same time
	}
}

func (n *testNode) start() (err error) {
	if n.log, err = Open(n.fs, n.cfg); err != nil {
		return err
	}
	p := &port{net: n.net, at: n.at, log: n.log, table: map[wire.VerbID]verb{}}
	for _, v := range n.log.verbs() {
		p.table[v.ID] = v
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended = cancel, make(chan error, 1)
	n.net.mu.Lock()
	n.net.nodes[n.at] = p
	n.net.mu.Unlock()
	var live Liveness = p
	if n.noLiveness {
		live = nil
	}
	go func() { n.ended <- n.log.Run(ctx, p, live) }()
	return nil
}

// stop ends a node in order; its error is Run's.
func (n *testNode) stop() error {
	n.net.mu.Lock()
	delete(n.net.nodes, n.at)
	n.net.mu.Unlock()
	n.cancel()
	err := <-n.ended
	n.log.Close()
	n.log = nil
	return err
}

// crash ends a node as a power cut does.
func (n *testNode) crash(r *rand.Rand) {
	image := n.fs.Crash(r)
	n.stop()
	n.fs = image
}

func (b *bubble) stopAll() {
	for _, n := range b.nodes {
		if n.log != nil {
			if err := n.stop(); err != nil {
				b.t.Errorf("%s: %v", n.at, err)
			}
		}
	}
}

// equal checks that the running nodes have the same metadata.
func (b *bubble) equal() *meta.State {
	b.t.Helper()
	var first *meta.State
	for _, n := range b.nodes {
		if n.log == nil {
			continue
		}
		s := n.log.State()
		if first == nil {
			first = s
		}
		if !bytes.Equal(meta.EncodeState(nil, s), meta.EncodeState(nil, first)) {
			b.t.Fatalf("%s is at epoch %d, others at %d: %+v", n.at, s.Epoch, first.Epoch, n.log.Status())
		}
	}
	return first
}

func (b *bubble) commit(i int, c meta.Change) *meta.State {
	b.t.Helper()
	s, err := b.nodes[i].log.Commit(context.Background(), c)
	if err != nil {
		b.t.Fatalf("node %d: %v", i+1, err)
	}
	return s
}

// leader finds who leads; -1 for nobody.
func (b *bubble) leader() int {
	return slices.IndexFunc(b.nodes, func(n *testNode) bool {
		return n.log != nil && n.log.Status().Leader == n.log.self
	})
}

func (b *bubble) voters() (out []int) {
	s := b.equal()
	for i, n := range b.nodes {
		if n.log != nil && s.IsVoter(n.log.self) {
			out = append(out, i)
		}
	}
	return out
}

func randomTokens(r *rand.Rand, n int) (out []token.Token) {
	for range n {
		out = append(out, token.FromInt64(int64(r.Uint64())))
	}
	return out
}
