//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"helenus/internal/report"
)

// TestStrangers starts processes beside three that are a cluster, and some of
// the three in another way than before (scenarios 61, 63 and 64). What does not
// belong there is refused or waits, says why, and changes nothing; what does
// starts, also alone.
func TestStrangers(t *testing.T) {
	longOnly(t)
	needsCuts(t) // guests have hosts of their own
	l := registers(t, "'dc1': 3", racks("dc1", 3)...)
	at := place{"dc1", "rack1"}
	was := l.metadata(l.nodes[0])

	other := l.newNode(len(l.nodes) + 1)
	l.configure(other, at, "cluster_name: another\n")
	other.refused(`is in cluster "lab", this node is configured for "another"`)

	// One of the same name that founded a cluster for itself meets the others.
	namesake := l.newNode(len(l.nodes) + 2)
	l.configure(namesake, at, fmt.Sprintf("seed_provider: %q\n", namesake.storage()))
	namesake.start()
	alone := l.metadata(namesake)
	namesake.kill()
	l.configure(namesake, at, "")
	namesake.start()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); wait(100 * time.Millisecond) {
		for _, p := range append(slices.Clone(l.nodes), namesake) {
			want, members := was, 3
			if p == namesake {
				want, members = alone, 1
			}
			if got, n := l.metadata(p), len(p.ring().Members); got != want || n != members {
				t.Fatalf("%s is in cluster %s of %d, want %s of %d", p.host, got, n, want, members)
			}
		}
	}
	namesake.kill()

	moved := l.nodes[2]
	moved.kill()
	l.configure(moved, place{"dc1", "rack9"}, "")
	moved.refused("is in datacenter dc1, rack rack3, and cannot become one of dc1, rack9")
	l.configure(moved, place{"dc1", "rack3"}, "")
	moved.start()

	killAll(l.nodes)
	waits := l.newNode(len(l.nodes) + 1)
	l.configure(waits, at, "")
	waits.launch()
	eventually(t, "a new node without seeds says what it waits for", func() bool { return strings.Contains(waits.log.String(), "this node is in no cluster yet") })
	if waits.ready() {
		t.Error("a new node that reached no seed serves")
	}
	waits.kill()
	l.nodes[1].start() // of its own
	c := l.nodes[1].session()
	defer c.Close()
	if rows := l.nodes[1].query(c, "SELECT key FROM k.registers WHERE key = 1"); len(rows) != 0 {
		t.Errorf("rows %v of an empty table", rows)
	}
	if n := len(l.nodes[1].ring().Members); n != 3 {
		t.Errorf("a member that started alone knows of %d", n)
	}
}

// metadata is the cluster's id as a node has it.
func (l *lab) metadata(p *process) string {
	l.t.Helper()
	var m report.Metadata
	if err := p.ask("/metadata", nil, &m); err != nil {
		l.t.Fatal(err)
	}
	return m.ClusterID
}

// refused wants the process to end by itself, and to say why.
func (p *process) refused(why string) {
	p.t.Helper()
	before := len(p.log.String())
	p.launch()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		said := p.log.String()[before:]
		if err == nil || !strings.Contains(said, why) {
			p.t.Errorf("%s ended with %v, want %q in\n%s", p.host, err, why, said)
		}
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill() // it is of no use any more
		<-ended
		p.t.Errorf("%s runs, want it refused: %s", p.host, why)
	}
	p.cmd = nil
}
