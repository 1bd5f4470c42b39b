package wire

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/internal/budget"
	"helenus/internal/fakenet"
)

// text is a message of bytes.
type text struct{ b []byte }

func (m *text) AppendTo(dst []byte) []byte { return append(dst, m.b...) }
func (m *text) Decode(b []byte) error {
	if string(b) == "does not decode" {
		return errNoDecode
	}
	m.b = b
	return nil
}

var errNoDecode = helenus.Invalid("no such text")

func newText() Message { return new(text) }

const (
	verbEcho VerbID = iota + 1
	verbPark        // answered when the test says so
	verbFail
	verbBig // answers with as many bytes as its number says, on the large lane
	verbDrop
	verbGossip // urgent
)

func echo(r *Request) { r.Reply(r.Message) }

func verbs(n *node) []Verb {
	return []Verb{
		{ID: verbEcho, Name: "ECHO", Lane: Small, Timeout: 2 * time.Second, NewRequest: newText, NewResponse: newText, Handle: echo},
		{ID: verbPark, Name: "PARK", Lane: Small, Timeout: 2 * time.Second, NewRequest: newText, NewResponse: newText, Handle: n.park},
		{ID: verbFail, Name: "FAIL", Lane: Small, Timeout: 2 * time.Second, NewRequest: newText, NewResponse: newText, Handle: func(r *Request) {
			r.Fail(helenus.Errorf(helenus.CodeTruncate, "%s", "no "+string(r.Message.(*text).b)))
		}},
		{ID: verbBig, Name: "BIG", Lane: Large, Timeout: 10 * time.Second, NewRequest: newText, NewResponse: newText, Handle: func(r *Request) {
			r.Reply(&text{noise(len(r.Message.(*text).b) << 10)})
		}},
		{ID: verbDrop, Name: "DROP", Lane: Small, Timeout: time.Second, NewRequest: newText, Handle: (*Request).Drop},
		{ID: verbGossip, Name: "GOSSIP", Lane: Urgent, Timeout: time.Second, NewRequest: newText, NewResponse: newText, Handle: echo},
	}
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// node is a Wire on a fake network.
type node struct {
	*Wire
	self   Target
	net    *fakenet.Net
	budget *budget.Budget
	log    *logBuffer
	stop   context.CancelFunc
	done   chan error

	mu     sync.Mutex // guards parked
	parked []*Request
}

type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (n *node) park(r *Request) {
	n.mu.Lock()
	n.parked = append(n.parked, r)
	n.mu.Unlock()
}

func (n *node) unpark() []*Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.parked
	n.parked = nil
	return p
}

func target(i int) Target {
	return Target{ID: helenus.HostID{15: byte(i)}, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}), 7000)}
}

var testCluster = ClusterID{1, 2, 3}

// start makes and runs node i; change may alter its options first.
func start(t testing.TB, fn *fakenet.Net, i int, change func(*Options)) *node {
	t.Helper()
	n := &node{self: target(i), net: fn, budget: budget.New("wire", 256<<20), log: &logBuffer{}, done: make(chan error, 1)}
	seed := rand.NewChaCha8([32]byte{byte(i)})
	var mu sync.Mutex
	o := Options{Self: n.self, Identity: func() Identity { return Identity{Cluster: testCluster, Feature: 5} }, Net: fn.Host(n.self.Addr.Addr()),
		Rand: func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			_, _ = seed.Read(b)
		},
		Log: slog.New(slog.NewTextHandler(n.log, nil)), Budget: n.budget, Verbs: verbs(n)}
	if change != nil {
		change(&o)
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Wire = w
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	ln := fn.Listen(n.self.Addr)
	go func() { n.done <- w.Run(ctx, ln) }()
	return n
}

// end stops a node and checks that nothing is left charged.
func (n *node) end(t testing.TB) {
	t.Helper()
	n.stop()
	if err := <-n.done; err != nil {
		t.Errorf("Run of %s: %v", n.self, err)
	}
	for _, r := range n.unpark() {
		r.Reply(r.Message)
	}
	if u := n.budget.Used(); u != 0 {
		t.Errorf("%s: %d bytes are still charged", n.self, u)
	}
	for _, p := range n.order {
		if u := p.budget.Used(); u != 0 {
			t.Errorf("%s: %d bytes to %s are still charged", n.self, u, p.to)
		}
	}
}

// waiter is the owner of one call at a time.
type waiter struct {
	call  Call
	ended atomic.Int32
	err   error
	body  []byte
	at    time.Time
	then  func()
}

func (w *waiter) Answered(c *Call) {
	w.err, w.at = c.Err, time.Now()
	if m, ok := c.Response.(*text); ok && c.Err == nil {
		w.body = append(w.body[:0], m.b...)
	}
	w.ended.Add(1)
	if w.then != nil {
		w.then()
	}
}

func (n *node) ask(to Target, v VerbID, body []byte, timeout time.Duration) *waiter {
	w := &waiter{}
	w.call = Call{Verb: v, Request: &text{body}, Timeout: timeout, Owner: w}
	n.Call(to, &w.call)
	return w
}

// want checks that a call ended once, with this kind of error or none.
func (w *waiter) want(t testing.TB, kind Kind) {
	t.Helper()
	if n := w.ended.Load(); n != 1 {
		t.Fatalf("the call ended %d times", n)
	}
	if KindOf(w.err) != kind || kind == 0 && w.err != nil {
		t.Fatalf("the call ended with %v, want kind %v", w.err, kind)
	}
}

// two runs f with two nodes that can reach each other.
func two(t *testing.T, change func(*Options), f func(a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fn := fakenet.New(time.Millisecond)
		a, b := start(t, fn, 1, change), start(t, fn, 2, change)
		synctest.Wait()
		f(a, b)
		a.end(t)
		b.end(t)
	})
}

func facts(n *node, verb string) VerbFacts {
	for _, v := range n.Facts().Verbs {
		if v.Name == verb {
			return v
		}
	}
	return VerbFacts{}
}
