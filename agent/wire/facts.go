package wire

import (
	"time"

	"helenus"
)

// Facts are what an operator may know of a Wire: counts since the start, and
// what there is now.
type Facts struct {
	Verbs    []VerbFacts // by id
	Peers    []PeerFacts // oldest first
	Inbound  int         // connections that other nodes have open
	Accepted uint64
	Refused  uint64 // connections, by the hello or for their number
	Garbage  uint64 // connections cut for what came on them
	HalfOpen uint64 // connections cut for silence
	Handed   uint64 // connections of other kinds than messages
}

// VerbFacts count the calls of a verb that this node made, and the requests
// that it was sent.
type VerbFacts struct {
	Name string
	Lane Lane

	Called     uint64
	Local      uint64 // of them, to this node itself
	TimedOut   uint64
	Overloaded uint64 // here or there
	Broken     uint64 // unreachable or refused
	Failed     uint64 // by the handler
	Late       uint64 // answers whose caller had given up

	Handled    uint64 // local ones included
	Expired    uint64 // dropped before work: their caller has given up
	Unanswered uint64 // carried out for a caller that has given up
	Refused    uint64 // for lack of memory
}

// PeerFacts are one target's.
type PeerFacts struct {
	Target  Target
	Feature uint32
	Bytes   int64 // under way to it
	Lanes   []LaneFacts
}

// LaneFacts are one connection's to a target.
type LaneFacts struct {
	Lane     Lane
	State    string // down, connecting, up
	InFlight int
	Queued   int // bytes not written yet
	Error    string
	RetryIn  time.Duration // while it is down
}

// Facts gives a picture of now.
func (w *Wire) Facts() Facts {
	w.mu.Lock()
	order, inbound := w.order, len(w.inbound)
	w.mu.Unlock()
	f := Facts{Inbound: inbound, Accepted: w.stats.accepted.Load(), Refused: w.stats.refused.Load(),
		Garbage: w.stats.garbage.Load(), HalfOpen: w.stats.halfOpen.Load(), Handed: w.stats.handedOver.Load()}
	for _, v := range w.verbs {
		if v == nil {
			continue
		}
		s := &v.stats
		f.Verbs = append(f.Verbs, VerbFacts{Name: v.Name, Lane: v.Lane, Called: s.called.Load(), Local: s.local.Load(),
			TimedOut: s.timedOut.Load(), Overloaded: s.overloaded.Load(), Broken: s.broken.Load(), Failed: s.failed.Load(),
			Late: s.late.Load(), Handled: s.handled.Load(), Expired: s.expired.Load(), Unanswered: s.unanswered.Load(),
			Refused: s.refused.Load()})
	}
	now := w.now()
	for _, p := range order {
		pf := PeerFacts{Target: p.to, Feature: p.feature.Load(), Bytes: p.budget.Used()}
		for i := range p.links {
			pf.Lanes = append(pf.Lanes, p.links[i].facts(now))
		}
		f.Peers = append(f.Peers, pf)
	}
	return f
}

func (l *link) facts(now time.Duration) LaneFacts {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := LaneFacts{Lane: l.lane, State: l.state.String(), InFlight: l.calls.used(), Queued: len(l.out) + l.unwritten}
	if l.state == linkDown && l.refusal != nil {
		f.Error, f.RetryIn = l.refusal.Reason, max(0, l.retryAt-now)
	}
	return f
}

// Feature is the feature level that a target stated last; false before it did.
func (w *Wire) Feature(to Target) (uint32, bool) {
	if to.ID == w.opts.Self.ID && to.ID != (helenus.HostID{}) {
		return w.opts.Identity().Feature, true
	}
	p := (*w.peers.Load())[to]
	if p == nil {
		return 0, false
	}
	n := p.feature.Load()
	return n, n != 0
}
