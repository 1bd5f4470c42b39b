package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"helenus/store/vfs"
)

// Record is what Replay delivers. It is valid during the call only.
type Record struct {
	Pos     Position
	Payload []byte
	tables  []byte
	covered map[TableID]Position
	asked   TableID // last, and what covered says of it: most records are of one table
	upTo    Position
}

// Tables is how many tables the record was appended for.
func (r *Record) Tables() int { return len(r.tables) / len(TableID{}) }

// Table is the i-th of them.
func (r *Record) Table(i int) TableID {
	return TableID(r.tables[i*len(TableID{}) : (i+1)*len(TableID{})])
}

// Covered tells whether a marker says that the record's updates of a table need
// no replay.
func (r *Record) Covered(table TableID) bool {
	if table != r.asked {
		r.asked, r.upTo = table, r.covered[table]
	}
	return r.Pos.Compare(r.upTo) <= 0
}

// ReplayStats says what Replay found.
type ReplayStats struct {
	Segments  int
	Read      int64 // bytes of the segments, up to where their records end
	Records   int   // delivered
	Covered   int   // not delivered, for markers cover all their tables
	Markers   int   //
	Bytes     int64 // of payloads delivered
	Torn      bool  // the log ends in bytes of a write that no sync had confirmed
	TornAt    Position
	TornBytes int // of good blocks behind the first bad one
}

// Replay delivers, in the order of their positions, the records that some table
// still needs, then makes the log ready for appends. An error of fn ends it.
// *CorruptError says that acknowledged records cannot be read; nothing has been
// delivered then, and the log takes no appends.
func (l *Log) Replay(fn func(r *Record) error) (ReplayStats, error) {
	var stats ReplayStats
	l.mu.Lock()
	ready := !l.replayed && !l.closing
	l.mu.Unlock()
	if !ready {
		return stats, errors.New("commitlog: replay: called twice or after Close")
	}
	ends, covered, err := l.collect(&stats)
	if err != nil {
		return stats, err
	}
	if err := l.syncFound(); err != nil {
		return stats, fmt.Errorf("commitlog: replay: %w", err)
	}
	live, last, err := l.deliver(ends, covered, &stats, fn)
	if err != nil {
		return stats, err
	}
	// The name of a file that is free for overwriting may not be durable yet.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return stats, fmt.Errorf("commitlog: replay: %w", err)
	}
	l.start(live, last)
	return stats, nil
}

// collect is the first pass: it checks every byte and reads the markers, of
// several segments at a time.
func (l *Log) collect(stats *ReplayStats) (ends []uint32, covered map[TableID]Position, err error) {
	stats.Segments = len(l.found.live)
	all := make([]collected, len(l.found.live))
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
			l.collectSegment(i, &all[i])
		}
	}
	var others sync.WaitGroup
	for range l.collectors() - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	covered = map[TableID]Position{}
	for i := range all {
		c := &all[i]
		if c.err != nil {
			return nil, nil, c.err
		}
		ends = append(ends, c.end)
		stats.Read += int64(c.end)
		stats.Markers += c.markers
		if c.torn {
			stats.Torn, stats.TornAt, stats.TornBytes = true, Position{l.found.live[i].id, c.end}, c.tornBytes
		}
		for table, upTo := range c.covered {
			if covered[table].Compare(upTo) < 0 {
				covered[table] = upTo
			}
		}
	}
	return ends, covered, nil
}

const (
	collectorsMax = 8        // bounds what is read at a time
	collectorsMin = 16 << 20 // bytes: a shorter log is read in order, which tests lean on
)

// collectors is how many segments are checked at a time.
func (l *Log) collectors() int {
	size := int64(0)
	for i := range l.found.live {
		size += l.found.live[i].slot.size
	}
	if size < collectorsMin {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), len(l.found.live), collectorsMax)
}

// collected is what the first pass finds in one segment.
type collected struct {
	end       uint32
	covered   map[TableID]Position
	markers   int
	torn      bool
	tornBytes int
	err       error
}

func (l *Log) collectSegment(i int, c *collected) {
	seg := l.found.live[i]
	sealedAt := uint32(0)
	if i+1 < len(l.found.live) {
		if sealedAt = l.found.live[i+1].previousEnd; sealedAt == 0 {
			c.err = l.corrupt(l.found.live[i+1], 0, "the header knows no previous segment")
			return
		}
	}
	s := &scanner{log: l, seg: seg}
	c.end, c.err = s.scan(sealedAt, c.marker)
	c.torn = sealedAt == 0 && (s.inGroup || s.tornBlocks > 0)
	c.tornBytes = s.tornBlocks * int(seg.blockSize)
}

// marker takes one record.
func (c *collected) marker(pos Position, body []byte) error {
	if body[0] != kindMarker {
		return nil
	}
	table, upTo, ok := parseMarker(body)
	if !ok || upTo.Compare(pos) >= 0 {
		return errBody
	}
	c.markers++
	if c.covered == nil {
		c.covered = map[TableID]Position{}
	}
	if c.covered[table].Compare(upTo) < 0 {
		c.covered[table] = upTo
	}
	return nil
}

var errBody = errors.New("record body")

// deliver is the second pass. It checks blocks again, as they are read again,
// but not the records in them.
func (l *Log) deliver(ends []uint32, covered map[TableID]Position, stats *ReplayStats, fn func(*Record) error) (live []*segment, last Position, err error) {
	rec := &Record{covered: covered, upTo: covered[TableID{}]}
	for i, found := range l.found.live {
		seg := &segment{id: found.id, end: ends[i], groups: 1, slot: found.slot, dirty: map[TableID]uint32{}}
		found.slot.seg = seg
		live = append(live, seg)
		book := dirtying{seg: seg}
		s := &scanner{log: l, seg: found, checked: true}
		_, err := s.scan(ends[i], func(pos Position, body []byte) error {
			last = pos
			if body[0] != kindData {
				return nil
			}
			var ok bool
			rec.Pos = pos
			if rec.tables, rec.Payload, ok = parseData(body, rec.tables[:0]); !ok {
				return errBody
			}
			if !book.needs(rec) {
				stats.Covered++
				return nil
			}
			stats.Records++
			stats.Bytes += int64(len(rec.Payload))
			if err := fn(rec); err != nil {
				return fmt.Errorf("commitlog: replay %s: %w", pos, err)
			}
			return nil
		})
		book.flush()
		if err != nil {
			return nil, last, err
		}
	}
	return live, last, nil
}

// dirtying notes which tables still need records of a segment. What it knows of
// the last table is in the segment after flush.
type dirtying struct {
	seg    *segment
	table  TableID
	offset uint32 // of its last record; 0: none
}

func (d *dirtying) needs(rec *Record) bool {
	needed := false
	for i := range rec.Tables() {
		t := rec.Table(i)
		if rec.Covered(t) {
			continue
		}
		if t != d.table {
			d.flush()
			d.table = t
		}
		d.offset = rec.Pos.Offset
		needed = true
	}
	return needed
}

func (d *dirtying) flush() {
	if d.offset != 0 {
		d.seg.dirty[d.table] = d.offset
		d.offset = 0
	}
}

// syncFound makes durable what was found, before anything is built on it: after
// the death of a process the newest records may be in the page cache only. It
// comes before the delivery: whoever gets a record of several tables may write
// one of them to a file at once.
func (l *Log) syncFound() error {
	if len(l.found.live) == 0 {
		return nil
	}
	newest := l.found.live[len(l.found.live)-1]
	f, err := l.fs.OpenReadWrite(l.slotPath(newest.slot.number))
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// start takes over what replay found; appends go to a new segment.
func (l *Log) start(live []*segment, last Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live, l.appended, l.synced = live, last, last
	for _, s := range l.found.free {
		for _, surplus := range l.pooledLocked(s) { // goes when the next segment begins
			l.clean = append(l.clean, &segment{slot: surplus})
		}
	}
	if len(live) == 0 {
		l.live = []*segment{{id: 1, firstLive: 1, end: uint32(l.opts.BlockSize), dirty: map[TableID]uint32{}}}
	} else {
		l.rollLocked()
	}
	l.found = found{}
	l.replayed = true
	go l.run()
	go l.runCompleter()
	if l.opts.Mode == Periodic || l.opts.PreparePause < 0 { // Periodic syncs seldom
		close(l.prepared)
	} else {
		go l.runPreparer()
	}
}

// scanner reads the records of one segment.
type scanner struct {
	log        *Log
	seg        foundSegment
	group      uint32 // of the last good block
	inGroup    bool   // that block was not the last of its group
	checked    bool   // the records have been, once
	record     []byte // the record being assembled, if several blocks have it
	recordAt   uint32
	tornBlocks int
}

const readSize = 256 << 10

// scan calls fn with the body of each record and returns where the records end.
// sealedAt is where they must end; 0 means that this is the newest segment, of
// which an unconfirmed tail may be torn.
func (s *scanner) scan(sealedAt uint32, fn func(Position, []byte) error) (end uint32, err error) {
	name := s.log.slotPath(s.seg.slot.number)
	f, err := s.log.fs.OpenRead(name)
	if err != nil {
		return 0, fmt.Errorf("commitlog: replay segment %d: %w", s.seg.id, err)
	}
	defer f.Close()
	stop := s.seg.segmentSize
	if sealedAt != 0 {
		if sealedAt > stop || sealedAt%s.seg.blockSize != 0 {
			return 0, s.log.corrupt(s.seg, sealedAt, "the next segment says that it ends here")
		}
		stop = sealedAt
	}
	end = stop
	intact := true
	err = s.blocks(f, s.seg.blockSize, stop, func(off uint32, block []byte) error {
		h, body, ok := s.parse(off, block)
		switch {
		case intact && ok && s.follows(h):
			return s.take(off, h, body, fn)
		case sealedAt != 0:
			return s.log.corrupt(s.seg, off, "block")
		case intact:
			intact, end = false, off
		}
		if ok {
			return s.afterEnd(end, h)
		}
		return nil
	})
	return end, err
}

// blocks reads a file block by block.
func (s *scanner) blocks(f vfs.File, from, to uint32, fn func(off uint32, block []byte) error) error {
	buf := make([]byte, max(int(s.seg.blockSize), min(readSize, int(to-min(from, to)))))
	for from < to {
		part := buf[:min(len(buf), int(to-from))]
		if n, err := f.ReadAt(part, int64(from)); err != nil && !(errors.Is(err, io.EOF) && n == len(part)) {
			return fmt.Errorf("commitlog: replay segment %d: %w", s.seg.id, err)
		}
		for len(part) > 0 {
			if err := fn(from, part[:s.seg.blockSize]); err != nil {
				return err
			}
			part = part[s.seg.blockSize:]
			from += s.seg.blockSize
		}
	}
	return nil
}

func (s *scanner) parse(off uint32, block []byte) (h blockHeader, body []byte, ok bool) {
	h, body, ok = parseBlock(block)
	return h, body, ok && h.segment == s.seg.id && h.index == off/s.seg.blockSize
}

// follows tells whether a block may come after the last one.
func (s *scanner) follows(h blockHeader) bool {
	if s.inGroup {
		return h.group == s.group && h.flags&flagFirst == 0
	}
	return h.group == s.group+1 && h.flags&flagFirst != 0
}

// afterEnd judges a good block of this segment behind the first bad one. A
// group is written only when the one before it is durable: so a block of a
// group later than the one that should stand at end proves that what is bad
// there had been durable.
func (s *scanner) afterEnd(end uint32, h blockHeader) error {
	expected := s.group
	if !s.inGroup {
		expected++
	}
	if h.group > expected {
		return s.log.corrupt(s.seg, end, fmt.Sprintf("block of group %d, and group %d follows", expected, h.group))
	}
	s.tornBlocks++
	return nil
}

// take adds the bytes of a good block to the records.
func (s *scanner) take(off uint32, h blockHeader, body []byte, fn func(Position, []byte) error) error {
	if h.flags&flagFirst != 0 && len(s.record) > 0 {
		return s.log.corrupt(s.seg, off, "record cut by the end of its group")
	}
	at := off + blockHeaderSize
	for len(body) > 0 {
		if len(s.record) == 0 {
			s.recordAt = at
		}
		need := frameSize
		if have := s.record; len(have) >= frameSize || (len(have) == 0 && len(body) >= frameSize) {
			if len(have) == 0 {
				have = body
			}
			size := binary.LittleEndian.Uint32(have)
			if size == 0 || size > s.seg.segmentSize {
				return s.log.corrupt(s.seg, s.recordAt, "record size")
			}
			need += int(size)
		}
		n := min(need-len(s.record), len(body))
		part := body[:n:n]
		body = body[n:]
		at += uint32(n)
		if n < need || need == frameSize {
			s.record = append(s.record, part...)
			part = s.record
		}
		if len(part) == need && need > frameSize {
			if err := s.emit(part, fn); err != nil {
				return err
			}
			s.record = s.record[:0]
		}
	}
	s.group, s.inGroup = h.group, h.flags&flagLast == 0
	if !s.inGroup && len(s.record) > 0 {
		return s.log.corrupt(s.seg, s.recordAt, "record cut by the end of its group")
	}
	return nil
}

// emit checks a whole record and passes it on.
func (s *scanner) emit(record []byte, fn func(Position, []byte) error) error {
	body, reason := record[frameSize:], ""
	if !s.checked {
		reason = checkFrame(record)
	}
	if reason == "" {
		switch body[0] {
		case kindData, kindMarker, kindClosed:
		default:
			reason = fmt.Sprintf("record of unknown kind %d", body[0])
		}
	}
	if reason != "" {
		return s.log.corrupt(s.seg, s.recordAt, reason)
	}
	err := fn(Position{s.seg.id, s.recordAt}, body)
	if errors.Is(err, errBody) {
		return s.log.corrupt(s.seg, s.recordAt, errBody.Error())
	}
	return err
}
