// Package cluster decides and keeps the cluster's metadata: the epoch log.
//
// Nouns: Log (the decided changes, on disk, and the State they lead to), entry
// (one change with its epoch and its place in the hash chain), snapshot (a State
// that makes the entries before it superfluous).
//
// agent opens it before anything else and everybody reads its State; query and
// admin Commit changes. Today one voter decides alone; with several, Commit will
// wait for a majority and nothing else here changes for its callers. It never
// looks into a change: meta.Apply says what one means.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"

	"helenus"
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
	NumTokens     int           // random tokens at the first start
	InitialTokens []token.Token // instead of random ones, whatever NumTokens says
	Rand          io.Reader     // ids and tokens
	// SnapshotEntries is after how many entries a snapshot is written; 0 is 1024.
	SnapshotEntries int
}

const snapshotEntriesDefault = 1024

// Log is the epoch log of this node.
type Log struct {
	fs   vfs.FS
	cfg  Config
	self helenus.HostID
	lock io.Closer

	published atomic.Pointer[publication]

	// turn holds the right to append; whoever puts a value in owns the fields
	// below until it takes it out.
	turn    chan struct{}
	file    vfs.File
	entries int // in file
	chain   [hashSize]byte
	broken  error // set by a failed write: what is on disk is unknown from then on
}

type publication struct {
	state   *meta.State
	changed chan struct{} // closed when a newer one is published
}

// ErrClosed is the answer of a closed Log.
var ErrClosed = errors.New("cluster: the metadata log is closed")

// Open reads the log of cfg.Dir, founds the cluster if there is none yet, and
// registers this node.
func Open(fs vfs.FS, cfg Config) (_ *Log, err error) {
	if cfg.SnapshotEntries == 0 {
		cfg.SnapshotEntries = snapshotEntriesDefault
	}
	if err := fs.MkdirAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	l := &Log{fs: fs, cfg: cfg, turn: make(chan struct{}, 1)}
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
	if err = l.recover(); err != nil {
		return nil, err
	}
	if err = l.join(); err != nil {
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

func (l *Log) publish(s *meta.State) {
	old := l.published.Swap(&publication{s, make(chan struct{})})
	if old != nil {
		close(old.changed)
	}
}

// Commit decides a change: it is applied to the newest State, written and
// synced, then published. The State returned holds the change; it is the
// present one when the change had nothing to do. An error that is no
// *helenus.Error may mean that the change happens all the same, after a restart.
func (l *Log) Commit(ctx context.Context, c meta.Change) (*meta.State, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("cluster: commit: %w", ctx.Err())
	}
	defer func() { <-l.turn }()
	if l.broken != nil {
		return nil, l.broken
	}
	old := l.State()
	next, err := meta.Apply(old, c)
	if err != nil || next == old {
		return next, err
	}
	if err := l.append(next.Epoch, c); err != nil {
		l.broken = fmt.Errorf("cluster: no more changes until a restart, the log is in doubt: %w", err)
		return nil, l.broken
	}
	l.publish(next)
	if l.entries >= l.cfg.SnapshotEntries {
		if err := l.compact(next); err != nil {
			l.broken = fmt.Errorf("cluster: no more changes until a restart, a snapshot failed: %w", err)
		}
	}
	return next, nil
}

// Close releases the log. A Commit under way ends first.
func (l *Log) Close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
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

// join founds the cluster when there is none and brings this node's entry up
// to date. Each step is a change of its own and does nothing the second time.
func (l *Log) join() error {
	s := l.State()
	if !s.Founded() {
		found := meta.Found{ClusterName: l.cfg.ClusterName, Partitioner: l.cfg.Partitioner.Name()}
		if _, err := io.ReadFull(l.cfg.Rand, found.ClusterID[:]); err != nil {
			return fmt.Errorf("cluster: make an id: %w", err)
		}
		if _, err := l.Commit(context.Background(), found); err != nil {
			return err
		}
	} else if s.ClusterName != l.cfg.ClusterName {
		return fmt.Errorf("cluster: saved cluster name %s != configured name %s", s.ClusterName, l.cfg.ClusterName)
	} else if s.Partitioner != l.cfg.Partitioner {
		return fmt.Errorf("cluster: saved partitioner %s != configured %s: data on disk is in the old order",
			s.Partitioner.Name(), l.cfg.Partitioner.Name())
	}
	if _, err := l.Commit(context.Background(), meta.Install{Keyspaces: l.cfg.Install}); err != nil {
		return err
	}
	node := l.cfg.Node
	node.HostID = l.self
	var err error
	if node.Tokens, err = l.tokens(); err != nil {
		return err
	}
	_, err = l.Commit(context.Background(), meta.Register{Node: node})
	return err
}

// tokens are the ones this node has, else those configured, else random ones.
func (l *Log) tokens() ([]token.Token, error) {
	want := l.cfg.NumTokens
	if len(l.cfg.InitialTokens) > 0 {
		want = len(l.cfg.InitialTokens)
	}
	if have := l.State().Node(l.self); have != nil {
		if len(have.Tokens) != want {
			return nil, fmt.Errorf("cluster: cannot change the number of tokens from %d to %d", len(have.Tokens), want)
		}
		return have.Tokens, nil
	}
	tokens := slices.Clone(l.cfg.InitialTokens)
	for len(tokens) < want {
		var key [16]byte
		if _, err := io.ReadFull(l.cfg.Rand, key[:]); err != nil {
			return nil, fmt.Errorf("cluster: make a token: %w", err)
		}
		if t := l.cfg.Partitioner.Token(key[:]); !slices.Contains(tokens, t) {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}
