//go:build !linux

package proc

import (
	"errors"
	"os"
)

// self returns this program's path.
func self() (string, error) { return os.Executable() }

// prepareThread does nothing: threads have nothing for children to inherit here.
func prepareThread() {}

func blockingPipe() (r, w *os.File, err error) { return os.Pipe() }

// blobChannel returns no channel: descriptors travel on Linux only.
func blobChannel() (host, worker *os.File, err error) { return nil, nil, nil }

func sendFile(_, _ *os.File) error { return errors.ErrUnsupported }

func receiveFile(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
