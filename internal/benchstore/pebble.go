package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

const pebbleName = "Pebble"

// valueSize is a row as one value: its timestamp, and each column behind its
// length.
const valueSize = 8 + columns*(1+columnSize)

type pebbleEngine struct {
	db     *pebble.DB
	cache  *pebble.Cache
	synced *pebble.WriteOptions
}

// silent keeps Pebble's progress messages off the terminal.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(format string, a ...any) { panic(fmt.Sprintf("pebble: "+format, a...)) }
func (silent) Fatalf(format string, a ...any) { panic(fmt.Sprintf("pebble: "+format, a...)) }

func openPebble(o settings) (engine, error) {
	// Pebble takes memtables out of the cache's size, the one in use and the one
	// it keeps for recycling: they come on top here, so that as much is left for
	// blocks.
	e := &pebbleEngine{cache: pebble.NewCache(o.cache + 2*o.memtable), synced: pebble.NoSync}
	if o.synced {
		e.synced = pebble.Sync
	}
	options := &pebble.Options{Cache: e.cache, MemTableSize: uint64(o.memtable), FormatMajorVersion: pebble.FormatNewest,
		WALDir: o.dir + "/log", Logger: silent{}}
	profile := sstable.NoCompression
	if o.compress {
		profile = sstable.SnappyCompression
	}
	for i := range options.Levels {
		l := &options.Levels[i]
		l.BlockSize, l.FilterPolicy = o.block, bloom.FilterPolicy(10)
		l.Compression = func() *sstable.CompressionProfile { return profile }
	}
	var err error
	if e.db, err = pebble.Open(o.dir+"/data", options); err != nil {
		e.cache.Unref()
		return nil, err
	}
	return e, nil
}

func (e *pebbleEngine) flush() error { return e.db.Flush() }

func (e *pebbleEngine) close() error {
	err := e.db.Close()
	e.cache.Unref()
	return err
}

func (e *pebbleEngine) state() string {
	m := e.db.Metrics()
	total := m.Total()
	return fmt.Sprintf("%d flushes, %d compactions, %d files in %d runs", m.Flush.Count, m.Compact.Count, total.TablesCount, m.ReadAmp())
}

func (e *pebbleEngine) cacheUse() cacheUse {
	c := e.db.Metrics().BlockCache
	return cacheUse{c.Hits, c.Misses, c.Size}
}

type pebbleWriter struct {
	e     *pebbleEngine
	key   [keySize]byte
	value [valueSize]byte
}

func (e *pebbleEngine) newWriter() writer { return &pebbleWriter{e: e} }

func (w *pebbleWriter) write(r, version uint64) error {
	putKey(w.key[:], r)
	binary.BigEndian.PutUint64(w.value[:], uint64(timestampOf(version)))
	for i := range columns {
		at := w.value[8+i*(1+columnSize):]
		at[0] = columnSize
		putValue(at[1:1+columnSize], w.key[:], i, version)
	}
	return w.e.db.Set(w.key[:], w.value[:], w.e.synced)
}

type pebbleReader struct {
	e   *pebbleEngine
	key [keySize]byte
}

func (e *pebbleEngine) newReader() reader { return &pebbleReader{e: e} }

func (r *pebbleReader) get(n uint64) (found bool, err error) {
	putKey(r.key[:], n)
	value, closer, err := r.e.db.Get(r.key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(checkRow(value, r.key[:], int(n%columns)), closer.Close())
}

// checkRow finds every column, as whoever reads a row must, and checks one.
func checkRow(value, key []byte, column int) error {
	if len(value) < 8 {
		return io.ErrUnexpectedEOF
	}
	var found [columns][]byte
	rest := value[8:]
	for i := range found {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return io.ErrUnexpectedEOF
		}
		found[i], rest = rest[1:1+rest[0]], rest[1+rest[0]:]
	}
	return checkValue(found[column], key, column)
}

// getFiltered implements reader: Get asks no filter in the last level, an
// iterator can be told to.
func (r *pebbleReader) getFiltered(n uint64) (found bool, err error) {
	putKey(r.key[:], n)
	it, err := r.e.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return false, err
	}
	if it.SeekPrefixGE(r.key[:]) {
		found = true
		err = checkRow(it.Value(), r.key[:], int(n%columns))
	}
	return found, errors.Join(err, it.Error(), it.Close())
}

func (r *pebbleReader) scan(from *uint64, most uint64) (n uint64, err error) {
	var o pebble.IterOptions
	if from != nil {
		putKey(r.key[:], *from)
		o.LowerBound = r.key[:]
	}
	it, err := r.e.db.NewIter(&o)
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok && n < most; ok = it.Next() {
		if err := checkRow(it.Value(), it.Key(), int(n%columns)); err != nil {
			return n, errors.Join(err, it.Close())
		}
		n++
	}
	return n, errors.Join(it.Error(), it.Close())
}
