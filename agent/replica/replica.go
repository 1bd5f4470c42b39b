// Package replica serves this node's share of reads and writes: to its own
// coordinator directly, to those of other nodes over the wire.
//
// Nouns: Replica (the service), Consumer (of a read), Mutation and Ack (what
// goes between a write's coordinator and its replicas).
//
// coord calls it through an interface of its own; agent makes it. It never
// decides who owns a key and never counts answers.
package replica

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/store"
	"helenus/store/row"
)

// Write and its Owner are the store's: a mutation reaches it unchanged.
type (
	Write = store.Write
	Owner = store.Owner
)

// Consumer goes through the partitions of a read. It may be called again, from
// the beginning, when a block that it needed was not in memory.
type Consumer interface {
	Partitions(ps row.Partitions) error
	// ReadDone ends the read, once, with the last error of Partitions or one of
	// the store.
	ReadDone(err error)
}

// Options are what a Replica works with.
type Options struct {
	Store *store.Store
	// Readers is how many reads may wait for the disk at once; QueueMax how many
	// more may stand behind them before reads are refused as Overloaded.
	Readers  int
	QueueMax int
	// TombstonesMax makes reads for coordinators fail that meet more; 0 is
	// Cassandra's tombstone_failure_threshold.
	TombstonesMax int

	// Of a node that is not alone. States is the metadata that the store follows;
	// Behind is told of a node that knows a newer epoch, and must not wait.
	States States
	Behind func(from helenus.HostID, e meta.Epoch)
	// Truncated is told of a table before its data is removed here: what is kept
	// of it for other nodes must not come back. It returns when none of that is on
	// its way any more.
	Truncated func(ctx context.Context, id schema.TableID) error
	// Made are the tables that are not in the store; nil: there are none.
	Made Tables
}

// Tables are tables whose rows are made when they are asked for.
type Tables interface {
	// Owns tells whether a table is one of these.
	Owns(t *schema.Table) bool
	Read(command *row.Command) (row.Partitions, error)
}

// Replica applies mutations to the store and reads from it.
type Replica struct {
	opts  Options
	stats Stats
	queue chan pending
	wg    sync.WaitGroup
	stop  context.CancelFunc

	wire    Caller
	parking parking

	truncations chan *wire.Request
	served      sync.Pool // *served
	passing     sync.Pool // *passed
	servedReads sync.Pool // *servedRead
}

// Stats count the reads that had to wait for the disk; those that memory could
// answer are no work of the readers.
type Stats struct {
	Active    atomic.Int64 // now
	Completed atomic.Uint64
}

type pending struct {
	command  *row.Command
	consumer Consumer
}

// New makes a Replica and starts its readers; Close stops them.
func New(opts Options) *Replica {
	opts.TombstonesMax = cmp.Or(opts.TombstonesMax, tombstonesMaxDefault)
	ctx, stop := context.WithCancel(context.Background())
	r := &Replica{opts: opts, queue: make(chan pending, opts.QueueMax), stop: stop, truncations: make(chan *wire.Request, truncationsMax)}
	r.wg.Add(1)
	go r.truncateLoop(ctx)
	for range opts.Readers {
		r.wg.Add(1)
		go r.readLoop(ctx)
	}
	return r
}

// Close waits for what is in progress and fails what is in a queue.
func (r *Replica) Close() {
	r.stop()
	r.wg.Wait()
	for {
		select {
		case p := <-r.queue:
			p.consumer.ReadDone(errShuttingDown)
		case q := <-r.truncations:
			q.Fail(errShuttingDown)
		default:
			return
		}
	}
}

var errShuttingDown = errors.New("replica: shutting down")

// Write applies a mutation; w.Owner is told when it is durable and visible.
func (r *Replica) Write(w *Write) { r.opts.Store.Apply(w) }

// Read runs a command on the caller's goroutine as far as memory reaches, and
// on a reader's when it has to wait for the disk.
func (r *Replica) Read(command *row.Command, c Consumer) {
	err := r.run(command, c, store.NonBlocking)
	if !errors.Is(err, store.ErrWouldBlock) {
		c.ReadDone(err)
		return
	}
	select {
	case r.queue <- pending{command, c}:
	default:
		c.ReadDone(helenus.Errorf(helenus.CodeOverloaded, "Too many reads are waiting for the disk (%d); try again later", r.opts.QueueMax))
	}
}

// readMade runs a command of a table that is not in the store.
func (r *Replica) readMade(command *row.Command, c Consumer) {
	ps, err := r.opts.Made.Read(command)
	if err == nil {
		err = c.Partitions(ps)
		if closeErr := ps.Close(); err == nil {
			err = closeErr
		}
	}
	c.ReadDone(err)
}

// Stats gives the counters; they are live.
func (r *Replica) Stats() *Stats { return &r.stats }

// Waiting is how many reads stand in the queue.
func (r *Replica) Waiting() int { return len(r.queue) }

func (r *Replica) readLoop(ctx context.Context) {
	defer r.wg.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-r.queue:
			r.stats.Active.Add(1)
			err := r.run(p.command, p.consumer, store.Blocking)
			r.stats.Active.Add(-1)
			r.stats.Completed.Add(1)
			p.consumer.ReadDone(err)
		}
	}
}

func (r *Replica) run(command *row.Command, c Consumer, mode store.ReadMode) error {
	ps, err := r.opts.Store.Read(command, mode)
	if err != nil {
		return err
	}
	err = c.Partitions(ps)
	if closeErr := ps.Close(); err == nil {
		err = closeErr
	}
	return err
}
