package token

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t *testing.T, p Partitioner, s string) Token {
	t.Helper()
	if s == "-" {
		s = ""
	}
	tok, err := p.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestGolden(t *testing.T) {
	f, err := os.Open("testdata/tokens.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parts := map[string]Partitioner{"m": Murmur3Partitioner{}, "r": RandomPartitioner{}, "b": ByteOrderedPartitioner{}}
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		switch w[0] {
		case "key":
			key := unhex(t, w[1])
			h1, h2 := Murmur3(key)
			if s := strconv.FormatInt(int64(h1), 10); s != w[2] {
				t.Errorf("%s: h1 %s", sc.Text(), s)
			}
			if s := strconv.FormatInt(int64(h2), 10); s != w[3] {
				t.Errorf("%s: h2 %s", sc.Text(), s)
			}
			for i, p := range []Partitioner{Murmur3Partitioner{}, RandomPartitioner{}} {
				tok := p.Token(key)
				if s := p.Format(tok); s != w[4+i] {
					t.Errorf("%s: %s", sc.Text(), s)
				}
				if tok.Prefix != p.Prefix(key) || mustParse(t, p, w[4+i]) != tok {
					t.Errorf("%s: prefix or parse", sc.Text())
				}
			}
			n++
		case "mid":
			p := parts[w[1]]
			if s := p.Format(p.Midpoint(mustParse(t, p, w[2]), mustParse(t, p, w[3]))); s != w[4] {
				t.Errorf("%s: %s", sc.Text(), s)
			}
			n++
		}
	}
	if n < 400 {
		t.Fatalf("only %d vectors", n)
	}
}

func TestMurmur3LongMin(t *testing.T) {
	// A 16 byte key whose h1 is -2^63, found by inverting the hash.
	key := keyWithH1(signBit)
	if h1, _ := Murmur3(key); h1 != signBit {
		t.Fatalf("h1 = %x: the inverse is wrong", h1)
	}
	if tok := (Murmur3Partitioner{}).Token(key); tok.Int64() != 1<<63-1 {
		t.Fatalf("token %d", tok.Int64())
	}
}

func TestOrderAgreesWithNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := [][]byte{nil, {0}, {0, 0}, {0xff}}
	for range 300 {
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = byte(rnd.IntN(4)) * 85
		}
		keys = append(keys, b)
	}
	for _, p := range []Partitioner{Murmur3Partitioner{}, RandomPartitioner{}, ByteOrderedPartitioner{}} {
		for _, a := range keys {
			for _, b := range keys {
				ta, tb := p.Token(a), p.Token(b)
				want := slowCompare(p, ta, tb)
				if got := ta.Compare(tb); got != want || ta.Less(tb) != (want < 0) {
					t.Fatalf("%s: %x, %x: %d, want %d", p.Name(), a, b, got, want)
				}
				if want == 0 {
					want = bytes.Compare(a, b)
				}
				if p.Prefix(a) == p.Prefix(b) && p.CompareTie(a, b) != want {
					t.Fatalf("%s: tie of %x, %x", p.Name(), a, b)
				}
			}
		}
	}
}

func slowCompare(p Partitioner, a, b Token) int {
	if _, ok := p.(ByteOrderedPartitioner); ok {
		return strings.Compare(p.Format(a), p.Format(b))
	}
	x, _ := new(big.Int).SetString(p.Format(a), 10)
	y, _ := new(big.Int).SetString(p.Format(b), 10)
	return x.Cmp(y)
}

func TestRandomTieLooksAtTheLowWord(t *testing.T) {
	// The fast path cannot be reached by hashing here, so check the order of the
	// words it is made of.
	lo, hi := token128(5, 1), token128(5, 1<<63)
	if !lo.Less(hi) || !(Token{}).Less(token128(0, 0)) {
		t.Fatal("low words must compare unsigned, the minimum first")
	}
}

func TestTextAndValueRoundTrip(t *testing.T) {
	for _, p := range []Partitioner{Murmur3Partitioner{}, RandomPartitioner{}, ByteOrderedPartitioner{}} {
		toks := []Token{p.Min(), p.Token([]byte("foo")), p.Token([]byte{0x80}), p.Token(nil), p.Token(make([]byte, 20))}
		if _, ok := p.(RandomPartitioner); ok {
			toks = append(toks, token128(signBit, 0), token128(0, 0), token128(0, 255), token128(0, 127))
		}
		for _, tok := range toks {
			if got, err := p.Parse(p.Format(tok)); err != nil || got != tok {
				t.Errorf("%s: %v -> %q -> %v, %v", p.Name(), tok, p.Format(tok), got, err)
			}
			if got, err := p.FromValue(p.Value(tok)); err != nil || got != tok {
				t.Errorf("%s: %v -> %x -> %v, %v", p.Name(), tok, p.Value(tok), got, err)
			}
		}
		for _, name := range []string{p.Name(), p.Name()[len(javaPackage):]} {
			if q, err := ByName(name); err != nil || q != p {
				t.Errorf("ByName(%q) = %v, %v", name, q, err)
			}
		}
	}
	if _, err := ByName("NopePartitioner"); err == nil {
		t.Error("unknown name accepted")
	}
	if v := (Murmur3Partitioner{}).Value(FromInt64(-2)); !bytes.Equal(v, []byte{255, 255, 255, 255, 255, 255, 255, 254}) {
		t.Errorf("bigint of -2: %x", v)
	}
}

func TestBadText(t *testing.T) {
	cases := map[Partitioner][]string{
		Murmur3Partitioner{}:     {"", "x", "9223372036854775808", "1.5"},
		RandomPartitioner{}:      {"", "x", "-2", "170141183460469231731687303715884105729"},
		ByteOrderedPartitioner{}: {"0", "zz"},
	}
	for p, ss := range cases {
		for _, s := range ss {
			if tok, err := p.Parse(s); err == nil {
				t.Errorf("%s: %q is %v", p.Name(), s, tok)
			}
		}
	}
	for _, v := range [][]byte{nil, {}, make([]byte, 18), {0xfe}} {
		if _, err := (RandomPartitioner{}).FromValue(v); err == nil {
			t.Errorf("Random value %x accepted", v)
		}
	}
	if _, err := (Murmur3Partitioner{}).FromValue(make([]byte, 7)); err == nil {
		t.Error("7 byte Murmur3 value accepted")
	}
}

func TestShare(t *testing.T) {
	m := Murmur3Partitioner{}
	if s := m.Share(FromInt64(0), FromInt64(0)); s != 1 {
		t.Errorf("whole ring: %v", s)
	}
	if s := m.Share(FromInt64(1<<62), FromInt64(-1<<62)); s != 0.5 {
		t.Errorf("wrapped half: %v", s)
	}
	r := RandomPartitioner{}
	if s := r.Share(mustParse(t, r, "0"), token128(1<<61, 0)); s != 0.25 {
		t.Errorf("quarter: %v", s)
	}
	if s := r.Share(token128(1<<62, 0), token128(1<<61, 0)); s != 0.75 {
		t.Errorf("wrapped three quarters: %v", s)
	}
	b := ByteOrderedPartitioner{}
	if s := b.Share(b.Min(), b.Token([]byte{0x40})); s != 0.25 {
		t.Errorf("quarter of the bytes: %v", s)
	}
}

func TestNoAllocation(t *testing.T) {
	key, other := []byte("0123456789abcdefgh\xff"), []byte("other")
	for _, p := range []Partitioner{Murmur3Partitioner{}, RandomPartitioner{}, ByteOrderedPartitioner{}} {
		if n := testing.AllocsPerRun(100, func() { p.Prefix(key); p.CompareTie(key, other) }); n != 0 {
			t.Errorf("%s allocates %v times", p.Name(), n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Murmur3(key) }); n != 0 {
		t.Errorf("Murmur3 allocates %v times", n)
	}
}

func BenchmarkMurmur3(b *testing.B) {
	key := []byte("0123456789abcdef")
	for b.Loop() {
		Murmur3(key)
	}
}

// keyWithH1 inverts the hash for one block; h2 is free.
func keyWithH1(h1 uint64) []byte {
	// Undo the final mixing with a free choice of h2.
	h2 := uint64(12345)
	h2 -= h1
	h1 -= h2
	h1, h2 = unmix(h1), unmix(h2)
	h2 -= h1
	h1 -= h2
	h1 ^= 16
	h2 ^= 16
	// Undo the one body block, h1 = h2 = 0 before it.
	k1 := (h1 - 0x52dce729) * inverse(5)
	k1 = rotr(k1, 27)
	k2 := (h2 - 0x38495ab5) * inverse(5)
	k2 = rotr(k2-h1, 31)
	k1 = rotr(k1*inverse(murmurC2), 31) * inverse(murmurC1)
	k2 = rotr(k2*inverse(murmurC1), 33) * inverse(murmurC2)
	var key [16]byte
	for i := range 8 {
		key[i], key[8+i] = byte(k1>>(8*i)), byte(k2>>(8*i))
	}
	return key[:]
}

func rotr(x uint64, n uint) uint64 { return x>>n | x<<(64-n) }

func unmix(h uint64) uint64 {
	h ^= h >> 33
	h *= inverse(0xc4ceb9fe1a85ec53)
	h ^= h >> 33
	h *= inverse(0xff51afd7ed558ccd)
	return h ^ h>>33
}

// inverse of an odd number modulo 2^64, by Newton.
func inverse(a uint64) uint64 {
	x := a
	for range 6 {
		x *= 2 - a*x
	}
	return x
}
