package compress

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
)

func codecs(t testing.TB) map[string]Codec {
	m := map[string]Codec{"block": LZ4Block(), "body": LZ4Body()}
	add := func(name, class string, options map[string]string) {
		c, err := ForTable(class, options)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = c
	}
	for _, class := range []string{NameLZ4, NameSnappy, NameDeflate, NameZstd, NameNoop} {
		add(class, class, nil)
		if m[class].Name() != class {
			t.Errorf("%s is called %s", class, m[class].Name())
		}
	}
	add("high", NameLZ4, map[string]string{"lz4_compressor_type": "high", "lz4_high_compressor_level": "17"})
	add("zstd22", NameZstd, map[string]string{"compression_level": "22"})
	return m
}

// inputs are the shapes that break block formats: nothing, one byte, runs
// longer than a window, bytes without any repeat, and text.
func inputs() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	mixed := append(bytes.Repeat([]byte("partition key and a value; "), 400), noise[:5000]...)
	return [][]byte{{}, {7}, []byte("hello"), make([]byte, 1<<16), make([]byte, 200000), noise[:100], noise[:16384], noise, mixed}
}

func TestRoundTrip(t *testing.T) {
	for name, c := range codecs(t) {
		for i, in := range inputs() {
			dst := make([]byte, c.CompressBound(len(in)))
			n, err := c.Compress(dst, in)
			if err != nil {
				t.Fatalf("%s input %d: %v", name, i, err)
			}
			out := make([]byte, len(in))
			if m, err := c.Decompress(out, dst[:n]); err != nil || m != len(in) || !bytes.Equal(in, out) {
				t.Fatalf("%s input %d: %d bytes back, %v", name, i, m, err)
			}
			for _, wrong := range []int{len(in) - 1, len(in) + 1} {
				if wrong < 0 {
					continue
				}
				if _, err := c.Decompress(make([]byte, wrong), dst[:n]); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s input %d into %d bytes: %v", name, i, wrong, err)
				}
			}
			if n > 0 {
				if _, err := c.Compress(make([]byte, 0), append(in, 1)); err == nil {
					t.Errorf("%s: compressed into nothing", name)
				}
			}
		}
	}
}

// TestGolden fixes the framings: little-endian in tables, big-endian in
// protocol v4, none in v5. Made once with other programs' LZ4 and zlib.
func TestGolden(t *testing.T) {
	all := codecs(t)
	in := bytes.Repeat([]byte("ab"), 20)
	for _, g := range []struct{ codec, hex string }{
		{"block", "2f616202000e506261626162"},
		{"body", "000000282f616202000e506261626162"},
		{NameLZ4, "280000002f616202000e506261626162"},
		{NameSnappy, "28046162960200"},
		{NameDeflate, "789c4b4c4a240a0200387b0f3d"},
		{NameNoop, hex.EncodeToString(in)},
	} {
		b, err := hex.DecodeString(g.hex)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, len(in))
		if _, err := all[g.codec].Decompress(out, b); err != nil || !bytes.Equal(out, in) {
			t.Errorf("%s: %q %v", g.codec, out, err)
		}
	}
}

func TestLengths(t *testing.T) {
	if n, err := LZ4BodyLen([]byte{0, 0, 1, 2, 9}); n != 258 || err != nil {
		t.Error(n, err)
	}
	for _, b := range [][]byte{nil, {0, 0, 0}, {0x80, 0, 0, 0}, {1, 0, 0, 0, 0xf0}} {
		if _, err := LZ4BodyLen(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := SnappyLen([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range []struct {
		class string
		o     map[string]string
	}{
		{"GzipCompressor", nil},
		{NameLZ4, map[string]string{"lz4_compressor_type": "slow"}},
		{NameLZ4, map[string]string{"compression_level": "3"}},
		{NameZstd, map[string]string{"compression_level": "23"}},
		{NameSnappy, map[string]string{"chunk_length_in_kb": "16"}},
	} {
		if c, err := ForTable(bad.class, bad.o); err == nil {
			t.Errorf("%s %v: made %v", bad.class, bad.o, c)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	in := inputs()[6]
	for name, c := range codecs(t) {
		if name == NameDeflate || name == NameZstd || name == "zstd22" {
			continue // their libraries keep state of their own
		}
		dst, out := make([]byte, c.CompressBound(len(in))), make([]byte, len(in))
		allocs := testing.AllocsPerRun(50, func() {
			n, _ := c.Compress(dst, in)
			if _, err := c.Decompress(out, dst[:n]); err != nil {
				t.Fatal(err)
			}
		})
		if allocs >= 1 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	all := codecs(f)
	for _, in := range inputs()[:4] {
		for _, c := range all {
			dst := make([]byte, c.CompressBound(len(in)))
			n, err := c.Compress(dst, in)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(dst[:n], uint32(len(in)))
		}
	}
	f.Add(bytes.Repeat([]byte("0"), 28), uint32(0))
	f.Fuzz(func(t *testing.T, src []byte, size uint32) {
		size %= 1 << 18
		dst := make([]byte, size, size+8)
		guard := dst[size : size+8]
		if size == 0 {
			dst = nil // as a scratch buffer that was never needed is
		}
		for name, c := range all {
			n, err := c.Decompress(dst, src)
			if err == nil && n != len(dst) {
				t.Fatalf("%s: %d of %d without an error", name, n, size)
			}
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s: untyped %v", name, err)
			}
			if !bytes.Equal(guard, make([]byte, 8)) {
				t.Fatalf("%s wrote beyond its destination", name)
			}
		}
	})
}

func BenchmarkLZ4(b *testing.B) {
	in := inputs()[8]
	c := LZ4Block()
	dst, out := make([]byte, c.CompressBound(len(in))), make([]byte, len(in))
	n, _ := c.Compress(dst, in)
	b.Run("compress", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			n, _ = c.Compress(dst, in)
		}
	})
	b.Run("decompress", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			_, _ = c.Decompress(out, dst[:n])
		}
	})
}
