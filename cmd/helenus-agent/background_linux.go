package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// backgroundNice is the nice value of threads that write files: beside a busy
// server they get about a tenth of a processor, beside an idle one all of it.
const backgroundNice = 10

// background runs work on a thread of its own of lower priority, which ends with
// it, and waits.
func background(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is not used again
		// On Linux the priority is the calling thread's. Without it, work is done too.
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice)
		work()
	}()
	<-done
}
