package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/meta"
)

func address(n byte) helenus.Endpoint {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, n}), 7000)
}

func newFacts(n byte, seeds ...byte) *facts {
	f := &facts{host: helenus.HostID{n}, addr: address(n), clusterName: "c", partitioner: "p", level: 2}
	for _, s := range seeds {
		f.seeds = append(f.seeds, address(s))
	}
	f.seeds = seedList(f.seeds)
	return f
}

func TestPlanEntry(t *testing.T) {
	seen := func(f *facts) sight { return sight{addr: f.addr, facts: f} }
	silent := func(n byte) sight { return sight{addr: address(n), reason: "does not answer"} }
	member := func(n byte, change func(*facts)) sight {
		f := newFacts(n, 1)
		f.cluster = meta.ClusterID{9}
		if change != nil {
			change(f)
		}
		return seen(f)
	}
	other := func(n byte, change func(*facts)) sight {
		f := newFacts(n, 1, 2, 3)
		change(f)
		return seen(f)
	}
	promised := newFacts(1, 1, 2, 3)
	promised.promised = helenus.HostID{2}
	for _, c := range []struct {
		what   string
		me     *facts
		sights []sight
		want   string // founds, joins <n>, waits <text>, error <text>
	}{
		{"two of three, the lowest", newFacts(1, 1, 2, 3), []sight{seen(newFacts(2, 1, 2, 3)), silent(3)}, "founds"},
		{"all, not the lowest", newFacts(2, 1, 2, 3), []sight{seen(newFacts(1, 1, 2, 3)), seen(newFacts(3, 1, 2, 3))}, "waits 01000000"},
		{"one of three", newFacts(1, 1, 2, 3), []sight{silent(2), silent(3)}, "waits 127.0.0.2:7000 does not answer"},
		{"one of two", newFacts(1, 1, 2), []sight{silent(2)}, "waits 1 of 2"},
		{"two of four", newFacts(1, 1, 2, 3, 4), []sight{seen(newFacts(2, 1, 2, 3, 4)), silent(3), silent(4)}, "waits 2 of 4"},
		{"an address given twice counts once", newFacts(1, 1, 2, 2, 2), []sight{silent(2)}, "waits 1 of 2"},
		{"another list", newFacts(1, 1, 2, 3), []sight{seen(newFacts(2, 1, 2)), silent(3)}, "waits 127.0.0.2:7000 has another seed list"},
		{"another name", newFacts(1, 1, 2, 3), []sight{other(2, func(f *facts) { f.clusterName = "d" }), silent(3)}, `waits 127.0.0.2:7000 is configured for cluster "d"`},
		{"another partitioner", newFacts(1, 1, 2, 3), []sight{other(2, func(f *facts) { f.partitioner = "q" }), silent(3)}, "waits 127.0.0.2:7000 is configured with q"},
		{"no seed itself", newFacts(4, 1, 2, 3), []sight{seen(newFacts(1, 1, 2, 3)), seen(newFacts(2, 1, 2, 3)), seen(newFacts(3, 1, 2, 3))}, "waits not being one"},
		{"promised to another", promised, []sight{seen(newFacts(2, 1, 2, 3)), silent(3)}, "waits promised"},
		{"a cluster there", newFacts(1, 1, 2, 3), []sight{silent(2), member(3, nil)}, "joins 3"},
		{"a cluster before a founding", newFacts(1, 1, 2, 3), []sight{seen(newFacts(2, 1, 2, 3)), member(3, nil)}, "joins 3"},
		{"another cluster's name", newFacts(1, 1, 2), []sight{member(2, func(f *facts) { f.clusterName = "d" })}, `error "d"`},
		{"another cluster's partitioner", newFacts(1, 1, 2), []sight{member(2, func(f *facts) { f.partitioner = "q" })}, "error uses q"},
		{"a newer cluster", newFacts(1, 1, 2), []sight{member(2, func(f *facts) { f.level = 3 })}, "error upgrade this node"},
		{"right and wrong cluster", newFacts(1, 1, 2, 3), []sight{member(2, nil), member(3, func(f *facts) { f.clusterName = "d" })}, `error "d"`},
	} {
		got, err := planEntry(c.me, c.sights)
		text := ""
		switch {
		case err != nil:
			text = "error " + err.Error()
		case got.step == founds:
			text = "founds"
		case got.step == joins:
			text = fmt.Sprintf("joins %d", c.sights[got.at].addr.Addr().As4()[3])
		default:
			text = "waits " + got.why
		}
		kind, detail, _ := strings.Cut(c.want, " ")
		if !strings.HasPrefix(text, kind) || !strings.Contains(text, detail) {
			t.Errorf("%s: %s, want %s", c.what, text, c.want)
		}
	}
}

// TestPromises: a promise holds until its holder gives it back in a later round.
func TestPromises(t *testing.T) {
	me := newFacts(2, 1, 2, 3)
	ask := func(n byte, round uint64, founding bool) *facts {
		f := newFacts(n, 1, 2, 3)
		f.round, f.founding = round, founding
		return f
	}
	var p promise
	for i, c := range []struct {
		asker *facts
		want  byte // whose promise it is then; 0: nobody's
	}{
		{ask(3, 5, true), 0}, // this node is lower
		{ask(1, 5, true), 1},
		{ask(2, 5, true), 1},  // itself
		{ask(1, 4, false), 1}, // late
		{ask(1, 5, false), 1},
		{ask(1, 5, true), 1},
		{ask(3, 9, false), 1},
		{ask(1, 6, false), 0},
		{ask(2, 7, true), 2},
		{ask(1, 8, true), 2},
	} {
		lowest := min(c.asker.host[0], me.host[0])
		p = answerFounding(me, p, c.asker, helenus.HostID{lowest})
		if p.host != (helenus.HostID{c.want}) {
			t.Errorf("question %d: promised to %v, want %d", i, p.host, c.want)
		}
	}
	other := ask(1, 9, true)
	other.clusterName = "d"
	if p := answerFounding(me, promise{}, other, other.host); p != (promise{}) {
		t.Error("a promise to found another cluster")
	}
	joined := ask(1, 9, false)
	joined.cluster = meta.ClusterID{1}
	if p := answerFounding(me, promise{host: joined.host}, joined, me.host); p.host != joined.host {
		t.Error("a founder gave its promise back")
	}
}

// TestOneFounder tries all ways in which questions of three nodes can mix, and
// checks that never two of them may found.
func TestOneFounder(t *testing.T) {
	var walk func(promises [3]promise, granted [3][3]bool, next [3]int, path string)
	count := 0
	all := []*facts{newFacts(1, 1, 2, 3), newFacts(2, 1, 2, 3), newFacts(3, 1, 2, 3)}
	walk = func(promises [3]promise, granted [3][3]bool, next [3]int, path string) {
		count++
		founders := 0
		for i := range 3 {
			n := 0
			for j := range 3 {
				if granted[i][j] {
					n++
				}
			}
			if granted[i][i] && n >= 2 {
				founders++
			}
		}
		if founders > 1 {
			t.Fatalf("two founders after %s", path)
		}
		for i := range 3 { // node i asks the next one: first itself
			if next[i] == 3 || next[i] > 0 && !granted[i][i] {
				continue
			}
			j := (i + next[i]) % 3
			asker := *all[i]
			asker.founding, asker.round = true, 1
			// It may not have seen those that are lower.
			p, g, n := promises, granted, next
			p[j] = answerFounding(all[j], p[j], &asker, asker.host)
			g[i][j] = p[j].host == asker.host
			n[i]++
			walk(p, g, n, fmt.Sprintf("%s %d?%d", path, i, j))
		}
	}
	walk([3]promise{}, [3][3]bool{}, [3]int{}, "")
	if count < 100 {
		t.Errorf("only %d states", count)
	}
}
