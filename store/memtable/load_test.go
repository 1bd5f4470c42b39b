package memtable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
)

// tied has few prefixes, so that keys share them.
type tied struct{ token.Murmur3Partitioner }

func (p tied) Prefix(key []byte) uint64 { return p.Murmur3Partitioner.Prefix(key) & (3 << 62) }

// load is apply by Load. Without recent prefixes it piles up records of a key.
func load(t testing.TB, r *rand.Rand, m *Memtable, u *row.Update) {
	t.Helper()
	if err := m.Load(u); err != nil {
		t.Fatal(err)
	}
	if l := m.shards[r.IntN(len(m.shards))].loading; l != nil && r.IntN(2) == 0 {
		clear(l.recent[:])
	}
}

// TestLoad: what is loaded and settled, in one go or in several, is what is there
// when each update is applied at once.
func TestLoad(t *testing.T) {
	table := makeTable(t, mixed)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		var p token.Partitioner = murmur
		if seed%2 == 0 {
			p = tied{}
		}
		b := budget.New("test", 1<<30)
		o := Options{Partitioner: p, Shards: 1 + r.IntN(3), SmallBytesMax: []int{1, 60, 300, 1 << 20}[r.IntN(4)], Budget: b}
		applied, loaded := New(o), New(o)
		keys := 1 + r.IntN(40)
		for range 1 + r.IntN(200) {
			text := fmt.Sprintf("partition %d\n%s", r.IntN(keys), randomText(r)[len("partition 0\n"):])
			for _, encoded := range updates(t, table, text) {
				var u row.Update
				if err := u.Reset(encoded, table, p); err != nil {
					t.Fatal(err)
				}
				if err := applied.Apply(&u); err != nil {
					t.Fatal(err)
				}
				load(t, r, loaded, &u)
			}
			if r.IntN(50) == 0 {
				if err := loaded.Settle(table); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := loaded.Settle(table); err != nil {
			t.Fatal(err)
		}
		if got, want := printAll(t, table, loaded.All(table)), printAll(t, table, applied.All(table)); got != want {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, got, want)
		}
		got, want := loaded.Stats(), applied.Stats()
		if got.Partitions != want.Partitions || got.Updates != want.Updates || got.Rows != want.Rows || got.Cells != want.Cells ||
			got.Tombstones != want.Tombstones || got.MinTimestamp != want.MinTimestamp || got.MaxTimestamp != want.MaxTimestamp ||
			got.MinLocalDeletionTime != want.MinLocalDeletionTime || got.Columns() != want.Columns() {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
		checkLeast(t, loaded, table)
		applied.Unref()
		loaded.Unref()
		if b.Used() != 0 {
			t.Fatalf("seed %d: %d bytes left", seed, b.Used())
		}
	}
}

// checkLeast: nothing is older than MinTimestamp says.
func checkLeast(t *testing.T, m *Memtable, table *schema.Table) {
	t.Helper()
	ps := m.All(table)
	defer ps.Close()
	for p, err := ps.Next(); p != nil || err != nil; p, err = ps.Next() {
		if err != nil {
			t.Fatal(err)
		}
		var c counted
		var st Stats
		c.reset(table, p, &st)
		for u, err := c.Next(); u != nil || err != nil; u, err = c.Next() {
			if err != nil {
				t.Fatal(err)
			}
		}
		if least, ok := m.MinTimestamp(p.Key()); !ok || least > st.MinTimestamp {
			t.Fatalf("key %x has timestamps from %d, not %d (%v)", p.Key().Bytes, st.MinTimestamp, least, ok)
		}
	}
}

// TestLoadMany fills many leaves and chunks, and goes on with Apply.
func TestLoadMany(t *testing.T) {
	table := makeTable(t, "k bigint | c int | v blob")
	us := inserts(t, 40_000)
	m := New(Options{Partitioner: murmur, Shards: 2})
	defer m.Unref()
	var u row.Update
	for i, b := range us {
		if err := u.Reset(b, table, murmur); err != nil {
			t.Fatal(err)
		}
		if i == len(us)*3/4 {
			if err := m.Settle(table); err != nil {
				t.Fatal(err)
			}
		}
		do := m.Load
		if i >= len(us)*3/4 {
			do = m.Apply
		}
		if err := do(&u); err != nil {
			t.Fatal(err)
		}
	}
	checkOrder(t, m, table, len(us))
}

// TestLoadLargeOnce: a large partition whose updates come one after the other is
// not kept as records beside.
func TestLoadLargeOnce(t *testing.T) {
	table := makeTable(t, "k bigint | c int | v blob")
	used := func(load bool) int64 {
		m := New(Options{Partitioner: murmur, Shards: 1})
		defer m.Unref()
		var u row.Update
		for c := range 2000 {
			b := updates(t, table, fmt.Sprintf("partition 1\nrow %d v=0x%0200d@1", c, c))[0]
			if err := u.Reset(b, table, murmur); err != nil {
				t.Fatal(err)
			}
			do := m.Apply
			if load {
				do = m.Load
			}
			if err := do(&u); err != nil {
				t.Fatal(err)
			}
		}
		if load {
			if err := m.Settle(table); err != nil {
				t.Fatal(err)
			}
		}
		return m.Stats().Used
	}
	if applied, loaded := used(false), used(true); loaded > applied+applied/100 {
		t.Errorf("%d bytes, where %d are enough", loaded, applied)
	}
}
