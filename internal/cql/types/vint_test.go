package types

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

func TestUnsignedVIntVectors(t *testing.T) {
	for _, c := range []struct {
		u    uint64
		want string
	}{
		{0, "00"}, {127, "7f"}, {128, "8080"}, {16383, "bfff"}, {16384, "c04000"}, {256000, "c3e800"},
		{1<<56 - 1, "feffffffffffffff"}, {1 << 56, "ff0100000000000000"}, {math.MaxUint64, "ffffffffffffffffff"},
	} {
		if got := hex.EncodeToString(AppendUnsignedVInt(nil, c.u)); got != c.want {
			t.Errorf("%d: %s, want %s", c.u, got, c.want)
		}
	}
}

func TestVIntEveryLength(t *testing.T) {
	pad := bytes.Repeat([]byte{0xaa}, 10)
	for shift := range 64 {
		for _, u := range []uint64{1 << shift, 1<<shift - 1, 1<<shift + 1, math.MaxUint64 >> shift} {
			b := AppendUnsignedVInt([]byte{1, 2, 3}, u)[3:]
			if len(b) != UnsignedVIntSize(u) {
				t.Fatalf("%d has %d bytes, size says %d", u, len(b), UnsignedVIntSize(u))
			}
			for _, tail := range [][]byte{nil, pad[:1], pad} {
				if got, n := UnsignedVInt(append(bytes.Clone(b), tail...)); got != u || n != len(b) {
					t.Fatalf("%d: read %d, %d", u, got, n)
				}
			}
			for n := range b {
				if _, got := UnsignedVInt(b[:n]); got != 0 {
					t.Fatalf("%d: a part of %d bytes is accepted", u, n)
				}
			}
			for _, v := range []int64{int64(u), -int64(u)} {
				if got, n := VInt(AppendVInt(nil, v)); got != v || n == 0 {
					t.Fatalf("%d: read %d", v, got)
				}
			}
		}
	}
	// The 32-bit writer of Cassandra sign-extends, which is the zigzag of nothing.
	if b := AppendVInt(nil, -1); !bytes.Equal(b, []byte{1}) {
		t.Fatalf("-1 is %x", b)
	}
}

func BenchmarkUnsignedVInt(b *testing.B) {
	var buf [16]byte
	for b.Loop() {
		x := AppendUnsignedVInt(buf[:0], 256000)
		UnsignedVInt(x)
	}
}
