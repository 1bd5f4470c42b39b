//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"helenus"
)

// ringRounds is few in everyday tests; HELENUS_RING_ROUNDS asks for more.
func ringRounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("HELENUS_RING_ROUNDS")); err == nil {
		return n
	}
	if testing.Short() {
		t.Skip("SKIP: kills real processes several times; not with -short")
	}
	return 2
}

// newRing makes three processes that will be one cluster, each in a rack of its
// own, at loopback addresses of their own; more goes into each configuration.
func newRing(t *testing.T, more string) []*process {
	t.Helper()
	binary := buildAgent(t)
	var nodes []*process
	var seeds []string
	for i := range 3 {
		p := &process{t: t, binary: binary, dir: t.TempDir(), host: fmt.Sprintf("127.0.11.%d", i+1), log: new(lockedBuffer)}
		p.cql, p.admin = freePortAt(t, p.host), freePortAt(t, p.host)
		p.peers = net.JoinHostPort(p.host, strconv.Itoa(freePortAt(t, p.host)))
		seeds = append(seeds, p.peers)
		nodes = append(nodes, p)
	}
	for i, p := range nodes {
		text := fmt.Sprintf("cluster_name: ring\nlisten_address: %[1]s\nrpc_address: %[1]s\nadmin_address: %[1]s\nnative_transport_port: %d\n"+
			"storage_port: %s\nadmin_port: %d\ndata_file_directories: [%[5]s/data]\ncommitlog_directory: %[5]s/commitlog\n"+
			"endpoint_snitch: GossipingPropertyFileSnitch\nseed_provider: %q\n%s",
			p.host, p.cql, p.peers[len(p.host)+1:], p.admin, p.dir, strings.Join(seeds, ","), more)
		for name, text := range map[string]string{p.config(): text,
			filepath.Join(p.dir, "cassandra-rackdc.properties"): fmt.Sprintf("dc=dc1\nrack=rack%d\n", i+1)} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if p.cmd != nil {
				_ = p.cmd.Process.Signal(syscall.SIGCONT) // a stopped one ends all the same
				p.kill()
			}
			if t.Failed() {
				t.Logf("%s said:\n%s", p.host, p.log)
			}
		})
	}
	startAll(nodes)
	return nodes
}

func freePortAt(t *testing.T, host string) int {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("SKIP: this machine has no address %s: %v", host, err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// startAll starts nodes at the same time: alone, none may found a cluster.
func startAll(nodes []*process) {
	var started sync.WaitGroup
	for _, p := range nodes {
		started.Go(p.start)
	}
	started.Wait()
}

// ringLoad counts rows up at QUORUM over whichever node answers, and remembers
// what was acknowledged.
type ringLoad struct {
	nodes []*process
	stop  chan struct{}
	done  sync.WaitGroup
	rows  [][]*register // of each writer

	asked, failed atomic.Int64
	last          atomic.Int64 // when a write was acknowledged last, in ns
	gap           atomic.Int64 // the longest time without
}

const (
	ringWriters = 6
	ringRows    = 40
)

func (l *ringLoad) begin() {
	l.stop = make(chan struct{})
	l.last.Store(time.Now().UnixNano())
	for w := range ringWriters {
		if len(l.rows) <= w {
			var rows []*register
			for i := range ringRows {
				rows = append(rows, &register{key: int32(w*1000 + i), row: 0})
			}
			l.rows = append(l.rows, rows)
		}
		l.done.Go(func() { l.write(w) })
	}
}

func (l *ringLoad) end() {
	close(l.stop)
	l.done.Wait()
}

func (l *ringLoad) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// write goes on at the next node whenever a connection fails.
func (l *ringLoad) write(w int) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(w)))
	for at := w; !l.stopped(); at++ {
		l.writeAt(l.nodes[at%len(l.nodes)], l.rows[w], rng)
	}
}

// ringPatience is how long a client waits for a connection or an answer.
const ringPatience = 3 * time.Second

func (l *ringLoad) writeAt(p *process, rows []*register, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), ringPatience)
	defer cancel()
	c, err := p.connect(ctx)
	if err != nil {
		wait(20 * time.Millisecond)
		return
	}
	defer c.Close()
	insert, err := c.Prepare(ctx, "INSERT INTO k.registers (key, row, value) VALUES (?, ?, ?)", "")
	if err != nil {
		return
	}
	for !l.stopped() {
		r := rows[rng.IntN(len(rows))]
		r.tried++
		req := c.ExecuteRequest(insert, int32Value(r.key), int32Value(r.row), int64Value(r.tried))
		req.Params.Consistency = helenus.Quorum
		ctx, cancel := context.WithTimeout(context.Background(), ringPatience)
		_, err := c.DoPrepared(ctx, insert, req)
		cancel()
		l.asked.Add(1)
		if err != nil {
			l.failed.Add(1)
			return
		}
		r.acked = r.tried
		now := time.Now().UnixNano()
		if gap := now - l.last.Swap(now); gap > l.gap.Load() {
			l.gap.Store(gap) // of several at once any will do
		}
	}
}

// check reads every row at QUORUM.
func (l *ringLoad) check(t *testing.T, p *process, round int) {
	t.Helper()
	c := p.session()
	defer c.Close()
	total := int64(0)
	for _, rows := range l.rows {
		for _, r := range rows {
			req := c.QueryRequest("SELECT value FROM k.registers WHERE key = ? AND row = ?", int32Value(r.key), int32Value(r.row))
			req.Params.Consistency = helenus.Quorum
			res, err := c.Do(t.Context(), req)
			if err != nil {
				t.Fatalf("round %d: key %d: %v", round, r.key, err)
			}
			got := int64(0)
			all, err := res.All()
			if err != nil {
				t.Fatal(err)
			}
			if len(all) == 1 {
				got = int64(binary.BigEndian.Uint64(all[0][0]))
			}
			if got < r.acked || got > r.tried {
				t.Errorf("round %d: key %d: read %d, acknowledged %d, tried %d", round, r.key, got, r.acked, r.tried)
			}
			r.acked = got
			total += got
		}
	}
	t.Logf("round %d: %d writes there, %d of %d failed, the longest time without one %s", round, total, l.failed.Load(), l.asked.Load(),
		time.Duration(l.gap.Load()).Round(time.Millisecond))
}

// TestRingLosesNothing kills and pauses nodes of three under load at QUORUM, one
// at a time and then all at once: what was acknowledged is there.
func TestRingLosesNothing(t *testing.T) {
	rounds := ringRounds(t)
	nodes := newRing(t, "num_tokens: 8\nmemory_limit: 256MiB\n")
	c := nodes[0].session()
	nodes[0].query(c, "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}")
	nodes[0].query(c, "CREATE TABLE k.registers (key int, row int, value bigint, PRIMARY KEY (key, row))")
	c.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	load := &ringLoad{nodes: nodes}
	for round := range rounds {
		load.begin()
		wait(time.Second)
		victim := nodes[rng.IntN(len(nodes))]
		switch round % 3 {
		case 0:
			victim.kill()
			wait(time.Duration(500+rng.IntN(2000)) * time.Millisecond)
			victim.start()
		case 1:
			_ = victim.cmd.Process.Signal(syscall.SIGSTOP)
			wait(time.Duration(500+rng.IntN(4000)) * time.Millisecond)
			_ = victim.cmd.Process.Signal(syscall.SIGCONT)
		case 2:
			for _, p := range nodes {
				p.kill()
			}
			startAll(nodes)
		}
		wait(time.Second)
		load.end()
		load.check(t, nodes[(round+1)%len(nodes)], round)
	}
}
