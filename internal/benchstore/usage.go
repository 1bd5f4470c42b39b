package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what this process has used since its start.
type usage struct {
	User, System time.Duration
	// Bytes of read and write calls, to the page cache or the disk: what the
	// engine asked for. (The kernel's write_bytes counts whole folios, up to
	// megabytes for a block of 4 KiB.)
	Read, Written int64
}

func usageNow() (u usage, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.User, u.System = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	f, err := os.Open("/proc/self/io")
	if err != nil {
		return u, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		name, value, _ := strings.Cut(in.Text(), ": ")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "rchar":
			u.Read = n
		case "wchar":
			u.Written = n
		}
	}
	return u, in.Err()
}

func (u usage) cpu() time.Duration { return u.User + u.System }

func (u usage) minus(v usage) usage {
	return usage{User: u.User - v.User, System: u.System - v.System, Read: u.Read - v.Read, Written: u.Written - v.Written}
}

// waitQuiet waits until the engine's background work has ended: for most of a
// second it hardly writes and computes.
func waitQuiet() error {
	const window, windows = 200 * time.Millisecond, 4
	const cpuLeast, writtenLeast = 4 * time.Millisecond, 4096 // wake-ups of the runtime write, too
	begun := time.Now()
	before, err := usageNow()
	for still := 0; still < windows && err == nil; {
		time.Sleep(window)
		var now usage
		if now, err = usageNow(); err != nil {
			break
		}
		if d := now.minus(before); d.cpu() < cpuLeast && d.Written < writtenLeast {
			still++
		} else {
			still = 0
		}
		if time.Since(begun) > quietMax {
			return fmt.Errorf("the engine is still busy after %s", quietMax)
		}
		before = now
	}
	return err
}

// folderBytes is the space that the files below a folder take on the disk.
func folderBytes(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	return n, err
}

func (u usage) plus(v usage) usage {
	return usage{User: u.User + v.User, System: u.System + v.System, Read: u.Read + v.Read, Written: u.Written + v.Written}
}
