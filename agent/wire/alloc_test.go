//go:build !race

package wire

import (
	"context"
	"net"
	"testing"

	"helenus/internal/fakenet"
)

type tcp struct{}

func (tcp) Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// loopback starts two nodes on real sockets.
func loopback(t testing.TB) (a *node, b Target) {
	t.Helper()
	nodes := [2]*node{}
	for i := range nodes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := ln.Addr().(*net.TCPAddr).AddrPort()
		fn := fakenet.New(0)
		n := start(t, fn, i+1, func(o *Options) {
			o.Net = tcp{}
			o.Self.Addr = at
		})
		n.stop() // of the fake network
		if err := <-n.done; err != nil {
			t.Fatal(err)
		}
		w, err := New(n.opts)
		if err != nil {
			t.Fatal(err)
		}
		n.Wire, n.self = w, w.opts.Self
		ctx, stop := context.WithCancel(context.Background())
		n.stop = stop
		go func() { n.done <- w.Run(ctx, ln) }()
		nodes[i] = n
	}
	t.Cleanup(func() {
		nodes[0].end(t)
		nodes[1].end(t)
	})
	a, b = nodes[0], nodes[1].self
	for { // until Run has begun
		w := &signal{done: make(chan error, 1)}
		w.call = Call{Verb: verbEcho, Request: &text{}, Owner: w}
		a.Call(b, &w.call)
		if <-w.done == nil {
			return a, b
		}
	}
}

type signal struct {
	call Call
	done chan error
}

func (s *signal) Answered(c *Call) { s.done <- c.Err }

// TestNoAllocations: once warm, a call and its answer allocate nothing, on
// either side.
func TestNoAllocations(t *testing.T) {
	a, b := loopback(t)
	for name, to := range map[string]Target{"remote": b, "local": a.self, "address": {Addr: b.Addr}} {
		s := &signal{done: make(chan error, 1)}
		request := &text{make([]byte, 200)}
		one := func() {
			s.call = Call{Verb: verbEcho, Request: request, Owner: s}
			a.Call(to, &s.call)
			if err := <-s.done; err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			one()
		}
		if n := testing.AllocsPerRun(1000, one); n != 0 {
			t.Errorf("%s: %v allocations for a call and its answer", name, n)
		}
	}
}
