package commitlog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// written makes a log of several segments, some of them recycled; closed says
// whether it ends in a closing record. Each record is a group of its own.
func written(t *testing.T, closed bool) *vfs.Mem {
	mem := vfs.NewMem()
	l := open(t, mem, tiny(commitlog.Batch))
	var last commitlog.Position
	for i := range 60 {
		w := newWaiter()
		pos, err := l.Append([]commitlog.TableID{table(i % 2)}, w, fmt.Appendf(nil, "record %d %s", i, strings.Repeat("y", i*13%600)))
		must(t, err)
		must(t, w.wait())
		if i == 30 {
			must(t, l.DiscardSync(table(0), pos))
			must(t, l.DiscardSync(table(1), last))
		}
		last = pos
	}
	if l.Stats().Recycled == 0 {
		t.Fatal("no segment was recycled")
	}
	image := mem.CrashNone()
	must(t, l.Close())
	if closed {
		return mem
	}
	return image
}

// flipped is fsys with one bit turned over.
func flipped(fsys vfs.FS, name string, bit int64) vfs.FS {
	return vfs.NewFaulty(fsys, func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead && op.Name == name {
			return vfs.Fault{Flip: []int64{bit}}
		}
		return vfs.Fault{}
	})
}

func payloads(all []got) string {
	var b strings.Builder
	for _, g := range all {
		fmt.Fprintf(&b, "%s %.14q\n", g.pos, g.payload)
	}
	return b.String()
}

// TestEveryFlippedBit turns over bits anywhere: the answer is an error or the
// exact records. Only in a log that was not closed may the last group pass for
// a torn tail.
func TestEveryFlippedBit(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			mem, opts := written(t, closed), tiny(commitlog.Batch)
			l, all, _, err := replay(mem.Kill(), opts)
			must(t, err)
			must(t, l.Close())
			want, noTail := payloads(all), payloads(all[:len(all)-1])
			names, err := mem.List(dir)
			must(t, err)
			rnd := rand.New(rand.NewPCG(7, 7))
			found, tails := 0, 0
			for _, name := range names {
				for bit := int64(0); bit < 4096*8; bit += 1 + rnd.Int64N(40) {
					_, all, _, err := scan(flipped(mem, dir+"/"+name, bit), opts)
					got := payloads(all)
					switch {
					case err != nil:
						found++
					case got == noTail && !closed:
						tails++
					case got != want:
						t.Fatalf("%s bit %d: wrong records\n%s", name, bit, got)
					}
				}
			}
			if found < 1000 || !closed && tails == 0 {
				t.Fatalf("%d errors, %d tails: the test tests nothing", found, tails)
			}
		})
	}
}

// scan replays and stops before anything is written.
func scan(fsys vfs.FS, opts commitlog.Options) (*commitlog.Log, []got, commitlog.ReplayStats, error) {
	stop := vfs.NewFaulty(fsys, func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpSyncDir {
			return vfs.Fault{Err: errStop}
		}
		return vfs.Fault{}
	})
	l, all, stats, err := replay(stop, opts)
	if errors.Is(err, errStop) {
		err = nil
	}
	return l, all, stats, err
}

var errStop = errors.New("stop")

// TestCorruptIsNamed damages whole parts and looks at the error.
func TestCorruptIsNamed(t *testing.T) {
	mem := written(t, false)
	_, all, _, err := scan(mem, tiny(commitlog.Batch))
	must(t, err)
	oldest, newest := all[0].pos.Segment, all[len(all)-1].pos.Segment
	fileOf := files(t, mem)
	cases := []struct {
		name    string
		damage  func(m *vfs.Mem)
		segment uint64
		offset  uint32
		reason  string
	}{
		{"middle of an old segment", func(m *vfs.Mem) { overwrite(t, m, fileOf[oldest+1], 1024, 512) }, oldest + 1, 1024, "block"},
		{"end of an old segment", func(m *vfs.Mem) { overwrite(t, m, fileOf[newest-1], 512, 3584) }, newest - 1, 512, "block"},
		{"middle of the newest", func(m *vfs.Mem) { overwrite(t, m, fileOf[newest], 512, 512) }, newest, 512, "block of group 1, and group"},
		{"header of an old one", func(m *vfs.Mem) { overwrite(t, m, fileOf[oldest], 0, 64) }, oldest, 0, "no file"},
		{"header of the newest", func(m *vfs.Mem) { overwrite(t, m, fileOf[newest], 0, 64) }, newest, 0, "segment header"},
		{"bytes changed before they were summed up", func(m *vfs.Mem) { resum(t, m, fileOf[oldest+1], 512, 100) }, oldest + 1, 536, "record checksum"},
		{"record size changed", func(m *vfs.Mem) { resum(t, m, fileOf[oldest+1], 512, 26) }, oldest + 1, 536, "record size"},
		{"no previous end", func(m *vfs.Mem) { resum(t, m, fileOf[oldest+1], 0, 28, 29) }, oldest + 1, 0, "the header knows no previous"},
		{"odd previous end", func(m *vfs.Mem) { resum(t, m, fileOf[oldest+1], 0, 28) }, oldest, 3584 ^ 0xff, "the next segment says"},
		{"blocks swapped", func(m *vfs.Mem) { swap(t, m, fileOf[newest-1], 1024, 1536) }, newest - 1, 1024, "block"},
		{"file gone", func(m *vfs.Mem) { must(t, m.Remove(fileOf[oldest+1])) }, oldest + 1, 0, "no file"},
		{"file copied", func(m *vfs.Mem) { copyFile(t, m, fileOf[oldest], dir+"/commitlog-00000077.log") }, oldest, 0, "second file"},
		{"file cut", func(m *vfs.Mem) { cut(t, m, fileOf[newest], 2048) }, newest, 2048, "cut"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := mem.Kill()
			c.damage(m)
			_, all, _, err := scan(m, tiny(commitlog.Batch))
			var bad *commitlog.CorruptError
			if !errors.As(err, &bad) {
				t.Fatalf("%v, %d records", err, len(all))
			}
			if bad.Segment != c.segment || bad.Offset != c.offset || !strings.HasPrefix(bad.Reason, c.reason) && !strings.Contains(bad.Reason, c.reason) {
				t.Fatalf("%v", err)
			}
			if len(all) != 0 {
				t.Fatal("records were delivered before the damage was found")
			}
		})
	}
}

// files tells in which file each live segment is.
func files(t *testing.T, m *vfs.Mem) map[uint64]string {
	t.Helper()
	names, err := m.List(dir)
	must(t, err)
	out := map[uint64]string{}
	for _, n := range names {
		data, err := vfs.ReadFile(m, dir+"/"+n, 1<<20)
		must(t, err)
		out[uint64(data[12])|uint64(data[13])<<8] = dir + "/" + n
	}
	return out
}

func overwrite(t *testing.T, m *vfs.Mem, name string, off int64, size int) {
	t.Helper()
	f, err := m.OpenReadWrite(name)
	must(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("?", size)), off)
	must(t, err)
	must(t, f.Close())
}

// resum changes bytes of a block or header and makes its checksum right: to 0
// in a header, to something else in a block.
func resum(t *testing.T, m *vfs.Mem, name string, off int, at ...int) {
	t.Helper()
	data, err := vfs.ReadFile(m, name, 1<<20)
	must(t, err)
	b := data[off : off+512]
	for _, i := range at {
		if b[i] ^= 0xff; off == 0 && len(at) > 1 {
			b[i] = 0
		}
	}
	end := 64
	if off > 0 {
		end = 24 + int(binary.LittleEndian.Uint16(b[20:]))
	}
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:end], crc32.MakeTable(crc32.Castagnoli)))
	must(t, vfs.WriteFile(m, name, data))
}

func swap(t *testing.T, m *vfs.Mem, name string, a, b int) {
	t.Helper()
	data, err := vfs.ReadFile(m, name, 1<<20)
	must(t, err)
	for i := range 512 {
		data[a+i], data[b+i] = data[b+i], data[a+i]
	}
	must(t, vfs.WriteFile(m, name, data))
}

func copyFile(t *testing.T, m *vfs.Mem, from, to string) {
	t.Helper()
	data, err := vfs.ReadFile(m, from, 1<<20)
	must(t, err)
	must(t, vfs.WriteFile(m, to, data))
}

func cut(t *testing.T, m *vfs.Mem, name string, size int) {
	t.Helper()
	data, err := vfs.ReadFile(m, name, 1<<20)
	must(t, err)
	must(t, vfs.WriteFile(m, name, data[:size]))
}

// TestReadErrorIsNoTornTail: a disk that does not answer is not an empty one.
func TestReadErrorIsNoTornTail(t *testing.T) {
	mem := written(t, false)
	reads := 0
	count := vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpRead {
			reads++
		}
		return vfs.Fault{}
	})
	_, _, _, err := scan(count, tiny(commitlog.Batch))
	must(t, err)
	for bad := range reads {
		n := 0
		faulty := vfs.NewFaulty(mem, func(op vfs.Op) vfs.Fault {
			if op.Kind != vfs.OpRead {
				return vfs.Fault{}
			}
			n++
			if n == bad+1 {
				return vfs.Fault{Err: errDisk}
			}
			return vfs.Fault{}
		})
		if _, _, _, err := scan(faulty, tiny(commitlog.Batch)); !errors.Is(err, errDisk) {
			t.Fatalf("read %d of %d failed, replay says %v", bad, reads, err)
		}
	}
}

var errDisk = errors.New("disk on fire")

// TestTornTail: the first part of a group that no sync confirmed is delivered,
// counted as torn, and stays what it is when the log goes on.
func TestTornTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := tiny(commitlog.Group)
		opts.GroupWindow = time.Millisecond
		mem := vfs.NewMem()
		l := open(t, mem, opts)
		for _, text := range []string{"a", "b"} {
			_, err := l.Append([]commitlog.TableID{table(1)}, nil, []byte(strings.Repeat(text, 400)))
			must(t, err)
		}
		time.Sleep(2 * time.Millisecond)
		image := mem.Kill()
		must(t, l.Close())
		overwrite(t, image, dir+"/commitlog-00000001.log", 1024, 512)
		for range 3 {
			l, all, stats, err := replay(image, opts)
			must(t, err)
			if len(all) != 1 || all[0].payload != strings.Repeat("a", 400) {
				t.Fatal(payloads(all))
			}
			if want := (commitlog.Position{Segment: 1, Offset: 1024}); !stats.Torn || stats.TornAt != want {
				t.Fatalf("%+v", stats)
			}
			must(t, l.Close())
		}
		l = open(t, image, opts)
		w := newWaiter()
		_, err := l.Append([]commitlog.TableID{table(1)}, w, []byte("c"))
		must(t, err)
		must(t, w.wait())
		must(t, l.Close())
		l, all, stats, err := replay(image, opts)
		must(t, err)
		must(t, l.Close())
		if len(all) != 2 || all[1].payload != "c" || stats.Torn {
			t.Fatalf("%s %+v", payloads(all), stats)
		}
	})
}
