package sstable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"helenus/store/row"
	"helenus/store/vfs"
)

const (
	oldText = "partition 1\nrow 1,a v=1@5\npartition 2\nrow 1,a v=2@5\n"
	delText = "partition 1 del=6/1500000000\n"
	newText = "partition 2\nrow 1,a v=2@5\n"
)

// state is what a folder says after a restart: each set's rows.
func state(w *world) string {
	if err := Recover(w.fs, dir); err != nil {
		w.t.Fatal(err)
	}
	sets, incomplete, err := List(w.fs, dir)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(incomplete) > 0 {
		w.t.Fatalf("left over: %v", incomplete)
	}
	var all []string
	for _, d := range sets {
		tab := w.open(d)
		all = append(all, w.scan(tab, ReadOptions{}))
		if err := tab.Unref(); err != nil {
			w.t.Fatal(err)
		}
	}
	names, _ := w.fs.List(dir)
	for _, n := range names {
		if _, _, ok := ParseFile(n); !ok {
			w.t.Fatalf("left over: %s", n)
		}
	}
	sort.Strings(all)
	return strings.Join(all, "--\n")
}

// replace writes a set that takes the place of two others.
func replace(w *world, old []Descriptor) error {
	txn, err := Begin(w.fs, dir, OpCompaction, [16]byte{1})
	if err != nil {
		return err
	}
	o := w.options(NB)
	o.Txn = txn
	if _, err := Write(o, row.KeptPartitions(false, w.parse(newText)...)); err != nil {
		return err
	}
	if err := txn.Commit(old...); err != nil {
		return err
	}
	return txn.Release()
}

// TestCrashAnywhereLeavesTheOldOrTheNew stops a replacement after every
// operation on the file system and restarts from images of what a power cut
// could leave.
func TestCrashAnywhereLeavesTheOldOrTheNew(t *testing.T) {
	before := strings.Join([]string{oldText, delText}, "--\n")
	seen := map[string]int{}
	for stop := 0; ; stop++ {
		w := newWorld(t, wideTable)
		mem := w.fs.(*vfs.Mem)
		old := []Descriptor{w.write(NB, w.parse(oldText)), w.write(NB, w.parse(delText))}
		if stop == 0 && state(w) != before {
			t.Fatalf("at first:\n%s", state(w))
		}
		n := 0
		stopped := errors.New("stopped")
		w.fs = vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
			if !op.Mutates() {
				return vfs.Fault{}
			}
			if n++; n > stop {
				return vfs.Fault{Err: stopped, Written: int(op.Size) / 2}
			}
			return vfs.Fault{}
		})
		err := replace(w, old)
		if err != nil && !errors.Is(err, stopped) {
			t.Fatal(err)
		}
		images := []*vfs.Mem{mem.CrashNone(), mem.Kill()}
		for i := range uint64(6) {
			images = append(images, mem.Crash(rand.New(rand.NewPCG(uint64(stop), i))))
		}
		for i, image := range images {
			w.fs = image
			got := state(w)
			if got != before && got != newText {
				t.Fatalf("stopped after %d operations, image %d:\n%s", stop, i, got)
			}
			if err == nil && got != newText {
				t.Fatal("a completed replacement was undone")
			}
			seen[got]++
		}
		if err == nil {
			break
		}
	}
	if seen[before] == 0 || seen[newText] == 0 {
		t.Fatalf("not both outcomes: %v", seen)
	}
}

func TestAbortAndCrashOfAFlush(t *testing.T) {
	w := newWorld(t, wideTable)
	txn, err := Begin(w.fs, dir, OpFlush, [16]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(NB)
	o.Txn = txn
	if _, err := Write(o, row.KeptPartitions(false, w.parse(newText)...)); err != nil {
		t.Fatal(err)
	}
	if err := txn.Abort(); err != nil {
		t.Fatal(err)
	}
	if names, _ := w.fs.List(dir); len(names) != 0 {
		t.Fatalf("left over: %v", names)
	}
}

// TestTxnLogIsCassandras compares lines with ones whose sums a real Cassandra
// computed.
func TestTxnLogLines(t *testing.T) {
	r := txnRecord{kind: txnRemove, path: "/var/lib/data/ks/t-1/nb-7-big", updated: 1700000000123, files: 8}
	if got, d, err := parseRecord(strings.TrimSuffix(r.line(), "\n")); err != nil || got != r || d.ID != "7" {
		t.Fatalf("%+v %v %v", got, d, err)
	}
	for i := range len(r.line()) - 1 {
		line := []byte(strings.TrimSuffix(r.line(), "\n"))
		line[i] ^= 1
		if got, _, err := parseRecord(string(line)); err == nil && got != r {
			t.Fatalf("a flipped bit at %d went unnoticed: %s", i, line)
		}
	}
}

// TestADamagedLogNeverDeletes: a COMMIT that rots after removals have begun
// must not make us remove the new files too.
func TestADamagedLogNeverDeletes(t *testing.T) {
	w := newWorld(t, wideTable)
	old := w.write(NB, w.parse(oldText))
	txn, err := Begin(w.fs, dir, OpCompaction, [16]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(NB)
	o.Txn = txn
	if _, err := Write(o, row.KeptPartitions(false, w.parse(newText)...)); err != nil {
		t.Fatal(err)
	}
	if err := txn.Commit(old); err != nil {
		t.Fatal(err)
	}
	if err := w.fs.Remove(path(dir, old, Filter)); err != nil {
		t.Fatal(err)
	}
	f, err := w.fs.OpenReadWrite(filepath.Join(dir, txn.name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("X"), txn.size-3); err != nil {
		t.Fatal(err)
	}
	if err := Recover(w.fs, dir); !errors.Is(err, ErrCorrupt) {
		t.Fatal(fmt.Sprint("recovered from a damaged log: ", err))
	}
}
