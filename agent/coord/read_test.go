package coord

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/replica"
	"helenus/internal/budget"
	"helenus/store/row"
)

// runServing is run once all nodes take connections.
func runServing(t *testing.T, s spec, f func(c *nodes)) {
	t.Helper()
	run(t, s, func(c *nodes) {
		synctest.Wait()
		f(c)
	})
}

// shownRows is the owner of one read: what it shows to a client.
type shownRows struct {
	c    *row.Command
	text string
	n    int // how often it was gone through
	done chan struct{}
}

// Partitions implements ReadOwner.
func (o *shownRows) Partitions(ps row.Partitions) error {
	o.n++
	out, err := row.PrintAll(nil, o.c.Table, row.Visible(ps, o.c, true, nil))
	o.text = string(out)
	return err
}

// ReadDone implements ReadOwner.
func (o *shownRows) ReadDone(*Read) { o.done <- struct{}{} }

// command reads partitions by key, or without keys all of them.
func (c *nodes) command(keyspace string, keys ...int) *row.Command {
	c.Helper()
	cmd := &row.Command{Table: c.table(keyspace), Now: 1000, Filter: row.Filter{Slices: row.AllRows()}, Start: row.Bound{Open: true}, End: row.Bound{Open: true}}
	for _, k := range keys {
		cmd.Keys = append(cmd.Keys, keyOf(k))
	}
	return cmd
}

// read reads by node i: what a client sees, one line for each row.
func (c *nodes) read(i int, cl helenus.Consistency, cmd *row.Command) (string, error) {
	c.Helper()
	text, r := c.readWhole(i, cl, cmd)
	return text, r.Err
}

func (c *nodes) readWhole(i int, cl helenus.Consistency, cmd *row.Command) (string, *Read) {
	c.Helper()
	o := &shownRows{c: cmd, done: make(chan struct{}, 2)}
	r := &Read{State: c.state, Consistency: cl, Command: cmd, Done: o}
	c.all[i].coord.Read(r)
	<-o.done
	return o.text, r
}

// rowsOf are the clusterings and values of a text: "1=a 2=b".
func rowsOf(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "row" {
			value := ""
			for _, w := range f[2:] {
				if v, ok := strings.CutPrefix(w, "v="); ok {
					value, _, _ = strings.Cut(v, "@")
				}
			}
			out = append(out, f[1]+"="+value)
		}
	}
	return strings.Join(out, " ")
}

func (c *nodes) wantRows(i int, cl helenus.Consistency, cmd *row.Command, want string) {
	c.Helper()
	text, err := c.read(i, cl, cmd)
	if got := rowsOf(text); err != nil || got != want {
		c.Errorf("read by node %d at %s: %q, %v; want %q", i, cl, got, err, want)
	}
}

// wantError checks all that a client is told of a read that did not succeed.
func (c *nodes) wantError(err error, code helenus.ErrorCode, cl helenus.Consistency, required, alive int, dataPresent bool) *helenus.Error {
	c.Helper()
	var e *helenus.Error
	if !errors.As(err, &e) || e.Code != code || e.Consistency != cl || e.Required != required || e.Alive != alive || e.DataPresent != dataPresent {
		c.Errorf("%+v; want code %#x, %s, %d of %d, data %v", err, code, cl, alive, required, dataPresent)
		return &helenus.Error{}
	}
	return e
}

var three = spec{places: "dc1/r1 dc1/r2 dc1/r3", keyspaces: map[string]string{"ks": "3"}}

// TestReadLevels: a read succeeds if enough replicas live, and says how many do
// if not (scenario 1).
func TestReadLevels(t *testing.T) {
	for _, s := range []struct {
		spec
		levels map[helenus.Consistency]int // how many must live,
		local  map[helenus.Consistency]bool
	}{
		{spec: three, levels: map[helenus.Consistency]int{helenus.One: 1, helenus.LocalOne: 1, helenus.Two: 2, helenus.Three: 3,
			helenus.Quorum: 2, helenus.LocalQuorum: 2, helenus.All: 3, helenus.Serial: 2}},
		{spec: spec{places: "dc1/r1 dc1/r2 dc1/r3 dc2/r1 dc2/r2 dc2/r3", keyspaces: map[string]string{"ks": "dc1:3 dc2:3"}},
			levels: map[helenus.Consistency]int{helenus.One: 1, helenus.Two: 2, helenus.Three: 3, helenus.Quorum: 4, helenus.All: 6,
				helenus.LocalOne: 1, helenus.LocalQuorum: 2},
			local: map[helenus.Consistency]bool{helenus.LocalOne: true, helenus.LocalQuorum: true}},
	} {
		runServing(t, s.spec, func(c *nodes) {
			for i := range c.all {
				c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=x@5")
			}
			for dead := 0; dead < len(c.all); dead++ { // from the last node on, so node 0 coordinates
				if dead > 0 {
					c.setDead(len(c.all)-dead, true)
				}
				for cl, needed := range s.levels {
					live := len(c.all) - dead
					if s.local[cl] {
						live = min(live, 3)
					}
					for _, cmd := range []*row.Command{c.command("ks", 1), c.command("ks")} {
						if cl.IsSerial() && cmd.Keys == nil {
							continue
						}
						if live >= needed {
							c.wantRows(0, cl, cmd, "1=x")
							continue
						}
						_, err := c.read(0, cl, cmd)
						told := cl
						if cl == helenus.Serial {
							told = helenus.Quorum
						}
						c.wantError(err, helenus.CodeUnavailable, told, needed, live, false)
					}
				}
			}
		})
	}
}

// TestReadRepair: a mismatch brings the replicas asked to one state before the
// answer, and the others are left alone.
func TestReadRepair(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		c.applyAt(0, "ks", "partition 1\nrow 1 live=5 v=old@5\nrow 2 live=5 v=x@5")
		c.applyAt(1, "ks", "partition 1\nrow 1 live=9 v=new@9\nrange >=2 <=4 del=8/999")
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=new")
		if a, b := c.stored(0, "ks", 1), c.stored(1, "ks", 1); a != b || !strings.Contains(a, "8/999") {
			t.Errorf("the replicas asked differ:\n%s\n%s", a, b)
		}
		if got := c.stored(2, "ks", 1); got != "" {
			t.Errorf("a replica that was not asked got\n%s", got)
		}
		stats := c.all[0].coord.Stats()
		if m, r := stats.Mismatches.Load(), stats.Repairs.Load(); m != 1 || r != 1 {
			t.Errorf("%d mismatches, %d repairs", m, r)
		}
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=new")
		if m := stats.Mismatches.Load(); m != 1 {
			t.Errorf("still %d mismatches", m)
		}
		// Ranges repair, too.
		c.wantRows(2, helenus.All, c.command("ks"), "1=new")
		if a, b := c.stored(0, "ks", 1), c.stored(2, "ks", 1); a != b {
			t.Errorf("a range read left\n%s\n%s", a, b)
		}
	})
}

// TestMonotonicReads is scenario 26: what one QUORUM read has shown, no later
// one takes back, whichever replicas answer.
func TestMonotonicReads(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=old@5")
		}
		c.applyAt(1, "ks", "partition 1\nrow 1 v=new@9")
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=new")
		c.setDead(1, true)
		c.wantRows(2, helenus.Quorum, c.command("ks", 1), "1=new")
	})
	runServing(t, three, func(c *nodes) {
		c.table("ks").Options.ReadRepair = "NONE"
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=old@5")
		}
		c.applyAt(1, "ks", "partition 1\nrow 1 v=new@9")
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=new")
		c.setDead(1, true)
		c.wantRows(2, helenus.Quorum, c.command("ks", 1), "1=old")
	})
}

// TestRepairRefused is scenario 25: when what a replica missed cannot be given to
// it, there is an error and no value that could go back.
func TestRepairRefused(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		c.applyAt(2, "ks", "partition 1\nrow 1 live=9 v=new@9")
		resume := c.all[0].disk.pause()
		_, err := c.read(2, helenus.Quorum, c.command("ks", 1)) // of nodes 2 and 0
		c.wantError(err, helenus.CodeReadTimeout, helenus.Quorum, 2, 1, true)
		resume()
		c.wantRows(2, helenus.Quorum, c.command("ks", 1), "1=new")
	})
}

// TestShortReads are scenarios 6, 7 and 8: rows deleted on one replica do not
// use up the limit of another.
func TestShortReads(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		var all strings.Builder
		all.WriteString("partition 1\n")
		for i := 1; i <= 9; i++ {
			fmt.Fprintf(&all, "row %d live=5 v=x@5\n", i)
		}
		for i := range c.all {
			c.applyAt(i, "ks", all.String())
		}
		// Rows 1, 2, 6 to 9 are deleted, each on one of the nodes 0 and 1.
		for n, i := range []int{1, 2, 6, 7, 8, 9} {
			c.applyAt(n%2, "ks", fmt.Sprintf("partition 1\nrow %d del=9/999", i))
		}
		limit := c.command("ks", 1)
		limit.Limits.Rows = 3
		c.wantRows(0, helenus.Quorum, limit, "3=x 4=x 5=x")
	})
	runServing(t, three, func(c *nodes) {
		for k := range 3 {
			var all strings.Builder
			fmt.Fprintf(&all, "partition %d\n", k)
			for i := 1; i <= 9; i++ {
				fmt.Fprintf(&all, "row %d live=5 v=x@5\n", i)
			}
			for i := range c.all {
				c.applyAt(i, "ks", all.String())
			}
			for n, i := range []int{1, 2, 6, 7, 8, 9} {
				c.applyAt(n%2, "ks", fmt.Sprintf("partition %d\nrow %d del=9/999", k, i))
			}
		}
		reversed := c.command("ks", 1)
		reversed.Filter.Reversed, reversed.Limits.Rows = true, 3
		c.wantRows(0, helenus.Quorum, reversed, "5=x 4=x 3=x")
		each := c.command("ks", 2, 0)
		each.Limits.PerPartition = 2
		c.wantRows(0, helenus.Quorum, each, "3=x 4=x 3=x 4=x")
		ranged := c.command("ks")
		ranged.Limits.PerPartition, ranged.Limits.Rows = 1, 2
		c.wantRows(0, helenus.Quorum, ranged, "3=x 3=x")
	})
	runServing(t, three, func(c *nodes) { // scenario 7
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=x@5")
		}
		c.applyAt(1, "ks", "partition 1\nrow 1 del=9/999")
		limit := c.command("ks", 1)
		limit.Limits.Rows = 1
		c.wantRows(0, helenus.Quorum, limit, "")
	})
}

// TestReverseOverRangeTombstones is scenario 9.
func TestReverseOverRangeTombstones(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=a@5\nrow 2 live=5 v=b@5\nrow 3 live=5 v=c@5\nrow 4 live=9 v=d@9")
		}
		c.applyAt(0, "ks", "partition 1\nrange >=2 <3 del=7/999")
		c.applyAt(1, "ks", "partition 1\nrange >3 <=4 del=6/999")
		reversed := c.command("ks", 1)
		reversed.Filter.Reversed = true
		c.wantRows(2, helenus.All, reversed, "4=d 3=c 1=a")
		c.wantRows(2, helenus.All, c.command("ks", 1), "1=a 3=c 4=d")
		if a, b := c.stored(0, "ks", 1), c.stored(2, "ks", 1); a != b {
			t.Errorf("replicas differ\n%s\n%s", a, b)
		}
	})
}

// TestSpeculativeRetry is scenario 14: a replica that stalls holds nobody up.
func TestSpeculativeRetry(t *testing.T) {
	for policy, want := range map[string]struct {
		atMost time.Duration
		failed bool
	}{"10ms": {20 * time.Millisecond, false}, "ALWAYS": {5 * time.Millisecond, false}, "99p": {3 * time.Second, false}, "NEVER": {0, true}} {
		runServing(t, spec{places: three.places, keyspaces: three.keyspaces, latency: time.Millisecond}, func(c *nodes) {
			c.table("ks").Options.SpeculativeRetry = policy
			for i := range c.all {
				c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=x@5")
			}
			c.cut(0, 2, false)
			c.wantRows(0, helenus.All, c.command("ks", 1), "1=x") // connections stand
			c.cut(0, 1, true)
			began := time.Now()
			text, err := c.read(0, helenus.Quorum, c.command("ks", 1))
			took := time.Since(began)
			if want.failed {
				c.wantError(err, helenus.CodeReadTimeout, helenus.Quorum, 2, 1, true)
				return
			}
			if rowsOf(text) != "1=x" || err != nil || took > want.atMost {
				t.Errorf("%s: %q, %v after %v", policy, text, err, took)
			}
		})
	}
}

// TestReadFailures: exact errors.
func TestReadFailures(t *testing.T) {
	far := three
	far.latency = time.Millisecond // so that what fails here fails first
	few := far                     // node 0 reads over few tombstones; the others are not tried then: they would meet as many
	few.replica = func(i int, o *replica.Options) {
		if i == 0 {
			o.TombstonesMax = 99
		}
	}
	manyTombstones := func(c *nodes) {
		var all strings.Builder
		all.WriteString("partition 1\n")
		for i := range 100 {
			fmt.Fprintf(&all, "row %d v=~@5/999\n", i)
		}
		for i := range c.all {
			c.applyAt(i, "ks", all.String())
		}
	}
	runServing(t, far, func(c *nodes) {
		manyTombstones(c)
		text, r := c.readWhole(0, helenus.Quorum, c.command("ks", 1))
		if text != "" || r.Err != nil || r.Tombstones != 100 {
			t.Errorf("%q, %v, %d tombstones", text, r.Err, r.Tombstones)
		}
	})
	runServing(t, few, func(c *nodes) { // scenario 12
		manyTombstones(c)
		c.wantRows(0, helenus.One, c.command("ks", 2), "") // connections stand
		began := time.Now()
		_, err := c.read(0, helenus.Quorum, c.command("ks", 1))
		e := c.wantError(err, helenus.CodeReadFailure, helenus.Quorum, 2, 0, false)
		if len(e.Failures) != 1 || e.Failures[0].Reason != 1 || time.Since(began) > time.Second {
			t.Errorf("%+v after %v", e.Failures, time.Since(began))
		}
	})
	runServing(t, three, func(c *nodes) { // nobody answers
		c.wantRows(0, helenus.All, c.command("ks", 1), "") // connections stand
		c.isolate(0, true)
		_, err := c.read(0, helenus.Quorum, c.command("ks", 1))
		c.wantError(err, helenus.CodeReadTimeout, helenus.Quorum, 2, 1, true)
	})
	runServing(t, spec{places: three.places, keyspaces: three.keyspaces, change: func(_ int, o *Options) { o.Memory = budget.New("answers", 10) }}, func(c *nodes) {
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=xxxxxxxxxx@5")
		}
		_, err := c.read(0, helenus.Quorum, c.command("ks", 1))
		var e *helenus.Error
		if !errors.As(err, &e) || e.Code != helenus.CodeOverloaded {
			t.Errorf("without memory: %v", err)
		}
	})
}

// countedRows is the owner of a read that is only counted.
type countedRows struct {
	c    *row.Command
	rows int
	done chan struct{}
}

// Partitions implements ReadOwner.
func (o *countedRows) Partitions(ps row.Partitions) error {
	o.rows = 0
	for v := row.Visible(ps, o.c, true, nil); ; {
		p, err := v.Next()
		if p == nil || err != nil {
			return err
		}
		for u, err := p.Next(); u != nil || err != nil; u, err = p.Next() {
			if err != nil {
				return err
			}
			o.rows++
		}
	}
}

// ReadDone implements ReadOwner.
func (o *countedRows) ReadDone(*Read) { o.done <- struct{}{} }

func (c *nodes) count(i int, cl helenus.Consistency, cmd *row.Command) (int, error) {
	c.Helper()
	o := &countedRows{c: cmd, done: make(chan struct{}, 2)}
	r := &Read{State: c.state, Consistency: cl, Command: cmd, Done: o}
	c.all[i].coord.Read(r)
	<-o.done
	return o.rows, r.Err
}

// TestLargeReads: what does not fit into one answer is asked for as it is gone
// through, at every level; nothing is held for ever.
func TestLargeReads(t *testing.T) {
	memory := budget.New("answers", 64<<20)
	runServing(t, spec{places: "dc1/r1 dc1/r1 dc1/r1 dc1/r1 dc1/r1", keyspaces: map[string]string{"ks": "3"},
		change: func(_ int, o *Options) { o.Memory = memory }}, func(c *nodes) {
		value := strings.Repeat("x", 20<<10)
		for k := range 2 {
			for part := range 16 { // 5 MiB of each
				var b strings.Builder
				fmt.Fprintf(&b, "partition %d\n", k)
				for i := range 16 {
					fmt.Fprintf(&b, "row %d live=5 v=%s@5\n", part*16+i, value)
				}
				c.writeSome(k+part, "ks", b.String(), k)
			}
		}
		one, all := c.command("ks", 1), c.command("ks")
		one.Filter.Reversed = true
		for i, cl := range []helenus.Consistency{helenus.Quorum, helenus.All, helenus.Quorum, helenus.One} {
			for cmd, want := range map[*row.Command]int{one: 256, all: 512} {
				if got, err := c.count(i, cl, cmd); err != nil || got != want {
					t.Errorf("node %d at %s: %d rows, %v; want %d", i, cl, got, err, want)
				}
			}
		}
		synctest.Wait()
		if n := memory.Used(); n != 0 {
			t.Errorf("%d bytes are still charged", n)
		}
	})
}

// TestAllMissing is scenario 24: many rows on one of two replicas.
func TestAllMissing(t *testing.T) {
	runServing(t, spec{places: "dc1/r1 dc1/r2", keyspaces: map[string]string{"ks": "2"}}, func(c *nodes) {
		for k := range 20 {
			var b strings.Builder
			fmt.Fprintf(&b, "partition %d\n", k)
			for i := range 500 {
				fmt.Fprintf(&b, "row %d live=5 v=x@5\n", i)
			}
			c.applyAt(0, "ks", b.String())
		}
		if n, err := c.count(1, helenus.Quorum, c.command("ks")); n != 10000 || err != nil {
			t.Fatalf("%d rows, %v", n, err)
		}
		c.setDead(0, true)
		if n, err := c.count(1, helenus.One, c.command("ks")); n != 10000 || err != nil {
			t.Errorf("%d rows on the other replica, %v", n, err)
		}
	})
}

// TestNothingToRepair is scenario 27: tombstones that may go cause no traffic.
func TestNothingToRepair(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		c.table("ks").Options.GCGraceSeconds = 100
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=9 v=x@9")
		}
		c.applyAt(1, "ks", "partition 1 del=3/500\nrow 2 del=5/500\nrange >=4 <=8 del=5/899\nrow 3 v=~@5/100")
		for _, cmd := range []*row.Command{c.command("ks", 1), c.command("ks")} {
			c.wantRows(0, helenus.All, cmd, "1=x")
		}
		stats := c.all[0].coord.Stats()
		if m, r := stats.Mismatches.Load(), stats.Repairs.Load(); m+r != 0 {
			t.Errorf("%d mismatches, %d repairs", m, r)
		}
		c.applyAt(1, "ks", "partition 1\nrow 2 del=6/900")
		c.wantRows(0, helenus.All, c.command("ks", 1), "1=x")
		if m, r := stats.Mismatches.Load(), stats.Repairs.Load(); m != 1 || r != 2 {
			t.Errorf("%d mismatches, %d repairs of a tombstone that may not go", m, r)
		}
	})
}

// TestRepairOfSomeColumns is scenario 28: columns that a read does not ask for
// are neither lost nor written.
func TestRepairOfSomeColumns(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		c.applyAt(0, "ks", "partition 1\nrow 1 live=5 v=x@5")
		cmd := c.command("ks", 1)
		cmd.Filter.Regulars = []bool{false}
		c.wantRows(1, helenus.All, cmd, "1=")
		if got := c.stored(2, "ks", 1); got != "partition 1\nrow 1 live=5\n" {
			t.Errorf("repaired to\n%s", got)
		}
		c.wantRows(1, helenus.All, c.command("ks", 1), "1=x")
		if a, b := c.stored(0, "ks", 1), c.stored(2, "ks", 1); a != b {
			t.Errorf("replicas differ\n%s\n%s", a, b)
		}
	})
}

// TestReadsOfDatacenters: local levels stay in their datacenter, EACH_QUORUM
// wants a majority in each (scenario 4).
func TestReadsOfDatacenters(t *testing.T) {
	runServing(t, spec{places: "dc1/r1 dc1/r2 dc1/r3 dc2/r1 dc2/r2 dc2/r3", keyspaces: map[string]string{"ks": "dc1:3 dc2:3"}}, func(c *nodes) {
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=old@5")
		}
		for i := 3; i < 6; i++ {
			c.applyAt(i, "ks", "partition 1\nrow 1 v=new@9")
		}
		for _, cmd := range []*row.Command{c.command("ks", 1), c.command("ks")} {
			c.wantRows(0, helenus.LocalQuorum, cmd, "1=old")
			c.wantRows(4, helenus.LocalQuorum, cmd, "1=new")
		}
		c.wantRows(0, helenus.EachQuorum, c.command("ks", 1), "1=new")
		c.wantRows(0, helenus.LocalQuorum, c.command("ks", 1), "1=new") // repaired by it
		for i := 4; i < 6; i++ {
			c.setDead(i, true)
		}
		_, err := c.read(0, helenus.EachQuorum, c.command("ks", 1))
		c.wantError(err, helenus.CodeUnavailable, helenus.EachQuorum, 2, 1, false)
		c.wantRows(0, helenus.LocalQuorum, c.command("ks", 1), "1=new")
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=new")
	})
}

// TestReadsAfterAFailure: a replica that cannot be reached is replaced by one
// that can, though nobody knows yet that it is dead (scenario 3).
func TestReadsAfterAFailure(t *testing.T) {
	far := three
	far.latency = time.Millisecond
	runServing(t, far, func(c *nodes) {
		for i := range c.all {
			c.applyAt(i, "ks", "partition 1\nrow 1 live=5 v=x@5")
		}
		c.wantRows(0, helenus.All, c.command("ks", 1), "1=x")
		n := c.all[1]
		n.stop()
		synctest.Wait()
		began := time.Now()
		c.wantRows(0, helenus.Quorum, c.command("ks", 1), "1=x")
		c.wantRows(0, helenus.Quorum, c.command("ks"), "1=x")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		_, err := c.read(0, helenus.All, c.command("ks", 1))
		e := c.wantError(err, helenus.CodeReadFailure, helenus.All, 3, 0, false) // at once
		if len(e.Failures) != 1 || e.Failures[0].From != n.target.Addr || e.Failures[0].Reason != 5 {
			t.Errorf("failures %+v", e.Failures)
		}
	})
}

// TestReadOfUnknownTable: a replica without the table says which.
func TestReadOfUnknownTable(t *testing.T) {
	runServing(t, three, func(c *nodes) {
		other := *c.table("ks")
		other.ID[0] ^= 1
		cmd := c.command("ks", 1)
		cmd.Table = &other
		_, err := c.read(0, helenus.Quorum, cmd)
		e := c.wantError(err, helenus.CodeReadFailure, helenus.Quorum, 2, 0, false)
		if len(e.Failures) == 0 || e.Failures[0].Reason != 3 {
			t.Errorf("failures %+v", e.Failures)
		}
	})
}

// writeSome writes to two of the three replicas of a partition.
func (c *nodes) writeSome(n int, keyspace, text string, k int) {
	replicas := c.state.Placement(keyspace).Replicas(c.all[0].coord.opts.Partition.Token(keyBytes(k)))
	for i := range 2 {
		for j := range c.all {
			if c.all[j].id == replicas[(n+i)%len(replicas)].HostID {
				c.applyAt(j, keyspace, text)
			}
		}
	}
}

// TestPages is scenario 15: pages by any node, each live row once and in order.
func TestPages(t *testing.T) {
	runServing(t, spec{places: "dc1/r1 dc1/r1 dc1/r1 dc1/r1 dc1/r1", keyspaces: map[string]string{"ks": "3"}}, func(c *nodes) {
		for k := range 20 {
			var b strings.Builder
			fmt.Fprintf(&b, "partition %d\n", k)
			for i := range k%5 + 1 {
				fmt.Fprintf(&b, "row %d live=5 v=%d@5\n", i, k)
			}
			c.writeSome(k, "ks", b.String(), k)
			c.writeSome(k+1, "ks", fmt.Sprintf("partition %d\nrow 3 del=9/999", k), k)
		}
		whole, err := c.read(0, helenus.Quorum, c.command("ks"))
		if err != nil {
			t.Fatal(err)
		}
		for size := 1; size < 12; size++ {
			var paged string
			cmd := c.command("ks")
			for page := 0; ; page++ {
				cmd.Limits.Rows = size
				text, err := c.read(page%5, helenus.Quorum, cmd)
				if err != nil {
					t.Fatal(err)
				}
				paged += text
				if strings.Count(text, "row ") < size {
					break
				}
				cmd = c.behind(cmd, text)
			}
			if got, want := rowsOf(paged), rowsOf(whole); got != want {
				t.Fatalf("pages of %d\n%s\nwant\n%s", size, got, want)
			}
		}
	})
}

// behind goes on behind the last row of a page.
func (c *nodes) behind(cmd *row.Command, text string) *row.Command {
	c.Helper()
	at := strings.LastIndex(text, "partition ")
	ks, err := row.Parse(cmd.Table, c.all[0].coord.opts.Partition, text[at:])
	if err != nil {
		c.Fatal(err)
	}
	k := ks[len(ks)-1]
	next := *cmd
	next.Start = row.KeyBound(k.PartitionKey, true)
	next.After = k.Rows[len(k.Rows)-1].Row.Clustering.Order
	return &next
}
