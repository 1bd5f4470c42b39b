package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"time"

	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/cql/types"
	"helenus/internal/token"
	"helenus/store"
	"helenus/store/commitlog"
	"helenus/store/row"
	"helenus/store/vfs"
)

const helenusName = "Helenus"

// helenus is the store with one table.
type helenus struct {
	s     *store.Store
	table *schema.Table
}

func openHelenus(o settings) (engine, error) {
	table, err := row.ParseTable("k blob | | c0 text, c1 text, c2 text, c3 text, c4 text")
	if err != nil {
		return nil, err
	}
	if o.compress {
		table.Options.Compression["chunk_length_in_kb"] = strconv.Itoa(o.block >> 10)
	} else {
		table.Options.Compression = map[string]string{"enabled": "false"}
	}
	log := commitlog.Options{Mode: commitlog.Periodic}
	if o.synced {
		log.Mode = commitlog.Group
	}
	sch := schema.New(map[string]*schema.Keyspace{table.Keyspace: {Name: table.Keyspace, Tables: map[string]*schema.Table{table.Name: table}}})
	s, err := store.Open(store.Options{FS: vfs.NewReal(), DataDir: o.dir + "/data", LogDir: o.dir + "/log", Partitioner: token.Murmur3Partitioner{},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now, Rand: func(b []byte) { _, _ = rand.Read(b) },
		Budget: budget.New("bench", math.MaxInt64), MemtableBytes: o.memtable, CacheBytes: o.cache, CommitLog: log}, sch, 1)
	if err != nil {
		return nil, err
	}
	return &helenus{s, table}, nil
}

func (h *helenus) flush() error { return h.s.Flush(context.Background(), h.table.ID) }
func (h *helenus) close() error { return h.s.Close() }

func (h *helenus) state() string {
	st := h.s.Stats()
	return fmt.Sprintf("%d flushes, %d compactions, %d files", st.Flushes.Load(), st.Compactions.Load(), h.s.Tables()[0].Files)
}

func (h *helenus) cacheUse() cacheUse {
	c := h.s.CacheStats()
	return cacheUse{int64(c.Hits), int64(c.Misses), c.BytesUsed}
}

// helenusWriter changes one encoded mutation in place: making mutations of
// statements is agent/query's work, and the store is handed the bytes.
type helenusWriter struct {
	store     *store.Store
	write1    store.Write
	done      chan error
	key       []byte // these lie in the mutation
	values    [columns][]byte
	timestamp []byte
}

func (h *helenus) newWriter() writer {
	key := bytes.Repeat([]byte{0xa5}, keySize)
	var b row.Builder
	b.Reset()
	b.Begin(h.table, key)
	b.BeginRow()
	ts := timestampOf(0)
	b.Liveness(row.Liveness{Timestamp: ts, LocalTime: row.NoDeletionTime})
	var values [columns][]byte
	for i, c := range h.table.Regulars {
		values[i] = bytes.Repeat([]byte{byte('A' + i)}, columnSize)
		b.Cell(c, row.Cell{Timestamp: ts, LocalTime: row.NoDeletionTime, Value: values[i]})
	}
	b.EndRow()
	m := b.Finish(nil)
	part := func(want []byte) []byte {
		at := bytes.Index(m, want)
		if at < 0 || bytes.Contains(m[at+1:], want) {
			panic("benchstore: the mutation's encoding has changed: a part of it does not appear exactly once")
		}
		return m[at:][:len(want)]
	}
	w := &helenusWriter{store: h.s, done: make(chan error, 1), key: part(key), timestamp: part(types.AppendVInt(nil, ts))}
	for i := range values {
		w.values[i] = part(values[i])
	}
	w.write1.Mutation, w.write1.Owner = m, w
	return w
}

// Written implements store.Owner.
func (w *helenusWriter) Written(x *store.Write) { w.done <- x.Err }

func (w *helenusWriter) write(r, version uint64) error {
	putKey(w.key, r)
	for i := range w.values {
		putValue(w.values[i], w.key, i, version)
	}
	if b := types.AppendVInt(w.timestamp[:0:len(w.timestamp)], timestampOf(version)); len(b) != len(w.timestamp) {
		return errors.New("a timestamp of another length")
	}
	w.store.Apply(&w.write1)
	return <-w.done
}

type helenusReader struct {
	h       *helenus
	key     [keySize]byte
	keys    [1]row.Key
	command row.Command
}

func (h *helenus) newReader() reader { return &helenusReader{h: h} }

func (r *helenusReader) setKey(n uint64) row.Key {
	putKey(r.key[:], n)
	return row.Key{Prefix: token.Murmur3Partitioner{}.Prefix(r.key[:]), Bytes: r.key[:]}
}

// getFiltered implements reader: there is one way only.
func (r *helenusReader) getFiltered(n uint64) (bool, error) { return r.get(n) }

func (r *helenusReader) get(n uint64) (found bool, err error) {
	r.keys[0] = r.setKey(n)
	r.command = row.Command{Table: r.h.table, Keys: r.keys[:], Filter: row.Filter{Slices: r.command.Filter.Slices}}
	if r.command.Filter.Slices == nil {
		r.command.Filter.Slices = row.AllRows()
	}
	ps, err := r.h.s.Read(&r.command, store.Blocking)
	if err != nil {
		return false, err
	}
	p, err := ps.Next()
	if p != nil && err == nil {
		found = true
		err = checkPartition(p, int(n%columns))
	}
	return found, errors.Join(err, ps.Close())
}

func checkPartition(p row.Partition, column int) error {
	u, err := p.Next()
	if err != nil {
		return err
	}
	if u == nil || u.Row == nil || len(u.Row.Cells) != columns {
		return fmt.Errorf("partition %x has not one row of %d cells", p.Key().Bytes, columns)
	}
	return checkValue(u.Row.Cells[column].Value, p.Key().Bytes, column)
}

func (r *helenusReader) scan(from *uint64, most uint64) (n uint64, err error) {
	r.command = row.Command{Table: r.h.table, Start: row.Bound{Open: true}, End: row.Bound{Open: true}, Filter: row.Filter{Slices: row.AllRows()}}
	if from != nil {
		r.command.Start = row.Bound{Key: r.setKey(*from), HasKey: true, Inclusive: true}
	}
	ps, err := r.h.s.Read(&r.command, store.Blocking)
	if err != nil {
		return 0, err
	}
	for ; n < most; n++ {
		p, err := ps.Next()
		if p == nil || err != nil {
			return n, errors.Join(err, ps.Close())
		}
		if err := checkPartition(p, int(n%columns)); err != nil {
			return n, errors.Join(err, ps.Close())
		}
	}
	return n, ps.Close()
}
