package cluster

import (
	"helenus"
	"helenus/internal/meta"
)

// Status is what an operator may know of the metadata at this node.
type Status struct {
	Epoch   meta.Epoch
	Level   meta.Level
	Member  bool
	Waiting string         // what a new node waits for
	Problem string         // why it cannot follow other nodes, or is no voter any more
	Leader  helenus.HostID // zero: none, or not known here
	Term    uint64         // raft's; 0: this node is no voter, or decides alone
	Applied uint64         // raft's index
	Voters  []VoterStatus
}

// VoterStatus is one of the voters.
type VoterStatus struct {
	HostID  helenus.HostID
	Address helenus.Endpoint
	Alive   bool
}

// Status tells how the metadata stand at this node.
func (l *Log) Status() Status {
	p := &l.loop
	p.statusMu.Lock()
	out := p.status
	p.statusMu.Unlock()
	s := l.State()
	out.Epoch, out.Level, out.Member = s.Epoch, s.Level, s.Node(l.self) != nil
	if l.decidesAlone() {
		out.Leader = l.self
	}
	for _, id := range s.Voters {
		out.Voters = append(out.Voters, VoterStatus{HostID: id, Address: l.target(id).Addr, Alive: p.alive(id)})
	}
	return out
}

// publishStatus is called by the loop when something may have changed.
func (p *loop) publishStatus() {
	p.statusMu.Lock()
	defer p.statusMu.Unlock()
	st := &p.status
	st.Leader, st.Term, st.Applied, st.Problem = helenus.HostID{}, 0, 0, p.pull.problem
	if p.halted != nil {
		st.Problem = p.halted.Error()
	}
	if g := p.group; g != nil {
		st.Leader, st.Term, st.Applied = g.leader(), g.node.BasicStatus().GetTerm(), g.applied
	}
}

// waiting tells operators what a new node waits for.
func (p *loop) waiting(why string) {
	p.statusMu.Lock()
	changed := p.status.Waiting != why
	p.status.Waiting = why
	p.statusMu.Unlock()
	if changed && why != "" {
		p.l.cfg.Log.Info("this node is in no cluster yet", "reason", why)
	}
}
