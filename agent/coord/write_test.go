package coord

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/internal/meta"
	"helenus/internal/ring"
)

func codeOf(err error) (helenus.ErrorCode, *helenus.Error) {
	var told *helenus.Error
	if !errors.As(err, &told) {
		return -1, &helenus.Error{}
	}
	return told.Code, told
}

// TestWriteMatrix writes at every level with every set of dead nodes: it
// succeeds if the live ones are enough, else it is Unavailable with the numbers
// of the level.
func TestWriteMatrix(t *testing.T) {
	for _, s := range []struct {
		places, factors string
		by              map[helenus.Datacenter]int
	}{
		{"dc1/r1 dc1/r2 dc1/r3", "3", map[helenus.Datacenter]int{"dc1": 3}},
		{"dc1/r1 dc1/r2 dc1/r3", "dc1:3", map[helenus.Datacenter]int{"dc1": 3}},
		{"dc1/r1 dc1/r2", "dc1:2", map[helenus.Datacenter]int{"dc1": 2}},
		{"dc1/r1 dc1/r2 dc1/r3 dc2/r1 dc2/r2 dc2/r3", "dc1:3 dc2:3", map[helenus.Datacenter]int{"dc1": 3, "dc2": 3}},
		{"dc1/r1 dc1/r2 dc2/r1", "dc1:2 dc2:1", map[helenus.Datacenter]int{"dc1": 2, "dc2": 1}},
	} {
		t.Run(s.factors, func(t *testing.T) {
			run(t, spec{places: s.places, keyspaces: map[string]string{"ks": s.factors}}, func(c *nodes) {
				n := len(c.all)
				for dead := 0; dead < 1<<n; dead += 2 { // node 0 coordinates
					all := make([]asked, n)
					live := map[helenus.Datacenter]int{}
					for i := range all {
						all[i].dc = c.state.Node(hostID(i)).Datacenter
						c.setDead(i, dead>>i&1 == 1)
						if dead>>i&1 == 0 {
							live[all[i].dc]++
						}
					}
					for _, cl := range writeLevels {
						want := enough(cl, strings.Contains(s.factors, ":"), s.by, "dc1", all, func(i int) bool { return dead>>i&1 == 0 })
						err := c.put(0, cl, "ks", 1, int64(dead+1), "x")
						checkAvailable(t, cl, s.by, live, err, want, fmt.Sprintf("%s with %b dead", cl, dead))
					}
				}
			})
		})
	}
}

func checkAvailable(t *testing.T, cl helenus.Consistency, by, live map[helenus.Datacenter]int, err error, want bool, at string) {
	t.Helper()
	if want {
		if err != nil {
			t.Errorf("%s: %v", at, err)
		}
		return
	}
	code, told := codeOf(err)
	total, alive := 0, 0
	for dc, f := range by {
		total += f
		alive += live[dc]
	}
	required := map[helenus.Consistency]int{helenus.One: 1, helenus.Two: 2, helenus.Three: 3, helenus.Quorum: total/2 + 1, helenus.All: total,
		helenus.LocalOne: 1, helenus.LocalQuorum: by["dc1"]/2 + 1}[cl]
	if cl.IsLocal() {
		alive = live["dc1"]
	}
	if cl == helenus.EachQuorum { // the first datacenter that lacks one
		for _, dc := range []helenus.Datacenter{"dc2", "dc1"} {
			if live[dc] <= by[dc]/2 {
				required, alive = by[dc]/2+1, live[dc]
			}
		}
		if len(by) == 1 {
			required, alive = by["dc1"]/2+1, live["dc1"]
		}
	}
	if code != helenus.CodeUnavailable || told.Consistency != cl || told.Required != required || told.Alive != alive {
		t.Errorf("%s: %v (%+v), want Unavailable, required %d, alive %d", at, err, told, required, alive)
	}
}

// TestNewerEpoch: a replica that does not know the coordinator's metadata yet
// lets the write wait, and asks.
func TestNewerEpoch(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "2"}}, func(c *nodes) {
		next := c.apply(c.state, createTable("ks", "other"))
		old := c.state
		c.state = next
		w, owner := c.newWrite(helenus.All, "ks", "partition 1\nrow 1 live=5 v=a@5")
		c.all[0].coord.Write(w)
		synctest.Wait()
		if got := c.all[1].behind; !slices.Equal(got, []meta.Epoch{next.Epoch}) {
			t.Errorf("node 1 at epoch %d asked for %v", old.Epoch, got)
		}
		if len(owner.done) > 0 {
			t.Fatalf("answered before node 1 knew the metadata: %v", w.Err)
		}
		time.Sleep(time.Second)
		c.all[1].states.publish(next)
		synctest.Wait()
		if <-owner.done; w.Err != nil {
			t.Errorf("behind the change: %v", w.Err)
		}
		// It never learns: the coordinator's time is over, and so is the request.
		c.state = c.apply(next, createTable("ks", "third"))
		if code, _ := codeOf(c.put(0, helenus.All, "ks", 1, 6, "b")); code != helenus.CodeWriteTimeout {
			t.Errorf("of metadata that never comes: %x", code)
		}
		synctest.Wait()
		if ages := c.all[0].hints.ages; len(ages) != 1 || ages[0] < 2*time.Second || ages[0] > 2*time.Second+callSlack {
			t.Errorf("hinted after %v", ages)
		}
		c.all[1].states.publish(c.state)
	})
}

// TestParkedRequestsAreBounded: a replica that is behind does not gather more
// than it may, and what it gathered is done when it catches up.
func TestParkedRequestsAreBounded(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "2"}}, func(c *nodes) {
		c.state = c.apply(c.state, createTable("ks", "other"))
		const parked = 4096
		var all []*Write
		ended := make(chan *Write, parked+100)
		for range cap(ended) {
			w, _ := c.newWrite(helenus.All, "ks", "partition 1\nrow 1 live=5 v=a@5")
			w.Done = ends(ended)
			all = append(all, w)
			c.all[0].coord.Write(w)
		}
		synctest.Wait()
		if n := len(ended); n != len(all)-parked {
			t.Errorf("%d of %d writes failed", n, len(all))
		}
		for range len(ended) {
			if code, _ := codeOf((<-ended).Err); code != helenus.CodeWriteFailure {
				t.Errorf("refused with %x", code)
			}
		}
		c.all[1].states.publish(c.state)
		synctest.Wait()
		for range parked {
			if w := <-ended; w.Err != nil {
				t.Fatal(w.Err)
			}
		}
	})
}

type ends chan *Write

// WriteDone implements WriteOwner.
func (ch ends) WriteDone(w *Write) { ch <- w }

// TestUnknownTable: a replica without the table, though at the same epoch, says
// so, and that is no reason for a hint.
func TestUnknownTable(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "3"}}, func(c *nodes) {
		c.state = c.apply(c.state, meta.CreateKeyspace{Name: "new", Properties: []meta.Property{{Name: "replication", IsMap: true,
			Map: map[string]string{"class": "SimpleStrategy", "replication_factor": "3"}}}})
		c.state = c.apply(c.state, createTable("new", "t"))
		for _, n := range c.all {
			n.states.publish(c.state) // but the stores do not follow
		}
		err := c.put(0, helenus.Quorum, "new", 1, 5, "a")
		code, told := codeOf(err)
		if code != helenus.CodeWriteFailure || len(told.Failures) < 2 || told.Failures[0].Reason != replica.ReasonSchema {
			t.Errorf("%v %+v", err, told)
		}
		synctest.Wait()
		if n := c.all[0].hints.of(hostID(1)); n != 0 {
			t.Errorf("%d hints", n)
		}
	})
}

// TestPending: a node that joins gets writes before it is a replica, and is
// counted.
func TestPending(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "2"}}, func(c *nodes) {
		joining := *c.state
		joining.Nodes = slices.Clone(joining.Nodes)
		node := *joining.Nodes[2]
		node.State = ring.Joining
		joining.Nodes[2] = &node
		other := *joining.Nodes[0]
		other.Release = "another" // so that the placements are made anew
		c.state = c.apply(&joining, meta.Register{Node: other})
		for _, n := range c.all {
			n.states.publish(c.state)
		}
		key := 0
		for ; len(c.state.Placement("ks").Pending(c.all[0].coord.opts.Partition.Token(keyBytes(key)))) == 0; key++ {
		}
		if err := c.put(0, helenus.All, "ks", key, 5, "a"); err != nil {
			t.Error(err)
		}
		if got := c.holders("ks", key); got != "0 1 2" {
			t.Errorf("held by %s", got)
		}
		c.setDead(2, true)
		code, told := codeOf(c.put(0, helenus.Quorum, "ks", key, 6, "b"))
		if code != helenus.CodeUnavailable || told.Required != 3 || told.Alive != 2 {
			t.Errorf("with the pending replica dead: %+v", told)
		}
		if err := c.put(0, helenus.Any, "ks", key, 7, "c"); err != nil {
			t.Errorf("ANY, which does not count it: %v", err)
		}
	})
}

// TestOneDatacenterCopy counts what crosses to the other datacenter.
func TestOneDatacenterCopy(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc2/r1 dc2/r2 dc2/r3", keyspaces: map[string]string{"ks": "dc1:1 dc2:3"}}, func(c *nodes) {
		const size = 3000
		value := strings.Repeat("v", size)
		for i := range 20 {
			if err := c.put(0, helenus.All, "ks", i, 5, value); err != nil {
				t.Fatal(err)
			}
		}
		crossed := 0
		for _, conn := range c.net.Connections() {
			if conn.LocalAddr().String() == c.all[0].target.Addr.Addr().String()+":1" {
				crossed += conn.Sent()
			}
		}
		if crossed < 20*size || crossed > 25*size {
			t.Errorf("%d bytes went to the other datacenter for 20 writes of %d", crossed, size)
		}
	})
}

// TestWritesUnderFaults writes from everywhere while packets are lost, links are
// cut and nodes seem dead: each write ends once, within its time, and what was
// acknowledged at a level is on as many nodes.
func TestWritesUnderFaults(t *testing.T) {
	for seed := range uint64(20) {
		run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3 dc2/r1 dc2/r2", keyspaces: map[string]string{"ks": "dc1:3 dc2:2"}, latency: 3 * time.Millisecond}, func(c *nodes) {
			f := &faultRun{nodes: c, rng: rand.New(rand.NewPCG(seed, 7))}
			for range 60 {
				f.fault()
				for range f.rng.IntN(4) {
					f.begin()
				}
				time.Sleep(time.Duration(f.rng.IntN(300)) * time.Millisecond)
			}
			f.finish()
		})
	}
}

// faultRun is one run of TestWritesUnderFaults.
type faultRun struct {
	*nodes
	rng    *rand.Rand
	writes []*faultWrite
}

type faultWrite struct {
	w     *Write
	keys  []int
	began time.Time
	took  time.Duration
	ends  int
}

// WriteDone implements WriteOwner.
func (f *faultWrite) WriteDone(*Write) { f.ends, f.took = f.ends+1, time.Since(f.began) }

func (f *faultRun) fault() {
	i, j := f.rng.IntN(len(f.all)), f.rng.IntN(len(f.all))
	switch f.rng.IntN(5) {
	case 0:
		f.net.Stall(f.all[i].target.Addr.Addr(), f.all[j].target.Addr.Addr(), i != j)
	case 1:
		f.net.Break(f.all[i].target.Addr.Addr())
	case 2:
		f.setDead(i, true)
	default:
		f.setDead(i, false)
		f.cut(i, j, false)
	}
}

func (f *faultRun) begin() {
	x := &faultWrite{began: time.Now()}
	var text strings.Builder
	for range 1 + f.rng.IntN(3) {
		key := len(f.writes)*10 + len(x.keys)
		x.keys = append(x.keys, key)
		fmt.Fprintf(&text, "partition %d\nrow 1 live=5 v=a@5\n", key)
	}
	x.w, _ = f.newWrite(writeLevels[f.rng.IntN(len(writeLevels))], "ks", text.String())
	x.w.Done = x
	f.writes = append(f.writes, x)
	f.all[f.rng.IntN(len(f.all))].coord.Write(x.w)
}

func (f *faultRun) finish() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
	for _, n := range f.all {
		n.coord.acks.mu.Lock()
		if left := len(n.coord.acks.of); left != 0 || n.coord.deadlines.firstLocked() != nil {
			f.Errorf("%s still holds writes: %d wait for acknowledgements", n.target, left)
		}
		n.coord.acks.mu.Unlock()
	}
	succeeded := 0
	for _, x := range f.writes {
		if x.ends != 1 || x.took > 2*time.Second+100*time.Millisecond {
			f.Errorf("a write at %s ended %d times, after %v", x.w.Consistency, x.ends, x.took)
		}
		if x.w.Err != nil {
			continue
		}
		succeeded++
		for _, key := range x.keys {
			f.check(x, key)
		}
	}
	if succeeded == 0 || succeeded == len(f.writes) {
		f.Logf("%d of %d writes succeeded", succeeded, len(f.writes))
	}
}

func (f *faultRun) check(x *faultWrite, key int) {
	held := strings.Fields(f.holders("ks", key))
	at := map[bool]int{}
	for _, i := range held {
		at[i < "3"]++
	}
	want := map[helenus.Consistency]int{helenus.One: 1, helenus.Two: 2, helenus.Three: 3, helenus.Quorum: 3, helenus.All: 5,
		helenus.LocalOne: 1, helenus.LocalQuorum: 2, helenus.EachQuorum: 4}[x.w.Consistency]
	if len(held) < want || x.w.Consistency == helenus.EachQuorum && (at[true] < 2 || at[false] < 2) {
		f.Errorf("partition %d, acknowledged at %s, is on %v", key, x.w.Consistency, held)
	}
}

// TestMutationIsCopied: what the caller does with its bytes after the answer
// changes nothing.
func TestMutationIsCopied(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "2"}, latency: time.Millisecond}, func(c *nodes) {
		resume := c.all[0].disk.pause()
		w, owner := c.newWrite(helenus.One, "ks", "partition 1\nrow 1 live=5 v=a@5")
		c.all[0].coord.Write(w)
		<-owner.done
		clear(w.Mutation)
		resume()
		synctest.Wait()
		want := "partition 1\nrow 1 live=5 v=a@5\n"
		for i := range c.all {
			if got := c.stored(i, "ks", 1); got != want {
				t.Errorf("node %d has %q", i, got)
			}
		}
	})
}

// benched is a write of one row, made once.
func benched(c *nodes, keyspace string) (*Write, *waiter) {
	return c.newWrite(helenus.Quorum, keyspace, "partition 1\nrow 1 live=5 v="+strings.Repeat("x", 200)+"@5")
}

// BenchmarkQuorumWrite is a write at QUORUM over three nodes of one process,
// without their disks. The fake network allocates for each frame.
func BenchmarkQuorumWrite(b *testing.B) {
	c := start(b, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "3"}, periodic: true})
	defer c.close()
	for c.put(0, helenus.All, "ks", 1, 5, "a") != nil { // until the wires run
	}
	w, owner := benched(c, "ks")
	b.ReportAllocs()
	for b.Loop() {
		c.all[0].coord.Write(w)
		if <-owner.done; w.Err != nil {
			b.Fatal(w.Err)
		}
	}
}

// slowHints never have anything on disk.
type slowHints struct{ listedHints }

// StoreSynced implements Hints.
func (*slowHints) StoreSynced(helenus.HostID, *meta.State, []byte, time.Duration, func(bool)) {}

// TestAnyWaitsForHint: a write at ANY that only hints hold is not acknowledged
// before one is durable.
func TestAnyWaitsForHint(t *testing.T) {
	run(t, spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "2"}, change: func(_ int, o *Options) { o.Hints = new(slowHints) }}, func(c *nodes) {
		c.setDead(1, true)
		c.setDead(2, true)
		began := time.Now()
		code, told := codeOf(c.put(0, helenus.Any, "ks", c.key(1), 5, "a"))
		if took := time.Since(began); code != helenus.CodeWriteTimeout || told.Alive != 0 || told.Required != 1 || took != 2*time.Second {
			t.Errorf("%x %+v after %v", code, told, took)
		}
	})
}
