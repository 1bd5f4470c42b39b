package client

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"helenus"
	"helenus/internal/cql/proto"
)

// Result is an answer that owns its memory.
type Result struct{ proto.Response }

// All gathers the rows of this page; the cells alias the result.
func (r *Result) All() ([][][]byte, error) {
	out := make([][][]byte, 0, r.Rows.Count)
	for {
		cells := make([][]byte, r.Rows.Width)
		if !r.Rows.NextRow(cells) {
			return out, r.Rows.Err()
		}
		out = append(out, cells)
	}
}

// Prepared is a statement the node knows. It may be shared by goroutines.
type Prepared struct {
	Text       string
	Keyspace   string // given to Prepare; empty: the connection's
	ID         []byte
	Params     []proto.Column
	KeyIndexes []int
	result     atomic.Pointer[resultColumns]
}

// resultColumns changes when the table does and the node says so (v5).
type resultColumns struct {
	id      []byte
	columns []proto.Column
}

// Columns are the columns of the statement's rows as last heard of.
func (p *Prepared) Columns() []proto.Column { return p.result.Load().columns }

// Text makes a value of text, Null and Unset the two that are none.
func Text(s string) proto.Value { return proto.Value{Bytes: append([]byte{}, s...)} }

// Bytes makes a value; nil is null.
func Bytes(b []byte) proto.Value { return proto.Value{Bytes: b} }

// Unset leaves a column as it is.
func Unset() proto.Value { return proto.Value{Unset: true} }

// Options asks what the node supports.
func (c *Conn) Options(ctx context.Context) ([]proto.Support, error) {
	res, err := c.Do(ctx, &proto.Request{Header: proto.Header{Op: proto.OpOptions}})
	if err != nil {
		return nil, err
	}
	return res.Supported, nil
}

// Register asks for events.
func (c *Conn) Register(ctx context.Context, kinds ...proto.EventType) error {
	req := &proto.Request{Header: proto.Header{Op: proto.OpRegister}}
	for _, k := range kinds {
		req.Events = append(req.Events, string(k))
	}
	_, err := c.Do(ctx, req)
	return err
}

// QueryRequest makes the request for a statement's text, to be changed before
// it is given to Do, Go or Rows.
func (c *Conn) QueryRequest(text string, values ...proto.Value) *proto.Request {
	return &proto.Request{Header: proto.Header{Op: proto.OpQuery}, Text: []byte(text),
		Params: proto.Params{Consistency: c.cfg.Consistency, Values: values}}
}

// ExecuteRequest makes the request for a prepared statement. It asks for no
// columns where the node will say when they have changed, which is v5.
func (c *Conn) ExecuteRequest(p *Prepared, values ...proto.Value) *proto.Request {
	meta := p.result.Load()
	req := &proto.Request{Header: proto.Header{Op: proto.OpExecute}, ID: p.ID, ResultID: meta.id,
		Params: proto.Params{Consistency: c.cfg.Consistency, Values: values}}
	if c.version >= proto.V5 && len(meta.columns) > 0 {
		req.Params.Flags |= proto.ParamSkipMetadata
	}
	return req
}

// Query runs a statement and returns its first page, which is the only one as
// no page size is asked for.
func (c *Conn) Query(ctx context.Context, text string, values ...proto.Value) (*Result, error) {
	return c.Do(ctx, c.QueryRequest(text, values...))
}

// Prepare makes the node know a statement. Keyspace (v5) may be empty.
func (c *Conn) Prepare(ctx context.Context, text, keyspace string) (*Prepared, error) {
	req := &proto.Request{Header: proto.Header{Op: proto.OpPrepare}, Text: []byte(text)}
	if keyspace != "" {
		req.Keyspace = []byte(keyspace)
	}
	res, err := c.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	got := &res.Prepared
	p := &Prepared{Text: text, Keyspace: keyspace, ID: got.ID, Params: got.Params, KeyIndexes: got.KeyIndexes}
	p.result.Store(&resultColumns{id: got.ResultID, columns: got.Result})
	return p, nil
}

// Execute runs a prepared statement.
func (c *Conn) Execute(ctx context.Context, p *Prepared, values ...proto.Value) (*Result, error) {
	return c.DoPrepared(ctx, p, c.ExecuteRequest(p, values...))
}

// DoPrepared sends a request made by ExecuteRequest. If the node has forgotten
// the statement it is prepared again, once.
func (c *Conn) DoPrepared(ctx context.Context, p *Prepared, req *proto.Request) (*Result, error) {
	res, err := c.Do(ctx, req)
	var e *helenus.Error
	if errors.As(err, &e) && e.Code == helenus.CodeUnprepared {
		again, perr := c.Prepare(ctx, p.Text, p.Keyspace)
		if perr != nil {
			return nil, perr
		}
		if string(again.ID) != string(p.ID) {
			return nil, err // made of a text that now means something else
		}
		p.result.Store(again.result.Load())
		req.ResultID = again.result.Load().id
		res, err = c.Do(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	if res.Kind == proto.ResultRows {
		if res.Rows.NewID != nil {
			p.result.Store(&resultColumns{id: append([]byte{}, res.Rows.NewID...), columns: res.Rows.Columns})
		}
		if res.Rows.Columns == nil {
			res.Rows.Columns = p.Columns()
		}
	}
	return res, nil
}

// Rows runs a request page by page and yields every row; the cells are valid
// until the next. The first error ends it. The request's PageSize decides the
// pages and its PagingState where to begin.
func (c *Conn) Rows(ctx context.Context, req *proto.Request) iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		next := *req
		var cells [][]byte
		for {
			res, err := c.Do(ctx, &next)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(cells) != res.Rows.Width {
				cells = make([][]byte, res.Rows.Width)
			}
			for res.Rows.NextRow(cells) {
				if !yield(cells, nil) {
					return
				}
			}
			if err := res.Rows.Err(); err != nil {
				yield(nil, err)
				return
			}
			if res.Rows.PagingState == nil {
				return
			}
			next.Params.PagingState = res.Rows.PagingState
		}
	}
}
