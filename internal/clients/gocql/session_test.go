// Package suite holds what the Go driver with its default settings must find
// on a node. Its nouns are those of the driver: session, statement, iterator.
// The runner in internal/clients calls it with a node's address in
// HELENUS_CQL; it passes unchanged against Apache Cassandra. It is a module of
// its own, so that the driver never becomes a dependency of the product.
package suite

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/cassandra-gocql-driver/v2"
)

// patience bounds every wait for the other side.
const patience = time.Minute

// cluster is the driver's default configuration for the node under test.
func cluster(t *testing.T) *gocql.ClusterConfig {
	t.Helper()
	addr := os.Getenv("HELENUS_CQL")
	if addr == "" {
		t.Skip("SKIP: HELENUS_CQL names no node")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := gocql.NewCluster(host)
	if cfg.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func connect(t *testing.T, cfg *gocql.ClusterConfig) *gocql.Session {
	t.Helper()
	s, err := cfg.CreateSession()
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// open gives a session in a keyspace of its own, which goes with the test.
func open(t *testing.T) (*gocql.Session, string) {
	t.Helper()
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		t.Fatal(err)
	}
	keyspace := "gocql_" + hex.EncodeToString(id[:])
	cfg := cluster(t)
	first := connect(t, cfg)
	must(t, first, "CREATE KEYSPACE "+keyspace+" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
	t.Cleanup(func() { must(t, first, "DROP KEYSPACE "+keyspace) })
	cfg = cluster(t)
	cfg.Keyspace = keyspace
	return connect(t, cfg), keyspace
}

func must(t *testing.T, s *gocql.Session, statement string, args ...any) {
	t.Helper()
	if err := s.Query(statement, args...).Exec(); err != nil {
		t.Fatalf("%s %v: %v", statement, args, err)
	}
}

// supported leaves a test out when the node says that it lacks what is tested.
func supported(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.HasPrefix(err.Error(), "not supported yet") {
		t.Skipf("SKIP: the node says %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rows reads everything a statement gives; a null is nil.
func rows(t *testing.T, q *gocql.Query) [][]any {
	t.Helper()
	iter := q.Iter()
	var all [][]any
	for {
		var into []any
		for _, c := range iter.Columns() {
			// Two pointers: the driver leaves the inner one nil for a null.
			into = append(into, reflect.New(reflect.PointerTo(reflect.TypeOf(c.TypeInfo.Zero()))).Interface())
		}
		if !iter.Scan(into...) {
			break
		}
		var cells []any
		for _, p := range into {
			if v := reflect.ValueOf(p).Elem(); v.IsNil() {
				cells = append(cells, nil)
			} else {
				cells = append(cells, v.Elem().Interface())
			}
		}
		all = append(all, cells)
	}
	if err := iter.Close(); err != nil {
		t.Fatalf("%s: %v", q.Statement(), err)
	}
	return all
}

// want compares what a statement gives with the text of the rows.
func want(t *testing.T, s *gocql.Session, text, statement string, args ...any) {
	t.Helper()
	if got := fmt.Sprint(rows(t, s.Query(statement, args...))); got != text {
		t.Errorf("%s %v\n got %s\nwant %s", statement, args, got, text)
	}
}

// eventually polls until ok, and says what did not come about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestMetadata(t *testing.T) {
	s, keyspace := open(t)
	must(t, s, "CREATE TABLE meta (a int, b text, c timestamp, d uuid, s text static, m map<text, frozen<list<int>>>, "+
		"v int, PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)")
	var table *gocql.TableMetadata
	eventually(t, "metadata of the table", func() bool {
		ks, err := s.KeyspaceMetadata(keyspace)
		if err != nil {
			t.Fatal(err)
		}
		if ks.StrategyClass != "org.apache.cassandra.locator.SimpleStrategy" || !ks.DurableWrites ||
			fmt.Sprint(ks.StrategyOptions["replication_factor"]) != "1" {
			t.Fatalf("keyspace %s: %s %v %v", ks.Name, ks.StrategyClass, ks.StrategyOptions, ks.DurableWrites)
		}
		table = ks.Tables["meta"]
		return table != nil
	})
	names := func(columns []*gocql.ColumnMetadata) (all []string) {
		for _, c := range columns {
			all = append(all, fmt.Sprintf("%s %s %s", c.Name, c.Validator, c.ClusteringOrder))
		}
		return all
	}
	if got := fmt.Sprintf("%q %q", names(table.PartitionKey), names(table.ClusteringColumns)); got !=
		`["a int none" "b text none"] ["c timestamp desc" "d uuid asc"]` {
		t.Errorf("key %s", got)
	}
	if got := table.Columns["s"]; got == nil || got.Kind != gocql.ColumnStatic {
		t.Errorf("static column %+v", got)
	}
	if got := table.Columns["m"].Validator; got != "map<text, frozen<list<int>>>" {
		t.Errorf("map column %s", got)
	}
	if got := fmt.Sprint(table.OrderedColumns); got != "[a b c d m s v]" {
		t.Errorf("columns %s", got)
	}
	for ks, table := range map[string]string{"system": "local", "system_schema": "columns"} {
		if meta, err := s.KeyspaceMetadata(ks); err != nil || meta.Tables[table] == nil {
			t.Errorf("%s.%s is not in the metadata: %v", ks, table, err)
		}
	}
	if _, err := s.KeyspaceMetadata("nope"); err != gocql.ErrKeyspaceDoesNotExist {
		t.Errorf("metadata of no keyspace: %v", err)
	}
}

func TestHosts(t *testing.T) {
	s := connect(t, cluster(t))
	hosts := s.GetHosts()
	if len(hosts) != 1 {
		t.Fatalf("hosts %v", hosts)
	}
	h := hosts[0]
	if !h.IsUp() || h.HostID() == "" || h.DataCenter() == "" || h.Rack() == "" || !h.Version().AtLeast(5, 0, 0) ||
		h.Partitioner() != "org.apache.cassandra.dht.Murmur3Partitioner" || len(h.Tokens()) == 0 || h.ClusterName() == "" {
		t.Errorf("host %v", h)
	}
	for _, token := range h.Tokens() {
		if _, err := strconv.ParseInt(token, 10, 64); err != nil {
			t.Error(err)
		}
	}
}

// tables hears of tables, as "created x", "updated x" and "dropped x".
type tables struct{ heard chan string }

func (l tables) OnTableCreated(e gocql.OnTableCreatedEvent) { l.say("created", e.Table) }
func (l tables) OnTableUpdated(e gocql.OnTableUpdatedEvent) { l.say("updated", e.New) }
func (l tables) OnTableDropped(e gocql.OnTableDroppedEvent) { l.say("dropped", e.Table) }

func (l tables) say(what string, table *gocql.TableMetadata) {
	select {
	case l.heard <- what + " " + table.Keyspace + "." + table.Name:
	default: // the test fails on what is missing
	}
}

func TestSchemaEvents(t *testing.T) {
	s, keyspace := open(t)
	listener := tables{make(chan string, 1024)}
	cfg := cluster(t)
	cfg.Metadata.SchemaListener.TableChangeListener = listener
	other := connect(t, cfg)
	hear := func(what string) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case got := <-listener.heard:
				if got == what {
					return
				}
			case <-late:
				t.Fatalf("never heard of: %s", what)
			}
		}
	}
	columns := func() []string {
		ks, err := other.KeyspaceMetadata(keyspace)
		if err != nil || ks.Tables["ev"] == nil {
			return nil
		}
		return ks.Tables["ev"].OrderedColumns
	}
	must(t, s, "CREATE TABLE ev (k int PRIMARY KEY, v int)")
	hear("created " + keyspace + ".ev")
	if got := columns(); !slices.Equal(got, []string{"k", "v"}) {
		t.Errorf("columns after CREATE %v", got)
	}
	must(t, s, "ALTER TABLE ev ADD w text")
	hear("updated " + keyspace + ".ev")
	if got := columns(); !slices.Equal(got, []string{"k", "v", "w"}) {
		t.Errorf("columns after ALTER %v", got)
	}
	must(t, s, "DROP TABLE ev")
	hear("dropped " + keyspace + ".ev")
	if got := columns(); got != nil {
		t.Errorf("columns after DROP %v", got)
	}
}

// TestReconnect kills and starts the node again: the session goes on, and
// statements that it had prepared work.
func TestReconnect(t *testing.T) {
	restart := os.Getenv("HELENUS_RESTART")
	if restart == "" {
		t.Skip("SKIP: HELENUS_RESTART names no command")
	}
	s, _ := open(t)
	must(t, s, "CREATE TABLE rc (k int PRIMARY KEY, v int)")
	insert := "INSERT INTO rc (k, v) VALUES (?, ?)"
	must(t, s, insert, 1, 10)
	if out, err := exec.Command("sh", "-c", restart).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", restart, err, out)
	}
	deadline := time.Now().Add(2 * patience) // the driver tries a node again after a minute
	for {
		err := s.Query(insert, 2, 20).Exec()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no session after a restart: %v", err)
		}
		<-time.After(100 * time.Millisecond)
	}
	want(t, s, "[[10]]", "SELECT v FROM rc WHERE k = ?", 1)
	want(t, s, "[[20]]", "SELECT v FROM rc WHERE k = ?", 2)
	must(t, s, "CREATE TABLE after (k int PRIMARY KEY)")
	must(t, s, "INSERT INTO after (k) VALUES (?)", 1)
}
