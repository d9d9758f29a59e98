//go:build !unix

package main

import "os"

// blockingPipe returns a pipe.
func blockingPipe() (r, w *os.File, err error) { return os.Pipe() }
