package coord

import (
	"net/netip"
	"testing"

	"helenus"
	"helenus/agent/replica"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/row"
)

// echo is a replica that has nothing and completes at once.
type echo struct{ err error }

func (e *echo) Write(w *replica.Write) {
	w.Err = e.err
	w.Owner.Written(w)
}

func (e *echo) Read(_ *row.Command, c replica.Consumer) { c.ReadDone(e.err) }

type noTables struct{}

func (noTables) Owns(*schema.Table) bool                       { return false }
func (noTables) Read(*row.Command) (row.Partitions, error)     { return nil, nil }
func (noTables) Elsewhere(*row.Command) (helenus.HostID, bool) { return helenus.HostID{}, false }

// counter counts completions.
type counter struct{ writes, reads int }

func (n *counter) WriteDone(*Write)                { n.writes++ }
func (n *counter) ReadDone(*Read)                  { n.reads++ }
func (n *counter) Partitions(row.Partitions) error { return nil }

// oneNode is a cluster of this node with keyspace ks.
func oneNode(t *testing.T, self helenus.HostID) *meta.State {
	t.Helper()
	s := meta.New(nil)
	at := netip.MustParseAddrPort("127.0.0.1:7000")
	for _, c := range []meta.Change{
		meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "test", Partitioner: token.Murmur3Partitioner{}.Name()},
		meta.Register{Node: meta.Node{HostID: self, Broadcast: at, Listen: at, Native: at, Datacenter: "dc", Rack: "r",
			Tokens: []token.Token{token.FromInt64(0)}, Level: meta.CurrentLevel}},
		meta.CreateKeyspace{Name: "ks", Properties: []meta.Property{{Name: "replication", IsMap: true,
			Map: map[string]string{"class": "SimpleStrategy", "replication_factor": "1"}}}},
	} {
		var err error
		if s, err = meta.Apply(s, c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestAllocations(t *testing.T) {
	self := helenus.HostID{1}
	e, n := new(echo), new(counter)
	c := New(Options{Self: self, Datacenter: "dc", Partition: token.Murmur3Partitioner{}, Replica: e, Tables: noTables{}})
	state := oneNode(t, self)
	key := row.Key{Bytes: []byte("key")}
	w := &Write{State: state, Targets: []Target{{"ks", key}}, Consistency: helenus.LocalOne, Done: n}
	r := &Read{State: state, Consistency: helenus.LocalOne, Done: n,
		Command: &row.Command{Table: &schema.Table{Keyspace: "ks", Name: "t"}, Keys: []row.Key{key}}}
	for name, do := range map[string]func(){"write": func() { c.Write(w) }, "read": func() { c.Read(r) }} {
		if got := testing.AllocsPerRun(500, do); got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	if w.Err != nil || r.Err != nil || n.writes != 501 || n.reads != 501 {
		t.Errorf("%+v: %v, %v", n, w.Err, r.Err)
	}
	// What is kept for the next request must not bring an old error along.
	e.err = helenus.Errorf(helenus.CodeServer, "broken")
	c.Write(w)
	c.Read(r)
	if w.Err == nil || r.Err == nil {
		t.Errorf("no error: %v, %v", w.Err, r.Err)
	}
	e.err = nil
	c.Write(w)
	c.Read(r)
	if w.Err != nil || r.Err != nil {
		t.Errorf("an error of another request: %v, %v", w.Err, r.Err)
	}
}
