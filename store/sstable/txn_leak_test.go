package sstable

import (
	"io"
	"strings"
	"testing"

	"helenus/store/vfs"
)

// TestTxnOnABadDisk: a transaction whose last record the disk refuses closes its
// log all the same. Found by internal/sim, seed 20 of TestFaultyCluster with
// HELENUS_SIM_HOURS.
func TestTxnOnABadDisk(t *testing.T) {
	for _, end := range []func(*Txn) error{(*Txn).Abort, func(x *Txn) error { return x.Commit() }} {
		var trace strings.Builder
		bad := false
		disk := vfs.NewTraced(vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) (f vfs.Fault) {
			if bad && op.Kind == vfs.OpWrite {
				f.Err = io.ErrUnexpectedEOF
			}
			return f
		}), &trace, nil)
		if err := disk.MkdirAll("/t"); err != nil {
			t.Fatal(err)
		}
		x, err := Begin(disk, "/t", OpFlush, [16]byte{})
		if err != nil {
			t.Fatal(err)
		}
		bad = true
		if err := end(x); err == nil {
			t.Error("no error")
		}
		if !strings.Contains(trace.String(), "close ") {
			t.Errorf("the log is open:\n%s", &trace)
		}
	}
}
