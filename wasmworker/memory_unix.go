//go:build unix

package wasmworker

import (
	"golang.org/x/sys/unix"
)

// reserve maps limit bytes of address space without access to them.
func reserve(limit uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

// open makes the bytes from up to size readable and writable.
func open(region []byte, from, size uint64) error {
	return unix.Mprotect(region[from:size], unix.PROT_READ|unix.PROT_WRITE)
}

func release(region []byte) { _ = unix.Munmap(region) }
