package memtable

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
)

var murmur = token.Murmur3Partitioner{}

func makeTable(t testing.TB, line string) *schema.Table {
	t.Helper()
	table, err := row.ParseTable(line)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// updates encodes what the text says, one update per partition.
func updates(t testing.TB, table *schema.Table, text string) [][]byte {
	t.Helper()
	var b row.Builder
	b.Reset()
	if err := row.ParseInto(&b, table, text); err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	m := row.ReadMutation(b.Finish(nil))
	for u, ok := m.Next(); ok; u, ok = m.Next() {
		out = append(out, u)
	}
	return out
}

func apply(t testing.TB, m *Memtable, table *schema.Table, us ...[]byte) {
	t.Helper()
	var u row.Update
	for _, b := range us {
		if err := u.Reset(b, table, murmur); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(&u); err != nil {
			t.Fatal(err)
		}
	}
}

func printAll(t testing.TB, table *schema.Table, ps row.Partitions) string {
	t.Helper()
	b, err := row.PrintAll(nil, table, ps)
	if err != nil {
		t.Fatal(err)
	}
	if err := ps.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const mixed = "k int | c1 text, c2 int desc | s int static, sm map<int,text> static, v int, w text, m map<int,text>"

// randomText says something of one of a few partitions.
func randomText(r *rand.Rand) string {
	ts := func() int { return r.IntN(8) }
	c1 := func() string { return string(rune('a' + r.IntN(3))) }
	c := func() string { return fmt.Sprintf("%s,%d", c1(), r.IntN(5)) }
	line := func() string {
		switch n := r.IntN(40); {
		case n < 1:
			return fmt.Sprintf("partition %d del=%d/100", r.IntN(3), ts()/2)
		case n < 5:
			return fmt.Sprintf("range >=%s <%s del=%d/10%d", c(), c(), ts(), r.IntN(2))
		case n < 7:
			return fmt.Sprintf("range >%s * del=%d/100", c1(), ts()/2)
		case n < 9:
			return fmt.Sprintf("row %s del=%d/100", c(), ts())
		case n < 13:
			return fmt.Sprintf("static s=%d@%d sm[%d]=x@%d", r.IntN(9), ts(), r.IntN(3), ts())
		case n < 17:
			return fmt.Sprintf("row %s m[]=~@%d/100 m[%d]=y@%d", c(), ts(), r.IntN(4), ts())
		case n < 25:
			return fmt.Sprintf("row %s m[%d]=z@%d", c(), r.IntN(4), ts())
		case n < 28:
			return fmt.Sprintf("row %s w=~@%d/100", c(), ts())
		}
		return fmt.Sprintf("row %s live=%d!10/110 v=%d@%d w=word%d@%d", c(), ts(), r.IntN(9), ts(), r.IntN(9), ts())
	}
	text := fmt.Sprintf("partition %d\n", r.IntN(3))
	for range 1 + r.IntN(3) {
		text += line() + "\n"
	}
	return text
}

// TestLikeMerge: a memtable of any shape shows what Merge makes of the updates.
func TestLikeMerge(t *testing.T) {
	table := makeTable(t, mixed)
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := New(Options{Partitioner: murmur, Shards: 1 + r.IntN(3), SmallBytesMax: []int{1, 60, 1 << 20}[r.IntN(3)], OnHeap: r.IntN(2) == 0})
		all := map[string][]*row.Kept{}
		var keys []row.Key
		for range 1 + r.IntN(60) {
			for _, b := range updates(t, table, randomText(r)) {
				apply(t, m, table, b)
				var u row.Update
				if err := u.Reset(b, table, murmur); err != nil {
					t.Fatal(err)
				}
				k, err := row.Keep(&u)
				if err != nil {
					t.Fatal(err)
				}
				id := string(k.PartitionKey.Bytes)
				if all[id] == nil {
					keys = append(keys, k.PartitionKey)
				}
				all[id] = append(all[id], k)
			}
		}
		for _, k := range keys {
			comparePartition(t, r, seed, m, table, k, all[string(k.Bytes)])
		}
		if got := m.Partitions(); got != len(keys) {
			t.Fatalf("seed %d: %d partitions of %d", seed, got, len(keys))
		}
		checkOrder(t, m, table, len(keys))
		m.Unref()
		if m.Bytes() != 0 {
			t.Fatalf("seed %d: %d bytes left", seed, m.Bytes())
		}
	}
}

func checkOrder(t *testing.T, m *Memtable, table *schema.Table, want int) {
	t.Helper()
	ps := m.All(table)
	defer ps.Close()
	var last row.Key
	for n := 0; ; n++ {
		p, err := ps.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			if n != want {
				t.Fatalf("a scan of %d partitions gave %d", want, n)
			}
			return
		}
		k := row.Key{Prefix: p.Key().Prefix, Bytes: append([]byte(nil), p.Key().Bytes...)}
		if n > 0 && row.CompareKeys(last, k, murmur.CompareTie) >= 0 {
			t.Fatal("keys out of order")
		}
		last = k
	}
}

func comparePartition(t *testing.T, r *rand.Rand, seed uint64, m *Memtable, table *schema.Table, k row.Key, ks []*row.Kept) {
	t.Helper()
	merged := func(reversed bool) row.Partition {
		var sources []row.Partition
		for _, kept := range ks {
			sources = append(sources, kept.Partition(reversed))
		}
		return row.Merge(reversed, sources...)
	}
	for _, reversed := range []bool{false, true} {
		p, err := m.Get(table, k, row.Filter{Slices: row.AllRows(), Reversed: reversed})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := row.Print(nil, table, p)
		p.Close()
		want, _ := row.Print(nil, table, merged(reversed))
		if string(got) != string(want) {
			t.Fatalf("seed %d, reversed %v:\n%s\nwant\n%s", seed, reversed, got, want)
		}
		// With slices: merged with an empty source and seen at second 105, it must
		// be what the whole is, seen through the same slices.
		c := &row.Command{Table: table, Now: 105, Filter: row.Filter{Slices: randomSlices(r, table), Reversed: reversed}}
		if p, err = m.Get(table, k, c.Filter); err != nil {
			t.Fatal(err)
		}
		checkSlices(t, p, c.Filter.Slices)
		p.Close()
		if p, err = m.Get(table, k, c.Filter); err != nil {
			t.Fatal(err)
		}
		half := ks[len(ks)/2:]
		var extra []row.Partition
		for _, kept := range half {
			extra = append(extra, kept.Partition(reversed))
		}
		a := visible(t, table, c, row.Merge(reversed, append(extra, p)...))
		p.Close()
		b := visible(t, table, c, merged(reversed))
		if a != b {
			t.Fatalf("seed %d, reversed %v, slices %x:\n%s\nwant\n%s\nof\n%s", seed, reversed, c.Filter.Slices, a, b, want)
		}
	}
}

// checkSlices: rows lie in the slices.
func checkSlices(t *testing.T, p row.Partition, slices []row.Slice) {
	t.Helper()
	for {
		u, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if u == nil {
			return
		}
		if u.Row != nil && !wanted(slices, u.Row.Clustering.Order) {
			t.Fatalf("row %x outside of %x", u.Row.Clustering.Order, slices)
		}
	}
}

// one shows a single partition as Partitions.
type one struct{ p row.Partition }

func (o *one) Next() (p row.Partition, err error) {
	p, o.p = o.p, nil
	return p, nil
}
func (o *one) Close() error { return nil }

func visible(t *testing.T, table *schema.Table, c *row.Command, p row.Partition) string {
	t.Helper()
	b, err := row.PrintAll(nil, table, row.Visible(&one{p}, c, true, nil))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func randomSlices(r *rand.Rand, table *schema.Table) []row.Slice {
	var cuts [][]byte
	for c1 := 'a'; c1 <= 'c'; c1++ {
		for c2 := 4; c2 >= 0; c2-- {
			if r.IntN(3) == 0 {
				prefix := [][]byte{[]byte(string(c1)), binary.BigEndian.AppendUint32(nil, uint32(c2))}
				_, b := row.AppendBound(nil, table, prefix, r.IntN(2) == 0)
				if r.IntN(4) == 0 {
					_, b = row.AppendClustering(nil, table, prefix) // where a page goes on
				}
				cuts = append(cuts, b.Order)
			}
		}
	}
	if r.IntN(2) == 0 || len(cuts) == 0 {
		cuts = append([][]byte{nil}, cuts...)
	}
	var out []row.Slice
	for len(cuts) >= 2 {
		out = append(out, row.Slice{Start: cuts[0], End: cuts[1]})
		cuts = cuts[2:]
	}
	if len(cuts) == 1 {
		out = append(out, row.Slice{Start: cuts[0]})
	}
	return out
}
