package row

import (
	"encoding/binary"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
)

func TestTextRoundTrip(t *testing.T) {
	table, err := ParseTable("k int, k2 text | c1 text, c2 int desc | s text static, v int, b boolean, m map<int,text>, l list<text>, c counter, f frozen<map<int,int>>, u uuid")
	if err != nil {
		t.Fatal(err)
	}
	want := `partition 1,"a b" del=5/100
static s="hello world"@6
row null,"" live=20
row a,3 live=6!60/160 b=true@6 v=1@6!60/160 m[]=~@6/100 m[1]=x@7
row a,2 del=7/100 b=~@8/100 m[1]=~@8/101 m[2]="null"@8
mark <a,1 - 9/100
row a,1 v=~@10/100
mark >a,1 9/100 8/100
mark >b 8/100 -
partition 2,""
row x,-1 c=#0x0011@5 f=0x00@3 u=01234567-89ab-cdef-0123-456789abcdef@3 l[5cb04fa0-0000-11ee-8080-808080808080]="0x"@4
`
	ks, err := Parse(table, token.Murmur3Partitioner{}, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := PrintAll(nil, table, KeptPartitions(false, ks...))
	if err != nil || string(got) != want {
		t.Fatalf("%v; got\n%s", err, got)
	}
}

// TestManyPartitions: a builder finds partitions again, few or many.
func TestManyPartitions(t *testing.T) {
	table := modelTable(t)
	for _, n := range []int{1, scanMax, scanMax + 1, 500} {
		var b Builder
		for range 2 { // used again
			b.Reset()
			for round := range 3 {
				for i := range n {
					b.Begin(table, int32Bytes(i))
					b.BeginRow([]byte("a"), int32Bytes(round))
					b.Liveness(Liveness{Timestamp: 1, LocalTime: NoDeletionTime})
					b.EndRow()
				}
			}
		}
		m := ReadMutation(b.Finish(nil))
		if m.Len() != n || b.Len() != n {
			t.Fatalf("%d partitions of %d", m.Len(), n)
		}
		for i := range n {
			update, _ := m.Next()
			id, key, err := PeekUpdate(update)
			if err != nil || id != table.ID || binary.BigEndian.Uint32(key) != uint32(i) {
				t.Fatalf("update %d: key %x of %x: %v", i, key, id, err)
			}
			rows := 0
			u := decode(t, table, update)
			for un, err := u.Next(); un != nil; un, err = u.Next() {
				if err != nil {
					t.Fatal(err)
				}
				rows++
			}
			if rows != 3 {
				t.Fatalf("%d partitions: %d rows", n, rows)
			}
		}
		if _, ok := m.Next(); ok || m.Err() != nil {
			t.Fatal("more than was put in")
		}
	}
}

// TestDroppedColumns: cells of columns that are no more are skipped, and rows
// that say nothing else.
func TestDroppedColumns(t *testing.T) {
	table := modelTable(t)
	update := encodeText(t, table, "partition 1\nstatic s=1@1\nrow a,1 v=1@1 w=x@1\nrow a,0 m[]=~@1/100 m[1]=x@2\nrow b,1 v=2@2 m[2]=y@3")
	changed := *table
	changed.Statics = changed.Statics[1:] // s
	changed.Regulars = changed.Regulars[:2]
	changed.Finish()
	if got, want := text(t, &changed, decode(t, &changed, update)), "partition 1\nrow a,1 v=1@1 w=x@1\nrow b,1 v=2@2\n"; got != want {
		t.Fatalf("got\n%s", got)
	}
	none := *table
	none.Statics, none.Regulars = nil, nil
	none.Finish()
	if got, want := text(t, &none, decode(t, &none, update)), "partition 1\n"; got != want {
		t.Fatalf("got\n%s", got)
	}
}

func encodeText(t testing.TB, table *schema.Table, s string) []byte {
	t.Helper()
	var b Builder
	b.Reset()
	if err := ParseInto(&b, table, s); err != nil {
		t.Fatal(err)
	}
	m := ReadMutation(b.Finish(nil))
	update, ok := m.Next()
	if !ok {
		t.Fatal(m.Err())
	}
	return update
}
