package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"helenus/store/vfs"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// outcomes are the contents of name (or "-") over many crash images.
func outcomes(t *testing.T, m *vfs.Mem, describe func(*vfs.Mem) string) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(400) {
		seen[describe(m.Crash(rng(seed)))] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func content(m *vfs.Mem, name string) string {
	data, err := vfs.ReadFile(m, name, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	return string(data)
}

// firsts shortens each sector to its first byte.
func firsts(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i += 512 {
		b.WriteByte(s[i])
	}
	return strings.ReplaceAll(b.String(), "\x00", "0")
}

func sectors(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, bytes.Repeat([]byte{c}, 512)...)
	}
	return b
}

func TestCrashTearsBySector(t *testing.T) {
	m := vfs.NewMem()
	put(t, m, "f", string(sectors("aaaa")))
	must(t, m.SyncDir("."))
	f, err := m.OpenReadWrite("f")
	must(t, err)
	_, err = f.WriteAt(sectors("bb"), 512)
	must(t, err)
	got := outcomes(t, m, func(m *vfs.Mem) string { return firsts(content(m, "f")) })
	if want := "aaaa aaba abaa abba"; strings.Join(got, " ") != want {
		t.Fatalf("got %v, want %v", got, want)
	}
	_, err = f.WriteAt(sectors("c"), 512)
	must(t, err)
	got = outcomes(t, m, func(m *vfs.Mem) string { return firsts(content(m, "f")) })
	if want := "aaaa aaba abaa abba acaa acba"; strings.Join(got, " ") != want {
		t.Fatalf("got %v, want %v", got, want)
	}
	must(t, f.Sync())
	got = outcomes(t, m, func(m *vfs.Mem) string { return firsts(content(m, "f")) })
	if want := "acba"; strings.Join(got, " ") != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestCrashKeepsAWriteWithinASectorWhole(t *testing.T) {
	m := vfs.NewMem()
	put(t, m, "f", "0123456789")
	must(t, m.SyncDir("."))
	f, _ := m.OpenReadWrite("f")
	_, err := f.WriteAt([]byte("xxx"), 2)
	must(t, err)
	got := outcomes(t, m, func(m *vfs.Mem) string { return content(m, "f") })
	if want := "0123456789 01xxx56789"; strings.Join(got, " ") != want {
		t.Fatal(got)
	}
}

func TestCrashOfALongerAndOfACutFile(t *testing.T) {
	m := vfs.NewMem()
	put(t, m, "f", "ab")
	must(t, m.SyncDir("."))
	f, _ := m.OpenReadWrite("f")
	_, err := f.Write([]byte("cd"))
	must(t, err)
	show := func(m *vfs.Mem) string { return strings.ReplaceAll(content(m, "f"), "\x00", "0") }
	if got := strings.Join(outcomes(t, m, show), " "); got != "ab ab00 abcd" {
		t.Fatal(got)
	}
	must(t, f.Sync())
	_, err = m.Create("f")
	must(t, err)
	if got := strings.Join(outcomes(t, m, show), " "); got != " 0000 abcd" {
		t.Fatal(got)
	}
}

func TestCrashOfNames(t *testing.T) {
	show := func(m *vfs.Mem) string {
		names, err := m.List("d")
		if err != nil {
			return "no d"
		}
		for i, n := range names {
			names[i] = n + "=" + content(m, "d/"+n)
		}
		return strings.Join(names, ",")
	}
	m := vfs.NewMem()
	must(t, m.MkdirAll("d"))
	put(t, m, "d/a", "1")
	if got := strings.Join(outcomes(t, m, show), " "); got != " a=1" {
		t.Fatal(got)
	}
	must(t, m.SyncDir("d"))
	if got := strings.Join(outcomes(t, m, show), " "); got != "a=1" {
		t.Fatal(got)
	}
	put(t, m, "d/b", "2")
	must(t, m.Rename("d/b", "d/a"))
	if got := strings.Join(outcomes(t, m, show), " "); got != "a=1 a=1,b=2 a=2" {
		t.Fatal(got)
	}
	must(t, m.SyncDir("d"))
	must(t, m.Remove("d/a"))
	if got := strings.Join(outcomes(t, m, show), " "); got != " a=2" {
		t.Fatal(got)
	}
	if got := show(m.CrashNone()); got != "a=2" {
		t.Fatal(got)
	}
	if got := show(m.Kill()); got != "" {
		t.Fatal(got)
	}
}

func TestCrashNoneAndKill(t *testing.T) {
	m := vfs.NewMem()
	put(t, m, "f", "old")
	must(t, m.SyncDir("."))
	f, _ := m.OpenReadWrite("f")
	_, err := f.WriteAt([]byte("new and longer"), 0)
	must(t, err)
	if got := content(m.CrashNone(), "f"); got != "old" {
		t.Fatal(got)
	}
	if got := content(m.Kill(), "f"); got != "new and longer" {
		t.Fatal(got)
	}
	killed := m.Kill()
	if got := content(killed.CrashNone(), "f"); got != "old" {
		t.Fatalf("the death of a process synced %q", got)
	}
	k, err := killed.OpenReadWrite("f")
	must(t, err)
	_, err = k.WriteAt([]byte("NEW"), 0)
	must(t, err)
	must(t, k.Sync())
	if got := content(killed.CrashNone(), "f"); got != "NEW and longer" {
		t.Fatal(got)
	}
	must(t, f.Close()) // closing syncs nothing
	if got := content(m.CrashNone(), "f"); got != "old" {
		t.Fatal(got)
	}
}

func TestCrashImageIsAFunctionOfTheSeed(t *testing.T) {
	history := func() *vfs.Mem {
		m, r := vfs.NewMem(), rng(1)
		must(t, m.MkdirAll("d"))
		for i := range 300 {
			name := fmt.Sprintf("d/%d", r.IntN(6))
			switch r.IntN(20) {
			case 0:
				_, err := m.Create(name)
				must(t, err)
			case 1:
				m.Rename(name, fmt.Sprintf("d/%d", r.IntN(6)))
			case 2:
				must(t, m.SyncDir("d"))
			case 3:
				m.Remove(name)
			default:
				f, err := m.OpenReadWrite(name)
				if err != nil {
					continue
				}
				_, err = f.WriteAt(bytes.Repeat([]byte{byte(i)}, r.IntN(3000)), int64(r.IntN(3000)))
				must(t, err)
				if r.IntN(3) == 0 {
					must(t, f.Sync())
				}
			}
		}
		return m
	}
	dump := func(m *vfs.Mem) string {
		names, _ := m.List("d")
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "%s %x\n", n, content(m, "d/"+n))
		}
		return b.String()
	}
	a, b := history(), history()
	different := map[string]bool{}
	for seed := range uint64(50) {
		x := dump(a.Crash(rng(seed)))
		if x != dump(b.Crash(rng(seed))) || x != dump(a.Crash(rng(seed))) {
			t.Fatalf("seed %d: two images differ", seed)
		}
		different[x] = true
	}
	if len(different) < 20 {
		t.Fatalf("only %d different images of 50", len(different))
	}
}

func TestCrashFreesLocksAndSpace(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(1000)
	_, err := m.Lock("LOCK")
	must(t, err)
	put(t, m, "f", strings.Repeat("x", 900))
	f, _ := m.OpenReadWrite("f")
	if _, err := f.Write(make([]byte, 101)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	image := m.CrashNone()
	if u, _ := image.DiskUsage("."); u != (vfs.Usage{Total: 1000, Free: 1000}) {
		t.Fatal(u)
	}
	if _, err := image.Lock("LOCK"); err != nil {
		t.Fatal(err)
	}
	must(t, m.Remove("f"))
	put(t, m, "g", strings.Repeat("x", 1000)) // the removed file gave its space back
}
