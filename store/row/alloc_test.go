package row

import (
	"encoding/binary"
	"testing"

	"helenus/internal/token"
)

// TestAllocations: in steady state nothing on the way of a row allocates.
func TestAllocations(t *testing.T) {
	table := modelTable(t)
	var b Builder
	var mutation []byte
	key, c1, c2, value, path := int32Bytes(1), []byte("a"), int32Bytes(1), []byte("v"), int32Bytes(2)
	components := [][]byte{c1, c2}
	start := components[:1]
	v, m, s := table.Column("v"), table.Column("m"), table.Column("s")
	cell := Cell{Timestamp: 5, LocalTime: NoDeletionTime, Value: value}
	write := func() {
		b.Reset()
		b.Begin(table, key)
		for i := range uint32(4) {
			binary.BigEndian.PutUint32(c2, 5-i)
			b.BeginRow(components...)
			b.Liveness(Liveness{Timestamp: 5, LocalTime: NoDeletionTime})
			b.Cell(v, cell)
			b.DeleteComplex(m, Deletion{4, 100})
			with := cell
			with.Path = path
			b.Cell(m, with)
			b.EndRow()
		}
		b.BeginStatic()
		b.Cell(s, cell)
		b.EndRow()
		b.DeleteRange(start, false, nil, true, Deletion{5, 100})
		mutation = b.Finish(mutation[:0])
	}
	write()
	if n := testing.AllocsPerRun(100, write); n > 0 {
		t.Errorf("building: %v allocations", n)
	}

	frames := ReadMutation(mutation)
	update, _ := frames.Next()
	var us [3]Update
	sources := make([]Partition, len(us))
	var merger Merger
	purger := Purger{Now: 200, GCBefore: 100}
	read := func(p Partition) (n int) {
		for u, err := p.Next(); u != nil; u, err = p.Next() {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	open := func() {
		for i := range us {
			if err := us[i].Reset(update, table, token.Murmur3Partitioner{}); err != nil {
				t.Fatal(err)
			}
			sources[i] = &us[i]
		}
	}
	for name, f := range map[string]func() int{
		"decoding": func() int { open(); return read(&us[0]) },
		"merging":  func() int { open(); return read(purger.Reset(merger.Reset(false, sources))) },
	} {
		if n := f(); n != 6 {
			t.Fatalf("%s: %d rows and markers", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { f() }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
