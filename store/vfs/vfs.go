// Package vfs is the file system as the rest of Helenus sees it.
//
// Nouns: FS (the port), File (an open file), Real (the operating system's),
// Mem (in memory, with crash images: what a power cut could leave), Faulty and
// Traced (wrappers that inject errors, and write down the order of operations).
//
// Every package that keeps bytes calls it, through an FS handed in. It never
// knows what the bytes mean, never retries, and never syncs on its own, except
// where a method says so.
//
// What survives a power cut: the bytes of a file as they were when its last
// Sync returned, and the names of a directory as they were when its last
// SyncDir returned. Anything later may be there in any part and any order; see
// Mem.Crash for the exact model.
package vfs

import "io"

// FS is a file system. Names are paths, separated by slashes. Errors carry the
// operation and the path (they are *fs.PathError or *os.LinkError), and
// errors.Is works on them with fs.ErrNotExist, fs.ErrExist and syscall.Errno
// values such as ENOSPC. All methods may be called by many goroutines at once.
type FS interface {
	// Create makes a file, or cuts an existing one to length 0, and opens it for
	// reading and writing at position 0.
	Create(name string) (File, error)
	// OpenRead opens an existing file; writing to it fails.
	OpenRead(name string) (File, error)
	// OpenReadWrite opens an existing file without changing it; Write goes on at
	// its end.
	OpenReadWrite(name string) (File, error)
	// Rename replaces an existing file newName atomically.
	Rename(oldName, newName string) error
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// Link gives a file a second name; the new name must not exist.
	Link(oldName, newName string) error
	// MkdirAll makes a directory and those above it. Alone among the operations
	// on names it is durable when it returns.
	MkdirAll(dir string) error
	// List gives the names in a directory, sorted.
	List(dir string) ([]string, error)
	Stat(name string) (Info, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes a lock file that no other process, and no other caller in this
	// one, holds: errors.Is(err, ErrLocked) otherwise. Close releases it.
	Lock(name string) (io.Closer, error)
	// DiskUsage tells the space of the volume that holds dir.
	DiskUsage(dir string) (Usage, error)
}

// File is an open file. ReadAt, WriteAt, Size and Sync may be called by many
// goroutines at once; Write may not.
type File interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes now.
	Size() (int64, error)
	// Preallocate makes the file at least size bytes long and takes the space on
	// the volume; new bytes read as zero. Like any write it is durable after Sync.
	Preallocate(size int64) error
	// Sync makes the file's bytes and length durable (fdatasync). After an error
	// the state of everything written since the last Sync is unknown, and a
	// second Sync would not tell: do not retry.
	Sync() error
}

// Info describes a name.
type Info struct {
	Size  int64
	IsDir bool
}

// Usage is the space of a volume in bytes.
type Usage struct {
	Total uint64
	Free  uint64 // for this process, reserved blocks left out
}

// ErrLocked is the cause of Lock's error when somebody holds the lock.
var ErrLocked error = lockedError{}

type lockedError struct{}

func (lockedError) Error() string { return "locked by another process" }
