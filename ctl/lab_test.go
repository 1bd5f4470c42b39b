package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"helenus/ctl/node"
	"helenus/internal/report"
)

// agentMode makes the test binary play helenus-agent: "serve", "die", "die3"
// (node 3 does) or "deaf" (it does not listen to SIGTERM).
const agentMode = "CTL_TEST_AGENT"

func TestMain(m *testing.M) {
	if mode := os.Getenv(agentMode); mode != "" {
		os.Exit(playAgent(mode))
	}
	os.Exit(m.Run())
}

// playAgent serves just what up looks for.
func playAgent(mode string) int {
	me := labNode{1, filepath.Dir(os.Args[2])}
	l := lab{me.dir}
	if text, ok := strings.CutPrefix(filepath.Base(me.dir), "node"); ok {
		me.number, _ = strconv.Atoi(text)
		l.dir = filepath.Dir(me.dir)
	}
	if mode == "die" || mode == "die3" && me.number == 3 {
		fmt.Println("FATAL: the disk is made of cheese")
		return 3
	}
	at, err := me.read()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cql, err := net.Listen("tcp", at.cql())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go answerOptions(cql)
	go func() {
		_ = http.ListenAndServe(at.admin(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/ready" {
				_ = json.NewEncoder(w).Encode(report.Ready{PID: os.Getpid(), CQLAddress: at.cql(), HostID: fmt.Sprint("host", me.number)})
				return
			}
			_ = json.NewEncoder(w).Encode(playStatus(l))
		}))
	}()
	stop := make(chan os.Signal, 1)
	if mode == "deaf" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(stop, syscall.SIGTERM)
	}
	<-stop
	return 0
}

// playStatus sees every node whose process runs up.
func playStatus(l lab) report.Ring {
	var ring report.Ring
	nodes, err := l.nodes()
	if err != nil {
		fmt.Println(err)
	}
	for _, n := range nodes {
		m := report.Member{HostID: fmt.Sprint("host", n.number), Liveness: report.Down}
		if _, alive, err := n.running(); err == nil && alive {
			m.Liveness = report.Up
		}
		ring.Members = append(ring.Members, m)
	}
	return ring
}

// answerOptions answers every frame with SUPPORTED.
func answerOptions(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		var header [9]byte
		if _, err := io.ReadFull(conn, header[:]); err == nil {
			header[0], header[4] = 0x84, 0x06
			_, _ = conn.Write(header[:])
		}
		conn.Close()
	}
}

// bench is a lab folder with free ports at an address.
type bench struct {
	t       *testing.T
	agent   string
	dir     string
	host    string
	cql     int
	storage int
	admin   int
}

func newBench(t *testing.T, mode string) *bench { return benchAt(t, mode, "127.0.0.1") }

// benchOfSeveral is a bench at addresses that nobody else is likely to use.
func benchOfSeveral(t *testing.T, mode string) *bench {
	if _, ok := loopback("127.0.0.1", 1); !ok {
		t.Skip("no second loopback address")
	}
	pid := os.Getpid()
	return benchAt(t, mode, fmt.Sprintf("127.%d.%d.1", 16+pid>>8&127, pid&255))
}

func benchAt(t *testing.T, mode, host string) *bench {
	t.Setenv(agentMode, mode)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ports := freeTestPorts(t, host, 3)
	b := &bench{t: t, agent: exe, dir: filepath.Join(t.TempDir(), "lab"), host: host, cql: ports[0], storage: ports[1], admin: ports[2]}
	t.Cleanup(func() {
		nodes, _ := lab{b.dir}.nodes()
		for _, n := range nodes {
			if p, alive, err := n.running(); err == nil && alive {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
	})
	return b
}

// freeTestPorts are different ports, since all are taken before any is let go.
func freeTestPorts(t *testing.T, host string, count int) (ports []int) {
	t.Helper()
	for range count {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// ctl runs a command line in the lab and keeps what it printed.
func (b *bench) ctl(line string, wantCode int) string {
	b.t.Helper()
	args := append(strings.Fields(line), "--dir", b.dir)
	if strings.HasPrefix(line, "up") {
		args = append(args, "-h", b.host, "-p", strconv.Itoa(b.admin), "--cql-port", strconv.Itoa(b.cql),
			"--storage-port", strconv.Itoa(b.storage), "--agent", b.agent)
	}
	var out bytes.Buffer
	code := Run(context.Background(), Env{Args: args, Out: &out, Err: &out, Exe: b.agent})
	if code != wantCode {
		b.t.Fatalf("ctl %s: code %d, want %d\n%s", line, code, wantCode, out.String())
	}
	return out.String()
}

// process is that of a node, which must run.
func (b *bench) process(number int) process {
	b.t.Helper()
	p, alive, err := lab{b.dir}.node(number).running()
	if err != nil || !alive {
		b.t.Fatalf("node %d: alive %v, error %v", number, alive, err)
	}
	return p
}

func (b *bench) wants(got string, parts ...string) {
	b.t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			b.t.Errorf("no %q in\n%s", part, got)
		}
	}
}

func TestUpAndDown(t *testing.T) {
	b := newBench(t, "serve")
	b.wants(b.ctl("down", 0), "There is no lab")
	b.wants(b.ctl("up --dry-run", 0), "Helenus would be up: 1 node in "+b.dir)
	if exists(b.dir) {
		t.Error("--dry-run left a lab")
	}
	out := b.ctl("up", 0)
	first := b.process(1)
	b.wants(out, "Helenus is up: 1 node in "+b.dir, fmt.Sprint(first.PID), fmt.Sprintf("cqlsh 127.0.0.1 %d", b.cql),
		fmt.Sprintf("ctl -p %d status", b.admin))
	b.wants(out, "End it with ctl down --dir "+b.dir)
	key, err := os.ReadFile(lab{b.dir}.keyFile())
	if err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("up", 0), "Helenus is up already: 1 node")
	if again, err := os.ReadFile(lab{b.dir}.keyFile()); err != nil || !bytes.Equal(key, again) || len(key) != 45 {
		t.Errorf("the key of gossip was %d bytes, and is %d now, error %v", len(key), len(again), err)
	}
	b.wants(b.ctl("up -o json", 0), `"already": true`, fmt.Sprintf(`"pid": %d`, first.PID), fmt.Sprintf(`"cql_address": "127.0.0.1:%d"`, b.cql))
	b.wants(b.ctl("down", 0), "Helenus is down")
	if first.alive() {
		t.Error("the process is still there")
	}
	b.wants(b.ctl("down", 0), "is not running")
	b.wants(b.ctl("down -o yaml", 0), "state: down\nalready: true\n")
	// The configuration stays, and no flag quietly differs from it.
	admin := b.admin
	b.admin = freeTestPorts(t, b.host, 1)[0]
	b.wants(b.ctl("up", 1), fmt.Sprintf("says port %d, --port says %d", admin, b.admin))
}

func TestLabOfThree(t *testing.T) {
	b := benchOfSeveral(t, "serve")
	l := lab{b.dir}
	b.ctl("up", 0)
	one := b.process(1)
	b.wants(b.ctl("up --nodes 3", 0), "Helenus is up: 3 nodes", "down --node 3 --dir "+b.dir)
	if b.process(1) != one {
		t.Error("node 1 was started again")
	}
	if info, err := os.Stat(l.keyFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key of gossip: %v, error %v", info, err)
	}
	for number := 1; number <= 3; number++ {
		n := l.node(number)
		config, err := os.ReadFile(n.configFile())
		if err != nil {
			t.Fatal(err)
		}
		host := strings.TrimSuffix(b.host, "1") + fmt.Sprint(number)
		b.wants(string(config), fmt.Sprintf(`- seeds: "%s:%d"`, b.host, b.storage), "endpoint_snitch: GossipingPropertyFileSnitch\n",
			"\nlisten_address: "+host+"\n", "\nrpc_address: "+host+"\n", "\nadmin_address: "+host+"\n",
			fmt.Sprintf("data_file_directories: [%q]\n", filepath.Join(n.dir, "data")), fmt.Sprintf("gossip_key_file: %q\n", l.keyFile()))
		if p, err := n.readPlace(); err != nil || p != (place{"datacenter1", fmt.Sprint("rack", number)}) {
			t.Errorf("node %d stands in %v, error %v", number, p, err)
		}
	}
	b.wants(b.ctl("up", 0), "is up already: 3 nodes")
	b.wants(b.ctl("up --nodes 2", 1), "has 3 nodes, and does not shrink to 2")

	two, three := b.process(2), b.process(3)
	b.wants(b.ctl("down --node 2", 0), "Node 2 is killed; ctl up --node 2 --dir "+b.dir+" starts it again.")
	b.wants(b.ctl("down --node 2", 0), "Node 2 is not running.")
	if two.alive() || b.process(1) != one || b.process(3) != three {
		t.Error("down --node 2 did not end node 2 alone")
	}
	b.ctl("down --node 3", 0)
	b.wants(b.ctl("up --node 2 -o yaml", 0), "node: 3\n  state: down\n")
	if b.process(2) == two {
		t.Error("node 2 has its old process")
	}
	b.wants(b.ctl("up", 0), "Helenus is up: 3 nodes")
	b.wants(b.ctl("down", 0), "Helenus is down")
	if one.alive() {
		t.Error("node 1 is still there")
	}
}

// TestKilledNode: kill -9 ends also an agent that does not listen.
func TestKilledNode(t *testing.T) {
	b := newBench(t, "deaf")
	b.ctl("up", 0)
	p := b.process(1)
	b.ctl("down --node 1", 0)
	if p.alive() {
		t.Error("the process is still there")
	}
}

// TestOldLab: a lab of one node, made before labs could have more.
func TestOldLab(t *testing.T) {
	b := benchOfSeveral(t, "serve")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("cluster_name: lab\nlisten_address: %s\nstorage_port: %d\nrpc_address: %s\nnative_transport_port: %d\nadmin_address: %s\nadmin_port: %d\n",
		b.host, b.storage, b.host, b.cql, b.host, b.admin)
	if err := os.WriteFile(filepath.Join(b.dir, "helenus.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.ctl("up", 0)
	if got := (lab{b.dir}).node(1).dir; got != b.dir || !exists(filepath.Join(b.dir, "agent.pid")) {
		t.Errorf("node 1 is in %s", got)
	}
	one := b.process(1)
	b.wants(b.ctl("up --nodes 2", 0), "Helenus is up: 2 nodes")
	if b.process(1) != one || !exists(filepath.Join(b.dir, "node2", "helenus.yaml")) {
		t.Error("node 2 is not beside node 1")
	}
	// Node 1 has no key, so the others must not have one.
	if config, err := os.ReadFile(filepath.Join(b.dir, "node2", "helenus.yaml")); err != nil || strings.Contains(string(config), "gossip_key_file") {
		t.Errorf("error %v, and the configuration of node 2 is\n%s", err, config)
	}
	b.ctl("down", 0)
}

func TestBadLabs(t *testing.T) {
	b := benchOfSeveral(t, "serve")
	for line, want := range map[string]string{
		"up --nodes 0":          "--nodes 0: it is 1 to 99",
		"up --nodes 100":        "--nodes 100: it is 1 to 99",
		"up --racks 0":          "--racks 0: it is 1 to 99",
		"up --datacenters -1":   "--datacenters -1: it is 1 to 99",
		"up --node 1":           "there is no lab in",
		"down --node 1":         "there is no lab in",
		"up --node 1 --nodes 2": "give one of them",
	} {
		b.wants(b.ctl(line, 1), want)
	}
	if exists(b.dir) {
		t.Error("a mistake left a lab")
	}
	exe := b.agent
	b.agent = "/no/agent"
	b.wants(b.ctl("up", 1), "ctl: --agent /no/agent: ", "no such file or directory")
	b.agent = exe
	admin := b.admin
	b.admin = b.cql + 1
	b.wants(b.ctl("up --nodes 2 --ports", 1), fmt.Sprintf("node 1 (admin API) and node 2 (CQL) would both be at %s:%d", b.host, b.admin))
	b.admin = admin
	host := b.host
	for bad, want := range map[string]string{"192.0.2.1": "192.0.2.1 is none", "nowhere": "nowhere is none"} {
		b.host = bad
		b.wants(b.ctl("up", 1), want)
	}
	b.host = host
	b.ctl("up --nodes 3 --racks 1", 0)
	b.wants(b.ctl("up --node 4", 1), "there is no node 4 in "+b.dir+": it has node 1 to 3")
	b.wants(b.ctl("down --node 0", 1), "there is no node 0")
	b.wants(b.ctl("up --nodes 4", 1), "node 2 stands in datacenter1, rack1, where --datacenters 1 --racks 3 would have it in datacenter1, rack2")
	b.ctl("up --nodes 4 --racks 1 --dry-run", 0)
	b.ctl("down", 0)
	if err := os.Remove(lab{b.dir}.node(2).configFile()); err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("up", 1), "half a lab: ", "node2/helenus.yaml is missing")
}

// TestNothingStartsOnTakenPorts: the third node's port is taken, and no node is.
func TestNothingStartsOnTakenPorts(t *testing.T) {
	b := benchOfSeveral(t, "serve")
	taken := net.JoinHostPort(strings.TrimSuffix(b.host, "1")+"3", strconv.Itoa(b.storage))
	ln, err := net.Listen("tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b.wants(b.ctl("up --nodes 3", 1), "other nodes: "+taken+" is taken")
	if nodes, err := (lab{b.dir}).nodes(); err != nil || len(nodes) != 0 {
		t.Errorf("%d nodes, error %v", len(nodes), err)
	}
}

func TestOneOfSeveralDies(t *testing.T) {
	b := benchOfSeveral(t, "die3")
	b.wants(b.ctl("up --nodes 3", 2), "node 3 ended", "the disk is made of cheese", "Still running: node 1, 2. ctl up --dir "+b.dir+" goes on from here")
	t.Setenv(agentMode, "serve")
	b.wants(b.ctl("up", 0), "Helenus is up: 3 nodes")
	b.ctl("down", 0)
}

func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		datacenters, racks int
		want               string
	}{
		{1, 3, "[{datacenter1 rack1} {datacenter1 rack2} {datacenter1 rack3} {datacenter1 rack1}]"},
		{1, 1, "[{datacenter1 rack1} {datacenter1 rack1} {datacenter1 rack1} {datacenter1 rack1}]"},
		{2, 3, "[{datacenter1 rack1} {datacenter2 rack1} {datacenter1 rack2} {datacenter2 rack2}]"},
	} {
		var got []place
		for number := 1; number <= 4; number++ {
			got = append(got, placeOf(number, tt.datacenters, tt.racks))
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%d datacenters, %d racks: %v, want %s", tt.datacenters, tt.racks, got, tt.want)
		}
	}
}

func TestPortsInsteadOfAddresses(t *testing.T) {
	first := addresses{"127.0.0.1", 7000, "127.0.0.1", 9042, "127.0.0.1", 7199}
	want := addresses{"127.0.0.1", 7004, "127.0.0.1", 9044, "127.0.0.1", 7201}
	if got := addressesOf(first, 3, true); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	// IPv6 has one loopback address.
	first.Host = "::1"
	if got := addressesOf(first, 2, false); got.Host != "::1" || got.CQLPort != 9043 {
		t.Errorf("%v", got)
	}
}

// TestUpSeesWhoIsMissing: a node that serves and does not see another.
func TestUpSeesWhoIsMissing(t *testing.T) {
	nodes := []*upNode{{labNode: labNode{number: 1}, hostID: "a"}, {labNode: labNode{number: 2}, hostID: "b", at: addresses{Host: "127.0.0.2", StoragePort: 7000}}}
	a, b := member(), member()
	a.HostID, b.HostID = "a", "b"
	for _, tt := range []struct {
		liveness report.Liveness
		members  []report.Member
		want     string
	}{
		{report.Up, []report.Member{a, b}, ""},
		{report.Down, []report.Member{a, b}, "it sees node 2 (127.0.0.2:7000) down"},
		{report.Up, []report.Member{a}, "it does not know node 2 (127.0.0.2:7000)"},
	} {
		if len(tt.members) > 1 {
			tt.members[1].Liveness = tt.liveness
		}
		c := command{env: Env{Dial: func(string) node.Node { return &fakeNode{members: tt.members} }}}
		err := c.seesAll(context.Background(), nodes[0], nodes)
		if got := fmt.Sprint(err); err != nil && got != tt.want || err == nil && tt.want != "" {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// TestDownLeavesStrangersAlone: a process with the number in the file, but not the one.
func TestDownLeavesStrangersAlone(t *testing.T) {
	b := newBench(t, "serve")
	b.ctl("up", 0)
	b.ctl("down", 0)
	text := fmt.Sprintf(`{"pid": %d, "started": "long ago"}`, os.Getpid())
	if err := os.WriteFile(lab{b.dir}.node(1).pidFile(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("down", 0), "is not running") // this test would not get here otherwise
}

func TestUpNamesTheOwnerOfAPort(t *testing.T) {
	b := newBench(t, "serve")
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.cql)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out := b.ctl("up", 1)
	b.wants(out, fmt.Sprintf("CQL: 127.0.0.1:%d is taken", b.cql))
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		b.wants(out, fmt.Sprintf("by process %d: ", os.Getpid()))
	}
	// A port that cannot be is not written down, so that another one may follow.
	b.cql = 99999
	b.wants(b.ctl("up", 1), "CQL: 99999 is not a port")
	b.cql = freeTestPorts(t, b.host, 1)[0]
	b.wants(b.ctl("up", 0), "Helenus is up")
	b.ctl("down", 0)
}

func TestUpTellsWhyTheAgentEnded(t *testing.T) {
	b := newBench(t, "die")
	b.wants(b.ctl("up", 2), "the disk is made of cheese")
	b.wants(b.ctl("down", 0), "is not running")
}

func TestDownDoesNotKill(t *testing.T) {
	b := newBench(t, "deaf")
	b.ctl("up", 0)
	b.wants(b.ctl("down --timeout 200ms", 2), "still runs after 200ms", "agent.log")
	b.process(1)
}

func TestOneAtATime(t *testing.T) {
	b := newBench(t, "serve")
	unlock, err := lab{b.dir}.open()
	if err != nil {
		t.Fatal(err)
	}
	b.wants(b.ctl("up", 1), "another ctl is at work")
	unlock()
}

func TestBadConfiguration(t *testing.T) {
	b := newBench(t, "serve")
	for text, want := range map[string]string{"a: [": "line 1", "- x": "want keys", "admin_port: many": "helenus.yaml:1: many is not a port"} {
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "helenus.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		b.wants(b.ctl("up", 1), want)
	}
}
