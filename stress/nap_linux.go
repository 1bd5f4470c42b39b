package stress

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// nap lets a little time pass. The runtime's timers may be a millisecond late,
// which is longer than most requests take; the kernel's are not.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	// Interrupted: the caller looks at the clock in any case.
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
}

// sharpen binds the goroutine to its thread and asks the kernel to wake it on
// time: by default it gathers wake-ups that are 50 µs apart.
func sharpen() (release func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it: late by that much, which the run reports
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 is the thread's default
		runtime.UnlockOSThread()
	}
}
