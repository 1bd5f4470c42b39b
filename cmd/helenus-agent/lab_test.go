//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"helenus/internal/netns"
	"helenus/internal/report"
)

// lab is real processes that will be one cluster. Where namespaces can be made
// each is in one of its own, and the tests' clients are in another; elsewhere
// all are at loopback addresses, and nobody can be cut off.
type lab struct {
	t       *testing.T
	binary  string
	net     *netns.Network // nil: loopback
	nodes   []*process
	clients *netns.Host
	seeds   []string // where nodes look for others
	more    string   // settings beside the usual, or instead of them
	apart   bool     // in namespaces, if the machine can
}

// place is where a node stands.
type place struct{ datacenter, rack string }

// racks are places of one datacenter, each in a rack of its own.
func racks(datacenter string, n int) []place {
	var places []place
	for i := range n {
		places = append(places, place{datacenter, fmt.Sprintf("rack%d", i+1)})
	}
	return places
}

// guests are hosts of a lab's network beside the nodes and the clients.
const guests = 2

// newLab makes a cluster with a node at each place and starts it.
func newLab(t *testing.T, places ...place) *lab {
	t.Helper()
	l := &lab{t: t, apart: true}
	l.begin(places...)
	return l
}

func (l *lab) begin(places ...place) {
	t := l.t
	t.Helper()
	l.binary = buildAgent(t)
	if l.apart {
		n, err := netns.New(len(places) + 1 + guests)
		if err == nil {
			t.Cleanup(n.Close) // of the lab, and so after its processes
			l.net, l.clients = n, n.Hosts[len(places)]
		} else {
			t.Logf("SKIP: nobody is cut off, all are on loopback: %v", err)
		}
	}
	for i := range places {
		p := l.newNode(i)
		l.nodes = append(l.nodes, p)
		l.seeds = append(l.seeds, p.storage())
	}
	for i, p := range l.nodes {
		l.configure(p, places[i], l.more)
	}
	startAll(l.nodes)
}

// guest is a host of the lab's network that is neither a node nor the clients'.
func (l *lab) guest(i int) *netns.Host { return l.net.Hosts[len(l.nodes)+1+i] }

// needsCuts skips a test that cannot do without a network apart.
func needsCuts(t *testing.T) {
	t.Helper()
	n, err := netns.New(0)
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
	n.Close()
}

// newNode makes a process at one of the network's hosts.
func (l *lab) newNode(host int) *process {
	l.t.Helper()
	p := &process{t: l.t, binary: l.binary, dir: l.t.TempDir(), log: new(lockedBuffer)}
	if l.net == nil {
		p.host = fmt.Sprintf("127.0.11.%d", host+1)
		p.cql, p.admin, p.messages = freePortAt(l.t, p.host), freePortAt(l.t, p.host), freePortAt(l.t, p.host)
		p.operator = p.host
		p.onMachine()
	} else {
		at := l.net.Hosts[host]
		p.host, p.cql, p.admin, p.messages = at.Address.String(), 9042, 7199, 7000
		p.operator, p.run, p.dial, p.dialAdmin = "127.0.0.1", at.Start, l.clients.Dial, at.Dial
	}
	l.t.Cleanup(func() {
		if p.cmd != nil {
			p.resume() // a stopped one ends all the same
			p.kill()
		}
		if l.t.Failed() {
			l.t.Logf("%s said:\n%s", p.host, p.log)
		}
	})
	return p
}

// storage is where other nodes reach the process.
func (p *process) storage() string { return net.JoinHostPort(p.host, strconv.Itoa(p.messages)) }

// configure writes a node's files; more is set beside the usual.
func (l *lab) configure(p *process, at place, more string) {
	l.t.Helper()
	text := fmt.Sprintf("listen_address: %[1]s\nrpc_address: %[1]s\nadmin_address: %[6]s\nnative_transport_port: %[2]d\n"+
		"storage_port: %[3]d\nadmin_port: %[4]d\ndata_file_directories: [%[5]s/data]\ncommitlog_directory: %[5]s/commitlog\n"+
		"endpoint_snitch: GossipingPropertyFileSnitch\n%[7]s", p.host, p.cql, p.messages, p.admin, p.dir, p.operator, more)
	for key, value := range map[string]string{"cluster_name": "lab", "seed_provider": strconv.Quote(strings.Join(l.seeds, ",")),
		"num_tokens": "8", "memory_limit": "256MiB"} {
		if !strings.Contains("\n"+more, "\n"+key+":") {
			text += fmt.Sprintf("%s: %s\n", key, value)
		}
	}
	for name, text := range map[string]string{p.config(): text,
		filepath.Join(p.dir, "cassandra-rackdc.properties"): fmt.Sprintf("dc=%s\nrack=%s\n", at.datacenter, at.rack)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
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

func killAll(nodes []*process) {
	for _, p := range nodes {
		p.kill()
	}
}

// pause stops a process as a whole: its connections stand, and nobody answers.
func (p *process) pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

func (p *process) resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// hosts are the nodes' places in the network.
func (l *lab) hosts(nodes []*process) []*netns.Host {
	var hosts []*netns.Host
	for _, p := range nodes {
		hosts = append(hosts, l.net.Hosts[slices.Index(l.nodes, p)])
	}
	return hosts
}

// cutOff loses what goes between these nodes and the others, clients too.
func (l *lab) cutOff(nodes ...*process) {
	l.t.Helper()
	if err := l.net.Cut(l.hosts(nodes)...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) bringBack(nodes ...*process) {
	l.t.Helper()
	if err := l.net.Join(l.hosts(nodes)...); err != nil {
		l.t.Fatal(err)
	}
}

// eventually waits for something that other processes bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); wait(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: not %s", what)
		}
	}
}

// delivered waits until none of the nodes keeps hints for another.
func delivered(t *testing.T, nodes []*process) {
	t.Helper()
	for _, p := range nodes {
		eventually(t, "all hints of "+p.host+" delivered", func() bool { return !p.keepsHints() })
	}
}

func (p *process) keepsHints() bool {
	var l report.HintList
	if err := p.ask("/hints", nil, &l); err != nil {
		p.t.Fatal(err)
	}
	return slices.ContainsFunc(l.Hints, func(h report.PendingHints) bool { return h.SizeBytes > 0 })
}

func (p *process) ring() (r report.Ring) {
	if err := p.ask("/status", nil, &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// sees tells whether one node holds another for alive.
func (p *process) sees(other *process) bool {
	for _, m := range p.ring().Members {
		if m.Address == other.host {
			return m.Liveness == report.Up
		}
	}
	return false
}
