package server

import (
	"sync"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/cql/proto"
)

// call is a request of a client on its way: pooled, with the bytes of the
// request, which the statement's values point into, and those of its answer.
type call struct {
	conn   *conn
	stream int16
	cost   int // bytes charged for it

	body    []byte
	decoded proto.Request
	request query.Request
	values  []query.Value
	names   []string
	answer  []byte
	rows    rowWriter
	extras  proto.Extras
	traced  func()
}

const (
	// callBytes is what a call itself costs, whatever its body: its own size and
	// an allowance for what the engine hangs on it.
	callBytes = 4 << 10
	// bodyMax and valuesMax bound what is kept in the pool.
	bodyMax   = 64 << 10
	valuesMax = 1 << 10
)

// start runs a QUERY, PREPARE, EXECUTE or BATCH. The call may be over, and be
// somebody else's, before Execute returns.
func (c *conn) start(e proto.Envelope) {
	cost := callBytes + len(e.Body)
	if !c.admit(cost) {
		c.answerError(e.Version, e.Stream, overloaded())
		return
	}
	k := c.server.calls.Get().(*call)
	k.conn, k.stream, k.cost = c, e.Stream, cost
	k.body = append(k.body[:0], e.Body...)
	e.Body = k.body
	if err := k.decoded.Decode(e); err != nil {
		k.fail(err)
		return
	}
	k.fill(e)
	if e.Flags&proto.FlagTracing != 0 {
		k.trace()
	}
	c.server.opts.Engine.Execute(&k.request)
}

// admit charges a request before anything is kept of it.
func (c *conn) admit(cost int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if need := c.owedLocked() + cost - c.charged; need > 0 {
		b := c.server.opts.Budget
		n := max(need, chargeBytes)
		if !b.Charge(int64(n)) {
			if n = need; !b.Charge(int64(n)) {
				return false
			}
		}
		c.charged += n
	}
	c.inFlight++
	c.bodies += cost
	c.pressed = c.out.Len() >= flushBytes || c.fullLocked()
	return true
}

// fill turns the decoded frame into a request.
func (k *call) fill(e proto.Envelope) {
	d, r := &k.decoded, &k.request
	r.Session, r.Owner = &k.conn.session, k
	k.rows.call = k
	r.Out = &k.rows
	switch e.Op {
	case proto.OpQuery:
		r.Verb = query.VerbQuery
	case proto.OpPrepare:
		r.Verb = query.VerbPrepare
	case proto.OpExecute:
		r.Verb = query.VerbExecute
	case proto.OpBatch:
		r.Verb = query.VerbBatch
		r.BatchKind = query.BatchKind(d.BatchType)
	}
	r.Text, r.ID, r.ResultMetadataID = string(d.Text), d.ID, d.ResultID
	k.values = k.values[:0]
	k.params(&d.Params)
	if e.Op == proto.OpPrepare {
		r.Params.Keyspace = string(d.Keyspace)
	}
	r.Batch = r.Batch[:0]
	for i := range d.Batch {
		item := &d.Batch[i]
		r.Batch = append(r.Batch, query.BatchItem{Text: string(item.Text), ID: item.ID, Values: k.convert(item.Values)})
	}
}

func (k *call) params(p *proto.Params) {
	r := &k.request.Params
	*r = query.Params{Consistency: p.Consistency, SerialConsistency: p.Serial, Values: k.convert(p.Values),
		PageSize: int(p.PageSize), PagingState: p.PagingState, Timestamp: int64(p.Timestamp), HasTimestamp: p.Has(proto.ParamTimestamp),
		Keyspace: string(p.Keyspace), NowSeconds: int64(p.Now), HasNow: p.Has(proto.ParamNow), SkipMetadata: p.Has(proto.ParamSkipMetadata)}
	if len(p.Names) > 0 {
		k.names = k.names[:0]
		for _, n := range p.Names {
			k.names = append(k.names, string(n))
		}
		r.Names = k.names
	}
}

// convert gives the values their type in query; they stay where they are.
func (k *call) convert(in []proto.Value) []query.Value {
	at := len(k.values)
	for _, v := range in {
		k.values = append(k.values, query.Value(v))
	}
	return k.values[at:len(k.values):len(k.values)]
}

// RequestDone implements query.Owner: it encodes the answer and appends it to
// what the connection has to write.
func (k *call) RequestDone(r *query.Request) {
	if k.traced != nil {
		k.traced()
	}
	k.extras.Warnings = r.Result.Warnings
	v := proto.Version(r.Session.Version)
	op := proto.OpResult
	switch res := &r.Result; res.Kind {
	case query.ResultError:
		k.fail(res.Err)
		return
	case query.ResultVoid:
		k.answer = proto.AppendVoid(k.answer[:0])
	case query.ResultSetKeyspace:
		keyspace := res.Keyspace
		k.conn.keyspace.Store(&keyspace)
		k.answer = proto.AppendSetKeyspace(k.answer[:0], keyspace)
	case query.ResultPrepared:
		k.answer = appendPrepared(k.answer[:0], v, res.Prepared)
	case query.ResultSchemaChange:
		change := proto.SchemaChange(res.Change)
		k.answer = proto.AppendSchemaChange(k.answer[:0], v, &change)
	}
	k.send(op)
}

func (k *call) fail(err *helenus.Error) {
	k.conn.server.stats.Errors.Add(1)
	k.answer = proto.AppendError(k.answer[:0], k.conn.version, err)
	k.send(proto.OpError)
}

// send hands the answer over and puts the call back into the pool. It is all
// that a completion costs its goroutine, which may be the commit log's: it
// never waits for the client.
func (k *call) send(op proto.Opcode) {
	c := k.conn
	c.mu.Lock()
	c.inFlight--
	c.bodies -= k.cost
	c.appendLocked(proto.Header{Version: c.version, Response: true, Stream: k.stream, Op: op}, k.answer, &k.extras)
	c.wakeWriterLocked()
	if c.closed {
		c.room.Signal() // nothing will be written, and the reader waits for the last
	}
	c.mu.Unlock()
	k.release(&c.server.calls)
}

func (k *call) release(pool *sync.Pool) {
	if cap(k.body) > bodyMax || cap(k.values) > valuesMax {
		return // one large request must not make a pooled call large for ever
	}
	if cap(k.answer) > bodyMax {
		k.answer = nil
	}
	clear(k.names)
	r := &k.request
	clear(r.Batch)
	r.Session, r.Trace, r.Text, r.Result = nil, nil, "", query.Result{}
	k.conn, k.extras, k.traced = nil, proto.Extras{}, nil
	pool.Put(k)
}

// rowWriter writes the rows of a result into the call's answer.
type rowWriter struct {
	proto.RowsWriter
	call *call
}

// Begin implements query.RowWriter.
func (w *rowWriter) Begin(meta *query.ResultMetadata, skip, changed bool) {
	v := proto.Version(w.call.request.Session.Version)
	head := proto.RowsHead{Columns: columns(meta, v), Skip: skip}
	if changed {
		head.NewID = meta.ID[:]
	}
	w.RowsWriter.Begin(w.call.answer[:0], head)
}

// End implements query.RowWriter.
func (w *rowWriter) End(pagingState []byte) { w.call.answer = w.RowsWriter.End(pagingState) }

func columns(meta *query.ResultMetadata, v proto.Version) *proto.Columns {
	return meta.Encoded(int(v), func() any { return proto.EncodeColumns(v, protoColumns(meta.Columns)) }).(*proto.Columns)
}

func protoColumns(in []query.ColumnSpec) []proto.Column {
	out := make([]proto.Column, len(in))
	for i, c := range in {
		out[i] = proto.Column(c)
	}
	return out
}

func appendPrepared(dst []byte, v proto.Version, p *query.Prepared) []byte {
	a := proto.Prepared{ID: p.ID[:], KeyIndexes: p.KeyIndexes, Params: proto.EncodeColumns(v, protoColumns(p.Params))}
	if p.Result != nil {
		a.ResultID, a.Result = p.Result.ID[:], columns(p.Result, v)
	}
	return proto.AppendPrepared(dst, v, &a)
}
