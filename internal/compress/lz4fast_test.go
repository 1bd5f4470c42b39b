package compress

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"helenus/internal/cputime"
)

// samples are blocks of the kinds that tables hold.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("the quick brown fox jumped over a lazy dog and went straight home to sleep while all others wait for the next morning and its rain")
	var rows, text, numbers, json []byte
	for i := range 2000 {
		rows = append(rows, 0x24, 0x40, 0xd1, 0x00)
		for range 5 {
			rows = fmt.Appendf(append(rows, 0x08, 36), "%016x%-20.20s", r.Uint64(), strings.Join(words[r.IntN(20):], ""))
		}
		for range 10 {
			text = append(append(text, words[r.IntN(len(words))]...), ' ')
		}
		numbers = append(numbers, 0, 0, 0, byte(i>>16), byte(i>>8), byte(i), 0x08, byte(r.Uint32()), byte(r.Uint32()&3))
		json = fmt.Appendf(json, `{"id":%d,"name":"user%d","score":%d,"active":true}`, i, r.IntN(100000), r.IntN(1000))
	}
	noise := make([]byte, 16<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return map[string][]byte{"rows": rows[:16<<10], "rows64": rows[:lz4FastMax], "rows4": rows[:4<<10], "text": text[:16<<10], "numbers": numbers[:16<<10],
		"json": json[:16<<10], "json64": json[:lz4FastMax], "zeros": make([]byte, 16<<10), "noise": noise}
}

// TestLZ4Ratio holds our compressor to the library's ratio, within two percent.
func TestLZ4Ratio(t *testing.T) {
	for name, in := range samples() {
		dst := make([]byte, lz4.CompressBlockBound(len(in)))
		theirs, err := lz4.CompressBlock(in, dst, nil)
		if err != nil {
			t.Fatal(err)
		}
		ours := lz4Fast(dst, in)
		t.Logf("%s: %d bytes, library %d, ours %d: %.3f", name, len(in), theirs, ours, float64(ours)/float64(theirs))
		if float64(ours) > 1.02*float64(theirs) {
			t.Errorf("%s: %d bytes become %d, the library makes %d", name, len(in), ours, theirs)
		}
	}
}

// FuzzLZ4 sends what we compress through the library's decompressor.
func FuzzLZ4(f *testing.F) {
	for _, in := range samples() {
		f.Add(in, uint8(1))
		f.Add(in[:min(len(in), 300)], uint8(7))
	}
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 600 { // short ones, where the rules of the block's end bite
		in := make([]byte, n/12)
		for i := range in {
			in[i] = 'a' + byte(r.IntN(2))
		}
		f.Add(in, uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, times uint8) {
		in = bytes.Repeat(in, max(1, min(int(times), lz4FastMax/max(1, len(in)))))
		if len(in) > lz4FastMax {
			in = in[:lz4FastMax]
		}
		dst := make([]byte, lz4.CompressBlockBound(len(in)))
		n := lz4Fast(dst, in)
		again := make([]byte, len(dst))
		if m := lz4Fast(again, in); m != n || !bytes.Equal(dst[:n], again[:n]) {
			t.Fatalf("%d bytes, then %d: not the same", n, m)
		}
		lz4Rules(t, dst[:n], len(in))
		out := make([]byte, len(in))
		if m, err := (lz4Block{}).Decompress(out, dst[:n]); err != nil || m != len(in) || !bytes.Equal(out, in) {
			t.Fatalf("%d bytes became %d and back %d, %v", len(in), n, m, err)
		}
	})
}

// lz4Rules checks what the format asks of a block's end, which not every
// decompressor does: the last match starts twelve bytes before the end or
// earlier, and five literals or more follow.
func lz4Rules(t *testing.T, b []byte, size int) {
	t.Helper()
	length := func(n int) int {
		if n == lz4Nibble {
			for more := true; more; {
				more = b[0] == 255
				n += int(b[0])
				b = b[1:]
			}
		}
		return n
	}
	for at := 0; ; {
		token := int(b[0])
		b = b[1:]
		l := length(token >> 4)
		b = b[l:]
		at += l
		if len(b) == 0 {
			if at != size || (l < lz4TailBytes && l < size) {
				t.Fatalf("%d bytes of %d, at the end %d literals", at, size, l)
			}
			return
		}
		if at > size-lz4StartEnd {
			t.Fatalf("a match at %d of %d", at, size)
		}
		b = b[2:]
		at += length(token&lz4Nibble) + lz4MatchMin
	}
}

// BenchmarkLZ4Blocks reports CPU time, which holds better than the clock on the
// wall where others are at work.
func BenchmarkLZ4Blocks(b *testing.B) {
	for name, in := range samples() {
		dst, out := make([]byte, lz4.CompressBlockBound(len(in))), make([]byte, len(in))
		packed := bytes.Clone(dst[:lz4Fast(dst, in)])
		for _, bench := range []struct {
			name string
			do   func()
		}{
			{"library", func() { _, _ = lz4.CompressBlock(in, dst, nil) }},
			{"ours", func() { lz4Fast(dst, in) }},
			{"decompress", func() { _, _ = lz4.UncompressBlock(packed, out) }},
		} {
			b.Run(name+"/"+bench.name, func(b *testing.B) {
				b.SetBytes(int64(len(in)))
				before := cputime.Process(b)
				for b.Loop() {
					bench.do()
				}
				b.ReportMetric(float64(cputime.Process(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
