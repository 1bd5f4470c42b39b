package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"helenus/store/vfs"
)

// Txn makes sets appear and others disappear as one, across a crash. It is
// Cassandra's own transaction log, so that a real Cassandra started on the
// folder would finish it the same way: a text file that says which sets are
// added (before their files are made) and removed, and ends with COMMIT or
// ABORT. Without a valid COMMIT the added ones are removed, with it the others.
//
// The order is: Add each set and write it; Remove the old ones; Commit; take
// the old ones out of service; Release when nobody reads them any more.
type Txn struct {
	fs     vfs.FS
	dir    string
	name   string
	file   vfs.File
	size   int64
	add    []Descriptor
	remove []Descriptor
	ended  bool
}

// Operation is what a transaction is for, as its file name says it.
type Operation string

// The operations, of the many that Cassandra has.
const (
	OpFlush      Operation = "flush"
	OpCompaction Operation = "compaction"
	OpStream     Operation = "stream"
)

// Begin makes the log of a transaction. id is a version 1 UUID.
func Begin(fs vfs.FS, dir string, op Operation, id [16]byte) (*Txn, error) {
	t := &Txn{fs: fs, dir: dir}
	t.name = fmt.Sprintf("%s_txn_%s_%x-%x-%x-%x-%x.log", NB, op, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	var err error
	if t.file, err = fs.Create(filepath.Join(dir, t.name)); err != nil {
		return nil, t.wrap("begin", err)
	}
	if err := fs.SyncDir(dir); err != nil {
		t.file.Close()
		return nil, t.wrap("begin", err)
	}
	return t, nil
}

func (t *Txn) wrap(op string, err error) error {
	return fmt.Errorf("sstable: %s %s: %w", op, t.name, err)
}

// The types of records.
const (
	txnAdd    = "ADD"
	txnRemove = "REMOVE"
	txnCommit = "COMMIT"
	txnAbort  = "ABORT"
)

// txnRecord is one line.
type txnRecord struct {
	kind    string
	path    string // of a set, without the component
	updated int64  // milliseconds; of REMOVE only
	files   int32
}

// sum is what Cassandra computes: over path and kind as text, then the halves
// of updated, the lower first, and the number of files.
func (r *txnRecord) sum() uint32 {
	b := append([]byte(r.path), r.kind...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.updated))
	b = binary.BigEndian.AppendUint32(b, uint32(r.updated>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(r.files))
	return crc32.ChecksumIEEE(b)
}

func (r *txnRecord) line() string {
	return fmt.Sprintf("%s:[%s,%d,%d][%d]\n", r.kind, r.path, r.updated, r.files, r.sum())
}

// write appends a line and makes it durable.
func (t *Txn) write(records ...txnRecord) error {
	var b bytes.Buffer
	for i := range records {
		b.WriteString(records[i].line())
	}
	if _, err := t.file.WriteAt(b.Bytes(), t.size); err != nil {
		return err
	}
	t.size += int64(b.Len())
	return t.file.Sync()
}

// Add records a set that is about to be written.
func (t *Txn) Add(d Descriptor) error {
	if t.ended {
		return t.wrap("add to", errEnded)
	}
	if err := t.write(txnRecord{kind: txnAdd, path: filepath.Join(t.dir, d.String())}); err != nil {
		return t.wrap("add to", err)
	}
	t.add = append(t.add, d)
	return nil
}

var errEnded = errors.New("the transaction has ended")

// ErrInDoubt is in the error of a Commit that may have happened all the same.
var ErrInDoubt = errors.New("the outcome is open until a restart")

// Commit records the removal of sets and makes it, with all that was added,
// valid. When it fails the outcome is open: whoever called must not go on with
// either the old sets or the new ones before Recover has decided.
func (t *Txn) Commit(remove ...Descriptor) error {
	if t.ended {
		return t.wrap("commit", errEnded)
	}
	records := make([]txnRecord, 0, len(remove)+1)
	for _, d := range remove {
		r, err := t.removal(d)
		if err != nil {
			return t.wrap("commit", err)
		}
		records = append(records, r)
	}
	if len(records) > 0 {
		if err := t.write(records...); err != nil {
			return t.wrap("commit", err)
		}
	}
	if err := t.write(txnRecord{kind: txnCommit}); err != nil {
		t.ended = true     // an Abort behind a COMMIT would say both
		_ = t.file.Close() // the write's error is the one to tell
		return t.wrap("commit", fmt.Errorf("%w: %w", ErrInDoubt, err))
	}
	t.remove, t.ended = remove, true
	return nil
}

// modTimer is a file system that knows when a file was last written. Cassandra
// compares that time with REMOVE records before it believes them.
type modTimer interface {
	ModTime(name string) (time.Time, error)
}

func (t *Txn) removal(d Descriptor) (txnRecord, error) {
	r := txnRecord{kind: txnRemove, path: filepath.Join(t.dir, d.String())}
	names, err := t.fs.List(t.dir)
	if err != nil {
		return r, err
	}
	times, _ := t.fs.(modTimer)
	for _, name := range names {
		if !strings.HasPrefix(name, d.String()+"-") {
			continue
		}
		r.files++
		if times != nil {
			at, err := times.ModTime(filepath.Join(t.dir, name))
			if err != nil {
				return r, err
			}
			r.updated = max(r.updated, at.UnixMilli())
		}
	}
	return r, nil
}

// Release removes the sets that Commit took away, and then the log. Nobody may
// read them any more. Until it is called a restart does the same.
func (t *Txn) Release() error { return t.finish(t.remove) }

// Abort removes what was added and the log.
func (t *Txn) Abort() error {
	if t.ended {
		return t.wrap("abort", errEnded)
	}
	t.ended = true
	if err := t.write(txnRecord{kind: txnAbort}); err != nil {
		_ = t.file.Close() // the write's error is the one to tell
		return t.wrap("abort", err)
	}
	return t.finish(t.add)
}

func (t *Txn) finish(gone []Descriptor) error {
	err := t.file.Close()
	if err == nil {
		err = removeSets(t.fs, t.dir, gone)
	}
	if err == nil {
		err = removeDurably(t.fs, t.dir, t.name)
	}
	if err != nil {
		return t.wrap("finish", err)
	}
	return nil
}

// removeSets deletes all files of some sets, durably.
func removeSets(fs vfs.FS, dir string, gone []Descriptor) error {
	if len(gone) == 0 {
		return nil
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, d := range gone {
		for _, name := range names {
			if strings.HasPrefix(name, d.String()+"-") {
				if err := fs.Remove(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	return fs.SyncDir(dir)
}

func removeDurably(fs vfs.FS, dir, name string) error {
	if err := fs.Remove(filepath.Join(dir, name)); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

var (
	txnName = regexp.MustCompile(`^.{2}_txn_.*_.*\.log$`)
	txnLine = regexp.MustCompile(`^(?i:(add|remove|commit|abort)):\[([^,]*),?([^,]*),?([^,]*)\]\[(\d+)\]$`)
)

const txnBytesMax = 64 << 20

// Recover finishes what a crash interrupted in a folder: each transaction that
// has not committed loses what it added, each that has, what it removed. Call
// it before List. Left-over temporary files go too.
func Recover(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("sstable: recover %s: %w", dir, err)
	}
	for _, name := range names {
		switch {
		case txnName.MatchString(name):
			err = recoverTxn(fs, dir, name)
		case isTemporary(name):
			err = fs.Remove(filepath.Join(dir, name))
		}
		if err != nil {
			return fmt.Errorf("sstable: recover %s: %w", filepath.Join(dir, name), err)
		}
	}
	return nil
}

// isTemporary tells whether vfs.WriteFile was interrupted writing a component.
func isTemporary(name string) bool {
	whole, ok := strings.CutSuffix(name, ".tmp")
	if !ok {
		return false
	}
	_, _, ok = ParseFile(whole)
	return ok
}

func recoverTxn(fs vfs.FS, dir, name string) error {
	b, err := vfs.ReadFile(fs, filepath.Join(dir, name), txnBytesMax)
	if err != nil {
		return err
	}
	log, err := parseTxn(b)
	if err != nil {
		return err
	}
	// A process that died may have left the COMMIT in the page cache only, and
	// removals of an earlier attempt must not come back after ours.
	if err := syncFile(fs, filepath.Join(dir, name)); err != nil {
		return err
	}
	if err := fs.SyncDir(dir); err != nil {
		return err
	}
	if log.damaged {
		if err := log.untouched(fs, dir); err != nil {
			return err
		}
	}
	gone := log.add
	if log.committed {
		gone = log.remove
	}
	if err := removeSets(fs, dir, gone); err != nil {
		return err
	}
	return removeDurably(fs, dir, name)
}

func syncFile(fs vfs.FS, name string) error {
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// txnLog is what a log says.
type txnLog struct {
	add, remove []Descriptor
	files       []int32 // of each of remove, when it was recorded
	committed   bool
	damaged     bool // what was written last
}

// untouched sees that no set has lost files of which a log with a damaged end
// says that they were to go: if one has, the damaged line was the COMMIT.
func (l *txnLog) untouched(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for i, d := range l.remove {
		n := int32(0)
		for _, name := range names {
			if strings.HasPrefix(name, d.String()+"-") {
				n++
			}
		}
		if n < l.files[i] {
			return fmt.Errorf("%w: its end is damaged, and %v has %d files of %d", ErrCorrupt, d, n, l.files[i])
		}
	}
	return nil
}

// parseTxn reads a log. Each write to it was durable before the next, so a
// crash damages its end only; whatever lacks a valid COMMIT behind undamaged
// lines was not committed.
func parseTxn(b []byte) (*txnLog, error) {
	l := &txnLog{}
	for i, line := range strings.Split(strings.TrimRight(string(b), "\n\x00"), "\n") {
		if line == "" && i == 0 {
			continue
		}
		r, d, err := parseRecord(line)
		switch {
		case err != nil:
			l.damaged = true
			continue
		case l.committed, l.damaged && r.kind == txnCommit:
			return nil, &corruptError{"transaction log, line", int64(i + 1), errEnded}
		}
		switch r.kind {
		case txnAdd:
			l.add = append(l.add, d)
		case txnRemove:
			l.remove, l.files = append(l.remove, d), append(l.files, r.files)
		case txnCommit:
			l.committed = true
		}
	}
	if l.committed && l.damaged {
		return nil, &corruptError{"transaction log", -1, errEnded}
	}
	return l, nil
}

func parseRecord(line string) (r txnRecord, d Descriptor, err error) {
	m := txnLine.FindStringSubmatch(line)
	if m == nil {
		return r, d, fmt.Errorf("%q is no record", line)
	}
	updated, err1 := strconv.ParseInt(m[3], 10, 64)
	files, err2 := strconv.ParseInt(m[4], 10, 32)
	sum, err3 := strconv.ParseUint(m[5], 10, 64)
	r = txnRecord{strings.ToUpper(m[1]), m[2], updated, int32(files)}
	if err := errors.Join(err1, err2, err3); err != nil {
		return r, d, err
	}
	if uint64(r.sum()) != sum {
		return r, d, fmt.Errorf("checksum mismatch in %q", line)
	}
	if r.kind == txnAdd || r.kind == txnRemove {
		// Only the name counts: the folder may have been moved since.
		var ok bool
		if d, _, ok = ParseFile(filepath.Base(r.path) + "-x"); !ok {
			return r, d, fmt.Errorf("%q names no set", line)
		}
	}
	return r, d, nil
}
