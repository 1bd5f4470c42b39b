package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// memFile is one handle; the bytes are the node's.
type memFile struct {
	fs     *Mem
	node   *node
	name   string
	write  bool
	closed bool  // guarded by fs.mu
	at     int64 // where Write goes on; its one caller's
}

func (f *memFile) checkLocked(op string, write bool) error {
	if f.closed {
		return memError(op, f.name, fs.ErrClosed)
	}
	if write && !f.write {
		return memError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, memError("write", f.name, syscall.EINVAL)
	}
	if err := f.growLocked("write", off+int64(len(p))); err != nil {
		return 0, err
	}
	f.node.dirtied(off, int64(len(p)))
	return copy(f.node.data[off:], p), nil
}

// growLocked makes the file at least size bytes long if the volume has room.
func (f *memFile) growLocked(op string, size int64) error {
	more := size - int64(len(f.node.data))
	if more <= 0 {
		return nil
	}
	if f.fs.used+more > f.fs.total {
		return memError(op, f.name, syscall.ENOSPC)
	}
	f.fs.used += more
	f.node.resize(size)
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, memError("read", f.name, syscall.EINVAL)
	}
	if off >= int64(len(f.node.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

func (f *memFile) Preallocate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("preallocate", true); err != nil {
		return err
	}
	return f.growLocked("preallocate", size)
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("fdatasync", false); err != nil {
		return err
	}
	f.node.synced()
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("close", false); err != nil {
		return err
	}
	f.closed = true
	return nil
}
