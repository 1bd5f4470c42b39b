package memtable

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"helenus/internal/cputime"
	"helenus/store/row"
)

// inserts encodes n updates of one row with a value of 100 bytes each.
func inserts(t testing.TB, n int) (us [][]byte) {
	table := makeTable(t, "k bigint | c int | v blob")
	r := rand.New(rand.NewPCG(1, 1))
	var b row.Builder
	value := make([]byte, 100)
	for range n {
		b.Reset()
		b.Begin(table, binary.BigEndian.AppendUint64(nil, r.Uint64()))
		b.BeginRow([]byte{0, 0, 0, 1})
		b.Liveness(row.Liveness{Timestamp: 1_700_000_000_000_000, LocalTime: row.NoDeletionTime})
		b.Cell(table.Regulars[0], row.Cell{Timestamp: 1_700_000_000_000_000, LocalTime: row.NoDeletionTime, Value: value})
		b.EndRow()
		m := row.ReadMutation(b.Finish(nil))
		u, _ := m.Next()
		us = append(us, u)
	}
	return us
}

func TestApplyAllocations(t *testing.T) {
	table := makeTable(t, "k bigint | c int | v blob")
	us := inserts(t, 2000)
	m := New(Options{Partitioner: murmur, Shards: 1})
	defer m.Unref()
	var u row.Update
	i := 0
	write := func() {
		if err := u.Reset(us[i%1000], table, murmur); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(&u); err != nil {
			t.Fatal(err)
		}
		i++
	}
	for range 500 {
		write()
	}
	// New keys, then keys that are there: a leaf or a slab now and then.
	if n := testing.AllocsPerRun(1400, write); n > 0.1 {
		t.Errorf("%v allocations per update", n)
	}
	read := func() {
		if err := u.Reset(us[i%1000], table, murmur); err != nil {
			t.Fatal(err)
		}
		i++
		p, err := m.Get(table, u.Key(), row.Filter{Slices: m.all})
		if err != nil {
			t.Fatal(err)
		}
		for un, _ := p.Next(); un != nil; un, _ = p.Next() {
		}
		p.Close()
	}
	if n := testing.AllocsPerRun(500, read); n > 1.5 { // the handle; and a pool may lose what it holds
		t.Errorf("%v allocations per read", n)
	}
}

func TestLargeAllocations(t *testing.T) {
	table := makeTable(t, "k bigint | c int | v blob")
	m := New(Options{Partitioner: murmur, Shards: 1})
	defer m.Unref()
	var b row.Builder
	var u row.Update
	var mutation []byte
	var c [4]byte
	value := make([]byte, 100)
	components := [][]byte{c[:]}
	n := uint32(0)
	write := func() {
		binary.BigEndian.PutUint32(c[:], n%1500)
		n++
		b.Reset()
		b.Begin(table, keyOf(1).Bytes)
		b.BeginRow(components...)
		b.Cell(table.Regulars[0], row.Cell{Timestamp: int64(n), LocalTime: row.NoDeletionTime, Value: value})
		b.EndRow()
		mutation = b.Finish(mutation[:0])
		m2 := row.ReadMutation(mutation)
		encoded, _ := m2.Next()
		if err := u.Reset(encoded, table, murmur); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(&u); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		write()
	}
	// keyOf makes one; the rest must make none.
	if n := testing.AllocsPerRun(2000, write); n > 1.1 {
		t.Errorf("%v allocations per update", n)
	}
}

func BenchmarkInsert(b *testing.B) {
	table := makeTable(b, "k bigint | c int | v blob")
	us := inserts(b, 1_000_000)
	m := New(Options{Partitioner: murmur, Shards: 16})
	var u row.Update
	b.ReportAllocs()
	before := cputime.Process(b)
	b.ResetTimer()
	for i := range b.N {
		if i%len(us) == 0 {
			m.Unref()
			m = New(Options{Partitioner: murmur, Shards: 16})
		}
		if err := u.Reset(us[i%len(us)], table, murmur); err != nil {
			b.Fatal(err)
		}
		if err := m.Apply(&u); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cputime.Process(b)-before)/float64(b.N), "cpu-ns/op")
	st := m.Stats()
	b.ReportMetric(float64(st.Used)/float64(st.Partitions), "B/partition")
	m.Unref()
}
