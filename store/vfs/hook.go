package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// OpKind says what an operation does; its text is what a trace shows.
type OpKind string

// The operations.
const (
	OpCreate        OpKind = "create"
	OpOpenRead      OpKind = "open"
	OpOpenReadWrite OpKind = "openrw"
	OpRename        OpKind = "rename"
	OpRemove        OpKind = "remove"
	OpLink          OpKind = "link"
	OpMkdirAll      OpKind = "mkdir"
	OpList          OpKind = "list"
	OpStat          OpKind = "stat"
	OpSyncDir       OpKind = "syncdir"
	OpLock          OpKind = "lock"
	OpDiskUsage     OpKind = "df"
	OpRead          OpKind = "read"
	OpWrite         OpKind = "write"
	OpPreallocate   OpKind = "preallocate"
	OpSync          OpKind = "sync"
	OpClose         OpKind = "close"
)

// Op is one operation on a file system.
type Op struct {
	Kind    OpKind
	Name    string
	NewName string // OpRename, OpLink
	Offset  int64  // OpRead, OpWrite
	Size    int64  // OpRead, OpWrite, OpPreallocate
}

// Mutates tells whether the operation changes what is stored or what is durable.
func (o Op) Mutates() bool {
	switch o.Kind {
	case OpOpenRead, OpOpenReadWrite, OpList, OpStat, OpLock, OpDiskUsage, OpRead, OpClose:
		return false
	}
	return true
}

// String is the operation's line in a trace.
func (o Op) String() string {
	switch o.Kind {
	case OpRename, OpLink:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.NewName)
	case OpRead, OpWrite:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Name, o.Offset, o.Size)
	case OpPreallocate:
		return fmt.Sprintf("%s %s %d", o.Kind, o.Name, o.Size)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Name)
}

// Fault is what shall go wrong with an operation; the zero Fault lets it be.
type Fault struct {
	Err     error   // the operation fails so; wrapped with operation and path
	Written int     // OpWrite that fails: so many bytes are written all the same
	Flip    []int64 // OpRead: bits to turn over, counted from the start of the file
}

// NewFaulty wraps inner; decide is asked before every operation and may be
// called by many goroutines at once.
func NewFaulty(inner FS, decide func(Op) Fault) FS {
	return &hooked{inner: inner, before: decide, after: func(Op, error) {}}
}

// NewTraced wraps inner: each operation becomes a line in w (nil: none), with
// its error after " ! "; after an operation that mutates, and when its line is
// written, hook is called (nil: nothing), never two calls at once.
func NewTraced(inner FS, w io.Writer, hook func(Op)) FS {
	var mu sync.Mutex
	after := func(op Op, err error) {
		mu.Lock()
		defer mu.Unlock()
		if w != nil {
			line := op.String()
			if err != nil {
				line += " ! " + cause(err).Error()
			}
			fmt.Fprintln(w, line)
		}
		if hook != nil && op.Mutates() {
			hook(op)
		}
	}
	return &hooked{inner: inner, before: func(Op) Fault { return Fault{} }, after: after}
}

// cause takes the path off an error, so that a trace names it once.
func cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	}
	return err
}

type hooked struct {
	inner  FS
	before func(Op) Fault
	after  func(Op, error)
}

// do runs f between the hooks unless a fault takes its place.
func (h *hooked) do(op Op, f func() error) error {
	var err error
	if fault := h.before(op); fault.Err != nil {
		err = faultError(op, fault.Err)
	} else {
		err = f()
	}
	h.after(op, err)
	return err
}

func faultError(op Op, err error) error {
	return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
}

func (h *hooked) open(kind OpKind, name string, open func(string) (File, error)) (File, error) {
	var f File
	err := h.do(Op{Kind: kind, Name: name}, func() (err error) {
		f, err = open(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	at := int64(0)
	if kind == OpOpenReadWrite {
		if at, err = f.Size(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return &hookedFile{File: f, fs: h, name: name, at: at}, nil
}

func (h *hooked) Create(name string) (File, error) {
	return h.open(OpCreate, name, h.inner.Create)
}

func (h *hooked) OpenRead(name string) (File, error) {
	return h.open(OpOpenRead, name, h.inner.OpenRead)
}

func (h *hooked) OpenReadWrite(name string) (File, error) {
	return h.open(OpOpenReadWrite, name, h.inner.OpenReadWrite)
}

func (h *hooked) Rename(oldName, newName string) error {
	return h.do(Op{Kind: OpRename, Name: oldName, NewName: newName},
		func() error { return h.inner.Rename(oldName, newName) })
}

func (h *hooked) Link(oldName, newName string) error {
	return h.do(Op{Kind: OpLink, Name: oldName, NewName: newName},
		func() error { return h.inner.Link(oldName, newName) })
}

func (h *hooked) Remove(name string) error {
	return h.do(Op{Kind: OpRemove, Name: name}, func() error { return h.inner.Remove(name) })
}

func (h *hooked) MkdirAll(dir string) error {
	return h.do(Op{Kind: OpMkdirAll, Name: dir}, func() error { return h.inner.MkdirAll(dir) })
}

func (h *hooked) SyncDir(dir string) error {
	return h.do(Op{Kind: OpSyncDir, Name: dir}, func() error { return h.inner.SyncDir(dir) })
}

func (h *hooked) List(dir string) (names []string, err error) {
	err = h.do(Op{Kind: OpList, Name: dir}, func() (err error) {
		names, err = h.inner.List(dir)
		return err
	})
	return names, err
}

func (h *hooked) Stat(name string) (info Info, err error) {
	err = h.do(Op{Kind: OpStat, Name: name}, func() (err error) {
		info, err = h.inner.Stat(name)
		return err
	})
	return info, err
}

func (h *hooked) Lock(name string) (lock io.Closer, err error) {
	err = h.do(Op{Kind: OpLock, Name: name}, func() (err error) {
		lock, err = h.inner.Lock(name)
		return err
	})
	return lock, err
}

func (h *hooked) DiskUsage(dir string) (u Usage, err error) {
	err = h.do(Op{Kind: OpDiskUsage, Name: dir}, func() (err error) {
		u, err = h.inner.DiskUsage(dir)
		return err
	})
	return u, err
}

// hookedFile turns Write into WriteAt, so that every write has an offset.
type hookedFile struct {
	File
	fs   *hooked
	name string
	at   int64
}

func (f *hookedFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *hookedFile) WriteAt(p []byte, off int64) (n int, err error) {
	op := Op{Kind: OpWrite, Name: f.name, Offset: off, Size: int64(len(p))}
	fault := f.fs.before(op)
	if fault.Err != nil {
		n, err = f.File.WriteAt(p[:min(fault.Written, len(p))], off)
		if err == nil {
			err = faultError(op, fault.Err)
		}
	} else {
		n, err = f.File.WriteAt(p, off)
	}
	f.fs.after(op, err)
	return n, err
}

func (f *hookedFile) ReadAt(p []byte, off int64) (n int, err error) {
	op := Op{Kind: OpRead, Name: f.name, Offset: off, Size: int64(len(p))}
	fault := f.fs.before(op)
	if fault.Err != nil {
		err = faultError(op, fault.Err)
	} else {
		n, err = f.File.ReadAt(p, off)
		for _, bit := range fault.Flip {
			if at := bit/8 - off; at >= 0 && at < int64(n) {
				p[at] ^= 1 << (bit % 8)
			}
		}
	}
	f.fs.after(op, err)
	return n, err
}

func (f *hookedFile) Preallocate(size int64) error {
	return f.fs.do(Op{Kind: OpPreallocate, Name: f.name, Size: size},
		func() error { return f.File.Preallocate(size) })
}

func (f *hookedFile) Sync() error {
	return f.fs.do(Op{Kind: OpSync, Name: f.name}, f.File.Sync)
}

func (f *hookedFile) Close() error {
	return f.fs.do(Op{Kind: OpClose, Name: f.name}, f.File.Close)
}
