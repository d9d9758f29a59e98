//go:build unix

package parity_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// haveSignals is whether a process's end tells which signal ended it.
const haveSignals = true

// alive reports whether a process runs. One that has ended but that nobody has
// reaped, as an orphan in a container without init, does not.
func alive(pid int) bool {
	if !exists(pid) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// exists reports whether there is a process of that number, be it a zombie.
func exists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// kill ends a process without asking it.
func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// terminate sends a process SIGTERM.
func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
