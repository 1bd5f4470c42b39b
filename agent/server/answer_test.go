package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
)

// inDialects runs f on a connection of each dialect.
func inDialects(t *testing.T, f func(h *harness, c *client.Conn)) {
	t.Helper()
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			inBubble(t, nil, func(h *harness) {
				c := h.connect(d.version, d.compression)
				defer c.Close()
				f(h, c)
				h.wantQuiet()
			})
		})
	}
}

func TestResults(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		ctx := h.Context()
		res, err := c.Query(ctx, "void")
		if err != nil || res.Kind != proto.ResultVoid {
			h.Errorf("void: %v, %v", res, err)
		}
		_, err = c.Query(ctx, "error")
		wantError(h.T, err, helenus.CodeInvalid, "as you wish")
		_, err = c.Query(ctx, "nonsense")
		wantError(h.T, err, helenus.CodeSyntax, "line 1:0 nonsense")
		if res, err = c.Query(ctx, "use ks"); err != nil || res.Kind != proto.ResultSetKeyspace || res.Keyspace != "ks" {
			h.Errorf("use: %v, %v", res, err)
		}
		if got := h.texts(c, c.QueryRequest("keyspace")); !slices.Equal(got, []string{"ks"}) {
			h.Errorf("keyspace of the session %q", got)
		}
		if got := h.server.Clients()[0].Keyspace; got != "ks" {
			h.Errorf("keyspace of the client %q", got)
		}
		if res, err = c.Query(ctx, "change"); err != nil || fmt.Sprint(res.Change) != "{CREATED TABLE ks t []}" {
			h.Errorf("change: %v, %v", res, err)
		}
		if res, err = c.Query(ctx, "warn"); err != nil || !slices.Equal(res.Warnings, []string{"one", "two"}) {
			h.Errorf("warn: %v, %v", res, err)
		}
		if res, err = c.Query(ctx, "void"); err != nil || res.Warnings != nil {
			h.Errorf("warnings stay: %v, %v", res, err)
		}
		if errors, want := h.server.Stats().Errors.Load(), uint64(2); errors != want {
			h.Errorf("%d errors counted, want %d", errors, want)
		}
	})
}

// TestLargeResults: larger than segments, buffers and what is pooled.
func TestLargeResults(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		for _, shape := range [][2]int{{0, 1}, {1, 131071}, {3, 500_000}, {2000, 1000}, {1, 1}} {
			res, err := c.Query(h.Context(), fmt.Sprintf("rows %d %d", shape[0], shape[1]))
			if err != nil {
				h.Fatal(err)
			}
			rows, err := res.All()
			if err != nil || len(rows) != shape[0] {
				h.Fatalf("%v: %d rows, %v", shape, len(rows), err)
			}
			for _, r := range rows {
				if len(r[0]) != shape[1] {
					h.Fatalf("%v: a cell of %d bytes", shape, len(r[0]))
				}
			}
		}
	})
}

func TestValues(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		req := c.QueryRequest("echo", client.Text("a"), client.Bytes(nil), client.Bytes([]byte{}), client.Unset())
		if got, want := h.texts(c, req), []string{"a", "null", "", "unset"}; !slices.Equal(got, want) {
			h.Errorf("positional %q, want %q", got, want)
		}
		req = c.QueryRequest("echo", client.Text("a"), client.Text("b"))
		req.Params.Names = [][]byte{[]byte("x"), []byte("y")}
		if got, want := h.texts(c, req), []string{"a", "b", "x", "y"}; !slices.Equal(got, want) {
			h.Errorf("named %q, want %q", got, want)
		}
		req = c.QueryRequest("echo", client.Text("a"))
		req.Payload = req.Payload.AppendEntry("key", []byte("value"))
		if got, want := h.texts(c, req), []string{"a"}; !slices.Equal(got, want) {
			h.Errorf("with a custom payload %q, want %q; names of the last request?", got, want)
		}
	})
}

func TestBatch(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		many := &proto.Request{Header: proto.Header{Op: proto.OpBatch}, BatchType: proto.BatchUnlogged, Params: proto.Params{Consistency: helenus.One}}
		var want []string
		for i := range 300 {
			many.Batch = append(many.Batch, proto.BatchItem{Text: fmt.Appendf(nil, "s%d", i), Values: []proto.Value{client.Text(fmt.Sprint(i)), client.Bytes(nil)}},
				proto.BatchItem{ID: fmt.Appendf(nil, "id%d", i)})
			want = append(want, fmt.Sprintf("s%d/,%d,null", i, i), fmt.Sprintf("/id%d", i))
		}
		if got := h.texts(c, many); !slices.Equal(got, want) {
			h.Errorf("batch of %d, want %d: %q", len(got), len(want), got)
		}
		few := &proto.Request{Header: proto.Header{Op: proto.OpBatch}, Batch: []proto.BatchItem{{Text: []byte("only")}}, Params: proto.Params{Consistency: helenus.One}}
		if got := h.texts(c, few); !slices.Equal(got, []string{"only/"}) {
			h.Errorf("batch of one: %q", got)
		}
	})
}

func TestPreparedAndPages(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		ctx := h.Context()
		p, err := c.Prepare(ctx, "select", "")
		if err != nil {
			h.Fatal(err)
		}
		if len(p.ID) != 16 || p.ID[0] != 7 || len(p.Params) != 1 || p.Params[0].Name != "c" || !slices.Equal(p.KeyIndexes, []int{0}) || len(p.Columns()) != 1 {
			h.Errorf("prepared %+v with columns %v", p, p.Columns())
		}
		run := func(flags proto.ParamFlags, resultID, state string) *proto.Response {
			id := "skip"
			if state != "" {
				id = "page"
			}
			res, err := c.Do(ctx, &proto.Request{Header: proto.Header{Op: proto.OpExecute}, ID: []byte(id), ResultID: []byte(resultID),
				Params: proto.Params{Consistency: helenus.One, Flags: flags, PageSize: 1, PagingState: []byte(state)}})
			if err != nil {
				h.Fatal(err)
			}
			return &res.Response
		}
		if r := run(0, "", ""); len(r.Rows.Columns) != 1 {
			h.Errorf("columns %v, want one", r.Rows.Columns)
		}
		if r := run(proto.ParamSkipMetadata, "", ""); len(r.Rows.Columns) != 0 || r.Rows.Count != 1 {
			h.Errorf("columns %v, want none", r.Rows.Columns)
		}
		r := run(proto.ParamSkipMetadata, "stale", "")
		if isV5 := c.Version() == proto.V5; isV5 != (len(r.Rows.Columns) == 1) || isV5 != bytes.Equal(r.Rows.NewID, textColumn.ID[:]) {
			h.Errorf("stale metadata: columns %v, id %x", r.Rows.Columns, r.Rows.NewID)
		}
		if r := run(0, "", "first"); string(r.Rows.PagingState) != "next" || r.Rows.Count != 1 {
			h.Errorf("paging state %q", r.Rows.PagingState)
		}
	})
}

func TestTracing(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		traced := func(req *proto.Request) *client.Result {
			req.Flags |= proto.FlagTracing
			res, err := c.Do(h.Context(), req)
			if err != nil {
				h.Fatal(err)
			}
			return res
		}
		if res := traced(c.QueryRequest("warn")); !res.HasTracing || res.Tracing != [16]byte{9} || len(res.Warnings) != 2 {
			h.Errorf("extras %+v", res.Extras)
		}
		traced(&proto.Request{Header: proto.Header{Op: proto.OpExecute}, ID: []byte("void"), Params: proto.Params{Consistency: helenus.One}})
		traced(&proto.Request{Header: proto.Header{Op: proto.OpBatch}, Batch: []proto.BatchItem{{Text: []byte("x")}}, Params: proto.Params{Consistency: helenus.One}})
		if res, err := c.Query(h.Context(), "void"); err != nil || res.HasTracing {
			h.Errorf("traced without asking: %v", err)
		}
		want := []string{"QUERY: Execute CQL3 query: warn", "executing", "end",
			"EXECUTE: Execute CQL3 prepared query: prepared statement 766f6964", "executing", "end",
			"BATCH: Execute batch of CQL3 queries: ", "executing", "end"}
		if !slices.Equal(h.tracer.said, want) {
			h.Errorf("traced %q,\nwant %q", h.tracer.said, want)
		}
	})
}

func withTables(names ...string) *meta.State {
	ks := &schema.Keyspace{Name: "ks", Tables: map[string]*schema.Table{}}
	for _, n := range names {
		ks.Tables[n] = &schema.Table{Keyspace: "ks", Name: n}
	}
	return meta.New([]*schema.Keyspace{ks})
}

// TestEvents: those who registered hear of each change once, others of none.
func TestEvents(t *testing.T) {
	inDialects(t, func(h *harness, c *client.Conn) {
		other := h.connect(proto.V5, proto.CompressNone)
		defer other.Close()
		if err := c.Register(h.Context(), proto.EventTopology, proto.EventStatus); err != nil {
			h.Fatal(err)
		}
		h.state.publish(withTables())
		synctest.Wait()
		if err := c.Register(h.Context(), "schema_change"); err != nil {
			h.Fatal(err)
		}
		if err := c.Register(h.Context(), proto.EventStatus); err != nil { // adds to the others
			h.Fatal(err)
		}
		h.state.publish(withTables("a", "b"))
		synctest.Wait()
		h.state.publish(withTables())
		synctest.Wait()
		var got []string
		for range len(c.Events()) {
			e := <-c.Events()
			got = append(got, strings.Join([]string{string(e.Type), e.Schema.Change, e.Schema.Target, e.Schema.Keyspace, e.Schema.Name}, " "))
		}
		want := []string{"SCHEMA_CHANGE CREATED TABLE ks a", "SCHEMA_CHANGE CREATED TABLE ks b",
			"SCHEMA_CHANGE DROPPED TABLE ks a", "SCHEMA_CHANGE DROPPED TABLE ks b"}
		if slices.Sort(got); !slices.Equal(got, want) {
			h.Errorf("events %q,\nwant %q", got, want)
		}
		if n := len(other.Events()); n != 0 {
			h.Errorf("%d events to who did not ask", n)
		}
	})
}

// TestOnLoopback: real sockets, several clients at once, answers from two sorts
// of goroutine.
func TestOnLoopback(t *testing.T) {
	addr := loopback(t, &fakeEngine{})
	var all sync.WaitGroup
	defer all.Wait()
	for i, d := range dialects {
		all.Go(func() {
			c, err := client.Connect(t.Context(), addr, client.Config{Dial: dialTCP, Version: d.version, Compression: d.compression})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for j := range 500 {
				text := []string{"void", "async", "rows 10 100"}[(i+j)%3]
				if _, err := c.Query(t.Context(), text); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
}
