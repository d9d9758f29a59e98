//go:build !linux

package shm

import (
	"errors"
	"os"
)

// memfd returns nil: without memfds a blob is a slice.
// Memfd returns nothing: there are no such files here.
func Memfd(string) (*os.File, error) { return nil, nil } //nolint:nilnil // nil means a slice

func seal(*os.File, int64) error { return errors.ErrUnsupported }

// Map exists on Linux only; elsewhere blobs travel through the pipe.
func Map(*os.File, uint64) (data []byte, release func(), err error) {
	return nil, nil, errors.ErrUnsupported
}

// View exists on Linux only.
func View(*os.File, uint64) (data []byte, release func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
