package row

import (
	"math/rand/v2"
	"testing"

	"helenus/internal/cql/schema"
)

// TestPurgeLaw: what compaction of some sources drops, by the rules and with
// the least timestamp of the others as limit, no reader misses. (Timestamps are
// distinct: an expired cell made a tombstone may win where it lost before.)
func TestPurgeLaw(t *testing.T) {
	table := modelTable(t)
	dropped := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		var compacted, others []write
		least := int64(1 << 40)
		for i := range 1 + r.IntN(30) {
			w := randomWrite(r, table)
			ts := distinct(&w, int64(r.IntN(30))<<8|int64(i))
			if r.IntN(3) == 0 {
				others = append(others, w)
				least = min(least, ts)
			} else {
				compacted = append(compacted, w)
			}
		}
		now := 99 + r.Int64N(20)
		c := &Command{Table: table, Now: now, Filter: Filter{Slices: AllRows()}}
		x := Purger{Now: now, GCBefore: now - r.Int64N(3), MaxPurgeable: func(Key) int64 { return least }}
		a, b := model(table, compacted), model(table, others)
		want := seen(t, table, c, Merge(false, a.Partition(false), b.Partition(false)))
		purged := keepOne(t, x.Reset(a.Partition(false)), false)
		if got := seen(t, table, c, Merge(false, purged.Partition(false), b.Partition(false))); got != want {
			t.Fatalf("seed %d: seen\n%s\nnot\n%s\nof\n%s\nthat became\n%s", seed, got, want,
				text(t, table, a.Partition(false)), text(t, table, purged.Partition(false)))
		}
		if len(purged.Rows) < len(a.Rows) {
			dropped++
		}
	}
	if dropped < 100 {
		t.Errorf("only %d purges dropped a row or marker", dropped)
	}
}

// distinct gives a write a timestamp of its own.
func distinct(w *write, ts int64) int64 {
	switch {
	case w.cell != nil:
		w.cell.Timestamp = ts
	case w.liveness != nil:
		w.liveness.Timestamp = ts
	default:
		w.deletion.Timestamp = ts
	}
	return ts
}

func seen(t *testing.T, table *schema.Table, c *Command, p Partition) string {
	t.Helper()
	k := keepOne(t, p, false)
	out, err := PrintAll(nil, table, Visible(KeptPartitions(false, k), c, true, nil))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
