package proc

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// self returns this program's path. The link works when the file has been
// deleted or replaced since; without /proc the name it was started by must do.
func self() (string, error) {
	const link = "/proc/self/exe"
	if _, err := os.Readlink(link); err == nil {
		return link, nil
	}
	return os.Executable()
}

// harden: a process group of its own keeps the terminal's Ctrl-C from workers,
// and the kernel kills them when the launcher's thread ends, as it does when the
// host dies in any way.
func harden(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// prepareThread sets no_new_privs on the launcher's thread; the children it
// starts inherit it, also in programs with cgo, where a Go program cannot set it
// for all its threads. The worker reports whether it is in force.
func prepareThread() {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// blockingPipe opens a pipe that Go's poller does not manage: a blocking read on
// the goroutine that wrote the request is the fastest way to wait for an answer.
func blockingPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}

// blobChannel opens the socket pair that carries descriptors.
func blobChannel() (host, worker *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "blobs"), os.NewFile(uintptr(fds[1]), "blobs"), nil
}

func sendFile(channel, f *os.File) error {
	rights := unix.UnixRights(int(f.Fd()))
	return unix.Sendmsg(int(channel.Fd()), []byte{0}, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func receiveFile(channel *os.File) (*os.File, error) {
	var data [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(channel.Fd()), data[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, os.NewSyscallError("recvmsg", unix.EBADMSG)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return nil, os.NewSyscallError("recvmsg", unix.EBADMSG)
	}
	return os.NewFile(uintptr(fds[0]), "blob"), nil
}
