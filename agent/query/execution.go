package query

import (
	"errors"

	"helenus"
	"helenus/internal/meta"
	"helenus/store/row"
)

// execution is the state of one request between its steps. It lives inside the
// Request and is reused with it, so that a parked request is no goroutine and,
// once warm, no allocation.
type execution struct {
	req    *Request
	engine *Engine
	state  *meta.State
	stmt   statement
	values []Value

	metadataChanged bool
	nowSeconds      int64
	timestamp       int64 // of the request; 0 until asked for

	// What follows is room for what the evaluation of a WHERE clause makes. It
	// grows until the end of the request: nothing that was given out moves.
	parts [][]byte
	bytes []byte
	keys  []row.Key
	spans []span
	rows  [1][][]byte
	one   [1][][]byte

	write Write
	read  Read
	cas   CAS

	sel selectRun
	mod modifyRun
}

func (x *execution) start(e *Engine, req *Request) {
	x.req, x.engine, x.state = req, e, e.opts.Metadata.State()
	x.stmt, x.values, x.metadataChanged, x.timestamp = nil, nil, false, 0
	x.trim()
	x.parts, x.bytes, x.keys = x.parts[:0], x.bytes[:0], x.keys[:0]
	req.Result = Result{}
	x.nowSeconds = e.opts.Now().Unix()
	if req.Params.HasNow {
		x.nowSeconds = req.Params.NowSeconds
	}
}

// keptMax bounds what an execution keeps of each buffer for the next one, in
// elements or bytes: one large batch must not make a pooled request large for
// ever.
const keptMax = 64 << 10

func (x *execution) trim() {
	if cap(x.bytes) > keptMax || cap(x.parts) > keptMax || cap(x.keys) > keptMax || cap(x.spans) > keptMax {
		x.bytes, x.parts, x.keys, x.spans = nil, nil, nil, nil
	}
	m := &x.mod
	if cap(m.buf) > keptMax || cap(m.items) > keptMax/16 {
		*m = modifyRun{}
	}
	m.lists, m.found = m.lists[:0], row.Kept{}
	if r := &x.sel; cap(r.view.scratch) > keptMax || cap(r.slices) > keptMax || r.live.Kept() > keptMax/16 {
		*r = selectRun{}
	}
}

// micros is the timestamp of what this request writes: the client's, or the
// same fresh one for all of it.
func (x *execution) micros() int64 {
	if x.timestamp == 0 {
		if x.req.Params.HasTimestamp {
			x.timestamp = x.req.Params.Timestamp
		} else {
			x.timestamp = x.engine.opts.Clock.Micros()
		}
	}
	return x.timestamp
}

func (x *execution) warn(text string) {
	x.req.Result.Warnings = append(x.req.Result.Warnings, text)
}

// fail ends the request with an error.
func (x *execution) fail(err error) {
	r := &x.req.Result
	r.Kind = ResultError
	if !errors.As(err, &r.Err) {
		r.Err = helenus.Errorf(helenus.CodeServer, "%s", err.Error())
		x.engine.opts.Log.Error("request failed", "error", err)
	}
	x.finish()
}

// finish hands the request back to its owner. Nothing may touch the execution
// afterwards.
func (x *execution) finish() { x.req.Owner.RequestDone(x.req) }

// WriteDone implements WriteOwner.
func (x *execution) WriteDone(w *Write) {
	if w.Err != nil {
		x.fail(w.Err)
		return
	}
	x.req.Result.Kind = ResultVoid
	x.finish()
}

// Partitions implements ReadOwner: reads that a modification needs first go to
// the modification, all others are SELECTs.
func (x *execution) Partitions(ps row.Partitions) error {
	if x.mod.reading {
		return x.mod.consume(x, ps)
	}
	return x.sel.consume(x, ps)
}

// ReadDone implements ReadOwner.
func (x *execution) ReadDone(r *Read) {
	if x.mod.reading {
		x.mod.reading = false
		if r.Err != nil {
			x.fail(r.Err)
			return
		}
		x.writeModification()
		return
	}
	x.sel.done(x, r.Err)
}
