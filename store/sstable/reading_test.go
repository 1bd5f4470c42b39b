package sstable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/store/cache"
	"helenus/store/row"
)

func TestNonBlockingReadsOnlyWhatIsCached(t *testing.T) {
	w := newWorld(t, wideTable)
	ks := w.parse(randomText(rand.New(rand.NewPCG(1, 1)), 50, 20))
	tab := w.open(w.write(NB, ks))
	o := ReadOptions{NonBlocking: true}
	key := ks[20].PartitionKey
	if p, err := tab.Get(key, allRows(), o); !errors.Is(err, ErrWouldBlock) || p != nil {
		t.Fatalf("%v, %v", p, err)
	}
	ps := tab.Scan(allRows(), o)
	if p, err := ps.Next(); !errors.Is(err, ErrWouldBlock) || p != nil {
		t.Fatalf("%v, %v", p, err)
	}
	ps.Close()
	want := w.scan(tab, ReadOptions{})
	if got := w.scan(tab, o); got != want {
		t.Fatal(difference(got, want))
	}
	if p, err := tab.Get(key, allRows(), o); err != nil || p == nil {
		t.Fatal(err)
	} else {
		p.Close()
	}
	// A partition that began in the cache may end outside of it.
	if err := tab.Unref(); err != nil {
		t.Fatal(err)
	}
	if n := w.cache.Stats().Entries; n != 0 {
		t.Fatalf("%d blocks of a closed table are kept", n)
	}
}

func TestRange(t *testing.T) {
	w := newWorld(t, "k int || v int")
	var b strings.Builder
	for k := range 1000 {
		fmt.Fprintf(&b, "partition %d\nrow v=%d@1\n", k, k)
	}
	ks := w.parse(b.String())
	tab := w.open(w.write(NB, ks))
	r := rand.New(rand.NewPCG(1, 2))
	bound := func() (int, row.Bound) {
		i := r.IntN(len(ks))
		b := row.KeyBound(ks[i].PartitionKey, r.IntN(2) == 0)
		switch r.IntN(4) {
		case 0:
			b.HasKey, b.Key.Bytes = false, nil
		case 1:
			b.HasKey, b.Key.Bytes = false, nil
			b.Key.Prefix += uint64(r.IntN(3)) - 1
		case 2:
			b.Open = r.IntN(4) == 0
		}
		return i, b
	}
	for range 300 {
		_, start := bound()
		_, end := bound()
		var want []*row.Kept
		for _, k := range ks {
			if start.AfterStart(k.PartitionKey, partitioner) && end.BeforeEnd(k.PartitionKey, partitioner) {
				want = append(want, k)
			}
		}
		got := printAll(t, w.table, tab.Range(start, end, allRows(), ReadOptions{}))
		if want := printAll(t, w.table, row.KeptPartitions(false, want...)); got != want {
			t.Fatalf("%+v to %+v: %s", start, end, difference(got, want))
		}
	}
}

// TestRowsDoNotAllocate: once a partition is open and its buffers have grown,
// rows cost no allocation.
func TestRowsDoNotAllocate(t *testing.T) {
	w := newWorld(t, wideTable)
	var b strings.Builder
	b.WriteString("partition 1\n")
	for c := range 3000 {
		fmt.Fprintf(&b, "row %d,abc live=5 v=1@5 w=hello@5 m[1]=a@5 m[2]=b@5!60/1500000000\n", c)
	}
	ks := w.parse(b.String())
	tab := w.open(w.write(NB, ks))
	p, err := tab.Get(ks[0].PartitionKey, allRows(), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() {
		if u, err := p.Next(); u == nil || err != nil {
			t.Fatal(u, err)
		}
	}
	for range 1000 {
		next()
	}
	if n := testing.AllocsPerRun(1500, next); n != 0 {
		t.Fatalf("%v allocations a row", n)
	}
	p.Close()
	if n := testing.AllocsPerRun(100, func() {
		p, err := tab.Get(ks[0].PartitionKey, oneRow, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Next()
		p.Close()
	}); n != 0 {
		t.Fatalf("%v allocations a read", n)
	}
}

var oneRow = allRows()

// TestSchemaChanges reads a file by definitions that came after it.
func TestSchemaChanges(t *testing.T) {
	w := newWorld(t, "k int | c int | s int static, a int, b map<int,text>, d text")
	ks := w.parse("partition 1\nstatic s=1@5\nrow 1 live=5 a=1@5 b[]=~@4/100 b[1]=x@5 d=y@5\nrow 2 a=2@20 b[]=~@19/100 b[1]=z@20 d=z@5\nrow 3 d=q@5\n")
	tab := w.open(w.write(NB, ks))
	before := w.table
	for _, c := range []struct {
		now     string
		dropped []string
		at      int64
		want    string
	}{
		{"k int | c int | s int static, a int, b map<int,text>, d text, aa int", nil, 0,
			"partition 1\nstatic s=1@5\nrow 1 live=5 a=1@5 d=y@5 b[]=~@4/100 b[1]=x@5\nrow 2 a=2@20 d=z@5 b[]=~@19/100 b[1]=z@20\nrow 3 d=q@5\n"},
		{"k int | c int | s int static, aa int, d text", []string{"a", "b"}, 100,
			"partition 1\nstatic s=1@5\nrow 1 live=5 d=y@5\nrow 2 d=z@5\nrow 3 d=q@5\n"},
		{"k int | c int | a int, b map<int,text>", []string{"s", "a", "b", "d"}, 10,
			"partition 1\nrow 1 live=5\nrow 2 a=2@20 b[]=~@19/100 b[1]=z@20\n"},
	} {
		var err error
		if w.table, err = row.ParseTable(c.now); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.dropped {
			w.table.Dropped = append(w.table.Dropped, schema.DroppedColumn{Name: name, DroppedMicros: c.at})
		}
		if got := w.scan(tab, ReadOptions{Table: w.table}); got != c.want {
			t.Fatalf("as %s:\n%s\nwant\n%s", c.now, got, c.want)
		}
	}
	w.table = before
	w.scan(tab, ReadOptions{})
	for _, now := range []string{"k int | c int | s int static, a int, b map<int,text>", "k int | c int desc | s int static, a int, b map<int,text>, d text",
		"k int | c int, e int | s int static, a int, b map<int,text>, d text", "k int | c int | s int static, a int, b text, d text"} {
		s, err := row.ParseTable(now)
		if err != nil {
			t.Fatal(err)
		}
		if err := tab.SetSchema(s); err == nil {
			t.Fatalf("readable as %s", now)
		} else if now == "k int | c int | s int static, a int, b map<int,text>" && !strings.Contains(err.Error(), `"d"`) {
			t.Fatalf("the column is not named: %v", err)
		}
	}
}

func TestSelectedColumns(t *testing.T) {
	w := newWorld(t, wideTable)
	ks := w.parse("partition 1\nstatic s=1@5\nrow 1,a live=5 v=1@5 w=x@5 m[1]=x@5\nrow 2,a w=x@5\n")
	tab := w.open(w.write(NB, ks))
	f := allRows()
	f.Regulars = []bool{true, false, false}
	f.Statics = []bool{false}
	// The rows may live by the other columns, so those are there, without values.
	want := "partition 1\nstatic s=null@5\nrow 1,a live=5 v=1@5 w=\"\"@5 m[1]=\"\"@5\nrow 2,a w=\"\"@5\n"
	if got := printAll(t, w.table, tab.Scan(f, ReadOptions{})); got != want {
		t.Fatalf("%s\nwant\n%s", got, want)
	}
}

func TestBigRowsAndSmallCaches(t *testing.T) {
	w := newWorld(t, wideTable)
	w.cache = cache.New(budget.New("cache", 0))
	w.index = 5000
	var b strings.Builder
	for k := range 3 {
		fmt.Fprintf(&b, "partition %d\n", k)
		for c := range 20 {
			fmt.Fprintf(&b, "row %d,x w=%s@5\n", c, strings.Repeat("abc", 1+c*c*300))
		}
	}
	ks := w.parse(b.String())
	for _, v := range []Version{NB, OA} {
		tab := w.open(w.write(v, ks))
		want := printAll(t, w.table, row.KeptPartitions(false, ks...))
		if got := w.scan(tab, ReadOptions{}); got != want {
			t.Fatal(difference(got, want))
		}
		checkPoints(w, tab, ks, rand.New(rand.NewPCG(4, 4)))
	}
}

func TestVersionFor(t *testing.T) {
	for _, c := range []struct {
		at   int64
		want Version
	}{{0, NB}, {maxLocalTimeNB, NB}, {maxLocalTimeNB + 1, OA}, {row.NoDeletionTime, NB}} {
		if got := VersionFor(c.at); got != c.want {
			t.Errorf("%d: %s", c.at, got)
		}
	}
	w := newWorld(t, wideTable)
	ks := w.parse("partition 1 del=5/2200000000\nrow 1,a v=1@9!60/4000000000 m[]=~@4/2200000001\n")
	if _, err := Write(w.options(NB), row.KeptPartitions(false, ks...)); !errors.Is(err, errLocalTime) {
		t.Fatalf("nb took an expiry of the year 2096: %v", err)
	}
	tab := w.open(w.write(OA, ks))
	if got, want := w.scan(tab, ReadOptions{}), printAll(t, w.table, row.KeptPartitions(false, ks...)); got != want {
		t.Fatal(difference(got, want))
	}
}

func TestPartitionsOutOfOrderAreRefused(t *testing.T) {
	w := newWorld(t, "k int || v int")
	ks := w.parse("partition 1\nrow v=1@1\npartition 2\nrow v=1@1\n")
	ks[0], ks[1] = ks[1], ks[0]
	if _, err := Write(w.options(NB), row.KeptPartitions(false, ks...)); !errors.Is(err, errOrder) {
		t.Fatal(err)
	}
}

func TestFileNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"nb-1-big-Data.db": true, "oa-3g9z_0m4q_1abcd0000000000000-big-Index.db": true, "nb-01-big-Data.db": false,
		"nb-x-big-Data.db": false, "nb-1-bti-Data.db": false, "nb-1-big-": false, "nb_txn_flush_x.log": false,
		"nb-1-big-Checksums.db.tmp": false, "manifest.json": false,
	} {
		if _, _, got := ParseFile(name); got != ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSketchHash compares with what Cassandra's own function returns.
func TestSketchHash(t *testing.T) {
	if got := murmur2([]byte{0x80, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 10}); got != 0x6ba3ffe4005a84dc {
		t.Fatalf("%x", got)
	}
}

func TestFilterShape(t *testing.T) {
	for chance, want := range map[float64][2]int{0.01: {10, 5}, 0.1: {5, 3}, 0.5: {2, 1}, 0.001: {15, 7}, 1e-9: {20, 14}} {
		if b, k := filterShape(chance); b != want[0] || k != want[1] {
			t.Errorf("%v: %d bits, %d hashes, want %v", chance, b, k, want)
		}
	}
}

// TestConcurrentReads has many readers share a cache that is too small.
func TestConcurrentReads(t *testing.T) {
	w := newWorld(t, wideTable)
	w.cache = cache.New(budget.New("cache", 256<<10))
	w.index = 500
	ks := w.parse(randomText(rand.New(rand.NewPCG(2, 3)), 200, 60))
	tab := w.open(w.write(NB, ks))
	want := make([]string, len(ks))
	for i, k := range ks {
		b, err := row.Print(nil, w.table, k.Partition(false))
		if err != nil {
			t.Fatal(err)
		}
		want[i] = string(b)
	}
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(4, g))
			for range 300 {
				i := r.IntN(len(ks))
				p, err := tab.Get(ks[i].PartitionKey, allRows(), ReadOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				b, err := row.Print(nil, w.table, p)
				p.Close()
				if err != nil || string(b) != want[i] {
					t.Errorf("partition %d: %v, %s", i, err, difference(string(b), want[i]))
					return
				}
			}
		})
	}
	wg.Wait()
}
