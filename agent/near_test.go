package agent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/token"
)

// asked is a network that notes whom it is asked for; who is reached does not
// answer.
type asked struct {
	located
	dials   chan string
	reaches func(address string) bool
}

func (a *asked) Dial(_ context.Context, address string) (net.Conn, error) {
	select {
	case a.dials <- address:
	default:
	}
	if a.reaches == nil || !a.reaches(address) {
		return nil, errors.New("no route to host")
	}
	near, far := net.Pipe()
	_ = far.Close()
	return near, nil
}

// askedPackets notes where packets go.
type askedPackets struct {
	net.PacketConn
	to chan string
}

func (a *askedPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	a.to <- to.String()
	return len(b), nil
}

// With prefer_local members of this node's datacenter are reached where they
// listen, and all others where they broadcast.
func TestPreferLocal(t *testing.T) {
	at := func(host string) helenus.Endpoint { return netip.AddrPortFrom(netip.MustParseAddr(host), 7000) }
	anywhere := func(string) bool { return true }
	notLocal := func(address string) bool { return !strings.HasPrefix(address, "10.") }
	for _, test := range []struct {
		name, prefer string
		reaches      func(string) bool
		want         []string // dialled
		packets      []string
	}{
		{"preferred", "true", anywhere, []string{"10.0.0.9:7000", "203.0.113.10:7000"}, []string{"10.0.0.9:7000", "203.0.113.10:7000"}},
		{"not preferred", "false", anywhere, []string{"203.0.113.9:7000", "203.0.113.10:7000"}, []string{"203.0.113.9:7000", "203.0.113.10:7000"}},
		{"not reached", "true", notLocal, []string{"10.0.0.9:7000", "203.0.113.9:7000", "203.0.113.10:7000"}, []string{"203.0.113.9:7000", "203.0.113.10:7000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prefer, want := test.prefer, test.want
			n := &asked{dials: make(chan string, 100), reaches: test.reaches}
			a := onNet(t, n, &n.located, "dc=dc1\nrack=r1\nprefer_local="+prefer+"\n", map[string]string{"endpoint_snitch": "GossipingPropertyFileSnitch"})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			for i, dc := range []helenus.Datacenter{"dc1", "dc2"} {
				host := []string{"9", "10"}[i]
				if _, err := a.cluster.Commit(ctx, meta.Register{Node: meta.Node{HostID: helenus.HostID{byte(9 + i)}, Broadcast: at("203.0.113." + host), Listen: at("10.0.0." + host),
					Native: at("203.0.113." + host), Datacenter: dc, Rack: "r1", Tokens: []token.Token{token.FromInt64(int64(i))}, Level: meta.CurrentLevel}}); err != nil {
					t.Fatal(err)
				}
			}
			missing := slices.Clone(want)
			for len(missing) > 0 { // gossip and memberlist look for both
				select {
				case address := <-n.dials:
					if !slices.Contains(want, address) {
						t.Fatalf("dialled %s", address)
					}
					missing = slices.DeleteFunc(missing, func(s string) bool { return s == address })
				case <-ctx.Done():
					t.Fatalf("never dialled: %v", missing)
				}
			}
			sent := make(chan string, 1)
			packets := &nearPackets{&askedPackets{nil, sent}, (*near)(a)}
			for i, host := range []string{"203.0.113.9", "203.0.113.10"} {
				if _, err := packets.WriteTo(nil, net.UDPAddrFromAddrPort(at(host))); err != nil {
					t.Fatal(err)
				}
				if to := <-sent; to != test.packets[i] {
					t.Errorf("a packet to %s goes to %s", host, to)
				}
			}
		})
	}
}
