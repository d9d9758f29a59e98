package sandbox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/sandbox"
)

const (
	// roleEnv makes the test binary sandbox itself and tell what that changed.
	roleEnv = "SANDPOOL_TEST_ROLE"
	// argEnv is the role's argument, noPrivsEnv asks for no_new_privs and
	// filesEnv for a hard limit on descriptors from the start.
	argEnv     = "SANDPOOL_TEST_ARG"
	noPrivsEnv = "SANDPOOL_TEST_NO_NEW_PRIVS"
	filesEnv   = "SANDPOOL_TEST_FILES"

	kept    = 4        // the descriptor that stays
	allowed = 64 << 20 // bytes of memory
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	// What is set on this thread is looked up on it.
	runtime.LockOSThread()
	arg := os.Getenv(argEnv)
	if os.Getenv(noPrivsEnv) != "" {
		// As a launcher passes it on: all threads have it.
		must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		must(os.Unsetenv(noPrivsEnv))
		must(unix.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	if n, err := strconv.ParseUint(os.Getenv(filesEnv), 10, 64); err == nil {
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}))
	}
	fmt.Println(roles[role](arg))
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Facts are what a sandboxed process finds.
type Facts struct {
	Report   sandbox.Report
	Env      []string
	Open     []int
	Limits   map[string]unix.Rlimit
	DataSize uint64 // before
	Dumpable int
	Piped    string // what a pipe that was kept carried
}

// roles run in a process of their own and return what they found.
var roles = map[string]func(arg string) string{
	"facts": facts,
	"nothing": func(string) string {
		return encode(sandbox.Apply(sandbox.Config{}))
	},
	"endless": func(string) string {
		r := sandbox.Apply(sandbox.Config{Data: 1<<64 - 1})
		return fmt.Sprint(r.Missing, len(make([]byte, 256<<20)))
	},
	"goroutine": func(string) string {
		// Whatever thread Apply runs on, the report is the same.
		report := make(chan string)
		go func() { report <- encode(sandbox.Apply(sandbox.Config{})) }()
		return <-report
	},
	"write": func(path string) string {
		apply()
		return fmt.Sprint(os.WriteFile(path, []byte("x"), 0o600))
	},
	"empty": func(path string) string {
		apply()
		return fmt.Sprint(os.WriteFile(path, nil, 0o600))
	},
	"files": func(string) string {
		apply()
		for n := 0; ; n++ {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return fmt.Sprint(n, " ", err)
			}
		}
	},
	"lock": func(string) string {
		apply()
		return fmt.Sprint(unix.Mlock(make([]byte, 4096)))
	},
	"map": func(string) string {
		apply()
		_, err := unix.Mmap(-1, 0, 4*allowed, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		return fmt.Sprint(err)
	},
	"open": func(string) string {
		apply()
		// Reserved address space costs nothing; opening it does.
		b, err := unix.Mmap(-1, 0, 4*allowed, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
		must(err)
		must(unix.Mprotect(b[:allowed/4], unix.PROT_READ|unix.PROT_WRITE))
		return fmt.Sprint(unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE))
	},
	"allocate": func(string) string {
		apply()
		// Go maps its heap over address space that it has reserved, which the kernel
		// does not hold against RLIMIT_DATA; the next mapping elsewhere fails.
		heap := make([]byte, 4*allowed)
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		runtime.KeepAlive(heap)
		return fmt.Sprint(err)
	},
	"exec": func(string) string {
		apply()
		return fmt.Sprint(unix.Exec("/proc/self/exe", []string{"x"}, []string{roleEnv + "=hello"}))
	},
	"hello": func(string) string { return "a program can still be executed" },
}

func apply() { sandbox.Apply(sandbox.Config{Data: allowed}) }

func encode(v any) string {
	b, err := json.Marshal(v)
	must(err)
	return string(b)
}

func facts(string) string {
	var f Facts
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	f.DataSize = field(string(status), "VmData:")
	// Used, so that the runtime's poller is there.
	r, w, err := os.Pipe()
	must(err)
	_, err = w.WriteString("piped")
	must(err)
	f.Report = sandbox.Apply(sandbox.Config{Keep: []*os.File{os.NewFile(kept, "kept"), r}, Data: allowed})
	f.Env = os.Environ()
	f.Open = []int{}
	for fd := range 256 {
		if fd == int(r.Fd()) || isPoller(fd) {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			f.Open = append(f.Open, fd)
		}
	}
	f.Limits = map[string]unix.Rlimit{}
	for name, resource := range resources {
		var l unix.Rlimit
		must(unix.Getrlimit(resource, &l))
		f.Limits[name] = l
	}
	f.Dumpable, err = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must(err)
	b := make([]byte, 16)
	n, err := r.Read(b)
	must(err)
	f.Piped = string(b[:n])
	return encode(f)
}

var resources = map[string]int{
	"core": unix.RLIMIT_CORE, "fsize": unix.RLIMIT_FSIZE, "nofile": unix.RLIMIT_NOFILE,
	"memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "data": unix.RLIMIT_DATA,
}

// isPoller reports whether fd is the runtime's: it cannot be asked by name, since
// /proc/self belongs to root once the process is not dumpable.
func isPoller(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == 0 // anonymous inodes have no type
}
