package meta

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/cql/types"
	"helenus/internal/token"
)

func must(t testing.TB, s *State, c Change) *State {
	t.Helper()
	next, err := Apply(s, c)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func replication(rf string) []Property {
	return []Property{{Name: "replication", IsMap: true, Map: map[string]string{"class": "SimpleStrategy", "replication_factor": rf}}}
}

func TestDiff(t *testing.T) {
	s := goldenState(t)
	text := types.Native(types.Text)
	old := s
	for _, c := range []struct {
		change Change
		want   string
	}{
		{CreateKeyspace{"k2", false, replication("1")}, "CREATED KEYSPACE k2."},
		{AlterKeyspace{"k2", false, replication("3")}, "UPDATED KEYSPACE k2."},
		{DropKeyspace{"k2", false}, "DROPPED KEYSPACE k2."},
		{AddColumns{"ks", "t", false, false, []ColumnDef{{Name: "n", Type: text}}}, "UPDATED TABLE ks.t"},
		{AddField{"ks", "u", false, false, ColumnDef{Name: "g", Type: text}}, "UPDATED TYPE ks.u UPDATED TABLE ks.t"},
		{AlterTableOptions{"ks", "t", false, []Property{{Name: "comment", Text: "other"}}}, "UPDATED TABLE ks.t"},
		{AlterTableOptions{"ks", "t", false, []Property{{Name: "comment", Text: "other"}}}, ""}, // as it was
		{CreateType{"ks", "u2", false, []ColumnDef{{Name: "g", Type: text}}}, "CREATED TYPE ks.u2"},
		{DropTable{"ks", "t", false}, "DROPPED TABLE ks.t"},
		{DropType{"ks", "u", false}, "DROPPED TYPE ks.u"},
	} {
		next := must(t, s, c.change)
		var got []string
		for _, e := range Diff(s.Schema, next.Schema) {
			got = append(got, fmt.Sprintf("%s %s %s.%s", e.Change, e.Target, e.Keyspace, e.Name))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%#v: %v, want %s", c.change, got, c.want)
		}
		if len(Diff(s.Schema, s.Schema)) > 0 || next.Epoch != s.Epoch+1 || next.SchemaVersion() == s.SchemaVersion() {
			t.Errorf("%#v: epoch %d", c.change, next.Epoch)
		}
		s = next
	}
	again := must(t, must(t, old, DropTable{"ks", "t", false}), CreateTable{Keyspace: "ks", Name: "t", KeyClauses: 1,
		ID: [16]byte{77}, PartitionKey: []string{"k"}, Columns: []ColumnDef{{Name: "k", Type: text}}})
	if got := Diff(old.Schema, again.Schema); len(got) != 2 || got[0].Change != "DROPPED" || got[1].Change != "CREATED" {
		t.Errorf("dropped and made again: %v", got)
	}
	gone := must(t, old, DropKeyspace{"ks", false})
	for _, c := range []struct {
		from, to *State
		want     string
	}{
		{old, gone, "[{DROPPED TABLE ks t} {DROPPED TYPE ks u} {DROPPED KEYSPACE ks }]"},
		{gone, old, "[{CREATED KEYSPACE ks } {CREATED TYPE ks u} {CREATED TABLE ks t}]"},
	} {
		if got := fmt.Sprint(Diff(c.from.Schema, c.to.Schema)); got != c.want {
			t.Errorf("a whole keyspace: %s, want %s", got, c.want)
		}
	}
	want := "DROPPED TABLE ks.t DROPPED TYPE ks.u CREATED TYPE ks.u2"
	var got []string
	for _, e := range Diff(old.Schema, s.Schema) {
		got = append(got, fmt.Sprintf("%s %s %s.%s", e.Change, e.Target, e.Keyspace, e.Name))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("all at once: %v, want %s", got, want)
	}
}

// TestSchemaVersion: only changes of the schema give it another version, and the
// upgrade that brings that about; a node that begins with a snapshot has the same.
func TestSchemaVersion(t *testing.T) {
	s := leveledState(t)
	upgraded := s.Epoch - 1
	if s.SchemaEpoch != upgraded {
		t.Errorf("the schema's epoch is %d after the upgrade at %d", s.SchemaEpoch, upgraded)
	}
	joins := *s.Nodes[0]
	joins.HostID, joins.Tokens = helenus.HostID{99}, []token.Token{token.FromInt64(99)}
	joins.Broadcast = netip.MustParseAddrPort("127.0.9.99:7000")
	for _, c := range []struct {
		change Change
		moves  bool
	}{
		{Register{joins}, false},
		{CreateKeyspace{"k2", false, replication("1")}, true},
		{SetVoters{[]helenus.HostID{{8}}, GroupID{3}}, false},
		{DropKeyspace{"k2", false}, true},
		{Recover{helenus.HostID{7}, GroupID{4}}, false},
		{CreateKeyspace{"k2", false, replication("1")}, true},
	} {
		next := must(t, s, c.change)
		if moved := next.SchemaVersion() != s.SchemaVersion(); moved != c.moves || moved && next.SchemaEpoch != next.Epoch {
			t.Errorf("%#v: the schema's epoch is %d at %d, and was %d", c.change, next.SchemaEpoch, next.Epoch, s.SchemaEpoch)
		}
		s = next
		copied, err := DecodeState(EncodeState(nil, s), s.LocalKeyspaces())
		if err != nil || copied.SchemaVersion() != s.SchemaVersion() {
			t.Fatalf("a copy: %v", err)
		}
	}
	old := votedState(t) // members that know nothing of it have another form of it
	if next := must(t, old, SetVoters{[]helenus.HostID{{8}}, GroupID{3}}); old.SchemaEpoch != 0 || next.SchemaVersion() == old.SchemaVersion() {
		t.Errorf("the schema's epoch is %d at level %d", old.SchemaEpoch, old.Level)
	}
}

// TestOldStatesStay applies everything to states that are kept and checks that
// none of them moved.
func TestOldStatesStay(t *testing.T) {
	s := goldenState(t)
	before := string(EncodeState(nil, s))
	column := *s.Schema.Find("ks", "t").Column("u")
	for _, c := range everyChange(t) {
		if next, err := Apply(s, c); err == nil && next != s {
			EncodeState(nil, next)
		}
	}
	must(t, s, AddField{"ks", "u", false, false, ColumnDef{Name: "g", Type: types.Native(types.Text)}})
	must(t, s, AddColumns{"ks", "t", false, false, []ColumnDef{{Name: "a0", Type: types.Native(types.Text)}}})
	must(t, s, RenameColumns{"ks", "t", false, false, []Rename{{"k", "kk"}}})
	must(t, s, AlterTableOptions{"ks", "t", false, []Property{{Name: "comment", Text: "x"}}})
	if string(EncodeState(nil, s)) != before || *s.Schema.Find("ks", "t").Column("u") != column {
		t.Error("a change reached an older state")
	}
}

func TestColumnIDsAreNotGivenTwice(t *testing.T) {
	s := goldenState(t)
	table := s.Schema.Find("ks", "t")
	dropped := table.NextColumnID
	s = must(t, s, AddColumns{"ks", "t", false, false, []ColumnDef{{Name: "v", Type: types.Native(types.Blob)}}})
	again := s.Schema.Find("ks", "t")
	if again.Column("v").ID != dropped || again.NextColumnID != dropped+1 || len(again.Dropped) != 1 {
		t.Errorf("column id %d, next %d", again.Column("v").ID, again.NextColumnID)
	}
	if table.Column("v") != nil {
		t.Error("the older table has the column too")
	}
	renamed := must(t, s, RenameColumns{"ks", "t", false, false, []Rename{{"k", "key"}}}).Schema.Find("ks", "t")
	if renamed.Column("key").ID != again.Column("k").ID || renamed.ID != again.ID {
		t.Error("a rename made another column")
	}
}

func TestRegister(t *testing.T) {
	s := founded(t)
	at := netip.MustParseAddrPort("127.0.9.2:7000")
	node := Node{HostID: helenus.HostID{8}, Broadcast: at, Listen: at, Native: at, Datacenter: "dc2", Rack: "r", Release: "5.0.9",
		Tokens: []token.Token{token.FromInt64(50), token.FromInt64(-50)}}
	for what, change := range map[string]func(*Node){
		"no tokens":            func(n *Node) { n.Tokens = nil },
		"no rack":              func(n *Node) { n.Rack = "" },
		"no address":           func(n *Node) { n.Native = helenus.Endpoint{} },
		"another's token":      func(n *Node) { n.Tokens = []token.Token{token.FromInt64(0)} },
		"another's address":    func(n *Node) { n.Broadcast = s.Nodes[0].Broadcast },
		"no host id":           func(n *Node) { n.HostID = helenus.HostID{} },
		"another's datacenter": func(n *Node) { n.HostID = s.Nodes[0].HostID },
	} {
		bad := node
		change(&bad)
		if _, err := Apply(s, Register{bad}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := Apply(s, Register{node}); err == nil || !strings.Contains(err.Error(), "upgrade it") {
		t.Errorf("a node of level 0: %v", err)
	}
	node.Level = 1
	two := must(t, s, Register{node})
	if two.Level != 1 || len(two.Topology.Tokens()) != 3 || two.Placement("system_auth") == s.Placement("system_auth") {
		t.Errorf("two nodes: level %d, %d tokens", two.Level, len(two.Topology.Tokens()))
	}
	if same := must(t, two, Register{node}); same != two {
		t.Error("registering again made an epoch")
	}
	c := must(t, two, CreateKeyspace{"ks", false, []Property{{Name: "replication", IsMap: true,
		Map: map[string]string{"class": "NetworkTopologyStrategy", "replication_factor": "1"}}}})
	if got := c.Schema.Keyspaces["ks"].Replication.Options; len(got) != 2 || got["dc2"] != "1" || got["datacenter1"] != "1" {
		t.Errorf("expanded to %v", got)
	}
	if len(c.Placement("ks").Replicas(token.FromInt64(1))) != 2 || c.Placement("system_auth") != two.Placement("system_auth") {
		t.Error("placements")
	}
}

func TestVoters(t *testing.T) {
	s := founded(t)
	if !slices.Equal(s.Voters, []helenus.HostID{{7}}) || EncodeState(nil, s)[0] != 1 {
		t.Errorf("voters of the first member: %v", s.Voters)
	}
	if _, err := Apply(s, Recover{helenus.HostID{7}, GroupID{1}}); err == nil || !strings.Contains(err.Error(), "feature level 2") {
		t.Errorf("a change above the feature level: %v", err)
	}
	s = votedState(t)
	one, three := []helenus.HostID{{8}}, s.Voters
	for what, c := range map[string]Change{
		"two voters":           SetVoters{three[:2], GroupID{2}},
		"a voter out of order": SetVoters{[]helenus.HostID{{9}, {8}, {7}}, GroupID{2}},
		"a voter twice":        SetVoters{[]helenus.HostID{{7}, {7}, {8}}, GroupID{2}},
		"no member":            SetVoters{[]helenus.HostID{{6}}, GroupID{2}},
		"the group again":      SetVoters{one, s.Group},
		"no group":             SetVoters{one, GroupID{}},
		"recovery by nobody":   Recover{helenus.HostID{6}, GroupID{2}},
		"recovery, no group":   Recover{helenus.HostID{7}, GroupID{}},
	} {
		if _, err := Apply(s, c); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if same := must(t, s, SetVoters{three, GroupID{2}}); same != s {
		t.Error("the same voters made an epoch")
	}
	older := *s.Node(helenus.HostID{8})
	older.Level = 1
	if _, err := Apply(s, Register{older}); err == nil {
		t.Error("a member went back to an older build")
	}
	next := must(t, s, SetVoters{one, GroupID{2}})
	if !next.IsVoter(helenus.HostID{8}) || next.IsVoter(helenus.HostID{7}) || next.Epoch != s.Epoch+1 {
		t.Errorf("voters %v at epoch %d", next.Voters, next.Epoch)
	}
	back := must(t, s, Recover{helenus.HostID{9}, GroupID{3}})
	if back.Epoch != 1<<40 || back.Epoch.Incarnation() != 1 || !slices.Equal(back.Voters, []helenus.HostID{{9}}) {
		t.Errorf("recovered: voters %v at epoch %d", back.Voters, back.Epoch)
	}
	if again := must(t, must(t, back, DropTable{"ks", "t", false}), Recover{helenus.HostID{9}, GroupID{4}}); again.Epoch != 2<<40 {
		t.Errorf("recovered again: epoch %d", again.Epoch)
	}
}
