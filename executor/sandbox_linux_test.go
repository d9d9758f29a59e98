package executor_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

func init() {
	roles["forbidden"] = func() {
		takeover(func(*wire.Writer, wire.Header) {
			sandbox.Apply(sandbox.Config{Profile: sandbox.WorkerProfile, Without: []string{sandbox.Descriptors}})
			unix.RawSyscall(unix.SYS_PTRACE, 0, 0, 0)
		})
	}
}

// status returns a line of a process's status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), field+":")
	require.True(t, ok)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

func TestSandbox_strict(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Sandbox: executor.Strict, Workers: 1, WorkerPath: guesttest.Worker(t)})
	pid := running(t, executor.Submit(t.Context(), ex, h.fn, nil))
	h.begun(t)
	s := ex.Stats()
	require.ElementsMatch(t, sandbox.Required(), s.Sandbox)
	require.Empty(t, s.SandboxMissing)
	require.Equal(t, "2", status(t, pid, "Seccomp"))
	require.Equal(t, "1", status(t, pid, "NoNewPrivs"))
	require.Equal(t, strings.Repeat("0", 16), status(t, pid, "CapPrm"))
}

func TestSandbox_strictRefuses(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Sandbox: executor.Strict, Workers: 1, WorkerPath: script(t, "wrongcall")})
	_, err := call(t, ex, echoFunc(t), nil)
	var se *executor.StartError
	require.ErrorAs(t, err, &se)
	require.Equal(t, "sandbox", se.Stage)
	require.ErrorContains(t, err, "landlock: the worker does not report it")
	require.ErrorContains(t, err, "seccomp")
}

func TestSandbox_warnsOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ex := newExecutor(t, executor.Options{Workers: 1, Cgroup: t.TempDir(), CallsPerWorker: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)), WorkerPath: guesttest.Worker(t)})
	for range 3 {
		_, err := call(t, ex, echoFunc(t), nil)
		require.NoError(t, err)
	}
	require.Contains(t, strings.Join(ex.Stats().SandboxMissing, ";"), "cgroup: not a directory of cgroup v2")
	require.NoError(t, ex.Close())
	require.Equal(t, 1, strings.Count(log.String(), "sandbox of workers lacks something"))

	strict := newExecutor(t, executor.Options{Workers: 1, Sandbox: executor.Strict, Cgroup: t.TempDir(), WorkerPath: guesttest.Worker(t)})
	_, err := call(t, strict, echoFunc(t), nil)
	require.ErrorContains(t, err, "start worker: sandbox: cgroup: not a directory of cgroup v2")
}

func TestSandbox_off(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Sandbox: executor.NoSandbox, Workers: 1, WorkerPath: guesttest.Worker(t)})
	pid := running(t, executor.Submit(t.Context(), ex, h.fn, nil))
	h.begun(t)
	require.Contains(t, ex.Stats().SandboxMissing, "seccomp: switched off")
	require.Equal(t, status(t, os.Getpid(), "Seccomp"), status(t, pid, "Seccomp"))
}

func TestSandbox_privateUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		_, err := executor.New(&executor.Options{WorkerUID: 54321})
		require.ErrorContains(t, err, "only root can start workers as another user")
		t.Skip("only root can start workers as another user")
	}
	program := guesttest.Worker(t)
	if info, err := os.Stat(filepath.Dir(program)); err != nil || info.Mode()&1 == 0 {
		program = itself // others cannot get at it
	}
	if program == itself && raceEnabled {
		t.Skip("the worker's program is where others cannot get at it")
	}
	ex, h := newHolder(t, executor.Options{WorkerUID: 54321, Workers: 1, WorkerPath: program})
	pid := running(t, executor.Submit(t.Context(), ex, h.fn, nil))
	h.begun(t)
	require.Equal(t, "54321\t54321\t54321\t54321", status(t, pid, "Uid"))
	require.Equal(t, "54321\t54321\t54321\t54321", status(t, pid, "Gid"))
	require.Contains(t, ex.Stats().Sandbox, "private_uid")
	require.Contains(t, ex.Stats().Sandbox, sandbox.ParentDeath, "a change of user forgets it")
}

func TestSandbox_namespaces(t *testing.T) {
	t.Parallel()
	ex, h := newHolder(t, executor.Options{Namespaces: true, Workers: 1, WorkerPath: guesttest.Worker(t)})
	pid := running(t, executor.Submit(t.Context(), ex, h.fn, nil))
	h.begun(t)
	s := ex.Stats()
	if missing := strings.Join(s.SandboxMissing, ";"); strings.Contains(missing, "namespaces") {
		t.Skipf("this system refuses namespaces: %s", missing)
	}
	require.Contains(t, s.Sandbox, "namespaces")
	for _, ns := range []string{"pid", "ipc", "uts", "mnt", "net"} {
		own, err := os.Readlink("/proc/self/ns/" + ns)
		require.NoError(t, err)
		its, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", ns))
		require.NoError(t, err, "root, or the owner of the user namespace, may look though it is not dumpable")
		require.NotEqual(t, own, its, ns)
	}
	require.True(t, strings.HasSuffix(status(t, pid, "NSpid"), "\t1"), "it is the first process of its namespace")
}

func TestSandbox_forbiddenCall(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1, StartMethod: startmethod.Fresh, WorkerPath: script(t, "forbidden")})
	_, err := call(t, ex, echoFunc(t), nil)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	require.Equal(t, "SIGSYS", we.Signal)
	require.Equal(t, executor.ReasonSeccomp, we.Reason)
	require.ErrorContains(t, err, "was killed by SIGSYS: forbidden system call (seccomp)")
}

func TestSandbox_options(t *testing.T) {
	t.Parallel()
	for _, o := range []executor.Options{{Sandbox: 3}, {Sandbox: -1}, {WorkerGID: 5}} {
		_, err := executor.New(&o)
		var oe *executor.OptionError
		require.ErrorAs(t, err, &oe)
	}
}
