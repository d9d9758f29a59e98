package proc

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// inherit passes files to cmd's process and returns Marker's value for them:
// the handles' numbers are the same there.
func inherit(cmd *exec.Cmd, files []*os.File) string {
	attr := &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	names := make([]string, len(files))
	for i, f := range files {
		h := windows.Handle(f.Fd())
		_ = windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT)
		attr.AdditionalInheritedHandles = append(attr.AdditionalInheritedHandles, syscall.Handle(h))
		names[i] = strconv.FormatUint(uint64(h), 10)
	}
	cmd.SysProcAttr = attr
	return strings.Join(names, ",")
}

// systemEnv: Windows programs cannot start without SYSTEMROOT.
func systemEnv() []string {
	return []string{"SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
}

// harden has nothing to add: a process group of its own is set by inherit.
func harden(*exec.Cmd) {}

// checkInherited reports why the handle is not a pipe.
func checkInherited(h uintptr, _ bool) error {
	kind, err := windows.GetFileType(windows.Handle(h))
	if err != nil {
		return err
	}
	if kind != windows.FILE_TYPE_PIPE {
		return windows.ERROR_INVALID_HANDLE
	}
	return nil
}

func exitOf(state *os.ProcessState) Exit {
	if state == nil {
		return Exit{Code: -1}
	}
	return Exit{Code: state.ExitCode()}
}
