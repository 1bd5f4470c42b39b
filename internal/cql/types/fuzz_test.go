package types

import (
	"bytes"
	"testing"
)

func FuzzValidate(f *testing.F) {
	for _, s := range []string{"int", "decimal", "varint", "duration", "text", "frozen<list<map<text, int>>>",
		"tuple<int, vector<text, 2>>", "vector<smallint, 3>", "frozen<addr>", "timeuuid", "vector<decimal, 2>"} {
		class := mustName(f, s).ClassName(false)
		f.Add(class, []byte{}, []byte{0, 0, 0, 1, 0, 0, 0, 0})
		f.Add(class, []byte{0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4}, []byte{0xff, 0xff, 0xff, 0xff})
	}
	f.Add("VectorType(EmptyType,2000000000)", []byte{1}, []byte{}) // once counted to its dimension
	f.Fuzz(func(t *testing.T, class string, a, b []byte) {
		typ, reversed, err := ParseClass(class)
		if err != nil {
			return
		}
		ts, rev := []*Type{typ}, []bool{reversed}
		for _, v := range [][]byte{a, b} {
			typ.FormatLiteral(v)
			_, _ = Decode(typ, v)
			typ.Compare(a, v)
			AppendBound(nil, ts, rev, [][]byte{v}, true)
		}
		if typ.Validate(a) != nil || typ.Validate(b) != nil || !typ.IsComparable() {
			return
		}
		want := typ.Compare(a, b)
		if reversed {
			want = -want
		}
		ea, eb := AppendClustering(nil, ts, rev, [][]byte{a}), AppendClustering(nil, ts, rev, [][]byte{b})
		if a != nil && b != nil && bytes.Compare(ea, eb) != want {
			t.Fatalf("%s: %x %x: compare %d, encodings %x %x", typ, a, b, want, ea, eb)
		}
	})
}

func FuzzParseClass(f *testing.F) {
	f.Add("org.apache.cassandra.db.marshal.ReversedType(org.apache.cassandra.db.marshal.MapType(UTF8Type,FrozenType(ListType(Int32Type))))")
	f.Add("UserType(ks,61646472,6e756d:Int32Type)")
	f.Add("VectorType(FloatType , 3)")
	f.Add("UserType\f") // once lost its last byte, and was another class
	f.Add("DynamicCompositeType(a=>BytesType,b=>(x))")
	f.Add("TupleType(ListType(Int32Type),org.example.Strange)")
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = ParseKeyClass(s)
		typ, reversed, err := ParseClass(s)
		if err != nil {
			return
		}
		_, _ = typ.String(), typ.FixedLength()
		again, reversedToo, err := ParseClass(typ.ClassName(reversed))
		if err != nil || reversedToo != reversed || !again.Equal(typ) {
			t.Fatalf("%q -> %q -> %v, %v", s, typ.ClassName(reversed), again, err)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"frozen<map<text, list<int>>>", "tuple<int, 'X(y)'>", "vector<float, 3>", `set<frozen<ks."addr">>`, "''''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		typ, err := ParseName(s, testUDT)
		if err != nil {
			return
		}
		again, err := ParseName(typ.String(), testUDT)
		if err != nil || again.String() != typ.String() {
			t.Fatalf("%q -> %s -> %v, %v", s, typ, again, err)
		}
	})
}

func FuzzParseConstant(f *testing.F) {
	for _, c := range constantCases(f) {
		f.Add(uint8(c.kind), c.text)
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		k := ConstantKind(kind % uint8(DurationConst+1))
		for i := range natives {
			typ := Native(Kind(i))
			b, err := typ.ParseConstant(k, text)
			if err != nil {
				continue
			}
			if err := typ.Validate(b); err != nil || b == nil {
				t.Fatalf("%s %q as %s: %x: %v", k, text, typ, b, err)
			}
			typ.FormatLiteral(b)
		}
	})
}
