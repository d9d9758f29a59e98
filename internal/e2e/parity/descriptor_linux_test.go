package parity_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// descriptors are what a process has open, by number.
func descriptors(t *testing.T, pid int) map[string]string {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if os.IsPermission(err) {
		t.Skip("workers are not dumpable: only root may list their descriptors")
	}
	require.NoError(t, err)
	open := make(map[string]string)
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // else closed meanwhile
			open[e.Name()] = target
		}
	}
	return open
}

// pipes are those of the descriptors that are pipes or sockets, by what they are
// connected to.
func pipes(open map[string]string) map[string]bool {
	names := make(map[string]bool)
	for _, target := range open {
		if strings.HasPrefix(target, "pipe:") || strings.HasPrefix(target, "socket:") {
			names[target] = true
		}
	}
	return names
}

func TestB4_descriptors(t *testing.T) {
	t.Parallel()
	// A file that the host lets its children inherit, by neglect.
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	require.NoError(t, err)
	defer secret.Close()
	inherited, err := syscall.Dup(int(secret.Fd()))
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Close(inherited)) }()

	const workers = 3
	ex, g := newGate(t, executor.Options{Workers: workers})
	fs, pids := busy(t, ex, g, workers)
	of := make(map[string]int) // the worker that has a pipe
	for _, pid := range pids {
		open := descriptors(t, pid)
		for number, target := range open {
			kind, _, _ := strings.Cut(target, ":")
			switch {
			case number == "0":
				require.Equal(t, os.DevNull, target, "standard input")
			case target == fmt.Sprintf("/proc/%d/pagemap", pid): // its own
			case kind == "pipe", kind == "socket", strings.HasPrefix(target, "anon_inode:[event"), strings.HasPrefix(target, "/memfd:"):
			default:
				t.Errorf("worker has %s as descriptor %s", target, number)
			}
		}
		require.Equal(t, open["1"], open["2"], "one pipe for both outputs")
		require.LessOrEqual(t, len(open), 16)
		for name := range pipes(open) {
			require.NotContains(t, of, name, "a worker holds no other worker's pipes")
			of[name] = pid
		}
	}
	hosts := pipes(descriptors(t, os.Getpid()))
	shared := 0
	for name := range of {
		if hosts[name] {
			shared++
		}
	}
	require.GreaterOrEqual(t, shared, 3*workers, "requests, replies and output of each worker lead to the host")

	g.open()
	for _, f := range fs {
		_, err := wait(t, f)
		require.NoError(t, err)
	}
	require.NoError(t, ex.Close())
	for name := range pipes(descriptors(t, os.Getpid())) {
		require.NotContains(t, of, name, "the host's ends are closed with the executor")
	}
}
