package system

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/types"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/row"
)

var self = helenus.HostID{7}

// testState is a cluster of one node with a keyspace of a user's.
func testState(t testing.TB, more ...meta.Change) *meta.State {
	t.Helper()
	local, replicated, err := Keyspaces()
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("127.0.9.1:7000")
	native := netip.MustParseAddrPort("127.0.9.1:9042")
	num, text := types.Native(types.Int), types.Native(types.Text)
	s := meta.New(local)
	for _, c := range append([]meta.Change{
		meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "peer", Partitioner: token.Murmur3Partitioner{}.Name()},
		meta.Install{Keyspaces: replicated},
		meta.Register{Node: meta.Node{HostID: self, Broadcast: at, Listen: at, Native: native, Datacenter: "datacenter1",
			Rack: "rack1", Tokens: []token.Token{token.FromInt64(-9), token.FromInt64(10)}, Release: helenus.ReleaseVersion}},
		meta.CreateKeyspace{Name: "Ks", Properties: []meta.Property{{Name: "replication", IsMap: true,
			Map: map[string]string{"class": "SimpleStrategy", "replication_factor": "1"}}}},
		meta.CreateType{Keyspace: "Ks", Name: "u", Fields: []meta.ColumnDef{{Name: "a", Type: num}}},
		meta.CreateTable{Keyspace: "Ks", Name: "t", ID: [16]byte{4}, KeyClauses: 1, PartitionKey: []string{"k", "l"}, Clustering: []string{"c"},
			Order: []meta.Order{{Column: "c", Descending: true}}, Columns: []meta.ColumnDef{{Name: "k", Type: num}, {Name: "l", Type: num},
				{Name: "c", Type: num}, {Name: "s", Type: text, Static: true}, {Name: "v", Type: text}, {Name: "w", Type: text}}},
		meta.DropColumns{Keyspace: "Ks", Table: "t", Names: []string{"w"}, Micros: 1700000000000000},
	}, more...) {
		if s, err = meta.Apply(s, c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func testTables(t testing.TB, s *meta.State) *Tables {
	return NewTables(Env{State: func() *meta.State { return s }, Self: self, Generation: 5, Snitch: "SimpleSnitch",
		TruncatedAt: func() map[[16]byte][]byte { return map[[16]byte][]byte{{2}: {8}, {1}: {9}} }})
}

// TestDescribeSystem compares all system tables with testdata/describe.txt,
// which is DESCRIBE KEYSPACE of each system keyspace of Cassandra 5.0.9 (create
// statements only, without the index on system.paxos).
func TestDescribeSystem(t *testing.T) {
	s := testState(t)
	var got strings.Builder
	for _, ks := range strings.Fields("system system_schema system_auth system_distributed system_traces system_views system_virtual_schema") {
		d, err := testTables(t, s).Describe(s, "", &parse.Describe{What: parse.DescribeKeyspace, Name: parse.QualifiedName{Name: ks}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range d.Rows {
			got.WriteString(string(r[3]) + "\n")
		}
	}
	compare(t, "testdata/describe.txt", strings.Split(got.String(), "\n"))
}

func compare(t *testing.T, path string, got []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(raw), "\n")
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s:%d: missing %s", path, i+1, want[i])
		case i >= len(want) || got[i] != want[i]:
			t.Fatalf("%s:%d:\ngot  %s\nwant %s", path, i+1, got[i], append(want, "nothing")[i])
		}
	}
}

func show(v any) string {
	switch v := v.(type) {
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case []byte:
		return string(v)
	case map[string]string:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+": "+v[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case [16]byte:
		return helenus.HostID(v).String()
	}
	return fmt.Sprint(v)
}

// TestSchemaTables compares what system_schema and system_virtual_schema say of
// the system with testdata/schema.txt: SELECT * of their tables on Cassandra
// 5.0.9, one line a row, columns sorted, nulls left out, lines sorted.
func TestSchemaTables(t *testing.T) {
	tables := testTables(t, testState(t))
	var got []string
	for _, name := range strings.Fields("system_schema.keyspaces system_schema.tables system_schema.columns " +
		"system_virtual_schema.keyspaces system_virtual_schema.tables system_virtual_schema.columns") {
		for _, rec := range tables.sources[name]() {
			if !strings.HasPrefix(rec["keyspace_name"].(string), "system") {
				continue
			}
			line := name
			for _, c := range slices.Sorted(maps.Keys(rec)) {
				line += " " + c + "=" + show(rec[c])
			}
			got = append(got, line)
		}
	}
	slices.Sort(got)
	compare(t, "testdata/schema.txt", append(got, ""))
}

// read renders a command's answer as text.
func read(t *testing.T, tables *Tables, cmd *row.Command) string {
	t.Helper()
	if !tables.Owns(cmd.Table) {
		t.Fatalf("%s is not owned", cmd.Table.QualifiedName())
	}
	ps, err := tables.Read(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer ps.Close()
	var out []string
	for {
		p, err := ps.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			return strings.Join(out, "\n")
		}
		out = append(out, fmt.Sprintf("partition %q", p.Key().Bytes))
		for {
			u, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			if u == nil {
				break
			}
			line := fmt.Sprintf(" row %q", u.Row.Clustering.Values)
			for _, c := range u.Row.Cells {
				line += fmt.Sprintf(" %s[%s]=%q", cmd.Table.Regulars[c.Column].Name, c.Path, c.Value)
			}
			out = append(out, line)
		}
	}
}

func command(s *meta.State, keyspace, table string, keys ...string) *row.Command {
	cmd := &row.Command{Table: s.Schema.Find(keyspace, table), Filter: row.Filter{Slices: row.AllRows()},
		Start: row.Bound{Open: true}, End: row.Bound{Open: true}}
	for _, k := range keys {
		cmd.Keys = append(cmd.Keys, row.Key{Prefix: s.Partitioner.Prefix([]byte(k)), Bytes: []byte(k)})
	}
	return cmd
}

func TestRead(t *testing.T) {
	s := testState(t)
	tables := testTables(t, s)
	local := read(t, tables, command(s, "system", "local", "local"))
	for _, want := range []string{`partition "local"`, `cluster_name[]="peer"`, `tokens[-9]="" tokens[10]=""`, `rpc_port[]="\x00\x00#R"`,
		`broadcast_address[]="\x7f\x00\t\x01"`, `gossip_generation[]="\x00\x00\x00\x05"`, `release_version[]="5.0.9"`,
		`truncated_at[` + "\x01" + strings.Repeat("\x00", 15) + `]="\t" truncated_at[` + "\x02"} {
		if !strings.Contains(local, want) {
			t.Errorf("system.local lacks %s:\n%s", want, local)
		}
	}
	if n := strings.Count(local, "[]="); n != 17 { // and tokens, truncated_at
		t.Errorf("system.local has %d simple cells", n)
	}
	for _, table := range []string{"peers", "peers_v2", "size_estimates", "built_views"} {
		if got := read(t, tables, command(s, "system", table)); got != "" {
			t.Errorf("system.%s: %s", table, got)
		}
	}
	tableRow := read(t, tables, command(s, "system_schema", "tables", "Ks", "nope"))
	if strings.Count(tableRow, "partition \"") != 1 || !strings.Contains(tableRow, `flags[]="\x00\x00\x00\x01\x00\x00\x00\bcompound"`) {
		t.Errorf("system_schema.tables of Ks:\n%s", tableRow)
	}
	cmd := command(s, "system_schema", "columns", "Ks")
	cmd.Filter.Reversed = true
	if got := read(t, tables, cmd); strings.Count(got, " row ") != 5 || strings.Index(got, "tv") > strings.Index(got, "tk") {
		t.Errorf("reversed columns of Ks:\n%s", got)
	}
	_, start := row.AppendBound(nil, cmd.Table, [][]byte{[]byte("t"), []byte("l")}, false)
	cmd.Filter.Slices = []row.Slice{{Start: start.Order}}
	if got := read(t, tables, cmd); strings.Count(got, " row ") != 3 {
		t.Errorf("columns of Ks from l on:\n%s", got)
	}
	if got := read(t, tables, command(s, "system_schema", "keyspaces")); strings.Count(got, "partition") != 6 {
		t.Errorf("keyspaces:\n%s", got)
	}
	if got := read(t, tables, command(s, "system_schema", "dropped_columns")); !strings.Contains(got, `kind[]="regular" type[]="text"`) {
		t.Errorf("dropped columns:\n%s", got)
	}
	if tables.Owns(s.Schema.Find("Ks", "t")) || tables.Owns(s.Schema.Find("system_auth", "roles")) {
		t.Error("owns what the store holds")
	}
}

func TestPeersAreWhole(t *testing.T) {
	at := func(s string) helenus.Endpoint { return netip.MustParseAddrPort(s) }
	s := testState(t, meta.Register{Node: meta.Node{HostID: helenus.HostID{9}, Broadcast: at("127.0.9.2:7000"), Listen: at("127.0.9.2:7000"),
		Native: at("127.0.9.2:9042"), Datacenter: "dc2", Rack: "r", Tokens: []token.Token{token.FromInt64(3)}, Release: "5.0.9"}})
	tables := testTables(t, s)
	for table, cells := range map[string]int{"peers": 7, "peers_v2": 9} {
		got := read(t, tables, command(s, "system", table))
		if strings.Count(got, "partition") != 1 || strings.Count(got, "[]=") != cells || !strings.Contains(got, `tokens[3]=""`) {
			t.Errorf("%s:\n%s", table, got)
		}
	}
}

func TestViewsAndTraces(t *testing.T) {
	s := testState(t)
	traces := NewTraces(netip.MustParseAddrPort("127.0.9.1:7000"))
	tables := NewTables(Env{State: func() *meta.State { return s }, Self: self, Traces: traces, Views: map[string]func() []Record{
		"system_views.settings": func() []Record { return []Record{{"name": "b", "value": "2"}, {"name": "a", "value": nil}} },
		"system_views.clients":  func() []Record { return []Record{{"address": 5}} },
	}})
	if got := read(t, tables, command(s, "system_views", "settings")); strings.Count(got, "partition") != 2 || !strings.Contains(got, `value[]="2"`) {
		t.Errorf("settings:\n%s", got)
	}
	if _, err := tables.Read(command(s, "system_views", "clients")); err == nil {
		t.Error("a number was taken for an address")
	}
	start := time.UnixMilli(1700000000000)
	for i := range traceCountMax + 5 {
		tr := traces.Start(Session{ID: [16]byte{byte(i >> 8), byte(i)}, Client: netip.MustParseAddr("127.0.0.1"), Command: "QUERY",
			Request: "Execute CQL3 query", Parameters: map[string]string{"query": "SELECT"}, Started: start})
		tr.Event(start.Add(time.Millisecond), "first")
		tr.Event(start.Add(time.Millisecond), "second")
		tr.Finish(start.Add(2 * time.Millisecond))
	}
	id := string(append([]byte{3, 0xec}, make([]byte, 14)...))
	session := read(t, tables, command(s, "system_traces", "sessions", id))
	if !strings.Contains(session, `duration[]="\x00\x00\a\xd0"`) || !strings.Contains(session, `parameters[query]="SELECT"`) {
		t.Errorf("session:\n%s", session)
	}
	events := read(t, tables, command(s, "system_traces", "events", id))
	if first, second := strings.Index(events, "first"), strings.Index(events, "second"); first < 0 || second < first {
		t.Errorf("events:\n%s", events)
	}
	if got := read(t, tables, command(s, "system_traces", "sessions")); strings.Count(got, "partition") != traceCountMax {
		t.Errorf("%d sessions are remembered", strings.Count(got, "partition"))
	}
}

func TestDescribe(t *testing.T) {
	s := testState(t)
	tables := testTables(t, s)
	name := func(parts ...string) parse.QualifiedName {
		if len(parts) == 1 {
			return parse.QualifiedName{Name: parts[0]}
		}
		return parse.QualifiedName{Keyspace: parts[0], Name: parts[1]}
	}
	for _, c := range []struct {
		d    parse.Describe
		use  string
		want string
	}{
		{parse.Describe{What: parse.DescribeKeyspaces}, "", `"Ks"/keyspace/"Ks" system/keyspace/system system_auth/keyspace/system_auth ` +
			`system_distributed/keyspace/system_distributed system_schema/keyspace/system_schema system_traces/keyspace/system_traces ` +
			`system_views/keyspace/system_views system_virtual_schema/keyspace/system_virtual_schema`},
		{parse.Describe{What: parse.DescribeTables}, "Ks", `"Ks"/table/t`},
		{parse.Describe{What: parse.DescribeTypes}, "", `"Ks"/type/u`},
		{parse.Describe{What: parse.DescribeFunctions}, "", ""},
		{parse.Describe{What: parse.DescribeSchema}, "", `"Ks"/keyspace/"Ks" "Ks"/type/u "Ks"/table/t`},
		{parse.Describe{What: parse.DescribeKeyspace, Only: true}, "Ks", `"Ks"/keyspace/"Ks"`},
		{parse.Describe{What: parse.DescribeGeneric, Name: name("Ks")}, "", `"Ks"/keyspace/"Ks" "Ks"/type/u "Ks"/table/t`},
		{parse.Describe{What: parse.DescribeGeneric, Name: name("t")}, "Ks", `"Ks"/table/t`},
		{parse.Describe{What: parse.DescribeTable, Name: name("Ks", "t")}, "", `"Ks"/table/t`},
		{parse.Describe{What: parse.DescribeType, Name: name("u")}, "Ks", `"Ks"/type/u`},
		{parse.Describe{What: parse.DescribeKeyspace, Name: name("nope")}, "", `'nope' not found in keyspaces`},
		{parse.Describe{What: parse.DescribeKeyspace}, "", `No keyspace specified and no current keyspace`},
		{parse.Describe{What: parse.DescribeTable, Name: name("t")}, "", `No keyspace specified and no current keyspace`},
		{parse.Describe{What: parse.DescribeTable, Name: name("Ks", "nope")}, "", `Table 'nope' not found in keyspace 'Ks'`},
		{parse.Describe{What: parse.DescribeType, Name: name("Ks", "nope")}, "", `User defined type 'nope' not found in 'Ks'`},
		{parse.Describe{What: parse.DescribeFunction, Name: name("Ks", "nope")}, "", `User defined function 'nope' not found in 'Ks'`},
		{parse.Describe{What: parse.DescribeAggregate, Name: name("Ks", "nope")}, "", `User defined aggregate 'nope' not found in 'Ks'`},
		{parse.Describe{What: parse.DescribeIndex, Name: name("Ks", "nope")}, "", `Table for existing index 'nope' not found in 'Ks'`},
		{parse.Describe{What: parse.DescribeView, Name: name("Ks", "nope")}, "", `Materialized view 'nope' not found in 'Ks'`},
		{parse.Describe{What: parse.DescribeGeneric, Name: name("Ks", "nope")}, "", `'nope' not found in keyspace 'Ks'`},
		{parse.Describe{What: parse.DescribeGeneric, Name: name("u")}, "Ks", `'u' not found in keyspace 'Ks'`},
		{parse.Describe{What: parse.DescribeGeneric, Name: name("nope")}, "", `'nope' not found in keyspaces`},
	} {
		var got []string
		d, err := tables.Describe(s, c.use, &c.d)
		if err != nil {
			got = []string{err.Error()}
		} else {
			for _, r := range d.Rows {
				got = append(got, fmt.Sprintf("%s/%s/%s", r[0], r[1], r[2]))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v using %q: %s, want %s", c.d, c.use, strings.Join(got, " "), c.want)
		}
	}
	d, err := tables.Describe(s, "Ks", &parse.Describe{What: parse.DescribeCluster})
	if err != nil || len(d.Columns) != 4 || string(d.Rows[0][1]) != "Murmur3Partitioner" || !strings.Contains(string(d.Rows[0][3]), "/127.0.9.1:7000") {
		t.Errorf("cluster: %v %v", d, err)
	}
}
