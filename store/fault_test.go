package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// openTiny opens a store of one table.
func openTiny(t testing.TB, fs vfs.FS, change func(*Options)) (*Store, *schema.Table) {
	t.Helper()
	def := definition(t, 0, 864000)
	o := tiny(fs, commitlog.Group, rand.New(rand.NewPCG(1, 1)))
	o.ManualCompaction = true
	if change != nil {
		change(&o)
	}
	s, err := Open(o, schemaOf(def), 1)
	must(t, err)
	return s, def
}

func put(t testing.TB, s *Store, def *schema.Table, key, value int) error {
	t.Helper()
	return <-apply(s, mutate(t, []*schema.Table{def}, putText(key, value))).done
}

func putText(key, value int) string {
	return fmt.Sprintf("partition %d\nrow a,1 live=%d v=%d@%d w=%s@%d", key, value, value, value, strings.Repeat("w", 400), value)
}

// values reads v of the row of each partition.
func values(t testing.TB, s *Store, def *schema.Table) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, part := range strings.Split(showStore(t, s, schemaOf(def)), "partition ")[1:] {
		key, rest, _ := strings.Cut(part, "\n")
		if _, v, ok := strings.Cut(rest, " v="); ok {
			v, _, _ = strings.Cut(v, "@")
			out[key] = v
		}
	}
	return out
}

// TestDiskErrors: when the disk fails in the log, writes fail from then on and
// say why, reads go on, and a restart has all that was acknowledged.
func TestDiskErrors(t *testing.T) {
	cases := []struct {
		name string
		kind vfs.OpKind
		path string
		err  error
	}{
		{"write to the log", vfs.OpWrite, "log/", syscall.EIO},
		{"full disk at the log", vfs.OpWrite, "log/", syscall.ENOSPC},
		{"sync of the log", vfs.OpSync, "log/", syscall.EIO},
		{"next segment", vfs.OpPreallocate, "log/", syscall.ENOSPC},
		{"flush", vfs.OpWrite, "-Data.db", syscall.ENOSPC},
		{"sync of a flush", vfs.OpSync, "-Index.db", syscall.EIO},
		{"commit of a flush", vfs.OpSync, "_txn_flush", syscall.EIO},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			mem := vfs.NewMem()
			var broken atomic.Bool
			s, def := openTiny(t, vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
				if broken.Load() && op.Kind == tt.kind && strings.Contains(op.Name, tt.path) {
					return vfs.Fault{Err: tt.err}
				}
				return vfs.Fault{}
			}), func(o *Options) { o.MemtableBytes = 64 << 10 })
			acked, last := map[string]string{}, 0
			write := func(n int) (err error) {
				for range n {
					last++
					if err = put(t, s, def, last%4, last); err != nil {
						return err
					}
					acked[fmt.Sprint(last%4)] = fmt.Sprint(last)
				}
				return nil
			}
			must(t, write(8))
			broken.Store(true)
			err := write(2000)
			if !errors.Is(err, tt.err) || s.Failure() == nil {
				t.Fatalf("writes end with %v, failure %v", err, s.Failure())
			}
			if got := values(t, s, def); fmt.Sprint(got) != fmt.Sprint(acked) {
				t.Fatalf("reads after the failure: %v, want %v", got, acked)
			}
			if err := put(t, s, def, 9, 5000); !errors.Is(err, tt.err) {
				t.Fatalf("a later write: %v", err)
			}
			broken.Store(false)
			_ = s.Close() // says again what went wrong
			s, def = openTiny(t, mem.CrashNone(), nil)
			got := values(t, s, def)
			must(t, s.Close())
			delete(got, "9")
			for k, v := range acked {
				if got[k] < v && len(got[k]) <= len(v) {
					t.Fatalf("after a restart: %v, want at least %v", got, acked)
				}
			}
		})
	}
}

// TestFailedFlushIsMadeUpFor: a flush that failed and one that went well after
// it leave nothing behind for the log to forget.
func TestFailedFlushIsMadeUpFor(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	s, def := openTiny(t, vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
		if full.Load() && op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, ".db") {
			return vfs.Fault{Err: syscall.ENOSPC}
		}
		return vfs.Fault{}
	}), nil)
	must(t, put(t, s, def, 1, 1))
	full.Store(true)
	if err := s.Flush(context.Background(), def.ID); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("flush: %v", err)
	}
	must(t, put(t, s, def, 2, 2))
	full.Store(false)
	must(t, s.Flush(context.Background(), def.ID))
	image := mem.CrashNone()
	must(t, s.Close())
	s, def = openTiny(t, image, nil)
	defer s.Close()
	if got := values(t, s, def); got["1"] != "1" || got["2"] != "2" {
		t.Fatalf("got %v", got)
	}
}

// TestFlippedBitInLog: a start that cannot give back what was acknowledged is
// refused, and names the file.
func TestFlippedBitInLog(t *testing.T) {
	mem := vfs.NewMem()
	s, def := openTiny(t, mem, func(o *Options) { o.MemtableBytes, o.LogBytesMax = 64<<20, 1<<30 }) // no flush
	for v := range 60 {
		must(t, put(t, s, def, v, v))
	}
	must(t, s.Close())
	names, err := mem.List("log")
	must(t, err)
	flipped := vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, names[0]) {
			return vfs.Fault{Flip: []int64{8 * 2200}}
		}
		return vfs.Fault{}
	})
	_, err = Open(tiny(flipped, commitlog.Group, rand.New(rand.NewPCG(1, 1))), schemaOf(def), 1)
	var corrupt *commitlog.CorruptError
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), names[0]) {
		t.Fatalf("open: %v", err)
	}
	s, _ = openTiny(t, mem, nil) // nothing was changed by the attempt
	must(t, s.Close())
}

// TestTwoOnOneFolder: the second is refused, and goes once the first has ended.
func TestTwoOnOneFolder(t *testing.T) {
	mem := vfs.NewMem()
	s, def := openTiny(t, mem, nil)
	_, err := Open(tiny(mem, commitlog.Group, rand.New(rand.NewPCG(1, 1))), schemaOf(def), 1)
	if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "data") {
		t.Fatalf("second: %v", err)
	}
	must(t, put(t, s, def, 1, 1))
	must(t, s.Close())
	s, _ = openTiny(t, mem, nil)
	must(t, s.Close())
}

// TestUnwritableFolder names the folder and what is wrong.
func TestUnwritableFolder(t *testing.T) {
	for _, kind := range []vfs.OpKind{vfs.OpMkdirAll, vfs.OpLock} {
		readOnly := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) vfs.Fault {
			if op.Kind == kind {
				return vfs.Fault{Err: fs.ErrPermission}
			}
			return vfs.Fault{}
		})
		_, err := Open(tiny(readOnly, commitlog.Group, rand.New(rand.NewPCG(1, 1))), schemaOf(definition(t, 0, 0)), 1)
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "data") {
			t.Fatalf("%s: %v", kind, err)
		}
	}
}

// handles counts what is open.
type handles struct {
	vfs.FS
	open atomic.Int64
}

type countedFile struct {
	vfs.File
	h *handles
}

func (f countedFile) Close() error { f.h.open.Add(-1); return f.File.Close() }

type countedLock struct {
	io.Closer
	h *handles
}

func (l countedLock) Close() error { l.h.open.Add(-1); return l.Closer.Close() }

func (h *handles) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	h.open.Add(1)
	return countedFile{f, h}, nil
}

func (h *handles) Create(name string) (vfs.File, error)   { return h.count(h.FS.Create(name)) }
func (h *handles) OpenRead(name string) (vfs.File, error) { return h.count(h.FS.OpenRead(name)) }
func (h *handles) OpenReadWrite(name string) (vfs.File, error) {
	return h.count(h.FS.OpenReadWrite(name))
}

func (h *handles) Lock(name string) (io.Closer, error) {
	l, err := h.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	h.open.Add(1)
	return countedLock{l, h}, nil
}

// TestNothingIsLeft: after Close all memory and files are given back, whatever
// readers held on to in between.
func TestNothingIsLeft(t *testing.T) {
	ctx := context.Background()
	h := &handles{FS: vfs.NewMem()}
	// What readers hold counts; it must not hold the writers of this test back.
	s, def := openTiny(t, h, func(o *Options) { o.MemtableBytes = 64 << 20 })
	budget := s.opts.Budget
	var readers []row.Partitions
	begin := func() {
		ps, err := s.Read(everything(def), Blocking)
		must(t, err)
		p, err := ps.Next()
		must(t, err)
		if p == nil {
			t.Fatal("nothing to read")
		}
		readers = append(readers, ps)
	}
	for round := range 3 {
		for v := range 40 {
			must(t, put(t, s, def, v%8, round*100+v))
		}
		begin()
		must(t, s.Flush(ctx, def.ID))
		begin()
	}
	must(t, s.Compact(ctx, def.ID))
	begin()
	must(t, s.Truncate(ctx, def.ID))
	must(t, put(t, s, def, 1, 1000))
	begin()
	must(t, s.SetSchema(schemaOf(), 2))
	if err := put(t, s, def, 1, 1); err == nil || s.Failure() != nil {
		t.Fatalf("a write to a dropped table: %v, failure %v", err, s.Failure())
	}
	for _, ps := range readers {
		if n := drain(t, ps); n < 1 {
			t.Fatal("a reader lost its rows")
		}
		must(t, ps.Close())
	}
	names, err := h.List("data/ks")
	must(t, err)
	if len(names) > 0 {
		t.Errorf("the dropped table left %q", names)
	}
	must(t, s.Close())
	if budget.Used() != 0 || h.open.Load() != 0 {
		t.Fatalf("%d bytes and %d files are left", budget.Used(), h.open.Load())
	}
}

func drain(t testing.TB, ps row.Partitions) (n int) {
	t.Helper()
	for n = 1; ; n++ {
		p, err := ps.Next()
		must(t, err)
		if p == nil {
			return n
		}
		_, err = row.Keep(p)
		must(t, err)
	}
}

// TestAllColumnsDropped: a memtable of which nothing is left makes no file.
func TestAllColumnsDropped(t *testing.T) {
	ctx := context.Background()
	s, def := openTiny(t, vfs.NewMem(), nil)
	defer s.Close()
	must(t, <-apply(s, mutate(t, []*schema.Table{def}, "partition 1\nrow a,1 v=1@1")).done)
	must(t, s.SetSchema(schemaOf(withoutColumn(def, "v")), 2))
	must(t, s.Flush(ctx, def.ID))
	must(t, s.Compact(ctx, def.ID))
}

// TestReadAcrossAlter: a read that was planned before an ALTER TABLE sees its
// own columns, in memory and in files, whenever it runs.
func TestReadAcrossAlter(t *testing.T) {
	ctx := context.Background()
	for _, flushed := range []bool{false, true} {
		s, old := openTiny(t, vfs.NewMem(), nil)
		must(t, <-apply(s, mutate(t, []*schema.Table{old}, "partition 1\nrow a,1 live=1 v=5@1 w=five@1")).done)
		if flushed {
			must(t, s.Flush(ctx, old.ID))
		}
		// "a" sorts before all others: their positions move by one.
		next := withColumn(withoutColumn(old, "w"), "a")
		must(t, s.SetSchema(schemaOf(next), 2))
		must(t, <-apply(s, mutate(t, []*schema.Table{next}, "partition 2\nrow a,1 live=2 a=7@2 v=6@2")).done)
		if flushed {
			must(t, s.Flush(ctx, old.ID))
		}
		for _, tt := range []struct {
			def  *schema.Table
			want string
		}{
			{old, "table t0\npartition 1\nrow a,1 live=1 v=5@1 w=five@1\npartition 2\nrow a,1 live=2 v=6@2\n"},
			{next, "table t0\npartition 1\nrow a,1 live=1 v=5@1\npartition 2\nrow a,1 live=2 a=7@2 v=6@2\n"},
		} {
			if got := showStore(t, s, schemaOf(tt.def)); got != tt.want {
				t.Errorf("flushed %v: got\n%swant\n%s", flushed, got, tt.want)
			}
		}
		must(t, s.Close())
	}
}
