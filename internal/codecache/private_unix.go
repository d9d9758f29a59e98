//go:build unix

package codecache

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate reports a file or directory that another user owns or may write,
// and a file that another user may read.
func checkPrivate(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", path, st.Uid)
	}
	forbidden := os.FileMode(0o022)
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", path)
		}
		forbidden = 0o077
	}
	if info.Mode().Perm()&forbidden != 0 {
		return fmt.Errorf("%s has mode %v: others must not have access", path, info.Mode())
	}
	return nil
}
