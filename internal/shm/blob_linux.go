package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Memfd returns an empty file in memory that can be sealed.
func Memfd(name string) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // kernels before 6.3 do not know the flag
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// seal fixes a memfd's size and contents for good.
func seal(f *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl(F_ADD_SEALS)", err)
}

// Map maps size bytes of a blob's descriptor that arrived from a host and closes
// the descriptor. It refuses one that is not sealed or has another size: the
// mapping could fault or change later. Release unmaps.
func Map(f *os.File, size uint64) (data []byte, release func(), err error) {
	defer f.Close()
	return View(f, size)
}

// View is [Map] for a descriptor that stays open.
func View(f *os.File, size uint64) (data []byte, release func(), err error) {
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		return nil, nil, fmt.Errorf("shared bytes are not sealed (seals %#x): %w", got, errors.Join(err, unix.EPERM))
	}
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if uint64(st.Size()) != size {
		return nil, nil, fmt.Errorf("shared bytes have %d bytes, %d announced", st.Size(), size)
	}
	if size == 0 {
		return nil, func() {}, nil
	}
	data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	return data, func() { _ = unix.Munmap(data) }, nil
}
