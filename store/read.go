package store

import (
	"math"

	"helenus/store/row"
	"helenus/store/sstable"
)

// ReadMode says whether a read may wait for the disk.
type ReadMode uint8

// The modes. A NonBlocking read whose iteration needs a block that is not in
// memory ends with ErrWouldBlock; it is begun again with Blocking elsewhere.
const (
	NonBlocking ReadMode = iota
	Blocking
)

// ErrWouldBlock ends a NonBlocking read that needs the disk.
var ErrWouldBlock = sstable.ErrWouldBlock

// Read starts a command. The partitions come merged, in the order of Keys or of
// tokens, with their tombstones: row.Visible shows what lives. The caller closes
// them.
func (s *Store) Read(c *row.Command, mode ReadMode) (row.Partitions, error) {
	t := s.table(c.Table.ID)
	if t == nil {
		return nil, dropped(c.Table.ID)
	}
	v := t.acquire()
	if v == nil {
		return nil, dropped(c.Table.ID)
	}
	s.stats.Reads.Add(1)
	if c.Keys == nil {
		r := &scanReading{reading: reading{t: t, c: c, v: v, mode: mode}}
		r.scan()
		return r, nil
	}
	r := s.keyReadings.Get().(*keyReading)
	r.t, r.c, r.v, r.mode = t, c, v, mode
	return r, nil
}

// reading is a command on one view.
type reading struct {
	t      *table
	c      *row.Command
	v      *view
	mode   ReadMode
	filter row.Filter // of the key at hand
	merger row.Merger
	parts  []row.Partition
	slices []row.Slice

	plain  bool // see plan
	wants  int  // regular columns
	founds []found
	hash   sstable.KeyHash // of the key at hand
}

func (r *reading) options() sstable.ReadOptions {
	return sstable.ReadOptions{NonBlocking: r.mode == NonBlocking, Table: r.c.Table, Hash: &r.hash}
}

// get merges one partition from memory and files; nil when there is nothing.
func (r *reading) get(k row.Key) (row.Partition, error) {
	r.filter = r.c.FilterFor(k, r.slices)
	r.parts = r.parts[:0]
	for _, g := range r.v.flushing {
		if err := r.getFrom(g, k); err != nil {
			return nil, err
		}
	}
	if err := r.getFrom(r.v.active, k); err != nil {
		return nil, err
	}
	if err := r.getFromFiles(k); err != nil {
		return nil, r.abandon(err)
	}
	if len(r.parts) == 0 {
		return nil, nil
	}
	return r.merger.Reset(r.filter.Reversed, r.parts), nil
}

// getFromFiles looks into the files, the one with the latest timestamp first,
// until what has been found settles the rest.
func (r *reading) getFromFiles(k row.Key) error {
	if len(r.v.files) == 0 {
		return nil
	}
	r.plan(r.c.Table)
	r.hash = sstable.HashKey(k.Bytes)
	r.founds = r.founds[:0]
	looked, upTo := 0, int64(math.MinInt64)
	for _, file := range r.v.files {
		for ; r.plain && looked < len(r.parts); looked++ {
			p, to, err := r.settled(r.parts[looked])
			if err != nil {
				return err
			}
			r.parts[looked], upTo = p, max(upTo, to)
		}
		if upTo > file.Meta().MaxTimestamp {
			break
		}
		p, err := file.Get(k, &r.filter, r.options())
		if err != nil {
			return err
		}
		if p != nil {
			r.parts = append(r.parts, p)
		}
	}
	return nil
}

func (r *reading) getFrom(g *generation, k row.Key) error {
	p, err := g.m.Get(r.c.Table, k, r.filter)
	if err != nil {
		return r.abandon(err)
	}
	if p != nil {
		r.parts = append(r.parts, p)
	}
	return nil
}

func (r *reading) abandon(err error) error {
	for _, p := range r.parts {
		_ = p.Close() // the error at hand says more
	}
	return err
}

// scan merges ranges from memory and files. A page that goes on in the middle
// of a partition reads that one by key, so that the index skips what was given.
func (r *scanReading) scan() {
	start := r.c.Start
	resumed := len(r.c.After) > 0 && start.HasKey && start.Inclusive
	start.Inclusive = start.Inclusive && !resumed
	var from []row.Partitions
	for _, g := range r.v.memory() {
		from = append(from, g.m.Range(r.c.Table, start, r.c.End, r.c.Filter))
	}
	for _, file := range r.v.files {
		from = append(from, file.Range(start, r.c.End, &r.c.Filter, r.options()))
	}
	r.ps = row.MergePartitions(r.t.store.opts.Partitioner.CompareTie, r.c.Filter.Reversed, from...)
	r.resume = resumed
}

// keyReading gives the partitions of a list of keys, each when it is asked for.
// It is kept for the next read, so it must be closed once.
type keyReading struct {
	reading
	next int
	open row.Partition
}

// Next implements row.Partitions.
func (r *keyReading) Next() (row.Partition, error) {
	if err := r.closeOpen(); err != nil {
		return nil, err
	}
	for r.next < len(r.c.Keys) {
		k := r.c.Keys[r.next]
		r.next++
		p, err := r.get(k)
		if err != nil {
			return nil, err
		}
		if p != nil {
			r.open = p
			return p, nil
		}
	}
	return nil, nil
}

func (r *keyReading) closeOpen() error {
	if r.open == nil {
		return nil
	}
	p := r.open
	r.open = nil
	return p.Close()
}

// Close implements row.Partitions.
func (r *keyReading) Close() error {
	err := r.closeOpen()
	s := r.t.store
	r.v.release()
	clear(r.parts)
	clear(r.founds)
	r.t, r.c, r.v, r.filter, r.next = nil, nil, nil, row.Filter{}, 0
	s.keyReadings.Put(r)
	return err
}

// scanReading gives the partitions of a range.
type scanReading struct {
	reading
	ps     row.Partitions
	resume bool          // the partition at Start comes first, by key
	first  row.Partition // that one, while it is open
}

// Next implements row.Partitions.
func (r *scanReading) Next() (row.Partition, error) {
	if err := r.closeFirst(); err != nil {
		return nil, err
	}
	if r.resume {
		r.resume = false
		p, err := r.get(r.c.Start.Key)
		if err != nil || p != nil {
			r.first = p
			return p, err
		}
	}
	return r.ps.Next()
}

func (r *scanReading) closeFirst() error {
	if r.first == nil {
		return nil
	}
	p := r.first
	r.first = nil
	return p.Close()
}

// Close implements row.Partitions.
func (r *scanReading) Close() error {
	err := r.closeFirst()
	if e := r.ps.Close(); err == nil {
		err = e
	}
	r.v.release()
	return err
}
