package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that knows what has been synced. Its root
// directories "/" and "." exist from the start. The zero value is not usable.
type Mem struct {
	mu      sync.Mutex
	names   map[string]*node // clean path -> node, as the running process sees it
	durable map[string]*node // the same as a power cut would leave it at least
	pending []dirOp          // operations on names not yet durable, oldest first
	locks   map[string]bool
	total   int64 // capacity in bytes
	used    int64 // bytes of all live files, for ENOSPC
}

var _ FS = (*Mem)(nil)

// dirOp sets names to nodes (nil: removes them). One operation is atomic, as
// on a journalling file system.
type dirOp struct {
	set  [2]nameChange
	dirs [2]string // syncing any of them makes the operation durable
}

type nameChange struct {
	name string // empty: unused
	node *node
}

// node is a file or a directory, whatever its names.
type node struct {
	dir  bool
	data []byte

	// What a power cut may do to the data: see crash.go.
	syncedSize int64
	sizes      []int64          // sizes since the last sync, without the present one
	dirty      map[int64]*fates // sector -> what it held since the last sync
}

const memCapacity = 1 << 40

// NewMem makes an empty file system.
func NewMem() *Mem {
	m := &Mem{names: map[string]*node{}, durable: map[string]*node{}, locks: map[string]bool{}, total: memCapacity}
	for _, root := range []string{"/", "."} {
		d := &node{dir: true}
		m.names[root], m.durable[root] = d, d
	}
	return m
}

// SetCapacity bounds the bytes of all files; writing beyond fails with ENOSPC.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = bytes
}

func memError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// lookupLocked finds a node; wantDir says which kind the caller can use.
func (m *Mem) lookupLocked(op, name string, wantDir bool) (*node, error) {
	n, ok := m.names[filepath.Clean(name)]
	switch {
	case !ok:
		return nil, memError(op, name, syscall.ENOENT)
	case n.dir && !wantDir:
		return nil, memError(op, name, syscall.EISDIR)
	case !n.dir && wantDir:
		return nil, memError(op, name, syscall.ENOTDIR)
	}
	return n, nil
}

func (m *Mem) parentLocked(op, name string) error {
	n, ok := m.names[filepath.Dir(filepath.Clean(name))]
	if !ok {
		return memError(op, name, syscall.ENOENT)
	}
	if !n.dir {
		return memError(op, name, syscall.ENOTDIR)
	}
	return nil
}

// applyLocked changes names now and remembers to do so durably later.
func (m *Mem) applyLocked(changes ...nameChange) {
	var op dirOp
	for i, c := range changes {
		c.name = filepath.Clean(c.name)
		op.set[i], op.dirs[i] = c, filepath.Dir(c.name)
		c.applyTo(m.names)
	}
	m.pending = append(m.pending, op)
}

func (c nameChange) applyTo(names map[string]*node) {
	switch {
	case c.name == "":
	case c.node == nil:
		delete(names, c.name)
	default:
		names[c.name] = c.node
	}
}

// Create makes or empties a file.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.parentLocked("open", name); err != nil {
		return nil, err
	}
	if n, ok := m.names[filepath.Clean(name)]; ok {
		if n.dir {
			return nil, memError("open", name, syscall.EISDIR)
		}
		m.used -= int64(len(n.data))
		n.resize(0)
		return &memFile{fs: m, node: n, name: name, write: true}, nil
	}
	n := &node{}
	m.applyLocked(nameChange{name, n})
	return &memFile{fs: m, node: n, name: name, write: true}, nil
}

// OpenRead opens a file for reading.
func (m *Mem) OpenRead(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite opens an existing file and goes to its end.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.lookupLocked("open", name, false)
	if err != nil {
		return nil, err
	}
	return &memFile{fs: m, node: n, name: name, write: write, at: int64(len(n.data))}, nil
}

// Rename replaces newName; directories cannot be renamed.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fail := func(err error) error {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	n, err := m.lookupLocked("rename", oldName, false)
	if err != nil {
		return fail(causeOf(err))
	}
	if err := m.parentLocked("rename", newName); err != nil {
		return fail(causeOf(err))
	}
	old, taken := m.names[filepath.Clean(newName)]
	if taken && old.dir {
		return fail(syscall.EISDIR)
	}
	if old == n { // two names of one file: POSIX does nothing
		return nil
	}
	m.applyLocked(nameChange{newName, n}, nameChange{oldName, nil})
	if taken {
		m.unusedLocked(old)
	}
	return nil
}

// Link gives a file a second name.
func (m *Mem) Link(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fail := func(err error) error {
		return &os.LinkError{Op: "link", Old: oldName, New: newName, Err: err}
	}
	n, err := m.lookupLocked("link", oldName, false)
	if err != nil {
		return fail(causeOf(err))
	}
	if err := m.parentLocked("link", newName); err != nil {
		return fail(causeOf(err))
	}
	if _, taken := m.names[filepath.Clean(newName)]; taken {
		return fail(syscall.EEXIST)
	}
	m.applyLocked(nameChange{newName, n})
	return nil
}

// Remove deletes a file or an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.names[filepath.Clean(name)]
	if !ok {
		return memError("remove", name, syscall.ENOENT)
	}
	if n.dir && len(m.listLocked(name)) > 0 {
		return memError("remove", name, syscall.ENOTEMPTY)
	}
	m.applyLocked(nameChange{name, nil})
	m.unusedLocked(n)
	return nil
}

// unusedLocked gives back the space of a node that has lost its last name. An
// open handle may keep the data; it is no longer counted.
func (m *Mem) unusedLocked(n *node) {
	for _, other := range m.names {
		if other == n {
			return
		}
	}
	m.used -= int64(len(n.data))
}

// MkdirAll makes dir and those above it, durably.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mkdirAllLocked(filepath.Clean(dir))
}

func (m *Mem) mkdirAllLocked(dir string) error {
	if n, ok := m.names[dir]; ok {
		if !n.dir {
			return memError("mkdir", dir, syscall.ENOTDIR)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := m.mkdirAllLocked(parent); err != nil {
		return err
	}
	m.applyLocked(nameChange{dir, &node{dir: true}})
	m.syncDirLocked(parent)
	return nil
}

// List gives the sorted names in dir.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.lookupLocked("open", dir, true); err != nil {
		return nil, err
	}
	return m.listLocked(dir), nil
}

func (m *Mem) listLocked(dir string) []string {
	dir = filepath.Clean(dir)
	var names []string
	for name := range m.names {
		if name != dir && filepath.Dir(name) == dir && !strings.HasSuffix(name, "/") {
			names = append(names, filepath.Base(name))
		}
	}
	sort.Strings(names)
	return names
}

// Stat describes a name.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.names[filepath.Clean(name)]
	if !ok {
		return Info{}, memError("stat", name, syscall.ENOENT)
	}
	return Info{Size: int64(len(n.data)), IsDir: n.dir}, nil
}

// SyncDir makes the names in dir durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.lookupLocked("open", dir, true); err != nil {
		return err
	}
	m.syncDirLocked(filepath.Clean(dir))
	return nil
}

func (m *Mem) syncDirLocked(dir string) {
	kept := m.pending[:0]
	for _, op := range m.pending {
		if op.dirs[0] != dir && op.dirs[1] != dir {
			kept = append(kept, op)
			continue
		}
		for _, c := range op.set {
			c.applyTo(m.durable)
		}
	}
	clear(m.pending[len(kept):])
	m.pending = kept
}

// Lock takes a lock that ends with Close, or with a crash.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.openOrCreate(name)
	if err != nil {
		return nil, err
	}
	f.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	key := filepath.Clean(name)
	if m.locks[key] {
		return nil, memError("lock", name, ErrLocked)
	}
	m.locks[key] = true
	return &memLock{fs: m, key: key}, nil
}

func (m *Mem) openOrCreate(name string) (File, error) {
	if f, err := m.OpenRead(name); err == nil {
		return f, nil
	}
	return m.Create(name)
}

type memLock struct {
	fs   *Mem
	key  string
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.key)
	})
	return nil
}

// DiskUsage tells capacity and what is left of it.
func (m *Mem) DiskUsage(dir string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.lookupLocked("statfs", dir, true); err != nil {
		return Usage{}, err
	}
	return Usage{Total: uint64(m.total), Free: uint64(max(0, m.total-m.used))}, nil
}

// causeOf takes the operation and the path off an error, for one with its own.
func causeOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
