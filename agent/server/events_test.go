package server

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/token"
)

// TestNodeEvents: what drivers hear of other nodes, in an order they can use.
func TestNodeEvents(t *testing.T) {
	node := func(id byte, tok string, serving int64) peer {
		parsed, err := token.Murmur3Partitioner{}.Parse(tok)
		if err != nil {
			t.Fatal(err)
		}
		return peer{&meta.Node{HostID: helenus.HostID{id}, Native: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, id}), 9042), Tokens: []token.Token{parsed}}, serving}
	}
	for _, c := range []struct {
		name     string
		old, now []peer
		want     []string
	}{
		{"nothing", []peer{node(1, "0", 1)}, []peer{node(1, "0", 1)}, nil},
		{"joined, not serving yet", nil, []peer{node(1, "0", 0)}, []string{"NEW_NODE 1"}},
		{"joined and serves", nil, []peer{node(1, "0", 1)}, []string{"NEW_NODE 1", "UP 1"}},
		{"serves at last", []peer{node(1, "0", 0)}, []peer{node(1, "0", 1)}, []string{"UP 1"}},
		{"down", []peer{node(1, "0", 1), node(2, "5", 1)}, []peer{node(1, "0", 1), node(2, "5", 0)}, []string{"DOWN 2"}},
		{"restarted before anybody looked", []peer{node(1, "0", 1), node(2, "5", 1)}, []peer{node(1, "0", 1), node(2, "5", 2)}, []string{"DOWN 2", "UP 2"}},
		{"gone", []peer{node(1, "0", 1)}, nil, []string{"DOWN 1", "REMOVED_NODE 1"}},
		{"gone while down", []peer{node(1, "0", 0)}, nil, []string{"REMOVED_NODE 1"}},
		{"moved", []peer{node(1, "0", 1)}, []peer{node(1, "7", 1)}, []string{"MOVED_NODE 1"}},
		{"replaced", []peer{node(1, "0", 1)}, []peer{node(2, "0", 1)}, []string{"DOWN 1", "REMOVED_NODE 1", "NEW_NODE 2", "UP 2"}},
	} {
		var got []string
		for _, e := range (picture{nodes: c.old}).nodeEvents(picture{nodes: c.now}) {
			got = append(got, fmt.Sprintf("%s %d", e.Change, e.Node.Addr().As4()[3]))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
