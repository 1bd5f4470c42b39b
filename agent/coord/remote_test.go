package coord

import (
	"fmt"
	"testing"

	"helenus"
)

// TestRemoteIsCounted: a request that another node could have coordinated as a
// replica of all that it asks for, and this one cannot, counts as remote.
func TestRemoteIsCounted(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"one": "1", "two": "2"}}, func(c *nodes) {
		for _, s := range []struct {
			keyspace string
			owners   []int // of the partitions
			remote   uint64
		}{
			{"one", []int{0}, 0},
			{"one", []int{1}, 1},
			{"one", []int{0, 2}, 1},
			{"two", []int{0}, 0},
			{"two", []int{2}, 0}, // the next node is its second replica
			{"two", []int{1}, 1},
			{"two", []int{0, 2}, 0},
			{"two", []int{0, 1, 2}, 1},
		} {
			stats := c.all[0].coord.Stats()
			reads, writes := stats.RemoteReads.Load(), stats.RemoteWrites.Load()
			var keys []int
			text := ""
			for _, i := range s.owners {
				keys = append(keys, c.key(i))
				text += fmt.Sprintf("partition %d\nrow 1 live=5 v=x@5\n", c.key(i))
			}
			if err := c.write(0, helenus.One, s.keyspace, text); err != nil {
				t.Fatal(err)
			}
			if _, err := c.read(0, helenus.One, c.command(s.keyspace, keys...)); err != nil {
				t.Fatal(err)
			}
			if reads, writes = stats.RemoteReads.Load()-reads, stats.RemoteWrites.Load()-writes; reads != s.remote || writes != s.remote {
				t.Errorf("%s, partitions of %v: %d remote reads, %d remote writes, want %d of each", s.keyspace, s.owners, reads, writes, s.remote)
			}
		}
		stats := c.all[0].coord.Stats()
		before := stats.RemoteReads.Load()
		if _, err := c.read(0, helenus.One, c.command("one")); err != nil || stats.RemoteReads.Load() != before {
			t.Errorf("a read of all: %v, %d counted as remote; no node has it all", err, stats.RemoteReads.Load()-before)
		}
	})
}
