package memtable

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/store/row"
)

func keyOf(n int) row.Key {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	return row.Key{Prefix: murmur.Prefix(b), Bytes: b}
}

func get(t testing.TB, m *Memtable, table *schema.Table, n int, f row.Filter) row.Partition {
	t.Helper()
	p, err := m.Get(table, keyOf(n), f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSnapshot: a partition that was opened shows what was there then, however
// much is written before it is read.
func TestSnapshot(t *testing.T) {
	table := makeTable(t, "k int | c int | s int static, v int, m map<int,text>")
	before := "partition 1\nstatic s=1@1\nmark <1 - 1/100\nrow 2 m[1]=a@2 v=1@2\nmark >5 1/100 -\nrow 7 v=1@1\n"
	for _, later := range []string{
		"static s=2@2", "row 2 v=9@9", "row 2 m[2]=b@3", "row 3 v=3@3", "row 7 del=5/100", "row 7 v=~@4/100",
		"range >=0 <=9 del=4/100", "range >=6 * del=4/100", "partition 1 del=1/100", "partition 1 del=50/100",
	} {
		for _, small := range []int{1, 1 << 16} {
			m := New(Options{Partitioner: murmur, SmallBytesMax: small})
			text := strings.ReplaceAll(before, "mark <1 - 1/100\n", "range >=1 <=5 del=1/100\n")
			apply(t, m, table, updates(t, table, strings.ReplaceAll(text, "mark >5 1/100 -\n", ""))...)
			want, _ := row.Print(nil, table, get(t, m, table, 1, row.Filter{Slices: row.AllRows()}))
			p := get(t, m, table, 1, row.Filter{Slices: row.AllRows()})
			if !strings.HasPrefix(later, "partition") {
				later = "partition 1\n" + later
			}
			apply(t, m, table, updates(t, table, later)...)
			if got, _ := row.Print(nil, table, p); string(got) != string(want) {
				t.Errorf("small %d, after %q:\n%s\nwant\n%s", small, later, got, want)
			}
			p.Close()
			p = get(t, m, table, 1, row.Filter{Slices: row.AllRows()})
			if got, _ := row.Print(nil, table, p); string(got) == string(want) {
				t.Errorf("small %d: %q changed nothing", small, later)
			}
			p.Close()
		}
	}
}

// TestManyRows: one partition takes 100,000 rows, and a slice of it touches
// only what lies in it.
func TestManyRows(t *testing.T) {
	table := makeTable(t, "k int | c int | v int")
	m := New(Options{Partitioner: murmur})
	defer m.Unref()
	const rows = 100_000
	var b row.Builder
	var u row.Update
	for i := range rows {
		c := binary.BigEndian.AppendUint32(nil, uint32(i*7919%rows))
		b.Reset()
		b.Begin(table, keyOf(1).Bytes)
		b.BeginRow(c)
		b.Cell(table.Regulars[0], row.Cell{Timestamp: 5, LocalTime: row.NoDeletionTime, Value: c})
		b.EndRow()
		if i%100 == 0 {
			b.DeleteRange([][]byte{c}, true, [][]byte{c}, true, row.Deletion{Timestamp: 1, LocalTime: 100})
		}
		mut := row.ReadMutation(b.Finish(nil))
		encoded, _ := mut.Next()
		if err := u.Reset(encoded, table, murmur); err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(&u); err != nil {
			t.Fatal(err)
		}
	}
	bound := func(n int, after bool) []byte {
		_, c := row.AppendBound(nil, table, [][]byte{binary.BigEndian.AppendUint32(nil, uint32(n))}, after)
		return c.Order
	}
	for _, reversed := range []bool{false, true} {
		for _, tt := range []struct{ from, to, rows int }{{0, rows, rows}, {50_000, 50_009, 10}, {rows - 1, rows, 1}} {
			f := row.Filter{Slices: []row.Slice{{Start: bound(tt.from, false), End: bound(tt.to, true)}}, Reversed: reversed}
			p := get(t, m, table, 1, f)
			n, marks := 0, 0
			for u, err := p.Next(); u != nil; u, err = p.Next() {
				if err != nil {
					t.Fatal(err)
				}
				if u.Marker != nil {
					marks++
					continue
				}
				want := tt.from + n
				if reversed {
					want = tt.from + tt.rows - 1 - n
				}
				if got := binary.BigEndian.Uint32(u.Row.Cells[0].Value); int(got) != want {
					t.Fatalf("row %d where %d must be", got, want)
				}
				n++
			}
			p.Close()
			if n != tt.rows || (tt.rows < rows && marks > 4) {
				t.Fatalf("from %d, reversed %v: %d rows of %d, %d markers", tt.from, reversed, n, tt.rows, marks)
			}
		}
	}
}

// TestWideRow: a map that grows by one entry at a time costs memory in the order
// of its size, not of its square; and reading it merges few versions.
func TestWideRow(t *testing.T) {
	table := makeTable(t, "k int | c int | m map<int,text>")
	m := New(Options{Partitioner: murmur, Shards: 1})
	defer m.Unref()
	const entries = 4000
	for i := range entries {
		apply(t, m, table, updates(t, table, fmt.Sprintf("partition 1\nrow 1 m[%d]=word@%d", i*7919%entries, i))...)
	}
	if used := m.Stats().Used; used > 80*entries*16 {
		t.Errorf("%d bytes used for %d entries", used, entries)
	}
	p := get(t, m, table, 1, row.Filter{Slices: row.AllRows()})
	u, err := p.Next()
	if err != nil || len(u.Row.Cells) != entries {
		t.Fatalf("%d entries of %d: %v", len(u.Row.Cells), entries, err)
	}
	if n := len(p.(*pinned).reader.large.group); n > 12 {
		t.Errorf("%d versions merged", n)
	}
	p.Close()
}

// TestQueue: a queue that is emptied from its head by growing ranges keeps few
// markers.
func TestQueue(t *testing.T) {
	table := makeTable(t, "k int | c int | v int")
	m := New(Options{Partitioner: murmur, Shards: 1, SmallBytesMax: 1})
	defer m.Unref()
	for i := range 3000 {
		apply(t, m, table, updates(t, table, fmt.Sprintf("partition 1\nrow %d v=1@%d\nrange * <%d del=%d/100", i, 2*i, i, 2*i+1))...)
	}
	_, r := m.shards[0].index.at(position{})
	record := m.shards[0].arena.from(r)
	n := 0
	l := list{&m.shards[0].arena, ref(i64(record, largeMarkers))}
	for at := l.next(l.head, 0); at != 0; at = l.next(at, 0) {
		n++
	}
	if n > 2*deadMarksMin {
		t.Errorf("%d markers' nodes", n)
	}
	p := get(t, m, table, 1, row.Filter{Slices: row.AllRows()})
	got, _ := row.Print(nil, table, p)
	p.Close()
	if want := "partition 1\nmark < - 5999/100\nmark <2999 5999/100 -\nrow 2999 v=1@5998\n"; string(got) != want {
		t.Errorf("got\n%s", got)
	}
}

// TestStats: what a flush and a purge ask for.
func TestStats(t *testing.T) {
	table := makeTable(t, "k int | c int | s int static, v int, w int, x int")
	m := New(Options{Partitioner: murmur, SmallBytesMax: 40})
	defer m.Unref()
	if st := m.Stats(); st.Partitions != 0 || !m.IsEmpty() || st.Mapped != 0 {
		t.Fatalf("an empty table has %+v", st)
	}
	apply(t, m, table, updates(t, table, "partition 1\nrow 1 v=1@50!60/160\nrow 2 v=~@40/120")...)
	apply(t, m, table, updates(t, table, "partition 1\nrow 1 w=1@70\nrow 3 w=2@71")...)
	apply(t, m, table, updates(t, table, "partition 2 del=7/90\nstatic s=5@80")...)
	st := m.Stats()
	if st.Partitions != 2 || st.Updates != 3 || st.Rows != 5 || st.Cells != 5 || st.Tombstones != 2 ||
		st.MinTimestamp != 7 || st.MaxTimestamp != 80 || st.MinLocalDeletionTime != 90 || st.MaxLocalDeletionTime != 160 ||
		st.MinTTL != 60 || st.MaxTTL != 60 || st.Columns() != 3 || m.IsEmpty() || st.Used == 0 || st.Mapped < st.Used {
		t.Errorf("%+v", st)
	}
	for name, want := range map[string]bool{"s": true, "v": true, "w": true, "x": false} {
		if got := st.HasColumn(table.Column(name).ID); got != want {
			t.Errorf("column %s: %v", name, got)
		}
	}
	for n, want := range map[int]int64{1: 40, 2: 7} {
		if least, ok := m.MinTimestamp(keyOf(n)); least != want || !ok {
			t.Errorf("partition %d: %d, %v", n, least, ok)
		}
	}
	if _, ok := m.MinTimestamp(keyOf(3)); ok {
		t.Error("a least timestamp of a partition that is not there")
	}
}

// TestSchemaChange: rows written by one definition are read by another.
func TestSchemaChange(t *testing.T) {
	old := makeTable(t, "k int | c int | b int, c2 int, s int static, m map<int,text>")
	changed := *old
	changed.Regulars = append([]*schema.Column(nil), old.Regulars...)
	changed.Regulars = append(changed.Regulars[1:], &schema.Column{Name: "a", Kind: schema.Regular, Type: old.Column("c2").Type, ID: changed.NextColumnID})
	changed.NextColumnID++
	changed.Finish()
	for _, small := range []int{1, 1 << 16} {
		m := New(Options{Partitioner: murmur, SmallBytesMax: small})
		apply(t, m, old, updates(t, old, "partition 1\nrow 1 b=1@1 c2=2@1 m[1]=x@1\nrow 2 b=3@1")...)
		apply(t, m, &changed, updates(t, &changed, "partition 1\nrow 1 a=4@2")...)
		for table, want := range map[*schema.Table]string{
			&changed: "partition 1\nrow 1 a=4@2 c2=2@1 m[1]=x@1\n",
			old:      "partition 1\nrow 1 c2=2@1 m[1]=x@1\n",
		} {
			got := printAll(t, table, m.All(table))
			if table == old && strings.Contains(got, "b=") {
				got = strings.ReplaceAll(strings.ReplaceAll(got, "row 2 b=3@1\n", ""), " b=1@1", "") // not merged away yet
			}
			if got != want {
				t.Errorf("small %d:\n%s\nwant\n%s", small, got, want)
			}
		}
		m.Unref()
	}
}
