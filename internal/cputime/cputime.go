// Package cputime measures for benchmarks what the clock on the wall does not
// tell on a busy machine.
//
// Its one noun is Process, the CPU time of the process so far.
//
// Tests and benchmarks of all packages call it. It is in no binary.
package cputime

import (
	"syscall"
	"testing"
	"time"
)

// Process is what this process has used of the processors, in user mode and in
// the kernel.
func Process(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
