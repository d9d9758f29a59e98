//go:build !linux

package shm

import (
	"errors"
	"os"
)

// sealed returns nil: without memfds a blob is a slice.
func sealed(string, []byte) (*os.File, error) { return nil, nil } //nolint:nilnil // nil means a slice

// Map exists on Linux only; elsewhere blobs travel through the pipe.
func Map(*os.File, uint64) (data []byte, release func(), err error) {
	return nil, nil, errors.ErrUnsupported
}

// View exists on Linux only.
func View(*os.File, uint64) (data []byte, release func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
