package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/budget"
	"helenus/store/vfs"
)

// TestOverWire: three nodes over real connections.
func TestOverWire(t *testing.T) {
	var listeners []net.Listener
	var seeds []helenus.Endpoint
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		seeds = append(seeds, netip.MustParseAddrPort(ln.Addr().String()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends := make(chan error, 6)
	var logs []*Log
	for i, ln := range listeners {
		cfg := testConfig(byte(i + 1))
		cfg.Node.Broadcast, cfg.Node.Listen, cfg.Seeds = seeds[i], seeds[i], seeds
		l := mustOpen(t, vfs.NewMem(), cfg)
		chance := rand.NewChaCha8([32]byte{byte(i + 10)})
		w, err := wire.New(wire.Options{Self: wire.Target{ID: l.Self(), Addr: seeds[i]}, Identity: l.Identity, Verbs: l.Verbs(),
			Net: dialer{}, Rand: func(b []byte) { chance.Read(b) }, Log: slog.New(slog.DiscardHandler), Budget: budget.New("node", 64<<20)})
		if err != nil {
			t.Fatal(err)
		}
		go func() { ends <- w.Run(ctx, ln) }()
		go func() { ends <- l.Run(ctx, w, nil) }()
		logs = append(logs, l)
	}
	for i, l := range logs {
		for {
			changed := l.Changed()
			if s := l.State(); len(s.Nodes) == 3 && len(s.Voters) == 3 {
				break
			}
			select {
			case <-changed:
			case err := <-ends:
				t.Fatalf("ended: %v", err)
			case <-ctx.Done():
				t.Fatalf("node %d: %+v", i, l.Status())
			}
		}
		select {
		case <-l.Joined():
		default:
			t.Errorf("node %d is a member and was not told", i)
		}
	}
	for i, l := range logs {
		s, err := l.Commit(ctx, createKeyspace(i))
		if err != nil || s.Schema.Keyspaces[fmt.Sprintf("ks%d", i)] == nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
	cancel()
	for range cap(ends) {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	for _, l := range logs {
		l.Close()
	}
}

type dialer struct{ net.Dialer }

func (d dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	return d.DialContext(ctx, "tcp", address)
}
