package executor_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/startmethod"
)

func init() {
	// Without a sandbox: only the group's limit is in the way.
	roles["glutton"] = func() {
		takeover(func(*wire.Writer, wire.Header) {
			for range 64 {
				b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
				if err != nil {
					os.Exit(3)
				}
				for at := 0; at < len(b); at += os.Getpagesize() {
					b[at] = 1
				}
			}
			os.Exit(4) // 4 GiB, and nobody minds
		})
	}
}

// TestCgroup_real has the kernel keep workers in groups of their own, and kill one that
// takes more memory than its group may have.
func TestCgroup_real(t *testing.T) {
	t.Parallel()
	glutton := script(t, "glutton")
	dir := os.Getenv("SANDPOOL_TEST_CGROUP")
	if dir == "" {
		t.Skip("SANDPOOL_TEST_CGROUP names no delegated directory of cgroup v2 with the controllers memory, pids and cpu; there is none where they are bound to v1")
	}
	limits := executor.Limits{Memory: 1 << 20, Input: 1 << 20, Output: 1 << 20}
	ex, h := newHolder(t, executor.Options{Workers: 1, Cgroup: dir, WorkerPath: guesttest.Worker(t), Limits: limits})
	f := executor.Submit(t.Context(), ex, h.fn, nil)
	pid := running(t, f)
	h.begun(t)
	require.Contains(t, ex.Stats().Sandbox, "cgroup", "%v", ex.Stats().SandboxMissing)
	group, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	require.NoError(t, err)
	require.Contains(t, string(group), "/sandpool-")
	f.Cancel()
	_, err = wait(t, f)
	require.Error(t, err)
	require.NoError(t, ex.Close())

	ex = newExecutor(t, executor.Options{Workers: 1, Cgroup: dir, StartMethod: startmethod.Fresh, WorkerPath: glutton, Limits: limits})
	_, err = call(t, ex, echoFunc(t), nil)
	var we *executor.WorkerError
	require.ErrorAs(t, err, &we)
	require.Equal(t, executor.ReasonMemory, we.Reason, "%v", err)
	require.Equal(t, "SIGKILL", we.Signal)
	require.NoError(t, ex.Close())
	left, err := filepath.Glob(filepath.Join(dir, "sandpool-"+strconv.Itoa(os.Getpid())+"-*"))
	require.NoError(t, err)
	require.Empty(t, left, "groups go with their workers")
}
