package commitlog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"helenus/store/commitlog"
	"helenus/store/vfs"
)

const dir = "log"

// tiny makes segments of eight blocks, so that everything happens soon.
func tiny(mode commitlog.Mode) commitlog.Options {
	return commitlog.Options{Mode: mode, SegmentSize: 4096, BlockSize: 512, BufferSize: 1500, FreeSegmentsMax: 2, PreparePause: -1}
}

func table(n int) commitlog.TableID { return commitlog.TableID{0: 0xAA, 15: byte(n)} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ignore(*commitlog.Record) error { return nil }

// open opens a log that holds nothing anybody wants to see.
func open(t testing.TB, fsys vfs.FS, opts commitlog.Options) *commitlog.Log {
	t.Helper()
	l, err := commitlog.Open(fsys, dir, opts)
	must(t, err)
	_, err = l.Replay(ignore)
	must(t, err)
	return l
}

// got is one delivered record.
type got struct {
	pos     commitlog.Position
	payload string
	tables  []commitlog.TableID
	needed  []commitlog.TableID
}

func replay(fsys vfs.FS, opts commitlog.Options) (*commitlog.Log, []got, commitlog.ReplayStats, error) {
	l, err := commitlog.Open(fsys, dir, opts)
	if err != nil {
		return nil, nil, commitlog.ReplayStats{}, err
	}
	var all []got
	stats, err := l.Replay(func(r *commitlog.Record) error {
		g := got{pos: r.Pos, payload: string(r.Payload)}
		for i := range r.Tables() {
			g.tables = append(g.tables, r.Table(i))
			if !r.Covered(r.Table(i)) {
				g.needed = append(g.needed, r.Table(i))
			}
		}
		all = append(all, g)
		return nil
	})
	return l, all, stats, err
}

// waiter counts its completions.
type waiter struct {
	mu    sync.Mutex
	calls int
	err   error
	done  chan struct{}
}

func newWaiter() *waiter { return &waiter{done: make(chan struct{})} }

func (w *waiter) Synced(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	w.err = err
	if w.calls == 1 {
		close(w.done)
	}
}

func (w *waiter) wait() error {
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// model knows what was asked of a log, and thereby what a replay may deliver.
type model struct {
	mu      sync.Mutex
	records []*modelRecord
	asked   map[commitlog.TableID]int // records before this index were discarded
	sure    map[commitlog.TableID]int // and the discard was acknowledged
}

type modelRecord struct {
	m      *model
	index  int
	pos    commitlog.Position
	tables []commitlog.TableID
	text   string
	acked  bool
	calls  int
}

func newModel() *model {
	return &model{asked: map[commitlog.TableID]int{}, sure: map[commitlog.TableID]int{}}
}

func (r *modelRecord) Synced(err error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.calls++
	r.acked = err == nil
}

// next plans a record; it counts as appended from now on.
func (m *model) next(rnd *rand.Rand, sizeMax int) *modelRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &modelRecord{m: m, index: len(m.records)}
	payload := binary.BigEndian.AppendUint32(nil, uint32(r.index))
	for range rnd.IntN(sizeMax) {
		payload = append(payload, byte(rnd.Uint32()))
	}
	r.text = string(payload)
	for n := range 3 {
		if rnd.IntN(2) == 0 {
			r.tables = append(r.tables, table(n))
		}
	}
	if len(r.tables) == 0 {
		r.tables = []commitlog.TableID{table(3)}
	}
	m.records = append(m.records, r)
	return r
}

func needed(r *modelRecord, upTo map[commitlog.TableID]int) []commitlog.TableID {
	var out []commitlog.TableID
	for _, t := range r.tables {
		if r.index >= upTo[t] {
			out = append(out, t)
		}
	}
	return out
}

// check compares a replay with what was asked. Delivered must be: every
// acknowledged record that a table still needs, nothing after a gap, in order,
// byte for byte, and nothing of a table whose discard was acknowledged.
func (m *model) check(all []got, ackMeansDurable bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, at := 0, commitlog.Position{}
	for _, g := range all {
		if g.pos.Compare(at) <= 0 {
			return fmt.Errorf("position %s after %s", g.pos, at)
		}
		at = g.pos
		if len(g.payload) < 4 {
			return errors.New("a payload nobody wrote")
		}
		index := int(binary.BigEndian.Uint32([]byte(g.payload)))
		if index < next || index >= len(m.records) {
			return fmt.Errorf("record %d, at least %d of %d expected", index, next, len(m.records))
		}
		for i := next; i < index; i++ {
			if n := needed(m.records[i], m.asked); len(n) > 0 {
				return fmt.Errorf("record %d missing before record %d", i, index)
			}
		}
		if err := m.records[index].same(g); err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		next = index + 1
	}
	for _, r := range m.records[next:] {
		if ackMeansDurable && r.acked && len(needed(r, m.asked)) > 0 {
			return fmt.Errorf("acknowledged record %d is lost", r.index)
		}
	}
	return nil
}

func (r *modelRecord) same(g got) error {
	if g.payload != r.text || !slices.Equal(g.tables, r.tables) {
		return errors.New("other bytes than were written")
	}
	for _, t := range g.needed {
		if !slices.Contains(needed(r, r.m.sure), t) {
			return errors.New("back after its discard was acknowledged")
		}
	}
	for _, t := range needed(r, r.m.asked) {
		if !slices.Contains(g.needed, t) {
			return errors.New("covered by a discard nobody asked for")
		}
	}
	return nil
}

func (m *model) done(t testing.TB) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.calls != 1 {
			t.Fatalf("waiter of record %d was called %d times", r.index, r.calls)
		}
	}
}
