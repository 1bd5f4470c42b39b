package commitlog

import "fmt"

// Discard says that no record of table at or before upTo needs replay: its
// updates are in durable SSTables, or the table was truncated or dropped. A
// marker record makes that durable with the next group; w, if not nil, is
// completed when it is, and makes it be synced at once. Segments that nobody
// needs any more are overwritten from the oldest on, when the next segment
// begins. Like Append, Discard may block for a buffer.
func (l *Log) Discard(table TableID, upTo Position, w Waiter) error {
	body := appendMarker(make([]byte, 0, markerSize), table, upTo)
	l.mu.Lock()
	if err := l.discardLocked(table, upTo, body); err != nil {
		l.mu.Unlock()
		return err
	}
	inline := w != nil && !l.awaitLocked(w)
	l.mu.Unlock()
	if inline {
		w.Synced(nil)
	}
	return nil
}

// DiscardSync is Discard that returns when the marker is durable.
func (l *Log) DiscardSync(table TableID, upTo Position) error {
	done := make(chanWaiter, 1)
	if err := l.Discard(table, upTo, done); err != nil {
		return err
	}
	return <-done
}

type chanWaiter chan error

func (c chanWaiter) Synced(err error) { c <- err }

func (l *Log) discardLocked(table TableID, upTo Position, body []byte) error {
	if err := l.usableLocked(); err != nil {
		return err
	}
	if upTo.Compare(l.appended) > 0 {
		return fmt.Errorf("commitlog: discard of table %x up to %s, but the log ends at %s", table, upTo, l.appended)
	}
	if !l.holdsLocked(table, upTo) {
		return nil
	}
	g, err := l.reserveLocked(frameSize + len(body))
	if err != nil {
		return err
	}
	l.putBodyLocked(g, body)
	for _, seg := range l.live {
		if last, ok := seg.dirty[table]; ok && (Position{seg.id, last}).Compare(upTo) <= 0 {
			delete(seg.dirty, table)
		}
	}
	l.retireLocked(len(l.live) - 1) // the last still takes records
	return nil
}

// holdsLocked tells whether a segment up to upTo may have uncovered records of
// table. If none has, an older marker says all there is to say.
func (l *Log) holdsLocked(table TableID, upTo Position) bool {
	for _, seg := range l.live {
		if seg.id > upTo.Segment {
			return false
		}
		if _, ok := seg.dirty[table]; ok {
			return true
		}
	}
	return false
}

// TotalSize is the bytes of the segments that somebody needs, or that take
// records.
func (l *Log) TotalSize() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := int64(0)
	for _, seg := range l.live {
		if seg.slot != nil {
			total += seg.slot.size
		} else {
			total += int64(l.opts.SegmentSize)
		}
	}
	return total
}

// OldestDirty gives the tables whose flush would free the oldest segment, in no
// order, and the last position in that segment that matters.
func (l *Log) OldestDirty() (tables []TableID, last Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seg := range l.live {
		if len(seg.dirty) == 0 {
			continue
		}
		last.Segment = seg.id
		for t, off := range seg.dirty {
			tables = append(tables, t)
			last.Offset = max(last.Offset, off)
		}
		return tables, last
	}
	return nil, Position{}
}
