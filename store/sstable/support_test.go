package sstable

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/cache"
	"helenus/store/row"
	"helenus/store/vfs"
)

var partitioner = token.Murmur3Partitioner{}

// world is a folder with tables of one schema.
type world struct {
	t     testing.TB
	fs    vfs.FS
	cache *cache.Cache
	table *schema.Table
	next  uint64
	index int // column index size
	by    token.Partitioner
}

const dir = "/data"

func newWorld(t testing.TB, table string) *world {
	w := &world{t: t, fs: vfs.NewMem(), cache: cache.New(budget.New("cache", 8<<20)), by: partitioner}
	var err error
	if w.table, err = row.ParseTable(table); err != nil {
		t.Fatal(err)
	}
	if err := w.fs.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options(v Version) WriterOptions {
	w.next++
	return WriterOptions{FS: w.fs, Dir: dir, Table: w.table, Partitioner: w.by,
		Descriptor: Descriptor{v, SequenceID(w.next)}, Keys: 100, Bases: DefaultBases(), ColumnIndexBytes: w.index}
}

func (w *world) parse(text string) []*row.Kept {
	w.t.Helper()
	ks, err := row.Parse(w.table, w.by, text)
	if err != nil {
		w.t.Fatal(err)
	}
	// A partition without anything in it is not written.
	return slices.DeleteFunc(ks, func(k *row.Kept) bool { return k.Deleted.IsLive() && k.Static == nil && len(k.Rows) == 0 })
}

func (w *world) write(v Version, ks []*row.Kept) Descriptor {
	w.t.Helper()
	o := w.options(v)
	if _, err := Write(o, row.KeptPartitions(false, ks...)); err != nil {
		w.t.Fatal(err)
	}
	return o.Descriptor
}

func (w *world) open(d Descriptor) *Table {
	w.t.Helper()
	t, err := w.tryOpen(d)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) tryOpen(d Descriptor) (*Table, error) {
	return Open(OpenOptions{FS: w.fs, Dir: dir, Descriptor: d, Table: w.table, Partitioner: w.by, Cache: w.cache})
}

func printAll(t testing.TB, s *schema.Table, ps row.Partitions) string {
	t.Helper()
	b, err := row.PrintAll(nil, s, ps)
	if err != nil {
		t.Fatal(err)
	}
	if err := ps.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) scan(tab *Table, o ReadOptions) string {
	w.t.Helper()
	return printAll(w.t, w.table, tab.Scan(allRows(), o))
}

// randomText makes partitions of the table `k int | c int, d text | s int
// static, v int, w text, m map<int,text>`; all that the format can say.
func randomText(r *rand.Rand, partitions, rows int) string {
	var b strings.Builder
	del := func() string { return fmt.Sprintf("del=%d/%d", r.IntN(100), 1500000000+r.IntN(1000)) }
	cell := func(name, value string) {
		switch r.IntN(6) {
		case 0:
		case 1:
			fmt.Fprintf(&b, " %s=~@%d/%d", name, r.IntN(100), 1500000000+r.IntN(1000))
		case 2:
			fmt.Fprintf(&b, " %s=%s@%d!60/%d", name, value, r.IntN(100), 1500000000+r.IntN(3))
		default:
			fmt.Fprintf(&b, " %s=%s@%d", name, value, r.IntN(100))
		}
	}
	for k := range partitions {
		fmt.Fprintf(&b, "partition %d", k)
		if r.IntN(4) == 0 {
			b.WriteString(" " + del())
		}
		b.WriteByte('\n')
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "static s=%d@%d\n", r.IntN(100), r.IntN(200))
		}
		for range r.IntN(rows + 1) {
			fmt.Fprintf(&b, "row %d,%s", r.IntN(rows), strings.Repeat("x", 1+r.IntN(3)))
			switch r.IntN(4) {
			case 0:
				fmt.Fprintf(&b, " live=%d", r.IntN(200))
			case 1:
				fmt.Fprintf(&b, " live=%d!60/%d", r.IntN(200), 1500000000+r.IntN(3))
			}
			if r.IntN(8) == 0 {
				b.WriteString(" " + del())
			}
			cell("v", fmt.Sprint(r.IntN(1000)))
			cell("w", strings.Repeat("y", 1+r.IntN(200)))
			if r.IntN(4) == 0 {
				fmt.Fprintf(&b, " m[]=~@%d/1500000000", r.IntN(100))
			}
			for i := range r.IntN(3) {
				cell(fmt.Sprintf("m[%d]", i), "z")
			}
			b.WriteByte('\n')
		}
		for range r.IntN(1 + rows/4) {
			from := r.IntN(rows)
			fmt.Fprintf(&b, "range >=%d <%d %s\n", from, from+1+r.IntN(4), del())
		}
	}
	return b.String()
}

const wideTable = "k int | c int, d text desc | s int static, v int, w text, m map<int,text>"

func compressions() map[string]map[string]string {
	lz4 := map[string]string{"class": "LZ4Compressor", "chunk_length_in_kb": "4"}
	out := map[string]map[string]string{"none": {"enabled": "false"}, "LZ4": lz4}
	for _, c := range []string{"Snappy", "Deflate", "Zstd", "Noop"} {
		m := maps.Clone(lz4)
		m["class"] = c + "Compressor"
		out[c] = m
	}
	ratio := maps.Clone(lz4)
	ratio["min_compress_ratio"] = "4"
	out["ratio"] = ratio
	return out
}
