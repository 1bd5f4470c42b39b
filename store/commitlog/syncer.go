package commitlog

import (
	"fmt"
	"time"
)

// run is the syncer: it alone writes to segments. One group is durable before
// the next is written; replay relies on it.
func (l *Log) run() {
	defer close(l.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		g, wait, stop := l.nextGroup()
		switch {
		case g != nil:
			l.finish(g, l.write(g))
		case stop:
			l.closeActive()
			return
		case wait > 0:
			timer.Reset(wait)
			select {
			case <-l.wake:
			case <-timer.C:
			}
		default:
			<-l.wake
		}
	}
}

// nextGroup takes the next group to write. If it gives none, wait is how long
// the records that are filling may still wait for others; 0: there are none.
func (l *Log) nextGroup() (g *group, wait time.Duration, stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, 0, true
	}
	if f := l.filling; f != nil && f.wanted && len(l.queue) == 0 {
		if delay := l.opts.delay(); delay > 0 && !f.urgent {
			wait = delay - time.Since(f.first)
		}
		if wait <= 0 {
			l.sealLocked()
		}
	}
	if len(l.queue) > 0 {
		g = l.queue[0]
		l.queue = l.queue[:copy(l.queue, l.queue[1:])]
		l.inflight = g
		return g, 0, false
	}
	return nil, wait, l.drained
}

// write makes a group durable.
func (l *Log) write(g *group) error {
	started := time.Now()
	if l.active == nil || l.active.seg != g.seg {
		if err := l.openSegment(g.seg); err != nil {
			return fmt.Errorf("commitlog: start segment %d: %w", g.seg.id, err)
		}
	}
	g.frame(l.opts.BlockSize)
	if _, err := l.active.file.WriteAt(g.buf, int64(g.start)); err != nil {
		return fmt.Errorf("commitlog: write segment %d: %w", g.seg.id, err)
	}
	if err := l.active.file.Sync(); err != nil {
		return fmt.Errorf("commitlog: sync segment %d: %w", g.seg.id, err)
	}
	l.mu.Lock()
	l.stats.SyncTime += time.Since(started)
	l.mu.Unlock()
	return nil
}

// finish hands the waiters of a group to the completer.
func (l *Log) finish(g *group, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inflight = nil
	if err != nil {
		l.failLocked(err)
	} else {
		l.synced = g.last
		l.stats.Syncs++
		l.stats.BytesWritten += uint64(len(g.buf))
	}
	l.completeLocked(g, err)
	l.releaseLocked(g)
}

// failLocked ends the log: nothing that is not durable will ever be.
func (l *Log) failLocked(err error) {
	l.err = err
	if l.filling != nil {
		l.queue = append(l.queue, l.filling)
		l.filling = nil
	}
	for _, g := range l.queue {
		l.completeLocked(g, err)
		l.releaseLocked(g)
	}
	l.queue = nil
	l.space.Broadcast()
}

func (l *Log) completeLocked(g *group, err error) {
	if len(g.waiters) == 0 {
		return
	}
	l.stats.Waiting -= len(g.waiters)
	l.done = append(l.done, completion{g.waiters, err})
	g.waiters = nil
	if n := len(l.spare); n > 0 {
		g.waiters, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	notify(l.complete)
}

// runCompleter calls OnSynced, apart from the syncer: the next group is being
// synced meanwhile, and a callback that appends cannot block the goroutine that
// would make room for it.
func (l *Log) runCompleter() {
	defer close(l.completed)
	var batch []completion
	for {
		stop := false
		select {
		case <-l.complete:
		case <-l.stopped:
			stop = true
		}
		l.mu.Lock()
		batch, l.done = l.done, batch[:0]
		l.mu.Unlock()
		for _, c := range batch {
			l.opts.OnSynced(c.ws, c.err)
		}
		l.mu.Lock()
		for i, c := range batch {
			clear(c.ws)
			if len(l.spare) < groupsMax {
				l.spare = append(l.spare, c.ws[:0])
			}
			batch[i] = completion{}
		}
		l.mu.Unlock()
		if stop {
			return
		}
	}
}

func (l *Log) closeActive() {
	if l.active == nil {
		return
	}
	err := l.active.file.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.err == nil {
		l.err = err
	}
	l.active = nil
}
