package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"helenus"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

// This file is the slow, obvious store: a list of all that was ever done, from
// which row.Merge makes what each table holds after any number of steps.

var murmur = token.Murmur3Partitioner{}

const (
	readSecond    = 105 // of all reads: what expires at 110 lives
	storeSecond   = 104 // of compaction
	deletedSecond = 100
)

// definition makes table number n; extra columns come behind those of the line.
func definition(t testing.TB, n int, gcGrace int32) *schema.Table {
	t.Helper()
	def, err := row.ParseTable("k int | c1 text, c2 int desc | s int static, sm map<int,text> static, v int, w text, m map<int,text>")
	if err != nil {
		t.Fatal(err)
	}
	def.Name = fmt.Sprintf("t%d", n)
	def.ID[15] = byte(n)
	def.Options.GCGraceSeconds = gcGrace
	def.Options.Compaction["min_threshold"] = "2"
	return def
}

func schemaOf(defs ...*schema.Table) *schema.Schema {
	ks := &schema.Keyspace{Name: "ks", Replication: schema.Replication{Class: "SimpleStrategy"}, Tables: map[string]*schema.Table{}}
	for _, d := range defs {
		ks.Tables[d.Name] = d
	}
	return schema.New(map[string]*schema.Keyspace{"ks": ks})
}

// withColumn is ALTER TABLE ADD, withoutColumn ALTER TABLE DROP.
func withColumn(def *schema.Table, name string) *schema.Table {
	next := *def
	next.Regulars = append(slices.Clone(def.Regulars), &schema.Column{ID: def.NextColumnID, Name: name, Kind: schema.Regular, Type: types.Native(types.Int)})
	next.NextColumnID++
	return next.Finish()
}

func withoutColumn(def *schema.Table, name string) *schema.Table {
	next := *def
	c := def.Column(name)
	next.Regulars = slices.DeleteFunc(slices.Clone(def.Regulars), func(o *schema.Column) bool { return o.Name == name })
	next.Dropped = append(slices.Clone(def.Dropped), schema.DroppedColumn{Name: name, Kind: c.Kind, Type: c.Type, DroppedMicros: 1 << 60})
	return next.Finish()
}

// step is one thing done to a store. Exactly one field is set.
type step struct {
	mutation []byte
	truncate schema.TableID
	schema   *schema.Schema
}

// model is the steps taken; the states between them are numbered from 0.
type model struct {
	t     testing.TB
	first *schema.Schema

	mu     sync.Mutex // guards what follows
	steps  []step
	shown  map[int]string
	issued int // steps begun
	acked  int // steps that have ended, and all before them
}

func newModel(t testing.TB, first *schema.Schema) *model {
	return &model{t: t, first: first, shown: map[int]string{}}
}

// begin adds a step.
func (m *model) begin(s step) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, s)
	m.issued = len(m.steps)
	return m.issued
}

// ended acknowledges step n and, as the log is in order, all before it.
func (m *model) ended(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked = max(m.acked, n)
}

func (m *model) span() (acked, issued int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acked, m.issued
}

// schemaAt is the schema after n steps.
func (m *model) schemaAt(n int) *schema.Schema {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.schemaAtLocked(n)
}

func (m *model) schemaAtLocked(n int) *schema.Schema {
	sch := m.first
	for _, s := range m.steps[:n] {
		if s.schema != nil {
			sch = s.schema
		}
	}
	return sch
}

// show renders everything that can be read after n steps.
func (m *model) show(n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.shown[n]; !ok {
		written := m.writtenLocked(n)
		var out []byte
		for _, def := range storedTables(m.schemaAtLocked(n)) {
			out = appendShown(m.t, out, def, row.KeptPartitions(false, keepAll(m.t, def, written[def.ID])...))
		}
		m.shown[n] = string(out)
	}
	return m.shown[n]
}

// writtenLocked lists the updates of each table that no truncation took away.
func (m *model) writtenLocked(n int) map[schema.TableID][][]byte {
	written := map[schema.TableID][][]byte{}
	for _, s := range m.steps[:n] {
		switch {
		case s.schema != nil:
			for id := range written {
				if s.schema.Table(id) == nil {
					delete(written, id)
				}
			}
		case s.mutation != nil:
			for mu := row.ReadMutation(s.mutation); ; {
				u, ok := mu.Next()
				if !ok {
					break
				}
				id, _, err := row.PeekUpdate(u)
				must(m.t, err)
				written[id] = append(written[id], u)
			}
		default:
			delete(written, s.truncate)
		}
	}
	return written
}

// keepAll decodes updates and merges those of one key, in the order of keys.
func keepAll(t testing.TB, def *schema.Table, updates [][]byte) []*row.Kept {
	t.Helper()
	by := map[string][]row.Partition{}
	for _, b := range updates {
		var u row.Update
		must(t, u.Reset(b, def, murmur))
		k, err := row.Keep(&u)
		must(t, err)
		key := string(k.PartitionKey.Bytes)
		by[key] = append(by[key], k.Partition(false))
	}
	var out []*row.Kept
	for _, ps := range by {
		k, err := row.Keep(row.Merge(false, ps...))
		must(t, err)
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *row.Kept) int { return row.CompareKeys(a.PartitionKey, b.PartitionKey, murmur.CompareTie) })
	return out
}

// everything reads a whole table.
func everything(def *schema.Table) *row.Command {
	open := row.Bound{Open: true}
	return &row.Command{Table: def, Now: readSecond, Start: open, End: open, Filter: row.Filter{Slices: row.AllRows()}}
}

func appendShown(t testing.TB, dst []byte, def *schema.Table, ps row.Partitions) []byte {
	t.Helper()
	text, err := row.PrintAll(fmt.Appendf(dst, "table %s\n", def.Name), def, row.Visible(ps, everything(def), true, nil))
	must(t, err)
	return text
}

// showStore reads everything there is in a store.
func showStore(t testing.TB, s *Store, sch *schema.Schema) string {
	t.Helper()
	var out []byte
	for _, def := range storedTables(sch) {
		ps, err := s.Read(everything(def), Blocking)
		must(t, err)
		out = appendShown(t, out, def, ps)
		must(t, ps.Close())
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tiny makes a store where everything happens soon.
func tiny(fs vfs.FS, mode commitlog.Mode, r *rand.Rand) Options {
	var mu sync.Mutex
	return Options{FS: fs, DataDir: "data", LogDir: "log", HostID: helenus.HostID{1}, Partitioner: murmur,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(storeSecond, 0) },
		Rand: func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		},
		Budget: budget.New("node", 1<<30), MemtableBytes: 300 << 10, CacheBytes: 1 << 20, LogBytesMax: 48 << 10,
		CommitLog: commitlog.Options{Mode: mode, SegmentSize: 16 << 10, BlockSize: 1024, BufferSize: 4096, FreeSegmentsMax: 2, PreparePause: -1}}
}

// writing is a write that can be waited for.
type writing struct {
	Write
	done chan error
}

func (w *writing) Written(x *Write) { w.done <- x.Err }

func apply(s *Store, mutation []byte) *writing {
	w := &writing{done: make(chan error, 1)}
	w.Mutation, w.Owner = mutation, w
	s.Apply(&w.Write)
	return w
}

// mutate encodes what texts say, one for each table.
func mutate(t testing.TB, defs []*schema.Table, texts ...string) []byte {
	t.Helper()
	var b row.Builder
	b.Reset()
	for i, text := range texts {
		if text != "" {
			must(t, row.ParseInto(&b, defs[i], text))
		}
	}
	return b.Finish(nil)
}

// words makes what random steps say. With ordered timestamps later writes win,
// as they do for clients that leave them to the node; without, any may.
type words struct {
	r       *rand.Rand
	ordered bool
	last    int
	filler  int // bytes of each text
}

func (w *words) ts() int {
	if w.ordered {
		w.last++
		return w.last
	}
	return w.r.IntN(8)
}

func (w *words) line(extra string) string {
	r := w.r
	c1 := func() string { return string(rune('a' + r.IntN(3))) }
	c := func() string { return fmt.Sprintf("%s,%d", c1(), r.IntN(5)) }
	switch n := r.IntN(40); {
	case n < 3:
		return fmt.Sprintf("range >=%s <%s del=%d/%d", c(), c(), w.ts(), deletedSecond)
	case n < 4:
		return fmt.Sprintf("range >%s * del=%d/%d", c1(), w.ts(), deletedSecond)
	case n < 7:
		return fmt.Sprintf("row %s del=%d/%d", c(), w.ts(), deletedSecond)
	case n < 12:
		return fmt.Sprintf("static s=%d@%d sm[%d]=x@%d", r.IntN(9), w.ts(), r.IntN(3), w.ts())
	case n < 16:
		return fmt.Sprintf("row %s m[]=~@%d/%d m[%d]=y@%d", c(), w.ts(), deletedSecond, r.IntN(4), w.ts())
	case n < 22:
		return fmt.Sprintf("row %s m[%d]=z@%d", c(), r.IntN(4), w.ts())
	case n < 24:
		return fmt.Sprintf("row %s w=~@%d/%d", c(), w.ts(), deletedSecond)
	case n < 27 && extra != "":
		return fmt.Sprintf("row %s %s=%d@%d", c(), extra, r.IntN(9), w.ts())
	case n < 30:
		return fmt.Sprintf("row %s live=%d!10/110 v=%d@%d!3/103", c(), w.ts(), r.IntN(9), w.ts())
	}
	ts := w.ts()
	return fmt.Sprintf("row %s live=%d v=%d@%d w=%s@%d", c(), ts, r.IntN(9), ts, w.text(), ts)
}

func (w *words) text() string {
	b := make([]byte, 1+w.r.IntN(max(w.filler, 8)))
	for i := range b {
		b[i] = byte('a' + w.r.IntN(26))
	}
	return string(b)
}

// say makes up a write to one partition.
func (w *words) say(extra string) string {
	text := fmt.Sprintf("partition %d", w.r.IntN(6))
	if w.r.IntN(30) == 0 {
		text += fmt.Sprintf(" del=%d/%d", w.ts(), deletedSecond)
	}
	text += "\n"
	for range 1 + w.r.IntN(3) {
		text += w.line(extra) + "\n"
	}
	return text
}
