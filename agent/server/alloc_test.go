//go:build !race

package server

import (
	"io"
	"net"
	"testing"
	"time"

	"helenus/agent/query"
	"helenus/internal/cql/proto"
)

// sink is a socket that takes everything and gives nothing.
type sink struct{ taken int }

func (s *sink) Read([]byte) (int, error)         { return 0, io.EOF }
func (s *sink) Write(b []byte) (int, error)      { s.taken += len(b); return len(b), nil }
func (s *sink) Close() error                     { return nil }
func (s *sink) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *sink) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// rowsOf answers a few cells of a prepared statement.
type rowsOf struct{ cell []byte }

func (e *rowsOf) Execute(r *query.Request) {
	r.Result = query.Result{Kind: query.ResultRows}
	r.Out.Begin(textColumn, true, false)
	for range 10 {
		r.Out.Cell(e.cell)
		r.Out.EndRow()
	}
	r.Out.End(nil)
	r.Owner.RequestDone(r)
}

// parker keeps the requests of a round, which the test then completes.
type parker struct{ parked []*query.Request }

func (p *parker) Execute(r *query.Request) {
	r.Result = query.Result{}
	p.parked = append(p.parked, r)
}

// TestNoAllocations: once warm, an EXECUTE allocates nothing from the frame to
// the write.
func TestNoAllocations(t *testing.T) {
	const depth = 64
	park := &parker{}
	for _, c := range []struct {
		name   string
		engine Engine
	}{{"void", noop{}}, {"rows", &rowsOf{cell: make([]byte, 20)}}, {"parked", park}} {
		for _, f := range []struct {
			version proto.Version
			framing proto.Framing
		}{{proto.V4, proto.FramingNone}, {proto.V5, proto.FramingPlain}} {
			t.Run(c.name+" "+f.version.String(), func(t *testing.T) {
				nc := &sink{}
				k := newConn(New(Options{Engine: c.engine, Budget: unlimited()}), nc)
				k.ready = true
				k.decoder.SetFraming(f.framing)
				k.out.SetFraming(f.framing)
				frames := executes(f.version, f.framing, depth)
				round := func() {
					k.decoder.Fill(copy(k.decoder.Buffer(), frames))
					k.setDraining()
					if !k.drain() {
						t.Fatal("the connection has ended")
					}
					k.flush()
					for _, r := range park.parked {
						r.Owner.RequestDone(r)
					}
					park.parked = park.parked[:0]
					k.flush()
				}
				round()
				before := nc.taken
				perRound := testing.AllocsPerRun(200, round)
				if got := perRound / depth; got > 0.02 { // a collection may empty the pool
					t.Errorf("%v allocations per request", got)
				}
				if taken := nc.taken - before; taken < 200*depth*proto.HeaderSize {
					t.Errorf("answers of %d bytes", taken)
				}
			})
		}
	}
}
