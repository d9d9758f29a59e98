//go:build !linux

package proc

// Resident does not know a process's resident memory here.
func Resident(int) (bytes int64, ok bool) { return 0, false }
