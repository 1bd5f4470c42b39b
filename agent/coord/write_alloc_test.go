//go:build !race

package coord

import (
	"fmt"
	"testing"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/token"
)

// answering is a network of replicas that say yes at once.
type answering struct{}

// Call implements Caller.
func (answering) Call(_ wire.Target, call *wire.Call) {
	call.Err = nil
	call.Owner.Answered(call)
}

// TestWriteAllocations: a write over three replicas allocates nothing here.
func TestWriteAllocations(t *testing.T) {
	c := &nodes{TB: t}
	state := c.metadata(spec{places: "dc1/r1 dc1/r2 dc1/r3 dc2/r1", keyspaces: map[string]string{"ks": "dc1:3 dc2:1"}})
	c.state = state
	n := new(counter)
	o := Options{Self: hostID(0), Datacenter: "dc1", Partition: token.Murmur3Partitioner{}, Replica: new(echo), Tables: noTables{}, Wire: answering{}, Liveness: everybody{}}
	coord := New(o)
	w, _ := benched(c, "ks")
	w.Done = n
	coord.Write(w)
	if got := testing.AllocsPerRun(500, func() { coord.Write(w) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
	if w.Err != nil || n.writes < 500 {
		t.Errorf("%d writes, %v", n.writes, w.Err)
	}
}

type everybody struct{}

// Alive implements Liveness.
func (everybody) Alive(helenus.HostID) bool { return true }

// TestLocalWriteAllocations: what only this node holds takes the short way, in a
// cluster of several nodes too.
func TestLocalWriteAllocations(t *testing.T) {
	c := &nodes{TB: t}
	c.state = c.metadata(spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "1"}})
	coord := New(Options{Self: hostID(0), Datacenter: "dc1", Partition: token.Murmur3Partitioner{}, Replica: new(echo), Tables: noTables{}, Wire: unreachable{t}, Liveness: everybody{}})
	w, _ := c.newWrite(helenus.Quorum, "ks", fmt.Sprintf("partition %d\nrow 1 live=5 v=a@5", c.key(0)))
	n := new(counter)
	w.Done = n
	if got := testing.AllocsPerRun(500, func() { coord.Write(w) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
	if w.Err != nil || n.writes != 501 {
		t.Errorf("%d writes, %v", n.writes, w.Err)
	}
}

// unreachable is a network that nobody should need.
type unreachable struct{ t *testing.T }

// Call implements Caller.
func (u unreachable) Call(to wire.Target, _ *wire.Call) { u.t.Errorf("a call to %s", to) }
