package stress

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/cql/types"
)

// TestSchedule: an operation is due before a moment if and only if it is meant
// to begin before it.
func TestSchedule(t *testing.T) {
	for _, rate := range []uint64{1, 3, 7, 999, 1000, 10_000, 333_333, 1_000_000_007, rateMax} {
		s := Schedule{rate}
		for _, n := range []uint64{0, 1, 2, 999, 1_000_000, 1 << 40} {
			at := s.at(n)
			if got := s.due(at); got > n {
				t.Errorf("rate %d: %d are due before %d, when operation %d is to begin", rate, got, at, n)
			}
			if got := s.due(at + 1); got <= n && at < math.MaxInt64 {
				t.Errorf("rate %d: %d are due after %d, when operation %d is to begin", rate, got, at, n)
			}
		}
	}
	if at := (Schedule{3}).at(3_000_000); at != 1_000_000*second {
		t.Errorf("at 3 a second the three-millionth begins at %d", at)
	}
}

// TestSequence: every row of a population comes once, then again.
func TestSequence(t *testing.T) {
	for _, table := range []Table{{Partitions: 17, Rows: 1}, {Partitions: 17, Rows: 5, Window: 4}, {Partitions: 3, Rows: 7, Window: 1000},
		{Partitions: 8, Rows: 2, Window: 4}, {Partitions: 8, Rows: 2, Window: math.MaxInt64}} {
		table.Keyspace, table.Name, table.Columns, table.ColumnBytes = "k", "t", 1, 1
		if err := table.check(); err != nil {
			t.Fatal(err)
		}
		seen := map[[2]uint64]int{}
		for n := range 2 * table.rowCount() {
			p, r := table.sequence(n)
			if p >= table.Partitions || r >= table.Rows {
				t.Fatalf("%+v: row %d of partition %d", table, r, p)
			}
			seen[[2]uint64{p, r}]++
		}
		for at, n := range seen {
			if n != 2 {
				t.Errorf("%+v: %v came %d times of 2", table, at, n)
			}
		}
		if len(seen) != int(table.rowCount()) {
			t.Errorf("%+v: %d rows", table, len(seen))
		}
	}
}

// TestAbsent: keys that nobody writes are none of those that are written.
func TestAbsent(t *testing.T) {
	table := Table{Seed: 7}
	seen := map[int64]bool{}
	for p := range uint64(10000) {
		seen[table.key(p)] = true
		seen[table.key(absent(p))] = true
	}
	if len(seen) != 20000 {
		t.Errorf("%d keys", len(seen))
	}
}

// TestStories pins what operations, statements and rows are: data that was
// written by one release is verified by the next.
func TestStories(t *testing.T) {
	datadriven.RunTest(t, "testdata/workload.txt", func(t *testing.T, d *datadriven.TestData) string {
		w := Workload{Table: Table{Keyspace: "ks", Name: "t", Partitions: 1000, Rows: 1, Columns: 2, ColumnBytes: 11}}
		var first, count uint64
		for _, a := range d.CmdArgs {
			var n uint64
			if len(a.Vals) > 0 {
				a.Scan(t, 0, &n)
			}
			switch a.Key {
			case "uniform":
				w.Order = Uniform
			case "rows":
				w.Table.Rows = n
			case "of":
				w.SliceRows = n
			case "window":
				w.Table.Window = n
			case "seed":
				w.Table.Seed = n
			case "revision":
				w.Revision = n
			case "partitions":
				w.Table.Partitions = n
			case "columns":
				w.Table.Columns = int(n)
			case "from":
				first = n
			case "count":
				count = n
			}
			for k, name := range kindNames {
				if a.Key == name {
					w.Mix[k] = int(n)
				}
			}
		}
		if err := w.check(); err != nil {
			return "error: " + err.Error() + "\n"
		}
		var b strings.Builder
		switch d.Cmd {
		case "statements":
			fmt.Fprintln(&b, w.Table.Definition())
			for k, weight := range w.Mix {
				if weight > 0 {
					fmt.Fprintln(&b, w.statement(Kind(k)))
				}
			}
		case "operations":
			row := make([]byte, w.Table.rowBytes())
			for n := first; n < first+count; n++ {
				op := w.at(n)
				w.Table.fill(row, op.partition, op.row, w.Revision)
				fmt.Fprintf(&b, "%d: %s partition %d row %d rows %d: key %d %s\n", n, op.kind, op.partition, op.row, op.rows, w.Table.key(op.partition), row)
			}
		case "literals":
			s := bareSlot(&w, true)
			for n := first; n < first+count; n++ {
				s.prepare(n)
				fmt.Fprintf(&b, "%s\n", s.call.Request.Text)
			}
		}
		return b.String()
	})
}

// bareSlot is a slot whose connection nobody has made.
func bareSlot(w *Workload, unprepared bool) *slot {
	r := &run{cfg: Config{Workload: *w, Unprepared: unprepared}}
	for k := range kindCount {
		r.statements[k] = w.statement(k)
	}
	n := &lane{run: r, conn: &client.Conn{}, into: new(recorder), cells: make([][]byte, w.Table.Columns), want: make([]byte, w.Table.rowBytes())}
	return n.newSlot()
}

func TestStatementsDoNotAllocate(t *testing.T) {
	w := Workload{Table: Table{Keyspace: "ks", Name: "t", Partitions: 1000, Rows: 100, Columns: 5, ColumnBytes: 36}, Order: Uniform}
	w.Mix[Insert], w.Mix[Select] = 1, 1
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	s := bareSlot(&w, true)
	n := uint64(0)
	if allocs := testing.AllocsPerRun(1000, func() { n++; s.prepare(n) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestVerifyDoesNotAllocate takes answers apart and compares them.
func TestVerifyDoesNotAllocate(t *testing.T) {
	w := Workload{Table: Table{Keyspace: "ks", Name: "t", Partitions: 1000, Rows: 100, Columns: 5, ColumnBytes: 36}, Order: Uniform, SliceRows: 20}
	w.Mix[Slice] = 1
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	s := bareSlot(&w, true)
	s.prepare(5)
	cols := make([]proto.Column, w.Table.Columns)
	for i := range cols {
		cols[i] = proto.Column{Keyspace: "ks", Table: "t", Name: "c", Type: types.Native(types.Text)}
	}
	var rows proto.RowsWriter
	rows.Begin(nil, proto.RowsHead{Columns: proto.EncodeColumns(proto.V5, cols)})
	for i := range s.op.rows {
		row := make([]byte, w.Table.rowBytes())
		w.Table.fill(row, s.op.partition, s.op.row+i, 0)
		for c := range cols {
			rows.Cell(row[c*36 : (c+1)*36])
		}
		rows.EndRow()
	}
	var answer proto.Response
	if err := answer.Decode(proto.Envelope{Header: proto.Header{Version: proto.V5, Response: true, Op: proto.OpResult}, Body: rows.End(nil)}); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		s.call.Response = answer
		s.record(1000)
	})
	if n != 0 || s.lane.into.rows.Load() != 101*20 {
		t.Errorf("%v allocations, %d rows, %q", n, s.lane.into.rows.Load(), s.lane.run.samples.all())
	}
}

func TestCheck(t *testing.T) {
	good := Config{Addresses: []string{"a"}, Connections: 1, Depth: 1, Operations: 1,
		Workload: Workload{Table: Table{Keyspace: "k", Name: "t", Partitions: 1, Rows: 1, Columns: 1, ColumnBytes: 1}}}
	good.Workload.Mix[Insert] = 1
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/check.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, change := range []func(c *Config){
		func(c *Config) { c.Addresses = nil },
		func(c *Config) { c.Connections = 0 },
		func(c *Config) { c.Connections, c.Depth = 1<<30, 1<<10 },
		func(c *Config) { c.Depth = 1 << 16 },
		func(c *Config) { c.Operations = 0 },
		func(c *Config) { c.Duration = -1 },
		func(c *Config) { c.Rate = 1 << 40 },
		func(c *Config) { c.Workload.Mix = [kindCount]int{Select: 1} },
		func(c *Config) { c.Consistency = 8 },
		func(c *Config) { c.Workload.Mix = [kindCount]int{} },
		func(c *Config) { c.Workload.Mix[Update] = -1 },
		func(c *Config) { c.Workload.Mix[Slice] = 1; c.Workload.SliceRows = 2; c.Consistency = 1 },
		func(c *Config) { c.Workload.Table.Name = "a b" },
		func(c *Config) { c.Workload.Table.Partitions = 0 },
		func(c *Config) { c.Workload.Table.Rows = 1 << 40 },
		func(c *Config) { c.Workload.Table.Columns = 0 },
		func(c *Config) { c.Workload.Table.ColumnBytes = 1 << 30 },
		func(c *Config) { c.Workload.Table.Columns, c.Workload.Table.ColumnBytes = 1000, 1<<20 },
		func(c *Config) { c.Depth = 1 << 14; c.Workload.Table.Columns, c.Workload.Table.ColumnBytes = 8, 1<<20 },
	} {
		c := good
		change(&c)
		got := "no error"
		if err := c.Check(); err != nil {
			got = err.Error()
		}
		if i >= len(want) || got != want[i] {
			t.Errorf("line %d of testdata/check.txt: %s", i+1, got)
		}
	}
}
