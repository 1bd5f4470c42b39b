// Package cluster decides and keeps the cluster's metadata: the epoch log.
//
// Nouns: Log (the decided changes, on disk, and the State they lead to), entry
// (one change with its epoch and its place in the hash chain), snapshot (a State
// that makes the entries before it superfluous), voters (the one, three or five
// members that decide), proposal (a change on its way to them).
//
// agent opens it before anything else, runs it, and everybody reads its State;
// query and admin Commit changes. It never looks into a change: meta.Apply says
// what one means.
//
// One voter decides alone, by its log. Three or five decide by raft, one change
// at a time: the leader applies a proposal to the newest State and puts the
// finished entry, with its epoch and hash, into raft's log, so that whoever has
// the entry by another way need not see it again. An entry that names other
// voters is the last one of its raft group; the new voters begin a group of their
// own from there. So a group never changes its members. All others pull.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/cql/schema"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

// Config is what a node must know of itself before it knows a cluster.
type Config struct {
	Dir         string // the log's own directory
	ClusterName string
	Partitioner token.Partitioner
	// Local are the keyspaces that every build brings along, Install those that
	// belong to the cluster and are logged when it is founded or they are new.
	Local   []*schema.Keyspace
	Install []*schema.Keyspace
	// Node is this node; HostID and Tokens are made and kept by the log.
	Node          meta.Node
	NumTokens     int           // tokens at the first start
	InitialTokens []token.Token // instead of chosen ones, whatever NumTokens says
	// Allocate chooses that many tokens for a node that joins; nil: random ones.
	Allocate func(*meta.State, meta.Node, int) []token.Token
	// JoinWithoutData lets a new node join a cluster that has tables. Until data
	// moves, the rows that lie in the new node's ranges are missing there.
	JoinWithoutData bool
	// MayJoin tells why this node, which is no member, must not join; nil: nothing
	// speaks against any cluster.
	MayJoin func(*meta.State) error
	// Seeds are whom a new node asks for a cluster. With none, or with only its own
	// address, it founds one at once.
	Seeds []helenus.Endpoint
	Rand  io.Reader    // ids and tokens
	Log   *slog.Logger // nil: nowhere
	// SnapshotEntries is after how many entries a snapshot is written; 0 is 1024.
	SnapshotEntries int
	VoterTimeout    time.Duration // 0 is 10 min: after which a dead voter is replaced
	CommitTimeout   time.Duration // 0 is 10 s: after which Commit gives up on a majority
	PollInterval    time.Duration // 0 is 5 s: between two questions to a random member

	// Tests of a thousand nodes share what these compute.
	apply  func(s *meta.State, change []byte) (*meta.State, error)
	decode func(b []byte, local []*schema.Keyspace) (*meta.State, error)
}

const snapshotEntriesDefault = 1024

func (c *Config) fill() {
	c.SnapshotEntries = cmp.Or(c.SnapshotEntries, snapshotEntriesDefault)
	c.VoterTimeout = cmp.Or(c.VoterTimeout, 10*time.Minute)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, 10*time.Second)
	c.PollInterval = cmp.Or(c.PollInterval, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.apply == nil {
		c.apply, c.decode = applyEncoded, meta.DecodeState
	}
	c.Rand = &sharedReader{r: c.Rand}
}

// sharedReader lets several goroutines read from one source of chance.
type sharedReader struct {
	mu sync.Mutex
	r  io.Reader // guarded by mu
}

func (s *sharedReader) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.ReadFull(s.r, b)
}

// Messenger carries calls to other nodes; wire.Wire is one.
type Messenger interface {
	Call(to wire.Target, c *wire.Call)
}

// Liveness tells whether a node lives, as far as this one knows.
type Liveness interface {
	Alive(helenus.HostID) bool
}

// Log is the epoch log of this node.
type Log struct {
	fs   vfs.FS
	cfg  Config
	self helenus.HostID
	lock io.Closer

	published atomic.Pointer[publication]
	joined    chan struct{} // closed when this node is a member
	join      sync.Once     // closes it
	loop      loop

	// turn holds the right to append; whoever puts a value in owns the fields
	// below until it takes it out.
	turn    chan struct{}
	file    vfs.File
	entries int   // in file
	broken  error // set by a failed write: what is on disk is unknown from then on
}

type publication struct {
	state   *meta.State
	history history
	changed chan struct{} // closed when a newer one is published
}

// ErrClosed is the answer of a closed Log.
var ErrClosed = errors.New("cluster: the metadata log is closed")

// Open reads the log of cfg.Dir. A node that decides alone, as the first of a
// cluster does, founds and registers here; others do it in Run.
func Open(fs vfs.FS, cfg Config) (_ *Log, err error) {
	cfg.fill()
	if err := fs.MkdirAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	l := &Log{fs: fs, cfg: cfg, turn: make(chan struct{}, 1), joined: make(chan struct{})}
	l.loop.init(l)
	if l.lock, err = fs.Lock(filepath.Join(cfg.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.self, err = l.identity(); err != nil {
		return nil, err
	}
	l.cfg.Node.HostID = l.self
	if err = l.recover(); err != nil {
		return nil, err
	}
	if err = l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// Self is this node's host id.
func (l *Log) Self() helenus.HostID { return l.self }

// State is the newest published State.
func (l *Log) State() *meta.State { return l.published.Load().state }

// Changed is closed when a State newer than now's is published. Take the
// channel first, then State, then wait.
func (l *Log) Changed() <-chan struct{} { return l.published.Load().changed }

// Joined is closed when this node is a member.
func (l *Log) Joined() <-chan struct{} { return l.joined }

// Identity is what this node says of itself in wire's hello.
func (l *Log) Identity() wire.Identity {
	s := l.State()
	return wire.Identity{Cluster: wire.ClusterID(s.ClusterID), Feature: uint32(l.cfg.Node.Level)}
}

func (l *Log) publish(s *meta.State, h history) {
	old := l.published.Swap(&publication{s, h, make(chan struct{})})
	if s.Node(l.self) != nil {
		l.join.Do(func() { close(l.joined) })
	}
	if old != nil {
		close(old.changed)
	}
}

// Commit decides a change, wherever the voters are. The State returned holds the
// change; it is the present one when the change had nothing to do. A
// *helenus.Error says why it cannot be; without a majority of voters that is
// after Config.CommitTimeout, and the text says if it may happen all the same, as
// it may after any other error.
func (l *Log) Commit(ctx context.Context, c meta.Change) (*meta.State, error) {
	change := meta.EncodeChange(nil, c)
	if len(change) > changeBytesMax {
		return nil, helenus.Invalid("a change of %d bytes is too large: the limit is %d", len(change), changeBytesMax)
	}
	if err := l.takeTurn(ctx); err != nil {
		return nil, err
	}
	if l.decidesAlone() || l.broken != nil {
		defer l.giveTurn()
		return l.decide(&proposal{base: l.State().Epoch, change: change})
	}
	l.giveTurn()
	return l.commitElsewhere(ctx, change)
}

func (l *Log) random(b []byte) error {
	if _, err := io.ReadFull(l.cfg.Rand, b); err != nil {
		return fmt.Errorf("cluster: make an id: %w", err)
	}
	return nil
}

func (l *Log) takeTurn(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: commit: %w", ctx.Err())
	}
}

func (l *Log) giveTurn() { <-l.turn }

// decidesAlone tells whether this node is the only voter.
func (l *Log) decidesAlone() bool { return slices.Equal(l.State().Voters, []helenus.HostID{l.self}) }

// errUnknown is the answer to a proposal so old that nobody can tell any more
// whether it happened.
var errUnknown = errors.New("cluster: the metadata has moved on so far that nobody can tell whether the change was made: look, and try again")

// decide is the decision of one voter alone. It has the turn.
func (l *Log) decide(p *proposal) (*meta.State, error) {
	if l.broken != nil {
		return nil, l.broken
	}
	next, e, err := l.evaluate(p)
	if err != nil || e.epoch == 0 {
		return next, err
	}
	pub := l.published.Load()
	if err := l.keep(next, pub.history.with(e), []entry{e}); err != nil {
		return nil, err
	}
	return next, nil
}

// evaluate is what a proposal would do to the newest State. Without an entry it
// has nothing to do, or has happened already.
func (l *Log) evaluate(p *proposal) (*meta.State, entry, error) {
	pub := l.published.Load()
	_, found, complete := pub.history.find(p.id, p.base)
	if found {
		return pub.state, entry{}, nil
	}
	if !complete {
		return nil, entry{}, errUnknown
	}
	next, err := l.cfg.apply(pub.state, p.change)
	if err != nil || next == pub.state {
		return next, entry{}, err
	}
	e := entry{epoch: next.Epoch, payload: payload(p.id, p.change)}
	e.hash = link(pub.history.end().hash, e.epoch, e.payload)
	return next, e, nil
}

// extend appends what was decided elsewhere, leaving out what is here already. It
// has the turn. An error that is not l.broken means that nothing changed.
func (l *Log) extend(entries []entry) error {
	if l.broken != nil {
		return l.broken
	}
	pub := l.published.Load()
	s, h := pub.state, pub.history
	var fresh []entry
	for _, e := range entries {
		if e.epoch <= s.Epoch {
			continue
		}
		next, err := l.follow(s, h.end(), e, false)
		if err != nil {
			return err
		}
		s, h, fresh = next, h.with(e), append(fresh, e)
	}
	if len(fresh) == 0 {
		return nil
	}
	return l.keep(s, h, fresh)
}

// keep makes entries durable and publishes what they lead to.
func (l *Log) keep(s *meta.State, h history, entries []entry) error {
	if err := l.append(entries); err != nil {
		l.broken = fmt.Errorf("cluster: no more changes until a restart, the log is in doubt: %w", err)
		return l.broken
	}
	l.publish(s, h)
	if l.entries >= l.cfg.SnapshotEntries {
		if err := l.compact(s, h.end().hash); err != nil {
			l.broken = fmt.Errorf("cluster: no more changes until a restart, a snapshot failed: %w", err)
		}
	}
	return nil
}

// adopt takes over a whole State in place of what is here. It has the turn.
func (l *Log) adopt(s *meta.State, h history) error {
	if l.broken != nil {
		return l.broken
	}
	if err := l.compact(s, h.end().hash); err != nil {
		l.broken = fmt.Errorf("cluster: no more changes until a restart, a snapshot failed: %w", err)
		return l.broken
	}
	l.publish(s, history{base: h.end()})
	return nil
}

// Close releases the log. A Commit under way ends first. Run must have returned.
func (l *Log) Close() error {
	l.turn <- struct{}{}
	defer l.giveTurn()
	var err error
	if l.file != nil {
		err = l.file.Close()
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	l.file, l.lock, l.broken = nil, nil, ErrClosed
	return err
}

// Recover makes this node the only voter, from its own copy of the metadata: the
// way out when a majority of the voters is lost for ever. Changes that only the
// lost voters knew are lost with them. It must be run on one node only, the one
// with the highest epoch; the others follow it when they hear of it.
func (l *Log) Recover(ctx context.Context) (*meta.State, error) {
	change := meta.Recover{Voter: l.self}
	if err := l.random(change.Group[:]); err != nil {
		return nil, err
	}
	if leader := l.Status().Leader; leader != (helenus.HostID{}) {
		return nil, helenus.Invalid("the metadata has a leader, node %s: there is nothing to recover", leader)
	}
	if err := l.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer l.giveTurn()
	p := &proposal{base: l.State().Epoch, change: meta.EncodeChange(nil, change)}
	s, err := l.decide(p)
	if err != nil {
		return nil, err
	}
	l.cfg.Log.Warn("this node decides on metadata alone from here on: what was decided after its copy is lost",
		"copy_epoch", p.base, "epoch", s.Epoch)
	return s, nil
}
