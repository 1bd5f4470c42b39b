package cache

import (
	"syscall"

	"helenus/internal/assert"
)

// mapAnonymous takes memory that the garbage collector neither scans nor counts.
func mapAnonymous(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func unmap(mem []byte) {
	if err := syscall.Munmap(mem); err != nil {
		assert.That(false, "cache: munmap: %v", err)
	}
}

// poison makes use after release visible in tests.
func poison(b []byte) {
	if !assert.Invariants {
		return
	}
	for i := range b {
		b[i] = poisoned
	}
}
