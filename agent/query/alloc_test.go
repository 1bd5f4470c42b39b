package query

import (
	"testing"

	"helenus"
	"helenus/internal/cql/types"
	"helenus/store/row"
)

// idle completes at once: writes without doing anything, reads with one
// partition.
type idle struct {
	partition *onePartition
}

func (c *idle) Write(w *Write) { w.Done.WriteDone(w) }

func (c *idle) Read(r *Read) {
	c.partition.begin()
	r.Err = r.Done.Partitions(c.partition)
	r.Done.ReadDone(r)
}

func (c *idle) CAS(*CAS) { panic("not expected") }

// onePartition shows a partition of one row again and again.
type onePartition struct {
	kept  *row.Kept
	given bool
	next  int
}

func (p *onePartition) begin() { p.given, p.next = false, 0 }

func (p *onePartition) Next() (row.Partition, error) {
	if p.given {
		return nil, nil
	}
	p.given = true
	return (*oneIterator)(p), nil
}

func (p *onePartition) Close() error { return nil }

type oneIterator onePartition

func (p *oneIterator) Key() row.Key           { return p.kept.PartitionKey }
func (p *oneIterator) Deletion() row.Deletion { return row.Live() }
func (p *oneIterator) StaticRow() *row.Row    { return nil }
func (p *oneIterator) Close() error           { return nil }

func (p *oneIterator) Next() (*row.Unfiltered, error) {
	if p.next >= len(p.kept.Rows) {
		return nil, nil
	}
	p.next++
	return &p.kept.Rows[p.next-1], nil
}

// noRows takes rows and keeps nothing.
type noRows struct{ cells int }

func (w *noRows) Begin(*ResultMetadata, bool, bool) {}
func (w *noRows) Cell([]byte)                       { w.cells++ }
func (w *noRows) EndRow()                           {}
func (w *noRows) SizeBytes() int                    { return 0 }
func (w *noRows) End([]byte)                        {}

// counter is told of the ends of requests.
type counter struct {
	done int
	err  *helenus.Error
}

func (c *counter) RequestDone(r *Request) {
	c.done++
	if r.Result.Err != nil {
		c.err = r.Result.Err
	}
}

// hotPath prepares a statement on a node and gives what executes it, with one
// Request, on a coordinator that does nothing.
func hotPath(t testing.TB, text string, values ...Value) func() {
	n := newNode(t, false)
	to := newNodeTarget(n)
	for _, text := range []string{
		"CREATE KEYSPACE q WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
		"USE q",
		"CREATE TABLE t (k text, c int, v text, b blob, PRIMARY KEY (k, c))",
		"INSERT INTO t (k, c, v, b) VALUES ('key', 1, 'value', 0x0102)",
	} {
		if got := to.do(ask{text: text, cl: helenus.One}); got.err != nil {
			t.Fatalf("%s: %v", text, got.err)
		}
	}
	prepared := to.do(ask{verb: VerbPrepare, text: text, cl: helenus.One})
	if prepared.err != nil {
		t.Fatal(prepared.err)
	}
	table := n.meta.State().Schema.Find("q", "t")
	kept, err := n.replica.keep(table, n.replica.tables[table.ID][0].bytes)
	if err != nil {
		t.Fatal(err)
	}
	n.engine.opts.Coordinator = &idle{&onePartition{kept: kept}}
	end, out := &counter{}, &noRows{}
	r := &Request{Session: &to.session, Verb: VerbExecute, ID: prepared.id, Out: out, Owner: end,
		Params: Params{Consistency: helenus.One, SerialConsistency: helenus.Serial, Values: values, PageSize: 5000}}
	return func() {
		before := end.done
		n.engine.Execute(r)
		if end.done != before+1 || end.err != nil {
			t.Fatalf("done %d times, error %v", end.done-before, end.err)
		}
	}
}

var hotValues = []Value{{Bytes: []byte("key")}, {Bytes: types.AppendInt(nil, 1)}, {Bytes: []byte("value")}, {Bytes: make([]byte, 100)}}

// hotStatements allocate nothing once they are warm.
var hotStatements = []struct {
	name, text string
	values     []Value
	allocsMax  float64
}{
	{"insert", "INSERT INTO t (k, c, v, b) VALUES (?, ?, ?, ?)", hotValues, 0},
	{"update", "UPDATE t SET v = ? WHERE k = ? AND c = ?", []Value{hotValues[2], hotValues[0], hotValues[1]}, 0},
	{"delete", "DELETE FROM t WHERE k = ? AND c = ?", hotValues[:2], 0},
	{"row", "SELECT * FROM t WHERE k = ? AND c = ?", hotValues[:2], 0},
	{"partition", "SELECT v, b FROM t WHERE k = ?", hotValues[:1], 0},
	{"slice", "SELECT v, b FROM t WHERE k = ? AND c > ? LIMIT 10", []Value{hotValues[0], {Bytes: types.AppendInt(nil, 0)}}, 0},
}

func TestAllocations(t *testing.T) {
	for _, s := range hotStatements {
		t.Run(s.name, func(t *testing.T) {
			run := hotPath(t, s.text, s.values...)
			if got := testing.AllocsPerRun(200, run); got > s.allocsMax {
				t.Errorf("%v allocations, at most %v", got, s.allocsMax)
			}
		})
	}
}

func BenchmarkExecute(b *testing.B) {
	for _, s := range hotStatements {
		b.Run(s.name, func(b *testing.B) {
			run := hotPath(b, s.text, s.values...)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
