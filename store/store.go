// Package store keeps one node's data on one file system: every table's
// memtables, files and share of the commit log.
//
// Nouns: Store (all tables), Write (a mutation on its way to disk and memory),
// Command and Partitions (row's: what is read), ReadMode (whether a read may
// wait for the disk).
//
// agent/replica applies and reads, agent flushes, compacts and truncates by
// order of the operator, stream exports and ingests. It knows nothing of
// clients, other nodes or consistency levels, and takes the time as given.
//
// A write is first appended to the commit log; when the log has it on disk it
// goes into the memtables, then its owner is told. So what can be read is
// durable, whatever happens next (periodic mode excepted, which says so).
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/internal/budget"
	"helenus/internal/cql/schema"
	"helenus/internal/token"
	"helenus/store/cache"
	"helenus/store/commitlog"
	"helenus/store/vfs"
)

// Options are what a Store works with.
type Options struct {
	FS          vfs.FS
	DataDir     string
	LogDir      string
	HostID      helenus.HostID
	Partitioner token.Partitioner
	Log         *slog.Logger
	// Now gives the second that decides what compaction may drop.
	Now    func() time.Time
	Rand   func(b []byte)
	Budget *budget.Budget
	// MemtableBytes is how much all memtables may hold before the largest is
	// flushed; writers wait when twice as much is unflushed.
	MemtableBytes int64
	CacheBytes    int64
	LogBytesMax   int64 // the oldest tables are flushed when the log grows beyond
	CommitLog     commitlog.Options
	// SetAside lets a start go on when an update in the log cannot be decoded:
	// its bytes are kept in a file beside the log. Without, the start fails.
	SetAside bool
	// CompactionThrottle is called before a compaction writes so many more bytes,
	// and may wait; nil for none.
	CompactionThrottle func(ctx context.Context, bytes int64) error
	ManualCompaction   bool // no compaction in the background (tests)
	// Background runs the writing of a file and returns when it is done; nil runs
	// it as it is. It may give it a thread of lower priority: what it competes
	// with are requests.
	Background func(work func())

	replayBatchBytes int // tests: what goes to a worker at once, however little memory there is
}

// Store is all data of one node.
type Store struct {
	opts Options
	lock io.Closer
	log  *commitlog.Log

	cache *cache.Cache

	// switching is held for reading while a write takes its place in the log and
	// names its memtables, and for writing while a memtable is replaced: so all
	// records up to the position noted then are in the old one.
	switching sync.RWMutex

	keyReadings sync.Pool // *keyReading

	tables atomic.Pointer[tableSet]
	change turn // whose holder changes tables

	memory memory
	wake   chan struct{} // compaction: something changed
	node   [8]byte       // by chance; see txnIDs

	run     sync.WaitGroup
	stop    context.CancelFunc
	stats   Stats
	failure atomic.Pointer[error]
}

// tableSet is an immutable map of the tables that exist.
type tableSet struct {
	schema *schema.Schema
	epoch  uint64
	byID   map[schema.TableID]*table
}

// ErrClosed answers calls after Close.
var ErrClosed = errors.New("store: closed")

// Open opens the data on a file system and replays the commit log. It fails,
// rather than start without something that was acknowledged. epoch orders the
// schema among those that SetSchema brings.
func Open(opts Options, sch *schema.Schema, epoch uint64) (*Store, error) {
	if opts.Background == nil {
		opts.Background = func(work func()) { work() }
	}
	s := &Store{opts: opts, wake: make(chan struct{}, 1), change: newTurn()}
	for _, dir := range []string{opts.DataDir, opts.LogDir} {
		if err := opts.FS.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("store: make folder %s: %w", dir, err)
		}
	}
	lock, err := opts.FS.Lock(opts.DataDir + "/lock")
	if err != nil {
		return nil, fmt.Errorf("store: folder %s is in use by another process: %w", opts.DataDir, err)
	}
	s.lock = lock
	opts.Rand(s.node[:])
	s.keyReadings.New = func() any { return new(keyReading) }
	s.cache = cache.New(opts.Budget.Child("block cache", opts.CacheBytes))
	s.memory.init(opts.Budget.Child("memtables", budget.Unlimited), opts.MemtableBytes)
	s.tables.Store(&tableSet{schema: sch, epoch: epoch, byID: map[schema.TableID]*table{}})
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.closeParts())
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.start(ctx)
	return s, nil
}

func (s *Store) open() error {
	if err := s.openTables(); err != nil {
		return err
	}
	lo := s.opts.CommitLog
	lo.OnSynced = s.synced
	var err error
	if s.log, err = commitlog.Open(s.opts.FS, s.opts.LogDir, lo); err != nil {
		return fmt.Errorf("store: open commit log: %w", err)
	}
	return s.replay()
}

// start begins the work in the background.
func (s *Store) start(ctx context.Context) {
	s.run.Add(1)
	go func() { defer s.run.Done(); s.flushLoop(ctx) }()
	if !s.opts.ManualCompaction {
		s.run.Add(1)
		go func() { defer s.run.Done(); s.compactLoop(ctx) }()
	}
}

// Close stops the background work and the log. Memtables are not flushed: the
// log has them. Writes under way are completed first.
func (s *Store) Close() error {
	s.stop()
	s.memory.close()
	s.run.Wait()
	return s.closeParts()
}

// closeParts waits for flushes, truncations and compactions that somebody else
// began. The log is closed before memtables go: it completes writes into them.
func (s *Store) closeParts() error {
	var errs []error
	tables := s.sortedTables()
	for _, t := range tables {
		defer t.stopCompaction()()
		t.working.Lock()
		defer t.working.Unlock()
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	for _, t := range tables {
		t.close()
	}
	s.cache.Close()
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// fail notes the first error that makes the store unable to keep its promise;
// every write gets it from then on. Reads go on.
func (s *Store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		s.opts.Log.Error("store cannot write any more; mend the disk and restart", "error", err)
		s.memory.close() // no flush will make room for those who wait
	}
}

// Failure is the error that stopped writing, or nil.
func (s *Store) Failure() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// table finds a table by id; nil when it was dropped.
func (s *Store) table(id schema.TableID) *table { return s.tables.Load().byID[id] }
