package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/budget"
)

// number is a message.
type number struct{ n uint64 }

func (m *number) AppendTo(dst []byte) []byte { return binary.BigEndian.AppendUint64(dst, m.n) }
func (m *number) Decode(b []byte) error {
	if len(b) != 8 {
		return errors.New("no number")
	}
	m.n = binary.BigEndian.Uint64(b)
	return nil
}

// verbTimeout is no multiple of the second in which a chatter talks again: what
// two timers of one node do at the same moment, they do in any order.
const verbTimeout = 1137 * time.Millisecond

// chatter is a host that asks three random others each second, as gossip does,
// over wire.
type chatter struct {
	sim  *Sim
	host *Host
	self wire.Target
	wire *wire.Wire
	rand *lockedRand
	r    *rand.Rand

	mu     sync.Mutex
	asked  int // guarded by mu
	failed int // guarded by mu
}

func newChatter(t *testing.T, s *Sim, i int) *chatter {
	addr := address(i)
	host, err := s.net.add(fmt.Sprintf("n%02d", i), addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &chatter{sim: s, host: host, self: wire.Target{ID: helenus.HostID{15: byte(i + 1)}, Addr: netip.AddrPortFrom(host.addr, 7000)},
		rand: &lockedRand{r: s.chance("rand " + host.name)}, r: s.chance("chatter " + host.name)}
	make := func() wire.Message { return new(number) }
	verb := func(id wire.VerbID, name string, lane wire.Lane) wire.Verb {
		return wire.Verb{ID: id, Name: name, Lane: lane, Timeout: verbTimeout, NewRequest: make, NewResponse: make, Handle: func(r *wire.Request) { r.Reply(r.Message) }}
	}
	if c.wire, err = wire.New(wire.Options{Self: c.self, Identity: func() wire.Identity { return wire.Identity{Cluster: wire.ClusterID{1}} },
		Verbs: []wire.Verb{verb(1, "URGENT", wire.Urgent), verb(2, "SMALL", wire.Small)}, Net: host.begin(), Rand: c.rand.fill,
		Log: slog.New(slog.DiscardHandler), Budget: budget.New("node", 1<<20)}); err != nil {
		t.Fatal(err)
	}
	return c
}

// Answered implements wire.Owner.
func (c *chatter) Answered(call *wire.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked++; call.Err != nil {
		c.failed++
	}
}

// run talks until ctx ends.
func (c *chatter) run(ctx context.Context, t *testing.T, all []*chatter) {
	l, err := (&port{c.host, c.host.life}).Listen(ctx, c.self.Addr.String())
	if err != nil {
		t.Error(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- c.wire.Run(ctx, l) }()
	timer := time.NewTimer(time.Duration(c.r.Int64N(int64(time.Second))))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := <-ended; err != nil {
				t.Error(err)
			}
			return
		case <-timer.C:
		}
		timer.Reset(time.Second)
		for i := range 3 {
			to := all[c.r.IntN(len(all))]
			if to != c {
				c.wire.Call(to.self, &wire.Call{Verb: wire.VerbID(1 + i%2), Request: &number{c.r.Uint64()}, Owner: c})
			}
		}
	}
}

// chat lets hosts talk under faults of the network.
func chat(t *testing.T, seed uint64, count int, d time.Duration) (digest, trace string) {
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		s := New(t, seed)
		var all []*chatter
		for i := range count {
			all = append(all, newChatter(t, s, i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		for _, c := range all {
			run.Go(func() { c.run(ctx, t, all) })
		}
		var nodes []*Node
		for _, c := range all {
			nodes = append(nodes, &Node{sim: s, name: c.host.name, host: c.host})
		}
		s.Inject(nodes, PlanFaults(s.Rand(), count, d/10, d*9/10, CutOneWay, CutBoth, Isolate, Split, Slow, Lossy, Narrow, Break))
		s.RunFor(d)
		cancel()
		run.Wait()
		if err := s.Leaks(); err != nil {
			s.Errorf("%v", err)
		}
		asked, failed := 0, 0
		for _, c := range all {
			asked += c.asked
			failed += c.failed
		}
		if asked < count*int(d/time.Second) || failed > asked/2 {
			t.Errorf("%d calls, %d failed", asked, failed)
		}
		digest, trace = s.Digest(), s.Trace()
		t.Logf("%d calls, %d failed; %d events", asked, failed, s.Events)
	})
	return digest, trace
}

// TestWiresRepeat: messages between nodes repeat, whatever happens to the network.
func TestWiresRepeat(t *testing.T) {
	for _, seed := range seeds(t, 3) {
		digest, trace := chat(t, seed, 5, time.Minute)
		if again, other := chat(t, seed, 5, time.Minute); digest != again {
			t.Fatalf("seed %d: %s", seed, difference(trace, other))
		}
	}
}

// TestFiftyWires is how long ten minutes of fifty nodes take that only talk.
func TestFiftyWires(t *testing.T) {
	if os.Getenv("HELENUS_SIM_HOURS") == "" {
		t.Skip("HELENUS_SIM_HOURS is not set: a measurement")
	}
	began := time.Now()
	chat(t, 1, 50, 10*time.Minute)
	t.Logf("in %v", time.Since(began).Round(time.Millisecond))
}
