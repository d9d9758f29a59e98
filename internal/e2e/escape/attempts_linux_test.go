package escape_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An attempt is one thing that an attacker would try. try returns nil when it came
// to something.
type attempt struct {
	control bool // it succeeds without a sandbox, also for an unprivileged user
	try     func(p *payload) error
}

// accepted are attempts that succeed, and why that is known: docs/security.md.
var accepted = map[string]string{
	"map memory that can be executed": "the compiler needs it",
	"300 threads":                     "Go needs threads; Options.Cgroup bounds them, and Options.Namespaces for unprivileged hosts",
}

var attempts = map[string]attempt{
	// Files.
	"read a file of the user's":  {true, func(p *payload) error { _, err := os.ReadFile(p.Secret); return err }},
	"change a file":              {true, func(p *payload) error { return os.WriteFile(p.Secret, []byte("x"), 0o600) }},
	"make a file":                {true, func(p *payload) error { return os.WriteFile(p.Secret+strconv.Itoa(os.Getpid()), nil, 0o600) }},
	"list a directory":           {true, func(*payload) error { _, err := os.ReadDir("/"); return err }},
	"look at a file's metadata":  {true, func(p *payload) error { _, err := os.Stat(p.Secret); return err }},
	"rewrite the compile cache":  {true, func(p *payload) error { return os.WriteFile(filepath.Join(p.Cache, "x"), []byte("x"), 0o600) }},
	"remove a file":              {true, func(p *payload) error { return os.Remove(p.Secret + ".bait") }},
	"open own memory by file":    {true, func(*payload) error { _, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0); return err }},
	"read the host's environ":    {true, func(p *payload) error { return readProc(p.Host, "environ") }},
	"open the host's memory":     {true, func(p *payload) error { return readProc(p.Host, "mem") }},
	"open the host's descriptor": {true, func(p *payload) error { return readProc(p.Host, "fd/"+strconv.Itoa(p.Leaked)) }},
	"read an inherited descriptor": {true, func(p *payload) error {
		_, err := unix.Read(p.Leaked, make([]byte, 1))
		return err
	}},

	// Processes.
	"signal the host":        {true, func(p *payload) error { return unix.Kill(p.Host, 0) }},
	"signal a thread of its": {true, func(p *payload) error { return unix.Tgkill(p.Host, p.Host, 0) }},
	"kill a process":         {true, func(p *payload) error { return unix.Kill(p.Victim, 0) }},
	"trace a process": {true, func(p *payload) error {
		runtime.LockOSThread()
		return errnoOf(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(p.Victim), 0, 0)
	}},
	"read a process's memory": {true, func(p *payload) error {
		var b [8]byte
		local := []unix.Iovec{{Base: &b[0], Len: 8}}
		_, err := unix.ProcessVMReadv(p.Victim, local, []unix.RemoteIovec{{Base: 1, Len: 8}}, 0)
		if errors.Is(err, unix.EFAULT) {
			return nil // the address is wrong, the right is there
		}
		return err
	}},
	"take a process's descriptor": {true, func(p *payload) error {
		fd, err := unix.PidfdOpen(p.Victim, 0)
		if err != nil {
			fd = -1
		}
		_, err = unix.PidfdGetfd(fd, 0, 0)
		return err
	}},
	"change a process's limits": {true, func(p *payload) error {
		var old unix.Rlimit
		return unix.Prlimit(p.Victim, unix.RLIMIT_CORE, nil, &old)
	}},
	"change a process's priority": {true, func(p *payload) error { return unix.Setpriority(unix.PRIO_PROCESS, p.Victim, 5) }},
	"fork":                        {true, func(*payload) error { return spawn(uintptr(unix.SIGCHLD)) }},
	"fork 300 times":              {true, func(*payload) error { return repeat(300, func() error { return spawn(uintptr(unix.SIGCHLD)) }) }},
	"300 threads":                 {true, threads},
	"execute a program":           {true, func(*payload) error { return unix.Exec("/proc/self/exe", program, nil) }},
	"execute from memory":         {true, executeMemory},

	// Sockets.
	"TCP":                 {true, func(p *payload) error { return dial("tcp", "127.0.0.1:"+strconv.Itoa(p.TCP)) }},
	"UDP":                 {true, func(p *payload) error { return dial("udp", "127.0.0.1:"+strconv.Itoa(p.UDP)) }},
	"listen":              {true, func(*payload) error { l, err := net.Listen("tcp", "127.0.0.1:0"); closeIf(l, err); return err }},
	"unix socket by path": {true, func(p *payload) error { return dial("unix", p.Socket) }},
	"truncate the shared memory": {false, func(*payload) error {
		err := error(unix.EBADF)
		for fd := 3; fd < 1024; fd++ {
			if e := unix.Ftruncate(fd, 0); !errors.Is(e, unix.EBADF) {
				err = e
			}
			if err == nil {
				return nil
			}
		}
		return err
	}},
	"unix socket by name":  {true, func(p *payload) error { return dial("unix", p.Abstract) }},
	"netlink":              {true, func(*payload) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW) }}, // NETLINK_ROUTE is protocol 0
	"raw packets":          {false, func(*payload) error { return socket(unix.AF_PACKET, unix.SOCK_RAW) }},
	"IPv6":                 {false, func(*payload) error { return socket(unix.AF_INET6, unix.SOCK_STREAM) }},
	"vsock":                {false, func(*payload) error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM) }},
	"the kernel's crypto":  {false, func(*payload) error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET) }},
	"a pair of sockets":    {true, func(*payload) error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err }},
	"send on its own file": {false, func(p *payload) error { return unix.Sendmsg(int(p.in.Blobs.Fd()), []byte("x"), nil, nil, 0) }},

	// Memory.
	"8 GiB of memory":        {true, func(*payload) error { return mapping(8<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE) }},
	"3 GiB of shared memory": {true, func(*payload) error { return mapping(3<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED) }},
	"map memory that can be executed": {true, func(*payload) error {
		return mapping(4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE)
	}},
	"1 GiB of files in memory": {true, memoryFile},
	"System V shared memory":   {true, sharedSegment},
	"shorten a blob":           {false, func(p *payload) error { return p.blob(func(f *os.File) error { return f.Truncate(0) }) }},
	"change a blob": {false, func(p *payload) error {
		return p.blob(func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 0); return err })
	}},
	"map a blob to change it": {false, func(p *payload) error { return p.blob(mapShared) }},

	// The kernel.
	"a user namespace": {true, func(*payload) error { return spawn(unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)) }},
	"unshare":          {true, func(*payload) error { return unix.Unshare(unix.CLONE_FS) }},
	"mount":            {false, func(*payload) error { return unix.Mount("none", "/nowhere", "tmpfs", 0, "") }},
	"io_uring": {false, func(*payload) error {
		return errnoOf(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&[128]byte{})), 0, 0)
	}},
	"userfaultfd": {false, func(*payload) error { return errnoOf(unix.SYS_USERFAULTFD, 1, 0, 0, 0) }},
	"bpf": {false, func(*payload) error {
		return errnoOf(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&[64]byte{0: 2, 4: 4, 8: 8, 12: 1})), 64, 0)
	}},
	"perf events": {false, func(*payload) error {
		return errnoOf(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&[128]byte{4: 128})), 0, ^uintptr(0), ^uintptr(0))
	}},
	"keyrings": {false, func(*payload) error {
		_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
		return err
	}},
	"become root":     {false, func(*payload) error { return errnoOf(unix.SYS_SETRESUID, 0, 0, 0, 0) }},
	"become dumpable": {true, func(*payload) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }},
	"raise a limit": {false, func(*payload) error {
		return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	}},
	"survive its host": {true, func(*payload) error { return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) }},
	"real-time scheduling": {false, func(*payload) error {
		return errnoOf(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&[4]byte{1})), 0)
	}},
}

func readProc(pid int, name string) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	closeIf(f, err)
	return err
}

func closeIf(c interface{ Close() error }, err error) {
	if err == nil {
		_ = c.Close()
	}
}

func errnoOf(nr, a0, a1, a2, a3 uintptr) error {
	_, _, errno := unix.RawSyscall6(nr, a0, a1, a2, a3, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func repeat(n int, f func() error) error {
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// spawn starts a process that ends at once.
func spawn(flags uintptr) error {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno != 0 {
		return errno
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}

func threads(*payload) error {
	gate := make(chan struct{})
	var up, down sync.WaitGroup
	up.Add(300)
	for range 300 {
		down.Go(func() {
			runtime.LockOSThread()
			up.Done()
			<-gate
		})
	}
	up.Wait()
	close(gate)
	down.Wait()
	return nil
}

// program is what an attacker executes.
var program = []string{"x", escaped}

func executeMemory(p *payload) error {
	fd, err := unix.MemfdCreate("x", 0)
	if err == nil {
		var code []byte
		if code, err = os.ReadFile("/proc/self/exe"); err == nil {
			_, err = os.NewFile(uintptr(fd), "x").Write(code)
		}
	}
	if err != nil {
		fd = int(p.in.Requests.Fd()) // let execveat itself say
	}
	argv, errArgv := syscall.SlicePtrFromStrings(program)
	must(errArgv)
	empty := new(byte)
	return errnoOf6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)), uintptr(unsafe.Pointer(&argv[0])), 0, unix.AT_EMPTY_PATH)
}

func errnoOf6(nr, a0, a1, a2, a3, a4 uintptr) error {
	_, _, errno := unix.RawSyscall6(nr, a0, a1, a2, a3, a4, 0)
	return errno
}

func dial(network, address string) error {
	c, err := new(net.Dialer).DialContext(context.Background(), network, address)
	if err == nil && network == "udp" {
		_, err = c.Write([]byte("x"))
	}
	closeIf(c, err)
	return err
}

func socket(family, kind int) error {
	fd, err := unix.Socket(family, kind, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func mapping(size, prot, flags uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, 0, size, prot, flags|unix.MAP_ANON|unix.MAP_NORESERVE, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func memoryFile(*payload) error {
	fd, err := unix.MemfdCreate("flood", 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Ftruncate(fd, 1<<30)
}

func sharedSegment(*payload) error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 1<<20, 0o600)
	if err != nil {
		return err
	}
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}

// blob tries something on the module's bytes, which all workers share.
func (p *payload) blob(try func(f *os.File) error) error {
	if len(p.blobs) == 0 {
		return errors.New("no blob came along")
	}
	return try(p.blobs[0])
}

func mapShared(f *os.File) error {
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, f.Fd(), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
