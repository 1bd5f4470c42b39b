package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"

	"helenus"
	"helenus/agent/query"
	"helenus/internal/budget"
	"helenus/internal/cputime"
	"helenus/internal/cql/proto"
)

// noop answers void at once.
type noop struct{}

func (noop) Execute(r *query.Request) {
	r.Result = query.Result{}
	r.Owner.RequestDone(r)
}

// grouped completes requests in another goroutine, all that wait at once, as
// the commit log does.
type grouped struct {
	mu   sync.Mutex
	wait []*query.Request
	wake chan struct{}
}

func newGrouped() *grouped { return &grouped{wake: make(chan struct{}, 1)} }

func (g *grouped) Execute(r *query.Request) {
	r.Result = query.Result{}
	g.mu.Lock()
	g.wait = append(g.wait, r)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *grouped) run() {
	var batch []*query.Request
	for range g.wake {
		g.mu.Lock()
		batch, g.wait = g.wait, batch[:0]
		g.mu.Unlock()
		for _, r := range batch {
			r.Owner.RequestDone(r)
		}
	}
}

// loopback serves on a port of its own until the test ends.
func loopback(tb testing.TB, e Engine) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := New(Options{Engine: e, State: newFakeState(), Tracer: &fakeTracer{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Budget: budget.New("native", 64<<20), FrameBytesMax: 16 << 20, InFlightBytes: 8 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return ln.Addr().String()
}

// executes is depth EXECUTE frames with three values, ready to be sent.
func executes(v proto.Version, f proto.Framing, depth int) []byte {
	w := proto.NewWriter()
	w.SetFraming(f)
	req := &proto.Request{Header: proto.Header{Op: proto.OpExecute}, ID: make([]byte, 16), ResultID: make([]byte, 16), Params: proto.Params{
		Flags: proto.ParamTimestamp, Timestamp: 1, Consistency: helenus.LocalQuorum,
		Values: []proto.Value{{Bytes: make([]byte, 8)}, {Bytes: make([]byte, 16)}, {Bytes: make([]byte, 64)}}}}
	for i := range depth {
		w.End(req.AppendBody(w.Begin(req.HeaderFor(v, int16(i))), v), nil)
	}
	return w.Take(nil)
}

// startUp brings a raw connection to where it can send requests.
func startUp(tb testing.TB, nc net.Conn, v proto.Version) {
	tb.Helper()
	w := proto.NewWriter()
	req := proto.Request{Header: proto.Header{Op: proto.OpStartup}, Options: []proto.Option{{Key: proto.OptionCQLVersion, Value: "3.0.0"}}}
	w.End(req.AppendBody(w.Begin(req.HeaderFor(v, 0)), v), nil)
	if _, err := nc.Write(w.Take(nil)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, proto.HeaderSize)); err != nil {
		tb.Fatal(err)
	}
}

// answers reads envelopes of v4 until n have come.
func answers(nc net.Conn, dec *proto.Decoder, n int) error {
	for n > 0 {
		got, err := nc.Read(dec.Buffer())
		if err != nil {
			return err
		}
		dec.Fill(got)
		for {
			_, ok, perr := dec.Next()
			if perr != nil {
				return perr
			}
			if !ok {
				break
			}
			n--
		}
	}
	return nil
}

// BenchmarkExecute counts requests per second of processor time, the client's
// included, which sends bytes made beforehand.
func BenchmarkExecute(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run("inline-"+strconv.Itoa(depth), func(b *testing.B) { benchExecute(b, noop{}, depth) })
	}
	for _, depth := range []int{1, 16, 64} {
		b.Run("grouped-"+strconv.Itoa(depth), func(b *testing.B) {
			g := newGrouped()
			go g.run()
			b.Cleanup(func() { close(g.wake) })
			benchExecute(b, g, depth)
		})
	}
}

func benchExecute(b *testing.B, e Engine, depth int) {
	addr := loopback(b, e)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	startUp(b, nc, proto.V5)
	dec := &proto.Decoder{Responses: true}
	dec.SetFraming(proto.FramingPlain)
	frames := executes(proto.V5, proto.FramingPlain, depth)
	before := cputime.Process(b)
	b.ReportAllocs()
	b.ResetTimer()
	rounds := 0
	for b.Loop() {
		if _, err := nc.Write(frames); err != nil {
			b.Fatal(err)
		}
		if err := answers(nc, dec, depth); err != nil {
			b.Fatal(err)
		}
		rounds++
	}
	b.ReportMetric(float64(rounds*depth)/(cputime.Process(b)-before).Seconds(), "req/cpu-s")
}
