package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"helenus"
	"helenus/agent/wire"
	"helenus/internal/meta"
	"helenus/internal/token"
	"helenus/store/vfs"
)

// raftLog makes a Log that has nothing but a disk.
func raftLog(fs vfs.FS) *Log {
	l := &Log{fs: fs, cfg: testConfig(1)}
	l.published.Store(&publication{state: meta.New(nil)})
	return l
}

func raftEntry(index, term uint64, data string) *raftpb.Entry {
	return &raftpb.Entry{Index: &index, Term: &term, Data: []byte(data)}
}

func raftHard(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

// raftRun writes what a voter might, and tells after each step what is promised.
func raftRun(t *testing.T, l *Log, promised func(string)) {
	t.Helper()
	f, _, err := l.openRaft(meta.GroupID{7})
	if err != nil {
		t.Fatal(err)
	}
	all := raftRecord{base: newRaftSnapshot(1, 1, point{})}
	step := func(r *raftRecord, rewrite bool) {
		if rewrite {
			all = *r
			err = f.rewrite(r)
		} else {
			err = f.save(r)
			if e := all.merge(r); e != nil {
				t.Fatal(e)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		promised(all.String())
	}
	promised(all.String())
	step(&raftRecord{hard: raftHard(2, 1, 1)}, false)
	step(&raftRecord{entries: []*raftpb.Entry{raftEntry(2, 2, ""), raftEntry(3, 2, "a")}}, false)
	step(&raftRecord{hard: raftHard(3, 2, 2), entries: []*raftpb.Entry{raftEntry(3, 3, strings.Repeat("b", 1500))}}, false)
	step(&raftRecord{entries: []*raftpb.Entry{raftEntry(4, 3, "c"), raftEntry(5, 3, "d")}}, false)
	step(&raftRecord{base: newRaftSnapshot(4, 3, point{epoch: 9}), hard: raftHard(3, 2, 4),
		entries: []*raftpb.Entry{raftEntry(5, 3, "d")}}, true)
	step(&raftRecord{entries: []*raftpb.Entry{raftEntry(6, 3, strings.Repeat("e", 700))}}, false)
	step(&raftRecord{base: newRaftSnapshot(20, 4, point{epoch: 30}), hard: raftHard(4, 0, 20)}, false)
	step(&raftRecord{entries: []*raftpb.Entry{raftEntry(21, 4, "f")}}, false)
	f.close()
}

func (r *raftRecord) String() string {
	out := fmt.Sprintf("hard %d %d base %d %d %d", r.hard.GetTerm(), r.hard.GetVote(), r.base.GetMetadata().GetIndex(),
		r.base.GetMetadata().GetTerm(), pointOf(r.base).epoch)
	for _, e := range r.entries {
		out += fmt.Sprintf(" %d:%d:%s", e.GetIndex(), e.GetTerm(), e.Data)
	}
	return out
}

func readRaft(l *Log) (string, error) {
	f := &raftFile{l: l, name: raftName(meta.GroupID{7}), group: meta.GroupID{7}}
	all := raftRecord{base: newRaftSnapshot(1, 1, point{})}
	b, err := vfs.ReadFile(l.fs, l.path(f.name), logSizeMax)
	if err == nil {
		_, err = f.replay(b, &all)
	}
	return all.String(), err
}

// TestRaftCrash opens what a power cut leaves after each operation: what was
// promised to other voters is there.
func TestRaftCrash(t *testing.T) {
	mem := vfs.NewMem()
	r := rand.New(rand.NewPCG(3, 3))
	type image struct {
		fs      *vfs.Mem
		promise int
		op      string
	}
	var images []image
	var promises []string
	fs := vfs.NewTraced(mem, nil, func(op vfs.Op) {
		for _, m := range []*vfs.Mem{mem.CrashNone(), mem.Kill(), mem.Crash(r), mem.Crash(r), mem.Crash(r), mem.Crash(r)} {
			images = append(images, image{m, len(promises) - 1, op.String()})
		}
	})
	l := raftLog(fs)
	if err := fs.MkdirAll(l.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	raftRun(t, l, func(s string) { promises = append(promises, s) })
	for _, im := range images {
		l := raftLog(im.fs)
		l.fs.MkdirAll(l.cfg.Dir)
		f, mem, err := l.openRaft(meta.GroupID{7})
		if err != nil {
			t.Fatalf("after %s: %v", im.op, err)
		}
		if _, _, err := mem.InitialState(); err != nil {
			t.Fatal(err)
		}
		got, err := readRaft(l)
		if err != nil {
			t.Fatalf("after %s: %v", im.op, err)
		}
		if im.promise >= 0 && got != promises[im.promise] && (im.promise+1 == len(promises) || got != promises[im.promise+1]) {
			t.Fatalf("after %s: %s, promised %s", im.op, got, promises[im.promise])
		}
		last, _ := mem.LastIndex()
		if err := f.save(&raftRecord{entries: []*raftpb.Entry{raftEntry(last+1, 9, "z")}}); err != nil {
			t.Fatal(err)
		}
		f.close()
		if again, err := readRaft(l); err != nil || again != got+fmt.Sprintf(" %d:9:z", last+1) {
			t.Fatalf("after %s, and one more: %s, %v", im.op, again, err)
		}
	}
	if len(images) < 100 {
		t.Errorf("only %d images", len(images))
	}
}

func TestRaftEveryFlippedBitIsFound(t *testing.T) {
	mem := vfs.NewMem()
	l := raftLog(mem)
	mem.MkdirAll(l.cfg.Dir)
	raftRun(t, l, func(string) {})
	name := l.path(raftName(meta.GroupID{7}))
	want, err := readRaft(l)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := mem.Stat(name)
	for at := range info.Size {
		fs := mem.Kill()
		f, err := fs.OpenReadWrite(name)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		f.ReadAt(b[:], at)
		b[0] ^= 1 << (at % 8)
		f.WriteAt(b[:], at)
		f.Close()
		if got, err := readRaft(raftLog(fs)); err == nil && got != want {
			t.Fatalf("byte %d: the flip was not noticed", at)
		} else if err != nil && (!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "backup")) {
			t.Fatalf("byte %d: no name and no way out: %v", at, err)
		} else if err == nil {
			t.Fatalf("byte %d: nobody cared", at)
		}
	}
}

func FuzzRaftFile(f *testing.F) {
	mem := vfs.NewMem()
	l := raftLog(mem)
	mem.MkdirAll(l.cfg.Dir)
	g, _, err := l.openRaft(meta.GroupID{7})
	if err != nil {
		f.Fatal(err)
	}
	g.save(&raftRecord{hard: raftHard(2, 1, 1), entries: []*raftpb.Entry{raftEntry(2, 2, "x")}})
	g.close()
	b, err := vfs.ReadFile(mem, l.path(g.name), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := mem.Kill()
		if err := vfs.WriteFile(fs, l.path(g.name), b); err != nil {
			t.Fatal(err)
		}
		if f, _, err := raftLog(fs).openRaft(meta.GroupID{7}); err == nil {
			f.close()
		}
	})
}

// FuzzRaftRecord decodes arbitrary records: an error, or one that encodes to the
// same bytes and that raft can begin from.
func FuzzRaftRecord(f *testing.F) {
	for _, r := range []raftRecord{
		{hard: raftHard(2, 1, 1), entries: []*raftpb.Entry{raftEntry(2, 2, ""), raftEntry(3, 2, "x")}},
		{base: newRaftSnapshot(4, 3, point{epoch: 9}), entries: []*raftpb.Entry{raftEntry(5, 3, "y")}},
	} {
		f.Add(r.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r raftRecord
		if err := r.decode(b); err != nil {
			return
		}
		if again := r.append(nil); string(again) != string(b) {
			t.Fatalf("% x is a second spelling of % x", b, again)
		}
		all := raftRecord{base: newRaftSnapshot(1, 1, point{})}
		if err := all.merge(&r); err == nil {
			memoryOf(&all, 3)
		}
	})
}

// FuzzRaftStep gives a voter whatever another may send: it may stop being a voter,
// and no more.
func FuzzRaftStep(f *testing.F) {
	for _, m := range messages() {
		if r, ok := m.(*raftMessage); ok {
			f.Add(r.AppendTo(nil), r.AppendTo(nil))
		}
	}
	s := votedState(f)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l := raftLog(vfs.NewMem())
		l.fs.MkdirAll(l.cfg.Dir)
		l.cfg.fill()
		l.turn = make(chan struct{}, 1)
		l.self = s.Voters[0]
		l.loop.init(l)
		l.published.Store(&publication{state: s, changed: make(chan struct{})})
		l.loop.outside.Store(&outside{wire: nowhere{}})
		l.loop.followGroup()
		for _, b := range [][]byte{first, second} {
			var m raftMessage
			if err := m.Decode(b); err != nil || l.loop.group == nil {
				return
			}
			m.group, m.epoch = s.Group, s.Epoch
			from, to := uint64(2), uint64(1)
			m.body.From, m.body.To = &from, &to
			l.loop.answerRaft(s.Voters[1], &m)
			l.loop.settle()
		}
	})
}

type nowhere struct{}

func (nowhere) Call(wire.Target, *wire.Call) {}

// votedState has three voters.
func votedState(t testing.TB) *meta.State {
	s := meta.New(nil)
	changes := []meta.Change{meta.Found{ClusterID: meta.ClusterID{1}, ClusterName: "c", Partitioner: token.Murmur3Partitioner{}.Name()}}
	var ids []helenus.HostID
	for n := byte(1); n <= 3; n++ {
		ids = append(ids, helenus.HostID{n})
		changes = append(changes, meta.Register{Node: meta.Node{HostID: helenus.HostID{n}, Broadcast: address(n), Listen: address(n), Native: address(n),
			Datacenter: "dc", Rack: "r", Tokens: []token.Token{token.FromInt64(int64(n))}, Level: meta.CurrentLevel}})
	}
	for _, c := range append(changes, meta.SetVoters{Voters: ids, Group: meta.GroupID{7}}) {
		next, err := meta.Apply(s, c)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}
