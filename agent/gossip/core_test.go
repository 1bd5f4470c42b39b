package gossip

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"helenus"
	"helenus/agent/wire"
)

// TestStory runs testdata/core.txt: exchanges between cores, by hand.
func TestStory(t *testing.T) {
	s := &story{cores: map[string]*core{}}
	datadriven.RunTest(t, "testdata/core.txt", func(t *testing.T, d *datadriven.TestData) string {
		return s.run(d)
	})
}

type story struct {
	cores map[string]*core
	now   instant
}

// nameOf is the letter of a node of the story.
func nameOf(id helenus.HostID) string { return string(rune('a' + id[15] - 1)) }

func named(s string) wire.Target { return target(int(s[0]-'a') + 1) }

func arg(d *datadriven.TestData, i int) string {
	if i >= len(d.CmdArgs) {
		return ""
	}
	return d.CmdArgs[i].Key
}

func number(d *datadriven.TestData, key string) uint64 {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			n, _ := strconv.ParseUint(a.Vals[0], 10, 64)
			return n
		}
	}
	return 0
}

func (s *story) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "time": // what comes happens then
		at, err := time.ParseDuration(arg(d, 0))
		s.now.at = at
		if err != nil {
			return err.Error()
		}
		return ""
	case "start": // NAME generation=N
		c := newCore(named(arg(d, 0)), int64(number(d, "generation")), phiConvict)
		s.cores[arg(d, 0)] = c
		return ""
	case "members": // NAME MEMBERS
		var peers []wire.Target
		for _, r := range arg(d, 1) {
			peers = append(peers, named(string(r)))
		}
		return fmt.Sprintf("changed: %t\n", s.cores[arg(d, 0)].setPeers(peers))
	case "say": // NAME KEY TEXT
		k, _ := strconv.Atoi(arg(d, 1))
		s.cores[arg(d, 0)].say(Key(k), strings.TrimSuffix(d.Input, "\n"))
		return ""
	case "beat":
		s.cores[arg(d, 0)].beat()
		return ""
	case "exchange": // FROM TO
		return s.exchange(arg(d, 0), arg(d, 1))
	case "delta": // TO FROM ABOUT generation= heartbeat= epoch=
		in := delta{id: named(arg(d, 2)).ID, generation: int64(number(d, "generation")), heartbeat: number(d, "heartbeat")}
		if e := number(d, "epoch"); e > 0 {
			in.values = []value{{KeyEpoch, in.heartbeat, fmt.Sprint(e)}}
		}
		c := s.cores[arg(d, 0)]
		epoch := c.merge([]delta{in}, named(arg(d, 1)).ID, s.now)
		return fmt.Sprintf("epoch %d, %+v\n", epoch, c.tally)
	case "judge":
		c := s.cores[arg(d, 0)]
		c.judge(s.now.at)
		return ""
	case "show":
		return s.show(s.cores[arg(d, 0)])
	}
	return "unknown command"
}

func (s *story) exchange(from, to string) string {
	var out strings.Builder
	a, b := s.cores[from], s.cores[to]
	var syn, ack, ack2 packet
	a.syn(&syn, b.self.target.ID, 0)
	fmt.Fprintf(&out, "SYN  %s", say(&syn))
	b.answer(syn.digests, &ack, s.now)
	fmt.Fprintf(&out, "ACK  %s", say(&ack))
	a.merge(ack.deltas, b.self.target.ID, s.now)
	a.give(ack.digests, &ack2, s.now)
	fmt.Fprintf(&out, "ACK2 %s", say(&ack2))
	b.merge(ack2.deltas, a.self.target.ID, s.now)
	return out.String()
}

func say(p *packet) string {
	var out strings.Builder
	for _, d := range p.digests {
		fmt.Fprintf(&out, "%s:%d:%d ", nameOf(d.id), d.generation, d.version)
	}
	for _, d := range p.deltas {
		fmt.Fprintf(&out, "[%s:%d heartbeat %d", nameOf(d.id), d.generation, d.heartbeat)
		for _, v := range d.values {
			if v.key != KeyHostID {
				fmt.Fprintf(&out, ", %s:%d:%s", v.key, v.version, v.text)
			}
		}
		out.WriteString("] ")
	}
	fmt.Fprintf(&out, "(%d bytes)\n", p.size())
	return out.String()
}

func (s *story) show(c *core) string {
	var out strings.Builder
	for _, e := range c.events {
		fmt.Fprintf(&out, "event: %s is %s %s\n", nameOf(e.target.ID), e.liveness, e.reason)
	}
	c.events = nil
	for _, n := range append([]*node{c.self}, c.members...) {
		fmt.Fprintf(&out, "%s %s generation %d version %d", nameOf(n.target.ID), n.liveness, n.generation, n.version)
		for _, v := range n.values {
			if v.key != KeyHostID {
				fmt.Fprintf(&out, ", %s:%d:%s", v.key, v.version, v.text)
			}
		}
		if n.reason != "" {
			fmt.Fprintf(&out, " (%s)", n.reason)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestPhi runs testdata/phi.txt. A line is a time and what happens then:
// "beat", "beats EVERY UNTIL", "judge", "judge EVERY UNTIL" (prints the
// verdict), "fails" and "answers" (the second opinion).
func TestPhi(t *testing.T) {
	datadriven.RunTest(t, "testdata/phi.txt", func(t *testing.T, d *datadriven.TestData) string {
		c := newCore(target(1), wallAt, phiConvict)
		c.setPeers([]wire.Target{target(2)})
		n, beat := c.members[0], uint64(0)
		var out strings.Builder
		do := func(what string, at time.Duration) {
			switch what {
			case "beat", "beats":
				beat++
				c.merge([]delta{{id: target(2).ID, generation: wallAt, heartbeat: beat}}, target(2).ID, instant{at, wallAt})
			case "judge":
				c.judge(at)
			case "fails", "answers":
				c.answers(target(2).ID, what == "fails")
			case "phi":
				fmt.Fprintf(&out, "%v: phi %.2f, mean %v of %d, %s %s\n", at, n.arrivals.phi(at), n.arrivals.mean(), len(n.arrivals.micros), n.liveness, n.reason)
			}
			for _, e := range c.events {
				fmt.Fprintf(&out, "%v: %s %s\n", at, e.liveness, e.reason)
			}
			c.events = nil
		}
		type scheduled struct {
			at   time.Duration
			what string
		}
		var events []scheduled
		for line := range strings.Lines(d.Input) {
			f := strings.Fields(line)
			at, err := time.ParseDuration(f[0])
			if err != nil {
				return err.Error()
			}
			every, until := time.Hour, at
			if len(f) == 4 {
				every, _ = time.ParseDuration(f[2])
				until, _ = time.ParseDuration(f[3])
			}
			for ; at <= until; at += every {
				events = append(events, scheduled{at, f[1]})
			}
		}
		slices.SortStableFunc(events, func(a, b scheduled) int { return cmp.Compare(a.at, b.at) })
		for _, e := range events {
			do(e.what, e.at)
		}
		return out.String()
	})
}

// TestArrivals compares the ring with all intervals kept.
func TestArrivals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var a arrivals
	kept := []time.Duration{arrivalFirst}
	at := time.Duration(0)
	a.add(at)
	for i := range 5000 {
		d := time.Duration(rng.IntN(3_000_000)) * time.Microsecond
		at += d
		if a.add(at) != (d <= arrivalMax) {
			t.Fatalf("an interval of %v", d)
		}
		if d <= arrivalMax {
			kept = append(kept, d)
		}
		recent := kept[max(0, len(kept)-arrivalsMax):]
		var sum time.Duration
		for _, d := range recent {
			sum += d
		}
		if want := sum / time.Duration(len(recent)); i%97 == 0 && a.mean() != want {
			t.Fatalf("after %d: mean %v, want %v", i, a.mean(), want)
		}
	}
}

// crowd is many cores alone. A round is one of all of them, each at once after
// the other.
type crowd struct {
	*testing.T
	rng           *rand.Rand
	cores         []*core
	byID          map[helenus.HostID]*core
	rounds        int
	longest, most int // bytes of a message, and of a round of one node
}

func newCrowd(t *testing.T, n int) *crowd {
	cr := &crowd{T: t, rng: rand.New(rand.NewPCG(3, 3)), byID: map[helenus.HostID]*core{}}
	peers := make([]wire.Target, n)
	for i := range peers {
		peers[i] = target(i + 1)
	}
	for i := range peers {
		c := newCore(peers[i], wallAt, phiConvict)
		c.setPeers(peers)
		c.setOwn(&Own{Status: "NORMAL,-9223372036854775808", Datacenter: "datacenter1", Rack: "rack1", Release: helenus.ReleaseVersion, RPCReady: true})
		cr.cores, cr.byID[peers[i].ID] = append(cr.cores, c), c
	}
	return cr
}

func (cr *crowd) round() {
	cr.rounds++
	now := instant{time.Duration(cr.rounds) * time.Second, wallAt}
	var syn, ack, ack2 packet
	for _, i := range cr.rng.Perm(len(cr.cores)) {
		c, sum := cr.cores[i], 0
		c.beat()
		c.judge(now.at)
		for _, to := range c.choose(cr.rng, nil) {
			other := cr.byID[to.ID]
			c.syn(&syn, to.ID, cr.rng.IntN(len(c.members)))
			other.answer(syn.digests, &ack, now)
			c.merge(ack.deltas, to.ID, now)
			c.give(ack.digests, &ack2, now)
			other.merge(ack2.deltas, c.self.target.ID, now)
			cr.longest = max(cr.longest, syn.size(), ack.size(), ack2.size())
			sum += syn.size() + ack2.size()
		}
		cr.most = max(cr.most, sum)
	}
}

// until makes rounds until all cores know something, at most limit of them.
func (cr *crowd) until(limit int, what string, knows func(c *core) bool) {
	began := cr.rounds
	for {
		unknowing := 0
		for _, c := range cr.cores {
			if !knows(c) {
				unknowing++
			}
		}
		if unknowing == 0 {
			cr.Logf("%s: after %d rounds", what, cr.rounds-began)
			return
		}
		if cr.rounds-began == limit {
			cr.Fatalf("%s: %d do not after %d rounds", what, unknowing, limit)
		}
		cr.round()
	}
}

// TestThousandNodes: a node that starts knows everybody, and a change is
// everywhere, within a few rounds; nobody goes down, and no message is longer
// than its bound, though what there is to say is.
func TestThousandNodes(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	cr := newCrowd(t, n)
	cr.until(20, "all hold all for alive", func(c *core) bool {
		return !slices.ContainsFunc(c.members, func(m *node) bool { return m.liveness != Up })
	})
	for _, c := range cr.cores {
		c.events = nil
	}
	loner := cr.cores[n/2]
	loner.say(KeyRPCReady, "false")
	cr.until(10, "all know of a change", func(c *core) bool {
		return textOf(c.byID[loner.self.target.ID].values, KeyRPCReady) == "false"
	})
	for range 3 {
		cr.round()
	}
	for i, c := range cr.cores {
		if len(c.events) > 0 {
			t.Fatalf("node %d: %+v", i, c.events[0])
		}
	}
	t.Logf("longest message %d bytes, most sent in a round %d", cr.longest, cr.most)
	if cr.longest > packetBytesMax || cr.most > 5*2*packetBytesMax {
		t.Error("too much")
	}
	if n == 1000 && cr.longest < digestBytesMax-40 {
		t.Error("no message was full: this tests no splitting")
	}
}

// TestSyn: what does not fit into one message is in another one; the sender and
// the receiver are in all.
func TestSyn(t *testing.T) {
	c := newCrowd(t, 1000).cores[3]
	seen := map[helenus.HostID]int{}
	var p packet
	const rounds = 200
	for i := range rounds {
		c.syn(&p, target(900).ID, i*5)
		if p.size() > packetBytesMax || p.digestBytes > digestBytesMax || p.digestBytes < digestBytesMax-40 {
			t.Fatalf("%d bytes", p.size())
		}
		if p.digests[0].id != target(4).ID || p.digests[1].id != target(900).ID {
			t.Fatal("not the sender first, and then the receiver")
		}
		for _, d := range p.digests {
			seen[d.id]++
		}
	}
	for i := range 1000 {
		n := seen[target(i+1).ID]
		if n < rounds/2 || n > rounds {
			t.Errorf("node %d is in %d of %d messages", i+1, n, rounds)
		}
	}
}

// TestValuesMax: a node that invents keys is not kept without end.
func TestValuesMax(t *testing.T) {
	c := newCore(target(1), wallAt, phiConvict)
	c.setPeers([]wire.Target{target(2)})
	for i := range 2 * valuesMax {
		c.merge([]delta{{target(2).ID, wallAt, uint64(i), []value{{Key(i + 1), uint64(i + 1), "x"}}}}, target(2).ID, instant{0, wallAt})
	}
	if n := len(c.members[0].values); n != valuesMax || c.tally.rejected != valuesMax {
		t.Errorf("%d values, %d refused", n, c.tally.rejected)
	}
}

// TestOrder: whatever comes twice, late or in another order, the newest stays.
func TestOrder(t *testing.T) {
	c := newCore(target(1), wallAt, phiConvict)
	c.setPeers([]wire.Target{target(2)})
	said := func(version uint64, text string) delta {
		return delta{target(2).ID, wallAt, version, []value{{KeyRack, version, text}}}
	}
	for _, d := range []delta{said(5, "new"), said(3, "old"), said(5, "forged"), {target(2).ID, wallAt - 1, 9, []value{{KeyRack, 9, "before"}}}} {
		c.merge([]delta{d}, target(2).ID, instant{0, wallAt})
		if n := c.members[0]; textOf(n.values, KeyRack) != "new" || n.version != 5 || n.heartbeat != 5 || n.generation != wallAt {
			t.Errorf("after %+v: %+v", d, n)
		}
	}
}

// TestChoose: three that live, the dead now and then, never anybody twice.
func TestChoose(t *testing.T) {
	c := newCore(target(1), 1, phiConvict)
	var peers []wire.Target
	for i := range 11 {
		peers = append(peers, target(i+1))
	}
	c.setPeers(peers)
	for i, m := range c.members {
		if i < 8 {
			m.liveness = Up
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	seeds := []helenus.Endpoint{target(1).Addr, target(2).Addr, target(200).Addr}
	asked := map[wire.Target]int{}
	for range 10000 {
		got := map[wire.Target]bool{}
		live := 0
		for _, to := range c.choose(rng, seeds) {
			if got[to] || to.ID == target(1).ID {
				t.Fatalf("%v twice, or itself", to)
			}
			got[to] = true
			asked[to]++
			if n := c.byID[to.ID]; n != nil && n.liveness == Up {
				live++
			}
		}
		if live < fanout || live > fanout+1 || len(got) > fanout+2 {
			t.Fatalf("%d of them live, %d in all", live, len(got))
		}
	}
	for i := 2; i <= 11; i++ {
		if n := asked[target(i)]; n < 500 || n > 6000 {
			t.Errorf("node %d was asked %d times in 10,000 rounds", i, n)
		}
	}
	if n := asked[wire.Target{Addr: target(200).Addr}]; n < 300 || n > 3000 {
		t.Errorf("a seed that is no member was asked %d times", n)
	}
	for _, m := range c.members {
		m.liveness = Unknown
	}
	if got := c.choose(rng, nil); len(got) != fanout {
		t.Errorf("at the start %v are asked", got)
	}
	c.setPeers(nil)
	if got := c.choose(rng, seeds); got != nil {
		t.Errorf("without members %v are asked", got)
	}
}
