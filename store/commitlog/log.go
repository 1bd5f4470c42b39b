package commitlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"helenus/internal/assert"
	"helenus/store/vfs"
)

// Log is an open commit log. All methods may be called by many goroutines at
// once, Replay and Close excepted.
type Log struct {
	fs   vfs.FS
	dir  string
	opts Options

	mu sync.Mutex
	// Guarded by mu:
	replayed bool
	closing  bool       // takes no more records
	drained  bool       // and the closing record is queued: the syncer may end
	err      error      // final: the write or sync error, or ErrClosed
	live     []*segment // oldest first; the last takes appends
	clean    []*segment // hold nothing needed, free once a header says so
	files    []*slot    // free for overwriting
	nextSlot int
	filling  *group   // nil when nothing is buffered
	queue    []*group // sealed, oldest first
	inflight *group
	idle     []*group
	made     int        // groups that exist, at most groupsMax
	space    *sync.Cond // a group was synced, or the log failed
	blocked  int        // appenders waiting for space
	appended Position
	synced   Position
	done     []completion
	spare    [][]Waiter
	stats    Stats
	scratch  [frameSize + dataOverhead + markerSize]byte

	wake      chan struct{} // capacity 1: the syncer has something new to look at
	complete  chan struct{} // capacity 1: the completer has
	stopped   chan struct{} // closed when the syncer has returned
	completed chan struct{} // closed when the completer has returned
	prepare   chan struct{} // capacity 1: a file may have to be prepared
	prepared  chan struct{} // closed when the preparer has returned

	active *slot // the syncer's: the file of the segment being written
	found  found // Open's, for Replay
}

// Stats is a snapshot of counters.
type Stats struct {
	Appends       uint64 // records, markers included
	Bytes         uint64 // of these, with their framing
	BytesWritten  uint64 // whole blocks
	Syncs         uint64
	SyncTime      time.Duration // spent in writing and syncing
	Blocked       uint64        // appends that had to wait for a buffer or a late sync
	Recycled      uint64        // segments overwritten instead of made
	Waiting       int           // waiters not yet handed over for completion
	BufferedBytes int           // not yet durable
	LiveSegments  int
	FreeSegments  int
}

// completion is the waiters of one sync.
type completion struct {
	ws  []Waiter
	err error
}

// Append adds a record of the given tables, at least one, whose payload is the
// concatenation of parts; nothing is kept of the arguments but w. It returns
// where the record is. w may be nil; else it is completed exactly once, if and
// only if Append returns no error: in Periodic mode before Append returns,
// otherwise through Options.OnSynced.
//
// Memory is bounded by groupsMax groups: when the disk is that far behind,
// Append blocks until a sync returns or the log fails. In Periodic mode it also
// blocks while the oldest unsynced record is older than 1.5 periods.
func (l *Log) Append(tables []TableID, w Waiter, parts ...[]byte) (Position, error) {
	size := dataOverhead + len(tables)*len(TableID{})
	payload := 0
	for _, p := range parts {
		payload += len(p)
	}
	size += payload
	if err := l.checkSize(payload, size, len(tables)); err != nil {
		return Position{}, err
	}
	l.mu.Lock()
	g, err := l.reserveLocked(frameSize + size)
	if err != nil {
		l.mu.Unlock()
		return Position{}, err
	}
	pos := l.putDataLocked(g, size, tables, parts)
	for _, t := range tables {
		g.seg.dirty[t] = pos.Offset
	}
	l.wantLocked(g)
	periodic := l.opts.Mode == Periodic
	if w != nil && !periodic {
		g.waiters = append(g.waiters, w)
		l.stats.Waiting++
	}
	l.mu.Unlock()
	if w != nil && periodic {
		w.Synced(nil)
	}
	return pos, nil
}

// MaxPayload is the largest payload that Append takes.
func (l *Log) MaxPayload() int { return l.opts.SegmentSize / 2 }

func (l *Log) checkSize(payload, size, tables int) error {
	if tables == 0 || tables > tablesMax {
		assert.That(false, "commitlog: a record of %d tables", tables)
	}
	limit := l.MaxPayload()
	capacity := (l.opts.SegmentSize/l.opts.BlockSize - 2) * (l.opts.BlockSize - blockHeaderSize)
	if payload > limit {
		return &TooLargeError{payload, limit}
	}
	if frameSize+size > capacity { // only with tiny segments and many tables
		return &TooLargeError{frameSize + size, capacity}
	}
	return nil
}

// reserveLocked finds the group that takes a record of size bytes, frame
// included. It may let go of the mutex to wait.
func (l *Log) reserveLocked(size int) (*group, error) {
	for {
		if err := l.usableLocked(); err != nil {
			return nil, err
		}
		if l.lateLocked() {
			l.waitLocked()
			continue
		}
		g := l.filling
		if g == nil {
			if g = l.newGroupLocked(); g == nil {
				l.waitLocked()
				continue
			}
			l.filling = g
		}
		// The last block is kept for the closing record.
		blocks := g.blocksFor(size, l.opts.BlockSize)
		end := int(g.start) + len(g.buf) + blocks*l.opts.BlockSize
		switch {
		case end > l.opts.SegmentSize-l.opts.BlockSize:
			l.sealLocked()
			l.rollLocked()
		case g.records > 0 && len(g.buf)+blocks*l.opts.BlockSize > l.opts.BufferSize:
			l.sealLocked()
		default:
			return g, nil
		}
	}
}

func (l *Log) usableLocked() error {
	switch {
	case l.err != nil:
		return l.err
	case l.closing:
		return ErrClosed
	case !l.replayed:
		return ErrNotReplayed
	}
	return nil
}

// lateLocked tells whether Periodic mode must not promise more.
func (l *Log) lateLocked() bool {
	if l.opts.Mode != Periodic {
		return false
	}
	oldest := l.filling
	if len(l.queue) > 0 {
		oldest = l.queue[0]
	}
	if l.inflight != nil {
		oldest = l.inflight
	}
	return oldest != nil && oldest.records > 0 && time.Since(oldest.first) > l.opts.Period*lateNumerator/2
}

func (l *Log) waitLocked() {
	l.stats.Blocked++
	l.blocked++
	l.space.Wait()
	l.blocked--
}

// newGroupLocked starts a group at the end of the last segment, or gives nil
// when all buffers are in use.
func (l *Log) newGroupLocked() *group {
	var g *group
	switch {
	case len(l.idle) > 0:
		g = l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
	case l.made < groupsMax:
		l.made++
		g = &group{}
	default:
		return nil
	}
	g.seg = l.live[len(l.live)-1]
	g.start, g.number = g.seg.end, g.seg.groups+1
	return g
}

// putDataLocked copies a data record under the mutex: for records of the usual
// size that is cheaper than a second lock to tell the syncer of the copy's end.
func (l *Log) putDataLocked(g *group, size int, tables []TableID, parts [][]byte) Position {
	head := l.scratch[:frameSize+dataOverhead]
	binary.LittleEndian.PutUint32(head, uint32(size))
	head[frameSize] = kindData
	binary.LittleEndian.PutUint16(head[frameSize+1:], uint16(len(tables)))
	crc := crc32.Update(0, castagnoli, head[:4])
	crc = crc32.Update(crc, castagnoli, head[frameSize:])
	for i := range tables {
		crc = crc32.Update(crc, castagnoli, tables[i][:])
	}
	for _, p := range parts {
		crc = crc32.Update(crc, castagnoli, p)
	}
	binary.LittleEndian.PutUint32(head[4:], crc)

	pos := g.next()
	g.put(head, l.opts.BlockSize)
	for i := range tables {
		g.put(tables[i][:], l.opts.BlockSize)
	}
	for _, p := range parts {
		g.put(p, l.opts.BlockSize)
	}
	l.appendedLocked(g, pos, frameSize+size)
	return pos
}

// putBodyLocked copies a record of ours, kind included.
func (l *Log) putBodyLocked(g *group, body []byte) Position {
	head := l.scratch[:frameSize]
	binary.LittleEndian.PutUint32(head, uint32(len(body)))
	crc := crc32.Update(0, castagnoli, head[:4])
	binary.LittleEndian.PutUint32(head[4:], crc32.Update(crc, castagnoli, body))
	pos := g.next()
	g.put(head, l.opts.BlockSize)
	g.put(body, l.opts.BlockSize)
	l.appendedLocked(g, pos, frameSize+len(body))
	return pos
}

func (l *Log) appendedLocked(g *group, pos Position, size int) {
	if g.records == 0 && l.opts.delay() > 0 {
		g.first = time.Now()
	}
	g.records++
	g.last, l.appended = pos, pos
	l.stats.Appends++
	l.stats.Bytes += uint64(size)
}

// wantLocked lets the syncer know of a group, once.
func (l *Log) wantLocked(g *group) {
	if !g.wanted {
		g.wanted = true
		notify(l.wake)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sealLocked hands what is filling to the syncer.
func (l *Log) sealLocked() {
	g := l.filling
	l.filling = nil
	if g == nil {
		return
	}
	if g.records == 0 {
		assert.That(len(g.waiters) == 0, "commitlog: waiters of an empty group")
		l.releaseLocked(g)
		return
	}
	g.seg.end += uint32(len(g.buf))
	g.seg.groups++
	l.queue = append(l.queue, g)
	notify(l.wake)
}

func (l *Log) releaseLocked(g *group) {
	g.reset(l.opts.BufferSize)
	l.idle = append(l.idle, g)
	if l.blocked > 0 {
		l.space.Broadcast()
	}
}

// Sync completes w when everything appended before is durable, in every mode,
// and without waiting for a window or period.
func (l *Log) Sync(w Waiter) error {
	l.mu.Lock()
	if err := l.usableLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	if !l.awaitLocked(w) {
		l.mu.Unlock()
		w.Synced(nil)
		return nil
	}
	l.mu.Unlock()
	return nil
}

// awaitLocked adds w to the last group that is not durable; false: there is none.
func (l *Log) awaitLocked(w Waiter) bool {
	g := l.inflight
	if len(l.queue) > 0 {
		g = l.queue[len(l.queue)-1]
	}
	if l.filling != nil && l.filling.records > 0 {
		g = l.filling
		g.wanted, g.urgent = true, true
		notify(l.wake)
	}
	if g == nil {
		return false
	}
	g.waiters = append(g.waiters, w)
	l.stats.Waiting++
	return true
}

// Appended is the position of the last record; everything at or before it has
// been appended.
func (l *Log) Appended() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appended
}

// Synced is the position of the last record known to be durable.
func (l *Log) Synced() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.synced
}

// Err is the error that made the log fail, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Stats gives the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.LiveSegments, s.FreeSegments = len(l.live), len(l.files)
	for _, g := range append([]*group{l.filling, l.inflight}, l.queue...) {
		if g != nil {
			s.BufferedBytes += len(g.buf)
		}
	}
	return s
}

// Close syncs what is buffered, completes all waiters and writes the closing
// record, by which damage of the last group will not pass for a torn tail.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	if !l.replayed {
		l.closing = true
		l.mu.Unlock()
		return nil
	}
	l.closeLocked()
	l.mu.Unlock()
	<-l.stopped
	<-l.completed
	<-l.prepared
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return fmt.Errorf("commitlog: close: %w", l.err)
	}
	l.err = ErrClosed
	return nil
}

// closeLocked puts the closing record into a group of its own: only a later
// group proves that the one before it was durable.
func (l *Log) closeLocked() {
	l.closing = true
	l.sealLocked()
	for l.err == nil && l.live[len(l.live)-1].groups > 0 {
		if g := l.newGroupLocked(); g != nil {
			l.filling = g
			l.putBodyLocked(g, []byte{kindClosed})
			l.sealLocked()
			break
		}
		l.waitLocked()
	}
	l.drained = true
	notify(l.wake)
}
