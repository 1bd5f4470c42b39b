package hint

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/store"
	"helenus/store/row"
	"helenus/store/vfs"
)

// Caller asks other nodes; *wire.Wire is one.
type Caller interface {
	Call(to wire.Target, c *wire.Call)
}

// Liveness is what this node believes of others.
type Liveness interface {
	Alive(id helenus.HostID) bool
}

// Replica applies the hints that others bring.
type Replica interface {
	Write(w *store.Write)
}

// Settings are what an operator may change at any time.
type Settings struct {
	Enabled     bool
	DisabledDCs []helenus.Datacenter
	// Window is how long after a node went away hints are kept for it.
	Window time.Duration
	// BytesPerHostMax bounds what is kept for one node; 0: nothing does.
	BytesPerHostMax int64
	// BytesPerSec bounds the delivery of all nodes to one: each takes its part. 0:
	// nothing does.
	BytesPerSec int64
	Paused      bool // nothing is delivered
}

// Options are what Hints work with. Sizes and times that are zero get the value
// named beside them.
type Options struct {
	FS       vfs.FS
	Dir      string
	Self     helenus.HostID
	Settings func() Settings
	State    func() *meta.State
	Liveness Liveness
	Replica  Replica
	// Behind is told of a node that knows a newer epoch; nil: nobody is.
	Behind func(from helenus.HostID, e meta.Epoch)
	Now    func() time.Time
	Log    *slog.Logger

	Interval      time.Duration // 1 s: between syncs, and looks at who is alive
	SegmentBytes  int64         // 32 MiB
	BufferBytes   int64         // 32 MiB: all that is not written yet
	ReceiveBytes  int           // 4 MiB: what others may bring at once
	BatchBytes    int           // 256 KiB: what is sent at once
	DeliveriesMax int           // 2: nodes that are served at once
	CallTimeout   time.Duration // 10 s
}

func (o *Options) fill() {
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 32<<20)
	o.BufferBytes = cmp.Or(o.BufferBytes, 32<<20)
	o.ReceiveBytes = cmp.Or(o.ReceiveBytes, 4<<20)
	o.BatchBytes = cmp.Or(o.BatchBytes, 256<<10)
	o.DeliveriesMax = cmp.Or(o.DeliveriesMax, 2)
	o.CallTimeout = cmp.Or(o.CallTimeout, 10*time.Second)
}

// Hints are all hints of a node.
type Hints struct {
	opts  Options
	stats Stats
	wire  Caller
	wake  chan struct{} // a buffer is worth writing

	mu         sync.Mutex // guards what follows
	queues     []*queue   // by host id
	truncated  map[schema.TableID]int64
	buffered   int64
	dirty      bool // the notes differ from their file
	delivering int
	ended      bool // Run writes no more

	receiving struct {
		mu      sync.Mutex // guards credits
		credits credits
	}
}

// Stats count since the start.
type Stats struct {
	Stored, Refused    atomic.Uint64 // hints
	Delivered, Dropped atomic.Uint64 // hints; dropped: too old, or of tables that are gone
	Received           atomic.Uint64 // hints of others
}

// Open finds what is kept. Run delivers it.
func Open(opts Options) (*Hints, error) {
	opts.fill()
	h := &Hints{opts: opts, wake: make(chan struct{}, 1), truncated: make(map[schema.TableID]int64)}
	h.receiving.credits.limit = opts.ReceiveBytes
	if err := opts.FS.MkdirAll(opts.Dir); err != nil {
		return nil, fmt.Errorf("hint: %w", err)
	}
	if err := h.readNotes(); err != nil {
		return nil, err
	}
	if err := h.findSegments(); err != nil {
		return nil, err
	}
	return h, nil
}

// Stats gives the counters; they are live.
func (h *Hints) Stats() *Stats { return &h.stats }

// Store keeps a mutation, whose write began so long ago, for a node until it is
// back; false when it does not, which is noted as needing repair unless the node
// is no member. It copies mutation and does not wait.
func (h *Hints) Store(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration) bool {
	return h.store(to, state, mutation, age, nil)
}

// StoreSynced is Store that says when the hint is durable: done is called once,
// with false if it is not kept, and must not wait.
func (h *Hints) StoreSynced(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration, done func(kept bool)) {
	if !h.store(to, state, mutation, age, done) {
		done(false)
	}
}

func (h *Hints) store(to helenus.HostID, state *meta.State, mutation []byte, age time.Duration, done func(bool)) bool {
	n := state.Node(to)
	if n == nil || to == h.opts.Self {
		return false
	}
	graces := gcGraces(state.Schema, mutation)
	if graces.count == 0 {
		return false // of tables that are gone
	}
	s := h.opts.Settings()
	alive := h.opts.Liveness.Alive(to)
	now := h.opts.Now()
	began := now.Add(-age).UnixMilli()
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.queueLocked(to)
	if !alive && q.downSince == 0 {
		q.downSince, h.dirty = now.UnixMilli(), true
	}
	size := int64(recordSize(len(mutation)))
	switch {
	case h.ended, !s.Enabled || slices.Contains(s.DisabledDCs, n.Datacenter), graces.least == 0, q.tooLate(now, s.Window),
		s.BytesPerHostMax > 0 && q.bytes+size > s.BytesPerHostMax, h.buffered+size > h.opts.BufferBytes:
		h.stats.Refused.Add(1)
		h.missedLocked(q, mutation, now)
		return false
	case graces.least == graces.most:
		h.appendLocked(q, record{began, graces.least, mutation})
	default:
		// Each part has its own time, and is applied for itself anyway.
		for m := row.ReadMutation(mutation); ; {
			update, ok := m.Next()
			if !ok {
				break
			}
			part := row.AppendMutation(nil, update)
			if g := gcGraces(state.Schema, part); g.count > 0 {
				h.appendLocked(q, record{began, g.least, part})
			}
		}
	}
	h.stats.Stored.Add(1)
	if done != nil {
		q.waiting = append(q.waiting, done)
	}
	if done != nil || len(q.buffer) >= wakeBytes {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	return true
}

func (h *Hints) appendLocked(q *queue, r record) {
	q.buffer = appendRecord(q.buffer, r)
	size := int64(recordSize(len(r.mutation)))
	q.bytes += size
	h.buffered += size
	if q.oldest == 0 {
		q.oldest = r.created
	}
}

// wakeBytes is how long a buffer may become before it is written out of turn.
const wakeBytes = 256 << 10

// graces are the gc_grace_seconds of a mutation's tables, of those that exist.
type graces struct {
	least, most uint32
	count       int
}

func gcGraces(s *schema.Schema, mutation []byte) (g graces) {
	m := row.ReadMutation(mutation)
	for update, ok := m.Next(); ok; update, ok = m.Next() {
		id, _, err := row.PeekUpdate(update)
		if err != nil {
			return graces{}
		}
		if t := s.Table(id); t != nil {
			seconds := uint32(t.Options.GCGraceSeconds)
			if g.count == 0 || seconds < g.least {
				g.least = seconds
			}
			g.most = max(g.most, seconds)
			g.count++
		}
	}
	return g
}

// missedLocked notes that a node needs repair of a mutation's tables.
func (h *Hints) missedLocked(q *queue, mutation []byte, now time.Time) {
	m := row.ReadMutation(mutation)
	for update, ok := m.Next(); ok; update, ok = m.Next() {
		if id, _, err := row.PeekUpdate(update); err == nil {
			h.markLocked(q, id, now)
		}
	}
}

// markLocked notes that a node needs repair of a table; of all with the zero id.
func (h *Hints) markLocked(q *queue, id schema.TableID, now time.Time) {
	if _, ok := q.missed[id]; ok || len(q.missed) >= missedMax {
		return
	}
	if q.missed == nil {
		q.missed = make(map[schema.TableID]int64)
	}
	q.missed[id] = now.UnixMilli()
	h.dirty = true
}

// missedMax bounds the notes of one node.
const missedMax = 1 << 16

// Truncated forgets the hints of a table whose writes have begun so far, also
// those that are not kept yet, and waits for those that are on their way.
func (h *Hints) Truncated(ctx context.Context, id schema.TableID) error {
	h.mu.Lock()
	h.truncated[id], h.dirty = h.opts.Now().UnixMilli(), true
	var sending []chan struct{}
	for _, q := range h.queues {
		if q.sending != nil {
			sending = append(sending, q.sending)
		}
	}
	h.mu.Unlock()
	for _, sent := range sending {
		select {
		case <-sent:
		case <-ctx.Done():
			return fmt.Errorf("hint: what is on its way of a truncated table: %w", ctx.Err())
		}
	}
	return nil
}

// Repaired takes back the note that a node needs repair of a table.
func (h *Hints) Repaired(host helenus.HostID, id schema.TableID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q := h.findLocked(host); q != nil {
		delete(q.missed, id)
		h.dirty = true
	}
}

// Forget drops all that is kept for some nodes, for all when none is named.
func (h *Hints) Forget(hosts ...helenus.HostID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, q := range h.queues {
		if len(hosts) == 0 || slices.Contains(hosts, q.host) {
			h.buffered -= int64(len(q.buffer))
			q.buffer = q.buffer[:0]
			q.skipLocked()
			h.dirty = true
		}
	}
}

// HostFacts are what is kept for one node.
type HostFacts struct {
	Host       helenus.HostID
	Bytes      int64
	Segments   int
	Oldest     time.Time // zero: there is nothing
	DownSince  time.Time // zero: it is not down, as far as is known
	Delivering bool
	// Missed are the tables of which the node misses something that is not kept
	// either, with the time of the first loss: they need repair. The zero id
	// stands for all tables.
	Missed []MissedFacts
}

// MissedFacts is a table that needs repair at a node.
type MissedFacts struct {
	Table schema.TableID
	Since time.Time
}

// Facts are what an operator may see, by host id.
func (h *Hints) Facts() []HostFacts {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]HostFacts, 0, len(h.queues))
	for _, q := range h.queues {
		f := HostFacts{Host: q.host, Bytes: q.bytes, Segments: len(q.segments), Oldest: milli(q.oldest), DownSince: milli(q.downSince), Delivering: q.delivering}
		for id, since := range q.missed {
			f.Missed = append(f.Missed, MissedFacts{id, milli(since)})
		}
		slices.SortFunc(f.Missed, func(a, b MissedFacts) int { return slices.Compare(a.Table[:], b.Table[:]) })
		out = append(out, f)
	}
	return out
}

func milli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
