package cluster

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/store/vfs"
)

// TestCrashFollowing takes crash images after every operation of a node that
// follows others, by entries and by whole States.
func TestCrashFollowing(t *testing.T) {
	source := mustOpen(t, vfs.NewMem(), testConfig(1))
	defer source.Close()
	var entries []entry
	var states []*meta.State
	for i := range 40 {
		change := createKeyspace(i)
		change.Properties[0].Map["replication_factor"] = strings.Repeat("0", 40*i) + "1"
		states = append(states, mustCommit(t, source, change))
	}
	entries = source.published.Load().history.entries
	mem := vfs.NewMem()
	rnd := rand.New(rand.NewPCG(8, 8))
	type image struct {
		fs    *vfs.Mem
		acked meta.Epoch
		op    string
	}
	var images []image
	var acked meta.Epoch
	fs := vfs.NewTraced(mem, nil, func(op vfs.Op) {
		for _, m := range []*vfs.Mem{mem.CrashNone(), mem.Crash(rnd), mem.Crash(rnd)} {
			images = append(images, image{m, acked, op.String()})
		}
	})
	cfg := func() Config { // made anew, since Open fills it
		c := testConfig(2)
		c.Seeds, c.Node.Broadcast = []helenus.Endpoint{address(9)}, address(8)
		return c
	}
	l := mustOpen(t, fs, cfg())
	for at := 0; at < len(entries); {
		var err error
		if n := rnd.IntN(6) + 1; n < 6 && at > 0 {
			next := min(at+n, len(entries))
			err, at = l.extend(entries[at:next]), next
		} else { // as a newcomer's first step always is
			at = min(at+4, len(entries))
			e := entries[at-1]
			err = l.adopt(states[at-4], history{base: point{e.epoch, e.hash}})
		}
		if err != nil {
			t.Fatal(err)
		}
		acked = l.State().Epoch
	}
	want := string(meta.EncodeState(nil, source.State()))
	for _, im := range images {
		l, err := Open(im.fs, cfg())
		if err != nil {
			t.Fatalf("after %s, epoch %d: %v", im.op, im.acked, err)
		}
		s := l.State()
		if s.Epoch < im.acked {
			t.Fatalf("after %s: epoch %d of %d", im.op, s.Epoch, im.acked)
		}
		if s.Epoch == 0 {
			continue
		}
		if err := l.extend(entries); err != nil || string(meta.EncodeState(nil, l.State())) != want {
			t.Fatalf("after %s: it cannot follow from epoch %d: %v", im.op, s.Epoch, err)
		}
		l.Close()
	}
	if len(images) < 200 {
		t.Errorf("only %d images", len(images))
	}
}

// TestSnapshotInPieces: who is further behind than others remember gets the whole
// State, piece by piece, as a newcomer and as a member.
func TestSnapshotInPieces(t *testing.T) {
	inBubble(t, 2, 15, func(b *bubble) {
		big := func(i int) meta.CreateKeyspace {
			c := createKeyspace(i)
			c.Properties[0].Map["replication_factor"] = strings.Repeat("0", 40<<10) + "1"
			return c
		}
		pieces := 0
		b.net.lie = func(_ helenus.Endpoint, _ wire.VerbID, m wire.Message) {
			if a, ok := m.(*pullAnswer); ok && a.total > 0 {
				pieces++
			}
		}
		b.nodes[0].cfg.Seeds = nil
		b.start(0)
		for i := range 30 {
			b.commit(0, big(i))
		}
		b.nodes[0].stop() // and forget single entries
		b.start(0, 1)
		pass(5 * time.Second)
		if s := b.equal(); len(s.Nodes) != 2 || b.net.value(&pieces) < 4 {
			t.Fatalf("%d members, %d pieces", len(s.Nodes), b.net.value(&pieces))
		}
		b.nodes[1].stop()
		for i := range 40 {
			b.commit(0, big(100+i))
		}
		b.nodes[0].stop()
		b.start(0, 1)
		pass(10 * time.Second)
		if b.equal(); b.net.value(&pieces) < 12 {
			t.Errorf("%d pieces", b.net.value(&pieces))
		}
		b.commit(1, createKeyspace(999))
		pass(10 * time.Second)
		b.equal()
	})
}

// TestVoterFarBehind: a voter that lacks more than the others' raft logs hold
// pulls, and is a voter again.
func TestVoterFarBehind(t *testing.T) {
	inBubble(t, 3, 16, func(b *bubble) {
		b.start(0, 1, 2)
		pass(20 * time.Second)
		lead := b.leader()
		behind, other := (lead+1)%3, (lead+2)%3
		b.commit(lead, createKeyspace(1))
		b.nodes[behind].stop()
		for i := range 700 {
			durable := []string{"true", "false"}[i%2]
			b.commit(lead, meta.AlterKeyspace{Name: "ks1", Properties: []meta.Property{{Name: "durable_writes", Text: durable}}})
		}
		lead = b.leader()
		f := &raftFile{l: b.nodes[lead].log, name: raftName(b.nodes[lead].log.State().Group), group: b.nodes[lead].log.State().Group}
		r := raftRecord{base: newRaftSnapshot(1, 1, point{})}
		raw, err := vfs.ReadFile(b.nodes[lead].fs, f.l.path(f.name), logSizeMax)
		if err == nil {
			_, err = f.replay(raw, &r)
		}
		if err != nil || r.base.GetMetadata().GetIndex() < 100 {
			t.Fatalf("the raft log goes back to %d: %v", r.base.GetMetadata().GetIndex(), err)
		}
		b.start(behind)
		pass(15 * time.Second)
		b.equal()
		if one, two := b.nodes[lead].log.Status(), b.nodes[behind].log.Status(); one.Applied != two.Applied || two.Term == 0 {
			t.Errorf("raft index %d at the leader, %d behind", one.Applied, two.Applied)
		}
		b.nodes[other].stop()
		if _, err := b.nodes[behind].log.Commit(context.Background(), createKeyspace(2)); err != nil {
			t.Errorf("with the one that was behind: %v", err)
		}
	})
}
