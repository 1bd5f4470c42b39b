//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"helenus"
)

// TestDatacenterLost loses one of two datacenters of three nodes, to a cut or to
// kill -9, and gets it back. LOCAL_QUORUM goes on (on both sides of a cut), the
// levels that want both are refused at once, and at the end all that was
// acknowledged on either side is on both, with nobody doing anything for it.
func TestDatacenterLost(t *testing.T) {
	rounds := max(1, longOnly(t)/4)
	l := registers(t, "'dc1': 3, 'dc2': 3", append(racks("dc1", 3), racks("dc2", 3)...)...)
	west, east := l.nodes[:3], l.nodes[3:]
	faults := []string{"cut off", "killed"}
	if l.net == nil {
		faults = faults[1:]
	} else {
		for _, p := range east { // the clients of a datacenter are in it
			p.dial = l.guest(0).Dial
		}
	}
	here, there := newLoad(t, helenus.LocalQuorum, 0, west...), newLoad(t, helenus.LocalQuorum, 100000, east...)
	for round := range rounds {
		fault := faults[round%len(faults)]
		here.begin()
		if fault == "cut off" {
			there.begin()
			if err := l.net.Cut(append(l.hosts(east), l.guest(0))...); err != nil {
				t.Fatal(err)
			}
		} else {
			killAll(east)
		}
		began := time.Now()
		seen(t, west, east, false)
		t.Logf("round %d: %s, which is noticed after %s", round, fault, time.Since(began).Round(100*time.Millisecond))
		for _, p := range west {
			localOnly(t, p)
		}
		if fault == "cut off" {
			seen(t, east, west, false)
			localOnly(t, east[0])
			if err := l.net.Join(append(l.hosts(east), l.guest(0))...); err != nil {
				t.Fatal(err)
			}
		} else {
			startAll(east)
		}
		seen(t, west, east, true)
		seen(t, east, west, true)
		here.end()
		t.Logf("round %d: where dc1's clients are: %s", round, here)
		judge(t, here)
		sides := []struct {
			load *ringLoad
			at   *process
		}{{here, east[round%3]}}
		if fault == "cut off" {
			there.end()
			t.Logf("round %d: where dc2's clients are: %s", round, there)
			judge(t, there)
			sides = append(sides, struct {
				load *ringLoad
				at   *process
			}{there, west[round%3]})
		}
		for _, s := range sides {
			s.load.check(s.load.nodes[0], fmt.Sprintf("round %d", round))
			eventually(t, "everything in the other datacenter", func() bool { return len(s.load.wrong(s.at)) == 0 })
		}
		delivered(t, l.nodes)
		for _, level := range []helenus.Consistency{helenus.Quorum, helenus.EachQuorum, helenus.All} {
			if err := insertAt(west[0], level); err != nil {
				t.Errorf("%s after the return: %v", level, err)
			}
		}
	}
	t.Logf("%d rounds, %d writes were acknowledged, none lost", rounds, here.acked.Load()+there.acked.Load())
}

// seen waits until each of some nodes holds all of the others for alive, or none.
func seen(t *testing.T, nodes, others []*process, alive bool) {
	t.Helper()
	for _, p := range nodes {
		for _, other := range others {
			eventually(t, fmt.Sprintf("%s alive at %s: %v", other.host, p.host, alive), func() bool { return p.sees(other) == alive })
		}
	}
}

func judge(t *testing.T, l *ringLoad) {
	t.Helper()
	var s tally
	s.add(l)
	s.judge(t)
}

// insertAt writes a row that nobody reads.
func insertAt(p *process, level helenus.Consistency) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	req := c.QueryRequest(insertText, int32Value(-1), int32Value(0), int64Value(1))
	req.Params.Consistency = level
	_, err = c.Do(ctx, req)
	return err
}

// localOnly wants writes to be answered for this datacenter, and refused
// exactly where another one is wanted that is away.
func localOnly(t *testing.T, p *process) {
	t.Helper()
	for _, tt := range []struct {
		level           helenus.Consistency
		required, alive int
	}{
		{helenus.LocalQuorum, 0, 0},
		{helenus.Three, 0, 0},
		{helenus.Quorum, 4, 3},
		{helenus.EachQuorum, 2, 0},
		{helenus.All, 6, 3},
	} {
		err := insertAt(p, tt.level)
		if tt.required == 0 {
			if err != nil {
				t.Errorf("%s at %s: %v", tt.level, p.host, err)
			}
			continue
		}
		var e *helenus.Error
		if !errors.As(err, &e) || e.Code != helenus.CodeUnavailable || e.Consistency != tt.level || e.Required != tt.required || e.Alive != tt.alive {
			t.Errorf("%s at %s: %#v, want unavailable, %d required, %d alive", tt.level, p.host, err, tt.required, tt.alive)
		}
	}
}
