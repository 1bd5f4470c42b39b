package cluster

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"helenus"
	"helenus/internal/meta"
	"helenus/store/vfs"
)

// goldenFiles lays the files of a golden directory onto a disk.
func goldenFiles(t *testing.T, path string, cfg Config) *vfs.Mem {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mem := vfs.NewMem()
	if err := mem.MkdirAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, content, _ := strings.Cut(strings.TrimSpace(line), " ")
		raw, err := hex.DecodeString(content)
		if err == nil {
			err = vfs.WriteFile(mem, cfg.Dir+"/"+name, raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return mem
}

// TestGoldenV1 reads files of the first format, kept for ever; the node is brought
// up to date by one change.
func TestGoldenV1(t *testing.T) {
	mem := goldenFiles(t, "testdata/v1.txt", testConfig(5))
	for range 2 {
		l := mustOpen(t, mem, testConfig(5))
		s := l.State()
		if s.Epoch != 8 || s.Level != meta.CurrentLevel || s.Schema.Keyspaces["ks3"] == nil || s.Schema.Keyspaces["ks0"] == nil || len(s.Nodes[0].Tokens) != 4 {
			t.Errorf("golden files lead to epoch %d", s.Epoch)
		}
		l.Close()
	}
}

// TestGolden reads files as they are written today, at feature level 3, and as
// they were at level 2, kept for ever; those bring the node up to date by one
// change. Made by: HELENUS_REWRITE=1 go test ./agent/cluster -run TestGolden$
func TestGolden(t *testing.T) {
	const today = "testdata/v3.txt"
	if os.Getenv("HELENUS_REWRITE") != "" {
		writeGolden(t, today)
	}
	t.Run("today", func(t *testing.T) { readGolden(t, today, 7, 7) })
	t.Run("level 2", func(t *testing.T) { readGolden(t, "testdata/v2.txt", 8, 8) })
}

func readGolden(t *testing.T, path string, epoch, schemaEpoch meta.Epoch) {
	cfg := testConfig(5)
	mem := goldenFiles(t, path, cfg)
	l := mustOpen(t, mem, cfg)
	defer l.Close()
	s := l.State()
	if s.Epoch != epoch || s.SchemaEpoch != schemaEpoch || s.Schema.Keyspaces["ks3"] == nil || s.Schema.Keyspaces["ks0"] == nil || len(s.Nodes[0].Tokens) != 4 {
		t.Errorf("golden files lead to epoch %d", s.Epoch)
	}
	if p, err := l.readPromise(); err != nil || p.host != (helenus.HostID{3}) || p.round != 300 {
		t.Errorf("promise %+v, %v", p, err)
	}
	if got, err := readRaft(l); err != nil || got != "hard 4 0 base 20 4 30 21:4:f" {
		t.Errorf("raft %s, %v", got, err)
	}
}

func writeGolden(t *testing.T, path string) {
	mem := vfs.NewMem()
	cfg := testConfig(1)
	l := mustOpen(t, mem, cfg)
	for i := range 4 {
		mustCommit(t, l, createKeyspace(i))
	}
	if err := l.savePromise(promise{host: helenus.HostID{3}, round: 300, seeds: seedsHash(nil)}); err != nil {
		t.Fatal(err)
	}
	raftRun(t, l, func(string) {})
	l.Close()
	var out strings.Builder
	for _, name := range []string{identityName, snapshotName, "log-00000000000000000006", promiseName, raftName(meta.GroupID{7})} {
		b, err := vfs.ReadFile(mem, cfg.Dir+"/"+name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", name, hex.EncodeToString(b))
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
