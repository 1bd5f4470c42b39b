//go:build linux || darwin

package memtable

import "golang.org/x/sys/unix"

// mapSlab gets zeroed memory outside the Go heap; nil when the system has none.
func mapSlab(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return b
}

func unmapSlab(b []byte) { _ = unix.Munmap(b) }
