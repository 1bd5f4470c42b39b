package hint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"helenus/internal/cql/schema"
	"helenus/store/vfs"
)

// The notes are one small file beside the segments, written anew when something
// in it changes: since when nodes are down, how far their hints are delivered,
// what they miss, and which tables were truncated.
const (
	notesName     = "notes"
	notesMagic    = "HELN"
	notesVersion  = 1
	notesBytesMax = 256 << 20
)

// readNotes is the first thing done at a start; no file is no notes.
func (h *Hints) readNotes() error {
	name := h.opts.Dir + "/" + notesName
	b, err := vfs.ReadFile(h.opts.FS, name, notesBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hint: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.parseNotesLocked(b); err != nil {
		return fmt.Errorf("hint: %s is damaged: %w; remove it, then all hints are delivered again and nodes that need repair are forgotten: repair all", name, err)
	}
	return nil
}

func (h *Hints) appendNotesLocked(dst []byte) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, notesMagic...), notesVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(h.queues)))
	for _, q := range h.queues {
		dst = append(dst, q.host[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(q.downSince))
		number := q.number + 1 // of the first segment that is not delivered
		if len(q.segments) > 0 {
			number = q.segments[0].number
		}
		dst = binary.BigEndian.AppendUint64(dst, number)
		dst = binary.BigEndian.AppendUint64(dst, uint64(q.offset))
		dst = appendTables(dst, q.missed)
	}
	dst = appendTables(dst, h.truncated)
	return binary.BigEndian.AppendUint32(dst, crc(dst[from:]))
}

func appendTables(dst []byte, tables map[schema.TableID]int64) []byte {
	ids := make([]schema.TableID, 0, len(tables))
	for id := range tables {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b schema.TableID) int { return bytes.Compare(a[:], b[:]) })
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(ids)))
	for _, id := range ids {
		dst = binary.BigEndian.AppendUint64(append(dst, id[:]...), uint64(tables[id]))
	}
	return dst
}

// fields reads numbers front to back; its error sticks.
type fields struct {
	b   []byte
	err error
}

func (f *fields) take(n int) []byte {
	if f.err != nil || len(f.b) < n {
		f.err = errShort
		return make([]byte, n)
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) u32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64 { return binary.BigEndian.Uint64(f.take(8)) }

func (f *fields) tables() map[schema.TableID]int64 {
	tables := make(map[schema.TableID]int64)
	for n := f.u32(); n > 0 && f.err == nil; n-- {
		id := schema.TableID(f.take(16))
		tables[id] = int64(f.u64())
	}
	return tables
}

func (h *Hints) parseNotesLocked(b []byte) error {
	if len(b) < 12 || string(b[:4]) != notesMagic {
		return errors.New("not such a file, or cut short")
	}
	if crc(b[:len(b)-4]) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return errDamaged
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != notesVersion {
		return fmt.Errorf("version %d; this build knows %d", v, notesVersion)
	}
	f := &fields{b: b[8 : len(b)-4]}
	for n := f.u32(); n > 0 && f.err == nil; n-- {
		var q queue
		copy(q.host[:], f.take(16))
		q.downSince, q.number, q.offset, q.missed = int64(f.u64()), f.u64(), int64(f.u64()), f.tables()
		if q.offset < segmentHeader || len(h.queues) > 0 && bytes.Compare(h.queues[len(h.queues)-1].host[:], q.host[:]) >= 0 {
			return errors.New("nodes out of order, or an offset inside a header")
		}
		h.queues = append(h.queues, &q)
	}
	h.truncated = f.tables()
	if f.err == nil && len(f.b) > 0 {
		f.err = fmt.Errorf("%d bytes behind the end", len(f.b))
	}
	return f.err
}

// writeNotes writes the file if there is something new.
func (h *Hints) writeNotes() {
	h.mu.Lock()
	dirty := h.dirty
	h.dirty = false
	h.forgetTruncationsLocked()
	var b []byte
	if dirty {
		b = h.appendNotesLocked(nil)
	}
	h.mu.Unlock()
	if !dirty {
		return
	}
	if err := vfs.WriteFile(h.opts.FS, h.opts.Dir+"/"+notesName, b); err != nil {
		h.opts.Log.Error("write the notes of hints", "error", err)
		h.mu.Lock()
		h.dirty = true
		h.mu.Unlock()
	}
}

// ageMax is how long a write may last before it becomes a hint; a truncation is
// remembered for longer than any hint from before it may still come.
const ageMax = 10 * time.Minute

// forgetTruncationsLocked drops those that are older than every hint, also than
// those that come later.
func (h *Hints) forgetTruncationsLocked() {
	if len(h.truncated) == 0 {
		return
	}
	oldest := h.opts.Now().UnixMilli()
	for _, q := range h.queues {
		if q.bytes > 0 {
			oldest = min(oldest, q.oldest)
		}
	}
	for id, at := range h.truncated {
		if at < oldest-ageMax.Milliseconds() {
			delete(h.truncated, id)
			h.dirty = true
		}
	}
}
