package types

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestEncodingsSortAsValues(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 3000 {
		typ := randomType(r, i%3)
		ts, rev := []*Type{typ, Native(Int)}, []bool{i%2 == 1, false}
		var values [][]byte
		for range 12 {
			v := randomValue(r, typ)
			if err := typ.Validate(v); err != nil {
				t.Fatalf("%s: %x: %v", typ, v, err)
			}
			values = append(values, v)
		}
		values = append(values, nil)
		for _, a := range values {
			for _, b := range values {
				checkPair(t, ts, rev, a, b)
			}
		}
	}
}

func checkPair(t *testing.T, ts []*Type, rev []bool, a, b []byte) {
	t.Helper()
	want := compareNullable(ts[0], a, b)
	if rev[0] && a != nil && b != nil {
		want = -want
	}
	one, two := []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}
	ea := AppendClustering(nil, ts, rev, [][]byte{a, two})
	eb := AppendClustering(nil, ts, rev, [][]byte{b, one})
	cmp := bytes.Compare(ea, eb)
	if want == 0 && cmp <= 0 || want != 0 && cmp != sign(want) {
		t.Fatalf("%s reversed %v: %x, %x: %d, want %d\n%x\n%x", ts[0], rev[0], a, b, cmp, want, ea, eb)
	}
	for _, after := range []bool{false, true} {
		bound := AppendBound(nil, ts, rev, [][]byte{a}, after)
		wantBound := want
		if want == 0 {
			wantBound = map[bool]int{false: -1, true: 1}[after]
		}
		if got := bytes.Compare(bound, eb); got != sign(wantBound) {
			t.Fatalf("%s reversed %v: bound %x after %v, row %x: %d, want %d", ts[0], rev[0], a, after, b, got, wantBound)
		}
	}
}

func TestWholePartitionBounds(t *testing.T) {
	ts := []*Type{Native(Text)}
	first, last := AppendBound(nil, ts, nil, nil, false), AppendBound(nil, ts, nil, nil, true)
	for _, v := range [][]byte{nil, {}, {0}, {0xff, 0xff}} {
		for _, rev := range [][]bool{nil, {true}} {
			row := AppendClustering(nil, ts, rev, [][]byte{v})
			if bytes.Compare(first, row) >= 0 || bytes.Compare(row, last) >= 0 {
				t.Errorf("row %x is outside", row)
			}
		}
	}
}

// slowDecimal is the value as a fraction.
func slowDecimal(v []byte) *big.Rat {
	if len(v) <= 4 {
		return new(big.Rat)
	}
	scale := int64(int32(uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])))
	n := new(big.Rat).SetInt(bigFromVarInt(v[4:]))
	pow := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(scale, -scale)), nil)
	if scale > 0 {
		return n.Quo(n, new(big.Rat).SetInt(pow))
	}
	return n.Mul(n, new(big.Rat).SetInt(pow))
}

// smallScale keeps the powers of slowDecimal payable.
func smallScale(v []byte) bool {
	return len(v) > 4 && v[0]+1 < 2 && v[1] == v[0] && v[2] == v[0]
}

func TestNumbersCompareAsNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20000 {
		a, b := randomValue(r, Native(Decimal)), randomValue(r, Native(Decimal))
		if smallScale(a) && smallScale(b) {
			if want := slowDecimal(a).Cmp(slowDecimal(b)); Native(Decimal).Compare(a, b) != want {
				t.Fatalf("decimal %x %x: want %d", a, b, want)
			}
		}
		a, b = randomVarInt(r), randomVarInt(r)
		if len(a) > 0 && len(b) > 0 {
			if want := bigFromVarInt(a).Cmp(bigFromVarInt(b)); Native(VarInt).Compare(a, b) != want {
				t.Fatalf("varint %x %x: want %d", a, b, want)
			}
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var ts []*Type
	var values [][]byte
	for k := ASCII; k < Empty; k++ {
		typ := Native(k)
		if typ.IsComparable() {
			ts, values = append(ts, typ), append(values, randomValue(r, typ))
		}
	}
	nested := MapOf(Native(Text), TupleOf(Native(Int), VectorOf(Native(Text), 1)), true)
	ts, values = append(ts, nested), append(values, randomValue(r, nested))
	dec := []byte{0, 0, 0, 2, 1, 2, 3, 4}
	ts, values = append(ts, Native(Decimal)), append(values, dec)
	rev := make([]bool, len(ts))
	rev[3] = true
	dst := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		dst = AppendClustering(dst[:0], ts, rev, values)
		dst = AppendBound(dst[:0], ts, rev, values[:3], true)
		for i := range ts {
			_ = ts[i].Validate(values[i])
			ts[i].Compare(values[i], values[i])
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendClustering(b *testing.B) {
	ts := []*Type{Native(BigInt), Native(Text), Native(TimeUUID)}
	values := [][]byte{{0, 0, 0, 0, 1, 2, 3, 4}, []byte("some user"), make([]byte, 16)}
	dst := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendClustering(dst[:0], ts, nil, values)
	}
}

func TestClusteringsAreCassandras(t *testing.T) {
	golden(t, "clusterings.txt", func(line string) {
		in, want, _ := strings.Cut(line, " => ")
		w := strings.Fields(in)
		var ts []*Type
		var rev []bool
		for _, class := range strings.Split(w[0], ";") {
			typ, reversed, err := ParseClass(class)
			if err != nil {
				t.Fatal(err)
			}
			ts, rev = append(ts, typ), append(rev, reversed)
		}
		var values [][]byte
		for _, h := range w[2:] {
			if h == "null" {
				values = append(values, nil)
			} else {
				values = append(values, unhex(t, h))
			}
		}
		got := AppendClustering(nil, ts, rev, values)
		if w[1] != "row" {
			got = AppendBound(nil, ts, rev, values, w[1] == "after")
		}
		if hexOf(got) != want {
			t.Errorf("%s: %x", line, got)
		}
	})
}
