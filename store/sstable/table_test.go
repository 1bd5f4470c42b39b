package sstable

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"helenus/store/row"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, compression := range compressions() {
		for _, v := range []Version{NB, OA} {
			t.Run(fmt.Sprintf("%s/%s", name, v), func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				for _, size := range []int{0, 300} {
					w := newWorld(t, wideTable)
					w.index = size
					w.table.Options.Compression = compression
					ks := w.parse(randomText(r, 300, 40))
					tab := w.open(w.write(v, ks))
					want := printAll(t, w.table, row.KeptPartitions(false, ks...))
					for _, o := range []ReadOptions{{}, {Sequential: true}} {
						if got := w.scan(tab, o); got != want {
							t.Fatalf("options %+v: %s", o, difference(got, want))
						}
					}
					checkPoints(w, tab, ks, r)
					if err := tab.Verify(true); err != nil {
						t.Fatal(err)
					}
					if err := tab.Unref(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// difference shows the first line in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n%s\nwant\n%s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// checkPoints reads each partition alone, with random slices in both directions.
func checkPoints(w *world, tab *Table, ks []*row.Kept, r *rand.Rand) {
	w.t.Helper()
	for i, k := range ks {
		for range 3 {
			f := randomFilter(w, r)
			p, err := tab.Get(k.PartitionKey, f, ReadOptions{})
			if err != nil || p == nil {
				w.t.Fatalf("partition %d: %v, %v", i, p, err)
			}
			got, err := row.Print(nil, w.table, p)
			if err != nil {
				w.t.Fatal(err)
			}
			p.Close()
			want, err := row.Print(nil, w.table, &sliced{Partition: k.Partition(false), f: f})
			if err != nil {
				w.t.Fatal(err)
			}
			if string(got) != string(want) {
				all, _ := row.Print(nil, w.table, k.Partition(false))
				w.t.Fatalf("filter %+v:\n%s\nwant\n%s\nof\n%s", f, got, want, all)
			}
		}
	}
	if p, err := tab.Get(row.Key{Prefix: partitioner.Prefix([]byte("absent!")), Bytes: []byte("absent!")}, allRows(), ReadOptions{}); p != nil || err != nil {
		w.t.Fatalf("an absent key: %v, %v", p, err)
	}
}

func randomFilter(w *world, r *rand.Rand) *row.Filter {
	f := &row.Filter{Reversed: r.IntN(2) == 0}
	bound := func(c int) []byte {
		_, b := row.AppendBound(nil, w.table, [][]byte{{0, 0, 0, byte(c)}}, r.IntN(2) == 0)
		return b.Order
	}
	at := r.IntN(10)
	for range r.IntN(4) {
		s := row.Slice{Start: bound(at)}
		at += 1 + r.IntN(10)
		s.End = bound(at)
		at += 1 + r.IntN(10)
		f.Slices = append(f.Slices, s)
	}
	if n := len(f.Slices); n > 0 && r.IntN(3) == 0 {
		f.Slices[0].Start = nil
	} else if n > 0 && r.IntN(3) == 0 {
		f.Slices[n-1].End = nil
	}
	return f
}

// sliced is the slow and obvious filter: it keeps all of a partition in memory.
type sliced struct {
	row.Partition
	f    *row.Filter
	out  []row.Unfiltered
	done bool
}

func (s *sliced) Next() (*row.Unfiltered, error) {
	if !s.done {
		s.done = true
		k, err := row.Keep(s.Partition)
		if err != nil {
			return nil, err
		}
		for _, sl := range s.f.Slices {
			s.slice(k.Rows, sl)
		}
		if s.f.Reversed {
			for i, j := 0, len(s.out)-1; i < j; i, j = i+1, j-1 {
				s.out[i], s.out[j] = s.out[j], s.out[i]
			}
		}
	}
	if len(s.out) == 0 {
		return nil, nil
	}
	u := s.out[0]
	s.out = s.out[1:]
	return &u, nil
}

func (s *sliced) slice(rows []row.Unfiltered, sl row.Slice) {
	open, entered := row.Live(), len(sl.Start) == 0
	cut := func(at []byte, before, after row.Deletion) {
		if before != after {
			s.out = append(s.out, row.Unfiltered{Marker: &row.Marker{Bound: row.Clustering{Order: at},
				Before: before, After: after, AfterPrefix: at[len(at)-1] == 0x60}})
		}
	}
	for i := range rows {
		order := orderOf(&rows[i])
		if !entered && string(order) > string(sl.Start) {
			entered = true
			cut(sl.Start, row.Live(), open)
		}
		if len(sl.End) > 0 && string(order) >= string(sl.End) {
			break
		}
		if entered {
			s.out = append(s.out, rows[i])
		}
		if m := rows[i].Marker; m != nil {
			open = m.After
		}
	}
	if entered && len(sl.End) > 0 {
		cut(sl.End, open, row.Live())
	}
}
