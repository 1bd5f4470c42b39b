package query

import (
	"log/slog"
	"time"

	"helenus"
	"helenus/internal/meta"
	"helenus/internal/token"
)

// Options are what an Engine works with. All but Trace are required.
type Options struct {
	Coordinator Coordinator
	Metadata    Metadata
	Partitioner token.Partitioner
	// Now is the write clock; timestamps come from Clock, which reads it.
	Now   func() time.Time
	Clock *Clock
	Rand  func(b []byte)
	Log   *slog.Logger
	// Truncate removes a table's data; it blocks.
	Truncate func(t TruncateTable) error
	Describe Describer
	// PreparedBytesMax bounds the prepared statements kept, by the size of their
	// texts and plans; the least recently used go first.
	PreparedBytesMax int
	Limits           Limits
}

// Limits are the guardrails of statements.
type Limits struct {
	BatchWarnBytes     int   // warning
	BatchFailBytes     int   // error
	UnloggedBatchWarn  int   // partitions in an unlogged batch
	TombstoneWarn      int   // tombstones scanned by one read: warning
	TombstoneFail      int   // and failure
	PageBytesMax       int   // a page ends early when it grows beyond
	UnpagedBytesMax    int   // an answer without paging fails when it grows beyond
	CollectionValueMax int   // bytes of one collection element key
	KeyBytesMax        int   // bytes of a partition key
	InCombinationsMax  int   // rows or partitions that IN may multiply to
	MaxTTLSeconds      int64 // the largest TTL
	MaxExpirySeconds   int64 // the largest second of expiry a file can hold
	MaxMutationBytes   int   // encoded size of one write
}

// unpagedBytesMax is what drivers take as one frame, less room for its header
// and the columns' description.
const unpagedBytesMax = 255 << 20

// DefaultLimits are Cassandra's, and what clients can take.
func DefaultLimits() Limits {
	return Limits{
		BatchWarnBytes: 5 << 10, BatchFailBytes: 50 << 10, UnloggedBatchWarn: 10,
		TombstoneWarn: 1000, TombstoneFail: 100000,
		PageBytesMax: 128 << 20, UnpagedBytesMax: unpagedBytesMax, CollectionValueMax: 65535, KeyBytesMax: 65535, InCombinationsMax: 10000,
		MaxTTLSeconds: 20 * 365 * 24 * 3600, MaxExpirySeconds: 1<<32 - 3, MaxMutationBytes: 16 << 20,
	}
}

// Engine executes the statements of all sessions of a node.
type Engine struct {
	opts     Options
	prepared preparedCache
}

// New makes an Engine.
func New(opts Options) *Engine {
	e := &Engine{opts: opts}
	e.prepared.init(opts.PreparedBytesMax)
	return e
}

// statement is a planned statement. It is immutable and shared by its
// executions.
type statement interface {
	// execute starts the statement; it ends in x.finish, now or later.
	execute(x *execution)
	// current tells whether the plan still fits the schema.
	current(state *meta.State) bool
}

// Execute runs a request. It returns at once; req.Owner is told of the end.
func (e *Engine) Execute(req *Request) {
	x := &req.plan
	x.start(e, req)
	var err error
	switch req.Verb {
	case VerbQuery:
		err = x.query()
	case VerbPrepare:
		err = x.prepare()
	case VerbExecute:
		err = x.executePrepared()
	case VerbBatch:
		err = x.batch()
	}
	if err != nil {
		x.fail(err)
	}
}

func (x *execution) query() error {
	s, specs, err := x.engine.compile(x.state, x.keyspace(), x.req.Text)
	if err != nil {
		return err
	}
	if err := x.bind(specs); err != nil {
		return err
	}
	x.stmt = s
	s.execute(x)
	return nil
}

func (x *execution) executePrepared() error {
	p := x.engine.prepared.get(x.req.ID)
	if p != nil && !p.statement.current(x.state) {
		// The client prepares again and so learns the new columns.
		x.engine.prepared.remove(p.ID)
		p = nil
	}
	if p == nil {
		return unprepared(x.req.ID)
	}
	if err := x.bind(p.Params); err != nil {
		return err
	}
	x.metadataChanged = x.req.Session.Version >= 5 && p.Result != nil && len(x.req.ResultMetadataID) > 0 &&
		string(x.req.ResultMetadataID) != string(p.Result.ID[:])
	x.stmt = p.statement
	p.statement.execute(x)
	return nil
}

// bind checks the values of the request against the statement's markers and
// puts named ones into their places.
func (x *execution) bind(specs []ColumnSpec) error {
	p := &x.req.Params
	if p.Names != nil {
		return x.bindNames(specs)
	}
	if len(p.Values) != len(specs) && x.req.Verb == VerbExecute {
		return helenus.Invalid("there were %d markers(?) in CQL but %d bound variables", len(specs), len(p.Values))
	}
	if len(p.Values) != len(specs) {
		return helenus.Invalid("Invalid amount of bind variables")
	}
	x.values = p.Values
	return nil
}

func (x *execution) bindNames(specs []ColumnSpec) error {
	p := &x.req.Params
	x.values = make([]Value, len(specs))
	for i, spec := range specs {
		found := false
		for j, name := range p.Names {
			if name == spec.Name {
				x.values[i], found = p.Values[j], true
				break
			}
		}
		if !found {
			x.values[i] = Value{Unset: true}
			return helenus.Invalid("Invalid amount of bind variables")
		}
	}
	return nil
}

func (x *execution) keyspace() string {
	if x.req.Params.Keyspace != "" {
		return x.req.Params.Keyspace
	}
	return x.req.Session.Keyspace
}
