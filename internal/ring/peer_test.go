package ring

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/peer"
	"helenus/internal/token"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/placement.txt anew, with HELENUS_PEER=1")

const placementFile = "testdata/placement.txt"

// TestPlacementIsCassandras compares replicas, in order, with those that a
// Cassandra gave for the same rings, keyspaces and keys.
func TestPlacementIsCassandras(t *testing.T) {
	data, err := os.ReadFile(placementFile)
	if err != nil {
		t.Fatal(err)
	}
	if n := comparePlacements(t, string(data)); n < 1000 {
		t.Errorf("%d keys compared", n)
	}
}

// TestPlacementAgainstCassandra asks a Cassandra about rings made now.
func TestPlacementAgainstCassandra(t *testing.T) {
	c := peer.Offline(t)
	seed := rand.Uint64()
	rings := 150
	if *rewrite {
		seed, rings = 5, 30
	}
	if text := os.Getenv("HELENUS_PLACEMENT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HELENUS_PLACEMENT_SEED=%d", seed)
	answers := c.Java(t, "testdata/Placement.java", randomPlacements(rand.New(rand.NewPCG(seed, 0)), rings))
	n := comparePlacements(t, answers)
	t.Logf("%d keys compared", n)
	if want := rings * keyspacesPerRing * keysPerKeyspace; n != want {
		t.Errorf("want %d", want)
	}
	if *rewrite {
		if err := os.WriteFile(placementFile, []byte(answers), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// How much is asked of every ring.
const (
	keyspacesPerRing = 5
	keysPerKeyspace  = 8
)

// randomPlacements are questions for Placement.java: rings of 1 to 40 nodes in 1
// to 3 datacenters of 1 to 5 racks, with 1 to 16 tokens each.
func randomPlacements(rnd *rand.Rand, rings int) string {
	var b strings.Builder
	number := func() int64 { return int64(rnd.Uint64()) }
	for range rings {
		b.WriteString("ring\n")
		dcs, racks, tokens := 1+rnd.IntN(3), 1+rnd.IntN(5), 1+rnd.IntN(16)
		for i := range 1 + rnd.IntN(40) {
			fmt.Fprintf(&b, "node %d dc%d r%d", i+1, 1+rnd.IntN(dcs), 1+rnd.IntN(racks))
			for range max(1, tokens-rnd.IntN(2)) {
				fmt.Fprintf(&b, " %d", number())
			}
			b.WriteString("\n")
		}
		for k := range keyspacesPerRing {
			if k == 0 {
				fmt.Fprintf(&b, "keyspace SimpleStrategy replication_factor=%d\n", 1+rnd.IntN(6))
			} else {
				b.WriteString("keyspace NetworkTopologyStrategy")
				for dc := range 4 { // dc4 is nowhere
					if dc == 0 || rnd.IntN(3) > 0 {
						fmt.Fprintf(&b, " dc%d=%d", dc+1, rnd.IntN(6))
					}
				}
				b.WriteString("\n")
			}
			for range keysPerKeyspace {
				key := make([]byte, 1+rnd.IntN(20))
				for i := range key {
					key[i] = byte(rnd.Uint32())
				}
				fmt.Fprintf(&b, "key %x\n", key)
			}
		}
	}
	return b.String()
}

// comparePlacements works out every line "key HEX TOKEN: REPLICAS" of an answer
// and counts them.
func comparePlacements(t *testing.T, answers string) (compared int) {
	t.Helper()
	var nodes []Node
	var placement *Placement
	keyspace := ""
	p := token.Murmur3Partitioner{}
	for i, line := range strings.Split(strings.TrimSpace(answers), "\n") {
		f := strings.Fields(line)
		switch f[0] {
		case "ring":
			nodes = nil
		case "node":
			id, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			n := Node{HostID: helenus.HostID{byte(id)}, Datacenter: helenus.Datacenter(f[2]), Rack: helenus.Rack(f[3])}
			for _, text := range f[4:] {
				tok, err := p.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				n.Tokens = append(n.Tokens, tok)
			}
			nodes = append(nodes, n)
		case "keyspace":
			options := map[string]string{}
			for _, o := range f[2:] {
				k, v, _ := strings.Cut(o, "=")
				options[k] = v
			}
			keyspace, placement = line, NewPlacement(mustStrategy(t, f[1], options), NewTopology(nodes))
		case "key":
			key, err := hex.DecodeString(f[1])
			if err != nil {
				t.Fatal(err)
			}
			tok := p.Token(key)
			got := fmt.Sprintf("%s: %s", p.Format(tok), ids(placement.Replicas(tok)))
			if want := strings.Join(f[2:], " "); strings.TrimSpace(got) != want {
				t.Errorf("line %d: %s, key %s: %s, Cassandra %s", i+1, keyspace, f[1], got, want)
			}
			compared++
		default:
			t.Fatalf("line %d: %q", i+1, line)
		}
	}
	return compared
}
