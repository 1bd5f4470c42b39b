package query

import (
	"context"
	"errors"
	"net"
	"testing"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// peerTarget runs requests on a real Cassandra.
type peerTarget struct {
	t    *testing.T
	conn *client.Conn
}

func newPeerTarget(t *testing.T, addr string) *peerTarget {
	conn, err := client.Connect(t.Context(), addr, client.Config{
		Version: proto.V5,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peerTarget{t, conn}
}

func (p *peerTarget) do(a ask) answer {
	op := [...]proto.Opcode{proto.OpQuery, proto.OpPrepare, proto.OpExecute, proto.OpBatch}[a.verb]
	req := &proto.Request{Header: proto.Header{Op: op}, Text: []byte(a.text), ID: a.id, ResultID: make([]byte, 16),
		BatchType: proto.BatchType(a.kind)}
	for _, b := range a.batch {
		req.Batch = append(req.Batch, proto.BatchItem{Text: []byte(b.text), ID: b.id, Values: wireValues(b.values)})
	}
	req.Params = proto.Params{Flags: proto.ParamSerial, Consistency: a.cl, Values: wireValues(a.values), PageSize: int32(a.page),
		PagingState: a.paging, Serial: a.serial, Timestamp: helenus.Timestamp(a.ts)}
	for _, n := range a.names {
		req.Params.Names = append(req.Params.Names, []byte(n))
	}
	if a.now != 0 {
		req.Params.Flags, req.Params.Now = req.Params.Flags|proto.ParamNow, int32(a.now)
	}
	if a.ts != 0 {
		req.Params.Flags |= proto.ParamTimestamp
	}
	res, err := p.conn.Do(context.Background(), req)
	if err != nil {
		var got answer
		if !errors.As(err, &got.err) {
			p.t.Fatal(err)
		}
		return got
	}
	return p.answer(res)
}

func (p *peerTarget) answer(res *client.Result) answer {
	got := answer{warnings: res.Warnings, keyspace: res.Keyspace, change: SchemaChange(res.Change), paging: res.Rows.PagingState}
	switch res.Kind {
	case proto.ResultVoid:
		got.kind = ResultVoid
	case proto.ResultRows:
		got.kind = ResultRows
		rows, err := res.All()
		if err != nil {
			p.t.Fatal(err)
		}
		got.rows, got.columns = rows, specsOf(res.Rows.Columns)
	case proto.ResultSetKeyspace:
		got.kind = ResultSetKeyspace
	case proto.ResultSchemaChange:
		got.kind = ResultSchemaChange
	case proto.ResultPrepared:
		got.kind = ResultPrepared
		r := &res.Prepared
		got.id, got.keys, got.params, got.columns = r.ID, r.KeyIndexes, specsOf(r.Params), specsOf(r.Result)
		if len(r.Result) > 0 {
			got.resultID = r.ResultID
		}
	}
	return got
}

func specsOf(in []proto.Column) []ColumnSpec {
	var out []ColumnSpec
	for _, c := range in {
		out = append(out, ColumnSpec(c))
	}
	return out
}

func wireValues(in []Value) []proto.Value {
	var out []proto.Value
	for _, v := range in {
		out = append(out, proto.Value(v))
	}
	return out
}
