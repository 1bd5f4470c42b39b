package cluster

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"helenus/internal/meta"
)

// raftMessage carries one of raft's messages between two voters of a group.
type raftMessage struct {
	group meta.GroupID
	epoch meta.Epoch // of the sender's State: who is behind pulls
	body  *raftpb.Message
}

// raftAnswer says what became of it.
type raftAnswer struct {
	taken bool // false: the receiver is not of that group, or not there yet
	epoch meta.Epoch
}

const raftMessageEntriesMax = 4096

// raftTypes are the messages that voters may send each other, by the number that
// they have here and in raft.
const raftTypes = 1<<raftpb.MsgApp | 1<<raftpb.MsgAppResp | 1<<raftpb.MsgVote | 1<<raftpb.MsgVoteResp | 1<<raftpb.MsgSnap |
	1<<raftpb.MsgHeartbeat | 1<<raftpb.MsgHeartbeatResp | 1<<raftpb.MsgTimeoutNow | 1<<raftpb.MsgPreVote | 1<<raftpb.MsgPreVoteResp

// AppendTo implements wire.Message.
func (m *raftMessage) AppendTo(dst []byte) []byte {
	p, b := packer(dst), m.body
	p.fixed(m.group[:])
	p.u64(uint64(m.epoch))
	p.u8(uint8(b.GetType()))
	for _, v := range []uint64{b.GetTo(), b.GetFrom(), b.GetTerm(), b.GetLogTerm(), b.GetIndex(), b.GetCommit(), b.GetVote(), b.GetRejectHint()} {
		p.u64(v)
	}
	p.flag(b.GetReject())
	p.bytes(b.GetContext())
	p.raftEntries(b.GetEntries())
	p.flag(b.Snapshot != nil)
	if b.Snapshot != nil {
		p.raftSnapshot(b.Snapshot)
	}
	return p
}

// Decode implements wire.Message.
func (m *raftMessage) Decode(data []byte) error {
	*m = raftMessage{body: &raftpb.Message{}}
	u, b := &unpacker{b: data}, m.body
	u.fixed(m.group[:])
	m.epoch = meta.Epoch(u.u64())
	kind := u.u8()
	if kind >= 32 || 1<<kind&raftTypes == 0 {
		u.fail(fmt.Errorf("type %d", kind))
	}
	b.Type = raftpb.MessageType(kind).Enum()
	for _, field := range []**uint64{&b.To, &b.From, &b.Term, &b.LogTerm, &b.Index, &b.Commit, &b.Vote, &b.RejectHint} {
		v := u.u64()
		*field = &v
	}
	reject := u.flag()
	b.Reject = &reject
	if b.Context = u.bytes(64); len(b.Context) == 0 {
		b.Context = nil
	}
	b.Entries = u.raftEntries()
	if u.flag() {
		b.Snapshot = u.raftSnapshot()
	}
	if u.err == nil && (*b.Type == raftpb.MsgSnap) != (b.Snapshot != nil) {
		u.fail(fmt.Errorf("a snapshot where none belongs, or none"))
	}
	if u.err == nil && len(b.Entries) > 0 && (*b.Type != raftpb.MsgApp || b.Entries[0].GetIndex() != b.GetIndex()+1) {
		u.fail(fmt.Errorf("entries where they do not belong"))
	}
	return u.done("raft message")
}

// AppendTo implements wire.Message.
func (m *raftAnswer) AppendTo(dst []byte) []byte {
	p := packer(dst)
	p.flag(m.taken)
	p.u64(uint64(m.epoch))
	return p
}

// Decode implements wire.Message.
func (m *raftAnswer) Decode(b []byte) error {
	u := &unpacker{b: b}
	*m = raftAnswer{taken: u.flag(), epoch: meta.Epoch(u.u64())}
	return u.done("raft answer")
}
