package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// loop is the one goroutine of a running Log: it steps raft, answers other nodes
// and pulls. Everything reaches it as a function in one queue, timers too, so
// that a run repeats. It takes the turn only to append.
type loop struct {
	l    *Log
	wake chan struct{} // holds one

	outside atomic.Pointer[outside]

	mu      sync.Mutex // guards the next two
	queue   []func()
	running bool

	// The loop's own.
	ended     bool  // Run is ending: what is left in the queue is refused
	halted    error // why this node is no voter any more
	leadsNext bool  // of a group that this node has made
	ticks     uint64
	group     *group // this node as a voter; nil when it is none, or the only one
	early     []*raftMessage
	dead      map[helenus.HostID]time.Time // voters that do not live, since when
	pull      puller
	serve     server
	choosing  bool // other voters are proposed
	timer     *time.Timer
	entry     struct {
		round   uint64
		promise promise
	}

	statusMu sync.Mutex // guards the next
	status   Status
}

// outside is how a running Log reaches others.
type outside struct {
	wire Messenger
	live Liveness
}

const (
	tickInterval = 100 * time.Millisecond
	slowTicks    = 10 // of those between two looks at what needs no hurry
	earlyMax     = 64
)

func (p *loop) init(l *Log) {
	p.l, p.wake = l, make(chan struct{}, 1)
}

// post hands a function to the loop; false when it does not run.
func (p *loop) post(f func()) bool {
	p.mu.Lock()
	running := p.running
	if running {
		p.queue = append(p.queue, f)
	}
	p.mu.Unlock()
	if running {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return running
}

// do runs a function on the loop and waits for its end.
func (p *loop) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	if !p.post(func() { f(); close(done) }) {
		return ErrClosed
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run takes part in the cluster until ctx ends: as a voter or by pulling, and as a
// new node by founding or joining first. Its error is why this node cannot be a
// member: what it would have done then has not been done.
func (l *Log) Run(ctx context.Context, w Messenger, live Liveness) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.loop.outside.Store(&outside{w, live})
	if err := l.checkMoved(ctx); err != nil {
		return err
	}
	if err := l.loop.begin(); err != nil {
		return err
	}
	ends := make(chan error, 2)
	go func() {
		err := l.loop.run(ctx)
		cancel()
		ends <- err
	}()
	go func() {
		err := l.enter(ctx)
		if err != nil {
			cancel()
		}
		ends <- err
	}()
	return errors.Join(<-ends, <-ends)
}

func (p *loop) begin() (err error) {
	p.dead = make(map[helenus.HostID]time.Time)
	p.entry.round = uint64(time.Now().UnixNano()) // above those before a restart
	if p.entry.promise, err = p.l.readPromise(); err != nil {
		return err
	}
	p.mu.Lock()
	p.queue, p.running = nil, true
	p.mu.Unlock()
	return nil
}

// run works until ctx ends.
func (p *loop) run(ctx context.Context) error {
	var chance [8]byte
	if err := p.l.random(chance[:]); err != nil {
		return err
	}
	if err := p.l.dropRaft(p.l.State().Group); err != nil {
		return err
	}
	// Not all nodes look at the same time.
	p.ticks = uint64(chance[0])
	phase := time.Duration(binary.BigEndian.Uint64(chance[:]) % uint64(tickInterval))
	stop := context.AfterFunc(ctx, func() { p.post(func() {}) })
	defer stop()
	p.timer = time.AfterFunc(phase, func() { p.post(p.tick) })
	defer p.timer.Stop()
	for ctx.Err() == nil {
		<-p.wake
		for _, f := range p.take(true) {
			f()
			p.settle()
		}
	}
	p.ended = true
	for _, f := range p.take(false) {
		f()
	}
	if p.group != nil {
		p.group.close()
		p.group = nil
	}
	return nil
}

// take empties the queue.
func (p *loop) take(goOn bool) []func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := p.queue
	p.queue, p.running = nil, goOn
	return queue
}

// settle brings raft and what others are told up to date with what has happened.
func (p *loop) settle() {
	for p.followGroup(); p.group != nil; p.followGroup() {
		g := p.group
		g.process()
		if p.halted != nil {
			g.close()
			p.group = nil
		} else if g.id == p.l.State().Group {
			break
		}
	}
	p.publishStatus()
}

func (p *loop) tick() {
	p.timer.Reset(tickInterval)
	p.ticks++
	if p.group != nil {
		p.group.tick()
	}
	if p.ticks%slowTicks != 0 {
		return
	}
	p.chooseVoters()
	p.pull.tick(p)
}

// target is where a member is reached.
func (l *Log) target(id helenus.HostID) wire.Target {
	if n := l.State().Node(id); n != nil {
		return wire.Target{ID: id, Addr: n.Broadcast}
	}
	return wire.Target{ID: id}
}

func (p *loop) alive(id helenus.HostID) bool {
	o := p.outside.Load()
	return id == p.l.self || o == nil || o.live == nil || o.live.Alive(id)
}

// chooseVoters keeps the voters few, alive and spread, if this node decides.
func (p *loop) chooseVoters() {
	l, s := p.l, p.l.State()
	alone := l.decidesAlone()
	if p.choosing {
		return
	}
	if !alone && (p.group == nil || !p.group.leads()) {
		clear(p.dead)
		return
	}
	now := time.Now()
	for _, id := range s.Voters {
		if p.alive(id) {
			delete(p.dead, id)
		} else if p.dead[id].IsZero() {
			p.dead[id] = now
		}
	}
	want := planVoters(s, p.alive, func(id helenus.HostID) bool {
		since, dead := p.dead[id]
		return dead && now.Sub(since) >= l.cfg.VoterTimeout
	})
	if want == nil || s.Level < meta.VotersLevel {
		return
	}
	change := meta.SetVoters{Voters: want}
	if err := l.random(change.Group[:]); err != nil {
		l.cfg.Log.Error("the voters cannot be changed", "error", err)
		return
	}
	l.cfg.Log.Info("the voters change", "epoch", s.Epoch, "to", want)
	prop := &proposal{id: proposalID(change.Group), base: s.Epoch, change: meta.EncodeChange(nil, change)}
	p.choosing = true
	p.submit(prop, func(out *outcome) {
		p.choosing = false
		p.leadsNext = out.verdict == decided
		if out.verdict != decided {
			l.cfg.Log.Info("the voters did not change", "reason", out.message)
		}
	})
}

// submit decides a proposal, if this node can; answer is called once.
func (p *loop) submit(prop *proposal, answer func(*outcome)) {
	l := p.l
	l.turn <- struct{}{}
	if l.decidesAlone() {
		_, err := l.decide(prop)
		l.giveTurn()
		answer(p.outcomeOf(err))
		return
	}
	l.giveTurn()
	p.followGroup()
	if p.group == nil {
		answer(p.redirect())
		return
	}
	p.group.submit(prop, answer)
}

// redirect sends a proposal to somebody else.
func (p *loop) redirect() *outcome {
	out := &outcome{verdict: elsewhere, epoch: p.l.State().Epoch}
	if p.group != nil {
		out.leader = p.group.leader()
	}
	return out
}

// outcomeOf tells a proposer how its proposal ended.
func (p *loop) outcomeOf(err error) *outcome {
	out := &outcome{verdict: decided, epoch: p.l.State().Epoch}
	if err == nil {
		return out
	}
	out.verdict, out.message = refused, err.Error()
	var coded *helenus.Error
	if errors.As(err, &coded) {
		out.coded, out.code, out.keyspace, out.table = true, coded.Code, coded.Keyspace, coded.Table
	}
	return out
}

func (m *outcome) err() error {
	if m.coded {
		return &helenus.Error{Code: m.code, Message: m.message, Keyspace: m.keyspace, Table: m.table}
	}
	return errors.New(m.message)
}
