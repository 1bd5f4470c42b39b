package agent

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/report"
	"helenus/store/vfs"
)

// answer reads what the admin API says into a report.
func answer[T any](r *running, path string) T {
	r.t.Helper()
	var out T
	code, body := r.ask(path, "")
	if err := json.Unmarshal([]byte(body), &out); err != nil || code != 200 {
		r.t.Fatalf("%s: %d %s, %v", path, code, body, err)
	}
	return out
}

// Ownership is told as Cassandra's nodetool tells it.
func TestOwnership(t *testing.T) {
	r := start(t, vfs.NewMem())
	check := func(keyspace string, effective bool, share float64, note string) {
		t.Helper()
		got := answer[report.Ring](r, "/status?keyspace="+keyspace)
		m := got.Members[0]
		if got.Effective != effective || !strings.Contains(got.Note, note) || (note == "") != (got.Note == "") || *m.Owns < share-1e-9 || *m.Owns > share+1e-9 {
			t.Errorf("%q: effective %v, owns %v, note %q", keyspace, got.Effective, *m.Owns, got.Note)
		}
	}
	check("", true, 1, "")
	r.cql(keyspaceKS, strings.ReplaceAll(keyspaceKS, " ks ", " systematic "))
	check("", true, 1, "") // both alike
	r.cql("CREATE KEYSPACE three WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
	check("", false, 1, "Non-system keyspaces don't have the same replication settings")
	check("three", true, 1, "")
	check("system", false, 1, "keyspaces with LocalStrategy are meaningless")
	for _, missing := range []string{"nope", "system_views"} {
		if code, body := r.ask("/ring?keyspace="+missing, ""); code != 404 || !strings.Contains(body, "The keyspace "+missing+", does not exist") {
			t.Errorf("%s: %d %s", missing, code, body)
		}
	}
	ring := answer[report.Ring](r, "/ring").Members[0]
	if len(ring.Tokens) != 4 || ring.TokenCount != 4 || ring.Liveness != report.Up || ring.Movement != report.Normal {
		t.Errorf("%+v", ring)
	}
}

func TestReportsOfOneNode(t *testing.T) {
	r := start(t, vfs.NewMem())
	r.cql(keyspaceKS, "CREATE TABLE ks.t (k int PRIMARY KEY, v text)", "INSERT INTO ks.t (k, v) VALUES (1, 'one')")
	before := answer[report.Info](r, "/info")
	if code, body := r.ask("/flush", `{}`); code != 200 {
		t.Fatal(code, body)
	}
	info := answer[report.Info](r, "/info")
	if before.LoadBytes != 0 || before.Repaired != 1 || info.LoadBytes == 0 || info.UncompressedLoadBytes == 0 || info.Repaired != 0 {
		t.Errorf("load %d and %d, repaired %v and %v", before.LoadBytes, info.LoadBytes, before.Repaired, info.Repaired)
	}
	var caches []string
	for _, c := range info.Caches {
		caches = append(caches, c.Name)
	}
	if !info.NativeActive || !info.GossipActive || len(info.Tokens) != 4 || !slices.Equal(caches, []string{"key", "row", "counter", "chunk", "network"}) {
		t.Errorf("%+v", info)
	}
	c := answer[report.Cluster](r, "/cluster")
	if c.Live != 1 || c.Unreachable != 0 || c.Name != "assembled" || fmt.Sprint(c.Datacenters) != "[{datacenter1 1 0}]" || len(c.Schemas) != 1 {
		t.Errorf("%+v", c)
	}
	for _, ks := range c.Keyspaces {
		if ks.Name == "system_views" || ks.Name == "ks" && ks.Options["replication_factor"] != "1" {
			t.Errorf("%+v", ks)
		}
	}
	if got := answer[report.Ready](r, "/ready"); got.PID != 7 || got.CQLAddress != r.Address() {
		t.Errorf("%+v", got)
	}
	if got := answer[report.Version](r, "/version"); got.Build != "test" {
		t.Errorf("%+v", got)
	}
}

func TestEndpoints(t *testing.T) {
	r := start(t, vfs.NewMem())
	r.cql(keyspaceKS, `CREATE TABLE ks."T" (a text, b int, PRIMARY KEY ((a, b)))`, "CREATE TABLE ks.i (k int PRIMARY KEY)")
	for _, tt := range []struct {
		keyspace, table, key string
		code                 int
		want                 string
	}{
		{"ks", "i", "5", 200, `["127.0.0.1"]`},
		{"ks", "T", "a:5", 200, `["127.0.0.1"]`},
		{"ks", "T", `a\:b:5`, 200, `["127.0.0.1"]`},
		{"ks", "T", "a:b:5", 400, "has 2 columns, joined by colons"},
		{"ks", "T", "a", 400, "has 2 columns, joined by colons"},
		{"ks", "i", "x", 400, "column k: "},
		{"ks", "t", "a:5", 404, "Unknown table 't' in keyspace 'ks'"},
		{"nope", "t", "5", 404, "Unknown keyspace 'nope'"},
		{"system_views", "settings", "x", 400, "is virtual"},
	} {
		q := url.Values{"keyspace": {tt.keyspace}, "table": {tt.table}, "key": {tt.key}}
		if code, body := r.ask("/endpoints?"+q.Encode(), ""); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s.%s %s: %d %s", tt.keyspace, tt.table, tt.key, code, body)
		}
	}
}

func TestParseKey(t *testing.T) {
	text, num := &schema.Column{Name: "a", Type: types.Native(types.Text)}, &schema.Column{Name: "b", Type: types.Native(types.Int)}
	blob := &schema.Column{Name: "c", Type: types.Native(types.Blob)}
	for _, tt := range []struct {
		columns []*schema.Column
		key     string
		want    string
	}{
		{[]*schema.Column{text}, "a:b", "a:b"},
		{[]*schema.Column{blob}, "0xff00", "\xff\x00"},
		{[]*schema.Column{blob}, "ff00", "\xff\x00"},
		{[]*schema.Column{text, num}, `x\:y\:5:7`, "\x00\x05x:y:5\x00\x00\x04\x00\x00\x00\x07\x00"},
		{[]*schema.Column{text, num}, `x\y:7`, "\x00\x03x\\y\x00\x00\x04\x00\x00\x00\x07\x00"},
	} {
		got, err := parseKey(&schema.Table{Keyspace: "ks", Name: "t", PartitionKey: tt.columns}, tt.key)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.key, got, err, tt.want)
		}
	}
}

// Flush and compact reach the tables they name, and no others.
func TestTablesOfOperations(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, disk)
	r.cql(keyspaceKS, "CREATE TABLE ks.a (k int PRIMARY KEY)", "CREATE TABLE ks.b (k int PRIMARY KEY)")
	files := func() string {
		out := ""
		for _, info := range r.store.Tables() {
			if info.Table.Keyspace == "ks" {
				out += fmt.Sprintf("%s %d ", info.Table.Name, info.Files)
			}
		}
		return out
	}
	names := func() string { // in the order of Tables, which is that of random ids
		all := strings.Fields(files())
		return strings.Join(slices.Sorted(slices.Values([]string{all[0] + all[1], all[2] + all[3]})), " ")
	}
	for i := range 2 {
		r.cql(fmt.Sprintf("INSERT INTO ks.a (k) VALUES (%d)", i), fmt.Sprintf("INSERT INTO ks.b (k) VALUES (%d)", i))
		if code, body := r.ask("/flush", `{"keyspace": "ks", "tables": ["a"]}`); code != 200 {
			t.Fatal(code, body)
		}
	}
	if got := names(); got != "a2 b0" {
		t.Errorf("after two flushes of a: %s", got)
	}
	code, body := r.ask("/compact", `{"keyspace": "ks"}`)
	var job report.Job
	if err := json.Unmarshal([]byte(body), &job); err != nil || code >= 300 {
		t.Fatal(code, body, err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for job.State == report.Running {
		<-tick.C
		job = answer[report.Job](r, "/jobs/"+job.ID)
	}
	if got := names(); job.State != report.Done || job.Done != 2 || got != "a1 b1" {
		t.Errorf("after the compaction: %s, %+v", got, job)
	}
	for _, tt := range []struct{ body, want string }{
		{`{"keyspace": "nope"}`, "Keyspace [nope] does not exist."},
		{`{"keyspace": "system_views"}`, "Keyspace [system_views] does not exist."},
		{`{"keyspace": "ks", "tables": ["c"]}`, "Unknown keyspace/cf pair (ks.c)"},
	} {
		if code, body := r.ask("/flush", tt.body); code != 404 || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s", tt.body, code, body)
		}
	}
	r.stop()
	if jobs := answer[report.Jobs](start(t, disk), "/jobs").Jobs; len(jobs) != 1 || jobs[0].ID != job.ID || jobs[0].State != report.Done {
		t.Errorf("after a restart: %+v", jobs)
	}
}
