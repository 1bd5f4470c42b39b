package sstable

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// TestChecksumsGolden: the bytes of Checksums.db stay what docs/format/checksums.md
// says. -rewrite writes the file anew, for a new version.
func TestChecksumsGolden(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	sums := checksums{}
	for _, c := range []Component{Data, Index, Filter} {
		s, err := sumReader(c, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		sums[c] = s
	}
	got := sums.encode()
	name := filepath.Join("testdata", "checksums-v2.hex")
	if *rewrite {
		if err := os.WriteFile(name, []byte(hex.Dump(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(got) != string(want) {
		t.Errorf("other bytes than in %s:\n%s", name, hex.Dump(got))
	}
	back, err := decodeChecksums(got)
	if err != nil || !bytes.Equal(back.encode(), got) || back[Index].block != 4<<10 || back[Data].block != 16<<10 || back[Filter].block != 64<<10 {
		t.Errorf("read back: %v, %+v", err, back)
	}
}
