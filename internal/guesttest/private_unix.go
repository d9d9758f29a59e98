//go:build unix

package guesttest

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether only this user can write to the file.
func private(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o022 == 0
}
