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

	hashSize        = sha256.Size
	logHeaderSize   = 8
	entryHeaderSize = 17 // mark u8, length u32, epoch u64, crc u32
	entryTailSize   = 5  // crc u32, mark u8
	// The marks keep the ends of an entry from being zero; see isTorn.
	entryMark    = 0xE1
	entryEndMark = 0x1E
	sectorSize   = 512

	// A change is a statement, a snapshot a schema; more than this is damage.
	changeSizeMax   = 64 << 20
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
	s, err := l.readSnapshot()
	if err != nil {
		return err
	}
	name, err := l.logName()
	if err != nil {
		return err
	}
	if name == "" {
		l.publish(s)
		return l.create(s.Epoch + 1)
	}
	s, torn, err := l.replay(name, s)
	if err != nil {
		return err
	}
	l.publish(s)
	if torn {
		// The tail cannot be cut off: what follows goes to a new file.
		return l.compact(s)
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

func (l *Log) readSnapshot() (*meta.State, error) {
	name := l.path(snapshotName)
	b, err := vfs.ReadFile(l.fs, name, snapshotSizeMax)
	if errors.Is(err, fs.ErrNotExist) {
		return meta.New(l.cfg.Local), nil
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	content, err := unseal(snapshotMagic, b)
	if err == nil && len(content) < hashSize {
		err = errors.New("cut short")
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: %s is damaged: %w%s", name, err, wayOut)
	}
	s, err := meta.DecodeState(content[hashSize:], l.cfg.Local)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s: %w%s", name, err, wayOut)
	}
	copy(l.chain[:], content)
	return s, nil
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

// replay applies the entries of a log behind s. Entries that the snapshot
// already holds are there when the crash came before the log's removal.
func (l *Log) replay(name string, s *meta.State) (_ *meta.State, torn bool, err error) {
	b, err := vfs.ReadFile(l.fs, l.path(name), logSizeMax)
	if err != nil {
		return nil, false, fmt.Errorf("cluster: %w", err)
	}
	damaged := func(at int, format string, args ...any) error {
		return fmt.Errorf("cluster: %s is damaged at byte %d: %s%s", l.path(name), at, fmt.Sprintf(format, args...), wayOut)
	}
	if !bytes.Equal(b[:min(len(b), logHeaderSize)], logHeader()) {
		if isTorn(b, 0, logHeaderSize) {
			return s, true, nil
		}
		return nil, false, damaged(0, "not a log of version %d", fileVersion)
	}
	for at := logHeaderSize; at < len(b); {
		e, size, problem := parseEntry(b[at:])
		if problem != "" {
			if isTorn(b, at, size) {
				return s, true, nil
			}
			return nil, false, damaged(at, "%s", problem)
		}
		at += size
		l.entries++
		if e.epoch <= s.Epoch {
			continue
		}
		if e.epoch != s.Epoch+1 || e.hash != link(l.chain, e.epoch, e.change) {
			return nil, false, damaged(at-size, "entry of epoch %d does not follow epoch %d", e.epoch, s.Epoch)
		}
		c, err := meta.DecodeChange(e.change)
		if err != nil {
			return nil, false, damaged(at-size, "%v", err)
		}
		next, err := meta.Apply(s, c)
		if err != nil || next.Epoch != e.epoch {
			return nil, false, damaged(at-size, "the change of epoch %d does not apply: %v", e.epoch, err)
		}
		s, l.chain = next, e.hash
	}
	return s, false, nil
}

type entry struct {
	epoch  meta.Epoch
	hash   [hashSize]byte
	change []byte
}

func link(previous [hashSize]byte, epoch meta.Epoch, change []byte) [hashSize]byte {
	b := binary.BigEndian.AppendUint64(previous[:], uint64(epoch))
	return sha256.Sum256(append(b, change...))
}

func logHeader() []byte { return binary.BigEndian.AppendUint32([]byte(logMagic), fileVersion) }

// parseEntry reads the entry at the start of b. With a problem, size is how far
// the entry says it reaches, or the header's size when even that is unknown.
func parseEntry(b []byte) (e entry, size int, problem string) {
	if len(b) < entryHeaderSize {
		return e, entryHeaderSize, "entry header cut short"
	}
	if b[0] != entryMark || crc(b[:13]) != binary.BigEndian.Uint32(b[13:]) {
		return e, entryHeaderSize, "checksum of an entry's header does not match"
	}
	length := binary.BigEndian.Uint32(b[1:])
	if length < hashSize || length > changeSizeMax {
		return e, entryHeaderSize, "impossible length of an entry"
	}
	size = entryHeaderSize + int(length) + entryTailSize
	if len(b) < size {
		return e, size, "entry cut short"
	}
	body := b[entryHeaderSize : size-entryTailSize]
	if crc(body) != binary.BigEndian.Uint32(b[size-entryTailSize:]) || b[size-1] != entryEndMark {
		return e, size, "checksum of an entry does not match"
	}
	e.epoch = meta.Epoch(binary.BigEndian.Uint64(b[5:]))
	copy(e.hash[:], body)
	e.change = body[hashSize:]
	return e, size, ""
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
	if _, err = f.Write(logHeader()); err == nil {
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

// append makes one entry durable.
func (l *Log) append(epoch meta.Epoch, c meta.Change) error {
	change := meta.EncodeChange(nil, c)
	if len(change) > changeSizeMax-hashSize {
		return fmt.Errorf("cluster: a change of %d bytes is too large", len(change))
	}
	hash := link(l.chain, epoch, change)
	b := binary.BigEndian.AppendUint32([]byte{entryMark}, uint32(hashSize+len(change)))
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	b = binary.BigEndian.AppendUint32(b, crc(b))
	b = append(append(b, hash[:]...), change...)
	b = append(binary.BigEndian.AppendUint32(b, crc(b[entryHeaderSize:])), entryEndMark)
	if _, err := l.file.Write(b); err != nil {
		return fmt.Errorf("cluster: append epoch %d: %w", epoch, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("cluster: append epoch %d: %w", epoch, err)
	}
	l.chain = hash
	l.entries++
	return nil
}

// compact writes a snapshot of s, which holds all entries, and starts a new log
// file. The old one goes first, durably: two files never meet.
func (l *Log) compact(s *meta.State) error {
	if s.Founded() {
		content := meta.EncodeState(slices.Clone(l.chain[:]), s)
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
