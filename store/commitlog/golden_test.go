package commitlog_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// history is the fixed sequence behind the golden files: a record over several
// blocks, one of two tables, an empty one, markers, a roll, a recycled segment.
func history(t *testing.T, fsys vfs.FS) {
	opts := tiny(commitlog.Group)
	opts.GroupWindow = time.Millisecond
	l := open(t, fsys, opts)
	put := func(text string, size int, tables ...commitlog.TableID) commitlog.Position {
		payload := strings.Repeat(text, size/len(text)+1)[:size]
		pos, err := l.Append(tables, nil, []byte(payload))
		must(t, err)
		return pos
	}
	sync := func() {
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
	}
	put("first ", 6, table(1))
	put("over several blocks ", 1200, table(1))
	sync()
	both := put("of two tables ", 100, table(1), table(2))
	put("-", 0, table(3))
	sync()
	must(t, l.Discard(table(1), both, nil))
	must(t, l.DiscardSync(table(3), l.Appended()))
	for i := range 4 {
		put(fmt.Sprintf("segment filler %d ", i), 1300, table(2))
		sync()
	}
	must(t, l.DiscardSync(table(2), l.Appended()))
	for i := range 4 {
		put(fmt.Sprintf("after the roll %d ", i), 1400, table(4))
		sync()
	}
	both = put("shared ", 50, table(2), table(4))
	covered := put("covered ", 60, table(5))
	must(t, l.Discard(table(2), both, nil))
	must(t, l.DiscardSync(table(5), covered))
	must(t, l.Close())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s differs:\n%s", path, got)
	}
}

// TestOrderOfIO holds every operation on the file system and its place.
func TestOrderOfIO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trace bytes.Buffer
		mem := vfs.NewMem()
		fsys := vfs.NewTraced(mem, &trace, nil)
		history(t, fsys)
		trace.WriteString("-- reopened, one append, closed\n")
		l := open(t, fsys, tiny(commitlog.Batch))
		w := newWaiter()
		_, err := l.Append([]commitlog.TableID{table(1)}, w, []byte("x"))
		must(t, err)
		must(t, w.wait())
		must(t, l.Close())
		golden(t, "io.txt", trace.Bytes())
	})
}

// TestFormatIsWritten: version 1 is written as it always was.
func TestFormatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		history(t, mem)
		names, err := mem.List(dir)
		must(t, err)
		for _, name := range names {
			data, err := vfs.ReadFile(mem, dir+"/"+name, 1<<20)
			must(t, err)
			golden(t, filepath.Join("v1", name), data)
		}
	})
}

// TestFormatIsRead: the files of version 1, kept for ever, replay to what they
// always did.
func TestFormatIsRead(t *testing.T) {
	mem := vfs.NewMem()
	must(t, mem.MkdirAll(dir))
	entries, err := os.ReadDir("testdata/v1")
	must(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join("testdata/v1", e.Name()))
		must(t, err)
		must(t, vfs.WriteFile(mem, dir+"/"+e.Name(), data))
	}
	l, all, stats, err := replay(mem, tiny(commitlog.Group))
	must(t, err)
	must(t, l.Close())
	var b strings.Builder
	for _, g := range all {
		fmt.Fprintf(&b, "%s %d bytes %.24q of %d tables, needed by", g.pos, len(g.payload), g.payload, len(g.tables))
		for _, id := range g.needed {
			fmt.Fprintf(&b, " %d", id[15])
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%+v\n", stats)
	golden(t, "v1.txt", []byte(b.String()))
}
