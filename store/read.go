package store

import (
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
	r := &reading{t: t, c: c, v: v, mode: mode}
	if c.Keys != nil {
		return &keyReading{reading: r}, nil
	}
	return r.scan(), nil
}

// reading is a command on one view.
type reading struct {
	t      *table
	c      *row.Command
	v      *view
	mode   ReadMode
	merger row.Merger
	parts  []row.Partition
	slices []row.Slice
}

func (r *reading) options() sstable.ReadOptions {
	return sstable.ReadOptions{NonBlocking: r.mode == NonBlocking, Table: r.c.Table}
}

// get merges one partition from memory and files; nil when there is nothing.
func (r *reading) get(k row.Key) (row.Partition, error) {
	f := r.c.FilterFor(k, r.slices)
	r.parts = r.parts[:0]
	for _, g := range r.v.memory() {
		p, err := g.m.Get(r.c.Table, k, f)
		if err != nil {
			return nil, r.abandon(err)
		}
		if p != nil {
			r.parts = append(r.parts, p)
		}
	}
	for _, file := range r.v.files {
		p, err := file.Get(k, &f, r.options())
		if err != nil {
			return nil, r.abandon(err)
		}
		if p != nil {
			r.parts = append(r.parts, p)
		}
	}
	if len(r.parts) == 0 {
		return nil, nil
	}
	return r.merger.Reset(f.Reversed, r.parts), nil
}

func (r *reading) abandon(err error) error {
	for _, p := range r.parts {
		_ = p.Close() // the error at hand says more
	}
	return err
}

// scan merges ranges from memory and files. A page that goes on in the middle
// of a partition reads that one by key, so that the index skips what was given.
func (r *reading) scan() row.Partitions {
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
	ps := row.MergePartitions(r.t.store.opts.Partitioner.CompareTie, r.c.Filter.Reversed, from...)
	return &scanReading{reading: r, ps: ps, resume: resumed}
}

// keyReading gives the partitions of a list of keys, each when it is asked for.
type keyReading struct {
	*reading
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
	r.v.release()
	return err
}

// scanReading gives the partitions of a range.
type scanReading struct {
	*reading
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
