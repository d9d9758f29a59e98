package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(census.Checked(m)) }

// program builds a program of testdata.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./testdata/"+name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func module(t *testing.T, wasm []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.wasm")
	require.NoError(t, os.WriteFile(path, wasm, 0o600))
	return path
}

func TestNoHook(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), program(t, "nohook"))
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 3, cmd.ProcessState.ExitCode(), "%s", out)
	require.Equal(t, 1, strings.Count(string(out), "main runs"), "nothing was started: %s", out)
	for _, remedy := range []string{"wasmworker.Main()", "wasmworker/auto", "Options.WorkerPath"} {
		require.Contains(t, string(out), remedy)
	}
}

func TestAuto(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), program(t, "auto"), module(t, guesttest.TinyEcho())).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "main runs\nechoed\n", string(out))
}

// TestDeletedProgram runs a host whose file is gone by the time it starts
// workers.
func TestDeletedProgram(t *testing.T) {
	t.Parallel()
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		t.Skip("needs /proc")
	}
	path := program(t, "auto")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec 3<"$1"; rm "$1"; exec /proc/self/fd/3 "$2"`, "sh", path, module(t, guesttest.TinyEcho()))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "main runs\nechoed\n", string(out))
}

// TestLeakedMarker runs a program that is no worker with a worker's environment.
func TestLeakedMarker(t *testing.T) {
	t.Parallel()
	path := program(t, "orphan")
	for _, value := range []string{"1", "0,1,2", "3,4,5", "3,4,5,6", "a,b,c", "99999,99998,99997"} {
		cmd := exec.CommandContext(t.Context(), path)
		cmd.Env = append(os.Environ(), "SANDPOOL_WORKER="+value)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 2, cmd.ProcessState.ExitCode())
		require.Contains(t, string(out), "not a worker of any host", value)
	}
}

// TestHostKilled kills a host whose workers are in the middle of endless calls.
func TestHostKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), program(t, "orphan"), module(t, guesttest.TinySpin()))
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var once sync.Once
	end := func() { once.Do(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) }
	t.Cleanup(end)

	var pids []int
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "ready" {
		pid, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		require.True(t, alive(pid))
		pids = append(pids, pid)
	}
	require.Len(t, pids, 2)
	end()
	require.Eventually(t, func() bool { return !alive(pids[0]) && !alive(pids[1]) }, time.Second, time.Millisecond,
		"workers %v outlive their host by a second", pids)
}
