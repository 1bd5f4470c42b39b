//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"helenus"
	"helenus/internal/cql/client"
	"helenus/internal/cql/proto"
)

// ringRounds is few in everyday tests, which do not take their time either (long
// is false); HELENUS_RING_ROUNDS asks for more.
func ringRounds(t *testing.T, few int) (rounds int, long bool) {
	if n, err := strconv.Atoi(os.Getenv("HELENUS_RING_ROUNDS")); err == nil {
		return n, true
	}
	if testing.Short() {
		t.Skip("SKIP: kills real processes several times; not with -short")
	}
	return few, false
}

// longOnly skips what takes most of a minute in everyday tests.
func longOnly(t *testing.T) (rounds int) {
	t.Helper()
	rounds, long := ringRounds(t, 0)
	if !long {
		t.Skip("SKIP: takes its time; runs with HELENUS_RING_ROUNDS=1")
	}
	return rounds
}

// ringLoad counts rows up, reads them, and remembers what was acknowledged. It
// asks whichever node answers.
type ringLoad struct {
	t     *testing.T
	nodes []*process
	level helenus.Consistency
	first int32 // key
	stop  chan struct{}
	done  sync.WaitGroup
	rows  [][]*register // of each writer

	asked, failed, acked atomic.Int64
	last                 atomic.Int64 // when something succeeded last, in ns
	gap                  atomic.Int64 // the longest time without

	mu  sync.Mutex
	why map[string]int // what failed, and how often
}

const (
	ringWriters = 6
	ringRows    = 40 // of each writer
	ringReads   = 4  // one request of so many is a read
)

// newLoad makes a load whose keys begin at first.
func newLoad(t *testing.T, level helenus.Consistency, first int32, nodes ...*process) *ringLoad {
	l := &ringLoad{t: t, nodes: nodes, level: level, first: first, why: map[string]int{}}
	for w := range ringWriters {
		var rows []*register
		for i := range ringRows {
			rows = append(rows, &register{key: first + int32(w*1000+i)})
		}
		l.rows = append(l.rows, rows)
	}
	return l
}

func (l *ringLoad) begin() {
	l.stop = make(chan struct{})
	l.asked.Store(0)
	l.failed.Store(0)
	l.gap.Store(0)
	clear(l.why)
	l.last.Store(time.Now().UnixNano())
	for w := range l.rows {
		l.done.Go(func() { l.work(w) })
	}
}

func (l *ringLoad) end() {
	close(l.stop)
	l.succeeded() // what is missing at the end counts too
	l.done.Wait()
}

func (l *ringLoad) succeeded() {
	now := time.Now().UnixNano()
	if gap := now - l.last.Swap(now); gap > l.gap.Load() {
		l.gap.Store(gap) // of several at once any will do
	}
}

func (l *ringLoad) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// work goes on at the next node whenever a connection fails.
func (l *ringLoad) work(w int) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(w)))
	for at := w; !l.stopped(); at++ {
		if err := l.workAt(l.nodes[at%len(l.nodes)], l.rows[w], rng); err != nil {
			l.mu.Lock()
			l.why[err.Error()]++
			l.mu.Unlock()
		}
	}
}

// ringPatience is how long a client waits for a connection or an answer.
const ringPatience = 3 * time.Second

const insertText, selectText = "INSERT INTO k.registers (key, row, value) VALUES (?, ?, ?)", "SELECT value FROM k.registers WHERE key = ? AND row = ?"

func (l *ringLoad) workAt(p *process, rows []*register, rng *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), ringPatience)
	defer cancel()
	c, err := p.connect(ctx)
	if err != nil {
		wait(20 * time.Millisecond)
		return nil
	}
	defer c.Close()
	insert, err := c.Prepare(ctx, insertText, "")
	if err != nil {
		return nil
	}
	read, err := c.Prepare(ctx, selectText, "")
	if err != nil {
		return nil
	}
	for !l.stopped() {
		ctx, cancel := context.WithTimeout(context.Background(), ringPatience)
		r := rows[rng.IntN(len(rows))]
		var err error
		if rng.IntN(ringReads) == 0 {
			err = l.read(ctx, c, read, r)
		} else {
			err = l.write(ctx, c, insert, r)
		}
		cancel()
		l.asked.Add(1)
		if err != nil {
			l.failed.Add(1)
			return err
		}
		l.succeeded()
	}
	return nil
}

// write sends the next value of a row. The client gives the timestamp, as
// drivers do: a write that a node stopped over and carries out long after is
// older than those that came later elsewhere.
func (l *ringLoad) write(ctx context.Context, c *client.Conn, insert *client.Prepared, r *register) error {
	r.tried++
	req := c.ExecuteRequest(insert, int32Value(r.key), int32Value(r.row), int64Value(r.tried))
	req.Params.Consistency = l.level
	req.Params.Flags |= proto.ParamTimestamp
	req.Params.Timestamp = helenus.Timestamp(time.Now().UnixMicro())
	if _, err := c.DoPrepared(ctx, insert, req); err != nil {
		return err
	}
	r.acked = r.tried
	l.acked.Add(1)
	return nil
}

// read wants what was acknowledged, or a write whose answer was lost.
func (l *ringLoad) read(ctx context.Context, c *client.Conn, read *client.Prepared, r *register) error {
	req := c.ExecuteRequest(read, int32Value(r.key), int32Value(r.row))
	req.Params.Consistency = l.level
	res, err := c.DoPrepared(ctx, read, req)
	if err != nil {
		return err
	}
	if err := r.compare(res); err != nil {
		l.t.Errorf("under load at %s: %v", c.Addr(), err)
	}
	return nil
}

// compare wants a value between the last that was acknowledged and the last that
// was tried.
func (r *register) compare(res *client.Result) error {
	rows, err := res.All()
	if err != nil {
		return fmt.Errorf("key %d: %w", r.key, err)
	}
	got := int64(0)
	if len(rows) == 1 {
		got = int64(binary.BigEndian.Uint64(rows[0][0]))
	}
	if got < r.acked || got > r.tried {
		return fmt.Errorf("key %d: read %d, acknowledged %d, tried %d", r.key, got, r.acked, r.tried)
	}
	r.acked = got // what was read once stays
	return nil
}

// wrong reads every row and returns what is not as it must be.
func (l *ringLoad) wrong(p *process) []error {
	l.t.Helper()
	c := p.session()
	defer c.Close()
	var wrong []error
	for _, rows := range l.rows {
		for _, r := range rows {
			req := c.QueryRequest(selectText, int32Value(r.key), int32Value(r.row))
			req.Params.Consistency = l.level
			res, err := l.answer(c, req)
			if err == nil {
				err = r.compare(res)
			}
			if err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	return wrong
}

// backWithin is more than a node takes to notice that connections which stood
// before it was cut off lead nowhere any more.
const backWithin = 30 * time.Second

// answer asks until there is one: how long a node that comes back refuses is the
// load's business, what it answers then is not.
func (l *ringLoad) answer(c *client.Conn, req *proto.Request) (*client.Result, error) {
	for deadline := time.Now().Add(backWithin); ; wait(50 * time.Millisecond) {
		res, err := c.Do(l.t.Context(), req)
		var refused *helenus.Error
		if err == nil || !errors.As(err, &refused) || time.Now().After(deadline) {
			return res, err
		}
	}
}

// check wants every row as it must be.
func (l *ringLoad) check(p *process, when string) {
	l.t.Helper()
	for _, err := range l.wrong(p) {
		l.t.Errorf("%s: %v", when, err)
	}
}

func (l *ringLoad) String() string {
	return fmt.Sprintf("%d of %d failed, the longest time without a success %s %v", l.failed.Load(), l.asked.Load(),
		time.Duration(l.gap.Load()).Round(time.Millisecond), l.why)
}

// tally sums up rounds of one kind.
type tally struct {
	rounds, asked, failed int64
	gap                   time.Duration
}

func (s *tally) add(l *ringLoad) {
	s.rounds++
	s.asked += l.asked.Load()
	s.failed += l.failed.Load()
	s.gap = max(s.gap, time.Duration(l.gap.Load()))
}

func (s *tally) String() string {
	return fmt.Sprintf("%d rounds: %d of %d requests failed (%.3f %%), the longest time without a success %s",
		s.rounds, s.failed, s.asked, 100*float64(s.failed)/float64(max(s.asked, 1)), s.gap.Round(time.Millisecond))
}

// judge bounds what clients see of nodes that are away. Each of them may have one
// request on its way at a node that goes, however few it could send.
func (s *tally) judge(t *testing.T) {
	t.Helper()
	if float64(s.failed) > max(ringFailedMax*float64(s.asked), float64(s.rounds*ringWriters)) || s.gap > ringGapMax {
		t.Errorf("clients noticed too much: %s", s)
	}
}

// What clients may see while one of three nodes is away. The aim is a thousandth
// and three seconds; a busy machine is given more.
const (
	ringFailedMax = 0.01
	ringGapMax    = 10 * time.Second
)

// registers is a lab with the table of a load.
func registers(t *testing.T, replication string, places ...place) *lab {
	t.Helper()
	l := newLab(t, places...)
	p := l.nodes[0]
	c := p.session()
	defer c.Close()
	p.query(c, "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', "+replication+"}")
	p.query(c, "CREATE TABLE k.registers (key int, row int, value bigint, PRIMARY KEY (key, row))")
	return l
}

// TestRingLosesNothing kills, pauses and cuts off nodes of three under load at
// QUORUM, one at a time: what was acknowledged is there, and hardly a client
// notices.
func TestRingLosesNothing(t *testing.T) {
	rounds, long := ringRounds(t, 3)
	l := registers(t, "'dc1': 3", racks("dc1", 3)...)
	faults := []struct {
		name      string
		away      time.Duration // at most
		do, after func(*process)
	}{
		{"killed", 2500 * time.Millisecond, (*process).kill, (*process).start},
		{"paused", 4500 * time.Millisecond, (*process).pause, (*process).resume},
		{"cut off", 10 * time.Second, func(p *process) { l.cutOff(p) }, func(p *process) { l.bringBack(p) }},
	}
	if l.net == nil {
		faults = faults[:2]
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	load := newLoad(t, helenus.Quorum, 0, l.nodes...)
	sums := map[string]*tally{}
	for round := range rounds {
		fault := faults[round%len(faults)]
		victim := rng.IntN(len(l.nodes))
		away := fault.away / 5
		if long {
			away += time.Duration(rng.Int64N(int64(fault.away * 4 / 5)))
		}
		load.begin()
		wait(500 * time.Millisecond)
		fault.do(l.nodes[victim])
		wait(away)
		fault.after(l.nodes[victim])
		wait(time.Second)
		load.end()
		t.Logf("round %d: node %d %s for %s: %s", round, victim+1, fault.name, away.Round(time.Millisecond), load)
		for _, kind := range []string{fault.name, "all"} {
			if sums[kind] == nil {
				sums[kind] = &tally{}
			}
			sums[kind].add(load)
		}
		load.check(l.nodes[(round+1)%len(l.nodes)], fmt.Sprintf("round %d", round))
	}
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		t.Logf("%s: %s", kind, sums[kind])
	}
	t.Logf("%d writes were acknowledged", load.acked.Load())
	if s := sums["all"]; s != nil {
		s.judge(t)
	}
}

// TestRingAllKilled kills all three at once under load: they come back by
// themselves, with all that was acknowledged.
func TestRingAllKilled(t *testing.T) {
	rounds, _ := ringRounds(t, 1)
	rounds = (rounds + 1) / 2
	l := registers(t, "'dc1': 3", racks("dc1", 3)...)
	load := newLoad(t, helenus.Quorum, 0, l.nodes...)
	for round := range rounds {
		load.begin()
		wait(700 * time.Millisecond)
		killAll(l.nodes)
		startAll(l.nodes)
		wait(300 * time.Millisecond)
		load.end()
		load.check(l.nodes[round%len(l.nodes)], fmt.Sprintf("round %d", round))
	}
	t.Logf("%d rounds, %d writes were acknowledged, none lost", rounds, load.acked.Load())
}
