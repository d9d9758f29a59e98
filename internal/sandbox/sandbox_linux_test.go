package sandbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/sandbox"
)

// field returns a field of /proc/self/status, which is in KiB, in bytes.
func field(status, name string) uint64 {
	_, rest, _ := strings.Cut(status, name)
	n, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	return n << 10
}

// A launch is how a child is started.
type launch struct {
	env   []string
	files int // extra descriptors it inherits, from 3
	attr  *syscall.SysProcAttr
}

// run runs the test binary in a role and returns what it printed and how it ended.
func (l launch) run(t *testing.T, role string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(l.env, roleEnv+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = l.attr
	for range l.files {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	// The kernel's signal comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	return strings.TrimSpace(out.String()), text.String(), err
}

// succeed is run for a child that ends well.
func (l launch) succeed(t *testing.T, role string) string {
	t.Helper()
	stdout, stderr, err := l.run(t, role)
	require.NoError(t, err, stderr)
	return stdout
}

func (l launch) facts(t *testing.T) Facts {
	t.Helper()
	var f Facts
	require.NoError(t, json.Unmarshal([]byte(l.succeed(t, "facts")), &f))
	return f
}

// hardened is a launch as a host does it, three descriptors and all.
func hardened() launch {
	return launch{
		env:   []string{noPrivsEnv + "=1", "SECRET=1", "GOMAXPROCS=2", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"},
		files: 5,
		attr:  &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
}

var everything = []string{
	sandbox.Environment, sandbox.Descriptors, sandbox.Rlimits, sandbox.Memory,
	sandbox.NotDumpable, sandbox.ParentDeath, sandbox.NoNewPrivs,
}

func checkFacts(t *testing.T, f Facts) {
	t.Helper()
	require.Equal(t, everything, f.Report.InForce)
	require.Empty(t, f.Report.Missing)
	require.Empty(t, f.Env)
	require.Equal(t, []int{0, 1, 2, kept}, f.Open)
	require.Equal(t, "piped", f.Piped)
	require.Zero(t, f.Dumpable)
	for name, want := range map[string]uint64{"core": 0, "fsize": 0, "nofile": 128, "memlock": 0, "msgqueue": 0} {
		require.Equal(t, unix.Rlimit{Cur: want, Max: want}, f.Limits[name], name)
	}
	data := f.Limits["data"]
	require.Equal(t, data.Cur, data.Max)
	require.GreaterOrEqual(t, data.Cur, f.DataSize+allowed)
	require.Less(t, data.Cur, f.DataSize+allowed+allowed/2, "little is mapped between the two looks")
}

func TestApply(t *testing.T) {
	t.Parallel()
	checkFacts(t, hardened().facts(t))
}

func TestApply_unprivileged(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	l := hardened()
	l.attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	checkFacts(t, l.facts(t))
	require.Equal(t, "operation not permitted", l.succeed(t, "lock"))
}

// TestApply_thread: Apply need not run on the thread that was launched.
func TestApply_thread(t *testing.T) {
	t.Parallel()
	l := hardened()
	l.env = l.env[1:] // no_new_privs is set on one thread only, here
	for range 20 {
		var r sandbox.Report
		require.NoError(t, json.Unmarshal([]byte(l.succeed(t, "goroutine")), &r))
		require.Contains(t, r.InForce, sandbox.ParentDeath)
	}
}

func TestApply_bareLaunch(t *testing.T) {
	t.Parallel()
	var r sandbox.Report
	require.NoError(t, json.Unmarshal([]byte(launch{}.succeed(t, "nothing")), &r))
	require.Equal(t, []string{sandbox.Environment, sandbox.Descriptors, sandbox.Rlimits, sandbox.NotDumpable}, r.InForce[:4],
		"and no memory limit, as none was asked for")
	require.Contains(t, r.Missing, "parent_death: signal is 0")
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	require.NoError(t, err)
	if set == 1 {
		t.Skip("the tests run with no_new_privs: their children have it")
	}
	require.Equal(t, []string{"parent_death: signal is 0", "no_new_privs: not set at launch"}, r.Missing)
}

func TestApply_otherSignal(t *testing.T) {
	t.Parallel()
	l := launch{attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}}
	require.Contains(t, l.succeed(t, "nothing"), "parent_death: signal is 15")
}

func TestApply_neverRaises(t *testing.T) {
	t.Parallel()
	l := hardened()
	l.env = append(l.env, filesEnv+"=20")
	f := l.facts(t)
	require.Equal(t, unix.Rlimit{Cur: 20, Max: 20}, f.Limits["nofile"])
	require.Contains(t, f.Report.InForce, sandbox.Rlimits)
}

func TestApply_effect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	l := hardened()
	l.env = append(l.env, argEnv+"="+path)
	// Go ignores SIGXFSZ, so a write fails instead of killing the process.
	require.Contains(t, l.succeed(t, "write"), "file too large")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, content)

	// What is not claimed: files can be made and other programs executed.
	require.NoError(t, os.Remove(path))
	require.Equal(t, "<nil>", l.succeed(t, "empty"))
	require.FileExists(t, path)
	require.Equal(t, "a program can still be executed", l.succeed(t, "exec"))

	count, reason, _ := strings.Cut(l.succeed(t, "files"), " ")
	require.Equal(t, "too many open files", strings.TrimSpace(reason))
	n, err := strconv.Atoi(count)
	require.NoError(t, err)
	require.Less(t, n, 128)
	require.Greater(t, n, 110)

	require.Equal(t, "cannot allocate memory", l.succeed(t, "map"))
	require.Equal(t, "cannot allocate memory", l.succeed(t, "open"))
}

func TestApply_outOfMemory(t *testing.T) {
	t.Parallel()
	stdout, _, err := hardened().run(t, "allocate")
	if err == nil {
		require.Equal(t, "cannot allocate memory", stdout)
		return
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the runtime fails in one of several ways")
}

func TestApply_hugeMemory(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[] 268435456", hardened().succeed(t, "endless"), "the bound does not wrap around")
}
