package query

import (
	"net/netip"
	"sync/atomic"

	"helenus"
	"helenus/internal/cql/types"
)

// Session is the state of one client connection. Its fields are read and
// written by requests of that connection; Keyspace changes only by USE, whose
// request the connection runs alone.
type Session struct {
	Client   netip.AddrPort
	Version  int // native protocol version: 4 or 5
	Keyspace string
	User     string // empty without authentication
}

// Verb is what a request asks for.
type Verb uint8

// The verbs.
const (
	VerbQuery Verb = iota
	VerbPrepare
	VerbExecute
	VerbBatch
)

// Value is one bound value: nil Bytes is null, empty Bytes the empty value.
type Value struct {
	Bytes []byte
	Unset bool
}

// Params are the options of QUERY, EXECUTE and BATCH.
type Params struct {
	Consistency       helenus.Consistency
	SerialConsistency helenus.Consistency // Serial when the client gave none
	Values            []Value
	Names             []string // parallel to Values; nil for positional values
	PageSize          int      // 0: no paging
	PagingState       []byte
	Timestamp         int64 // microseconds; used when HasTimestamp
	HasTimestamp      bool
	Keyspace          string // v5: overrides the session's
	NowSeconds        int64  // v5; used when HasNow
	HasNow            bool
	SkipMetadata      bool
}

// BatchKind is the kind of a BATCH frame.
type BatchKind uint8

// The kinds of batch.
const (
	BatchLogged BatchKind = iota
	BatchUnlogged
	BatchCounter
)

// BatchItem is one statement of a BATCH frame: text, or the id of a prepared one.
type BatchItem struct {
	Text   string
	ID     []byte // nil: Text
	Values []Value
}

// Owner is told when a request has its answer.
type Owner interface {
	// RequestDone is called exactly once for each Execute, inline or from any
	// goroutine. The Request is the owner's again from then on.
	RequestDone(*Request)
}

// Request is one request of a client. The owner fills the first part, hands it
// to Engine.Execute, leaves it alone until RequestDone, then reads Result. What
// its slices point to must stay valid until then.
type Request struct {
	Session *Session
	Verb    Verb
	Text    string // QUERY, PREPARE
	ID      []byte // EXECUTE
	// ResultMetadataID is what the client of v5 believes the columns to be.
	ResultMetadataID []byte
	Params           Params
	BatchKind        BatchKind
	Batch            []BatchItem
	Trace            *Trace // nil unless the client asked for tracing
	Out              RowWriter
	Owner            Owner

	Result Result

	// plan holds what the engine keeps while the request is parked; it is
	// pooled with the request.
	plan execution
}

// ResultKind is the kind of an answer.
type ResultKind uint8

// The kinds of answer. Rows have gone to the RowWriter by then.
const (
	ResultVoid ResultKind = iota
	ResultRows
	ResultSetKeyspace
	ResultPrepared
	ResultSchemaChange
	ResultError
)

// Result is the answer to a request.
type Result struct {
	Kind     ResultKind
	Err      *helenus.Error
	Keyspace string // ResultSetKeyspace
	Prepared *Prepared
	Change   SchemaChange
	Warnings []string
}

// SchemaChange describes a change to clients, as answer and as event.
type SchemaChange struct {
	Change   string // CREATED, UPDATED, DROPPED
	Target   string // KEYSPACE, TABLE, TYPE, FUNCTION, AGGREGATE
	Keyspace string
	Name     string   // empty for a keyspace
	Args     []string // functions and aggregates
}

// ColumnSpec is one column of a result or one bind marker.
type ColumnSpec struct {
	Keyspace, Table, Name string
	Type                  *types.Type
}

// ResultMetadata describes the columns of result rows. It is immutable and
// shared by all executions of a prepared statement.
type ResultMetadata struct {
	ID      [16]byte // changes when the columns do
	Columns []ColumnSpec

	encoded [2]atomic.Value // by version; see Encoded
}

// Encoded keeps whatever the server makes of the columns for a version, 4 or 5,
// so that it is made once for a prepared statement.
func (m *ResultMetadata) Encoded(version int, encode func() any) any {
	at := &m.encoded[version&1]
	if v := at.Load(); v != nil {
		return v
	}
	v := encode()
	at.Store(v)
	return v
}

// Prepared is what PREPARE answers.
type Prepared struct {
	ID     [16]byte
	Params []ColumnSpec
	// KeyIndexes are the positions in Params of the partition key's columns, in
	// key order; empty when some part of the key is not a marker.
	KeyIndexes []int
	Result     *ResultMetadata // nil when the statement returns no rows

	statement statement
	text      string
	keyspace  string
}

// RowWriter takes a result's rows. Begin may be called again, which throws
// away what was written (a read that had to be repeated).
type RowWriter interface {
	// Begin starts a result. metadataChanged tells that a v5 client's id was
	// stale, so that metadata goes out although the client asked to skip it.
	Begin(meta *ResultMetadata, skipMetadata, metadataChanged bool)
	// Cell adds one value of the current row; nil is null. The bytes are copied.
	Cell(value []byte)
	// EndRow completes the current row.
	EndRow()
	// SizeBytes is what has been written since Begin.
	SizeBytes() int
	// End completes the result; pagingState is nil on the last page.
	End(pagingState []byte)
}
