package netns

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func network(t *testing.T, hosts int) *Network {
	t.Helper()
	n, err := New(hosts)
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// listen serves one connection at a host by sending back what comes.
func listen(t *testing.T, h *Host) string {
	t.Helper()
	var ln net.Listener
	err := enter(h.ns, func() (err error) {
		ln, err = net.Listen("tcp", net.JoinHostPort(h.Address.String(), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// echo sends a word and reports whether it comes back in time.
func echo(t *testing.T, c net.Conn, word string, patience time.Duration) bool {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(word)); err != nil {
		t.Fatalf("the sender is told: %v", err)
	}
	b := make([]byte, len(word))
	_, err := c.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the sender is told: %v", err)
	}
	return err == nil && string(b) == word
}

const (
	soon = 300 * time.Millisecond // in which nothing comes
	late = time.Minute            // in which something must
)

// What is lost is lost without a word, one way too, and comes when the way is
// open again.
func TestLostPackets(t *testing.T) {
	n := network(t, 3)
	a, b, c := n.Hosts[0], n.Hosts[1], n.Hosts[2]
	address := listen(t, b)
	for _, tt := range []struct {
		name      string
		cut, join func() error
	}{
		{"nothing", nil, nil},
		{"requests", func() error { return n.Lose(a, b) }, func() error { return n.Pass(a, b) }},
		{"answers", func() error { return n.Lose(b, a) }, func() error { return n.Pass(b, a) }},
		{"both", func() error { return n.Cut(b) }, func() error { return n.Join(b) }},
	} {
		conn, err := a.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if !echo(t, conn, "before", late) {
			t.Fatalf("%s: no way", tt.name)
		}
		if tt.cut != nil {
			if err := tt.cut(); err != nil {
				t.Fatal(err)
			}
			if echo(t, conn, "during", soon) {
				t.Fatalf("%s: not cut", tt.name)
			}
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			if _, err := a.Dial(ctx, "tcp", address); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: a new connection: %v, want a time-out", tt.name, err)
			}
			cancel()
			if err := tt.join(); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			if err := conn.SetDeadline(time.Now().Add(late)); err != nil {
				t.Fatal(err)
			}
			if got, err := conn.Read(b); string(b[:got]) != "during" {
				t.Errorf("%s: what was lost comes as %q, %v", tt.name, b[:got], err)
			}
		}
		_ = conn.Close()
	}
	if err := n.Cut(a, b); err != nil {
		t.Fatal(err)
	}
	conn, err := a.Dial(t.Context(), "tcp", address)
	if err != nil || !echo(t, conn, "inside", late) {
		t.Errorf("two that are cut off together: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := c.Dial(ctx, "tcp", address); err == nil {
		t.Error("the third reaches them")
	}
}

// A process is in its host, and the machine's own network is as it was.
func TestProcess(t *testing.T) {
	before, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	n := network(t, 2)
	var out bytes.Buffer
	cmd := exec.Command("cat", "/proc/net/fib_trie")
	cmd.Stdout = &out
	if err := n.Hosts[1].Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "10.0.0.2") || strings.Contains(out.String(), "10.0.0.1\n") {
		t.Errorf("the process sees\n%s", out.String())
	}
	after, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(before, after, func(a, b net.Interface) bool { return a.Name == b.Name }) {
		t.Errorf("interfaces of the machine: %v, before %v", after, before)
	}
}
