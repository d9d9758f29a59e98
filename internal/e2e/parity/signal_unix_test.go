//go:build unix

package parity_test

import "syscall"

// segfault has a process believe that it has had a segmentation fault.
func segfault(pid int) error { return syscall.Kill(pid, syscall.SIGSEGV) }
