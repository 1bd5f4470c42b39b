package cluster

import (
	"strings"
	"testing"

	"helenus/store/vfs"
)

// FuzzFiles opens a log over arbitrary files: an error or a State, no panic.
func FuzzFiles(f *testing.F) {
	mem := vfs.NewMem()
	cfg := testConfig(1)
	l, err := Open(mem, cfg)
	if err != nil {
		f.Fatal(err)
	}
	l.Close()
	names, err := mem.List(cfg.Dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		if b, err := vfs.ReadFile(mem, cfg.Dir+"/"+name, 1<<20); err == nil {
			f.Add(strings.HasPrefix(name, logPrefix), b)
		}
	}
	f.Fuzz(func(t *testing.T, isLog bool, b []byte) {
		fs := mem.Kill()
		name := cfg.Dir + "/" + snapshotName
		if isLog {
			name = cfg.Dir + "/" + logPrefix + "00000000000000000001"
		}
		if err := vfs.WriteFile(fs, name, b); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(fs, testConfig(1)); err == nil {
			l.Close()
		}
	})
}
