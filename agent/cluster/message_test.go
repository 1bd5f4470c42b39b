package cluster

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
)

// messages holds each kind with every field set.
func messages() map[string]wire.Message {
	f := newFacts(1, 1, 2)
	f.cluster, f.epoch, f.round, f.founding, f.promised = meta.ClusterID{9}, 300, 7, true, helenus.HostID{2}
	number := func(v uint64) *uint64 { return &v }
	yes, no := true, false
	message := func(kind raftpb.MessageType) *raftpb.Message {
		return &raftpb.Message{Type: kind.Enum(), To: number(1), From: number(2), Term: number(3), LogTerm: number(4), Index: number(5),
			Commit: number(6), Vote: number(7), RejectHint: number(8), Reject: &no}
	}
	appends, snap, vote := message(raftpb.MsgApp), message(raftpb.MsgSnap), message(raftpb.MsgPreVoteResp)
	appends.Entries = []*raftpb.Entry{raftEntry(6, 3, ""), raftEntry(7, 3, "data")}
	snap.Snapshot = newRaftSnapshot(5, 3, point{epoch: 300, hash: [32]byte{1}})
	vote.Context, vote.Reject = []byte("context"), &yes
	return map[string]wire.Message{
		"1 facts":           f,
		"2 proposal":        &proposal{id: proposalID{1, 2}, base: 300, change: []byte("change")},
		"3 outcome decided": &outcome{verdict: decided, epoch: 301, leader: helenus.HostID{3}},
		"4 outcome refused": &outcome{verdict: refused, epoch: 301, coded: true, code: helenus.CodeAlreadyExists, message: "why", keyspace: "ks", table: "t"},
		"5 pull":            &pullRequest{have: point{300, [32]byte{4}}, snapshot: 299, offset: 1 << 20},
		"6 entries": &pullAnswer{epoch: 302, entries: []entry{{epoch: 301, payload: payload(proposalID{1}, []byte("a"))},
			{epoch: 302, payload: payload(proposalID{2}, nil)}}, last: [32]byte{5}},
		"7 piece":       &pullAnswer{epoch: 302, snapshot: point{300, [32]byte{6}}, total: 1000, offset: 10, piece: []byte("piece")},
		"8 raft append": &raftMessage{group: meta.GroupID{1}, epoch: 300, body: appends},
		"9 raft snap":   &raftMessage{group: meta.GroupID{1}, epoch: 300, body: snap},
		"a raft vote":   &raftMessage{group: meta.GroupID{1}, epoch: 300, body: vote},
		"b raft answer": &raftAnswer{taken: true, epoch: 300},
	}
}

func emptyLike(m wire.Message) wire.Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(wire.Message)
}

// TestMessagesGolden holds the bytes of the messages.
// Written anew by: HELENUS_REWRITE=1 go test ./agent/cluster -run MessagesGolden
func TestMessagesGolden(t *testing.T) {
	const path = "testdata/messages.txt"
	var now strings.Builder
	all := messages()
	for _, name := range sortedNames(all) {
		b := all[name].AppendTo(nil)
		fmt.Fprintf(&now, "%s: %s\n", name, hex.EncodeToString(b))
		back := emptyLike(all[name])
		if err := back.Decode(b); err != nil || !bytes.Equal(back.AppendTo(nil), b) {
			t.Errorf("%s: %v", name, err)
		}
		for cut := range b {
			if err := back.Decode(b[:cut]); err == nil {
				t.Errorf("%s: its first %d bytes were taken", name, cut)
			}
		}
		if err := back.Decode(append(b, 0)); err == nil {
			t.Errorf("%s: a byte too many was taken", name)
		}
	}
	if os.Getenv("HELENUS_REWRITE") != "" {
		if err := os.WriteFile(path, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(golden) != now.String() {
		t.Error("the messages have changed")
	}
}

func sortedNames(m map[string]wire.Message) []string { return slices.Sorted(maps.Keys(m)) }

// FuzzMessages decodes arbitrary bytes as each message: an error, or a value that
// encodes to the same bytes.
func FuzzMessages(f *testing.F) {
	all := messages()
	names := sortedNames(all)
	for i, name := range names {
		f.Add(uint8(i), all[name].AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		m := emptyLike(all[names[int(which)%len(names)]])
		if err := m.Decode(b); err != nil {
			return
		}
		if again := m.AppendTo(nil); !bytes.Equal(again, b) {
			t.Fatalf("%T: % x is a second spelling of % x", m, b, again)
		}
	})
}
