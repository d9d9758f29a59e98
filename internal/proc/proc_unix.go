//go:build unix

package proc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inherit passes files to cmd's process and returns Marker's value for them.
func inherit(cmd *exec.Cmd, files []*os.File) string {
	cmd.ExtraFiles = files
	names := make([]string, len(files))
	for i := range files {
		names[i] = strconv.Itoa(3 + i)
	}
	return strings.Join(names, ",")
}

func systemEnv() []string { return nil }

// checkInherited reports why fd is not a pipe, or not a socket.
func checkInherited(fd uintptr, socket bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return err
	}
	want := uint32(unix.S_IFIFO)
	if socket {
		want = unix.S_IFSOCK
	}
	if uint32(st.Mode)&unix.S_IFMT != want { //nolint:unconvert // 16 bits on darwin
		return errors.New("not a pipe or socket of a worker's")
	}
	unix.CloseOnExec(int(fd))
	return nil
}

func exitOf(state *os.ProcessState) Exit {
	if state == nil {
		return Exit{Code: -1}
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !ws.Signaled() {
		return Exit{Code: state.ExitCode()}
	}
	return Exit{Signal: int(ws.Signal()), SignalName: unix.SignalName(ws.Signal()), Code: -1}
}
