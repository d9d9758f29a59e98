//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// makeFIFO makes a named pipe in a directory.
func makeFIFO(dir string) (string, error) {
	path := filepath.Join(dir, "worker.pipe")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return path, unix.Mkfifo(path, 0o600)
}
