package commitlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// TestLongLog has so many bytes that segments are checked side by side: what is
// delivered, and which damage is named, does not depend on who comes first.
func TestLongLog(t *testing.T) {
	opts := commitlog.Options{Mode: commitlog.Batch, SegmentSize: 1 << 20, PreparePause: -1}
	mem := vfs.NewMem()
	l := open(t, mem, opts)
	const records, covered = 260, 100
	var last *waiter
	for i := range records {
		last = newWaiter()
		pos, err := l.Append([]commitlog.TableID{table(i % 3)}, last, fmt.Appendf(nil, "%d %s", i, strings.Repeat("z", 80<<10)))
		must(t, err)
		if i == covered {
			must(t, l.Discard(table(1), pos, nil)) // in a segment in the middle, of others before it
		}
	}
	must(t, last.wait())
	must(t, l.Close())
	for range 5 {
		l, all, stats, err := replay(mem, opts)
		must(t, err)
		must(t, l.Close())
		var want []string
		for i := range records {
			if i%3 != 1 || i > covered {
				want = append(want, fmt.Sprint(i))
			}
		}
		var got []string
		for _, g := range all {
			number, _, _ := strings.Cut(g.payload, " ")
			got = append(got, number)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
		if stats.Segments < 16 || stats.Markers != 1 || stats.Read < records*80<<10 {
			t.Fatalf("%+v", stats)
		}
	}
	names, err := mem.List(dir)
	must(t, err)
	damaged := flipped(flipped(mem, dir+"/"+names[12], 8*70_000), dir+"/"+names[5], 8*70_000)
	for range 5 {
		_, all, _, err := replay(damaged, opts)
		var corrupt *commitlog.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Segment != 6 || !strings.HasSuffix(corrupt.File, names[5]) || len(all) > 0 {
			t.Fatalf("replay: %v, after %d records", err, len(all))
		}
	}
}
