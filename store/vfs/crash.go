package vfs

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// The crash model. A drive writes sectors of 512 bytes whole or not at all,
// and between two syncs in any order. So after a power cut
//
//   - a sector written since its file's last Sync holds what it held then, what
//     it holds now, or something it held in between, each sector for itself;
//   - a file's length is the synced one, the present one, or one in between;
//     bytes that thereby come into being read as zero;
//   - of the operations on names that no SyncDir has made durable, either the
//     first few have happened or any subset, in their order.
//
// What was synced is there. Locks are gone.
const sectorSize = 512

// fates is what one sector held since the last sync, oldest first and without
// the present bytes. The first is the synced content.
type fates struct{ held [][]byte }

// historyMax bounds the versions kept of one sector, the synced one included.
const historyMax = 4

// sector copies sector i, as long as the file reaches.
func (n *node) sector(i int64) []byte {
	start := min(i*sectorSize, int64(len(n.data)))
	end := min(start+sectorSize, int64(len(n.data)))
	return slices.Clone(n.data[start:end])
}

// dirtied keeps what the sectors of a write hold just before it.
func (n *node) dirtied(off, size int64) {
	if size == 0 {
		return
	}
	if n.dirty == nil {
		n.dirty = map[int64]*fates{}
	}
	for i := off / sectorSize; i <= (off+size-1)/sectorSize; i++ {
		f := n.dirty[i]
		if f == nil {
			f = &fates{}
			n.dirty[i] = f
		}
		if len(f.held) == historyMax {
			f.held = slices.Delete(f.held, 1, 2)
		}
		f.held = append(f.held, n.sector(i))
	}
}

// resize changes the length; what is cut off may come back after a crash.
func (n *node) resize(size int64) {
	old := int64(len(n.data))
	if size == old {
		return
	}
	n.sizes = append(n.sizes, old)
	if len(n.sizes) > historyMax {
		n.sizes = slices.Delete(n.sizes, 0, 1)
	}
	if size < old {
		n.dirtied(size, old-size)
		n.data = n.data[:size]
		return
	}
	n.data = slices.Grow(n.data, int(size-old))[:size]
	clear(n.data[old:])
}

func (n *node) synced() {
	n.syncedSize = int64(len(n.data))
	n.sizes = n.sizes[:0]
	clear(n.dirty)
}

// crashed builds the node a power cut leaves. pick chooses among count
// possibilities: 0 is the synced one, count-1 the present one.
func (n *node) crashed(pick func(count int) int) *node {
	if n.dir {
		return n
	}
	sizes := append([]int64{n.syncedSize}, n.sizes...)
	sizes = append(sizes, int64(len(n.data)))
	size := sizes[pick(len(sizes))]
	out := &node{data: make([]byte, size), syncedSize: size}
	copy(out.data, n.data)
	for _, i := range slices.Sorted(maps.Keys(n.dirty)) {
		held := n.dirty[i].held
		choice := pick(len(held) + 1)
		if choice == len(held) || i*sectorSize >= size {
			continue
		}
		sector := out.data[i*sectorSize : min((i+1)*sectorSize, size)]
		clear(sector[copy(sector, held[choice]):])
	}
	return out
}

// Crash gives the file system that a power cut at this moment could leave,
// chosen by r: same history and same r, same result. The original goes on
// unharmed. Every few images lose all that was not synced, or nothing.
func (m *Mem) Crash(r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, op := range crashedOps(m.pending, r) {
		for _, c := range op.set {
			c.applyTo(names)
		}
	}
	return m.imageLocked(names, func() func(int) int { return sectorFate(r) })
}

// CrashNone is the image in which nothing survived but what was synced.
func (m *Mem) CrashNone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.imageLocked(m.durable, func() func(int) int { return func(int) int { return 0 } })
}

// Kill is what the death of the process leaves on a machine that lives on: all
// bytes and names as they are, what was not synced still unsynced. Locks are
// gone. The original goes on unharmed.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := NewMem()
	out.total, out.used = m.total, m.used
	made := map[*node]*node{nil: nil}
	copied := func(n *node) *node {
		if _, ok := made[n]; !ok {
			made[n] = n.clone()
		}
		return made[n]
	}
	for name, n := range m.names {
		out.names[name] = copied(n)
	}
	for name, n := range m.durable {
		out.durable[name] = copied(n)
	}
	for _, op := range m.pending {
		for i := range op.set {
			op.set[i].node = copied(op.set[i].node)
		}
		out.pending = append(out.pending, op)
	}
	return out
}

func (n *node) clone() *node {
	c := &node{dir: n.dir, data: slices.Clone(n.data), syncedSize: n.syncedSize, sizes: slices.Clone(n.sizes)}
	if len(n.dirty) > 0 {
		c.dirty = make(map[int64]*fates, len(n.dirty))
	}
	for i, f := range n.dirty {
		c.dirty[i] = &fates{held: slices.Clone(f.held)}
	}
	return c
}

// crashedOps chooses which pending operations on names have happened.
func crashedOps(pending []dirOp, r *rand.Rand) []dirOp {
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return pending
	case 2:
		return pending[:r.IntN(len(pending)+1)]
	}
	var happened []dirOp
	for _, op := range pending {
		if r.IntN(2) == 0 {
			happened = append(happened, op)
		}
	}
	return happened
}

// sectorFate makes the chooser of one file: mostly old, mostly new or mixed.
func sectorFate(r *rand.Rand) func(int) int {
	const always = 8
	newness := r.IntN(always + 1)
	return func(count int) int {
		switch {
		case count == 1:
			return 0
		case r.IntN(always) < newness:
			return count - 1
		default:
			return r.IntN(count - 1)
		}
	}
}

// imageLocked builds a file system of names whose directories exist too. Files
// are visited in the order of their names, so that the image is a function of
// the chooser alone.
func (m *Mem) imageLocked(names map[string]*node, chooser func() func(int) int) *Mem {
	out := NewMem()
	out.total = m.total
	made := map[*node]*node{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if !reachable(names, name) {
			continue
		}
		if made[n] == nil {
			made[n] = n.crashed(chooser())
			out.used += int64(len(made[n].data))
		}
		out.names[name], out.durable[name] = made[n], made[n]
	}
	return out
}

func reachable(names map[string]*node, name string) bool {
	for name != "/" && name != "." {
		name = filepath.Dir(name)
		if n, ok := names[name]; !ok || !n.dir {
			return false
		}
	}
	return true
}
