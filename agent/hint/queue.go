package hint

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"helenus"
	"helenus/internal/cql/schema"
	"helenus/store/vfs"
)

// queue is what is kept for one node, oldest first: segments, then the buffer.
// Its fields are guarded by Hints.mu, but file, which only Run touches.
type queue struct {
	host      helenus.HostID
	downSince int64 // milliseconds since 1970; 0: it is not down
	oldest    int64 // of what is not delivered; 0: there is nothing
	bytes     int64 // that are not delivered

	segments []*segment
	offset   int64 // what is delivered of the first segment
	buffer   []byte
	spare    []byte
	waiting  []func(bool) // for the buffer to be durable
	garbage  []string     // segments to be removed
	skips    int          // how often everything was dropped

	delivering bool
	sending    chan struct{} // closed when what is on its way has been answered; nil: nothing is
	retryAt    time.Time
	missed     map[schema.TableID]int64

	number uint64 // of the last segment
	file   vfs.File
	active *segment // that file is of
}

// segment is a file of a queue; size is what is written and synced.
type segment struct {
	number uint64
	size   int64
}

// tooLate tells whether a node is away for so long that no more hints are kept:
// since it went down, or since the oldest hint that it did not take.
func (q *queue) tooLate(now time.Time, window time.Duration) bool {
	if window <= 0 {
		return false
	}
	from := now.Add(-window).UnixMilli()
	return q.downSince != 0 && q.downSince < from || q.oldest != 0 && q.oldest < from
}

// skipLocked drops all that is written.
func (q *queue) skipLocked() {
	for _, s := range q.segments {
		q.garbage = append(q.garbage, segmentName(q.host, s.number))
	}
	q.segments, q.offset, q.bytes, q.oldest = nil, segmentHeader, 0, 0
	q.skips++
}

// advanceLocked notes that a segment is delivered up to an offset, its last hint
// there being of the time created, and gives up one that is delivered as a whole, unless more may be written to it.
func (q *queue) advanceLocked(s *segment, offset, created int64) {
	if len(q.segments) == 0 || q.segments[0] != s || offset < q.offset {
		return // it was dropped
	}
	q.bytes -= offset - q.offset
	q.offset = offset
	if created != 0 {
		q.oldest = created // or a little later
	}
	if q.bytes == 0 {
		q.oldest = 0
	}
	if offset >= s.size && len(q.segments) > 1 {
		q.garbage = append(q.garbage, segmentName(q.host, s.number))
		q.segments, q.offset = q.segments[1:], segmentHeader
	}
}

// findLocked is the queue of a node, nil if there is none.
func (h *Hints) findLocked(host helenus.HostID) *queue {
	i, ok := h.searchLocked(host)
	if !ok {
		return nil
	}
	return h.queues[i]
}

func (h *Hints) searchLocked(host helenus.HostID) (int, bool) {
	return slices.BinarySearchFunc(h.queues, host, func(q *queue, host helenus.HostID) int { return bytes.Compare(q.host[:], host[:]) })
}

// queueLocked is the queue of a node, a new one if there is none.
func (h *Hints) queueLocked(host helenus.HostID) *queue {
	i, ok := h.searchLocked(host)
	if !ok {
		h.queues = slices.Insert(h.queues, i, &queue{host: host, offset: segmentHeader})
	}
	return h.queues[i]
}

// findSegments lists the files there are, after the notes were read.
func (h *Hints) findSegments() error {
	names, err := h.opts.FS.List(h.opts.Dir)
	if err != nil {
		return fmt.Errorf("hint: %w", err)
	}
	for _, name := range names { // sorted: of one host, by number
		host, number, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		info, err := h.opts.FS.Stat(h.opts.Dir + "/" + name)
		if err != nil {
			return fmt.Errorf("hint: %w", err)
		}
		q := h.queueLocked(host)
		if number < q.number { // delivered, as the notes say
			q.garbage = append(q.garbage, name)
			continue
		}
		q.segments = append(q.segments, &segment{number: number, size: info.Size})
	}
	for _, q := range h.queues {
		h.adopt(q)
	}
	return nil
}

// adopt counts what a queue holds after a start.
func (h *Hints) adopt(q *queue) {
	noted := q.number
	if len(q.segments) == 0 {
		q.offset = segmentHeader
		return
	}
	if q.segments[0].number != noted {
		q.offset = segmentHeader
	}
	for _, s := range q.segments {
		q.bytes += max(0, s.size-segmentHeader)
		q.number = max(q.number, s.number)
	}
	q.bytes = max(0, q.bytes-(q.offset-segmentHeader))
	q.oldest = h.opts.Now().UnixMilli()
	r, err := h.openReader(q.host, q.segments[0], q.offset)
	if err != nil {
		return // delivery meets it again, and says so
	}
	defer r.file.Close()
	if rec, _, err := r.next(); err == nil {
		q.oldest = rec.created
	}
}

func (h *Hints) openReader(host helenus.HostID, s *segment, offset int64) (*segmentReader, error) {
	name := h.opts.Dir + "/" + segmentName(host, s.number)
	f, err := h.opts.FS.OpenRead(name)
	if err != nil {
		return nil, err
	}
	header := make([]byte, segmentHeader)
	if n, _ := f.ReadAt(header, 0); n < len(header) {
		err = errShort
	} else {
		err = checkHeader(header, host)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &segmentReader{file: f, offset: offset, end: s.size}, nil
}

// flush writes what a queue has in memory, syncs it and tells who waits for that.
func (h *Hints) flush(q *queue) {
	h.mu.Lock()
	buffer, waiting, skips := q.buffer, q.waiting, q.skips
	q.buffer, q.spare, q.waiting = q.spare[:0], nil, nil
	h.mu.Unlock()
	var err error
	if len(buffer) > 0 {
		err = h.write(q, buffer)
	}
	kept := h.flushed(q, buffer, skips, err)
	for _, done := range waiting {
		done(kept)
	}
}

// flushed takes a buffer that was written over into the queue, unless everything
// was dropped in the meantime.
func (h *Hints) flushed(q *queue, buffer []byte, skips int, err error) (kept bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buffered -= int64(len(buffer))
	if cap(buffer) <= 2*wakeBytes {
		q.spare = buffer[:0]
	}
	switch {
	case q.skips != skips || len(buffer) == 0:
		return false
	case err != nil:
		h.opts.Log.Error("hints are lost; the node needs repair", "node", q.host.String(), "bytes", len(buffer), "error", err)
		q.bytes -= int64(len(buffer))
		for b := buffer; len(b) > 0; {
			r, size, _, err := parseRecord(b)
			if err != nil {
				break
			}
			h.missedLocked(q, r.mutation, h.opts.Now())
			b = b[size:]
		}
		return false
	}
	if len(q.segments) == 0 || q.segments[len(q.segments)-1] != q.active {
		q.segments = append(q.segments, q.active)
	}
	q.active.size += int64(len(buffer))
	return true
}

// write appends to the last segment, or to a new one. Only Run calls it.
func (h *Hints) write(q *queue, b []byte) error {
	if q.file != nil && q.active.size >= h.opts.SegmentBytes {
		h.closeFile(q)
	}
	if q.file == nil {
		if err := h.createSegment(q); err != nil {
			return err
		}
	}
	_, err := q.file.Write(b)
	if err == nil {
		err = q.file.Sync()
	}
	if err != nil {
		h.closeFile(q) // what is in it behind its size is nobody's
	}
	return err
}

func (h *Hints) createSegment(q *queue) error {
	h.mu.Lock()
	q.number++
	s := &segment{number: q.number, size: segmentHeader}
	h.mu.Unlock()
	f, err := h.opts.FS.Create(h.opts.Dir + "/" + segmentName(q.host, s.number))
	if err != nil {
		return err
	}
	if _, err = f.Write(appendHeader(nil, q.host)); err == nil {
		err = h.opts.FS.SyncDir(h.opts.Dir)
	}
	if err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	q.file, q.active = f, s
	return nil
}

func (h *Hints) closeFile(q *queue) {
	if q.file == nil {
		return
	}
	if err := q.file.Close(); err != nil {
		h.opts.Log.Warn("close a file of hints", "node", q.host.String(), "error", err)
	}
	q.file, q.active = nil, nil
}

// collect removes the files that hold nothing any more.
func (h *Hints) collect(q *queue) {
	h.mu.Lock()
	if n := len(q.segments); n == 1 && len(q.buffer) == 0 && !q.delivering && q.offset >= q.segments[0].size {
		q.garbage = append(q.garbage, segmentName(q.host, q.segments[0].number))
		q.segments, q.offset, q.bytes, q.oldest = nil, segmentHeader, 0, 0
		h.dirty = true
	}
	garbage, last := q.garbage, len(q.segments) == 0
	q.garbage = nil
	h.mu.Unlock()
	if last || q.active != nil && slices.Contains(garbage, segmentName(q.host, q.active.number)) {
		h.closeFile(q)
	}
	for _, name := range garbage {
		if err := h.opts.FS.Remove(h.opts.Dir + "/" + name); err != nil {
			h.opts.Log.Warn("remove a file of hints", "file", name, "error", err)
		}
	}
}
