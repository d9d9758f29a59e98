//go:build amd64 || arm64

package sandbox_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/sandbox"
)

// An Outcome is what a call made of itself under a profile, and with each argument
// that has a condition changed.
type Outcome struct {
	Name    string
	Errno   syscall.Errno
	Refused []syscall.Errno
}

// badArgument is none that any condition accepts: as flags of a mapping it is shared.
const badArgument = 0x7ffffff1

func init() {
	roles["allowed"] = allowedCalls
	roles["refused"] = refusedCalls
	roles["one"] = func(arg string) string {
		lock(sandbox.WorkerProfile)
		nr, _ := strconv.ParseUint(arg, 10, 64)
		_, _, errno := syscall.RawSyscall6(uintptr(nr), ^uintptr(0), ^uintptr(0), ^uintptr(0), 0, 0, 0)
		return "survived: " + errno.Error()
	}
	roles["clone"] = func(arg string) string {
		lock(sandbox.WorkerProfile)
		flags, _ := strconv.ParseUint(arg, 10, 64)
		_, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(flags), 0, 0, 0, 0, 0)
		return "survived: " + errno.Error()
	}
	roles["exit"] = func(arg string) string {
		lock(sandbox.WorkerProfile)
		nr, _ := strconv.ParseUint(arg, 10, 64)
		syscall.RawSyscall(uintptr(nr), 0, 0, 0)
		return "survived"
	}
	roles["signals"] = func(string) string {
		stop := startThreads(5)
		defer stop()
		n, err := sandbox.ForceSignals(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
		entries, derr := os.ReadDir("/proc/self/task")
		must(derr)
		unset := 0
		for _, e := range entries {
			status, err := os.ReadFile("/proc/self/task/" + e.Name() + "/status")
			if err == nil && !strings.Contains(string(status), "NoNewPrivs:\t1") {
				unset++
			}
		}
		_, failed := sandbox.ForceSignals(unix.SYS_PRCTL, ^uintptr(0), 1, 0)
		return fmt.Sprint(n >= 5, err, unset, failed)
	}
	roles["filters"] = func(string) string {
		stop := startThreads(5)
		defer stop()
		c := config(sandbox.WorkerProfile)
		c.Without = []string{sandbox.Seccomp} // so that the others can be seen
		return encode(struct {
			Report sandbox.Report
			Open   string
		}{sandbox.Apply(c), everyThread(func() error { _, err := os.Open("/"); return err })})
	}
	roles["report"] = func(string) string { return encode(lock(sandbox.WorkerProfile)) }
	roles["threads"] = func(string) string {
		lock(sandbox.WorkerProfile)
		startThreads(15)()
		runtime.GC()
		return strconv.Itoa(len(make([]byte, 32<<20)))
	}
}

// config is a worker's or template's: descriptors 3 and 4 take the parts of the blob
// channel and the pages, 5 that of the draft.
func config(p sandbox.Profile) sandbox.Config {
	file := func(fd int) *os.File { return os.NewFile(uintptr(fd), strconv.Itoa(fd)) }
	c := sandbox.Config{Profile: p, Data: 256 << 20, FileSize: 1 << 20, Blobs: file(3), Pages: file(4), Draft: file(5)}
	c.Keep = []*os.File{c.Blobs, c.Pages, c.Draft}
	return c
}

var keptFiles []sandbox.Config // a File that is dropped closes its descriptor

func lock(p sandbox.Profile) sandbox.Report {
	c := config(p)
	keptFiles = append(keptFiles, c)
	return sandbox.Apply(c)
}

func allowedCalls(arg string) string {
	p, err := strconv.Atoi(arg)
	must(err)
	c := config(sandbox.Profile(p))
	calls := sandbox.AllowedCalls(c)
	outcomes := make([]Outcome, 0, len(calls))
	sandbox.Apply(c)
	word := new(uint32)
	for _, call := range calls {
		switch call.Name {
		case "exit", "exit_group", "rt_sigreturn", "clone":
			continue // in processes of their own
		case "futex": // an operation that there is not gives ENOSYS as well
			call.Args = [6]uintptr{uintptr(unsafe.Pointer(word)), 1, 1, 0, 0, 0}
		case "recvmsg":
			call.Args[2] = unix.MSG_DONTWAIT
		}
		o := Outcome{Name: call.Name, Errno: raw(call.Number, call.Args)}
		for _, i := range call.Checks {
			args := call.Args
			args[i] = badArgument
			o.Refused = append(o.Refused, raw(call.Number, args))
		}
		outcomes = append(outcomes, o)
	}
	runtime.KeepAlive(c)
	return encode(outcomes)
}

func raw(nr uintptr, a [6]uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

// refusedCalls makes calls that fail with ENOSYS, whether or not the kernel has them.
func refusedCalls(arg string) string {
	p, err := strconv.Atoi(arg)
	must(err)
	lock(sandbox.Profile(p))
	outcomes := make([]Outcome, 0, len(refused))
	for _, r := range refused {
		if r.template && p == int(sandbox.TemplateProfile) {
			continue
		}
		outcomes = append(outcomes, Outcome{Name: r.name, Errno: raw(r.nr, r.args)})
	}
	return encode(outcomes)
}

// refused are calls that an attacker would like, with arguments that would work.
var refused = []struct {
	name     string
	nr       uintptr
	args     [6]uintptr
	template bool // a template may
}{
	{"socket unix", unix.SYS_SOCKET, [6]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}, false},
	{"socket inet", unix.SYS_SOCKET, [6]uintptr{unix.AF_INET, unix.SOCK_STREAM}, false},
	{"socket netlink", unix.SYS_SOCKET, [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW}, false},
	{"socketpair", unix.SYS_SOCKETPAIR, [6]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}, false},
	{"connect", unix.SYS_CONNECT, [6]uintptr{3}, false},
	{"bind", unix.SYS_BIND, [6]uintptr{3}, false},
	{"sendmsg", unix.SYS_SENDMSG, [6]uintptr{3}, false},
	{"sendto", unix.SYS_SENDTO, [6]uintptr{3}, false},
	{"recvfrom", unix.SYS_RECVFROM, [6]uintptr{3}, false},
	{"openat", unix.SYS_OPENAT, [6]uintptr{^uintptr(99)}, false},
	{"memfd_create", unix.SYS_MEMFD_CREATE, [6]uintptr{}, false},
	{"mmap shared", unix.SYS_MMAP, [6]uintptr{0, 4096, unix.PROT_READ, unix.MAP_SHARED | unix.MAP_ANON, ^uintptr(0)}, false},
	{"mremap", unix.SYS_MREMAP, [6]uintptr{}, false},
	{"kill", unix.SYS_KILL, [6]uintptr{1}, false},
	{"tkill", unix.SYS_TKILL, [6]uintptr{1}, false},
	{"tgkill init", unix.SYS_TGKILL, [6]uintptr{1, 1}, false},
	{"pidfd_open", unix.SYS_PIDFD_OPEN, [6]uintptr{1}, false},
	{"clone3", unix.SYS_CLONE3, [6]uintptr{}, false},
	{"prlimit64", unix.SYS_PRLIMIT64, [6]uintptr{1}, false},
	{"prctl", unix.SYS_PRCTL, [6]uintptr{unix.PR_SET_DUMPABLE, 1}, false},
	{"seccomp", unix.SYS_SECCOMP, [6]uintptr{}, false},
	{"setuid", unix.SYS_SETUID, [6]uintptr{}, false},
	{"capset", unix.SYS_CAPSET, [6]uintptr{}, false},
	{"sethostname", unix.SYS_SETHOSTNAME, [6]uintptr{}, false},
	{"setpriority", unix.SYS_SETPRIORITY, [6]uintptr{}, false},
	{"sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, [6]uintptr{1}, false},
	{"shmget", unix.SYS_SHMGET, [6]uintptr{0, 4096, 0o1600}, false},
	{"msgget", unix.SYS_MSGGET, [6]uintptr{0, 0o1600}, false},
	{"inotify_init1", unix.SYS_INOTIFY_INIT1, [6]uintptr{}, false},
	{"eventfd2", unix.SYS_EVENTFD2, [6]uintptr{}, false},
	{"pipe2", unix.SYS_PIPE2, [6]uintptr{}, false},
	{"dup", unix.SYS_DUP, [6]uintptr{3}, false},
	{"fcntl dupfd", unix.SYS_FCNTL, [6]uintptr{3, unix.F_DUPFD}, false},
	{"fcntl setown", unix.SYS_FCNTL, [6]uintptr{3, unix.F_SETOWN, 1}, false},
	{"ioctl", unix.SYS_IOCTL, [6]uintptr{4, unix.TIOCSTI}, false},
	{"pread64", unix.SYS_PREAD64, [6]uintptr{3}, false},
	{"recvmsg elsewhere", unix.SYS_RECVMSG, [6]uintptr{0}, false},
	{"pwrite64", unix.SYS_PWRITE64, [6]uintptr{5}, true},
	{"ftruncate", unix.SYS_FTRUNCATE, [6]uintptr{5}, true},
	{"fcntl add seals", unix.SYS_FCNTL, [6]uintptr{5, unix.F_ADD_SEALS}, true},
	{"ftruncate elsewhere", unix.SYS_FTRUNCATE, [6]uintptr{4}, false},
	{"fcntl add seals elsewhere", unix.SYS_FCNTL, [6]uintptr{4, unix.F_ADD_SEALS}, false},
	{"getdents64", unix.SYS_GETDENTS64, [6]uintptr{3}, false},
	{"fstatat", unix.SYS_STATX, [6]uintptr{}, false},
	{"syslog", unix.SYS_SYSLOG, [6]uintptr{}, false},
	{"a call of the future", 1999, [6]uintptr{}, false},
}

// startThreads has goroutines hold a thread each until stop is called.
func startThreads(n int) (stop func()) {
	release := make(chan struct{})
	var up, down sync.WaitGroup
	up.Add(n)
	for range n {
		down.Go(func() {
			runtime.LockOSThread()
			up.Done()
			<-release
		})
	}
	up.Wait()
	return func() { close(release); down.Wait() }
}

// everyThread runs f on many threads, old ones among them, and returns what they
// agree on.
func everyThread(f func() error) string {
	results := make(map[string]struct{})
	var mu sync.Mutex // guards results
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for range 20 {
		wg.Go(func() {
			runtime.LockOSThread()
			<-gate
			err := fmt.Sprint(f())
			mu.Lock()
			results[err] = struct{}{}
			mu.Unlock()
		})
	}
	close(gate)
	wg.Wait()
	var list []string
	for r := range results {
		list = append(list, r)
	}
	return strings.Join(list, ", ")
}
