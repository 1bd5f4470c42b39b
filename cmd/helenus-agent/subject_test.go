//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"helenus/internal/cql/client"
	"helenus/internal/peer"
	"helenus/internal/report"
)

func (l *lab) address(i int) string { return l.nodes[i].host }

func (l *lab) connect(ctx context.Context, i int) (*client.Conn, error) {
	return l.nodes[i].connect(ctx)
}

func (l *lab) kill(i int)   { l.nodes[i].kill() }
func (l *lab) pause(i int)  { l.nodes[i].pause() }
func (l *lab) resume(i int) { l.nodes[i].resume() }
func (l *lab) cut(i int)    { l.cutOff(l.nodes[i]) }
func (l *lab) join(i int)   { l.bringBack(l.nodes[i]) }

func (l *lab) start(nodes []int) {
	var all []*process
	for _, i := range nodes {
		all = append(all, l.nodes[i])
	}
	startAll(all)
}

func (l *lab) keepHints(on bool) {
	for _, p := range l.nodes {
		if p.cmd == nil {
			continue
		}
		if err := p.ask("/hints/settings", report.HintChange{Enabled: &on}, &report.HintSettings{}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lab) hintsLeft() bool {
	return slices.ContainsFunc(l.nodes, func(p *process) bool { return p.cmd != nil && p.keepsHints() })
}

func (l *lab) allServe(i int) bool {
	var known report.GossipInfo
	if err := l.nodes[i].ask("/gossip", nil, &known); err != nil {
		l.t.Fatal(err)
	}
	return !slices.ContainsFunc(known.Nodes, func(n report.GossipNode) bool {
		return !slices.ContainsFunc(n.States, func(s report.GossipState) bool { return s.Name == "RPC_READY" && s.Value == "true" })
	})
}

// control is three real Cassandras at loopback addresses. Nobody can be cut off
// there; who should be is paused, and as silent.
type control struct {
	t     *testing.T
	nodes []*peer.Cassandra
	away  map[int]bool // killed or paused
}

// TestScenariosOnCassandra tells the same stories of three Cassandras.
func TestScenariosOnCassandra(t *testing.T) {
	if os.Getenv("HELENUS_PEER") != "1" || os.Getenv("HELENUS_PEER_LONG") != "1" {
		t.Skip("SKIP: kills three real Cassandras for minutes; HELENUS_PEER=1 HELENUS_PEER_LONG=1 runs it")
	}
	c := &control{t: t, away: map[int]bool{}}
	for _, at := range racks("datacenter1", 3) {
		opt := peer.Options{Rack: at.rack, YAML: "phi_convict_threshold: 5\ndynamic_snitch: false\nhints_flush_period: " + hintsFlushed.String() + "\n"}
		if len(c.nodes) > 0 {
			opt.Seed = c.nodes[0]
		}
		c.nodes = append(c.nodes, peer.Start(t, opt))
	}
	tell(t, c, storyFiles(t))
}

func (c *control) address(i int) string { return c.nodes[i].Address() }

func (c *control) connect(ctx context.Context, i int) (*client.Conn, error) {
	return client.Connect(ctx, net.JoinHostPort(c.address(i), "9042"), client.Config{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}})
}

func (c *control) signal(i int, s syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.nodes[i].PID(), s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *control) pause(i int) {
	c.signal(i, syscall.SIGSTOP)
	c.away[i] = true
}

func (c *control) resume(i int) {
	c.signal(i, syscall.SIGCONT)
	delete(c.away, i)
}

func (c *control) cut(i int)  { c.pause(i) }
func (c *control) join(i int) { c.resume(i) }

func (c *control) kill(i int) {
	c.nodes[i].Kill()
	c.away[i] = true
}

func (c *control) start(nodes []int) {
	for _, i := range nodes {
		c.nodes[i].Restart(c.t)
		delete(c.away, i)
	}
}

func (c *control) keepHints(on bool) {
	word := map[bool]string{false: "disablehandoff", true: "enablehandoff"}[on]
	for i, n := range c.nodes {
		if !c.away[i] {
			n.Nodetool(c.t, word)
		}
	}
}

// hintsFlushed is after how long a Cassandra writes hints to files; before that
// it does not count them as pending.
const hintsFlushed = time.Second

func (c *control) hintsLeft() bool {
	wait(2 * hintsFlushed)
	for i, n := range c.nodes {
		if !c.away[i] && !strings.Contains(n.Nodetool(c.t, "listpendinghints"), "does not have any pending hints") {
			return true
		}
	}
	return false
}

var rpcReady = regexp.MustCompile(`RPC_READY:\d+:true`)

func (c *control) allServe(i int) bool {
	return len(rpcReady.FindAllString(c.nodes[i].Nodetool(c.t, "gossipinfo"), -1)) == len(c.nodes)
}
