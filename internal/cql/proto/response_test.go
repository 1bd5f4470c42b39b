package proto

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"helenus"
	"helenus/internal/cql/types"
)

// everyType has every kind in it at least once.
func everyType() []*types.Type {
	var all []*types.Type
	for k := types.ASCII; k <= types.Empty; k++ {
		all = append(all, types.Native(k))
	}
	udt := &types.Type{Kind: types.UDT, Keyspace: "ks", Name: "addr", FieldNames: []string{"a", "b"},
		Elems: []*types.Type{types.Native(types.Int), types.ListOf(types.Native(types.Text), true)}}
	frozen := *udt
	frozen.Frozen = true
	return append(all, udt,
		types.ListOf(types.Native(types.Duration), false),
		types.SetOf(&frozen, false),
		types.MapOf(types.Native(types.Text), types.MapOf(types.Native(types.Date), types.Native(types.UUID), true), false),
		types.TupleOf(types.Native(types.TinyInt), types.SetOf(types.Native(types.Inet), true)),
		types.TupleOf(),
		types.VectorOf(types.Native(types.Float), 3),
		types.VectorOf(types.VectorOf(types.Native(types.Text), 2), 5),
		&types.Type{Kind: types.Custom, Name: "org.example.Odd"})
}

func columnsOf(ts []*types.Type) []Column {
	cols := make([]Column, len(ts))
	for i, t := range ts {
		cols[i] = Column{Keyspace: "ks", Table: "t", Name: string(rune('a' + i)), Type: t}
	}
	return cols
}

// response makes an envelope the way a server does and reads it back.
func response(t *testing.T, v Version, op Opcode, x *Extras, build func(dst []byte) []byte) (*Response, error) {
	t.Helper()
	w := NewWriter()
	w.End(build(w.Begin(Header{Version: v, Response: true, Stream: 3, Op: op})), x)
	d := Decoder{Responses: true}
	d.Fill(copy(d.Buffer(), w.Take(nil)))
	// V3 is readable, though not supported.
	h := parseHeader(d.unread())
	e := Envelope{Header: h, Body: d.unread()[HeaderSize:]}
	if int(h.Length) != len(e.Body) {
		t.Fatalf("length %d of %d", h.Length, len(e.Body))
	}
	var p Response
	err := p.Decode(e)
	return &p, err
}

func TestTypeOptions(t *testing.T) {
	for _, v := range []Version{V3, V4, V5} {
		for _, typ := range everyType() {
			r := reader{b: appendOption(nil, v, typ)}
			if got := r.option(0); r.err != nil || !got.Equal(typ) || len(r.b) != 0 {
				t.Errorf("%s: %+v became %+v, %v", v, typ, got, r.err)
			}
		}
	}
	for _, g := range []struct {
		v    Version
		typ  *types.Type
		want string
	}{
		{V5, types.Native(types.Duration), "\x00\x15"},
		{V4, types.Native(types.Duration), "\x00\x00\x00\x2corg.apache.cassandra.db.marshal.DurationType"},
		{V3, types.Native(types.Date), "\x00\x00\x00\x2eorg.apache.cassandra.db.marshal.SimpleDateType"},
		{V5, types.VectorOf(types.Native(types.Float), 3), "\x00\x00\x00\x59org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)"},
		{V5, types.MapOf(types.Native(types.Int), types.Native(types.Text), false), "\x00\x21\x00\x09\x00\x0d"},
	} {
		if got := string(appendOption(nil, g.v, g.typ)); got != g.want {
			t.Errorf("%s %+v: %q", g.v, g.typ, got)
		}
	}
	deep := bytes.Repeat([]byte{0, 0x20}, 200)
	if r := (reader{b: deep}); r.option(0) == nil || r.err == nil {
		t.Error("a type 200 deep was read")
	}
}

func TestRowsRoundTrip(t *testing.T) {
	cols := columnsOf(everyType())
	mixed := columnsOf(everyType())
	mixed[1].Table = "u"
	state, newID := []byte("state"), []byte("0123456789abcdef")
	for _, v := range []Version{V3, V4, V5} {
		for _, set := range [][]Column{cols, mixed, cols[:1]} {
			for _, skip := range []bool{false, true} {
				for how := range 4 { // no state, given first, given last, and a new id
					head := RowsHead{Columns: EncodeColumns(v, set), Skip: skip}
					var last []byte
					switch how {
					case 1:
						head.PagingState = state
					case 2:
						last = state
					case 3:
						head.NewID, last = newID, []byte{}
					}
					p, err := response(t, v, OpResult, nil, func(dst []byte) []byte { return writeRows(dst, head, len(set), last) })
					if err != nil {
						t.Fatal(err)
					}
					checkRows(t, p, set, skip && how != 3)
					if more := p.Rows.PagingState != nil; more != (how != 0) || (how == 3) != (p.Rows.NewID != nil) {
						t.Errorf("paging state %q, new id %q in case %d", p.Rows.PagingState, p.Rows.NewID, how)
					}
				}
			}
		}
	}
}

// writeRows writes three rows: values, nulls, and empty or assembled ones.
func writeRows(dst []byte, head RowsHead, width int, state []byte) []byte {
	var w RowsWriter
	w.Begin(dst, head)
	for range width {
		w.Cell([]byte("value"))
	}
	w.EndRow()
	for range width {
		w.Cell(nil)
	}
	w.EndRow()
	for i := range width {
		if i%2 == 0 {
			w.Cell([]byte{})
			continue
		}
		w.CloseCell(append(append(w.OpenCell(), "two "...), "parts"...))
	}
	w.EndRow()
	return w.End(state)
}

func checkRows(t *testing.T, p *Response, cols []Column, skipped bool) {
	t.Helper()
	rows := &p.Rows
	if p.Kind != ResultRows || rows.Width != len(cols) || rows.Count != 3 || (rows.Columns == nil) != skipped {
		t.Fatalf("%+v", rows)
	}
	for i, c := range rows.Columns {
		if c.Keyspace != cols[i].Keyspace || c.Table != cols[i].Table || c.Name != cols[i].Name || !c.Type.Equal(cols[i].Type) {
			t.Errorf("column %d is %+v, want %+v", i, c, cols[i])
		}
	}
	cells := make([][]byte, rows.Width)
	for n := 0; rows.NextRow(cells); n++ {
		for i, c := range cells {
			want := [3]string{"value", "", "two parts"}[n]
			if n == 2 && i%2 == 0 {
				want = ""
			}
			if string(c) != want || (c == nil) != (n == 1) {
				t.Errorf("row %d cell %d is %q", n, i, c)
			}
		}
	}
	if rows.Err() != nil {
		t.Error(rows.Err())
	}
}

func TestAnswers(t *testing.T) {
	node := netip.MustParseAddrPort("[2001:db8::1]:9042")
	table := SchemaChange{Change: "CREATED", Target: "TABLE", Keyspace: "ks", Name: "t"}
	fn := SchemaChange{Change: "DROPPED", Target: "FUNCTION", Keyspace: "ks", Name: "f", Args: []string{"int", "text"}}
	x := Extras{HasTracing: true, Tracing: [16]byte{1, 15: 9}, Warnings: []string{"one", "two"}, Payload: Payload(nil).AppendEntry("k", []byte("v"))}
	for _, c := range []struct {
		op    Opcode
		build func([]byte) []byte
		want  Response
	}{
		{OpReady, func(b []byte) []byte { return b }, Response{}},
		{OpAuthenticate, func(b []byte) []byte { return AppendAuthenticate(b, "Class") }, Response{Authenticator: "Class"}},
		{OpAuthSuccess, func(b []byte) []byte { return AppendToken(b, nil) }, Response{}},
		{OpAuthChallenge, func(b []byte) []byte { return AppendToken(b, []byte{7}) }, Response{Token: []byte{7}}},
		{OpSupported, func(b []byte) []byte { return AppendSupported(b, []Support{{"A", []string{"b", "c"}}, {"D", nil}}) },
			Response{Supported: []Support{{"A", []string{"b", "c"}}, {"D", nil}}}},
		{OpResult, AppendVoid, Response{Kind: ResultVoid}},
		{OpResult, func(b []byte) []byte { return AppendSetKeyspace(b, "ks") }, Response{Kind: ResultSetKeyspace, Keyspace: "ks"}},
		{OpResult, func(b []byte) []byte { return AppendSchemaChange(b, V5, &fn) }, Response{Kind: ResultSchemaChange, Change: fn}},
		{OpEvent, func(b []byte) []byte { return AppendEvent(b, V5, &Event{Type: EventSchema, Schema: table}) },
			Response{Event: Event{Type: EventSchema, Schema: table}}},
		{OpEvent, func(b []byte) []byte {
			return AppendEvent(b, V5, &Event{Type: EventStatus, Change: "UP", Node: node})
		}, Response{Event: Event{Type: EventStatus, Change: "UP", Node: node}}},
	} {
		for _, extras := range []*Extras{nil, {}, &x} {
			got, err := response(t, V5, c.op, extras, c.build)
			want := c.want
			want.Header = got.Header
			if extras != nil {
				want.Extras = *extras
			}
			if err != nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("%s: %v\nwant %+v\ngot  %+v", c.op, err, want, *got)
			}
		}
	}
	if got := string(AppendSchemaChange(nil, V3, &fn)); got != "\x00\x00\x00\x05\x00\x07UPDATED\x00\x08KEYSPACE\x00\x02ks" {
		t.Errorf("a function in v3: %q", got)
	}
	if got, _ := response(t, V3, OpReady, &x, func(b []byte) []byte { return b }); got.Flags != FlagTracing {
		t.Errorf("extras in v3: flags %x", got.Flags)
	}
}

func TestPrepared(t *testing.T) {
	cols := columnsOf(everyType()[:4])
	for _, v := range []Version{V3, V4, V5} {
		for _, params := range [][]Column{nil, cols} {
			for _, result := range [][]Column{nil, cols[:2]} {
				p := Prepared{ID: []byte("id"), ResultID: []byte("rid"), Params: EncodeColumns(v, params), KeyIndexes: []int{2, 0}}
				want := PreparedResult{ID: p.ID, Params: params, KeyIndexes: p.KeyIndexes, Result: result}
				if result != nil {
					p.Result = EncodeColumns(v, result)
				}
				if v >= V5 {
					want.ResultID = p.ResultID
				}
				if v < V4 {
					want.KeyIndexes = nil
				}
				got, err := response(t, v, OpResult, nil, func(b []byte) []byte { return AppendPrepared(b, v, &p) })
				if len(got.Prepared.Params) == 0 {
					got.Prepared.Params = nil
				}
				if err != nil || !reflect.DeepEqual(got.Prepared, want) {
					t.Errorf("%s: %v\nwant %+v\ngot  %+v", v, err, want, got.Prepared)
				}
			}
		}
	}
}

// errorCases are one of each code, and what each version makes of it when
// that is something else.
func errorCases() []helenus.Error {
	at := func(s string, why uint16) helenus.Failure {
		return helenus.Failure{From: netip.AddrPortFrom(netip.MustParseAddr(s), 0), Reason: why}
	}
	failures := []helenus.Failure{at("127.0.0.2", 6), at("::1", 1)}
	const cl = helenus.LocalQuorum
	return []helenus.Error{
		{Code: helenus.CodeServer}, {Code: helenus.CodeProtocol}, {Code: helenus.CodeBadCredentials},
		{Code: helenus.CodeOverloaded}, {Code: helenus.CodeBootstrapping}, {Code: helenus.CodeTruncate},
		{Code: helenus.CodeSyntax}, {Code: helenus.CodeUnauthorized}, {Code: helenus.CodeInvalid}, {Code: helenus.CodeConfig},
		{Code: helenus.CodeUnavailable, Consistency: cl, Required: 2, Alive: 1},
		{Code: helenus.CodeWriteTimeout, Consistency: cl, Required: 2, Alive: 1, WriteType: helenus.WriteBatchLog},
		{Code: helenus.CodeWriteTimeout, Consistency: cl, Required: 2, Alive: 1, WriteType: helenus.WriteCAS, Contentions: 7},
		{Code: helenus.CodeReadTimeout, Consistency: cl, Required: 2, Alive: 1, DataPresent: true},
		{Code: helenus.CodeReadFailure, Consistency: cl, Required: 2, Failures: failures, DataPresent: true},
		{Code: helenus.CodeWriteFailure, Consistency: cl, Required: 2, Alive: 1, Failures: failures, WriteType: helenus.WriteSimple},
		{Code: helenus.CodeCASUnknown, Consistency: helenus.Serial, Required: 2, Alive: 1},
		{Code: helenus.CodeFunctionFailure, Keyspace: "ks", Table: "fn"},
		{Code: helenus.CodeAlreadyExists, Keyspace: "ks", Table: ""},
		{Code: helenus.CodeUnprepared, ID: []byte{1, 2, 3}},
		{Code: codeCDCFailure},
	}
}

func TestErrors(t *testing.T) {
	for _, v := range []Version{V3, V4, V5} {
		for _, want := range errorCases() {
			want.Message = "because"
			p, err := response(t, v, OpError, nil, func(b []byte) []byte { return AppendError(b, v, &want) })
			if err != nil {
				t.Fatalf("%s %x: %v", v, want.Code, err)
			}
			if expected := asSeenBy(v, want); !reflect.DeepEqual(*p.Err, expected) {
				t.Errorf("%s:\nwant %+v\ngot  %+v", v, expected, *p.Err)
			}
		}
	}
}

// TestErrorTails: what comes after the message and its 10 bytes of counts.
func TestErrorTails(t *testing.T) {
	cas := helenus.Error{Code: helenus.CodeWriteTimeout, WriteType: helenus.WriteCAS, Contentions: 7}
	unknown := helenus.Error{Code: helenus.CodeCASUnknown}
	for _, c := range []struct {
		v    Version
		e    *helenus.Error
		want string
	}{
		{V5, &cas, "\x00\x03CAS\x00\x07"}, {V4, &cas, "\x00\x03CAS"}, {V5, &unknown, ""}, {V4, &unknown, "\x00\x03CAS"},
	} {
		if got := string(AppendError(nil, c.v, c.e)[4+2+10:]); got != c.want {
			t.Errorf("%s %x: %q", c.v, c.e.Code, got)
		}
	}
}

// TestCountsAreChecked: a count the bytes do not bear out is refused before
// anybody makes room for it.
func TestCountsAreChecked(t *testing.T) {
	for _, body := range []string{
		"00000002 00000004 00000001 40000000 ffffffff", // rows
		"00000002 00000004 00000000 00000001",          // rows without columns
		"00000002 00000001 7fffffff 0000 0000",         // columns
		"00000004 0001 78 0001 78 00000000 00000000 7fffffff",
		"00000009",
	} {
		var p Response
		e := Envelope{Header: Header{Version: V5, Response: true, Op: OpResult}, Body: unhex(t, body)}
		if err := p.Decode(e); err == nil {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

// asSeenBy states the down-conversions of the facts once more, as a table.
func asSeenBy(v Version, e helenus.Error) helenus.Error {
	if v == V5 {
		return e
	}
	e.Contentions = 0
	if e.Code == helenus.CodeCASUnknown {
		e.Code, e.WriteType = helenus.CodeWriteTimeout, helenus.WriteCAS
	}
	if v == V4 {
		if e.Failures != nil {
			e.Failures = make([]helenus.Failure, len(e.Failures))
		}
		return e
	}
	e.Failures = nil
	switch e.Code {
	case helenus.CodeReadFailure:
		e.Code = helenus.CodeReadTimeout
	case helenus.CodeWriteFailure:
		e.Code = helenus.CodeWriteTimeout
	case helenus.CodeFunctionFailure, codeCDCFailure:
		e = helenus.Error{Code: helenus.CodeInvalid, Message: e.Message}
	}
	return e
}

func TestRowsDoNotAllocate(t *testing.T) {
	head := RowsHead{Columns: EncodeColumns(V5, columnsOf(everyType()[:5])), Skip: true}
	w, room := NewWriter(), []byte(nil)
	w.SetFraming(FramingPlain)
	var rows RowsWriter
	cell := make([]byte, 36)
	one := func() {
		rows.Begin(w.Begin(Header{Version: V5, Response: true, Op: OpResult}), head)
		for range 10 {
			for range 5 {
				rows.Cell(cell)
			}
			rows.EndRow()
		}
		w.End(rows.End(cell), nil)
		room = w.Take(room)
	}
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecodeResponse(f *testing.F) {
	for _, e := range errorCases() {
		f.Add(byte(2), byte(0), byte(OpError), AppendError(nil, V5, &e))
	}
	cols := EncodeColumns(V5, columnsOf(everyType()))
	f.Add(byte(2), byte(0), byte(OpResult), writeRows(nil, RowsHead{Columns: cols, PagingState: []byte{1}}, cols.Len(), nil))
	f.Add(byte(2), byte(0), byte(OpResult), AppendPrepared(nil, V5, &Prepared{ID: []byte("i"), Params: cols, Result: cols, KeyIndexes: []int{1}}))
	f.Add(byte(1), byte(14), byte(OpSupported), []byte{0, 1, 0, 1, 'w', 0, 0, 0, 0})
	f.Add(byte(2), byte(0), byte(OpEvent), AppendEvent(nil, V5, &Event{Type: EventStatus, Change: "UP", Node: netip.MustParseAddrPort("1.2.3.4:9042")}))
	f.Fuzz(func(t *testing.T, version, flags, op byte, body []byte) {
		h := Header{Version: V3 + Version(version)%3, Response: true, Flags: HeaderFlags(flags), Op: Opcode(op)}
		var p Response
		if p.Decode(Envelope{Header: h, Body: body}) != nil || p.Kind != ResultRows {
			return
		}
		cells := make([][]byte, p.Rows.Width)
		n := 0
		for p.Rows.NextRow(cells) {
			n++
		}
		if p.Rows.Err() == nil && n != p.Rows.Count {
			t.Fatalf("%d rows of %d", n, p.Rows.Count)
		}
	})
}

func BenchmarkEncodeRows(b *testing.B) {
	head := RowsHead{Columns: EncodeColumns(V5, columnsOf(everyType()[:5])), Skip: true}
	cell := make([]byte, 36)
	for name, framing := range map[string]Framing{"bare": FramingNone, "segment": FramingPlain, "lz4": FramingLZ4} {
		b.Run(name, func(b *testing.B) {
			w, room := NewWriter(), []byte(nil)
			w.SetFraming(framing)
			var rows RowsWriter
			b.ReportAllocs()
			for b.Loop() {
				rows.Begin(w.Begin(Header{Version: V5, Response: true, Op: OpResult}), head)
				for range 10 {
					for range 5 {
						rows.Cell(cell)
					}
					rows.EndRow()
				}
				w.End(rows.End(nil), nil)
				room = w.Take(room)
			}
		})
	}
}
