package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// TestNewestRowSettles: reads by key, which may leave older files out, show what
// a scan shows, which leaves out nothing: over files whose timestamps overlap or
// not, with deletions, expiries and rows without a marker.
func TestNewestRowSettles(t *testing.T) {
	for i, line := range []string{"k int | | v int, w text", "k int | c int | v int, w text", "k int | c int | s int static, v int, w text, m map<int,int>"} {
		for seed := range uint64(4) {
			def, err := row.ParseTable(line)
			must(t, err)
			def.Keyspace, def.Name = "ks", fmt.Sprintf("t%d", i)
			def.ID[15] = byte(i)
			h := &settling{t: t, def: def, r: rand.New(rand.NewPCG(seed, uint64(i)))}
			o := tiny(vfs.NewMem(), commitlog.Group, h.r)
			o.ManualCompaction, o.MemtableBytes, o.LogBytesMax = true, 64<<20, 1<<30
			h.s, err = Open(o, schemaOf(def), 1)
			must(t, err)
			for range 8 {
				h.write()
				h.compare()
				must(t, h.s.Flush(t.Context(), def.ID))
				h.compare()
			}
			must(t, h.s.Close())
		}
	}
}

type settling struct {
	t    *testing.T
	s    *Store
	def  *schema.Table
	r    *rand.Rand
	base int
}

func (h *settling) write() {
	if h.r.IntN(2) == 0 {
		h.base += 50 // all later than what came before
	}
	ts := func() int { return h.base + h.r.IntN(60) }
	for range 30 {
		var b strings.Builder
		fmt.Fprintf(&b, "partition %d", h.r.IntN(6))
		if h.r.IntN(15) == 0 {
			fmt.Fprintf(&b, " del=%d/%d", ts(), storeSecond)
		}
		c := ""
		if len(h.def.Clustering) > 0 {
			c = fmt.Sprint(" ", h.r.IntN(3))
		}
		if len(h.def.Statics) > 0 && h.r.IntN(3) == 0 {
			fmt.Fprintf(&b, "\nstatic s=%d@%d", h.r.IntN(9), ts())
		}
		fmt.Fprintf(&b, "\nrow%s", c)
		switch at := ts(); h.r.IntN(6) {
		case 0:
		case 1:
			fmt.Fprintf(&b, " live=%d!60/%d", at, storeSecond+h.r.IntN(3)-1)
		case 2:
			fmt.Fprintf(&b, " del=%d/%d", at, storeSecond)
		default:
			fmt.Fprintf(&b, " live=%d", at)
		}
		if h.r.IntN(4) > 0 {
			fmt.Fprintf(&b, " v=%d@%d", h.r.IntN(99), ts())
		}
		if n := h.r.IntN(8); n > 1 {
			fmt.Fprintf(&b, " w=x@%d", ts())
		} else if n == 1 {
			fmt.Fprintf(&b, " w=~@%d/%d", ts(), storeSecond)
		}
		if len(h.def.Statics) > 0 && h.r.IntN(3) > 0 {
			fmt.Fprintf(&b, " m[%d]=%d@%d", h.r.IntN(2), h.r.IntN(9), ts())
		}
		must(h.t, <-apply(h.s, mutate(h.t, []*schema.Table{h.def}, b.String())).done)
	}
}

// compare reads each key whole, and row by row, with each choice of columns.
func (h *settling) compare() {
	h.t.Helper()
	masks := [][]bool{nil, {true, false, false}, {false, true, false}, {true, true, false}, {false, false, true}}
	for i, regulars := range append(masks, masks...) {
		all := everything(h.def)
		if regulars != nil {
			regulars = regulars[:len(h.def.Regulars)]
		}
		if all.Filter.Regulars = regulars; i >= len(masks) {
			all.Filter.Statics = make([]bool, len(h.def.Statics))
		}
		want := h.read(all)
		var got []string
		for k := range 6 {
			c := everything(h.def)
			c.Filter = all.Filter
			key := []byte{0, 0, 0, byte(k)}
			c.Keys = []row.Key{{Prefix: murmur.Prefix(key), Bytes: key}}
			whole := h.read(c)
			got = append(got, whole...)
			if len(h.def.Clustering) == 0 {
				continue
			}
			var rows []string
			for i := range 3 {
				_, cl := row.AppendClustering(nil, h.def, [][]byte{{0, 0, 0, byte(i)}})
				n := len(cl.Order) - 1
				c.Filter.Slices = []row.Slice{{Start: append(slices.Clone(cl.Order[:n]), 0x20), End: append(slices.Clone(cl.Order[:n]), 0x60)}}
				rows = append(rows, h.read(c)...)
			}
			slices.Sort(rows)
			slices.Sort(whole)
			if !slices.Equal(rows, whole) {
				h.t.Fatalf("key %d by rows:\n%s\nwhole:\n%s", k, strings.Join(rows, "\n"), strings.Join(whole, "\n"))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			h.t.Fatalf("%s %v: by key:\n%s\nby scan:\n%s", h.def.Name, regulars, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// read gives what a reader sees, a line for each row.
func (h *settling) read(c *row.Command) (out []string) {
	h.t.Helper()
	ps, err := h.s.Read(c, Blocking)
	must(h.t, err)
	live := row.Visible(ps, c, true, nil)
	for {
		p, err := live.Next()
		must(h.t, err)
		if p == nil {
			break
		}
		kept, err := row.Keep(p)
		must(h.t, err)
		if kept.Static != nil && len(kept.Static.Cells) == 0 {
			kept.Static = nil // that it lives, by columns not asked for, says nothing about rows
		}
		for _, u := range kept.Rows {
			one := *kept
			one.Rows = []row.Unfiltered{u}
			b, err := row.PrintAll(nil, h.def, row.KeptPartitions(false, &one))
			must(h.t, err)
			out = append(out, strings.ReplaceAll(string(b), "\n", " "))
		}
	}
	must(h.t, live.Close())
	return out
}

// TestOlderFilesAreLeftAlone: a row that was written again and again is read
// from its newest file.
func TestOlderFilesAreLeftAlone(t *testing.T) {
	def, err := row.ParseTable("k int | | v int, w text")
	must(t, err)
	def.Keyspace, def.Name = "ks", "t"
	o := tiny(vfs.NewMem(), commitlog.Group, rand.New(rand.NewPCG(1, 1)))
	o.ManualCompaction = true
	s, err := Open(o, schemaOf(def), 1)
	must(t, err)
	for v := range 6 {
		must(t, <-apply(s, mutate(t, []*schema.Table{def}, fmt.Sprintf("partition 1\nrow live=%d v=%d@%d w=x@%d", v, v, v, v))).done)
		must(t, s.Flush(t.Context(), def.ID))
	}
	key := []byte{0, 0, 0, 1}
	c := &row.Command{Table: def, Now: storeSecond, Keys: []row.Key{{Prefix: murmur.Prefix(key), Bytes: key}}, Filter: row.Filter{Slices: row.AllRows()}}
	h := &settling{t: t, s: s, def: def}
	if got := h.read(c); len(got) != 1 || !strings.Contains(got[0], "v=5@5") {
		t.Errorf("%q", got)
	}
	if n := s.cache.Stats().Misses; n != 2 { // its part of the index, its chunk of data
		t.Errorf("%d blocks were loaded", n)
	}
	must(t, s.Close())
}

// TestRowsLiveByAnyColumn: a row without a marker lives by a column that nobody
// asks for, in memory and in a file.
func TestRowsLiveByAnyColumn(t *testing.T) {
	def, err := row.ParseTable("k int | c int | v int, w text")
	must(t, err)
	def.Keyspace, def.Name = "ks", "t"
	o := tiny(vfs.NewMem(), commitlog.Group, rand.New(rand.NewPCG(1, 1)))
	o.ManualCompaction = true
	s, err := Open(o, schemaOf(def), 1)
	must(t, err)
	must(t, <-apply(s, mutate(t, []*schema.Table{def}, "partition 1\nrow 1 v=7@5\nrow 2 w=~@6/100\nrow 3 live=4 v=8@4")).done)
	c := everything(def)
	c.Filter.Regulars = []bool{false, true}
	for _, where := range []string{"memory", "a file"} {
		got := rowsOf(t, def, func() (row.Partitions, error) { return s.Read(c, Blocking) }, c)
		if n := strings.Count(got, "row "); n != 2 || strings.Contains(got, "v=") {
			t.Errorf("in %s:\n%s", where, got)
		}
		must(t, s.Flush(t.Context(), def.ID))
	}
	must(t, s.Close())
}
