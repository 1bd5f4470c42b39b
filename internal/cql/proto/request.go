package proto

import (
	"math"

	"helenus"
)

// ParamFlags are the flags of Params (4.1.4).
type ParamFlags uint32

// The flags. Those that a field says by itself (values, names, page size,
// paging state, keyspace) are set by the encoder; callers set the others.
const (
	ParamValues       ParamFlags = 0x001
	ParamSkipMetadata ParamFlags = 0x002
	ParamPageSize     ParamFlags = 0x004
	ParamPagingState  ParamFlags = 0x008
	ParamSerial       ParamFlags = 0x010
	ParamTimestamp    ParamFlags = 0x020
	ParamNames        ParamFlags = 0x040
	ParamKeyspace     ParamFlags = 0x080
	ParamNow          ParamFlags = 0x100
)

// Params are the parameters of QUERY and EXECUTE, and the tail of BATCH.
type Params struct {
	Flags       ParamFlags
	Consistency helenus.Consistency
	Values      []Value
	Names       [][]byte // parallel to Values; empty when they are positional
	PageSize    int32    // 0: none given
	PagingState []byte   // nil: none given
	Serial      helenus.Consistency
	Timestamp   helenus.Timestamp // when ParamTimestamp is set
	Keyspace    []byte            // nil: none given
	Now         int32             // seconds since 1970, when ParamNow is set
}

// Has tells whether all of the flags are set.
func (p *Params) Has(f ParamFlags) bool { return p.Flags&f == f }

// reset keeps the slices' room.
func (p *Params) reset() {
	*p = Params{Values: p.Values[:0], Names: p.Names[:0], Serial: helenus.Serial}
}

// BatchType is the kind of a BATCH.
type BatchType uint8

// The types of batch.
const (
	BatchLogged   BatchType = 0
	BatchUnlogged BatchType = 1
	BatchCounter  BatchType = 2
)

// BatchItem is one statement of a batch.
type BatchItem struct {
	Text   []byte // when ID is nil
	ID     []byte
	Values []Value
}

// Option is one key and value of STARTUP.
type Option struct{ Key, Value string }

// Request is the contents of any request. One Request is decoded into again
// and again without allocating; slices alias the body.
type Request struct {
	Header
	Payload Payload

	Text     []byte // QUERY, PREPARE
	Keyspace []byte // PREPARE in v5; nil: none given
	ID       []byte // EXECUTE
	ResultID []byte // EXECUTE in v5: the result metadata the client knows
	Params   Params // QUERY, EXECUTE, BATCH

	BatchType BatchType
	Batch     []BatchItem

	Options []Option // STARTUP
	Events  []string // REGISTER
	Token   []byte   // AUTH_RESPONSE; nil is null

	batchValues []Value // backs the values of Batch
}

// Decode reads a request. The error is the one for the client; the connection
// stays usable.
func (q *Request) Decode(e Envelope) *helenus.Error {
	q.reset(e.Header)
	r := reader{b: e.Body}
	if e.Response || !e.Op.IsRequest() {
		return wrongOpcode(e.Op)
	}
	if e.Flags&FlagPayload != 0 {
		if e.Version < V4 {
			return protocolErrorf("Received frame with CUSTOM_PAYLOAD flag for native protocol version < 4")
		}
		q.Payload = r.payload()
	}
	switch e.Op {
	case OpStartup:
		q.startup(&r)
	case OpQuery:
		q.Text = r.long()
		q.Params.decode(&r, e.Version)
	case OpPrepare:
		q.prepare(&r, e.Version)
	case OpExecute:
		q.ID = r.short()
		if e.Version >= V5 {
			q.ResultID = r.short()
		}
		q.Params.decode(&r, e.Version)
	case OpBatch:
		q.batch(&r, e.Version)
	case OpRegister:
		q.Events = r.strings()
	case OpAuthResponse:
		q.Token = r.bytes()
	}
	return r.err
}

// opcodeCount bounds the opcodes that exist; 4 was CREDENTIALS until v1.
const opcodeCount = 0x11

func wrongOpcode(o Opcode) *helenus.Error {
	if o >= opcodeCount || o == 4 {
		return protocolErrorf("Unknown opcode %d", uint8(o))
	}
	return protocolErrorf("Wrong protocol direction (expected RESPONSE, got REQUEST) for opcode %d (%s)", uint8(o), o)
}

func (q *Request) reset(h Header) {
	p := q.Params
	p.reset()
	*q = Request{Header: h, Params: p, Batch: q.Batch[:0], batchValues: q.batchValues[:0], Options: q.Options[:0]}
}

func (q *Request) startup(r *reader) {
	n := r.count(int(r.u16()), 4, "options")
	for range n {
		o := Option{Key: r.string(), Value: r.string()}
		if r.err != nil {
			return
		}
		q.Options = append(q.Options, o)
	}
}

func (q *Request) prepare(r *reader, v Version) {
	q.Text = r.long()
	if v < V5 {
		return
	}
	if r.i32()&prepareKeyspace != 0 {
		q.Keyspace = r.short()
	}
}

const prepareKeyspace = 0x01

func (q *Request) batch(r *reader, v Version) {
	q.BatchType = BatchType(r.u8())
	if q.BatchType > BatchCounter {
		r.fail("Invalid BATCH message type %d", q.BatchType)
	}
	n := r.count(int(r.u16()), 5, "statements")
	for range n {
		var it BatchItem
		switch kind := r.u8(); kind {
		case 0:
			it.Text = r.long()
		case 1:
			it.ID = r.short()
		default:
			r.fail("Invalid query kind in BATCH messages. Must be 0 or 1 but got %d", int8(kind))
		}
		// Growing batchValues leaves the values of earlier items where they
		// were, which is in order: nobody writes to them again.
		from := len(q.batchValues)
		for range r.count(int(r.u16()), 4, "values") {
			q.batchValues = append(q.batchValues, r.value(v))
		}
		if r.err != nil {
			return
		}
		it.Values = q.batchValues[from:len(q.batchValues):len(q.batchValues)]
		q.Batch = append(q.Batch, it)
	}
	q.Params.decode(r, v)
	if q.Params.Has(ParamNames) {
		r.fail("Named values are not supported in BATCH messages")
	}
}

func (p *Params) decode(r *reader, v Version) {
	p.Consistency = r.consistency()
	if v.flagWidth() == 4 {
		p.Flags = ParamFlags(r.i32())
	} else {
		p.Flags = ParamFlags(r.u8())
	}
	if p.Has(ParamValues) {
		p.values(r, v)
	}
	if p.Has(ParamPageSize) {
		p.PageSize = max(0, r.i32())
	}
	if p.Has(ParamPagingState) {
		p.PagingState = r.bytes()
	}
	if p.Has(ParamSerial) {
		p.Serial = r.consistency()
	}
	if p.Has(ParamTimestamp) {
		if p.Timestamp = helenus.Timestamp(r.i64()); p.Timestamp == math.MinInt64 {
			r.fail("Out of bound timestamp, must be in [%d, %d] (got %d)", int64(math.MinInt64+1), int64(math.MaxInt64), int64(p.Timestamp))
		}
	}
	if p.Has(ParamKeyspace) {
		p.Keyspace = r.short()
	}
	if p.Has(ParamNow) {
		p.Now = r.i32()
	}
}

func (p *Params) values(r *reader, v Version) {
	named := p.Has(ParamNames)
	size := 4
	if named {
		size += 2
	}
	for range r.count(int(r.u16()), size, "values") {
		if named {
			p.Names = append(p.Names, r.short())
		}
		p.Values = append(p.Values, r.value(v))
		if r.err != nil {
			return
		}
	}
}

// Option finds a STARTUP option; empty when the client did not give it.
func (q *Request) Option(key string) string {
	for _, o := range q.Options {
		if o.Key == key {
			return o.Value
		}
	}
	return ""
}
