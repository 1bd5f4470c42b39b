package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// puller keeps this node up to date with what others have decided: one question
// at a time, to whoever was heard of, or now and then to anybody.
type puller struct {
	busy    bool
	polled  time.Time
	best    meta.Epoch // the highest epoch that was heard of
	from    wire.Target
	coming  *download
	problem string // why the last answer was of no use
}

// download is a snapshot that comes in pieces.
type download struct {
	at    point
	total uint64
	b     []byte
}

// Heard is told of somebody's epoch. It returns at once.
func (l *Log) Heard(from wire.Target, e meta.Epoch) {
	if e > l.State().Epoch {
		l.loop.post(func() { l.loop.pull.heard(&l.loop, from, e) })
	}
}

func (u *puller) heard(p *loop, from wire.Target, e meta.Epoch) {
	s := p.l.State()
	if e <= s.Epoch || from.ID == p.l.self || s.Node(p.l.self) == nil {
		return // a new node keeps nothing before it is a member
	}
	if e >= u.best {
		u.best, u.from = e, from
	}
	if !u.busy {
		u.ask(p, from)
	}
}

// tick asks somebody else when the one who was heard of did not answer, and
// anybody from time to time: metadata does not rely on gossip.
func (u *puller) tick(p *loop) {
	s := p.l.State()
	if u.busy || s.Node(p.l.self) == nil || u.best <= s.Epoch && time.Since(u.polled) < p.l.cfg.PollInterval {
		return
	}
	u.polled = time.Now()
	if to, ok := p.anybody(s); ok {
		u.ask(p, to)
	}
}

// anybody is a random other member, alive if possible.
func (p *loop) anybody(s *meta.State) (wire.Target, bool) {
	var b [8]byte
	if len(s.Nodes) < 2 || p.l.random(b[:]) != nil {
		return wire.Target{}, false
	}
	start := int(binary.BigEndian.Uint64(b[:]) % uint64(len(s.Nodes)))
	var other *meta.Node
	for i := range s.Nodes {
		n := s.Nodes[(start+i)%len(s.Nodes)]
		if n.HostID == p.l.self {
			continue
		}
		if p.alive(n.HostID) {
			return wire.Target{ID: n.HostID, Addr: n.Broadcast}, true
		}
		if other == nil {
			other = n
		}
	}
	return wire.Target{ID: other.HostID, Addr: other.Broadcast}, true
}

func (u *puller) ask(p *loop, to wire.Target) {
	u.busy = true
	req := pullRequest{have: p.l.published.Load().history.end()}
	u.coming.next(&req)
	ask(p.l, to, verbPull, &req, func(a answer[pullAnswer]) {
		p.post(func() {
			u.busy = false
			u.answered(p, to, &req, a)
		})
	})
}

func (d *download) next(req *pullRequest) {
	if d != nil {
		req.snapshot, req.offset = d.at.epoch, uint64(len(d.b))
	}
}

func (u *puller) answered(p *loop, to wire.Target, req *pullRequest, a answer[pullAnswer]) {
	err := a.err
	before := p.l.State().Epoch
	if err == nil {
		err = u.use(p, req, &a.value)
	}
	if err != nil {
		u.coming = nil
		if kind := wire.KindOf(err); kind == wire.Unreachable || kind == wire.Timeout {
			return // the next tick asks somebody else
		}
		u.best = 0
		if u.problem != err.Error() {
			u.problem = err.Error()
			p.l.cfg.Log.Warn("the metadata of another node cannot be followed", "node", to.String(), "error", err)
		}
		return
	}
	u.problem = ""
	if a.value.epoch > p.l.State().Epoch && (u.coming != nil || p.l.State().Epoch > before) {
		u.ask(p, to)
	}
}

// use follows an answer. With an error nothing has changed.
func (u *puller) use(p *loop, req *pullRequest, a *pullAnswer) error {
	l := p.l
	entries, whole, err := l.read(req, a, &u.coming)
	if err != nil || len(entries) == 0 && whole == nil {
		return err
	}
	l.turn <- struct{}{}
	defer l.giveTurn()
	pub := l.published.Load()
	if whole == nil {
		return l.extend(entries)
	}
	if whole.Epoch <= pub.state.Epoch {
		return nil
	}
	if err := l.checkWhole(pub.state, whole); err != nil {
		return err
	}
	if whole.Epoch.Incarnation() > pub.state.Epoch.Incarnation() {
		l.cfg.Log.Warn("the metadata was recovered elsewhere; this node follows, and forgets what only it and the lost voters knew",
			"epoch", pub.state.Epoch, "recovered", whole.Epoch)
	}
	return l.adopt(whole, history{base: a.snapshot})
}

// checkWhole refuses a State that cannot be a later one of this cluster.
func (l *Log) checkWhole(have, whole *meta.State) error {
	if have.ClusterID != whole.ClusterID {
		return fmt.Errorf("cluster: it is of cluster %s", helenus.HostID(whole.ClusterID))
	}
	me, then := have.Node(l.self), whole.Node(l.self)
	if me != nil && (then == nil || then.Datacenter != me.Datacenter || then.Rack != me.Rack) {
		return errors.New("cluster: it does not have this node as it is")
	}
	return nil
}

// read checks an answer: entries get their hashes from the place that was asked
// from, pieces are put together. Without either there is more to ask for, or
// nothing.
func (l *Log) read(req *pullRequest, a *pullAnswer, coming **download) ([]entry, *meta.State, error) {
	if a.total == 0 {
		*coming = nil
		hash := req.have.hash
		for i := range a.entries {
			e := &a.entries[i]
			e.hash = link(hash, e.epoch, e.payload)
			hash = e.hash
		}
		if len(a.entries) > 0 && hash != a.last {
			return nil, nil, fmt.Errorf("cluster: the entries behind epoch %d do not have the hash they are said to have", req.have.epoch)
		}
		return a.entries, nil, nil
	}
	d := *coming
	if d == nil || d.at != a.snapshot {
		d = &download{at: a.snapshot, total: a.total}
		*coming = d
	}
	if a.offset != uint64(len(d.b)) || a.total != d.total || a.total > snapshotSizeMax || len(a.piece) == 0 ||
		uint64(len(d.b)+len(a.piece)) > d.total {
		*coming = nil
		return nil, nil, fmt.Errorf("cluster: a snapshot of %d bytes has a wrong piece at %d", a.total, a.offset)
	}
	if d.b = append(d.b, a.piece...); uint64(len(d.b)) < d.total {
		return nil, nil, nil
	}
	*coming = nil
	whole, err := l.cfg.decode(d.b, l.cfg.Local)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: %w", err)
	}
	if whole.Epoch != d.at.epoch {
		return nil, nil, fmt.Errorf("cluster: a snapshot of epoch %d is said to be of epoch %d", whole.Epoch, d.at.epoch)
	}
	return nil, whole, nil
}

// server answers other nodes' pulls.
type server struct {
	at point // of the snapshot that is being sent
	b  []byte
}

// answerPull is run by the loop.
func (p *loop) answerPull(req *pullRequest) (*pullAnswer, error) {
	pub := p.l.published.Load()
	out := &pullAnswer{epoch: pub.state.Epoch}
	if req.snapshot != 0 && req.snapshot == p.serve.at.epoch && req.offset < uint64(len(p.serve.b)) {
		p.serve.piece(out, req.offset)
		return out, nil
	}
	if req.have.epoch > pub.state.Epoch {
		return out, nil
	}
	entries, hash, known := pub.history.after(req.have.epoch)
	recovered := pub.state.Epoch.Incarnation() > req.have.epoch.Incarnation()
	switch {
	case known && hash == req.have.hash:
		size := 0
		for _, e := range entries {
			if size += len(e.payload); size > pieceBytes && len(out.entries) > 0 {
				break
			}
			out.entries, out.last = append(out.entries, e), e.hash
		}
		return out, nil
	case known || !recovered && req.have.epoch > pub.history.base.epoch:
		return nil, helenus.Invalid("the metadata of both nodes differ at epoch %d: one of them was recovered, or is of another cluster; "+
			"remove the metadata of the one that is wrong, so that it joins again", req.have.epoch)
	}
	// A snapshot that is being sent serves newcomers too, if entries lead on from it.
	if _, _, known := pub.history.after(p.serve.at.epoch); !known || p.serve.at.epoch <= req.have.epoch {
		p.serve = server{pub.history.end(), meta.EncodeState(nil, pub.state)}
	}
	p.serve.piece(out, 0)
	return out, nil
}

func (s *server) piece(out *pullAnswer, offset uint64) {
	out.snapshot, out.total, out.offset = s.at, uint64(len(s.b)), offset
	out.piece = s.b[offset:min(offset+pieceBytes, uint64(len(s.b)))]
}

// fetch reads the metadata of another node into memory, up to an epoch at least.
// A new node does so before it is a member.
func (l *Log) fetch(ctx context.Context, to wire.Target, s *meta.State, h history, least meta.Epoch) (*meta.State, history, error) {
	if s == nil {
		s = meta.New(l.cfg.Local)
	}
	var coming *download
	for ctx.Err() == nil {
		req := pullRequest{have: h.end()}
		coming.next(&req)
		a := await(ctx, begin[pullAnswer](l, to, verbPull, &req))
		if a.err != nil {
			return s, h, a.err
		}
		entries, whole, err := l.read(&req, &a.value, &coming)
		if err != nil {
			return s, h, err
		}
		if whole != nil {
			s, h = whole, history{base: a.value.snapshot}
		}
		for _, e := range entries {
			if s, err = l.follow(s, h.end(), e, false); err != nil {
				return nil, history{}, err
			}
			h = h.with(e)
		}
		switch {
		case coming != nil || s.Epoch < a.value.epoch:
		case s.Epoch >= least && s.Founded():
			return s, h, nil
		case s.Epoch >= least:
			return s, h, errors.New("it has none yet")
		default:
			pause(ctx, tickInterval)
		}
	}
	return s, h, ctx.Err()
}
