package cgroup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/cgroup"
)

// files are what a kernel puts into a new group, as far as groups use them.
var files = []string{"memory.max", "memory.swap.max", "pids.max", "cpu.max", "memory.events"}

// fakeParent is a directory that looks like a delegated one, and fills its children as
// the kernel does.
func fakeParent(t *testing.T, controllers string) (p *cgroup.Parent, dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "cgroup.controllers"), controllers)
	write(t, filepath.Join(dir, "cgroup.subtree_control"), "")
	if p, err = cgroup.Open(dir); err != nil {
		return nil, dir, err
	}
	p.Fake(func(path string) error {
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		for _, name := range files {
			write(t, filepath.Join(path, name), "")
		}
		return nil
	}, os.RemoveAll)
	return p, dir, nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	require.NoError(t, err)
	return string(b)
}

func TestGroup(t *testing.T) {
	t.Parallel()
	p, dir, err := fakeParent(t, "cpuset cpu io memory pids\n")
	require.NoError(t, err)
	require.Equal(t, "+memory +pids +cpu", read(t, dir, "cgroup.subtree_control"))
	g, err := p.New("worker", cgroup.Limits{Memory: 1 << 20, Tasks: 40, CPUs: 2})
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "worker"), g.File().Name())
	for name, want := range map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "pids.max": "40", "cpu.max": "200000 100000"} {
		require.Equal(t, want, read(t, dir, "worker", name))
	}
	_, err = p.New("worker", cgroup.Limits{})
	require.ErrorIs(t, err, os.ErrExist)

	events := filepath.Join(dir, "worker", "memory.events")
	for text, want := range map[string]bool{"low 0\noom 1\noom_kill 0\n": false, "oom 3\noom_kill 2\noom_group_kill 0\n": true} {
		write(t, events, text)
		oom, err := g.OutOfMemory()
		require.NoError(t, err)
		require.Equal(t, want, oom)
	}
	write(t, events, "nothing")
	_, err = g.OutOfMemory()
	require.Error(t, err)
	require.NoError(t, g.Remove())
	require.NoDirExists(t, filepath.Join(dir, "worker"))
}

func TestGroup_missingFile(t *testing.T) {
	t.Parallel()
	p, dir, err := fakeParent(t, "cpu memory pids")
	require.NoError(t, err)
	p.Fake(func(path string) error { return os.Mkdir(path, 0o700) }, os.Remove)
	_, err = p.New("worker", cgroup.Limits{Tasks: 1})
	require.ErrorContains(t, err, "pids.max", "a controller that is not there is not made up")
	require.NoDirExists(t, filepath.Join(dir, "worker"), "and nothing is left")
}

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	_, _, err := fakeParent(t, "cpu memory")
	require.ErrorContains(t, err, "no controller pids")
	_, err = cgroup.Open(t.TempDir())
	require.ErrorContains(t, err, "not a directory of cgroup v2")
}

// TestOpen_real looks at the hierarchy of this machine, which hardly ever is delegated to
// tests.
func TestOpen_real(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SANDPOOL_TEST_CGROUP")
	if dir == "" {
		t.Skip("SANDPOOL_TEST_CGROUP names no delegated directory of cgroup v2 with the controllers memory, pids and cpu; there is none where they are bound to v1")
	}
	p, err := cgroup.Open(dir)
	require.NoError(t, err)
	g, err := p.New("sandpool-test", cgroup.Limits{Memory: 1 << 20, Tasks: 40, CPUs: 2})
	require.NoError(t, err)
	require.Equal(t, "40", strings.TrimSpace(read(t, dir, "sandpool-test", "pids.max")))
	require.NoError(t, g.Remove())
}
