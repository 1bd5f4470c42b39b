package proto

import (
	"encoding/binary"
	"slices"

	"helenus/internal/cql/types"
)

// ResultKind is the kind of a RESULT (4.2.5).
type ResultKind int32

// The kinds of result.
const (
	ResultVoid         ResultKind = 1
	ResultRows         ResultKind = 2
	ResultSetKeyspace  ResultKind = 3
	ResultPrepared     ResultKind = 4
	ResultSchemaChange ResultKind = 5
)

// Flags of rows' metadata (4.2.5.2).
const (
	metaGlobal  = 0x01
	metaMore    = 0x02
	metaNone    = 0x04
	metaChanged = 0x08
)

// Column names and types one column of a result or one bind marker.
type Column struct {
	Keyspace, Table, Name string
	Type                  *types.Type
}

// Columns is a list of columns encoded for one version: made once for a
// prepared statement, appended to every answer.
type Columns struct {
	count  int
	global bool
	specs  []byte
}

// EncodeColumns makes the encoded form.
func EncodeColumns(v Version, cols []Column) *Columns {
	c := &Columns{count: len(cols), global: len(cols) > 0}
	for i := range cols {
		if cols[i].Keyspace != cols[0].Keyspace || cols[i].Table != cols[0].Table {
			c.global = false
		}
	}
	if c.global {
		c.specs = appendString(appendString(c.specs, cols[0].Keyspace), cols[0].Table)
	}
	for i := range cols {
		if !c.global {
			c.specs = appendString(appendString(c.specs, cols[i].Keyspace), cols[i].Table)
		}
		c.specs = appendOption(appendString(c.specs, cols[i].Name), v, cols[i].Type)
	}
	return c
}

// Len is the number of columns.
func (c *Columns) Len() int { return c.count }

func (c *Columns) flags() int {
	if c.global {
		return metaGlobal
	}
	return 0
}

// RowsHead says how a result begins.
type RowsHead struct {
	Columns *Columns
	// Skip leaves the columns out, as the client asked.
	Skip bool
	// NewID is the new result metadata id when the client's was stale (v5); it
	// overrules Skip, as the client needs the columns then.
	NewID []byte
	// PagingState, when known beforehand, is cheaper here than in End.
	PagingState []byte
}

// RowsWriter appends a RESULT of rows to a buffer, cell by cell. Its zero value
// is ready; Begin starts over, so one writer serves many results without
// allocating.
type RowsWriter struct {
	buf     []byte
	flagsAt int // where the metadata's flags stand
	stateAt int // where the paging state belongs
	countAt int
	rows    int
	hasMore bool
}

// Begin appends everything before the first row to dst.
func (w *RowsWriter) Begin(dst []byte, head RowsHead) {
	*w = RowsWriter{hasMore: head.PagingState != nil}
	dst = appendI32(dst, int(ResultRows))
	w.flagsAt = len(dst)
	flags := 0
	skip := head.Skip && head.NewID == nil
	if skip {
		flags = metaNone
	} else {
		flags = head.Columns.flags()
	}
	if head.NewID != nil {
		flags |= metaChanged
	}
	if w.hasMore {
		flags |= metaMore
	}
	dst = appendI32(appendI32(dst, flags), head.Columns.count)
	w.stateAt = len(dst)
	if w.hasMore {
		dst = appendBytes(dst, head.PagingState)
	}
	if head.NewID != nil {
		dst = appendString(dst, head.NewID)
	}
	if !skip {
		dst = append(dst, head.Columns.specs...)
	}
	w.countAt = len(dst)
	w.buf = appendI32(dst, 0)
}

// Cell appends one value of the current row; nil is null.
func (w *RowsWriter) Cell(value []byte) { w.buf = appendBytes(w.buf, value) }

// OpenCell gives the buffer for a value that is made of parts: append to it
// and hand it to CloseCell. Nothing else may be called in between.
func (w *RowsWriter) OpenCell() []byte {
	w.buf = appendI32(w.buf, 0)
	return w.buf
}

// CloseCell completes the value begun by OpenCell.
func (w *RowsWriter) CloseCell(buf []byte) {
	at := len(w.buf)
	binary.BigEndian.PutUint32(buf[at-4:], uint32(len(buf)-at))
	w.buf = buf
}

// EndRow completes a row, whose cells are as many as there are columns.
func (w *RowsWriter) EndRow() { w.rows++ }

// Rows is the number of rows completed.
func (w *RowsWriter) Rows() int { return w.rows }

// SizeBytes is the size of the rows so far.
func (w *RowsWriter) SizeBytes() int { return len(w.buf) - w.countAt - 4 }

// End completes the result and returns the grown buffer. A paging state given
// only now is moved in before the columns; nil leaves things as Begin put them.
func (w *RowsWriter) End(pagingState []byte) []byte {
	buf := w.buf
	binary.BigEndian.PutUint32(buf[w.countAt:], uint32(w.rows))
	if pagingState != nil && !w.hasMore {
		buf[w.flagsAt+3] |= metaMore
		buf = openGap(buf, w.stateAt, 4+len(pagingState))
		appendBytes(buf[:w.stateAt], pagingState)
	}
	w.buf = nil
	return buf
}

// openGap makes room for n bytes at an offset.
func openGap(buf []byte, at, n int) []byte {
	end := len(buf)
	buf = slices.Grow(buf, n)[:end+n]
	copy(buf[at+n:], buf[at:end])
	return buf
}

// AppendVoid appends a RESULT without contents.
func AppendVoid(dst []byte) []byte { return appendI32(dst, int(ResultVoid)) }

// AppendSetKeyspace appends the RESULT of USE.
func AppendSetKeyspace(dst []byte, keyspace string) []byte {
	return appendString(appendI32(dst, int(ResultSetKeyspace)), keyspace)
}

// Prepared is the answer to PREPARE.
type Prepared struct {
	ID       []byte
	ResultID []byte // v5
	Params   *Columns
	// KeyIndexes are the positions among Params of the partition key's columns
	// (v4 on), empty when the key is not bound as a whole.
	KeyIndexes []int
	Result     *Columns // nil when the statement returns no rows
}

// AppendPrepared appends the RESULT of PREPARE.
func AppendPrepared(dst []byte, v Version, p *Prepared) []byte {
	dst = appendString(appendI32(dst, int(ResultPrepared)), p.ID)
	if v >= V5 {
		dst = appendString(dst, p.ResultID)
	}
	dst = appendI32(appendI32(dst, p.Params.flags()), p.Params.count)
	if v >= V4 {
		dst = appendI32(dst, len(p.KeyIndexes))
		for _, i := range p.KeyIndexes {
			dst = appendU16(dst, i)
		}
	}
	dst = append(dst, p.Params.specs...)
	if p.Result == nil || p.Result.count == 0 {
		return appendI32(appendI32(dst, metaNone), 0)
	}
	dst = appendI32(appendI32(dst, p.Result.flags()), p.Result.count)
	return append(dst, p.Result.specs...)
}

// SchemaChange is the news of a change of schema, as a RESULT and as an EVENT.
type SchemaChange struct {
	Change   string // CREATED, UPDATED, DROPPED
	Target   string // KEYSPACE, TABLE, TYPE, FUNCTION, AGGREGATE
	Keyspace string
	Name     string   // empty for a keyspace
	Args     []string // functions and aggregates
}

// AppendSchemaChange appends the RESULT of a statement that changed the schema.
func AppendSchemaChange(dst []byte, v Version, c *SchemaChange) []byte {
	return appendChange(appendI32(dst, int(ResultSchemaChange)), v, c)
}

func appendChange(dst []byte, v Version, c *SchemaChange) []byte {
	callable := c.Target == "FUNCTION" || c.Target == "AGGREGATE"
	if callable && v < V4 {
		// v3 has no word for functions: the keyspace has been updated.
		return appendString(appendString(appendString(dst, "UPDATED"), "KEYSPACE"), c.Keyspace)
	}
	dst = appendString(appendString(appendString(dst, c.Change), c.Target), c.Keyspace)
	if c.Target == "KEYSPACE" {
		return dst
	}
	dst = appendString(dst, c.Name)
	if callable {
		dst = appendStrings(dst, c.Args)
	}
	return dst
}
