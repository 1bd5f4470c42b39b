package cluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"helenus"
	"helenus/internal/meta"
	"helenus/store/vfs"
)

// The files are described in docs/format/metadata.md.
const (
	identityName  = "identity"
	snapshotName  = "snapshot"
	logPrefix     = "log-"
	identityMagic = "HELI"
	snapshotMagic = "HELS"
	logMagic      = "HELM"
	fileVersion   = 1
	// logVersion 2 has the proposal's id in each entry; 1 is read and replaced.
	logVersion = 2

	hashSize        = sha256.Size
	logHeaderSize   = 8
	frameHeaderSize = 17 // mark u8, length u32, number u64, crc u32
	frameTailSize   = 5  // crc u32, mark u8
	// The marks keep the ends of a frame from being zero; see isTorn.
	frameMark    = 0xE1
	frameEndMark = 0x1E
	sectorSize   = 512

	// A change is a statement, a snapshot a schema; more than this is damage.
	frameSizeMax    = 64 << 20
	snapshotSizeMax = 1 << 30
	logSizeMax      = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// wayOut ends the errors about damage.
const wayOut = "; restore the directory from a backup (all its files, not this one alone)"

func (l *Log) path(name string) string { return filepath.Join(l.cfg.Dir, name) }

// sealed frames one small file: magic, version, content, crc of all before.
func sealed(magic string, content []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), fileVersion)
	b = append(b, content...)
	return binary.BigEndian.AppendUint32(b, crc(b))
}

func unseal(magic string, b []byte) ([]byte, error) {
	if len(b) < 12 || string(b[:4]) != magic {
		return nil, errors.New("not such a file, or cut short")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc(body) != sum {
		return nil, errors.New("checksum does not match")
	}
	if v := binary.BigEndian.Uint32(body[4:]); v != fileVersion {
		return nil, fmt.Errorf("version %d; this build knows %d", v, fileVersion)
	}
	return body[8:], nil
}

// identity reads this node's host id, or makes it at the very first start.
func (l *Log) identity() (id helenus.HostID, err error) {
	name := l.path(identityName)
	b, err := vfs.ReadFile(l.fs, name, 1<<10)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return id, fmt.Errorf("cluster: %w", err)
	default:
		content, err := unseal(identityMagic, b)
		if err == nil && len(content) != len(id) {
			err = fmt.Errorf("%d bytes", len(content))
		}
		if err != nil {
			return id, fmt.Errorf("cluster: %s is damaged: %w%s", name, err, wayOut)
		}
		copy(id[:], content)
		return id, nil
	}
	if _, err := io.ReadFull(l.cfg.Rand, id[:]); err != nil {
		return id, fmt.Errorf("cluster: make a host id: %w", err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a random UUID
	if err := vfs.WriteFile(l.fs, name, sealed(identityMagic, id[:])); err != nil {
		return id, fmt.Errorf("cluster: %w", err)
	}
	return id, nil
}

// recover publishes the State that snapshot and log lead to and leaves the log
// open for appending.
func (l *Log) recover() error {
	s, h, err := l.readSnapshot()
	if err != nil {
		return err
	}
	name, err := l.logName()
	if err != nil {
		return err
	}
	if name == "" {
		l.publish(s, h)
		return l.create(s.Epoch + 1)
	}
	s, h, rewrite, err := l.replay(name, s, h)
	if err != nil {
		return err
	}
	l.publish(s, h)
	if rewrite {
		// The tail cannot be cut off: what follows goes to a new file.
		return l.compact(s, h.end().hash)
	}
	if l.file, err = l.fs.OpenReadWrite(l.path(name)); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	// A process that died may have left entries in the page cache only: nothing is
	// built on them before they are durable.
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

func (l *Log) readSnapshot() (*meta.State, history, error) {
	name := l.path(snapshotName)
	b, err := vfs.ReadFile(l.fs, name, snapshotSizeMax)
	if errors.Is(err, fs.ErrNotExist) {
		return meta.New(l.cfg.Local), history{}, nil
	}
	if err != nil {
		return nil, history{}, fmt.Errorf("cluster: %w", err)
	}
	content, err := unseal(snapshotMagic, b)
	if err == nil && len(content) < hashSize {
		err = errors.New("cut short")
	}
	if err != nil {
		return nil, history{}, fmt.Errorf("cluster: %s is damaged: %w%s", name, err, wayOut)
	}
	s, err := l.cfg.decode(content[hashSize:], l.cfg.Local)
	if err != nil {
		return nil, history{}, fmt.Errorf("cluster: %s: %w%s", name, err, wayOut)
	}
	h := history{base: point{epoch: s.Epoch}}
	copy(h.base.hash[:], content)
	return s, h, nil
}

// logName finds the log file, "" when there is none. There is never more than
// one: the old is removed before the new is made.
func (l *Log) logName() (string, error) {
	names, err := l.fs.List(l.cfg.Dir)
	if err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		_, err := strconv.ParseUint(strings.TrimPrefix(n, logPrefix), 10, 64)
		return !strings.HasPrefix(n, logPrefix) || err != nil
	})
	if len(names) > 1 {
		return "", fmt.Errorf("cluster: %s holds %d logs (%s) where one should be%s",
			l.cfg.Dir, len(names), strings.Join(names, ", "), wayOut)
	}
	if len(names) == 0 {
		return "", nil
	}
	return names[0], nil
}

func (l *Log) damaged(name string, at int, format string, args ...any) error {
	return fmt.Errorf("cluster: %s is damaged at byte %d: %s%s", l.path(name), at, fmt.Sprintf(format, args...), wayOut)
}

// replay applies the entries of a log behind s. Entries that the snapshot
// already holds are there when the crash came before the log's removal. The file
// is to be written anew when its end is torn or its version old.
func (l *Log) replay(name string, s *meta.State, h history) (_ *meta.State, _ history, rewrite bool, err error) {
	b, err := vfs.ReadFile(l.fs, l.path(name), logSizeMax)
	if err != nil {
		return nil, h, false, fmt.Errorf("cluster: %w", err)
	}
	head := b[:min(len(b), logHeaderSize)]
	old := bytes.Equal(head, logHeader(1))
	if !old && !bytes.Equal(head, logHeader(logVersion)) {
		if isTorn(b, 0, logHeaderSize) {
			return s, h, true, nil
		}
		return nil, h, false, l.damaged(name, 0, "not a log of version 1 to %d", logVersion)
	}
	for at := logHeaderSize; at < len(b); {
		f, size, problem := parseFrame(b[at:])
		if problem != "" {
			if isTorn(b, at, size) {
				return s, h, true, nil
			}
			return nil, h, false, l.damaged(name, at, "%s", problem)
		}
		e, err := f.entry(old)
		if err != nil {
			return nil, h, false, l.damaged(name, at, "%v", err)
		}
		l.entries++
		if e.epoch > s.Epoch {
			if s, err = l.follow(s, h.end(), e, old); err != nil {
				return nil, h, false, l.damaged(name, at, "%v", err)
			}
			h = h.with(e)
		}
		at += size
	}
	if old { // its entries have no ids and are not for others
		h = history{base: h.end()}
	}
	return s, h, old, nil
}

// follow is the State that an entry leads to, if it comes next at that place.
func (l *Log) follow(s *meta.State, at point, e entry, old bool) (*meta.State, error) {
	if e.hash != link(at.hash, e.epoch, e.payload) {
		return nil, fmt.Errorf("entry of epoch %d does not follow epoch %d", e.epoch, at.epoch)
	}
	change := e.payload
	if !old {
		change = e.change()
	}
	next, err := l.cfg.apply(s, change)
	if err != nil {
		return nil, fmt.Errorf("the change of epoch %d cannot be followed: %w", e.epoch, err)
	}
	if next.Epoch != e.epoch {
		return nil, fmt.Errorf("the change of epoch %d leads from epoch %d to %d", e.epoch, s.Epoch, next.Epoch)
	}
	return next, nil
}

func applyEncoded(s *meta.State, change []byte) (*meta.State, error) {
	c, err := meta.DecodeChange(change)
	if err != nil {
		return nil, err
	}
	return meta.Apply(s, c)
}

// frame is one write to a log: a number and a body, each checked.
type frame struct {
	number uint64
	body   []byte
}

func (f frame) entry(old bool) (entry, error) {
	least := hashSize
	if !old {
		least += proposalBytes
	}
	if len(f.body) < least {
		return entry{}, errors.New("impossible length of an entry")
	}
	e := entry{epoch: meta.Epoch(f.number), payload: f.body[hashSize:]}
	copy(e.hash[:], f.body)
	return e, nil
}

func appendFrame(dst []byte, number uint64, body ...[]byte) []byte {
	size := 0
	for _, b := range body {
		size += len(b)
	}
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, frameMark), uint32(size))
	dst = binary.BigEndian.AppendUint64(dst, number)
	dst = binary.BigEndian.AppendUint32(dst, crc(dst[at:]))
	at = len(dst)
	for _, b := range body {
		dst = append(dst, b...)
	}
	return append(binary.BigEndian.AppendUint32(dst, crc(dst[at:])), frameEndMark)
}

func logHeader(version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(logMagic), version)
}

// parseFrame reads the frame at the start of b. With a problem, size is how far
// the frame says it reaches, or the header's size when even that is unknown.
func parseFrame(b []byte) (f frame, size int, problem string) {
	if len(b) < frameHeaderSize {
		return f, frameHeaderSize, "entry header cut short"
	}
	if b[0] != frameMark || crc(b[:13]) != binary.BigEndian.Uint32(b[13:]) {
		return f, frameHeaderSize, "checksum of an entry's header does not match"
	}
	length := binary.BigEndian.Uint32(b[1:])
	if length > frameSizeMax {
		return f, frameHeaderSize, "impossible length of an entry"
	}
	size = frameHeaderSize + int(length) + frameTailSize
	if len(b) < size {
		return f, size, "entry cut short"
	}
	f.body = b[frameHeaderSize : size-frameTailSize]
	if crc(f.body) != binary.BigEndian.Uint32(b[size-frameTailSize:]) || b[size-1] != frameEndMark {
		return f, size, "checksum of an entry does not match"
	}
	f.number = binary.BigEndian.Uint64(b[5:])
	return f, size, ""
}

// isTorn tells whether the bad bytes b[at:at+size] can be a write that a power
// cut interrupted: the last one, never acknowledged. Then the file ends before
// them, or a sector of theirs was never written and reads as zero. Anything
// else was once good, and to pass over it would lose what was acknowledged.
func isTorn(b []byte, at, size int) bool {
	if at+size > len(b) {
		return true
	}
	for start := at; start < at+size; {
		end := min((start/sectorSize+1)*sectorSize, at+size)
		if len(bytes.Trim(b[start:end], "\x00")) == 0 {
			return true
		}
		start = end
	}
	return false
}

// create starts a new log file for entries from epoch first on.
func (l *Log) create(first meta.Epoch) error {
	f, err := l.fs.Create(l.path(fmt.Sprintf("%s%020d", logPrefix, first)))
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	l.file, l.entries = f, 0
	if _, err = f.Write(logHeader(logVersion)); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir(l.cfg.Dir)
	}
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// append makes entries durable, with one write and one sync.
func (l *Log) append(entries []entry) error {
	var b []byte
	for _, e := range entries {
		b = appendFrame(b, uint64(e.epoch), e.hash[:], e.payload)
	}
	_, err := l.file.Write(b)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cluster: append epoch %d: %w", entries[0].epoch, err)
	}
	l.entries += len(entries)
	return nil
}

// compact writes a snapshot of s, which holds all entries, and starts a new log
// file. The old one goes first, durably: two files never meet.
func (l *Log) compact(s *meta.State, chain [hashSize]byte) error {
	if s.Founded() {
		content := meta.EncodeState(chain[:], s)
		if err := vfs.WriteFile(l.fs, l.path(snapshotName), sealed(snapshotMagic, content)); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		l.file = nil
	}
	old, err := l.logName()
	if err != nil {
		return err
	}
	if err := l.fs.Remove(l.path(old)); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := l.fs.SyncDir(l.cfg.Dir); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return l.create(s.Epoch + 1)
}
