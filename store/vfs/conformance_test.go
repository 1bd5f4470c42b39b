package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helenus/store/vfs"
)

// conformance is what every FS must do; d is an existing empty directory.
var conformance = []struct {
	name string
	run  func(t *testing.T, fsys vfs.FS, d string)
}{
	{"WriteAndRead", testWriteAndRead},
	{"OpenReadWrite", testOpenReadWrite},
	{"Preallocate", testPreallocate},
	{"Names", testNames},
	{"LinkSharesBytes", testLinkSharesBytes},
	{"OpenFileOutlivesItsName", testOpenFileOutlivesItsName},
	{"Directories", testDirectories},
	{"Errors", testErrors},
	{"Lock", testLock},
	{"DiskUsage", testDiskUsage},
	{"Whole", testWhole},
}

func TestConformance(t *testing.T) {
	none := func(vfs.Op) vfs.Fault { return vfs.Fault{} }
	kinds := map[string]func() vfs.FS{
		"real":   func() vfs.FS { return vfs.NewReal() },
		"mem":    func() vfs.FS { return vfs.NewMem() },
		"faulty": func() vfs.FS { return vfs.NewFaulty(vfs.NewMem(), none) },
		"traced": func() vfs.FS { return vfs.NewTraced(vfs.NewReal(), io.Discard, nil) },
	}
	for kind, make := range kinds {
		for _, c := range conformance {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				fsys, dir := make(), t.TempDir()
				must(t, fsys.MkdirAll(dir))
				c.run(t, fsys, dir)
			})
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, fsys vfs.FS, name, content string) {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.Write([]byte(content))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

func get(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	data, err := vfs.ReadFile(fsys, name, 1<<20)
	must(t, err)
	return string(data)
}

func testWriteAndRead(t *testing.T, fsys vfs.FS, d string) {
	name := filepath.Join(d, "a")
	f, err := fsys.Create(name)
	must(t, err)
	for _, part := range []string{"hello ", "", "world"} {
		n, err := f.Write([]byte(part))
		if n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	n, err := f.WriteAt([]byte("HE"), 0)
	if n != 2 || err != nil {
		t.Fatal(n, err)
	}
	_, err = f.WriteAt([]byte("!"), 14)
	must(t, err)
	if _, err := f.WriteAt([]byte("x"), -1); err == nil {
		t.Fatal("a negative offset was accepted")
	}
	if size, err := f.Size(); size != 15 || err != nil {
		t.Fatal(size, err)
	}
	buf := make([]byte, 4)
	for _, c := range []struct {
		off  int64
		want string
		err  error
	}{{0, "HEll", nil}, {11, "\x00\x00\x00!", nil}, {12, "\x00\x00!", io.EOF}, {15, "", io.EOF}, {99, "", io.EOF}} {
		n, err := f.ReadAt(buf, c.off)
		if string(buf[:n]) != c.want || !errors.Is(err, c.err) {
			t.Fatalf("read at %d: %q %v", c.off, buf[:n], err)
		}
	}
	must(t, f.Close())
	put(t, fsys, name, "short")
	if got := get(t, fsys, name); got != "short" {
		t.Fatalf("Create did not cut the file: %q", got)
	}
}

func testOpenReadWrite(t *testing.T, fsys vfs.FS, d string) {
	name := filepath.Join(d, "a")
	if _, err := fsys.OpenReadWrite(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	put(t, fsys, name, "0123")
	f, err := fsys.OpenReadWrite(name)
	must(t, err)
	_, err = f.WriteAt([]byte("x"), 1)
	must(t, err)
	_, err = f.Write([]byte("45"))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	if got := get(t, fsys, name); got != "0x2345" {
		t.Fatal(got)
	}
	r, err := fsys.OpenRead(name)
	must(t, err)
	if _, err := r.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("wrote to a file opened for reading")
	}
	must(t, r.Close())
}

func testPreallocate(t *testing.T, fsys vfs.FS, d string) {
	name := filepath.Join(d, "a")
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.Write([]byte("abc"))
	must(t, err)
	must(t, f.Preallocate(10000))
	must(t, f.Preallocate(5)) // never shortens
	_, err = f.Write([]byte("def"))
	must(t, err)
	must(t, f.Close())
	want := "abcdef" + strings.Repeat("\x00", 10000-6)
	if got := get(t, fsys, name); got != want {
		t.Fatalf("%d bytes, %q...", len(got), got[:8])
	}
}

func testNames(t *testing.T, fsys vfs.FS, d string) {
	at := func(n string) string { return filepath.Join(d, n) }
	for _, n := range []string{"b", "a", "c"} {
		put(t, fsys, at(n), n)
	}
	must(t, fsys.Rename(at("c"), at("a")))
	must(t, fsys.Rename(at("b"), at("z")))
	must(t, fsys.MkdirAll(at("m/n")))
	must(t, fsys.SyncDir(d))
	names, err := fsys.List(d)
	must(t, err)
	if !slices.Equal(names, []string{"a", "m", "z"}) {
		t.Fatal(names)
	}
	if get(t, fsys, at("a")) != "c" || get(t, fsys, at("z")) != "b" {
		t.Fatal("the bytes did not follow the names")
	}
	must(t, fsys.Remove(at("z")))
	if _, err := fsys.Stat(at("z")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	info, err := fsys.Stat(at("m"))
	if err != nil || !info.IsDir {
		t.Fatal(info, err)
	}
	info, err = fsys.Stat(at("a"))
	if err != nil || info != (vfs.Info{Size: 1}) {
		t.Fatal(info, err)
	}
}

func testLinkSharesBytes(t *testing.T, fsys vfs.FS, d string) {
	a, b := filepath.Join(d, "a"), filepath.Join(d, "b")
	put(t, fsys, a, "one")
	must(t, fsys.Link(a, b))
	if err := fsys.Link(a, b); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	f, err := fsys.OpenReadWrite(a)
	must(t, err)
	_, err = f.Write([]byte("+two"))
	must(t, err)
	must(t, f.Close())
	must(t, fsys.Remove(a))
	if got := get(t, fsys, b); got != "one+two" {
		t.Fatal(got)
	}
}

func testOpenFileOutlivesItsName(t *testing.T, fsys vfs.FS, d string) {
	a := filepath.Join(d, "a")
	put(t, fsys, a, "still here")
	f, err := fsys.OpenRead(a)
	must(t, err)
	must(t, fsys.Remove(a))
	put(t, fsys, a, "another")
	buf := make([]byte, 10)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "still here" {
		t.Fatal(string(buf), err)
	}
	must(t, f.Close())
}

func testDirectories(t *testing.T, fsys vfs.FS, d string) {
	deep := filepath.Join(d, "x/y/z")
	must(t, fsys.MkdirAll(deep))
	must(t, fsys.MkdirAll(deep))
	if err := fsys.Remove(filepath.Join(d, "x")); err == nil {
		t.Fatal("removed a directory that is not empty")
	}
	put(t, fsys, filepath.Join(deep, "f"), "")
	if err := fsys.MkdirAll(filepath.Join(deep, "f", "g")); err == nil {
		t.Fatal("made a directory below a file")
	}
	if err := fsys.MkdirAll(filepath.Join(deep, "f")); err == nil {
		t.Fatal("made a directory where a file is")
	}
	if _, err := fsys.Create(deep); err == nil {
		t.Fatal("created a file where a directory is")
	}
	must(t, vfs.RemoveAll(fsys, filepath.Join(d, "x")))
	must(t, vfs.RemoveAll(fsys, filepath.Join(d, "x")))
	if names, err := fsys.List(d); err != nil || len(names) != 0 {
		t.Fatal(names, err)
	}
}

func testErrors(t *testing.T, fsys vfs.FS, d string) {
	gone := filepath.Join(d, "gone", "f")
	ops := map[string]func() error{
		"create":  func() error { _, err := fsys.Create(gone); return err },
		"open":    func() error { _, err := fsys.OpenRead(gone); return err },
		"remove":  func() error { return fsys.Remove(gone) },
		"rename":  func() error { return fsys.Rename(gone, d+"/b") },
		"link":    func() error { return fsys.Link(gone, d+"/b") },
		"stat":    func() error { _, err := fsys.Stat(gone); return err },
		"list":    func() error { _, err := fsys.List(gone); return err },
		"syncdir": func() error { return fsys.SyncDir(gone) },
		"lock":    func() error { _, err := fsys.Lock(gone); return err },
		"df":      func() error { _, err := fsys.DiskUsage(gone); return err },
	}
	for name, op := range ops {
		err := op()
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	put(t, fsys, filepath.Join(d, "f"), "")
	f, err := fsys.OpenRead(filepath.Join(d, "f"))
	must(t, err)
	must(t, f.Close())
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read of a closed file: %v", err)
	}
}

func testLock(t *testing.T, fsys vfs.FS, d string) {
	name := filepath.Join(d, "LOCK")
	l, err := fsys.Lock(name)
	must(t, err)
	if _, err := fsys.Lock(name); !errors.Is(err, vfs.ErrLocked) {
		t.Fatal(err)
	}
	must(t, l.Close())
	l, err = fsys.Lock(name)
	must(t, err)
	must(t, l.Close())
}

func testDiskUsage(t *testing.T, fsys vfs.FS, d string) {
	u, err := fsys.DiskUsage(d)
	if err != nil || u.Total == 0 || u.Free > u.Total {
		t.Fatal(u, err)
	}
}

func testWhole(t *testing.T, fsys vfs.FS, d string) {
	name := filepath.Join(d, "f")
	for _, content := range []string{"one", "", "three"} {
		must(t, vfs.WriteFile(fsys, name, []byte(content)))
		if got := get(t, fsys, name); got != content {
			t.Fatal(got)
		}
	}
	if _, err := vfs.ReadFile(fsys, name, 4); err == nil {
		t.Fatal("read more than allowed")
	}
	if names, _ := fsys.List(d); len(names) != 1 {
		t.Fatal(names)
	}
	big := bytes.Repeat([]byte("x"), 10000)
	must(t, vfs.WriteFile(fsys, name, big))
	if got := get(t, fsys, name); got != string(big) {
		t.Fatal(len(got))
	}
}
