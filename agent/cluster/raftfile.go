package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"helenus/internal/meta"
	"helenus/store/vfs"
)

// raftFile keeps what raft must not forget: term and vote, the entries, and where
// they begin. One file serves one set of voters; docs/format/metadata.md has its
// bytes.
type raftFile struct {
	l      *Log
	name   string
	group  meta.GroupID
	file   vfs.File
	frames uint64
	bytes  int
}

const (
	raftPrefix      = "raft." // with a hyphen it would look like a table's folder
	raftMagic       = "HELR"
	raftVersion     = 1
	raftHeaderSize  = 4 + 4 + 16
	raftBytesMax    = 4 << 20 // of a file before it is written anew
	raftEntriesMax  = 512     // held before the older half is left out
	raftEntriesKept = 256
	recordHardState = 1
	recordBase      = 2
)

// raftRecord is one write: each part may be missing.
type raftRecord struct {
	hard    *raftpb.HardState
	base    *raftpb.Snapshot
	entries []*raftpb.Entry
}

func raftHeader(group meta.GroupID) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(raftMagic), raftVersion), group[:]...)
}

func (r *raftRecord) append(dst []byte) []byte {
	p := packer(dst)
	var parts uint8
	if r.hard != nil {
		parts |= recordHardState
	}
	if r.base != nil {
		parts |= recordBase
	}
	p.u8(parts)
	if r.hard != nil {
		p.u64(r.hard.GetTerm())
		p.u64(r.hard.GetVote())
		p.u64(r.hard.GetCommit())
	}
	if r.base != nil {
		p.raftSnapshot(r.base)
	}
	p.raftEntries(r.entries)
	return p
}

func (p *packer) raftSnapshot(s *raftpb.Snapshot) {
	p.u64(s.GetMetadata().GetIndex())
	p.u64(s.GetMetadata().GetTerm())
	at := pointOf(s)
	p.point(at)
}

// pointOf is the place in the history that a raft snapshot stands for: that is all
// it holds, the State travels by pulling.
func pointOf(s *raftpb.Snapshot) point {
	u := &unpacker{b: s.GetData()}
	return u.point()
}

// raftSnapshot leaves out the voters: they are those of the group.
func (u *unpacker) raftSnapshot() *raftpb.Snapshot {
	index, term := u.u64(), u.u64()
	at := u.point()
	return newRaftSnapshot(index, term, at)
}

func newRaftSnapshot(index, term uint64, at point) *raftpb.Snapshot {
	var data packer
	data.point(at)
	return &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term}}
}

func (p *packer) raftEntries(entries []*raftpb.Entry) {
	p.u32(uint32(len(entries)))
	for _, e := range entries {
		p.u64(e.GetIndex())
		p.u64(e.GetTerm())
		p.bytes(e.GetData())
	}
}

// raftEntries takes entries that follow each other.
func (u *unpacker) raftEntries() (out []*raftpb.Entry) {
	for i := range u.count(raftMessageEntriesMax, 20) {
		index, term := u.u64(), u.u64()
		e := &raftpb.Entry{Index: &index, Term: &term, Data: u.bytes(changeBytesMax + 1<<10)}
		if i > 0 && (index != out[i-1].GetIndex()+1 || term < out[i-1].GetTerm()) {
			u.fail(errors.New("raft entries out of order"))
		}
		out = append(out, e)
	}
	return out
}

func (r *raftRecord) decode(b []byte) error {
	u := &unpacker{b: b}
	parts := u.u8()
	if parts&^(recordHardState|recordBase) != 0 {
		u.fail(fmt.Errorf("parts %#x", parts))
	}
	if parts&recordHardState != 0 {
		term, vote, commit := u.u64(), u.u64(), u.u64()
		r.hard = &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	}
	if parts&recordBase != 0 {
		r.base = u.raftSnapshot()
	}
	r.entries = u.raftEntries()
	return u.done("raft record")
}

func raftName(group meta.GroupID) string { return raftPrefix + hex.EncodeToString(group[:]) }

// openRaft reads what this node has of a group, or begins it; all groups begin
// alike, at index 1 and term 1, so that voters need nobody to begin.
func (l *Log) openRaft(group meta.GroupID) (*raftFile, *raft.MemoryStorage, error) {
	f := &raftFile{l: l, name: raftName(group), group: group}
	all := raftRecord{base: newRaftSnapshot(1, 1, point{})}
	b, err := vfs.ReadFile(l.fs, l.path(f.name), logSizeMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := f.rewrite(&all); err != nil {
			return nil, nil, err
		}
		return f, memoryOf(&all, len(l.State().Voters)), nil
	case err != nil:
		return nil, nil, fmt.Errorf("cluster: %w", err)
	}
	torn, err := f.replay(b, &all)
	if err != nil {
		return nil, nil, err
	}
	if torn {
		err = f.rewrite(&all)
	} else if f.file, err = l.fs.OpenReadWrite(l.path(f.name)); err == nil {
		// What a process that died left in the page cache must not be lost later.
		err = f.file.Sync()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: %w", err)
	}
	return f, memoryOf(&all, len(l.State().Voters)), nil
}

// replay merges the records of a file.
func (f *raftFile) replay(b []byte, all *raftRecord) (torn bool, err error) {
	if !bytes.Equal(b[:min(len(b), raftHeaderSize)], raftHeader(f.group)) {
		return false, f.l.damaged(f.name, 0, "not a raft log of version %d for this set of voters", raftVersion)
	}
	f.bytes = len(b)
	for at := raftHeaderSize; at < len(b); {
		fr, size, problem := parseFrame(b[at:])
		if problem != "" {
			// The first frame was written with the file, as a whole.
			if f.frames > 0 && isTorn(b, at, size) {
				return true, nil
			}
			return false, f.l.damaged(f.name, at, "%s", problem)
		}
		var r raftRecord
		if err := r.decode(fr.body); err != nil {
			return false, f.l.damaged(f.name, at, "%v", err)
		}
		if fr.number != f.frames+1 {
			return false, f.l.damaged(f.name, at, "record %d follows record %d", fr.number, f.frames)
		}
		if err := all.merge(&r); err != nil {
			return false, f.l.damaged(f.name, at, "%v", err)
		}
		f.frames++
		at += size
	}
	if f.frames == 0 {
		return false, f.l.damaged(f.name, raftHeaderSize, "cut short")
	}
	return false, nil
}

// merge adds a later record.
func (r *raftRecord) merge(next *raftRecord) error {
	if next.hard != nil {
		r.hard = next.hard
	}
	if next.base != nil {
		r.base, r.entries = next.base, nil
	}
	if len(next.entries) == 0 {
		return nil
	}
	keep := int64(next.entries[0].GetIndex()) - int64(r.base.GetMetadata().GetIndex()) - 1
	if keep < 0 || keep > int64(len(r.entries)) {
		return fmt.Errorf("raft entry %d does not follow entry %d", next.entries[0].GetIndex(),
			r.base.GetMetadata().GetIndex()+uint64(len(r.entries)))
	}
	r.entries = append(r.entries[:keep:keep], next.entries...)
	return nil
}

// memoryOf is the same for raft to read.
func memoryOf(r *raftRecord, voters int) *raft.MemoryStorage {
	mem := raft.NewMemoryStorage()
	conf := &raftpb.ConfState{}
	for id := range uint64(voters) {
		conf.Voters = append(conf.Voters, id+1)
	}
	base := newRaftSnapshot(r.base.GetMetadata().GetIndex(), r.base.GetMetadata().GetTerm(), pointOf(r.base))
	base.Metadata.ConfState = conf
	_ = mem.ApplySnapshot(base) // of an empty storage nothing is newer
	_ = mem.Append(r.entries)   // always nil
	// What is committed is written along with other things only, and may lag behind.
	first := r.base.GetMetadata().GetIndex()
	term, vote := max(r.hard.GetTerm(), r.base.GetMetadata().GetTerm()), r.hard.GetVote()
	commit := min(max(r.hard.GetCommit(), first), first+uint64(len(r.entries)))
	hard := &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	_ = mem.SetHardState(hard) // always nil
	return mem
}

// save makes a record durable.
func (f *raftFile) save(r *raftRecord) error {
	b := appendFrame(nil, f.frames+1, r.append(nil))
	_, err := f.file.Write(b)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cluster: %s: %w", f.l.path(f.name), err)
	}
	f.frames++
	f.bytes += len(b)
	return nil
}

// rewrite replaces the file by one that holds nothing else.
func (f *raftFile) rewrite(r *raftRecord) error {
	b := appendFrame(raftHeader(f.group), 1, r.append(nil))
	if err := vfs.WriteFile(f.l.fs, f.l.path(f.name), b); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	f.close()
	var err error
	if f.file, err = f.l.fs.OpenReadWrite(f.l.path(f.name)); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	f.frames, f.bytes = 1, len(b)
	return nil
}

func (f *raftFile) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// dropRaft removes what is left of groups that are over.
func (l *Log) dropRaft(keep meta.GroupID) error {
	names, err := l.fs.List(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, raftPrefix) || n == raftName(keep) })
	for _, n := range names {
		if err := l.fs.Remove(l.path(n)); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	return nil
}
