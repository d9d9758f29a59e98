package dirfs

import (
	"errors"
	"syscall"

	esys "github.com/tetratelabs/wazero/experimental/sys"
)

// exact are the error numbers that WASI has and the engine does not.
var exact = map[syscall.Errno]uint32{
	syscall.EDQUOT:  19,
	syscall.EFBIG:   22,
	syscall.EMFILE:  33,
	syscall.ENFILE:  33, // to the guest it is the same
	syscall.EMLINK:  34,
	syscall.ENOSPC:  51,
	syscall.ETXTBSY: 74,
	syscall.EXDEV:   75,
}

// errno returns the engine's form of an error and keeps the exact one. An error that is
// none of the system's is a path that os.Root refuses.
func (s *Session) errno(err error) esys.Errno {
	if err == nil {
		return 0
	}
	var number syscall.Errno
	if !errors.As(err, &number) {
		return esys.EPERM
	}
	s.exact = exact[number]
	return esys.UnwrapOSError(number)
}
