package agent

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helenus/store/vfs"
)

// A generation follows the clock, rises over a clock that was set back, and is
// refused where no other node would believe it; the file is then as it was.
func TestGeneration(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		clock time.Time
		want  int64 // 0: refused
	}{
		{at, at.Unix()},
		{at, at.Unix() + 1},
		{at.AddDate(0, 0, 1), at.AddDate(0, 0, 1).Unix()},
		{at, at.AddDate(0, 0, 1).Unix() + 1},
		{at.AddDate(-1, -1, 0), 0},
		{time.Unix(0, 0), 0},
		{at, at.AddDate(0, 0, 1).Unix() + 2},
	} {
		got, err := nextGeneration(disk, "/d", step.clock)
		if got != step.want || (err == nil) != (step.want != 0) {
			t.Errorf("at %v: %d, %v, want %d", step.clock, got, err, step.want)
		}
		if err != nil && !strings.Contains(err.Error(), "correct the clock, or remove the file") {
			t.Error(err)
		}
	}
	if err := vfs.WriteFile(disk, filepath.Join("/d", "generation"), []byte("4070908800\n")); err != nil {
		t.Fatal(err)
	}
	const want = "/d/generation: the last start was at 2099-01-01T00:00:00Z, and the clock says 2026-01-02T03:04:05Z"
	if _, err := nextGeneration(disk, "/d", at); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
