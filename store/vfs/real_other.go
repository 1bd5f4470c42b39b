//go:build !linux

package vfs

import "os"

// fdatasync is Go's own Sync, which on darwin asks the drive itself to flush.
func fdatasync(f *os.File) error { return f.Sync() }

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }
