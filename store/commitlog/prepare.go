package commitlog

import (
	"time"

	"helenus/store/vfs"
)

// Overwriting a block that was written before needs no new metadata of the file
// system, so its sync is cheaper than that of a block which is only allocated.
// Segments that are used again have it for nothing; until there are any, the
// preparer writes the next one full of zeros, in pieces with pauses between, so
// that it is never in the way of the syncer for long.
const preparePiece = 256 << 10

// runPreparer keeps one file ready. What fails here is not an error yet: the
// syncer makes a file itself when there is none, and meets the error then.
func (l *Log) runPreparer() {
	defer close(l.prepared)
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		select {
		case <-l.stopped:
			return
		case <-l.prepare:
		}
		l.mu.Lock()
		if len(l.files) > 0 || l.err != nil {
			l.mu.Unlock()
			continue
		}
		s := &slot{number: l.nextSlot, size: int64(l.opts.SegmentSize)}
		l.nextSlot++
		l.mu.Unlock()
		if !l.fillSlot(s, pause) {
			_ = l.fs.Remove(l.slotPath(s.number)) // else the next start finds it free
			continue
		}
		l.mu.Lock()
		l.files = append(l.files, s)
		l.mu.Unlock()
	}
}

// fillSlot makes a file of zeros, durable with its name; false if it could not,
// or need not any more.
func (l *Log) fillSlot(s *slot, pause *time.Timer) bool {
	f, err := l.fs.Create(l.slotPath(s.number))
	if err != nil {
		return false
	}
	filled := f.Preallocate(s.size) == nil && l.fill(f, s.size, pause)
	return f.Close() == nil && filled && l.fs.SyncDir(l.dir) == nil
}

func (l *Log) fill(f vfs.File, size int64, pause *time.Timer) bool {
	zeros := make([]byte, min(preparePiece, size))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		pause.Reset(l.opts.PreparePause)
		select {
		case <-l.stopped:
			return false
		case <-pause.C:
		}
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil || f.Sync() != nil {
			return false
		}
	}
	return true
}
