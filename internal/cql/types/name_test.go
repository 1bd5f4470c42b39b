package types

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for in, want := range map[string]string{
		"int": "int", " VarChar ": "text", "list<int>": "list<int>", "frozen<list<int>>": "frozen<list<int>>",
		"frozen<map<text,list<frozen<set<int>>>>>": "frozen<map<text, frozen<list<frozen<set<int>>>>>>",
		"tuple<int,list<text>>":                    "frozen<tuple<int, frozen<list<text>>>>",
		"frozen<tuple<int, text>>":                 "frozen<tuple<int, text>>",
		"list<tuple<int,text>>":                    "list<frozen<tuple<int, text>>>",
		"vector<float,3>":                          "vector<float, 3>", "vector<list<int>, 2>": "vector<list<int>, 2>",
		"frozen<vector<float, 2>>": "vector<float, 2>", "set<frozen<addr>>": "set<frozen<addr>>", "ks.addr": "addr",
		`"addr"`: "addr", "frozen<frozen<list<int>>>": "frozen<list<int>>", "empty": "empty",
		"'org.apache.cassandra.db.marshal.LexicalUUIDType'": "'org.apache.cassandra.db.marshal.LexicalUUIDType'",
		"'LexicalUUIDType'": "'org.apache.cassandra.db.marshal.LexicalUUIDType'",
		"'org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.Int32Type)'": "list<int>",
		"'DateType'": "timestamp",
		"'DynamicCompositeType(a=>org.apache.cassandra.db.marshal.BytesType)'": "'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>org.apache.cassandra.db.marshal.BytesType)'",
	} {
		typ, err := ParseName(in, testUDT)
		if err != nil || typ.String() != want {
			t.Errorf("%s: %v, %v", in, typ, err)
			continue
		}
		again, err := ParseName(typ.String(), testUDT)
		if err != nil || !again.Equal(typ) {
			t.Errorf("%s: printed as %s, read as %v, %v", in, typ, again, err)
		}
	}
	for _, in := range []string{"", "<", "list", "list<", "list<int", "list<int>>", "list<int,int>", "map<int>", "tuple<>",
		"vector<int>", "vector<int,0>", "vector<int,-1>", "vector<int,x>", "vector<vector<bigint,2000000000>,2000000000>",
		"nope", "nope.nope", "'", "'(", `"addr`, "int int", "frozen<int, int>", "other<int>", "ks.", strings.Repeat("list<", 100)} {
		if typ, err := ParseName(in, testUDT); err == nil {
			t.Errorf("%q: %s", in, typ)
		}
	}
}

func TestFreezeReachesInside(t *testing.T) {
	typ := mustName(t, "addr")
	frozen := typ.Freeze()
	if !typ.IsMultiCell() || frozen.IsMultiCell() || frozen.Elems[1].IsMultiCell() || !typ.Elems[1].IsMultiCell() {
		t.Errorf("%+v froze to %+v", typ, frozen)
	}
	if frozen.Freeze() != frozen || Native(Int).Freeze() != Native(Int) {
		t.Error("freezing what is frozen must not copy")
	}
	const class = "org.apache.cassandra.db.marshal.FrozenType(org.apache.cassandra.db.marshal.UserType(ks,61646472," +
		"6e756d:org.apache.cassandra.db.marshal.Int32Type,537472656574:org.apache.cassandra.db.marshal.ListType(" +
		"org.apache.cassandra.db.marshal.UTF8Type)))"
	if got := frozen.ClassName(false); got != class {
		t.Error(got)
	}
	if again := parseClass(t, class); !again.Equal(frozen) {
		t.Errorf("%+v", again)
	}
}

func TestKeyClasses(t *testing.T) {
	for _, names := range [][]string{{"int"}, {"int", "text"}, {"frozen<list<int>>", "tuple<int, int>", "addr"}} {
		var ts []*Type
		for _, n := range names {
			ts = append(ts, mustName(t, n))
		}
		class := CompositeClassName(ts)
		again, err := ParseKeyClass(class)
		if err != nil || len(again) != len(ts) {
			t.Fatalf("%s: %v, %v", class, again, err)
		}
		for i := range ts {
			if !again[i].Equal(ts[i]) {
				t.Errorf("%s: %s", class, again[i])
			}
		}
	}
	const want = "org.apache.cassandra.db.marshal.CompositeType(org.apache.cassandra.db.marshal.Int32Type,org.apache.cassandra.db.marshal.UTF8Type)"
	if got := CompositeClassName([]*Type{Native(Int), Native(Text)}); got != want {
		t.Error(got)
	}
}

func TestBadClasses(t *testing.T) {
	for _, s := range []string{"", "(", "ListType", "ListType(", "ListType(Int32Type", "ListType(Int32Type))", "MapType(Int32Type)",
		"ListType(Int32Type,Int32Type)", "ReversedType(Int32Type", "ReversedType(Int32Type))", "VectorType(Int32Type)",
		"VectorType(Int32Type,0)", "VectorType(EmptyType,2000000000)", "VectorType(Int32Type,99999999999)", "VectorType(LongType,2147483647)", "UserType(ks)",
		"UserType(ks,zz)", "UserType(ks,61,zz:Int32Type)", "UserType(ks,61,62)", "UserType(,61)", "Int32Type Int32Type",
		"FrozenType(", "Unknown(", "CompositeType(Int32Type", strings.Repeat("ListType(", 100)} {
		if typ, _, err := ParseClass(s); err == nil {
			t.Errorf("%q: %s", s, typ)
		}
		if ts, err := ParseKeyClass(s); err == nil {
			t.Errorf("key %q: %v", s, ts)
		}
	}
}

func TestQuoteName(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a_1": "a_1", "A": `"A"`, "1a": `"1a"`, "table": `"table"`, `a"b`: `"a""b"`,
		"": `""`, "key": "key", "ttl": "ttl"} {
		if got := QuoteName(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
