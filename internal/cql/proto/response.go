package proto

import (
	"net/netip"

	"helenus"
)

// Response is the contents of any response. Byte slices and the rows alias the
// envelope's body; strings and columns are copies.
type Response struct {
	Header
	Extras

	Err           *helenus.Error // ERROR
	Supported     []Support      // SUPPORTED
	Authenticator string         // AUTHENTICATE
	Token         []byte         // AUTH_CHALLENGE, AUTH_SUCCESS; nil is null
	Event         Event          // EVENT

	Kind     ResultKind // RESULT
	Rows     Rows
	Keyspace string // set_keyspace
	Prepared PreparedResult
	Change   SchemaChange
}

// PreparedResult is the answer to PREPARE as a client sees it.
type PreparedResult struct {
	ID, ResultID []byte
	Params       []Column
	KeyIndexes   []int
	Result       []Column
}

// Rows is one page of a result. NextRow walks over it.
type Rows struct {
	// Columns is nil when the server left them out as asked; Width is always
	// their number.
	Columns     []Column
	Width       int
	Count       int
	PagingState []byte // nil on the last page
	NewID       []byte // not nil: the client's metadata was stale
	left        int
	r           reader
}

// Decode reads a response. An error means bytes that are no response.
func (p *Response) Decode(e Envelope) error {
	*p = Response{Header: e.Header}
	r := reader{b: e.Body}
	if e.Flags&FlagTracing != 0 {
		p.HasTracing = true
		copy(p.Tracing[:], r.take(len(p.Tracing)))
	}
	if e.Flags&FlagWarning != 0 {
		p.Warnings = r.strings()
	}
	if e.Flags&FlagPayload != 0 {
		p.Payload = r.payload()
	}
	switch e.Op {
	case OpError:
		p.Err = r.error(e.Version)
	case OpReady:
	case OpAuthenticate:
		p.Authenticator = r.string()
	case OpSupported:
		n := r.count(int(r.u16()), 4, "entries")
		for i := 0; i < n && r.err == nil; i++ {
			p.Supported = append(p.Supported, Support{Key: r.string(), Values: r.strings()})
		}
	case OpAuthChallenge, OpAuthSuccess:
		p.Token = r.bytes()
	case OpEvent:
		p.Event = r.event()
	case OpResult:
		p.result(&r, e.Version)
	default:
		r.fail("Unexpected opcode %d in a response", uint8(e.Op))
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

func (p *Response) result(r *reader, v Version) {
	p.Kind = ResultKind(r.i32())
	switch p.Kind {
	case ResultVoid:
	case ResultRows:
		p.Rows.decode(r)
	case ResultSetKeyspace:
		p.Keyspace = r.string()
	case ResultPrepared:
		p.Prepared.decode(r, v)
	case ResultSchemaChange:
		p.Change = r.change()
	default:
		r.fail("Unknown kind %d of result", int32(p.Kind))
	}
}

// columnsMax bounds the columns of a row: who reads it makes room for them.
const columnsMax = 1 << 16

func (rows *Rows) decode(r *reader) {
	flags := r.i32()
	rows.Width = int(r.i32())
	if flags&metaMore != 0 {
		rows.PagingState = r.bytes()
	}
	if flags&metaChanged != 0 {
		rows.NewID = r.short()
	}
	if flags&metaNone == 0 {
		rows.Columns = r.columns(rows.Width, flags&metaGlobal != 0)
	}
	rows.Count = int(r.i32())
	// A row takes at least four bytes a column; a row without columns, which no
	// server sends, could repeat for ever.
	if rows.Width < 0 || rows.Width > columnsMax || (rows.Width == 0 && rows.Count != 0) {
		r.fail("Invalid count %d of columns", rows.Width)
	}
	if rows.Width == 0 {
		return
	}
	r.count(rows.Count, 4*rows.Width, "rows")
	rows.left, rows.r = rows.Count, *r
}

// NextRow fills cells, Width many, with the next row's values; nil is null. It
// returns false after the last row or at bytes that are no row (see Err).
func (rows *Rows) NextRow(cells [][]byte) bool {
	if rows.left == 0 {
		return false
	}
	rows.left--
	for i := range rows.Width {
		cells[i] = rows.r.bytes()
	}
	if rows.r.err != nil {
		rows.left = 0
		return false
	}
	return true
}

// Err is what ended NextRow before its time.
func (rows *Rows) Err() error {
	if rows.r.err != nil {
		return rows.r.err
	}
	return nil
}

func (r *reader) columns(n int, global bool) []Column {
	size := 4
	if !global {
		size = 8
	}
	var ks, table string
	if global {
		ks, table = r.string(), r.string()
	}
	cols := make([]Column, 0, r.count(n, size, "columns"))
	for range cap(cols) {
		c := Column{Keyspace: ks, Table: table}
		if !global {
			c.Keyspace, c.Table = r.string(), r.string()
		}
		c.Name = r.string()
		if c.Type = r.option(0); r.err != nil {
			return nil
		}
		cols = append(cols, c)
	}
	return cols
}

func (p *PreparedResult) decode(r *reader, v Version) {
	p.ID = r.short()
	if v >= V5 {
		p.ResultID = r.short()
	}
	flags := r.i32()
	n := int(r.i32())
	if v >= V4 {
		for range r.count(int(r.i32()), 2, "key columns") {
			p.KeyIndexes = append(p.KeyIndexes, int(r.u16()))
		}
	}
	// Without parameters Cassandra sets no flag and sends no table.
	p.Params = r.columns(n, flags&metaGlobal != 0)
	flags = r.i32()
	n = int(r.i32())
	if flags&metaMore != 0 {
		r.bytes()
	}
	if flags&metaNone == 0 {
		p.Result = r.columns(n, flags&metaGlobal != 0)
	}
}

func (r *reader) change() SchemaChange {
	c := SchemaChange{Change: r.string(), Target: r.string(), Keyspace: r.string()}
	if c.Target != "KEYSPACE" {
		c.Name = r.string()
	}
	if c.Target == "FUNCTION" || c.Target == "AGGREGATE" {
		c.Args = r.strings()
	}
	return c
}

func (r *reader) event() Event {
	e := Event{Type: EventType(r.string())}
	switch e.Type {
	case EventSchema:
		e.Schema = r.change()
	case EventTopology, EventStatus:
		e.Change = r.string()
		e.Node = r.inet()
	default:
		r.fail("Unknown event %q", string(e.Type))
	}
	return e
}

func (r *reader) error(v Version) *helenus.Error {
	e := &helenus.Error{Code: helenus.ErrorCode(r.i32()), Message: r.string()}
	counts := func() { e.Consistency, e.Alive, e.Required = r.consistency(), int(r.i32()), int(r.i32()) }
	switch e.Code {
	case helenus.CodeUnavailable:
		e.Consistency, e.Required, e.Alive = r.consistency(), int(r.i32()), int(r.i32())
	case helenus.CodeWriteTimeout:
		counts()
		e.WriteType = helenus.WriteType(r.string())
		if v >= V5 && e.WriteType == helenus.WriteCAS && len(r.b) >= 2 {
			e.Contentions = int(r.u16())
		}
	case helenus.CodeReadTimeout:
		counts()
		e.DataPresent = r.u8() != 0
	case helenus.CodeReadFailure:
		counts()
		e.Failures = r.failures(v)
		e.DataPresent = r.u8() != 0
	case helenus.CodeWriteFailure:
		counts()
		e.Failures = r.failures(v)
		e.WriteType = helenus.WriteType(r.string())
	case helenus.CodeCASUnknown:
		counts()
	case helenus.CodeFunctionFailure:
		e.Keyspace, e.Table = r.string(), r.string()
		r.strings()
	case helenus.CodeAlreadyExists:
		e.Keyspace, e.Table = r.string(), r.string()
	case helenus.CodeUnprepared:
		e.ID = append([]byte{}, r.short()...)
	}
	return e
}

// failures reads v5's reason map. Before v5 there is only a count, which is
// given back as that many failures of nobody for no reason; failureCountMax
// keeps the number a peer may invent small.
func (r *reader) failures(v Version) []helenus.Failure {
	n := int(r.i32())
	if v >= V5 {
		n = r.count(n, 3, "failures")
	} else if n < 0 || n > failureCountMax {
		r.fail("Invalid count %d of failures", n)
		return nil
	}
	if n == 0 {
		return nil
	}
	out := make([]helenus.Failure, n)
	for i := range out {
		if v < V5 {
			continue
		}
		a := r.address()
		out[i] = helenus.Failure{From: netip.AddrPortFrom(a, 0), Reason: r.u16()}
		if r.err != nil {
			return nil
		}
	}
	return out
}

const failureCountMax = 1 << 16
