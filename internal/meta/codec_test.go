package meta

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

// everyChange holds each kind of change with every field set.
func everyChange(t testing.TB) []Change {
	at := netip.MustParseAddrPort("[fe80::1%eth0]:7000")
	u := &types.Type{Kind: types.UDT, Name: "u", Frozen: true}
	cols := []ColumnDef{{Name: "k", Type: types.Native(types.Int)}, {Name: "a b", Type: types.MapOf(types.Native(types.Text), u, false), Static: true},
		{Name: "v", Type: types.VectorOf(types.Native(types.Float), 3)}, {Name: "t", Type: types.TupleOf(types.Native(types.UUID), u)},
		{Name: "x", Type: &types.Type{Kind: types.Custom, Name: "org.example.X"}}}
	props := []Property{{Name: "comment", Text: "it's"}, {Name: "compaction", IsMap: true, Map: map[string]string{"class": "X", "a": "b"}}}
	ks := founded(t).Schema.Keyspaces["system_auth"]
	renames := []Rename{{"a", "b"}, {"c", "d"}}
	return []Change{
		Found{ClusterID{1, 2}, "name", "org.apache.cassandra.dht.Murmur3Partitioner"},
		Install{[]*schema.Keyspace{ks}},
		Register{Node{HostID: helenus.HostID{3}, Broadcast: at, Listen: at, Native: at, Datacenter: "dc", Rack: "r",
			Tokens: []token.Token{token.FromInt64(-5), {Prefix: 7, Tail: "tail"}}, Release: "5.0.9", Level: 1, State: 3}},
		CreateKeyspace{"ks", true, props}, AlterKeyspace{"ks", true, props}, DropKeyspace{"ks", true},
		CreateTable{Keyspace: "ks", Name: "t", ID: schema.TableID{4}, IfNotExists: true, Columns: cols, PartitionKey: []string{"k"},
			Clustering: []string{"c"}, KeyClauses: 2, Order: []Order{{"c", true}}, Properties: props},
		AddColumns{"ks", "t", true, true, cols}, DropColumns{"ks", "t", true, true, []string{"a"}, -1 << 62},
		RenameColumns{"ks", "t", true, true, renames}, AlterTableOptions{"ks", "t", true, props}, DropTable{"ks", "t", true},
		CreateType{"ks", "u", true, cols}, AddField{"ks", "u", true, true, cols[1]}, RenameFields{"ks", "u", true, true, renames},
		DropType{"ks", "u", true},
		SetVoters{[]helenus.HostID{{1}, {2}, {3}}, GroupID{9}}, Recover{helenus.HostID{2}, GroupID{8}},
	}
}

// goldenState is a founded cluster with a table of everything in it.
func goldenState(t testing.TB) *State {
	s := founded(t)
	for _, c := range []Change{
		CreateKeyspace{"ks", false, []Property{{Name: "replication", IsMap: true, Map: map[string]string{"class": "NetworkTopologyStrategy"}}}},
		CreateType{"ks", "u", false, []ColumnDef{{Name: "f", Type: types.Native(types.Inet)}}},
		CreateTable{Keyspace: "ks", Name: "t", ID: schema.TableID{4}, KeyClauses: 1, PartitionKey: []string{"k"}, Clustering: []string{"c"},
			Order: []Order{{"c", true}}, Columns: []ColumnDef{{Name: "k", Type: types.Native(types.Int)}, {Name: "c", Type: types.Native(types.Text)},
				{Name: "s", Type: types.ListOf(types.Native(types.Date), false), Static: true}, {Name: "v", Type: types.Native(types.Blob)},
				{Name: "u", Type: &types.Type{Kind: types.UDT, Name: "u"}}}},
		DropColumns{Keyspace: "ks", Table: "t", Names: []string{"v"}, Micros: 1700000000000000},
	} {
		next, err := Apply(s, throughCodecTB(t, c))
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

// votedState is goldenState with three members that vote.
func votedState(t testing.TB) *State {
	s := goldenState(t)
	node := *s.Nodes[0]
	node.Level = VotersLevel
	for i := range byte(3) {
		node.HostID, node.Tokens = helenus.HostID{7 + i}, []token.Token{token.FromInt64(int64(i))}
		node.Broadcast = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 9, 1 + i}), 7000)
		s = must(t, s, Register{node})
	}
	return must(t, s, SetVoters{[]helenus.HostID{{7}, {8}, {9}}, GroupID{1}})
}

// leveledState is votedState after all members were upgraded, and after one more
// change that is not of the schema.
func leveledState(t testing.TB) *State {
	s := votedState(t)
	for _, n := range s.Nodes {
		node := *n
		node.Level = SchemaLevel
		s = must(t, s, Register{node})
	}
	return must(t, s, SetVoters{[]helenus.HostID{{7}}, GroupID{2}})
}

func throughCodecTB(t testing.TB, c Change) Change {
	t.Helper()
	decoded, err := DecodeChange(EncodeChange(nil, c))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// TestGolden holds the bytes of format 1, which stay readable for ever.
// Written anew (for a new kind only) by: HELENUS_REWRITE=1 go test ./internal/meta -run Golden
func TestGolden(t *testing.T) {
	const path = "testdata/v1.txt"
	var now strings.Builder
	for _, c := range everyChange(t) {
		fmt.Fprintf(&now, "%s %s\n", c.kind(), hex.EncodeToString(EncodeChange(nil, c)))
	}
	fmt.Fprintf(&now, "state %s\n", hex.EncodeToString(EncodeState(nil, goldenState(t))))
	fmt.Fprintf(&now, "state %s\n", hex.EncodeToString(EncodeState(nil, votedState(t))))
	fmt.Fprintf(&now, "state %s\n", hex.EncodeToString(EncodeState(nil, leveledState(t))))
	if os.Getenv("HELENUS_REWRITE") != "" {
		if err := os.WriteFile(path, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(golden) != now.String() {
		t.Error("the encoding of format 1 has changed")
	}
	for _, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		kind, content, _ := strings.Cut(line, " ")
		b, err := hex.DecodeString(content)
		if err != nil {
			t.Fatal(err)
		}
		if kind == "state" {
			s, err := DecodeState(b, founded(t).LocalKeyspaces())
			if err != nil || s.Schema.Find("ks", "t") == nil || s.Placement("ks") == nil || len(s.Voters) == 0 || !bytes.Equal(EncodeState(nil, s), b) {
				t.Errorf("state: %v", err)
			}
			continue
		}
		if c, err := DecodeChange(b); err != nil || c.kind() != kind || !bytes.Equal(EncodeChange(nil, c), b) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestEveryKindDecodes(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range everyChange(t) {
		seen[c.kind()] = true
		throughCodecTB(t, c)
	}
	if len(seen) != len(decoders) {
		t.Errorf("%d kinds tested, %d known", len(seen), len(decoders))
	}
	for _, b := range [][]byte{nil, {}, {1}, {2, 0}, append(EncodeChange(nil, DropType{}), 0)} {
		if _, err := DecodeChange(b); err == nil {
			t.Errorf("% x was taken", b)
		}
	}
}

func FuzzDecodeChange(f *testing.F) {
	for _, c := range everyChange(f) {
		f.Add(EncodeChange(nil, c))
	}
	base := founded(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeChange(b)
		if err != nil {
			return
		}
		if again := EncodeChange(nil, c); !bytes.Equal(again, b) {
			t.Fatalf("% x is a second spelling of % x", b, again)
		}
		if next, err := Apply(base, c); err == nil {
			EncodeState(nil, next)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	s := goldenState(f)
	f.Add(EncodeState(nil, s))
	f.Add(EncodeState(nil, votedState(f)))
	f.Add(EncodeState(nil, leveledState(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeState(b, s.LocalKeyspaces())
		if err != nil {
			return
		}
		if again := EncodeState(nil, got); !bytes.Equal(again, b) {
			t.Fatalf("% x is a second spelling of % x", b, again)
		}
	})
}
