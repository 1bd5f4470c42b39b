package coord

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/store"
	"helenus/store/row"
)

// TestHintedHandoff is the whole way of what a dead node misses: it comes to it
// when it is back, so that the others may die then.
func TestHintedHandoff(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "2"}, latency: time.Millisecond, hinted: true}, func(c *nodes) {
		c.setDead(1, true)
		for k := range 100 {
			if err := c.put(0, helenus.Any, "ks", k, 5, "a"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for k := range 100 {
			if c.stored(1, "ks", k) != "" {
				t.Fatal("the dead node got something")
			}
		}
		c.setDead(1, false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		missing := 0
		for k := range 100 {
			for _, n := range c.state.Placement("ks").Replicas(c.all[0].coord.opts.Partition.Token(keyBytes(k))) {
				if n.HostID == hostID(1) && c.stored(1, "ks", k) == "" {
					missing++
				}
			}
		}
		if missing > 0 {
			t.Errorf("%d rows are missing", missing)
		}
		for _, f := range c.all[0].kept.Facts() {
			if f.Bytes != 0 || len(f.Missed) != 0 {
				t.Errorf("left: %+v", f)
			}
		}
	})
}

// TestHintOfExpiringRow: the time to live counts from the write, not from the
// delivery.
func TestHintOfExpiringRow(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "2"}, hinted: true}, func(c *nodes) {
		c.setDead(1, true)
		expiry := time.Now().Unix() + 5
		text := fmt.Sprintf("partition 1\nrow 1 live=5!5/%d v=a@5!5/%[1]d", expiry)
		if err := c.write(0, helenus.One, "ks", text); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		c.setDead(1, false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i := range c.all {
			if got := c.stored(i, "ks", 1); got != text+"\n" {
				t.Errorf("node %d has %q", i, got)
			}
			if n := c.live(i, "ks", 1); n != 0 {
				t.Errorf("node %d has %d live rows", i, n)
			}
		}
	})
}

// live counts the rows of a partition that node i alone would show now.
func (c *nodes) live(i int, keyspace string, k int) (rows int) {
	c.Helper()
	command := &row.Command{Table: c.table(keyspace), Now: time.Now().Unix(), Keys: []row.Key{keyOf(k)}, Filter: row.Filter{Slices: row.AllRows()}}
	ps, err := c.all[i].store.Read(command, store.Blocking)
	if err != nil {
		c.Fatal(err)
	}
	view := row.Visible(ps, command, false, new(row.Scan))
	defer view.Close()
	for {
		p, err := view.Next()
		if p == nil || err != nil {
			return rows
		}
		for u, err := p.Next(); u != nil && err == nil; u, err = p.Next() {
			rows++
		}
	}
}

// TestHintsAreNotResurrected: what was truncated does not come back by a hint.
func TestHintsAreNotResurrected(t *testing.T) {
	for name, coordinator := range map[string]int{"a replica": 0, "a node that is none": 2} {
		t.Run(name, func(t *testing.T) {
			run(t, spec{places: "dc1/r1 dc1/r2 dc2/r1", keyspaces: map[string]string{"ks": "dc1:2"}, hinted: true}, func(c *nodes) {
				c.applyAt(1, "ks", "partition 1\nrow 1 live=4 v=old@4")
				c.setDead(1, true)
				if err := c.put(coordinator, helenus.One, "ks", 1, 5, "a"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				c.setDead(1, false) // the hint is delivered within a second
				if err := c.all[0].coord.Truncate(c.Context(), c.state, c.table("ks")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if got := c.holders("ks", 1); got != "" {
					t.Errorf("held by %s", got)
				}
			})
		})
	}
}
