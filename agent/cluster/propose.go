package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

const (
	proposePause   = 100 * time.Millisecond // between two rounds of the voters
	proposeTimeout = 4 * time.Second        // of one question; a leader without a majority gives up earlier
)

// commitElsewhere has the voters decide a change, and waits until it is here.
func (l *Log) commitElsewhere(ctx context.Context, change []byte) (*meta.State, error) {
	s := l.State()
	if s.Node(l.self) == nil {
		return nil, helenus.Errorf(helenus.CodeBootstrapping, "this node is in no cluster yet: %s", l.Status().Waiting)
	}
	if l.loop.outside.Load() == nil {
		return nil, helenus.Errorf(helenus.CodeServer, "metadata cannot be changed before this node runs: it is not the only voter")
	}
	p := &proposal{base: s.Epoch, change: change}
	if err := l.random(p.id[:]); err != nil {
		return nil, err
	}
	out, err := l.propose(ctx, p, l.State)
	switch {
	case err != nil:
		return nil, err
	case out.verdict == refused:
		return nil, out.err()
	}
	limited, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	for {
		changed := l.Changed()
		if s := l.State(); s.Epoch >= out.epoch {
			return s, nil
		}
		l.Heard(l.target(out.leader), out.epoch)
		select {
		case <-changed:
		case <-limited.Done():
			return nil, fmt.Errorf("cluster: the change is decided, and this node has not got it yet: %w", limited.Err())
		}
	}
}

// propose finds the voter that leads, in the State that view gives, and has it
// decide. The outcome is of this proposal, however often it was sent.
func (l *Log) propose(ctx context.Context, p *proposal, view func() *meta.State) (outcome, error) {
	limited, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	t := trial{hint: l.Status().Leader, said: make(map[helenus.HostID]string)}
	for limited.Err() == nil {
		s := view()
		for _, id := range l.order(s, t.hint) {
			out, ok := l.proposeTo(limited, p, s, id, &t)
			if ok {
				return out, nil
			}
			if limited.Err() != nil || t.hint != (helenus.HostID{}) && t.hint != id {
				break // somebody said who leads
			}
		}
		if t.hint == (helenus.HostID{}) || t.followed {
			pause(limited, proposePause)
		}
		t.followed = t.hint != (helenus.HostID{}) && !t.followed
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return outcome{}, fmt.Errorf("cluster: commit: %w", ctx.Err())
	}
	return outcome{}, noMajority(view(), &t)
}

// trial is what came of asking the voters so far.
type trial struct {
	hint     helenus.HostID // who leads
	said     map[helenus.HostID]string
	followed bool // the last round went to the hint at once
	maybe    bool // somebody may have got the proposal and decide it later
}

// order is in which order to ask the voters.
func (l *Log) order(s *meta.State, hint helenus.HostID) []helenus.HostID {
	var out []helenus.HostID
	for _, alive := range []bool{true, false} {
		for _, id := range s.Voters {
			if l.loop.alive(id) == alive && id != hint {
				out = append(out, id)
			}
		}
	}
	if s.IsVoter(hint) {
		out = slices.Insert(out, 0, hint)
	}
	return out
}

func (l *Log) proposeTo(ctx context.Context, p *proposal, s *meta.State, id helenus.HostID, t *trial) (outcome, bool) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	to := wire.Target{ID: id}
	if n := s.Node(id); n != nil {
		to.Addr = n.Broadcast
	}
	a := await(ctx, begin[outcome](l, to, verbPropose, p))
	if t.hint == id {
		t.hint = helenus.HostID{}
	}
	if a.err != nil {
		t.said[id] = reason(a.err)
		t.maybe = t.maybe || wire.KindOf(a.err) != wire.Refused
		return outcome{}, false
	}
	l.Heard(to, a.value.epoch)
	if a.value.verdict == elsewhere {
		t.said[id] = "answers, and knows no leader"
		t.maybe = true
		t.hint = a.value.leader
		return outcome{}, false
	}
	a.value.leader = id
	return a.value, true
}

// noMajority is the error when nobody leads.
func noMajority(s *meta.State, t *trial) error {
	var each []string
	for _, id := range s.Voters {
		said := t.said[id]
		if said == "" {
			said = "was not asked"
		}
		each = append(each, fmt.Sprintf("%s %s", id, said))
	}
	after := "nothing was changed"
	if t.maybe {
		after = "the change may still be made when they are back: look before you try again"
	}
	return helenus.Errorf(helenus.CodeServer, "metadata cannot be changed now, %d of %d voters must agree (%s); reads and writes go on; %s",
		len(s.Voters)/2+1, len(s.Voters), strings.Join(each, "; "), after)
}
