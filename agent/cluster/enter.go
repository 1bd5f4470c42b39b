package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

const (
	promiseName  = "promise"
	promiseMagic = "HELP"
	entryPause   = time.Second // between two rounds of questions
	joinTriesMax = 20          // of tokens that others took first, before it looks around again
)

// begin is what Open does with the copy it found.
func (l *Log) begin() error {
	s := l.State()
	switch {
	case len(l.cfg.Seeds) > seedsMax:
		return fmt.Errorf("cluster: %d seeds; the limit is %d", len(l.cfg.Seeds), seedsMax)
	case !s.Founded() && !l.isAlone():
		return nil
	case !s.Founded() || len(s.Nodes) == 0:
		return l.found()
	case s.ClusterName != l.cfg.ClusterName:
		return fmt.Errorf("cluster: saved cluster name %s != configured name %s", s.ClusterName, l.cfg.ClusterName)
	case s.Partitioner != l.cfg.Partitioner:
		return fmt.Errorf("cluster: saved partitioner %s != configured %s: data on disk is in the old order",
			s.Partitioner.Name(), l.cfg.Partitioner.Name())
	case l.decidesAlone():
		return l.decideOwn()
	}
	_, err := l.ownChanges(s)
	return err
}

// isAlone tells whether a new node has nobody to ask.
func (l *Log) isAlone() bool {
	for _, s := range l.cfg.Seeds {
		if s != l.cfg.Node.Broadcast && s != l.cfg.Node.Listen {
			return false
		}
	}
	return true
}

// found makes a cluster of this node alone. Each step does nothing the second
// time.
func (l *Log) found() error {
	if s := l.State(); !s.Founded() {
		found := meta.Found{ClusterName: l.cfg.ClusterName, Partitioner: l.cfg.Partitioner.Name()}
		if err := l.random(found.ClusterID[:]); err != nil {
			return err
		}
		if err := l.decideNow(found); err != nil {
			return err
		}
	}
	return l.decideOwn()
}

// decideOwn makes the only voter's own changes.
func (l *Log) decideOwn() error {
	if err := l.decideNow(meta.Install{Keyspaces: l.cfg.Install}); err != nil {
		return err
	}
	node, err := l.node(l.State())
	if err != nil {
		return err
	}
	return l.decideNow(meta.Register{Node: node})
}

func (l *Log) decideNow(c meta.Change) error {
	if err := l.takeTurn(context.Background()); err != nil {
		return err
	}
	defer l.giveTurn()
	_, err := l.decide(&proposal{base: l.State().Epoch, change: meta.EncodeChange(nil, c)})
	return err
}

// node is this node as the metadata should have it.
func (l *Log) node(s *meta.State) (meta.Node, error) {
	node := l.cfg.Node
	var err error
	node.Tokens, err = l.tokens(s)
	return node, err
}

// tokens are the ones this node has, else those configured, else chosen ones.
func (l *Log) tokens(s *meta.State) ([]token.Token, error) {
	want := l.cfg.NumTokens
	if len(l.cfg.InitialTokens) > 0 {
		want = len(l.cfg.InitialTokens)
	}
	if have := s.Node(l.self); have != nil {
		if len(have.Tokens) != want {
			return nil, fmt.Errorf("cluster: cannot change the number of tokens from %d to %d", len(have.Tokens), want)
		}
		return have.Tokens, nil
	}
	tokens := slices.Clone(l.cfg.InitialTokens)
	if len(tokens) == 0 && l.cfg.Allocate != nil {
		return l.cfg.Allocate(s, l.cfg.Node, want), nil
	}
	for len(tokens) < want {
		var key [16]byte
		if err := l.random(key[:]); err != nil {
			return nil, err
		}
		if t := l.cfg.Partitioner.Token(key[:]); !slices.Contains(tokens, t) && !isTaken(s, t) {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

func isTaken(s *meta.State, t token.Token) bool {
	return slices.ContainsFunc(s.Nodes, func(n *meta.Node) bool { return slices.Contains(n.Tokens, t) })
}

// ownChanges are those that bring the metadata up to date with this build and
// this node's configuration. The error is why that cannot be.
func (l *Log) ownChanges(s *meta.State) ([]meta.Change, error) {
	node, err := l.node(s)
	if err != nil {
		return nil, err
	}
	var out []meta.Change
	for _, c := range []meta.Change{meta.Install{Keyspaces: l.cfg.Install}, meta.Register{Node: node}} {
		next, err := meta.Apply(s, c)
		if err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
		if next != s {
			out = append(out, c)
		}
	}
	return out, nil
}

// enter makes this node a member and brings its entry up to date; the error is
// why that can never be.
func (l *Log) enter(ctx context.Context) error {
	for ctx.Err() == nil && l.State().Node(l.self) == nil {
		if err := l.enterRound(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the node is being stopped
	}
	l.loop.waiting("")
	if err := l.dropPromise(); err != nil {
		return err
	}
	return l.refresh(ctx)
}

// enterRound asks all seeds and does what follows.
func (l *Log) enterRound(ctx context.Context) error {
	me, err := l.beginRound(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	sights := l.askSeeds(ctx, me)
	todo, err := planEntry(me, sights)
	if err != nil {
		return err
	}
	switch todo.step {
	case joins:
		to := wire.Target{Addr: sights[todo.at].addr}
		todo.why, err = l.joinBy(ctx, to)
	case founds:
		var may bool
		if may, err = l.askPromises(ctx, me); err == nil && may {
			return l.found()
		}
		todo.why = "not enough seeds have promised to let this node found the cluster yet"
	}
	if err != nil || ctx.Err() != nil || l.State().Node(l.self) != nil {
		return err
	}
	l.loop.waiting(todo.why)
	pause(ctx, entryPause)
	return nil
}

// beginRound gives back what this node promised itself in the round before.
func (l *Log) beginRound(ctx context.Context) (me *facts, err error) {
	me = l.facts()
	_ = l.loop.do(ctx, func() { // it fails when the node is being stopped only
		l.loop.entry.round++
		me.round = l.loop.entry.round
		var kept promise
		kept, err = l.answerMeet(me)
		me.promised = kept.host
	})
	return me, err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// facts is what this node says of itself.
func (l *Log) facts() *facts {
	s := l.State()
	f := &facts{host: l.self, addr: l.cfg.Node.Broadcast, clusterName: l.cfg.ClusterName, partitioner: l.cfg.Partitioner.Name(),
		seeds: seedList(l.cfg.Seeds), level: l.cfg.Node.Level, epoch: s.Epoch}
	if len(s.Nodes) > 0 {
		f.clusterName, f.partitioner, f.level, f.cluster = s.ClusterName, s.Partitioner.Name(), s.Level, s.ClusterID
	}
	return f
}

// askSeeds asks all at once and waits for all.
func (l *Log) askSeeds(ctx context.Context, me *facts) []sight {
	var out []sight
	var answers []<-chan answer[facts]
	for _, addr := range me.seeds {
		if addr == l.cfg.Node.Broadcast || addr == l.cfg.Node.Listen {
			continue
		}
		out = append(out, sight{addr: addr})
		answers = append(answers, begin[facts](l, wire.Target{Addr: addr}, verbMeet, me))
	}
	for i, ch := range answers {
		a := await(ctx, ch)
		if a.err != nil {
			out[i].reason = "does not answer (" + reason(a.err) + ")"
			continue
		}
		out[i].facts = &a.value
	}
	return out
}

// reason is an error without what its reader knows.
func reason(err error) string {
	var w *wire.Error
	if errors.As(err, &w) {
		return w.Kind.String() + ": " + w.Reason
	}
	return err.Error()
}

// askPromises promises itself and asks the others to promise, too.
func (l *Log) askPromises(ctx context.Context, me *facts) (bool, error) {
	own := *me
	own.founding = true
	var kept promise
	var err error
	if l.loop.do(ctx, func() { kept, err = l.answerMeet(&own) }) != nil || err != nil || kept.host != l.self {
		return false, err
	}
	return mayFound(me, l.askSeeds(ctx, &own)), nil
}

// answerMeet is run by the loop when a new node is asked by another, or by
// itself.
func (l *Log) answerMeet(asker *facts) (promise, error) {
	e := &l.loop.entry
	me := l.facts()
	if me.cluster != (meta.ClusterID{}) {
		return promise{}, nil
	}
	lowest := asker.host
	if slices.Contains(me.seeds, me.addr) && slices.Compare(me.host[:], lowest[:]) < 0 {
		lowest = me.host
	}
	next := answerFounding(me, e.promise, asker, lowest)
	if next == e.promise {
		return next, nil
	}
	if err := l.savePromise(next); err != nil {
		return e.promise, err
	}
	e.promise = next
	return next, nil
}

func (l *Log) savePromise(p promise) error {
	var b packer
	b.fixed(p.host[:])
	b.u64(p.round)
	b.fixed(p.seeds[:])
	if err := vfs.WriteFile(l.fs, l.path(promiseName), sealed(promiseMagic, b)); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// readPromise finds what was promised before a restart; another seed list voids
// it.
func (l *Log) readPromise() (p promise, err error) {
	name := l.path(promiseName)
	b, err := vfs.ReadFile(l.fs, name, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("cluster: %w", err)
	}
	content, err := unseal(promiseMagic, b)
	u := &unpacker{b: content}
	u.fixed(p.host[:])
	p.round = u.u64()
	u.fixed(p.seeds[:])
	if err = errors.Join(err, u.done("promise")); err != nil {
		return p, fmt.Errorf("cluster: %s is damaged: %w; remove it if no node with this seed list is in a cluster", name, err)
	}
	if p.seeds != seedsHash(seedList(l.cfg.Seeds)) {
		return promise{}, nil
	}
	return p, nil
}

func (l *Log) dropPromise() error {
	err := l.fs.Remove(l.path(promiseName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// joinBy registers this node in the cluster of whoever is at an address. Nothing
// is kept on disk before it is a member. why is what it has to wait for.
func (l *Log) joinBy(ctx context.Context, to wire.Target) (why string, err error) {
	var s *meta.State
	var h history
	var least meta.Epoch // what whoever decides had when it refused this node
	for range joinTriesMax {
		limited, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
		s, h, err = l.fetch(limited, to, s, h, least)
		cancel()
		if err != nil {
			return "cannot read the metadata of " + to.String() + ": " + err.Error(), nil
		}
		node, err := l.joining(s)
		if err != nil {
			return "", err
		}
		p := &proposal{base: s.Epoch, change: meta.EncodeChange(nil, meta.Register{Node: node})}
		if err := l.random(p.id[:]); err != nil {
			return "", err
		}
		out, err := l.propose(ctx, p, func() *meta.State { return s })
		if err != nil {
			return err.Error(), nil
		}
		if out.verdict == refused {
			// Somebody was first with a token or address, which to may not know yet:
			// look again when it does.
			l.cfg.Log.Info("the cluster did not register this node, it tries again", "reason", out.message)
			least, why = out.epoch, "the cluster did not register this node: "+out.message
			continue
		}
		if s, h, err = l.fetch(ctx, to, s, h, out.epoch); err != nil {
			return "cannot read the metadata of " + to.String() + ": " + err.Error(), nil
		}
		if err := l.takeTurn(ctx); err != nil {
			return "", nil //nolint:nilerr // the node is being stopped
		}
		defer l.giveTurn()
		return "", l.adopt(s, h)
	}
	return why, nil
}

// joining is this node with its tokens, as it would register in s; the error is
// why it never can.
func (l *Log) joining(s *meta.State) (meta.Node, error) {
	node, err := l.node(s)
	if err != nil {
		return node, err
	}
	if have := s.Node(l.self); have != nil && have.Broadcast != node.Broadcast {
		return node, fmt.Errorf("cluster: host id %s belongs to the node at %s: this node runs on a copy of its directory %s; remove it",
			l.self, have.Broadcast, l.cfg.Dir)
	}
	if table := s.UserTable(); table != "" && s.Node(l.self) == nil && !l.cfg.JoinWithoutData {
		return node, fmt.Errorf("cluster: this node cannot join %s: there is a table %s, and data does not move to a new node yet; rows would be missing. "+
			"Grow a cluster before it has tables, or set auto_bootstrap: false if they may be", s.ClusterName, table)
	}
	if l.cfg.MayJoin != nil && s.Node(l.self) == nil {
		if err := l.cfg.MayJoin(s); err != nil {
			return node, fmt.Errorf("cluster: this node cannot join %s: %w", s.ClusterName, err)
		}
	}
	if _, err := meta.Apply(s, meta.Register{Node: node}); err != nil {
		return node, fmt.Errorf("cluster: this node cannot join %s: %w", s.ClusterName, err)
	}
	return node, nil
}

// checkMoved keeps a copy of a member's directory from taking its place: who
// changes its address must not answer at the old one any more. Two voters of one
// name would break raft, so this comes before anything else.
func (l *Log) checkMoved(ctx context.Context) error {
	have := l.State().Node(l.self)
	if have == nil || have.Broadcast == l.cfg.Node.Broadcast {
		return nil
	}
	a := await(ctx, begin[facts](l, wire.Target{Addr: have.Broadcast}, verbMeet, l.facts()))
	if a.err == nil && a.value.host == l.self || wire.KindOf(a.err) == wire.Refused {
		return fmt.Errorf("cluster: host id %s still answers at %s, this node is at %s: it runs on a copy of that node's directories; remove them",
			l.self, have.Broadcast, l.cfg.Node.Broadcast)
	}
	return nil
}

// refresh commits this node's own changes; without voters it goes on trying while
// the node serves.
func (l *Log) refresh(ctx context.Context) error {
	for ctx.Err() == nil {
		changes, err := l.ownChanges(l.State())
		if err != nil {
			return err
		}
		for _, c := range changes {
			if _, err = l.Commit(ctx, c); err != nil {
				break
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			l.cfg.Log.Warn("this node's entry in the metadata cannot be brought up to date yet, it tries again", "error", err)
			pause(ctx, l.cfg.PollInterval)
		}
	}
	return nil
}
