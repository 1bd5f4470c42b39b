package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Real is the operating system's file system.
type Real struct{}

// NewReal returns the operating system's file system. Names may be absolute or
// relative to the working directory.
func NewReal() Real { return Real{} }

var _ FS = Real{}

const (
	fileMode = 0o644
	dirMode  = 0o755
)

// Create makes or empties a file.
func (Real) Create(name string) (File, error) {
	return openReal(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// OpenRead opens a file for reading.
func (Real) OpenRead(name string) (File, error) { return openReal(name, os.O_RDONLY) }

// OpenReadWrite opens an existing file and goes to its end.
func (Real) OpenReadWrite(name string) (File, error) {
	f, err := openReal(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if _, err := f.(*realFile).Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func openReal(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, fileMode)
	if err != nil {
		return nil, err
	}
	return &realFile{File: f}, nil
}

// Rename replaces newName.
func (Real) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// Remove deletes a file or an empty directory.
func (Real) Remove(name string) error { return os.Remove(name) }

// Link gives a file a second name.
func (Real) Link(oldName, newName string) error { return os.Link(oldName, newName) }

// MkdirAll makes dir and syncs the parents of what it made.
func (r Real) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := r.MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.SyncDir(parent)
}

// List gives the sorted names in dir.
func (Real) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	return names, nil
}

// Stat describes a name.
func (Real) Stat(name string) (Info, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: info.Size(), IsDir: info.IsDir()}, nil
}

// ModTime is when a file was last written. Only the operating system knows it,
// so it is not part of FS: whoever wants it asks whether the FS has it.
func (Real) ModTime(name string) (time.Time, error) {
	i, err := os.Stat(name)
	if err != nil {
		return time.Time{}, err
	}
	return i.ModTime(), nil
}

// SyncDir makes the names in dir durable.
func (Real) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock takes an flock, which the kernel drops when the process dies.
func (Real) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

// DiskUsage tells the space of the volume that holds dir.
func (Real) DiskUsage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(st.Bsize)
	return Usage{Total: st.Blocks * block, Free: st.Bavail * block}, nil
}

type realFile struct{ *os.File }

func (f *realFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *realFile) Sync() error {
	if err := fdatasync(f.File); err != nil {
		return pathError("fdatasync", f.Name(), err)
	}
	return nil
}

func (f *realFile) Preallocate(size int64) error {
	now, err := f.Size()
	if err != nil || now >= size {
		return err
	}
	if err := preallocate(f.File, size); err != nil {
		return pathError("preallocate", f.Name(), err)
	}
	return nil
}

// pathError adds operation and path unless err has them already.
func pathError(op, path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
