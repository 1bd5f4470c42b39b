package query

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"helenus"
	"helenus/agent/coord"
	"helenus/internal/cql/parse"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/row"
)

// epoch is the second at which all stories take place, here and on the peer.
const epoch = 1_800_000_000

// fakeMetadata is a log of one voter in memory.
type fakeMetadata struct {
	mu    sync.Mutex
	state *meta.State
}

func (m *fakeMetadata) State() *meta.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *fakeMetadata) Commit(_ context.Context, c meta.Change) (*meta.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := meta.Apply(m.state, c)
	if err == nil {
		m.state = s
	}
	return s, err
}

var errBlockMissing = errors.New("the block is not in memory")

// fakeReplica keeps all tables in memory and answers for all replicas.
type fakeReplica struct {
	t         testing.TB
	meta      *fakeMetadata
	p         token.Partitioner
	clock     *coord.Clock
	elsewhere bool // complete from another goroutine

	mu     sync.Mutex
	tables map[schema.TableID][]storedPartition // in token order
	writes int
	types  []helenus.WriteType
}

// storedPartition is kept encoded, by the ids of its columns, so that it
// outlives changes of the table.
type storedPartition struct {
	key   row.Key
	bytes []byte
}

func (f *fakeReplica) keep(t *schema.Table, b []byte) (*row.Kept, error) {
	var u row.Update
	if err := u.Reset(b, t, f.p); err != nil {
		return nil, err
	}
	return row.Keep(&u)
}

// run does the work of a call here or on another goroutine.
func (f *fakeReplica) run(work func()) {
	if f.elsewhere {
		go work()
		return
	}
	work()
}

func (f *fakeReplica) compare(a, b row.Key) int { return row.CompareKeys(a, b, f.p.CompareTie) }

func (f *fakeReplica) Write(w *Write) {
	f.run(func() {
		if w.Consistency.IsSerial() {
			w.Err = helenus.Invalid("You must use conditional updates for serializable writes")
		} else {
			w.Err = f.apply(w.State, w.Mutation)
		}
		f.types = append(f.types, w.Type)
		w.Done.WriteDone(w)
	})
}

func (f *fakeReplica) apply(state *meta.State, mutation []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	m := row.ReadMutation(mutation)
	for {
		b, ok := m.Next()
		if !ok {
			return m.Err()
		}
		id, _, err := row.PeekUpdate(b)
		if err != nil {
			return err
		}
		var u row.Update
		if err := u.Reset(b, state.Schema.Table(id), f.p); err != nil {
			return err
		}
		if err := u.Check(); err != nil {
			return err
		}
		t, stored := state.Schema.Table(id), f.tables[id]
		key := row.Key{Prefix: u.Key().Prefix, Bytes: bytes.Clone(u.Key().Bytes)}
		i, found := slices.BinarySearchFunc(stored, key, func(p storedPartition, key row.Key) int { return f.compare(p.key, key) })
		sources := []row.Partition{&u}
		if found {
			k, err := f.keep(t, stored[i].bytes)
			if err != nil {
				return err
			}
			sources = append(sources, k.Partition(false))
		} else {
			stored = slices.Insert(stored, i, storedPartition{key: key})
		}
		if stored[i].bytes, err = row.AppendUpdate(nil, t, row.Merge(false, sources...)); err != nil {
			return err
		}
		f.tables[id] = stored
	}
}

func (f *fakeReplica) selected(c *row.Command) []*row.Kept {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*row.Kept
	take := func(p storedPartition) {
		k, err := f.keep(c.Table, p.bytes)
		if err != nil {
			f.t.Error(err)
			return
		}
		out = append(out, k)
	}
	for _, p := range f.tables[c.Table.ID] {
		if c.Keys == nil && c.Start.AfterStart(p.key, f.p) && c.End.BeforeEnd(p.key, f.p) {
			take(p)
		}
	}
	for _, key := range c.Keys {
		for _, p := range f.tables[c.Table.ID] {
			if bytes.Equal(p.key.Bytes, key.Bytes) {
				take(p)
			}
		}
	}
	return out
}

func (f *fakeReplica) Read(r *Read) {
	f.run(func() {
		kept := f.selected(r.Command)
		if f.elsewhere {
			// The first attempt breaks off in the middle, as for a block that has to
			// be read.
			ps := &brokenOff{Partitions: row.KeptPartitions(r.Command.Filter.Reversed, kept...), left: (len(kept) + 1) / 2}
			if err := r.Done.Partitions(ps); err != nil && !errors.Is(err, errBlockMissing) {
				r.Err = err
				r.Done.ReadDone(r)
				return
			}
		}
		r.Err = r.Done.Partitions(row.KeptPartitions(r.Command.Filter.Reversed, kept...))
		r.Done.ReadDone(r)
	})
}

// brokenOff shows some partitions and then fails.
type brokenOff struct {
	row.Partitions
	left int
}

func (b *brokenOff) Next() (row.Partition, error) {
	if b.left == 0 {
		return nil, errBlockMissing
	}
	b.left--
	return b.Partitions.Next()
}

func (f *fakeReplica) CAS(c *CAS) {
	f.run(func() {
		if !c.Serial.IsSerial() {
			c.Err = helenus.Invalid("Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL")
			c.Done.CASDone(c)
			return
		}
		kept := f.selected(c.Command)
		applies, err := c.Done.Decide(row.KeptPartitions(false, kept...))
		var mutation []byte
		if err == nil && applies {
			mutation, err = c.Done.Mutation(f.clock.Micros())
		}
		if err == nil && mutation != nil {
			err = f.apply(c.State, mutation)
		}
		c.Err = err
		c.Done.CASDone(c)
	})
}

// textRows is a RowWriter that keeps the rows.
type textRows struct {
	meta    *ResultMetadata
	rows    [][][]byte
	row     [][]byte
	size    int
	paging  []byte
	ended   bool
	skipped bool
	changed bool
}

func (w *textRows) Begin(meta *ResultMetadata, skip, changed bool) {
	*w = textRows{meta: meta, skipped: skip, changed: changed}
}

func (w *textRows) Cell(v []byte) {
	w.row = append(w.row, bytes.Clone(v))
	w.size += 4 + len(v)
}

func (w *textRows) EndRow()        { w.rows, w.row = append(w.rows, w.row), nil }
func (w *textRows) SizeBytes() int { return w.size }
func (w *textRows) End(s []byte)   { w.paging, w.ended = bytes.Clone(s), true }

// node is an Engine over memory.
type node struct {
	engine  *Engine
	replica *fakeReplica
	meta    *fakeMetadata
}

func newNode(t testing.TB, elsewhere bool) *node {
	p := token.Murmur3Partitioner{}
	m := &fakeMetadata{state: meta.New(nil)}
	at := netip.MustParseAddrPort("127.0.0.1:7000")
	for _, c := range []meta.Change{
		meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "stories", Partitioner: p.Name()},
		meta.Register{Node: meta.Node{HostID: helenus.HostID{1}, Broadcast: at, Listen: at, Native: at, Datacenter: "dc1", Rack: "rack1", Level: meta.CurrentLevel,
			Tokens: []token.Token{token.FromInt64(0)}}},
	} {
		if _, err := m.Commit(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	now := func() time.Time { return time.Unix(epoch, 0) }
	clock := coord.NewClock(now)
	r := &fakeReplica{t: t, meta: m, p: p, clock: clock, elsewhere: elsewhere, tables: make(map[schema.TableID][]storedPartition)}
	var seed byte
	e := New(Options{
		Coordinator: r, Metadata: m, Partitioner: p, Now: now, Clock: clock,
		Rand: func(b []byte) {
			for i := range b {
				seed += 7
				b[i] = seed
			}
		},
		Log: slog.New(slog.DiscardHandler),
		Truncate: func(tt TruncateTable) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.tables, tt.Table.ID)
			return nil
		},
		Describe: func(*meta.State, string, *parse.Describe) ([]ColumnSpec, [][][]byte, error) {
			return nil, nil, helenus.Unsupported("DESCRIBE")
		},
		PreparedBytesMax: 1 << 20, Limits: DefaultLimits(),
	})
	return &node{engine: e, replica: r, meta: m}
}

// waiter completes requests for a caller that blocks.
type waiter chan *Request

func (w waiter) RequestDone(r *Request) { w <- r }

// execute runs a request to its end.
func (n *node) execute(r *Request) (*textRows, *Result) {
	out := &textRows{}
	w := make(waiter, 1)
	r.Out, r.Owner = out, w
	n.engine.Execute(r)
	<-w
	return out, &r.Result
}
