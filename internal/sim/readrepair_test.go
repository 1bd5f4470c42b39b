package sim

import (
	"testing"

	"helenus"
)

// TestReadRepairOrWholeWrites is scenario 26: two rows are written as a whole, to
// one replica, and one of them is read. With blocking read repair what was read
// stays, though the write is then seen in part; with none the write is never seen
// in part, and what was read may go back.
func TestReadRepairOrWholeWrites(t *testing.T) {
	for readRepair, want := range map[string]string{"BLOCKING": "1 1\n2 0", "NONE": "1 0\n2 0"} {
		for _, seed := range seeds(t, 1) {
			inCluster(t, seed, Layout{Nodes: 3, Racks: 3, Settings: map[string]string{"hinted_handoff_enabled": "false"}}, func(r *ring) {
				first, others := r.nodes[0], r.nodes[1:]
				r.define("CREATE TABLE ks.w (k int, c int, v int, PRIMARY KEY (k, c)) WITH read_repair = '" + readRepair + "'")
				r.must(first, helenus.All, "INSERT INTO ks.w (k, c, v) VALUES (1, 1, 0)", "INSERT INTO ks.w (k, c, v) VALUES (1, 2, 0)")
				r.stop(others...)
				r.must(first, helenus.One, "BEGIN UNLOGGED BATCH INSERT INTO ks.w (k, c, v) VALUES (1, 1, 1); INSERT INTO ks.w (k, c, v) VALUES (1, 2, 1); APPLY BATCH")
				r.back(others...)
				r.wants(first, helenus.Quorum, "SELECT v FROM ks.w WHERE k = 1 AND c = 1", "1")
				r.stop(first)
				r.wants(others[0], helenus.Quorum, "SELECT c, v FROM ks.w WHERE k = 1", want)
				r.back(first)
				r.wants(first, helenus.Quorum, "SELECT c, v FROM ks.w WHERE k = 1", "1 1\n2 1")
			})
		}
	}
}
