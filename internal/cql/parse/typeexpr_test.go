package parse

import (
	"testing"

	"helenus"
	"helenus/internal/cql/types"
)

// address is the one user-defined type these tests know.
func address(ks, name string) (*types.Type, error) {
	if name != "address" {
		return nil, helenus.Invalid("Unknown type %s.%s", ks, name)
	}
	return &types.Type{Kind: types.UDT, Keyspace: "ks", Name: name, FieldNames: []string{"street", "tags"},
		Elems: []*types.Type{types.Native(types.Text), types.SetOf(types.Native(types.Text), false)}}, nil
}

func resolve(t *testing.T, text string) (*types.Type, error) {
	t.Helper()
	s, err := Parse("CREATE TYPE x (f " + text + ")")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.(*CreateType).Fields[0].Type.Resolve(address)
}

func TestResolve(t *testing.T) {
	integer, text := types.Native(types.Int), types.Native(types.Text)
	udt, _ := address("", "address")
	frozen := freeze(udt)
	for _, c := range []struct {
		text string
		want *types.Type
	}{
		{"int", integer},
		{"VarChar", text},
		{"list<int>", types.ListOf(integer, false)},
		{"frozen<set<int>>", types.SetOf(integer, true)},
		{"map<text, frozen<list<int>>>", types.MapOf(text, types.ListOf(integer, true), false)},
		{"frozen<map<text, list<int>>>", types.MapOf(text, types.ListOf(integer, true), true)},
		{"tuple<int, list<text>>", types.TupleOf(integer, types.ListOf(text, true))},
		{"vector<float, 3>", types.VectorOf(types.Native(types.Float), 3)},
		{"vector<list<int>, 2>", types.VectorOf(types.ListOf(integer, true), 2)},
		{"address", udt},
		{"frozen<address>", frozen},
		{"list<frozen<address>>", types.ListOf(frozen, false)},
		{"frozen<list<address>>", types.ListOf(frozen, true)},
		{"tuple<address>", types.TupleOf(frozen)},
		{"'org.example.Type'", &types.Type{Kind: types.Custom, Name: "org.example.Type"}},
	} {
		got, err := resolve(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if !got.Equal(c.want) {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
	}
	if !udt.Elems[1].IsMultiCell() || frozen.Elems[1].IsMultiCell() {
		t.Error("freezing must reach the fields of a copy and leave the original alone")
	}
}

func TestResolveErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"list<list<int>>", "Non-frozen collections are not allowed inside collections: list<list<int>>"},
		{"map<text, address>", "Non-frozen UDTs are not allowed inside collections: map<text, address>"},
		{"map<int, map<int, set<int>>>",
			"Non-frozen collections are not allowed inside collections: map<int, map<int, set<int>>>"},
		{"set<frozen<set<duration>>>", "Durations are not allowed inside sets: frozen<set<duration>>"},
		{"tuple<counter, int>", "Counters are not allowed inside tuples"},
		{"list<unknown>", "Non-frozen UDTs are not allowed inside collections: list<unknown>"},
		{"list<counter>", "Counters are not allowed inside collections: list<counter>"},
		{"set<duration>", "Durations are not allowed inside sets: set<duration>"},
		{"map<duration, int>", "Durations are not allowed as map keys: map<duration, int>"},
		{"vector<float, 0>", "vectors may only have positive dimensions; given 0"},
		{"frozen<list<ks2.other>>", "Unknown type ks2.other"},
	} {
		_, err := resolve(t, c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}
