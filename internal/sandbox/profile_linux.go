//go:build amd64 || arm64

package sandbox

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Who a call is allowed to, besides the profiles.
const (
	both           = WorkerProfile | TemplateProfile
	cgoSet Profile = 1 << 16 // programs in which C code starts threads, also those with the race detector
)

// An entry is a system call that some profiles allow.
type entry struct {
	name string
	nr   uintptr
	who  Profile
	on   func(*Config) []check // nil for no condition; no result for a call that is not allowed after all
}

// allowed is what a worker may call. It is everything that the Go runtime and
// wazero do once they run, the frames on the pipes, and the few calls on three
// descriptors: everything else fails with ENOSYS or, if it is in killed, kills.
var allowed = []entry{
	// Pipes. Standard output and error are one that the host drains.
	{"read", unix.SYS_READ, both, always},
	{"write", unix.SYS_WRITE, both, always},
	{"close", unix.SYS_CLOSE, both, always},
	{"epoll_pwait", unix.SYS_EPOLL_PWAIT, both, always},
	{"epoll_ctl", unix.SYS_EPOLL_CTL, both, always},

	// Memory: never shared, which RLIMIT_DATA would not count.
	{"mmap", unix.SYS_MMAP, both, arg(3, 0xf, unix.MAP_PRIVATE)},
	{"munmap", unix.SYS_MUNMAP, both, always},
	{"mprotect", unix.SYS_MPROTECT, both, always},
	{"madvise", unix.SYS_MADVISE, both, always},

	// Threads and time.
	{"clone", unix.SYS_CLONE, both, threadFlags},
	{"futex", unix.SYS_FUTEX, both, always},
	{"gettid", unix.SYS_GETTID, both, always},
	{"getpid", unix.SYS_GETPID, both, always},
	{"tgkill", unix.SYS_TGKILL, both, ownProcess},
	{"sched_yield", unix.SYS_SCHED_YIELD, both, always},
	{"nanosleep", unix.SYS_NANOSLEEP, both, always},
	{"clock_nanosleep", unix.SYS_CLOCK_NANOSLEEP, both, always},
	{"clock_gettime", unix.SYS_CLOCK_GETTIME, both, always}, // where the vDSO cannot
	{"restart_syscall", unix.SYS_RESTART_SYSCALL, both, always},
	{"getrandom", unix.SYS_GETRANDOM, both, always},
	{"rt_sigaction", unix.SYS_RT_SIGACTION, both, always},
	{"rt_sigprocmask", unix.SYS_RT_SIGPROCMASK, both, always},
	{"rt_sigreturn", unix.SYS_RT_SIGRETURN, both, always},
	{"sigaltstack", unix.SYS_SIGALTSTACK, both, always},
	{"exit", unix.SYS_EXIT, both, always},
	{"exit_group", unix.SYS_EXIT_GROUP, both, always},

	// Images and blobs.
	{"recvmsg", unix.SYS_RECVMSG, both, on(func(c *Config) *os.File { return c.Blobs })},
	{"fstat", unix.SYS_FSTAT, both, always},
	{"fcntl", unix.SYS_FCNTL, both, arg(1, all, unix.F_GETFD, unix.F_GETFL, unix.F_GET_SEALS)},
	{"ioctl", unix.SYS_IOCTL, both, on(pages, check{1, all, []uint32{pagemapScan}})},
	{"pread64", unix.SYS_PREAD64, both, on(pages)},
	{"getrusage", unix.SYS_GETRUSAGE, both, always},
	{"pwrite64", unix.SYS_PWRITE64, TemplateProfile, always}, // the host chooses the file
	{"ftruncate", unix.SYS_FTRUNCATE, TemplateProfile, on(draft)},
	{"fcntl", unix.SYS_FCNTL, TemplateProfile, on(draft, check{1, all, []uint32{unix.F_ADD_SEALS}})},

	// What C libraries do when a thread starts or ends.
	{"set_robust_list", unix.SYS_SET_ROBUST_LIST, cgoSet, always},
	{"rseq", unix.SYS_RSEQ, cgoSet, always},

	// Directory grants.
	{"openat", unix.SYS_OPENAT, DirsProfile, always},
	{"newfstatat", fstatat, DirsProfile, always},
	{"getdents64", unix.SYS_GETDENTS64, DirsProfile, always},
	{"lseek", unix.SYS_LSEEK, DirsProfile, always},
	{"pread64", unix.SYS_PREAD64, DirsProfile, always},
	{"pwrite64", unix.SYS_PWRITE64, DirsProfile, always},
	{"ftruncate", unix.SYS_FTRUNCATE, DirsProfile, always},
	{"readlinkat", unix.SYS_READLINKAT, DirsProfile, always},
	{"mkdirat", unix.SYS_MKDIRAT, DirsProfile, always},
	{"unlinkat", unix.SYS_UNLINKAT, DirsProfile, always},
	{"renameat", unix.SYS_RENAMEAT, DirsProfile, always},
	{"fsync", unix.SYS_FSYNC, DirsProfile, always},
	{"utimensat", unix.SYS_UTIMENSAT, DirsProfile, always},
}

// killed are calls that nothing in a worker makes by mistake, by which an attacker
// would try to become another program, reach another process or widen what can be
// attacked. Their caller dies and the host learns why.
var killed = append(killedHere, []entry{
	{name: "execve", nr: unix.SYS_EXECVE},
	{name: "execveat", nr: unix.SYS_EXECVEAT},
	{name: "ptrace", nr: unix.SYS_PTRACE},
	{name: "process_vm_readv", nr: unix.SYS_PROCESS_VM_READV},
	{name: "process_vm_writev", nr: unix.SYS_PROCESS_VM_WRITEV},
	{name: "pidfd_getfd", nr: unix.SYS_PIDFD_GETFD},
	{name: "kcmp", nr: unix.SYS_KCMP},
	{name: "mount", nr: unix.SYS_MOUNT},
	{name: "umount2", nr: unix.SYS_UMOUNT2},
	{name: "move_mount", nr: unix.SYS_MOVE_MOUNT},
	{name: "open_tree", nr: unix.SYS_OPEN_TREE},
	{name: "mount_setattr", nr: unix.SYS_MOUNT_SETATTR},
	{name: "fsopen", nr: unix.SYS_FSOPEN},
	{name: "fsconfig", nr: unix.SYS_FSCONFIG},
	{name: "fsmount", nr: unix.SYS_FSMOUNT},
	{name: "fspick", nr: unix.SYS_FSPICK},
	{name: "pivot_root", nr: unix.SYS_PIVOT_ROOT},
	{name: "chroot", nr: unix.SYS_CHROOT},
	{name: "swapon", nr: unix.SYS_SWAPON},
	{name: "swapoff", nr: unix.SYS_SWAPOFF},
	{name: "unshare", nr: unix.SYS_UNSHARE},
	{name: "setns", nr: unix.SYS_SETNS},
	{name: "bpf", nr: unix.SYS_BPF},
	{name: "io_uring_setup", nr: unix.SYS_IO_URING_SETUP},
	{name: "io_uring_enter", nr: unix.SYS_IO_URING_ENTER},
	{name: "io_uring_register", nr: unix.SYS_IO_URING_REGISTER},
	{name: "userfaultfd", nr: unix.SYS_USERFAULTFD},
	{name: "perf_event_open", nr: unix.SYS_PERF_EVENT_OPEN},
	{name: "init_module", nr: unix.SYS_INIT_MODULE},
	{name: "finit_module", nr: unix.SYS_FINIT_MODULE},
	{name: "delete_module", nr: unix.SYS_DELETE_MODULE},
	{name: "kexec_load", nr: unix.SYS_KEXEC_LOAD},
	{name: "kexec_file_load", nr: kexecFileLoad},
	{name: "reboot", nr: unix.SYS_REBOOT},
	{name: "add_key", nr: unix.SYS_ADD_KEY},
	{name: "request_key", nr: unix.SYS_REQUEST_KEY},
	{name: "keyctl", nr: unix.SYS_KEYCTL},
	{name: "name_to_handle_at", nr: unix.SYS_NAME_TO_HANDLE_AT},
	{name: "open_by_handle_at", nr: unix.SYS_OPEN_BY_HANDLE_AT},
	{name: "acct", nr: unix.SYS_ACCT},
	{name: "quotactl", nr: unix.SYS_QUOTACTL},
	{name: "fanotify_init", nr: unix.SYS_FANOTIFY_INIT},
}...)

// all are all bits of an argument.
const all = ^uint32(0)

// pagemapScan is PAGEMAP_SCAN of <linux/fs.h>.
const pagemapScan = 0xc0606610

// Flags of clone(2) that start a thread: Go's own, those of glibc and those of musl.
const (
	goThread    = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD | goThreadHere
	glibcThread = 0x3d0f00
	muslThread  = 0x7d0f00
)

func always(*Config) []check { return []check{} }

func arg(n int, mask uint32, values ...uint32) func(*Config) []check {
	return func(*Config) []check { return []check{{n, mask, values}} }
}

// on is a call on one descriptor, if there is that one.
func on(file func(*Config) *os.File, more ...check) func(*Config) []check {
	return func(c *Config) []check {
		f := file(c)
		if f == nil {
			return nil
		}
		return append([]check{{0, all, []uint32{uint32(f.Fd())}}}, more...)
	}
}

func pages(c *Config) *os.File { return c.Pages }

func draft(c *Config) *os.File { return c.Draft }

func ownProcess(*Config) []check { return []check{{0, all, []uint32{uint32(os.Getpid())}}} }

func threadFlags(*Config) []check {
	flags := []uint32{goThread}
	if usesCgo() {
		flags = append(flags, glibcThread, muslThread)
	}
	return []check{{0, all, flags}}
}

// set returns the profile with what this program is.
func (c *Config) set() Profile {
	set := c.Profile
	if usesCgo() {
		set |= cgoSet
	}
	return set
}

// rules returns what the profile allows and kills.
func rules(c *Config) []rule {
	set := c.set()
	var list []rule
	at := make(map[uintptr]int)
	for _, e := range allowed {
		if e.who&set == 0 {
			continue
		}
		checks := e.on(c)
		if checks == nil {
			continue
		}
		i, ok := at[e.nr]
		if !ok {
			i = len(list)
			at[e.nr] = i
			list = append(list, rule{nr: e.nr, otherwise: refusal})
		}
		list[i].ways = append(list[i].ways, checks)
		if e.nr == unix.SYS_CLONE {
			list[i].otherwise = kill // not a thread but a process, or in namespaces of its own
		}
	}
	for _, e := range killed {
		list = append(list, rule{nr: e.nr, otherwise: kill})
	}
	return list
}

// usesCgo reports whether C code starts this program's threads.
var usesCgo = sync.OnceValue(func() bool {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0)
	return errno == syscall.ENOTSUP
})
