//go:build unix && !linux

package proc

import (
	"os/exec"
	"syscall"
)

// harden gives the worker a process group of its own, so that the terminal's
// Ctrl-C reaches the host alone. A dead host is noticed by the control pipe.
func harden(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
