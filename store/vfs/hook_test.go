package vfs_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"helenus/store/vfs"
)

func TestTraceAndHook(t *testing.T) {
	m := vfs.NewMem()
	var trace strings.Builder
	var images []string
	fsys := vfs.NewTraced(m, &trace, func(op vfs.Op) {
		images = append(images, string(op.Kind)+":"+content(m.CrashNone(), "d/f"))
	})
	must(t, fsys.MkdirAll("d"))
	must(t, vfs.WriteFile(fsys, "d/f", []byte("bytes")))
	_, err := fsys.OpenRead("d/none")
	if err == nil {
		t.Fatal("opened nothing")
	}
	get(t, fsys, "d/f")
	want := `mkdir d
create d/f.tmp
write d/f.tmp 0+5
sync d/f.tmp
close d/f.tmp
rename d/f.tmp d/f
syncdir d
open d/none ! no such file or directory
open d/f
read d/f 0+5
close d/f
`
	if trace.String() != want {
		t.Fatalf("trace:\n%s", trace.String())
	}
	wantImages := "mkdir:- create:- write:- sync:- rename:- syncdir:bytes"
	if got := strings.Join(images, " "); got != wantImages {
		t.Fatal(got)
	}
}

func TestFaults(t *testing.T) {
	m := vfs.NewMem()
	var next vfs.Fault
	var on vfs.OpKind
	fsys := vfs.NewFaulty(m, func(op vfs.Op) vfs.Fault {
		if op.Kind == on {
			return next
		}
		return vfs.Fault{}
	})
	on, next = vfs.OpSync, vfs.Fault{Err: syscall.EIO}
	err := vfs.WriteFile(fsys, "f", []byte("0123"))
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "f.tmp") {
		t.Fatal(err)
	}
	on, next = vfs.OpWrite, vfs.Fault{Err: syscall.ENOSPC, Written: 3}
	f, err := fsys.Create("g")
	must(t, err)
	if n, err := f.Write([]byte("0123")); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(n, err)
	}
	on, next = vfs.OpRead, vfs.Fault{Flip: []int64{0, 9, 999}}
	if got := get(t, fsys, "g"); got != "132" {
		t.Fatalf("%q", got)
	}
	on, next = vfs.OpCreate, vfs.Fault{Err: syscall.EIO}
	if _, err := fsys.Create("h"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if _, err := m.Stat("h"); err == nil {
		t.Fatal("the failed operation happened")
	}
}
