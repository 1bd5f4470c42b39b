package sim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"helenus"
)

// hinting is a cluster of three of which one, the last, is away while another,
// the first, coordinates writes.
type hinting struct {
	*ring
	keys                 []string
	asker, other, absent *Node
}

func inHinting(t *testing.T, settings map[string]string, test func(h *hinting)) {
	for _, seed := range seeds(t, 1) {
		inCluster(t, seed, Layout{Nodes: 3, Racks: 3, Settings: settings}, func(r *ring) {
			h := &hinting{ring: r, keys: r.keysOf(1000, r.nodes...), asker: r.nodes[0], other: r.nodes[1], absent: r.nodes[2]}
			h.define("CREATE TABLE ks.h (k text PRIMARY KEY, v text)", "CREATE TABLE ks.short (k text PRIMARY KEY, v text) WITH gc_grace_seconds = 60")
			test(h)
		})
	}
}

// write writes keys from one number to another at ONE.
func (h *hinting) write(table string, from, to int) {
	h.do("writer", func(a *Actor) error {
		for _, key := range h.keys[from:to] {
			if _, err := h.asked(a, h.asker, helenus.One, fmt.Sprintf("INSERT INTO ks.%s (k, v) VALUES ('%s', 'x')", table, key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// has counts the keys that the node which was away has, with all others dead.
func (h *hinting) has(table string) (count int) {
	h.die(h.asker, h.other)
	count = h.count(h.absent, helenus.One, "SELECT k FROM ks."+table)
	h.back(h.asker, h.other)
	return count
}

func (h *hinting) wantHas(table string, want int) {
	if got := h.has(table); got != want && !h.t.Failed() {
		h.Errorf("the node that was away has %d rows of %s, want %d", got, table, want)
	}
}

const deliveredAfter = 15 * time.Second

// TestHintsOfAgents are scenarios 16 and 17: what a node missed comes to it when
// it is back; with hints disabled, or those for its datacenter, nothing does.
func TestHintsOfAgents(t *testing.T) {
	inHinting(t, nil, func(h *hinting) {
		at := 0
		for _, s := range []struct {
			change string
			want   int
		}{
			{"", 100},
			{`{"enabled": false}`, 100},
			{`{"enabled": true}`, 200},
			{`{"datacenter": {"name": "dc1", "enabled": false}}`, 200},
			{`{"datacenter": {"name": "dc1", "enabled": true}}`, 300},
		} {
			h.die(h.absent)
			if s.change != "" {
				h.operate(h.asker, "/hints/settings", s.change)
			}
			h.write("h", at, at+100)
			at += 100
			h.back(h.absent)
			h.RunFor(deliveredAfter)
			if got := h.count(h.absent, helenus.One, "SELECT k FROM ks.h"); got != s.want && !h.t.Failed() {
				h.Errorf("%s: the node that was away has %d rows, want %d", s.change, got, s.want)
			}
		}
	})
}

// TestHintWindow is scenario 18: what is written after the window is not kept,
// nor when the coordinator was started again meanwhile; the window is that of the
// oldest hint too, so that a node which is back for a moment gets no new one.
func TestHintWindow(t *testing.T) {
	inHinting(t, map[string]string{"max_hint_window": "2m"}, func(h *hinting) {
		h.operate(h.asker, "/hints/settings", `{"paused": true}`)
		h.die(h.absent)
		h.write("h", 0, 10)
		h.RunFor(30 * time.Second)
		h.kill(h.asker)
		h.back(h.asker) // the window goes on
		h.operate(h.asker, "/hints/settings", `{"paused": true}`)
		h.write("h", 10, 20)
		h.back(h.absent)
		h.die(h.absent)
		h.RunFor(time.Minute)
		h.write("h", 20, 30) // the node has been away for less than the window
		h.kill(h.asker)
		h.back(h.asker)
		h.write("h", 30, 40)
		h.back(h.absent)
		h.RunFor(deliveredAfter)
		h.wantHas("h", 20)
	})
}

// TestHintLimit is scenario 19: hints for one node do not take more than they
// may, and this is known after a restart, while all writes succeed.
func TestHintLimit(t *testing.T) {
	const limit = 64 << 10
	inHinting(t, map[string]string{"max_hints_size_per_host": strconv.Itoa(limit>>10) + "KiB"}, func(h *hinting) {
		h.die(h.absent)
		value := strings.Repeat("v", 1000)
		for range 2 {
			h.do("writer", func(a *Actor) error {
				for _, key := range h.keys[:150] {
					if _, err := h.asked(a, h.asker, helenus.Quorum, fmt.Sprintf("INSERT INTO ks.h (k, v) VALUES ('%s', '%s')", key, value)); err != nil {
						return err
					}
				}
				return nil
			})
			h.RunFor(5 * time.Second)
			if size := h.hintBytes(); size < limit/2 || size > 2*limit {
				h.Errorf("hints take %d bytes, the limit is %d", size, limit)
			}
			if pending := h.operate(h.asker, "/hints", ""); !strings.Contains(pending, `"ks.h"`) {
				h.Errorf("nothing says that the table needs repair: %s", pending)
			}
			h.kill(h.asker)
			h.back(h.asker)
		}
		if got := h.count(h.asker, helenus.Quorum, "SELECT k FROM ks.h"); got != 150 {
			h.Errorf("%d rows of 150", got)
		}
	})
}

// hintBytes is how much lies on the coordinator's disk.
func (h *hinting) hintBytes() (total int64) {
	names, err := h.asker.disk.List("/hints")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".hints") {
			info, err := h.asker.disk.Stat("/hints/" + name)
			if err != nil {
				h.t.Fatal(err)
			}
			total += info.Size
		}
	}
	return total
}

// TestOldHints are scenarios 21 and 22: what has expired before it is delivered
// leaves no row, what expires later does so at the same time on all replicas, and
// a hint older than gc_grace_seconds is dropped.
func TestOldHints(t *testing.T) {
	inHinting(t, nil, func(h *hinting) {
		h.die(h.absent)
		h.must(h.asker, helenus.One,
			fmt.Sprintf("INSERT INTO ks.h (k, v) VALUES ('%s', 'x') USING TTL 5", h.keys[0]),
			fmt.Sprintf("INSERT INTO ks.h (k, v) VALUES ('%s', 'x') USING TTL 1000", h.keys[1]))
		h.RunFor(7 * time.Second)
		h.back(h.absent)
		h.RunFor(deliveredAfter)
		var left []int
		for _, n := range h.nodes {
			h.wants(n, helenus.One, "SELECT v FROM ks.h WHERE k = '"+h.keys[0]+"'", "")
			text, err := h.ask(n, helenus.One, "SELECT ttl(v) FROM ks.h WHERE k = '"+h.keys[1]+"'")
			seconds, bad := strconv.Atoi(text)
			if err != nil || bad != nil {
				h.Errorf("%q, %v", text, err)
			}
			left = append(left, seconds)
		}
		if left[0]-left[2] > 1 || left[2]-left[0] > 1 {
			h.Errorf("the row lives for %v more seconds", left)
		}
		h.die(h.absent)
		h.write("short", 0, 10)
		h.RunFor(61 * time.Second)
		h.write("short", 10, 15)
		h.back(h.absent)
		h.RunFor(deliveredAfter)
		h.wantHas("short", 5)
	})
}
