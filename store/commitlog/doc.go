// Package commitlog makes writes durable before memtables hold them, and gives
// them back after a crash.
//
// Nouns: Log (segments in one directory), segment (a preallocated file that is
// overwritten again and again), Position (of a record, ordered), group (records
// that one sync makes durable), marker (the record that says which records of a
// table need no replay).
//
// Only the store calls it. It never looks into payloads, never decides when a
// table is flushed, and never retries a failed write or sync: the first such
// error is final, and what follows is the store's failure policy.
//
// Completion, not blocking: Append copies the record and returns; one syncer
// goroutine writes and syncs whole groups, a second one completes all waiters
// of a group in one call, and a third has the next file ready.
// docs/format/commitlog.md has the bytes and the argument why a torn tail is
// told from corruption.
package commitlog

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// TableID names a table in the log's books.
type TableID = [16]byte

// Position is where a record starts. The zero Position is before every record.
type Position struct {
	Segment uint64
	Offset  uint32
}

// Compare orders positions as the records were appended.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset))
}

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Segment, p.Offset) }

// Mode says when a waiter is completed.
type Mode uint8

// The modes.
const (
	// Group completes after the sync of a group; records that arrive during a
	// sync, and within Options.GroupWindow, share the next one.
	Group Mode = iota
	// Batch is Group without a window.
	Batch
	// Periodic completes at once and syncs Options.Period later. A power cut
	// loses acknowledged writes, a killed process those not yet written.
	Periodic
)

func (m Mode) String() string {
	switch m {
	case Group:
		return "group"
	case Batch:
		return "batch"
	case Periodic:
		return "periodic"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Waiter is told once that its record is durable, or that it will never be.
// It may be told from another goroutine, even before Append has returned.
type Waiter interface{ Synced(err error) }

// Options are a Log's settings; zero fields take the default.
type Options struct {
	Mode        Mode
	SegmentSize int           // bytes, a multiple of BlockSize; default 32 MiB, at least 8 blocks
	BlockSize   int           // bytes, 512 to 32768, a power of two; default 4096
	BufferSize  int           // bytes of one group; default 4 MiB
	GroupWindow time.Duration // Group: how long the first record of a group waits for others; default none
	Period      time.Duration // Periodic: default 10 s

	// FreeSegmentsMax is how many segments are kept for overwriting; 0 means the
	// default of 8, negative none.
	FreeSegmentsMax int

	// PreparePause is the pause between two pieces of a segment's file that is
	// written full of zeros ahead of its use (Group and Batch); default 2 ms,
	// negative: no file is prepared.
	PreparePause time.Duration

	// OnSynced completes all waiters of one sync. ws is reused after the call.
	// It runs on a goroutine of the log and may append, but must not wait for
	// another waiter or for Close. Default: call Synced of each.
	OnSynced func(ws []Waiter, err error)
}

const (
	defaultSegmentSize = 32 << 20
	defaultBlockSize   = 4096
	defaultBufferSize  = 4 << 20
	defaultPeriod      = 10 * time.Second
	defaultFreeMax     = 8

	defaultPreparePause = 2 * time.Millisecond

	minBlocks     = 8
	minBlockSize  = 512
	maxBlockSize  = 32768
	maxSegment    = 1 << 30 // an offset must fit 32 bits with room to spare
	groupsMax     = 4       // one being synced, one filling, two for rolling segments
	tablesMax     = 1<<16 - 1
	lateNumerator = 3 // Periodic stalls when the oldest unsynced record is 3/2 periods old
)

func (o Options) withDefaults() (Options, error) {
	o.SegmentSize = cmp.Or(o.SegmentSize, defaultSegmentSize)
	o.BlockSize = cmp.Or(o.BlockSize, defaultBlockSize)
	o.BufferSize = cmp.Or(o.BufferSize, min(defaultBufferSize, o.SegmentSize/2))
	o.Period = cmp.Or(o.Period, defaultPeriod)
	o.PreparePause = cmp.Or(o.PreparePause, defaultPreparePause)
	o.FreeSegmentsMax = max(0, cmp.Or(o.FreeSegmentsMax, defaultFreeMax))
	if o.OnSynced == nil {
		o.OnSynced = completeEach
	}
	switch {
	case o.Mode > Periodic:
		return o, fmt.Errorf("commitlog: unknown %s", o.Mode)
	case o.BlockSize < minBlockSize || o.BlockSize > maxBlockSize || o.BlockSize&(o.BlockSize-1) != 0:
		return o, fmt.Errorf("commitlog: block size %d", o.BlockSize)
	case o.SegmentSize < minBlocks*o.BlockSize || o.SegmentSize > maxSegment || o.SegmentSize%o.BlockSize != 0:
		return o, fmt.Errorf("commitlog: segment size %d with blocks of %d", o.SegmentSize, o.BlockSize)
	case o.Period < 0 || o.GroupWindow < 0 || o.BufferSize < 0:
		return o, errors.New("commitlog: a negative period, window or buffer size")
	}
	return o, nil
}

// delay is how long the first record of a group waits before it is synced.
func (o Options) delay() time.Duration {
	switch o.Mode {
	case Group:
		return o.GroupWindow
	case Periodic:
		return o.Period
	}
	return 0
}

func completeEach(ws []Waiter, err error) {
	for _, w := range ws {
		w.Synced(err)
	}
}

// ErrClosed answers calls after Close.
var ErrClosed = errors.New("commitlog: closed")

// ErrNotReplayed answers appends before Replay.
var ErrNotReplayed = errors.New("commitlog: not replayed yet")

// TooLargeError refuses a record that no segment may hold.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("commitlog: a record of %d bytes, at most %d are allowed", e.Size, e.Limit)
}

// CorruptError says that acknowledged bytes of the log cannot be read back.
type CorruptError struct {
	Segment uint64
	Offset  uint32
	File    string
	Reason  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("commitlog: replay segment %d: corrupt at offset %d of %s: %s", e.Segment, e.Offset, e.File, e.Reason)
}
