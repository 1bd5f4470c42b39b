package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"helenus/balance"
	"helenus/ctl/cassandra"
	"helenus/ctl/paste"
	"helenus/internal/cql/client"
	"helenus/internal/peer"
)

// cluster is a real Cassandra of nodes with one token each.
type cluster struct {
	nodes []*peer.Cassandra
	conn  *client.Conn
	tool  string
}

// startCluster starts nodes at tokens; racks "" is SimpleSnitch.
func startCluster(t *testing.T, tokens []int64, racks []string) *cluster {
	c := &cluster{}
	for i, token := range tokens {
		opt := peer.Options{Rack: racks[i%len(racks)],
			YAML: fmt.Sprintf("num_tokens: 1\ninitial_token: '%d'\nauto_bootstrap: false\n", token)}
		if i > 0 {
			opt.Seed = c.nodes[0]
		}
		c.nodes = append(c.nodes, peer.Start(t, opt))
	}
	c.tool = peer.NodetoolScript(t, c.nodes...)
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
	conn, err := client.Connect(t.Context(), c.contact(), client.Config{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	t.Cleanup(func() { conn.Close() })
	return c
}

func (c *cluster) contact() string { return net.JoinHostPort(c.nodes[0].Address(), "9042") }

func (c *cluster) query(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.conn.Query(ctx, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// ring reads the cluster over CQL, with the keyspaces named only.
func (c *cluster) ring(t *testing.T, keyspace string) *balance.Ring {
	t.Helper()
	r, err := cassandra.ReadRing(t.Context(), cassandra.Dial(cassandra.Login{}), c.contact(), false)
	if err != nil {
		t.Fatal(err)
	}
	r.Keyspaces = slices.DeleteFunc(r.Keyspaces, func(k balance.Keyspace) bool { return k.Name != keyspace })
	if len(r.Keyspaces) != 1 {
		t.Fatalf("no keyspace %s in %v", keyspace, r)
	}
	return r
}

func ownership(t *testing.T, r *balance.Ring) map[string]balance.Share {
	t.Helper()
	v, err := balance.Verify(&balance.Plan{RingHash: r.Hash()}, r)
	if err != nil {
		t.Fatal(err)
	}
	return v.Ownership.Before
}

// longPeer tells whether HELENUS_PEER_LONG=1 asks for what takes minutes.
func longPeer() bool { return os.Getenv("HELENUS_PEER_LONG") == "1" }

// peerNodes is how many nodes HELENUS_PEER_NODES asks for, 3 to 6.
func peerNodes(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("HELENUS_PEER_NODES"))
	if err != nil {
		return 3
	}
	if n < 3 || n > 6 {
		t.Fatal("HELENUS_PEER_NODES is not between 3 and 6")
	}
	return n
}

// TestCassandraOwnership compares what the planner counts with what a real
// Cassandra says, on random rings: shares, and the replicas of every range.
func TestCassandraOwnership(t *testing.T) {
	if os.Getenv("HELENUS_PEER") != "1" {
		t.Skip("runs with HELENUS_PEER=1")
	}
	const seed = 6
	rounds := 1
	if longPeer() {
		rounds = 3
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	n := peerNodes(t)
	var tokens []int64
	for range n {
		tokens = append(tokens, int64(rnd.Uint64()))
	}
	c := startCluster(t, tokens, []string{"rack1", "rack2"})
	var keyspaces []string
	for rf := 1; rf <= 3; rf++ {
		keyspaces = append(keyspaces, fmt.Sprint("simple", rf), fmt.Sprint("network", rf))
		c.query(t, fmt.Sprintf("CREATE KEYSPACE simple%d WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}", rf, rf))
		c.query(t, fmt.Sprintf("CREATE KEYSPACE network%d WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': %d}", rf, rf))
	}
	c.agree(t)
	for round := range rounds {
		if round > 0 {
			token := fmt.Sprint(int64(rnd.Uint64()))
			c.nodes[rnd.IntN(n)].Nodetool(t, "move", "--", token)
			c.settle(t, token)
		}
		for _, k := range keyspaces {
			c.compare(t, k)
		}
	}
	if dir := os.Getenv("HELENUS_PEER_RECORD"); dir != "" {
		c.record(t, dir)
	}
}

// until waits for what nodes tell each other in the background.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-ticker.C {
		if done() {
			return
		}
	}
	t.Fatalf("after a minute still not: %s", what)
}

// settle waits until the contact's system tables show a token.
func (c *cluster) settle(t *testing.T, token string) {
	t.Helper()
	until(t, "token "+token+" in the system tables", func() bool {
		r := c.ring(t, "simple1")
		return slices.ContainsFunc(r.Nodes, func(n balance.Node) bool { return r.FormatToken(n.Tokens[0]) == token })
	})
}

// agree waits until all nodes have the same schema.
func (c *cluster) agree(t *testing.T) {
	t.Helper()
	until(t, "one schema", func() bool {
		_, versions, ok := strings.Cut(c.nodes[0].Nodetool(t, "describecluster"), "Schema versions:")
		if !ok {
			t.Fatal("describecluster shows no versions")
		}
		versions, _, _ = strings.Cut(versions, "Stats for all nodes")
		return strings.Count(versions, "[") == 1 && !strings.Contains(versions, "UNREACHABLE")
	})
}

var statusRow = regexp.MustCompile(`(?m)^UN +(\S+) .* ([\d.]+)% `)

// compare looks at one keyspace.
func (c *cluster) compare(t *testing.T, keyspace string) {
	t.Helper()
	r := c.ring(t, keyspace)
	shares := ownership(t, r)
	status := c.nodes[0].Nodetool(t, "status", keyspace)
	rows := statusRow.FindAllStringSubmatch(status, -1)
	if len(rows) != len(c.nodes) {
		t.Fatalf("status %s:\n%s", keyspace, status)
	}
	for _, row := range rows {
		want, _ := strconv.ParseFloat(row[2], 64)
		if got := 100 * shares[row[1]].Effective; math.Abs(got-want) > 0.0501 {
			t.Errorf("%s: %s owns %.3f %%, nodetool status says %s %%", keyspace, row[1], got, row[2])
		}
	}
	text := c.nodes[0].Nodetool(t, "describering", keyspace)
	compareRanges(t, r, keyspace, text)
	pasted, err := paste.Parse(text, paste.Options{})
	if err != nil {
		t.Fatalf("describering %s: %v\n%s", keyspace, err, text)
	}
	comparePasted(t, "describering "+keyspace, pasted, shares)
	both, err := paste.Parse(c.nodes[0].Nodetool(t, "ring", keyspace)+status, paste.Options{})
	if err != nil {
		t.Fatalf("ring %s: %v", keyspace, err)
	}
	if both.Hash() != r.Hash() || pasted.Hash() != r.Hash() {
		t.Errorf("%s: a plan made over CQL would be stale for a paste: %+v, %+v, %+v", keyspace, r.Nodes, both.Nodes, pasted.Nodes)
	}
	for i := range both.Nodes {
		if len(both.Nodes[i].Tokens) != 1 {
			t.Errorf("ring %s: node %+v", keyspace, both.Nodes[i])
		}
	}
}

// comparePasted holds a pasted ring's shares against those read over CQL.
func comparePasted(t *testing.T, what string, r *balance.Ring, want map[string]balance.Share) {
	t.Helper()
	for id, s := range ownership(t, r) {
		if math.Abs(s.Effective-want[id].Effective) > 1e-9 {
			t.Errorf("%s: %s owns %v, over CQL %v", what, id, s.Effective, want[id].Effective)
		}
	}
}

var rangeLine = regexp.MustCompile(`start_token:(-?\d+), end_token:(-?\d+), endpoints:\[([^\]]*)\]`)

// compareRanges asks the planner who holds a range by giving it bytes in that
// range only.
func compareRanges(t *testing.T, r *balance.Ring, keyspace, text string) {
	t.Helper()
	lines := rangeLine.FindAllStringSubmatch(text, -1)
	if len(lines) != len(r.Nodes) {
		t.Fatalf("describering %s:\n%s", keyspace, text)
	}
	for _, l := range lines {
		one := r.Clone()
		start, err1 := r.ParseToken(l[1])
		end, err2 := r.ParseToken(l[2])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		k := &one.Keyspaces[0]
		k.PerToken, k.Density = "1", []balance.Density{{After: start, Factor: "1"}, {After: end, Factor: "0"}}
		if first, second := l[1], l[2]; !lessToken(first, second) {
			slices.Reverse(k.Density)
		}
		var got []string
		for id, s := range ownership(t, one) {
			if s.Bytes.Float() > 0 {
				got = append(got, id)
			}
		}
		want := strings.Split(l[3], ", ")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: (%s, %s] lies on %v, describering says %v", keyspace, l[1], l[2], got, want)
		}
	}
}

func lessToken(a, b string) bool {
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	return x < y
}

// record keeps what nodetool prints, for paste's testdata.
func (c *cluster) record(t *testing.T, dir string) {
	t.Helper()
	for name, args := range map[string][]string{"ring": {"ring"}, "ring-ks": {"ring", "network2"}, "status": {"status", "network2"}, "status-none": {"status"},
		"describering": {"describering", "network2"}, "gossipinfo": {"gossipinfo"}, "ring-pp": {"-pp", "ring"}} {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(c.nodes[0].Nodetool(t, args...)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCassandraBalanced balances a real ring: planned over CQL, executed by the
// printed script, its streams counted by the nodes themselves.
func TestCassandraBalanced(t *testing.T) {
	if os.Getenv("HELENUS_PEER") != "1" || !longPeer() {
		t.Skip("SKIP: moves tokens of real Cassandras for minutes; HELENUS_PEER=1 HELENUS_PEER_LONG=1 runs it")
	}
	n := peerNodes(t)
	tokens := []int64{-9000000000000000000, -7000000000000000000, 1000000000000000000, 2000000000000000000, 2500000000000000000, 8000000000000000000}
	c := startCluster(t, tokens[:n], []string{""})
	c.query(t, "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 2}")
	c.query(t, "CREATE TABLE ks.t (k int PRIMARY KEY, v blob) WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}")
	c.agree(t)
	c.fill(t, 14000*n/3, 8192)
	for _, node := range c.nodes {
		node.Nodetool(t, "flush", "ks")
		node.Nodetool(t, "refreshsizeestimates")
	}
	code, text, errs := c.ctl(t, "plan", "-o", "json")
	var p balance.Plan
	if err := json.Unmarshal([]byte(text), &p); code != 0 || err != nil || p.Summary.Moves == 0 {
		t.Fatalf("plan: code %d, %v, %s\n%s", code, err, errs, text)
	}
	if code, _, _ := c.ctl(t, "plan", "--check", "--tolerance", "5%"); code != exitMovesNeeded {
		t.Errorf("check of the unbalanced ring: code %d", code)
	}
	before := c.received(t)
	code, script, errs := c.ctl(t, "plan", "-o", "commands")
	if code != 0 {
		t.Fatalf("commands: code %d, %s", code, errs)
	}
	c.run(t, script)
	streamed := c.received(t) - before
	predicted := p.Summary.Bytes.Float()
	t.Logf("%d moves; predicted %.0f bytes, streamed %.0f (%+.1f %%); max/mean %.2f -> %.2f", p.Summary.Moves, predicted, streamed, 100*(streamed/predicted-1),
		p.Ownership.Stats.Before.MaxOverMean, p.Ownership.Stats.After.MaxOverMean)
	if math.Abs(streamed/predicted-1) > 0.10 {
		t.Errorf("streamed %.0f bytes, predicted %.0f", streamed, predicted)
	}
	for _, node := range c.nodes {
		node.Nodetool(t, "refreshsizeestimates")
	}
	tolerance := "5%"
	if n > 3 {
		tolerance = "10%" // the smaller the ranges, the rougher are the nodes' estimates of them
	}
	if code, out, errs := c.ctl(t, "plan", "--check", "--tolerance", tolerance); code != 0 {
		t.Errorf("check of the balanced ring: code %d, %s\n%s", code, errs, out)
	}
	shares := ownership(t, c.ring(t, "ks"))
	for id, s := range shares {
		if math.Abs(s.Effective-2/float64(n)) > 0.03 {
			t.Errorf("%s holds %.3f", id, s.Effective)
		}
	}
	c.run(t, script) // again: every step finds itself done
	if again := c.received(t) - before; again != streamed {
		t.Errorf("the script streams again: %.0f bytes", again-streamed)
	}
}

// ctl runs ctl balance against the cluster.
func (c *cluster) ctl(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), Env{Args: append([]string{"balance", args[0], "--contact", c.contact()}, args[1:]...), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// run executes a script as an operator does.
func (c *cluster) run(t *testing.T, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-s")
	cmd.Stdin, cmd.Env = strings.NewReader(script), append(os.Environ(), "NODETOOL="+c.tool)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("script: %v\n%s\n%s", err, text, script)
	} else {
		t.Logf("script:\n%s", text)
	}
}

// fill writes rows of which half is random and half can be compressed, many in
// flight.
func (c *cluster) fill(t *testing.T, rows, size int) {
	t.Helper()
	stmt, err := c.conn.Prepare(t.Context(), "INSERT INTO ks.t (k, v) VALUES (?, ?)", "")
	if err != nil {
		t.Fatal(err)
	}
	const writers = 32
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			rnd := rand.NewChaCha8([32]byte{byte(w)})
			value := make([]byte, size)
			var err error
			for k := w; k < rows && err == nil; k += writers {
				rnd.Read(value[:size/2])
				_, err = c.conn.Execute(t.Context(), stmt, client.Bytes([]byte{byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)}), client.Bytes(value))
			}
			errs <- err
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// counted is the last number that sjk prints.
var counted = regexp.MustCompile(`(\d+)\s*$`)

// received is how many bytes all nodes have received in streams, by their own
// counters.
func (c *cluster) received(t *testing.T) float64 {
	t.Helper()
	sum := 0.0
	for _, n := range c.nodes {
		text := n.Nodetool(t, "sjk", "mx", "-mg", "-b", "org.apache.cassandra.metrics:type=Streaming,name=TotalIncomingBytes", "-f", "Count")
		if strings.Contains(text, "MBean not found") {
			continue // before its first stream
		}
		match := counted.FindStringSubmatch(text)
		if match == nil {
			t.Fatalf("no counter of %s:\n%s", n.Address(), text)
		}
		bytes, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += bytes
	}
	return sum
}
