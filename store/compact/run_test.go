package compact

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/cache"
	"helenus/store/row"
	"helenus/store/sstable"
	"helenus/store/vfs"
)

var partitioner = token.Murmur3Partitioner{}

const dir = "/data"

// node is the tables of one schema and what is still in memory.
type node struct {
	t        *testing.T
	fs       vfs.FS
	cache    *cache.Cache
	table    *schema.Table
	live     []*sstable.Table
	memory   []*row.Kept
	next     uint64
	gcBefore int64
}

func newNode(t *testing.T) *node {
	n := &node{t: t, fs: vfs.NewMem(), cache: cache.New(budget.New("cache", 4<<20))}
	n.must(n.fs.MkdirAll(dir))
	var err error
	n.table, err = row.ParseTable("k int | c int | s int static, v int, m map<int,text>")
	n.must(err)
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) id() sstable.ID { n.next++; return sstable.SequenceID(n.next) }

func (n *node) open(d sstable.Descriptor) {
	t, err := sstable.Open(sstable.OpenOptions{FS: n.fs, Dir: dir, Descriptor: d, Table: n.table, Partitioner: partitioner, Cache: n.cache})
	n.must(err)
	n.live = append(n.live, t)
}

// flush makes a table of writes.
func (n *node) flush(ks []*row.Kept) {
	d := sstable.Descriptor{Version: sstable.NB, ID: n.id()}
	m, err := sstable.Write(sstable.WriterOptions{FS: n.fs, Dir: dir, Table: n.table, Partitioner: partitioner, Descriptor: d,
		Keys: 10, Bases: sstable.DefaultBases()}, row.KeptPartitions(false, ks...))
	n.must(err)
	if m != nil {
		n.open(d)
	}
}

func (n *node) sources() []row.Partitions {
	out := []row.Partitions{row.KeptPartitions(false, n.memory...)}
	for _, t := range n.live {
		out = append(out, t.Scan(&row.Filter{Slices: row.AllRows()}, sstable.ReadOptions{}))
	}
	return out
}

// read is everything there is, merged; purged is what of it a client can see,
// and tombstones that are not old yet.
func (n *node) read(purged bool) string {
	ps := row.MergePartitions(partitioner.CompareTie, false, n.sources()...)
	if purged {
		ps = row.PurgePartitions(ps, &row.Purger{Now: now, GCBefore: n.gcBefore})
	}
	b, err := row.PrintAll(nil, n.table, ps)
	n.must(err)
	n.must(ps.Close())
	return string(b)
}

func (n *node) outside(look func(Outside)) {
	look(Outside{Tables: n.live, MemtableMin: func(k row.Key) int64 {
		for _, m := range n.memory {
			if string(m.PartitionKey.Bytes) == string(k.Bytes) {
				return minTimestamp(m)
			}
		}
		return math.MaxInt64
	}})
}

func minTimestamp(k *row.Kept) int64 {
	least := int64(math.MaxInt64)
	see := func(ts int64) {
		if ts != row.NoTimestamp {
			least = min(least, ts)
		}
	}
	see(k.Deleted.Timestamp)
	rows := k.Rows
	if k.Static != nil {
		rows = append([]row.Unfiltered{{Row: k.Static}}, rows...)
	}
	for _, u := range rows {
		if m := u.Marker; m != nil {
			see(m.Before.Timestamp)
			see(m.After.Timestamp)
			continue
		}
		see(u.Row.Liveness.Timestamp)
		see(u.Row.Deletion.Timestamp)
		for _, c := range u.Row.Complex {
			see(c.Deletion.Timestamp)
		}
		for _, c := range u.Row.Cells {
			see(c.Timestamp)
		}
	}
	return least
}

// compact merges some tables, and drops others.
func (n *node) compact(inputs, expired []*sstable.Table) *sstable.Meta {
	n.t.Helper()
	j := n.job(inputs, expired)
	r, err := Run(context.Background(), j)
	n.must(err)
	old := j.old()
	n.live = deleteAll(n.live, old)
	r.Retire()
	for _, t := range old {
		n.must(t.Unref())
	}
	if r.New != nil {
		n.open(*r.New)
	}
	return r.Meta
}

func (n *node) job(inputs, expired []*sstable.Table) *Job {
	return &Job{FS: n.fs, Dir: dir, Table: n.table, Partitioner: partitioner, Inputs: inputs, Expired: expired,
		Outside: n.outside, Now: now, GCBefore: n.gcBefore, NewID: n.id(), TxnID: [16]byte{byte(n.next)}}
}

func deleteAll(from, what []*sstable.Table) (out []*sstable.Table) {
next:
	for _, t := range from {
		for _, w := range what {
			if t == w {
				continue next
			}
		}
		out = append(out, t)
	}
	return out
}

const now = 1000

// randomWrites are few keys and few timestamps, so that everything collides.
func randomWrites(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		k, c, ts := r.IntN(4), r.IntN(4), r.IntN(12)
		at := 900 + r.IntN(150)
		fmt.Fprintf(&b, "partition %d", k)
		if r.IntN(8) == 0 {
			fmt.Fprintf(&b, " del=%d/%d", ts, at)
		}
		b.WriteByte('\n')
		switch r.IntN(9) {
		case 0:
			fmt.Fprintf(&b, "static s=%d@%d\n", r.IntN(9), ts)
		case 1:
			fmt.Fprintf(&b, "row %d live=%d v=%d@%d\n", c, ts, r.IntN(9), ts)
		case 2:
			fmt.Fprintf(&b, "row %d v=%d@%d!50/%d\n", c, r.IntN(9), ts, at)
		case 3:
			fmt.Fprintf(&b, "row %d live=%d!50/%d v=1@%d!50/%d\n", c, ts, at, ts, at)
		case 4:
			fmt.Fprintf(&b, "row %d v=~@%d/%d\n", c, ts, at)
		case 5:
			fmt.Fprintf(&b, "row %d del=%d/%d\n", c, ts, at)
		case 6:
			fmt.Fprintf(&b, "row %d m[]=~@%d/%d m[%d]=x@%d\n", c, ts, at, r.IntN(2), ts+1)
		case 7:
			fmt.Fprintf(&b, "range >=%d <%d del=%d/%d\n", c, c+1+r.IntN(3), ts, at)
		case 8:
			fmt.Fprintf(&b, "row %d m[%d]=y@%d\n", c, r.IntN(2), ts)
		}
	}
	return b.String()
}

func (n *node) parse(text string) []*row.Kept {
	ks, err := row.Parse(n.table, partitioner, text)
	n.must(err)
	return ks
}

// TestLaw: compacting any tables at any time changes nothing of what is read
// while tombstones are kept, and brings nothing back when they are not.
func TestLaw(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := newNode(t)
		n.gcBefore = []int64{0, 960, now + 100}[r.IntN(3)]
		for range 2 + r.IntN(5) {
			n.flush(n.parse(randomWrites(r)))
		}
		if r.IntN(2) == 0 {
			n.memory = n.parse(randomWrites(r))
		}
		purged := n.gcBefore > 0
		for range 3 {
			before := n.read(purged)
			r.Shuffle(len(n.live), func(i, j int) { n.live[i], n.live[j] = n.live[j], n.live[i] })
			if len(n.live) == 0 {
				break
			}
			some := append([]*sstable.Table(nil), n.live[:1+r.IntN(len(n.live))]...)
			var all string
			for _, s := range n.sources() {
				b, err := row.PrintAll(nil, n.table, s)
				n.must(err)
				all += string(b) + "--\n"
			}
			if purged {
				n.compact(some, nil)
			} else {
				n.compactAsIs(some)
			}
			if after := n.read(purged); after != before {
				t.Fatalf("seed %d, gcBefore %d: read\n%s\nbefore, and\n%s\nafter; %d of memory and tables\n%s", seed, n.gcBefore, before, after, len(some), all)
			}
		}
	}
}

// compactAsIs runs at the beginning of time, when nothing has expired: then
// not even the form of expired cells may change.
func (n *node) compactAsIs(some []*sstable.Table) {
	j := n.job(some, nil)
	j.Now = 0
	r, err := Run(context.Background(), j)
	n.must(err)
	n.live = deleteAll(n.live, some)
	r.Retire()
	for _, t := range some {
		n.must(t.Unref())
	}
	if r.New != nil {
		n.open(*r.New)
	}
}

func TestFilesOfInputsGoWithTheLastReference(t *testing.T) {
	n := newNode(t)
	n.flush(n.parse("partition 1\nrow 1 v=1@5\n"))
	n.flush(n.parse("partition 1\nrow 2 v=1@5\n"))
	reader := n.live[0]
	if !reader.Ref() {
		t.Fatal("no reference")
	}
	n.compact(append([]*sstable.Table(nil), n.live...), nil)
	sets, _, err := sstable.List(n.fs, dir)
	n.must(err)
	if len(sets) != 3 {
		t.Fatalf("%v while one is read", sets)
	}
	b, err := row.PrintAll(nil, n.table, reader.Scan(&row.Filter{Slices: row.AllRows()}, sstable.ReadOptions{}))
	if err != nil || !strings.Contains(string(b), "row 1") {
		t.Fatalf("%s %v", b, err)
	}
	n.must(reader.Unref())
	if sets, _, err = sstable.List(n.fs, dir); err != nil || len(sets) != 1 || sets[0].ID != "3" {
		t.Fatalf("%v, %v", sets, err)
	}
	if names, _ := n.fs.List(dir); len(names) != 9 {
		t.Fatalf("left over: %v", names)
	}
}

func TestCancelAndThrottle(t *testing.T) {
	n := newNode(t)
	n.table.Options.Compression = map[string]string{"enabled": "false"}
	var b strings.Builder
	for k := range 300 {
		fmt.Fprintf(&b, "partition %d\nrow 1 m[1]=%s@5\n", k, strings.Repeat("x", 1000))
	}
	n.flush(n.parse(b.String()))
	before := n.read(false)
	ctx, cancel := context.WithCancel(context.Background())
	j := n.job(n.live, nil)
	calls := 0
	j.Throttle = func(ctx context.Context, bytes int64) error {
		if calls++; calls == 3 {
			cancel()
		}
		return nil
	}
	told := int64(0)
	j.Progress = func(done, total int64) {
		if done < told || done > total {
			t.Errorf("progress %d after %d of %d", done, told, total)
		}
		told = done
	}
	if _, err := Run(ctx, j); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if calls != 3 || told == 0 {
		t.Fatalf("%d calls, %d told", calls, told)
	}
	if names, _ := n.fs.List(dir); len(names) != 9 || n.read(false) != before {
		t.Fatalf("%v", names)
	}
}

func TestEverythingExpired(t *testing.T) {
	n := newNode(t)
	n.gcBefore = now
	n.flush(n.parse("partition 1\nrow 1 v=~@5/10\n"))
	n.flush(n.parse("partition 2\nrow 1 v=~@5/10\n"))
	if m := n.compact(n.live[:1:1], n.live[1:]); m != nil || len(n.live) != 0 {
		t.Fatalf("%+v", m)
	}
	if names, _ := n.fs.List(dir); len(names) != 0 {
		t.Fatalf("left over: %v", names)
	}
}
