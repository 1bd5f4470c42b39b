package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// group is this node as one of three or five voters: raft with members that never
// change. A member's number in raft is its place in the sorted list.
type group struct {
	p      *loop
	id     meta.GroupID
	voters []helenus.HostID
	self   uint64
	node   *raft.RawNode
	mem    *raft.MemoryStorage
	file   *raftFile

	applied     uint64 // index and
	appliedTerm uint64 // term of the last entry that was applied

	// As leader: proposals in order, one at a time.
	queue    []submission
	proposed meta.Epoch // the entry that is on its way; 0: none
	asked    uint64     // number of the last question whether this is still the leader
	read     readState
}

type submission struct {
	prop      *proposal
	answer    func(*outcome)
	confirmed bool // this was still the leader after the proposal came
}

type readState struct {
	asked, index uint64 // index 0: not confirmed
}

const (
	electionTicks    = 15
	heartbeatTicks   = 3
	submissionsMax   = 4096
	raftMessageBytes = 1 << 20
)

// followGroup begins and ends being a voter as the State says.
func (p *loop) followGroup() {
	s := p.l.State()
	want := len(s.Voters) > 1 && s.IsVoter(p.l.self)
	if p.group != nil && (!want || p.group.id != s.Group) {
		p.group.close()
		p.group = nil
		if err := p.l.dropRaft(s.Group); err != nil {
			p.l.cfg.Log.Warn("what is left of former voters stays on disk", "error", err)
		}
	}
	if p.group != nil || !want || p.halted != nil {
		return
	}
	g, err := newGroup(p, s)
	if err != nil {
		p.halt(err)
		return
	}
	p.group = g
	early := p.early
	p.early = nil
	for _, m := range early {
		if m.group == g.id {
			g.step(m)
		}
	}
}

// halt ends being a voter until a restart: this node does not know any more what
// it has promised to the others. It goes on as one that pulls.
func (p *loop) halt(err error) {
	if p.halted == nil {
		p.halted = err
		p.l.cfg.Log.Error("this node stops being a voter until it is restarted", "error", err)
	}
}

func newGroup(p *loop, s *meta.State) (*group, error) {
	file, mem, err := p.l.openRaft(s.Group)
	if err != nil {
		return nil, err
	}
	g := &group{p: p, id: s.Group, voters: s.Voters, self: uint64(slices.Index(s.Voters, p.l.self)) + 1, mem: mem, file: file}
	g.node, err = raft.NewRawNode(&raft.Config{ID: g.self, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		Storage: mem, MaxSizePerMsg: raftMessageBytes, MaxInflightMsgs: 16, MaxUncommittedEntriesSize: 2 * changeBytesMax,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true, Logger: raftLogger{p.l.cfg.Log}})
	if err != nil {
		file.close()
		return nil, fmt.Errorf("cluster: raft: %w", err)
	}
	first, _ := mem.FirstIndex() // never fails
	g.applied = first - 1
	// Whoever proposed the group asks to lead it at once; it has the entry already.
	if len(p.early) == 0 && p.leadsNext {
		g.guard(func() { _ = g.node.Campaign() })
	}
	p.leadsNext = false
	return g, nil
}

func (g *group) close() {
	g.dropQueue()
	g.file.close()
}

// guard runs a step of raft. Raft panics when it is told what cannot be, as a
// voter with a damaged disk might; then this voter stops and everything else goes
// on.
func (g *group) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, bug := r.(runtime.Error); bug {
				panic(r)
			}
			g.p.halt(fmt.Errorf("cluster: raft cannot go on: %v", r))
		}
	}()
	f()
}

func (g *group) tick() { g.guard(g.node.Tick) }

func (g *group) leader() helenus.HostID { return g.host(g.node.BasicStatus().Lead) }

func (g *group) host(id uint64) (h helenus.HostID) {
	if id > 0 && id <= uint64(len(g.voters)) {
		return g.voters[id-1]
	}
	return h
}

// leads tells whether this node leads and knows all that was decided before.
func (g *group) leads() bool {
	st := g.node.BasicStatus()
	return st.RaftState == raft.StateLeader && g.appliedTerm == st.GetTerm()
}

// step takes a message of another voter.
func (g *group) step(m *raftMessage) {
	if m.body.Snapshot != nil {
		conf := &raftpb.ConfState{}
		for id := range uint64(len(g.voters)) {
			conf.Voters = append(conf.Voters, id+1)
		}
		m.body.Snapshot.Metadata.ConfState = conf
	}
	g.guard(func() {
		if err := g.node.Step(m.body); err != nil {
			g.p.l.cfg.Log.Debug("raft did not take a message", "error", err)
		}
	})
}

// process does what raft wants done until there is nothing left.
func (g *group) process() {
	g.guard(func() {
		g.pump()
		for g.p.halted == nil && g.node.HasReady() {
			rd := g.node.Ready()
			if err := g.save(&rd); err != nil {
				g.p.halt(err)
				return
			}
			for _, m := range rd.Messages {
				g.send(m)
			}
			g.apply(rd.CommittedEntries)
			if g.p.l.State().Group != g.id {
				return // the group is over; followGroup ends it
			}
			for _, rs := range rd.ReadStates {
				if string(rs.RequestCtx) == string(readContext(g.asked)) {
					g.read = readState{g.asked, rs.Index}
				}
			}
			g.node.Advance(rd)
			g.pump()
		}
		g.shorten()
	})
}

// save makes durable what messages rely on.
func (g *group) save(rd *raft.Ready) error {
	r := raftRecord{entries: rd.Entries}
	if !raft.IsEmptyHardState(rd.HardState) {
		r.hard = rd.HardState
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		r.base = rd.Snapshot
	}
	// How far the group has decided is not worth a sync: it is found out again.
	if rd.MustSync || r.base != nil {
		if err := g.file.save(&r); err != nil {
			return err
		}
	}
	if r.base != nil {
		if err := g.mem.ApplySnapshot(r.base); err != nil {
			return fmt.Errorf("cluster: raft: %w", err)
		}
		g.applied, g.appliedTerm = r.base.GetMetadata().GetIndex(), r.base.GetMetadata().GetTerm()
	}
	err := g.mem.Append(rd.Entries)
	if err == nil && r.hard != nil {
		err = g.mem.SetHardState(r.hard)
	}
	if err != nil {
		return fmt.Errorf("cluster: raft: %w", err)
	}
	return nil
}

// apply appends decided entries to the log of epochs, but for those that this node
// has by pulling.
func (g *group) apply(committed []*raftpb.Entry) {
	l := g.p.l
	var entries []entry
	for _, c := range committed {
		if len(c.GetData()) == 0 {
			continue // a new leader's first entry
		}
		e, err := decodeRaftEntry(c.GetData())
		if err != nil {
			g.p.halt(err)
			return
		}
		entries = append(entries, e)
	}
	if len(entries) > 0 {
		l.turn <- struct{}{}
		err := l.extend(entries)
		l.giveTurn()
		if err != nil {
			g.p.halt(err)
			return
		}
	}
	if n := len(committed); n > 0 {
		g.applied, g.appliedTerm = committed[n-1].GetIndex(), committed[n-1].GetTerm()
	}
	g.settleProposed()
}

func encodeRaftEntry(e entry) []byte {
	var p packer
	p.point(point{e.epoch, e.hash})
	p.fixed(e.payload)
	return p
}

func decodeRaftEntry(b []byte) (entry, error) {
	u := &unpacker{b: b}
	at := u.point()
	if u.err != nil || len(u.b) < proposalBytes {
		return entry{}, errors.New("cluster: raft: an entry is cut short")
	}
	return entry{at.epoch, at.hash, u.b}, nil
}

// shorten leaves out old entries, which others can do without: who is behind pulls
// the State instead.
func (g *group) shorten() {
	first, _ := g.mem.FirstIndex() // never fails
	to := g.applied
	switch {
	case g.p.halted != nil || g.applied < first:
		return
	case g.file.bytes >= raftBytesMax:
	case g.applied-first >= raftEntriesMax:
		to -= raftEntriesKept
	default:
		return
	}
	var data packer
	data.point(g.p.l.published.Load().history.end())
	base, err := g.mem.CreateSnapshot(to, nil, data)
	if err == nil {
		err = g.mem.Compact(to)
	}
	if err == nil {
		last, _ := g.mem.LastIndex() // never fails
		r := raftRecord{base: base}
		r.hard, _, _ = g.mem.InitialState()
		if last > to {
			r.entries, err = g.mem.Entries(to+1, last+1, 1<<62)
		}
		if err == nil {
			err = g.file.rewrite(&r)
		}
	}
	if err != nil {
		g.p.halt(fmt.Errorf("cluster: raft: %w", err))
	}
}

// raftCall is a message on its way.
type raftCall struct {
	wire.Call
	g    *group
	to   uint64
	snap bool
}

func (g *group) send(m *raftpb.Message) {
	l := g.p.l
	c := &raftCall{g: g, to: m.GetTo(), snap: m.Snapshot != nil}
	c.Verb, c.Owner = verbRaft, c
	c.Request = &raftMessage{group: g.id, epoch: l.State().Epoch, body: m}
	g.p.outside.Load().wire.Call(l.target(g.host(c.to)), &c.Call)
}

// Answered implements wire.Owner.
func (c *raftCall) Answered(*wire.Call) {
	g, taken, epoch := c.g, false, meta.Epoch(0)
	if a, ok := c.Response.(*raftAnswer); c.Err == nil && ok {
		taken, epoch = a.taken, a.epoch
	}
	failed := c.Err != nil
	g.p.post(func() {
		if epoch > 0 {
			g.p.pull.heard(g.p, g.p.l.target(g.host(c.to)), epoch)
		}
		if g.p.group != g {
			return
		}
		g.guard(func() {
			switch {
			case c.snap && taken:
				g.node.ReportSnapshot(c.to, raft.SnapshotFinish)
			case c.snap:
				g.node.ReportSnapshot(c.to, raft.SnapshotFailure)
			case failed:
				g.node.ReportUnreachable(c.to)
			}
		})
	})
}

// answerRaft is run by the loop for a message of another voter.
func (p *loop) answerRaft(from helenus.HostID, m *raftMessage) *raftAnswer {
	p.followGroup()
	s := p.l.State()
	out := &raftAnswer{epoch: s.Epoch}
	g := p.group
	if g == nil || m.group != g.id {
		if m.epoch > s.Epoch && len(p.early) < earlyMax && len(m.body.GetEntries()) == 0 {
			p.early = append(p.early, m) // until this node has heard what group that is
		}
		p.pull.heard(p, p.l.target(from), m.epoch)
		return out
	}
	if g.host(m.body.GetFrom()) != from || m.body.GetTo() != g.self || from == p.l.self {
		p.l.cfg.Log.Warn("a raft message came from where it cannot", "from", from)
		return out
	}
	if m.body.Snapshot != nil {
		if at := pointOf(m.body.Snapshot); at.epoch > s.Epoch {
			p.pull.heard(p, p.l.target(from), m.epoch)
			return out // it comes again
		}
	}
	g.step(m)
	out.taken = true
	return out
}

// raftLogger lets raft speak to operators only when something is wrong.
type raftLogger struct{ log *slog.Logger }

type raftPanic string

func (r raftLogger) Debug(...any)                {}
func (r raftLogger) Debugf(string, ...any)       {}
func (r raftLogger) Info(...any)                 {}
func (r raftLogger) Infof(string, ...any)        {}
func (r raftLogger) Warning(v ...any)            { r.log.Debug("raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Warningf(f string, v ...any) { r.log.Debug("raft: " + fmt.Sprintf(f, v...)) }
func (r raftLogger) Error(v ...any)              { r.log.Warn("raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Errorf(f string, v ...any)   { r.log.Warn("raft: " + fmt.Sprintf(f, v...)) }
func (r raftLogger) Fatal(v ...any)              { panic(raftPanic(fmt.Sprint(v...))) }
func (r raftLogger) Fatalf(f string, v ...any)   { panic(raftPanic(fmt.Sprintf(f, v...))) }
func (r raftLogger) Panic(v ...any)              { panic(raftPanic(fmt.Sprint(v...))) }
func (r raftLogger) Panicf(f string, v ...any)   { panic(raftPanic(fmt.Sprintf(f, v...))) }
