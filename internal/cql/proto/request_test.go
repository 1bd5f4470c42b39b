package proto

import (
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"helenus"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// requests is one of each kind with everything set that the version allows.
func requests(v Version) []Request {
	values := []Value{{Bytes: []byte("key")}, {}, {Bytes: []byte{}}}
	if v >= V4 {
		values = append(values, Value{Unset: true})
	}
	full := Params{
		Flags: ParamSerial | ParamTimestamp | ParamSkipMetadata, Consistency: helenus.LocalQuorum, Values: values,
		PageSize: 5000, PagingState: []byte{1, 2}, Serial: helenus.LocalSerial, Timestamp: -7,
	}
	if v >= V5 {
		full.Flags |= ParamNow
		full.Keyspace, full.Now = []byte("ks"), 99
	}
	named := Params{Consistency: helenus.One, Serial: helenus.Serial, Values: values[:2], Names: [][]byte{[]byte("a"), []byte("b")}}
	tail := full
	tail.Values, tail.PageSize, tail.PagingState, tail.Flags = nil, 0, nil, full.Flags&^ParamSkipMetadata
	op := func(o Opcode) Header { return Header{Op: o} }
	out := []Request{
		{Header: op(OpStartup), Options: []Option{{"CQL_VERSION", "3.0.0"}, {"COMPRESSION", "lz4"}}},
		{Header: op(OpOptions)},
		{Header: op(OpQuery), Text: []byte("SELECT é"), Params: full},
		{Header: op(OpQuery), Text: []byte(""), Params: named},
		{Header: op(OpPrepare), Text: []byte("INSERT")},
		{Header: op(OpExecute), ID: []byte("0123456789abcdef"), Params: full},
		{Header: op(OpBatch), BatchType: BatchUnlogged, Params: tail, Batch: []BatchItem{
			{Text: []byte("DELETE"), Values: values[:1]}, {ID: []byte("id"), Values: values}, {ID: []byte{}, Values: []Value{}}}},
		{Header: op(OpRegister), Events: []string{"SCHEMA_CHANGE", "STATUS_CHANGE"}},
		{Header: op(OpAuthResponse), Token: []byte("\x00user\x00word")},
		{Header: op(OpAuthResponse)},
	}
	if v >= V4 {
		out[2].Payload = Payload(nil).AppendEntry("k", []byte("v")).AppendEntry("null", nil)
	}
	if v >= V5 {
		out[4].Keyspace = []byte("ks")
		out[5].ResultID = []byte("metadata")
	}
	return out
}

// same compares what a request says; flags that fields say are not compared.
func same(t *testing.T, v Version, want, got *Request) {
	t.Helper()
	w, g := *want, *got
	g.Header = Header{Op: g.Op}
	w.Header = Header{Op: w.Op}
	w.Params.Flags, g.Params.Flags = w.Params.said(), g.Params.said()
	w.batchValues, g.batchValues = nil, nil
	for _, r := range []*Request{&w, &g} {
		if len(r.Batch) == 0 {
			r.Batch = nil
		}
		if len(r.Options) == 0 {
			r.Options = nil
		}
		if len(r.Params.Values) == 0 {
			r.Params.Values = nil
		}
		if len(r.Params.Names) == 0 {
			r.Params.Names = nil
		}
		if r.Payload.Len() == 0 {
			r.Payload = nil
		}
		if !r.Params.Has(ParamSerial) {
			r.Params.Serial = helenus.Serial
		}
	}
	if !reflect.DeepEqual(w, g) {
		t.Errorf("%s %s:\nwant %+v\ngot  %+v", v, want.Op, w, g)
	}
}

func TestRequestRoundTrip(t *testing.T) {
	var got Request // reused on purpose: nothing may stay from the one before
	for _, v := range []Version{V3, V4, V5} {
		for _, want := range requests(v) {
			body := want.AppendBody(nil, v)
			e := Envelope{Header: want.HeaderFor(v, 5), Body: body}
			if err := got.Decode(e); err != nil {
				t.Fatalf("%s %s: %v", v, want.Op, err)
			}
			same(t, v, &want, &got)
			for n := range body {
				if err := got.Decode(Envelope{Header: e.Header, Body: body[:n]}); err == nil {
					t.Errorf("%s %s: cut to %d of %d bytes and decoded", v, want.Op, n, len(body))
				}
			}
		}
	}
}

// TestRequestGolden has bytes written by hand from the specification.
func TestRequestGolden(t *testing.T) {
	const id = "0010 30313233343536373839616263646566"
	for _, g := range []struct {
		v    Version
		r    Request
		body string
	}{
		{V5, Request{Header: Header{Op: OpExecute}, ID: []byte("0123456789abcdef"), ResultID: []byte("m"),
			Params: Params{Consistency: helenus.Quorum, Flags: ParamSkipMetadata | ParamTimestamp, Timestamp: 2,
				Values: []Value{{Bytes: []byte("x")}, {}, {Unset: true}, {Bytes: []byte{}}}}},
			id + "0001 6d 0004 00000023 0004 00000001 78 ffffffff fffffffe 00000000 0000000000000002"},
		{V4, Request{Header: Header{Op: OpExecute}, ID: []byte("0123456789abcdef"),
			Params: Params{Consistency: helenus.One, PageSize: 100, PagingState: []byte{9}}},
			id + "0001 0c 00000064 00000001 09"},
		{V5, Request{Header: Header{Op: OpPrepare}, Text: []byte("Q"), Keyspace: []byte("k")}, "00000001 51 00000001 0001 6b"},
		{V4, Request{Header: Header{Op: OpBatch}, BatchType: BatchCounter, Batch: []BatchItem{{Text: []byte("U")}},
			Params: Params{Consistency: helenus.Two, Flags: ParamSerial, Serial: helenus.Serial}}, "02 0001 00 00000001 55 0000 0002 10 0008"},
	} {
		if got := g.r.AppendBody(nil, g.v); hex.EncodeToString(got) != hex.EncodeToString(unhex(t, g.body)) {
			t.Errorf("%s %s: %x", g.v, g.r.Op, got)
		}
	}
}

func TestRequestErrors(t *testing.T) {
	request := func(v Version, op Opcode, body string) Envelope {
		return Envelope{Header: Header{Version: v, Op: op}, Body: unhex(t, body)}
	}
	for _, c := range []struct {
		e    Envelope
		want string
	}{
		{request(V4, 77, ""), "Unknown opcode 77"},
		{request(V4, 4, ""), "Unknown opcode 4"},
		{request(V4, OpResult, ""), "Wrong protocol direction (expected RESPONSE, got REQUEST) for opcode 8 (RESULT)"},
		{request(V4, OpQuery, "00000001 51 0063 00"), "Unknown code 99 for a consistency level"},
		{request(V4, OpQuery, "00000001 51 0001 01 0001 fffffffd"), "Invalid ByteBuf length -3"},
		{request(V4, OpQuery, "00000001 51 0001 01 ffff 00000000"), "Invalid count 65535 of values in 4 bytes"},
		{request(V4, OpQuery, "ffffffff"), "Invalid negative length -1 of a string"},
		{request(V4, OpQuery, "7fffffff 51"), "Not enough bytes: 2147483647 wanted, 1 left"},
		{request(V4, OpQuery, "00000001 51 0001 20 8000000000000000"),
			"Out of bound timestamp, must be in [-9223372036854775807, 9223372036854775807] (got -9223372036854775808)"},
		{request(V4, OpBatch, "03 0000 0001 00"), "Invalid BATCH message type 3"},
		{request(V4, OpBatch, "00 0001 02 00000001 55 0000 0001 00"), "Invalid query kind in BATCH messages. Must be 0 or 1 but got 2"},
		{request(V4, OpBatch, "00 0000 0001 40"), "Named values are not supported in BATCH messages"},
	} {
		var r Request
		err := r.Decode(c.e)
		if err == nil || err.Message != c.want || err.Code != helenus.CodeProtocol {
			t.Errorf("%s %x:\nwant %s\ngot  %v", c.e.Op, c.e.Body, c.want, err)
		}
	}
	// Before v4 every negative length is null.
	var r Request
	if err := r.Decode(request(V3, OpQuery, "00000001 51 0001 01 0001 fffffffe")); err != nil ||
		len(r.Params.Values) != 1 || r.Params.Values[0].Unset || r.Params.Values[0].Bytes != nil {
		t.Errorf("unset in v3: %+v %v", r.Params.Values, err)
	}
}

func TestStartup(t *testing.T) {
	for _, c := range []struct {
		v       Version
		options string
		want    string // an error, or compression and framing
	}{
		{V5, "CQL_VERSION=3.0.0", "0 1"},
		{V5, "CQL_VERSION=3.4.7 COMPRESSION=LZ4", "1 2"},
		{V4, "CQL_VERSION=3.4.7 COMPRESSION=lz4", "1 0"},
		{V4, "CQL_VERSION=4.0.0 COMPRESSION=snappy", "2 0"},
		{V5, "CQL_VERSION=3.0.0 COMPRESSION=snappy", "Snappy compression is not supported in protocol V5"},
		{V4, "CQL_VERSION=3.0.0 COMPRESSION=zip", "Unknown compression algorithm: zip"},
		{V4, "COMPRESSION=lz4", "Missing value CQL_VERSION in STARTUP message"},
		{V4, "CQL_VERSION=2.0.0", "CQL version 2.0.0 is not supported by the binary protocol (supported version are >= 3.0.0)"},
	} {
		q := Request{Header: Header{Version: c.v, Op: OpStartup}}
		for _, o := range strings.Fields(c.options) {
			k, val, _ := strings.Cut(o, "=")
			q.Options = append(q.Options, Option{k, val})
		}
		s, err := q.Startup()
		got := string(rune('0'+s.Compression)) + " " + string(rune('0'+s.Framing(c.v)))
		if err != nil {
			got = err.Message
		}
		if got != c.want {
			t.Errorf("%s %s: %s", c.v, c.options, got)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, v := range []Version{V4, V5} {
		for _, want := range requests(v) {
			switch want.Op {
			case OpQuery, OpExecute, OpBatch, OpPrepare:
			default:
				continue
			}
			e := Envelope{Header: want.HeaderFor(v, 1), Body: want.AppendBody(nil, v)}
			var got Request
			if n := testing.AllocsPerRun(100, func() {
				if err := got.Decode(e); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%s %s: %v allocations", v, want.Op, n)
			}
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, v := range []Version{V3, V4, V5} {
		for _, r := range requests(v) {
			h := r.HeaderFor(v, 1)
			f.Add(byte(v), byte(h.Flags), byte(r.Op), r.AppendBody(nil, v))
		}
	}
	f.Fuzz(func(t *testing.T, version, flags, op byte, body []byte) {
		v := V3 + Version(version)%3
		e := Envelope{Header: Header{Version: v, Flags: HeaderFlags(flags), Op: Opcode(op)}, Body: body}
		var r, again Request
		if r.Decode(e) != nil {
			return
		}
		r.Params.Flags = r.Params.said()
		second := Envelope{Header: r.HeaderFor(v, 1), Body: r.AppendBody(nil, v)}
		if err := again.Decode(second); err != nil {
			t.Fatalf("%s %s: encoded again and refused: %v\n%x\n%x", v, r.Op, err, body, second.Body)
		}
		if v >= V5 { // below, two flags have no place in the byte
			same(t, v, &r, &again)
		}
	})
}

func BenchmarkDecodeExecute(b *testing.B) {
	r := Request{Header: Header{Op: OpExecute}, ID: make([]byte, 16), ResultID: make([]byte, 16),
		Params: Params{Consistency: helenus.LocalQuorum, Flags: ParamSkipMetadata | ParamTimestamp, Timestamp: math.MaxInt32,
			Values: []Value{{Bytes: make([]byte, 16)}, {Bytes: make([]byte, 36)}, {Bytes: make([]byte, 36)}}}}
	e := Envelope{Header: r.HeaderFor(V5, 1), Body: r.AppendBody(nil, V5)}
	b.ReportAllocs()
	var got Request
	for b.Loop() {
		if err := got.Decode(e); err != nil {
			b.Fatal(err)
		}
	}
}
