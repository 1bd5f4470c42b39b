package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"helenus/internal/cql/schema"
	"helenus/store/commitlog"
	"helenus/store/row"
)

// TestReadsLikeModel: whatever is in memory, on its way to a file, or in files,
// reads of every shape show what the model has.
func TestReadsLikeModel(t *testing.T) {
	for seed := range seeds(t, 4) {
		h := newHistory(t, commitlog.Batch, seed)
		s, err := Open(h.options(h.mem, seed), h.model.first, h.epoch.Load())
		must(t, err)
		h.store = s
		for range 60 {
			h.step()
			h.compareReads()
			if t.Failed() {
				break
			}
		}
		must(t, s.Close())
	}
}

func (h *history) compareReads() {
	_, n := h.model.span()
	for _, def := range h.defs {
		want := rowsOf(h.t, def, func() (row.Partitions, error) {
			h.model.mu.Lock()
			defer h.model.mu.Unlock()
			return row.KeptPartitions(false, keepAll(h.t, def, h.model.writtenLocked(n)[def.ID])...), nil
		}, everything(def))
		if got := h.pages(def); got != want {
			h.t.Errorf("seed %d, step %d, %s by pages: only read (-), only wanted (+)\n%s", h.seed, n, def.Name, difference(got, want))
		}
		if got := h.backwards(def); got != want {
			h.t.Errorf("seed %d, step %d, %s backwards: only read (-), only wanted (+)\n%s", h.seed, n, def.Name, difference(got, want))
		}
	}
}

// rowsOf renders the rows alone, each with its key.
func rowsOf(t testing.TB, def *schema.Table, read func() (row.Partitions, error), c *row.Command) string {
	t.Helper()
	var out []string
	ps, err := read()
	must(t, err)
	for v := row.Visible(ps, c, false, nil); ; {
		p, err := v.Next()
		must(t, err)
		if p == nil {
			must(t, v.Close())
			return strings.Join(out, "")
		}
		rows := rowLines(t, def, p, nil)
		out = append(out, rows...)
	}
}

func rowLines(t testing.TB, def *schema.Table, p row.Partition, each func(*row.Row)) (out []string) {
	t.Helper()
	for {
		u, err := p.Next()
		must(t, err)
		if u == nil {
			return out
		}
		if each != nil {
			each(u.Row)
		}
		out = append(out, fmt.Sprintf("%x %s", p.Key().Bytes, row.PrintRow(nil, def, u.Row)))
	}
}

// restartable reads without waiting for the disk, and when that ends, again.
func (h *history) restartable(c *row.Command) (row.Partitions, error) {
	ps, err := h.store.Read(c, NonBlocking)
	must(h.t, err)
	first, err := row.PrintAll(nil, c.Table, row.Visible(ps, c, true, nil))
	must(h.t, ps.Close())
	again, openErr := h.store.Read(c, Blocking)
	must(h.t, openErr)
	if errors.Is(err, ErrWouldBlock) {
		return again, nil
	}
	must(h.t, err)
	second, err := row.PrintAll(nil, c.Table, row.Visible(again, c, true, nil))
	must(h.t, err)
	must(h.t, again.Close())
	if string(first) != string(second) {
		h.t.Errorf("seed %d: read without waiting (-), waiting (+)\n%s", h.seed, difference(string(first), string(second)))
	}
	return h.store.Read(c, Blocking)
}

// pages reads a table a few rows at a time, each page from where the last ended.
func (h *history) pages(def *schema.Table) string {
	c := everything(def)
	c.Limits.Rows = 1 + h.r.IntN(5)
	var out []string
	for {
		ps, err := h.restartable(c)
		must(h.t, err)
		v := row.Visible(ps, c, false, nil)
		count := 0
		var key row.Key
		var after []byte
		for {
			p, err := v.Next()
			must(h.t, err)
			if p == nil {
				break
			}
			out = append(out, rowLines(h.t, def, p, func(r *row.Row) {
				count++
				key = row.Key{Prefix: p.Key().Prefix, Bytes: append([]byte(nil), p.Key().Bytes...)}
				after = append([]byte(nil), r.Clustering.Order...)
			})...)
		}
		must(h.t, v.Close())
		if count < c.Limits.Rows {
			return strings.Join(out, "")
		}
		c.Start, c.After = row.KeyBound(key, true), after
	}
}

// backwards reads partition by partition in reverse and turns that round.
func (h *history) backwards(def *schema.Table) string {
	var keys []row.Key
	ps, err := h.store.Read(everything(def), Blocking)
	must(h.t, err)
	for {
		p, err := ps.Next()
		must(h.t, err)
		if p == nil {
			break
		}
		keys = append(keys, row.Key{Prefix: p.Key().Prefix, Bytes: append([]byte(nil), p.Key().Bytes...)})
	}
	must(h.t, ps.Close())
	var out []string
	for _, k := range keys {
		c := &row.Command{Table: def, Now: readSecond, Keys: []row.Key{k}, Filter: row.Filter{Slices: row.AllRows(), Reversed: true}}
		ps, err := h.store.Read(c, Blocking)
		must(h.t, err)
		v := row.Visible(ps, c, false, nil)
		p, err := v.Next()
		must(h.t, err)
		if p != nil {
			rows := rowLines(h.t, def, p, nil)
			for i := range rows {
				out = append(out, rows[len(rows)-1-i])
			}
		}
		must(h.t, v.Close())
	}
	return strings.Join(out, "")
}

// TestReadersBesideWriters: a reader sees one state of a table, not older than
// what was acknowledged when it began.
func TestReadersBesideWriters(t *testing.T) {
	h := newHistory(t, commitlog.Group, 1)
	s, err := Open(h.options(h.mem, 1), h.model.first, h.epoch.Load())
	must(t, err)
	h.store = s
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			def := h.defs[i]
			for r := rand.New(rand.NewPCG(uint64(i), 2)); ctx.Err() == nil; {
				acked, _ := h.model.span()
				mode := Blocking
				if r.IntN(2) == 0 {
					mode = NonBlocking
				}
				text, err := readAll(s, def, mode)
				if errors.Is(err, ErrWouldBlock) {
					continue
				}
				_, issued := h.model.span()
				if err != nil || !h.oneOf(def, text, acked, issued) {
					t.Errorf("table %s between steps %d and %d (error %v):\n%s", def.Name, acked, issued, err, text)
					return
				}
			}
		}()
	}
	for n := range 120 {
		def := h.defs[n%3]
		switch {
		case n%40 == 39:
			x := h.model.begin(step{truncate: def.ID})
			must(t, s.Truncate(ctx, def.ID))
			h.model.ended(x)
		case n%8 == 7:
			must(t, s.Flush(ctx, def.ID))
		case n%20 == 11:
			must(t, s.Compact(ctx, def.ID))
		default:
			mutation := mutate(t, h.defs[n%3:n%3+1], h.words.say("")) // one partition: it is seen as a whole
			x := h.model.begin(step{mutation: mutation})
			must(t, <-apply(s, mutation).done)
			h.model.ended(x)
		}
	}
	stop()
	wg.Wait()
	must(t, s.Close())
}

func readAll(s *Store, def *schema.Table, mode ReadMode) (string, error) {
	ps, err := s.Read(everything(def), mode)
	if err != nil {
		return "", err
	}
	text, err := row.PrintAll(nil, def, row.Visible(ps, everything(def), true, nil))
	return string(text), errors.Join(err, ps.Close())
}

// oneOf tells whether a table's text is one of its states. A scan takes its
// partitions one after the other, so each may be of a moment of its own.
func (h *history) oneOf(def *schema.Table, text string, acked, issued int) bool {
	states := map[string]bool{}
	for n := acked; n <= issued; n++ {
		_, shown, _ := strings.Cut(h.model.show(n), "table "+def.Name+"\n")
		shown, _, _ = strings.Cut(shown, "table ")
		for _, part := range strings.Split(shown, "partition ") {
			states[part] = true
		}
	}
	for _, part := range strings.Split(text, "partition ") {
		if part != "" && !states[part] {
			return false
		}
	}
	return true
}
