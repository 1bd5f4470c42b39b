package commitlog

import (
	"fmt"
	"path/filepath"

	"helenus/internal/assert"
	"helenus/store/vfs"
)

// segment is a part of the log; its file is its slot's.
type segment struct {
	id          uint64
	firstLive   uint64 // at the time it was begun
	previousEnd uint32
	end         uint32             // offset behind its last sealed block
	groups      uint32             // sealed ones
	dirty       map[TableID]uint32 // tables that need it, with the offset of their last record
	slot        *slot              // nil until its first group is written
}

// slot is a file, whatever segment it holds now.
type slot struct {
	number int
	size   int64
	seg    *segment // what it holds; nil: free
	file   vfs.File // open while the segment takes groups
}

const slotPattern = "commitlog-%08d.log"

func (l *Log) slotPath(number int) string {
	return filepath.Join(l.dir, fmt.Sprintf(slotPattern, number))
}

// rollLocked begins the next segment; its file is the syncer's to find, when
// the first group gets there. Which segments are over is decided here, so that
// the header says nothing that a later, perhaps never durable marker implies.
func (l *Log) rollLocked() {
	old := l.live[len(l.live)-1]
	assert.That(old.groups > 0, "commitlog: segment %d left empty", old.id)
	l.retireLocked(len(l.live))
	next := &segment{id: old.id + 1, firstLive: old.id + 1, previousEnd: old.end, end: uint32(l.opts.BlockSize), dirty: map[TableID]uint32{}}
	if len(l.live) > 0 {
		next.firstLive = l.live[0].id
	}
	l.live = append(l.live, next)
}

// retireLocked moves the oldest segments that nobody needs out of the log, at
// most max of them. Only from the oldest on: were a newer one dropped while an
// older one stays, a replay could bring back what the newer one deleted.
func (l *Log) retireLocked(max int) {
	n := 0
	for n < max && len(l.live[n].dirty) == 0 {
		n++
	}
	l.clean = append(l.clean, l.live[:n]...)
	l.live = append(l.live[:0], l.live[n:]...)
}

// openSegment gives a segment its file and makes its header durable, and with
// it the fact that segments before firstLive are free.
func (l *Log) openSegment(seg *segment) error {
	if l.active != nil {
		err := l.active.file.Close()
		l.active = nil
		if err != nil {
			return err
		}
	}
	s, err := l.takeSlot()
	if err != nil {
		return err
	}
	l.active = s
	header := make([]byte, 0, l.opts.BlockSize)
	header = appendSegmentHeader(header, segmentHeader{
		id: seg.id, firstLive: seg.firstLive, previousEnd: seg.previousEnd,
		segmentSize: uint32(l.opts.SegmentSize), blockSize: uint32(l.opts.BlockSize),
	})
	if _, err := s.file.WriteAt(header[:l.opts.BlockSize], 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	s.seg, seg.slot = seg, s
	l.mu.Unlock()
	if err := l.freeBefore(seg.firstLive); err != nil {
		return err
	}
	notify(l.prepare)
	return nil
}

// takeSlot finds a file to overwrite, or makes one.
func (l *Log) takeSlot() (*slot, error) {
	l.mu.Lock()
	if n := len(l.files); n > 0 {
		s := l.files[0]
		l.files = append(l.files[:0], l.files[1:]...)
		l.stats.Recycled++
		l.mu.Unlock()
		var err error
		s.file, err = l.fs.OpenReadWrite(l.slotPath(s.number))
		return s, err
	}
	s := &slot{number: l.nextSlot, size: int64(l.opts.SegmentSize)}
	l.nextSlot++
	l.mu.Unlock()
	f, err := l.fs.Create(l.slotPath(s.number))
	if err != nil {
		return nil, err
	}
	s.file = f
	// Its length becomes durable with the header.
	if err = f.Preallocate(s.size); err == nil {
		err = l.fs.SyncDir(l.dir)
	}
	if err != nil {
		f.Close()
	}
	return s, err
}

// freeBefore lets the files of segments before firstLive be overwritten. The
// durable header says that they are not part of the log, so that a removal
// needs no sync.
func (l *Log) freeBefore(firstLive uint64) error {
	l.mu.Lock()
	var surplus []*slot
	kept := l.clean[:0]
	for _, seg := range l.clean {
		switch {
		case seg.id >= firstLive:
			kept = append(kept, seg)
		case seg.slot == nil: // never written to
		default:
			seg.slot.seg = nil
			surplus = append(surplus, l.pooledLocked(seg.slot)...)
		}
	}
	clear(l.clean[len(kept):])
	l.clean = kept
	l.mu.Unlock()
	for _, s := range surplus {
		if err := l.fs.Remove(l.slotPath(s.number)); err != nil {
			return err
		}
	}
	return nil
}

// pooledLocked keeps a free file, or gives it back as surplus.
func (l *Log) pooledLocked(s *slot) (surplus []*slot) {
	if s.size != int64(l.opts.SegmentSize) || len(l.files) >= l.opts.FreeSegmentsMax {
		return []*slot{s}
	}
	l.files = append(l.files, s)
	return nil
}
