package sstable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"helenus/store/row"
	"helenus/store/vfs"
)

// everything opens a set and reads all there is, in every way; it fails the
// test when rows come out that are not want.
func everything(w *world, d Descriptor, ks []*row.Kept, want string) error {
	tab, err := w.tryOpen(d)
	if err != nil {
		return err
	}
	defer tab.Unref()
	ps := tab.Scan(allRows(), ReadOptions{Sequential: true})
	b, err := row.PrintAll(nil, w.table, ps)
	ps.Close()
	if err == nil && string(b) != want {
		w.t.Fatalf("a scan gives other rows: %s", difference(string(b), want))
	}
	for _, k := range ks {
		for _, reversed := range []bool{false, true} {
			f := allRows()
			f.Reversed = reversed
			p, getErr := tab.Get(k.PartitionKey, f, ReadOptions{})
			if getErr != nil {
				err = errors.Join(err, getErr)
				continue
			}
			if p == nil {
				w.t.Fatalf("partition %x is gone", k.PartitionKey.Bytes)
			}
			got, readErr := row.Print(nil, w.table, p)
			p.Close()
			wanted, _ := row.Print(nil, w.table, k.Partition(reversed))
			if readErr == nil && string(got) != string(wanted) {
				w.t.Fatalf("partition: %s", difference(string(got), string(wanted)))
			}
			err = errors.Join(err, readErr)
		}
	}
	return err
}

// TestEveryFlippedBitIsNoticedOrHarmless turns over a bit of every byte of
// every component in turn.
func TestEveryFlippedBitIsNoticedOrHarmless(t *testing.T) {
	for _, compression := range []string{"none", "LZ4"} {
		for _, v := range []Version{NB, OA} {
			t.Run(fmt.Sprintf("%s/%s", compression, v), func(t *testing.T) {
				w := newWorld(t, wideTable)
				w.index = 200
				w.table.Options.Compression = compressions()[compression]
				r := rand.New(rand.NewPCG(3, 4))
				ks := w.parse(randomText(r, 5, 12))
				d := w.write(v, ks)
				want := printAll(t, w.table, row.KeptPartitions(false, ks...))
				if err := everything(w, d, ks, want); err != nil {
					t.Fatal(err)
				}
				names, err := w.fs.List(dir)
				if err != nil {
					t.Fatal(err)
				}
				noticed, harmless := map[Component]int{}, map[Component]int{}
				for _, name := range names {
					_, c, _ := ParseFile(name)
					damage(w, filepath.Join(dir, name), r, func(at int) {
						if err := everything(w, d, ks, want); err == nil {
							harmless[c]++
						} else if noticed[c]++; !errors.Is(err, ErrCorrupt) && c != Checksums {
							t.Fatalf("%s at %d: an error that does not say so: %v", name, at, err)
						}
					})
				}
				for _, c := range []Component{Data, Index, Statistics, Checksums} {
					if harmless[c] > 0 {
						t.Errorf("%s: %d flipped bits went unnoticed", c, harmless[c])
					}
				}
				// These are made anew, or only compared by Verify.
				for _, c := range []Component{Filter, Summary, Digest, CRC, TOC} {
					if noticed[c] > 0 {
						t.Errorf("%s: %d flipped bits stopped the reading", c, noticed[c])
					}
				}
			})
		}
	}
}

// damage flips a bit in some bytes of a file, one after the other.
func damage(w *world, name string, r *rand.Rand, then func(at int)) {
	f, err := w.fs.OpenReadWrite(name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	size, _ := f.Size()
	step := max(1, int(size)/700)
	for at := 0; at < int(size); at += 1 + r.IntN(2*step-1) {
		var b [1]byte
		if _, err := f.ReadAt(b[:], int64(at)); err != nil {
			w.t.Fatal(err)
		}
		flipped := b[0] ^ 1<<r.IntN(8)
		if _, err := f.WriteAt([]byte{flipped}, int64(at)); err != nil {
			w.t.Fatal(err)
		}
		then(at)
		if _, err := f.WriteAt(b[:], int64(at)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestVerifyNoticesWhatReadingDoesNot(t *testing.T) {
	for _, compression := range []string{"none", "LZ4"} {
		w := newWorld(t, wideTable)
		w.table.Options.Compression = compressions()[compression]
		r := rand.New(rand.NewPCG(5, 6))
		d := w.write(NB, w.parse(randomText(r, 5, 12)))
		for _, c := range []Component{Data, Index, Filter, Summary, Statistics, CompressionInfo, CRC, Digest} {
			name := path(dir, d, c)
			if _, err := w.fs.Stat(name); err != nil {
				continue
			}
			tab := w.open(d)
			damage(w, name, r, func(at int) {
				if err := tab.Verify(false); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s at %d: %v", c, at, err)
				}
			})
			if err := tab.Verify(true); err != nil {
				t.Fatal(err)
			}
			if err := tab.Unref(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMissingComponents(t *testing.T) {
	for _, c := range []Component{Filter, Summary, Checksums, TOC, Digest, Data, Index, Statistics, CompressionInfo} {
		w := newWorld(t, wideTable)
		r := rand.New(rand.NewPCG(7, 8))
		ks := w.parse(randomText(r, 200, 5))
		d := w.write(NB, ks)
		want := printAll(t, w.table, row.KeptPartitions(false, ks...))
		if err := w.fs.Remove(path(dir, d, c)); err != nil {
			t.Fatal(err)
		}
		err := everything(w, d, ks, want)
		needed := c == Data || c == Index || c == Statistics || c == CompressionInfo
		if (err != nil) != needed {
			t.Fatalf("without %s: %v", c, err)
		}
	}
}

// fuzzFiles are the components of a set as one value: a golden table's, or what
// the fuzzer makes of it.
var fuzzFiles = [...]Component{Statistics, Data, Index, CompressionInfo, Summary, Filter, Digest}

func fuzzSeeds(f *testing.F) {
	for _, name := range []string{"collections", "deletions", "statics", "ttls", "columns", "composite", "compress_none"} {
		var parts [len(fuzzFiles)][]byte
		for i, c := range fuzzFiles {
			parts[i], _ = os.ReadFile(filepath.Join("testdata", name, "nb-1-big-"+string(c)))
		}
		f.Add(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6])
	}
}

// FuzzOpen opens foreign sets of any bytes: there may be errors, but no panic,
// and no memory beyond what the bytes justify.
func FuzzOpen(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, stats, data, index, info, summary, filter, digest []byte) {
		w := newWorld(t, "k int || v int")
		d := Descriptor{NB, "1"}
		for i, b := range [][]byte{stats, data, index, info, summary, filter, digest} {
			if b == nil || (fuzzFiles[i] == CompressionInfo && len(b) == 0) {
				continue
			}
			if err := vfs.WriteFile(w.fs, path(dir, d, fuzzFiles[i]), b); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if w.table, err = SchemaOf(w.fs, dir, d); err != nil {
			return
		}
		tab, err := w.tryOpen(d)
		if err != nil {
			return
		}
		// It has been read from end to end; so it reads again.
		w.scan(tab, ReadOptions{})
		if err := tab.Unref(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRead reads rows of any bytes.
func FuzzRead(f *testing.F) {
	w := newWorld(f, wideTable)
	w.table.Options.Compression = map[string]string{"enabled": "false"}
	tab := w.open(w.write(NB, w.parse(randomText(rand.New(rand.NewPCG(9, 9)), 20, 20))))
	var win window
	win.open(tab.data, ReadOptions{})
	b, err := win.peek(int(tab.data.size))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[20:])
	f.Fuzz(func(t *testing.T, b []byte) {
		d := rowDecoder{layout: tab.layout, bases: tab.meta.header.bases, table: w.table, mapping: tab.view.Load().mapping}
		e := rowEncoder{layout: tab.layout, bases: d.bases, table: w.table}
		var h head
		for len(b) > 0 {
			ok, err := d.head(b, &h)
			if err != nil || !ok || h.total > len(b) || h.end {
				return
			}
			u, err := d.body(b, &h)
			if err != nil {
				return
			}
			if u != nil && u.Row != nil {
				// What was read can be written, unless it says more than rows may.
				if _, err := e.appendRow(nil, u.Row, 0); err != nil && !errors.Is(err, errLocalTime) {
					t.Fatalf("%v of %+v", err, u.Row)
				}
			}
			b = b[h.total:]
		}
	})
}

// FuzzParts gives any bytes to the decoders that checksums otherwise shield.
func FuzzParts(f *testing.F) {
	for _, name := range []string{"collections", "deletions", "large", "clusterings"} {
		b, err := os.ReadFile(filepath.Join("testdata", name, "nb-1-big-Statistics.db"))
		if err != nil {
			f.Fatal(err)
		}
		parts, err := metaParts(b)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range parts {
			f.Add(p)
		}
		for _, c := range []Component{Summary, Filter, CompressionInfo} {
			b, _ := os.ReadFile(filepath.Join("testdata", name, "nb-1-big-"+string(c)))
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHeader(b); err == nil {
			if s, err := h.schema(); err == nil {
				h.resolve(s, false)
			}
		}
		for _, l := range []layout{{}, {longDeletionTime: true, improvedMinMax: true}} {
			m := Meta{}
			if m.decodeStats(b, l) == nil {
				m.DroppableRatio(1 << 40)
			}
		}
		metaParts(b)
		decodeChecksums(b)
		parseTxn(b)
		if s, err := decodeSummary(b, partitioner, 1<<40); err == nil {
			s.find(partitioner, 1<<63, []byte("k"))
		}
		if bf, err := decodeFilter(b); err == nil {
			bf.mayContain(HashKey([]byte("k")))
		}
		if c, err := decodeCompression(b, int64(len(b))*2); err == nil && len(c.offsets) > 0 {
			c.stored(len(c.offsets)-1, int64(len(b))*2)
		}
	})
}
