//go:build unix

package snapshot

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps limit bytes of address space without access to them.
func reserve(limit uint64) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(limit), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), limit), nil
}

// open makes the bytes from up to size readable and writable.
func open(region []byte, from, size uint64) error {
	return unix.Mprotect(region[from:size], unix.PROT_READ|unix.PROT_WRITE)
}

func release(region []byte) {
	_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(region)), uintptr(len(region)))
}
