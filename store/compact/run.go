package compact

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"sync/atomic"

	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/row"
	"helenus/store/sstable"
	"helenus/store/vfs"
)

// Outside is one moment's view of what else there is: all tables in service
// (those of the job may be among them) and the least timestamp that memtables
// hold of a key (math.MaxInt64: none). Both must be of the same moment, or the
// tables of a later one: what is flushed in between must not be missed.
type Outside struct {
	MemtableMin func(row.Key) int64
	Tables      []*sstable.Table
}

// Job is a task with all that it takes to run it.
type Job struct {
	FS          vfs.FS
	Dir         string
	Table       *schema.Table
	Partitioner token.Partitioner
	// Inputs are merged, Expired only removed. The caller holds references.
	Inputs, Expired []*sstable.Table
	// Outside shows what there is now to look, which keeps nothing of it: what a
	// compaction held on to could not be freed for hours.
	Outside  func(look func(Outside))
	Now      int64 // seconds
	GCBefore int64
	// OnlyRepaired forbids to purge unless all inputs are repaired.
	OnlyRepaired bool
	NewID        sstable.ID
	TxnID        [16]byte // a version 1 UUID
	HostID       [16]byte
	// Throttle is called before so many more bytes are written; it may wait.
	Throttle func(ctx context.Context, bytes int64) error
	// Progress is told now and then how many bytes of the inputs are done.
	Progress func(done, total int64)
}

// Result is what Run has made durable. Until Retire is called and the last
// reference to each input is gone, the old files stay.
type Result struct {
	New     *sstable.Descriptor // nil: nothing was left
	Meta    *sstable.Meta
	job     *Job
	txn     *sstable.Txn
	pending atomic.Int32
}

// Retire makes the inputs remove themselves with their last reference. The
// caller takes them out of service first, and gives its references back after.
func (r *Result) Retire() {
	old := r.job.old()
	r.pending.Store(int32(len(old)))
	for _, t := range old {
		t.MarkObsolete(func() error {
			if r.pending.Add(-1) > 0 {
				return nil
			}
			return r.txn.Release()
		})
	}
}

func (j *Job) old() []*sstable.Table {
	return append(append([]*sstable.Table(nil), j.Inputs...), j.Expired...)
}

// Run merges the inputs into one new table and commits the replacement. On any
// error, also that of a cancelled ctx, the old tables are as they were.
func Run(ctx context.Context, j *Job) (*Result, error) {
	txn, err := sstable.Begin(j.FS, j.Dir, sstable.OpCompaction, j.TxnID)
	if err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	r := &Result{job: j, txn: txn}
	if len(j.Inputs) > 0 {
		o := j.writerOptions(ctx)
		o.Txn = txn
		if r.Meta, err = sstable.Write(o, j.merged(ctx)); err != nil {
			if abortErr := txn.Abort(); abortErr != nil {
				err = fmt.Errorf("%w; then %w", err, abortErr)
			}
			return nil, fmt.Errorf("compact: %w", err)
		}
		if r.Meta != nil {
			r.New = &o.Descriptor
		}
	}
	var gone []sstable.Descriptor
	for _, t := range j.old() {
		gone = append(gone, t.Descriptor())
	}
	if err := txn.Commit(gone...); err != nil {
		if !errors.Is(err, sstable.ErrInDoubt) {
			err = aborted(txn, err)
		}
		return nil, fmt.Errorf("compact: %w", err)
	}
	return r, nil
}

// aborted ends a transaction whose Commit failed before it decided anything. Its
// log must not stay while tables that it names go: a start would not understand.
func aborted(txn *sstable.Txn, err error) error {
	if abortErr := txn.Abort(); abortErr != nil {
		return fmt.Errorf("%w; %w: %w", err, sstable.ErrInDoubt, abortErr)
	}
	return err
}

func (j *Job) writerOptions(ctx context.Context) sstable.WriterOptions {
	o := sstable.WriterOptions{FS: j.FS, Dir: j.Dir, Table: j.Table, Partitioner: j.Partitioner, HostID: j.HostID}
	o.Descriptor = sstable.Descriptor{Version: sstable.NB, ID: j.NewID}
	o.Bases = j.Inputs[0].Meta().Bases()
	o.RepairedAt = math.MaxInt64
	for _, t := range j.Inputs {
		m := t.Meta()
		o.Keys += t.Keys()
		o.Bases.Include(m.Bases())
		o.RepairedAt = min(o.RepairedAt, m.RepairedAt)
		if t.Descriptor().Version == sstable.OA {
			// It may hold an expiry that nb cannot express.
			o.Descriptor.Version = sstable.OA
		}
		if m.HostID == j.HostID {
			o.Intervals = append(o.Intervals, m.Intervals...)
		}
	}
	o.Intervals = joined(o.Intervals)
	if j.Throttle != nil {
		o.Wrote = func(n int64) error { return j.Throttle(ctx, n) }
	}
	return o
}

// joined sorts intervals and merges those that meet.
func joined(in []sstable.Interval) (out []sstable.Interval) {
	sort.Slice(in, func(i, k int) bool { return in[i].Start.Less(in[k].Start) })
	for _, x := range in {
		if n := len(out); n > 0 && !out[n-1].End.Less(x.Start) {
			if out[n-1].End.Less(x.End) {
				out[n-1].End = x.End
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

// merged is what the new table will hold.
func (j *Job) merged(ctx context.Context) row.Partitions {
	sources := make([]row.Partitions, len(j.Inputs))
	filter := &row.Filter{Slices: row.AllRows()}
	p := &progress{job: j}
	for i, t := range j.Inputs {
		sources[i] = t.Scan(filter, sstable.ReadOptions{Sequential: true, Table: j.Table})
		p.total += t.DataBytes()
		if at, ok := sources[i].(positioned); ok {
			p.at = append(p.at, at)
		}
	}
	ps := row.MergePartitions(j.Partitioner.CompareTie, false, sources...)
	if j.mayPurge() {
		ps = row.PurgePartitions(ps, &row.Purger{Now: j.Now, GCBefore: j.GCBefore, MaxPurgeable: j.maxPurgeable()})
	}
	return &cancellable{Partitions: ps, ctx: ctx, progress: p}
}

func (j *Job) mayPurge() bool {
	for _, t := range j.Inputs {
		m := t.Meta()
		if m.PendingRepair != ([16]byte{}) || (j.OnlyRepaired && m.RepairedAt == 0) {
			return false
		}
	}
	return true
}

// maxPurgeable gives the timestamp below which tombstones of a key cover
// nothing outside. It looks anew for each key, as tables come while we run.
func (j *Job) maxPurgeable() func(row.Key) int64 {
	taking := make(map[*sstable.Table]bool)
	for _, t := range j.old() {
		taking[t] = true
	}
	return func(k row.Key) int64 {
		limit := int64(math.MaxInt64)
		j.Outside(func(out Outside) {
			if out.MemtableMin != nil {
				limit = out.MemtableMin(k)
			}
			for _, t := range out.Tables {
				if m := t.Meta(); !taking[t] && m.MinTimestamp < limit && t.MayContain(k) {
					limit = m.MinTimestamp
				}
			}
		})
		return limit
	}
}

type positioned interface{ Position() int64 }

type progress struct {
	job   *Job
	at    []positioned
	total int64
}

func (p *progress) tell() {
	if p.job.Progress == nil {
		return
	}
	var done int64
	for _, a := range p.at {
		done += a.Position()
	}
	p.job.Progress(min(done, p.total), p.total)
}

// cancellable ends with the context's error, also within a partition.
type cancellable struct {
	row.Partitions
	ctx      context.Context
	progress *progress
	one      cancellablePartition
}

const rowsBetweenLooks = 256

// Next implements row.Partitions.
func (c *cancellable) Next() (row.Partition, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	p, err := c.Partitions.Next()
	c.progress.tell()
	if p == nil || err != nil {
		return nil, err
	}
	c.one = cancellablePartition{Partition: p, c: c}
	return &c.one, nil
}

type cancellablePartition struct {
	row.Partition
	c    *cancellable
	rows int
}

// Next implements row.Partition.
func (p *cancellablePartition) Next() (*row.Unfiltered, error) {
	if p.rows++; p.rows%rowsBetweenLooks == 0 {
		if err := p.c.ctx.Err(); err != nil {
			return nil, err
		}
		p.c.progress.tell()
	}
	return p.Partition.Next()
}
