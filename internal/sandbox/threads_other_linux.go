//go:build !amd64 && !arm64

package sandbox

import (
	"errors"

	"golang.org/x/sys/unix"
)

// On other architectures programs with cgo cannot make a call on all threads.
const callSignal = unix.Signal(33)

func handleCalls(_, _, _, _ uintptr) (restore func(), err error) {
	return nil, errors.ErrUnsupported
}

func answered() uint32 { return 0 }

func failure() error { return nil }
