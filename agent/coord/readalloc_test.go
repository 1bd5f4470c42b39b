//go:build !race

package coord

import (
	"testing"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
)

// noWire reaches nobody.
type noWire struct{}

func (noWire) Call(_ wire.Target, c *wire.Call) { c.Owner.Answered(c) }

// TestReadsHereAllocate nothing though there are other nodes.
func TestReadsHereAllocate(t *testing.T) {
	self := helenus.HostID{1}
	n := new(counter)
	c := New(Options{Self: self, Datacenter: "dc", Partition: token.Murmur3Partitioner{}, Replica: new(echo), Tables: noTables{}, Wire: noWire{}})
	key := row.Key{Bytes: []byte("key")}
	open := row.Bound{Open: true}
	for name, cmd := range map[string]*row.Command{
		"by key": {Table: &schema.Table{Keyspace: "ks", Name: "t"}, Keys: []row.Key{key}},
		"all":    {Table: &schema.Table{Keyspace: "ks", Name: "t"}, Start: open, End: open},
	} {
		r := &Read{State: oneNode(t, self), Consistency: helenus.LocalOne, Done: n, Command: cmd}
		if got := testing.AllocsPerRun(500, func() { c.Read(r) }); got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if n.reads != 1002 {
		t.Errorf("%d reads", n.reads)
	}
}
