package commitlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"helenus/store/vfs"
)

// found is what Open saw in the directory.
type found struct {
	live []foundSegment // oldest first, without gaps
	free []*slot
}

// foundSegment is one segment that may have to be replayed.
type foundSegment struct {
	segmentHeader
	slot *slot
}

// Open prepares the log in dir, which it makes if need be. It reads headers
// only and writes nothing; Replay must follow before the first append. The
// caller holds a lock that keeps other processes out.
func Open(fs vfs.FS, dir string, opts Options) (*Log, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{fs: fs, dir: dir, opts: opts, nextSlot: 1,
		wake: make(chan struct{}, 1), complete: make(chan struct{}, 1),
		stopped: make(chan struct{}), completed: make(chan struct{}),
		prepare: make(chan struct{}, 1), prepared: make(chan struct{})}
	l.space = sync.NewCond(&l.mu)
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("commitlog: open: %w", err)
	}
	if err := l.survey(); err != nil {
		return nil, err
	}
	return l, nil
}

// survey sorts the files of the directory into segments of the log and free
// ones.
func (l *Log) survey() error {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return fmt.Errorf("commitlog: open: %w", err)
	}
	var all []foundSegment
	var headless []*slot
	for _, name := range names {
		s := &slot{}
		if _, err := fmt.Sscanf(name, slotPattern, &s.number); err != nil || fmt.Sprintf(slotPattern, s.number) != name {
			continue
		}
		l.nextSlot = max(l.nextSlot, s.number+1)
		h, ok, err := l.readHeader(s)
		if err != nil {
			return fmt.Errorf("commitlog: open %s: %w", name, err)
		}
		if ok {
			all = append(all, foundSegment{h, s})
		} else {
			headless = append(headless, s)
		}
	}
	slices.SortStableFunc(all, func(a, b foundSegment) int {
		return Position{Segment: a.id}.Compare(Position{Segment: b.id})
	})
	if err := l.chooseLive(all); err != nil {
		return err
	}
	return l.checkHeadless(headless)
}

func (l *Log) readHeader(s *slot) (h segmentHeader, ok bool, err error) {
	f, err := l.fs.OpenRead(l.slotPath(s.number))
	if err != nil {
		return h, false, err
	}
	defer f.Close()
	if s.size, err = f.Size(); err != nil {
		return h, false, err
	}
	buf := make([]byte, headerSize)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, false, err
	}
	return parseSegmentHeader(buf[:n])
}

// chooseLive takes the segments that the newest header calls live; each of
// them must be there, once and in full length.
func (l *Log) chooseLive(all []foundSegment) error {
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1]
	want := newest.firstLive
	for _, seg := range all {
		switch {
		case seg.id < newest.firstLive:
			l.found.free = append(l.found.free, seg.slot)
		case seg.id < want:
			return l.corrupt(seg, 0, "a second file holds the same segment")
		case seg.id > want:
			return &CorruptError{Segment: want, File: l.dir, Reason: "no file holds the segment"}
		case seg.slot.size < int64(seg.segmentSize):
			return l.corrupt(seg, uint32(seg.slot.size), "the file has been cut")
		default:
			l.found.live = append(l.found.live, seg)
			want++
		}
	}
	return nil
}

// checkHeadless frees files without a readable header, unless their first block
// shows that the header was damaged: a header is durable before the first
// block is written, so that block belongs to a segment that should be known.
func (l *Log) checkHeadless(headless []*slot) error {
	newest := uint64(0)
	if n := len(l.found.live); n > 0 {
		newest = l.found.live[n-1].id
	}
	for _, s := range headless {
		id, err := l.firstBlockOf(s)
		if err != nil {
			return fmt.Errorf("commitlog: open %s: %w", l.slotPath(s.number), err)
		}
		if id > newest {
			return &CorruptError{Segment: id, File: l.slotPath(s.number), Reason: "segment header"}
		}
		l.found.free = append(l.found.free, s)
	}
	slices.SortFunc(l.found.free, func(a, b *slot) int { return a.number - b.number })
	return nil
}

// firstBlockOf gives the segment whose first block of records is in a file, of
// whatever block size; 0 if there is none.
func (l *Log) firstBlockOf(s *slot) (uint64, error) {
	f, err := l.fs.OpenRead(l.slotPath(s.number))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 2*maxBlockSize)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for size := minBlockSize; size <= maxBlockSize && 2*size <= n; size *= 2 {
		if h, _, ok := parseBlock(buf[size : 2*size]); ok && h.index == 1 && h.group == 1 {
			return h.segment, nil
		}
	}
	return 0, nil
}

func (l *Log) corrupt(seg foundSegment, offset uint32, reason string) error {
	return &CorruptError{Segment: seg.id, Offset: offset, File: l.slotPath(seg.slot.number), Reason: reason}
}
