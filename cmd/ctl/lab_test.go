package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"helenus/ctl"
)

// realLab is a lab of real agents at addresses that nobody else is likely to use.
type realLab struct {
	t                   *testing.T
	dir, agent          string
	cql, storage, admin int
}

func newRealLab(t *testing.T) *realLab {
	if testing.Short() {
		t.Skip("builds and runs three agents")
	}
	l := &realLab{t: t, dir: filepath.Join(t.TempDir(), "lab"), agent: filepath.Join(t.TempDir(), "helenus-agent")}
	if out, err := exec.Command("go", "build", "-o", l.agent, "helenus/cmd/helenus-agent").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l.takePorts()
	t.Cleanup(func() {
		// A node that does not end keeps the folder of the test.
		for number := 1; number <= 3; number++ {
			l.run("down --node "+strconv.Itoa(number), "--dir", l.dir)
		}
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(l.dir, "node*", "agent.log"))
			for _, log := range logs {
				text, _ := os.ReadFile(log)
				t.Logf("%s:\n%s", log, text)
			}
		}
	})
	return l
}

func (l *realLab) host(number int) string {
	return fmt.Sprintf("127.%d.%d.%d", 144+os.Getpid()>>8&63, os.Getpid()&255, number)
}

// takePorts chooses different ports that are free at the first address.
func (l *realLab) takePorts() {
	for _, port := range []*int{&l.cql, &l.storage, &l.admin} {
		ln, err := net.Listen("tcp", net.JoinHostPort(l.host(1), "0"))
		if err != nil {
			l.t.Skip("no second loopback address: ", err)
		}
		defer ln.Close()
		*port = ln.Addr().(*net.TCPAddr).Port
	}
}

func (l *realLab) run(line string, more ...string) (int, string) {
	var out bytes.Buffer
	code := ctl.Run(context.Background(), ctl.Env{Args: append(strings.Fields(line), more...), Out: &out, Err: &out})
	return code, out.String()
}

// must runs a command that has to succeed and to say something.
func (l *realLab) must(want, line string, more ...string) {
	l.t.Helper()
	if code, out := l.run(line, more...); code != 0 || !strings.Contains(out, want) {
		l.t.Fatalf("ctl %s: code %d, want %q\n%s", line, code, want, out)
	}
}

func (l *realLab) up(want, line string) {
	l.t.Helper()
	l.must(want, line, "--dir", l.dir, "--agent", l.agent, "-h", l.host(1), "-p", strconv.Itoa(l.admin),
		"--cql-port", strconv.Itoa(l.cql), "--storage-port", strconv.Itoa(l.storage))
}

// allUp wants every node to see all nodes up.
func (l *realLab) allUp(nodes int) {
	l.t.Helper()
	for number := 1; number <= nodes; number++ {
		_, out := l.run("status", "-h", l.host(number), "-p", strconv.Itoa(l.admin))
		if got := strings.Count(out, "UN  "); got != nodes {
			l.t.Fatalf("node %d sees %d of %d nodes up\n%s", number, got, nodes, out)
		}
	}
}

// TestLabOfAgents founds, kills, restarts and grows a cluster of real processes.
func TestLabOfAgents(t *testing.T) {
	l := newRealLab(t)
	l.up("Helenus is up: 2 nodes", "up --nodes 2")
	l.allUp(2)
	l.up("Helenus is up: 3 nodes", "up --nodes 3")
	l.allUp(3)
	at := []string{"-h", l.host(3), "-p", strconv.Itoa(l.admin)}
	l.must("rack3", "status", at...)
	l.must("/"+l.host(1)+"\n  generation:", "gossipinfo", at...)
	l.must("/"+l.host(1)+",", "failuredetector", at...)
	l.must("#Nodes: 3 #Down: 0", "describecluster", at...)
	l.must("endpoint_details:[EndpointDetails(host:"+l.host(1)[:8], "describering system_traces", at...)
	l.must("excluding the current node's IP: /"+net.JoinHostPort(l.host(1), strconv.Itoa(l.storage)), "reloadseeds", at...)
	l.must("Hinted handoff is running", "statushandoff", at...)
	l.must("Changes possible : yes", "metadata status", at...)
	l.must("Node 2 is killed", "down --node 2", "--dir", l.dir)
	l.up("Helenus is up: 3 nodes", "up --node 2")
	l.allUp(3)
	l.must("Helenus is down", "down", "--dir", l.dir)
	l.up("Helenus is up: 3 nodes", "up")
	l.allUp(3)
	l.must("Helenus is down", "down", "--dir", l.dir)
}
