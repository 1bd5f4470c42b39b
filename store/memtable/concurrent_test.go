package memtable

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/store/row"
)

// generation encodes an update that sets v of n rows, and the static row, to
// one number.
func generation(b *row.Builder, table *schema.Table, key []byte, n int, number uint32, ts int64) []byte {
	b.Reset()
	b.Begin(table, key)
	value := binary.BigEndian.AppendUint32(nil, number)
	cell := row.Cell{Timestamp: ts, LocalTime: row.NoDeletionTime, Value: value}
	b.BeginStatic()
	b.Cell(table.Column("s"), cell)
	b.EndRow()
	for i := range n {
		b.BeginRow(binary.BigEndian.AppendUint32(nil, uint32(i)))
		b.Cell(table.Column("v"), cell)
		b.EndRow()
	}
	// A range beyond the rows moves along, so that markers change too.
	end := [][]byte{binary.BigEndian.AppendUint32(nil, uint32(n)+number%7)}
	b.DeleteRange(end, true, nil, true, row.Deletion{Timestamp: ts, LocalTime: 100})
	m := row.ReadMutation(b.Finish(nil))
	u, _ := m.Next()
	return u
}

// readWhole reads a partition and tells how many rows it has and the number
// that all of them, and the static row, hold.
func readWhole(p row.Partition) (rows int, number uint32, err error) {
	number = binary.BigEndian.Uint32(p.StaticRow().Cells[0].Value)
	for {
		u, err := p.Next()
		if err != nil || u == nil {
			return rows, number, err
		}
		if u.Marker != nil {
			continue
		}
		rows++
		if got := binary.BigEndian.Uint32(u.Row.Cells[0].Value); got != number {
			return rows, number, fmt.Errorf("a row of generation %d beside one of %d", got, number)
		}
	}
}

// TestWholeMutations: readers see all rows of a mutation or none, forwards and
// backwards, by key and by scan, and never go back in time.
func TestWholeMutations(t *testing.T) {
	table := makeTable(t, "k int | c int | s int static, v int")
	const keys, rows, generations, readers = 6, 12, 120, 4
	m := New(Options{Partitioner: murmur, Shards: 2, SmallBytesMax: 100, OnHeap: true})
	var written [keys]row.Key
	var b row.Builder
	for k := range written {
		key := binary.BigEndian.AppendUint32(nil, uint32(k))
		written[k] = row.Key{Prefix: murmur.Prefix(key), Bytes: key}
		n := rows
		if k%2 == 0 {
			n = 1 // stays small
		}
		apply(t, m, table, generation(&b, table, key, n, 0, 0))
	}
	var wg sync.WaitGroup
	for k := range written {
		wg.Go(func() {
			var b row.Builder
			var u row.Update
			n := rows
			if k%2 == 0 {
				n = 1
			}
			for g := 1; g <= generations; g++ {
				if err := u.Reset(generation(&b, table, written[k].Bytes, n, uint32(g), int64(g)), table, murmur); err != nil {
					t.Error(err)
					return
				}
				if err := m.Apply(&u); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for id := range readers {
		m.Ref()
		wg.Go(func() {
			defer m.Unref()
			readGenerations(t, m, table, written[:], id, generations, rows)
		})
	}
	wg.Wait()
	m.Unref()
	if m.Bytes() != 0 {
		t.Fatalf("%d bytes left", m.Bytes())
	}
}

func readGenerations(t *testing.T, m *Memtable, table *schema.Table, keys []row.Key, id, generations, rows int) {
	newest := map[string]uint32{}
	seen := func(p row.Partition) bool {
		k := string(p.Key().Bytes)
		n, g, err := readWhole(p)
		want := rows
		if binary.BigEndian.Uint32([]byte(k))%2 == 0 {
			want = 1
		}
		if err != nil || n != want || g < newest[k] {
			t.Errorf("reader %d: %d rows of generation %d after %d: %v", id, n, g, newest[k], err)
			return false
		}
		newest[k] = g
		return true
	}
	for done := 0; done < len(keys); {
		done = 0
		for _, k := range keys {
			p, err := m.Get(table, k, row.Filter{Slices: row.AllRows(), Reversed: id%2 == 1})
			if err != nil || !seen(p) {
				t.Error(err)
				return
			}
			p.Close()
		}
		ps := m.All(table)
		for {
			p, err := ps.Next()
			if err != nil || (p != nil && !seen(p)) {
				t.Error(err)
				return
			}
			if p == nil {
				break
			}
		}
		ps.Close()
		for _, g := range newest {
			if g == uint32(generations) {
				done++
			}
		}
	}
}

// TestReadersPin: what a reader holds outlives the table's other references.
func TestReadersPin(t *testing.T) {
	table := makeTable(t, "k int | c int | s int static, v int")
	root := budget.New("root", 1<<20)
	for _, small := range []int{1, 1 << 16} {
		m := New(Options{Partitioner: murmur, SmallBytesMax: small, Budget: root})
		apply(t, m, table, updates(t, table, "partition 1\nrow 1 v=1@1\nrow 2 v=2@1")...)
		if root.Used() == 0 || root.Used() != m.Bytes() {
			t.Fatalf("%d bytes charged, %d held", root.Used(), m.Bytes())
		}
		key := binary.BigEndian.AppendUint32(nil, 1)
		p, err := m.Get(table, row.Key{Prefix: murmur.Prefix(key), Bytes: key}, row.Filter{Slices: row.AllRows()})
		if err != nil {
			t.Fatal(err)
		}
		m.Unref()
		got, _ := row.Print(nil, table, p)
		if want := "partition 1\nrow 1 v=1@1\nrow 2 v=2@1\n"; string(got) != want {
			t.Fatalf("got\n%s", got)
		}
		p.Close()
		if root.Used() != 0 || m.Bytes() != 0 {
			t.Fatalf("%d bytes charged at the end", root.Used())
		}
	}
}
