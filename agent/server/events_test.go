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
	node := func(id byte, tok string, serving bool) peer {
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
		{"nothing", []peer{node(1, "0", true)}, []peer{node(1, "0", true)}, nil},
		{"joined, not serving yet", nil, []peer{node(1, "0", false)}, []string{"NEW_NODE 1"}},
		{"joined and serves", nil, []peer{node(1, "0", true)}, []string{"NEW_NODE 1", "UP 1"}},
		{"serves at last", []peer{node(1, "0", false)}, []peer{node(1, "0", true)}, []string{"UP 1"}},
		{"down", []peer{node(1, "0", true), node(2, "5", true)}, []peer{node(1, "0", true), node(2, "5", false)}, []string{"DOWN 2"}},
		{"gone", []peer{node(1, "0", true)}, nil, []string{"DOWN 1", "REMOVED_NODE 1"}},
		{"gone while down", []peer{node(1, "0", false)}, nil, []string{"REMOVED_NODE 1"}},
		{"moved", []peer{node(1, "0", true)}, []peer{node(1, "7", true)}, []string{"MOVED_NODE 1"}},
		{"replaced", []peer{node(1, "0", true)}, []peer{node(2, "0", true)}, []string{"DOWN 1", "REMOVED_NODE 1", "NEW_NODE 2", "UP 2"}},
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
