package snapshot

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fill makes the beginning of a reserved region readable, writable and the same
// as the image. If that fails it releases the region.
func (i *Image) fill(region []byte) error {
	if i.Size() == 0 {
		return nil
	}
	if i.file == nil {
		return i.copyTo(region)
	}
	// Read-only at first: mmap counts only what it adds to the pages that it
	// replaces, so a writable mapping over a reservation would go past
	// RLIMIT_DATA, at the cost of the Go runtime's next one. mprotect is refused
	// as it should be.
	p := unsafe.Pointer(unsafe.SliceData(region))
	_, err := unix.MmapPtr(int(i.file.Fd()), 0, p, uintptr(len(i.data)), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		// The reservation may have a hole here now, and in it what another
		// thread has mapped since: lose the addresses rather than that.
		release(region[i.Size():])
		return os.NewSyscallError("mmap", err)
	}
	if err := open(region, 0, i.Size()); err != nil {
		release(region)
		return os.NewSyscallError("mprotect", err)
	}
	return nil
}

// drop makes the pages of a region that lie over the image's file those of the
// file again, and pages that lie over none zeros.
func drop(region []byte) error {
	return os.NewSyscallError("madvise", unix.Madvise(region, unix.MADV_DONTNEED))
}

// shut gives the pages of a region back and makes it inaccessible. Unlike a new
// mapping in its place, this leaves no hole for another mapping if it fails.
func shut(region []byte) (bool, error) {
	if err := drop(region); err != nil {
		return false, err
	}
	return true, os.NewSyscallError("mprotect", unix.Mprotect(region, unix.PROT_NONE))
}
