package cpus_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/cpus"
)

func init() {
	if os.Getenv(roleEnv) != "" {
		runtime.LockOSThread() // main gets the process's first thread
	}
	countRole = count
}

// count is the child's main: for each line of its input it prints the number of
// CPUs and of cores. The line "pin n" first binds its thread to that CPU.
func count(string) int {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if cpu, ok := strings.CutPrefix(input.Text(), "pin "); ok {
			n, _ := strconv.Atoi(cpu)
			var set unix.CPUSet
			set.Set(n)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				fmt.Println(err)
				return 1
			}
		}
		s := cpus.Host()
		fmt.Println(s.Count(), s.Physical())
	}
	return 0
}

// A child is the test binary as a process that counts.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// newChild starts one, through another program if given, and ends it with the test.
func newChild(t *testing.T, through ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	argv := append(through, exe)
	c := &child{cmd: exec.CommandContext(t.Context(), argv[0], argv[1:]...)}
	c.cmd.Env = append(os.Environ(), roleEnv+"=count")
	c.cmd.Stderr = os.Stderr
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.out = bufio.NewReader(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		c.in.Close()
		_ = c.cmd.Wait() // the test's context may have ended it
	})
	return c
}

// ask returns what the child counts after a command.
func (c *child) ask(t *testing.T, command string) (count, cores int) {
	t.Helper()
	_, err := fmt.Fprintln(c.in, command)
	require.NoError(t, err)
	answer, err := c.out.ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(answer, &count, &cores)
	require.NoError(t, err, "%q", answer)
	return count, cores
}

// firstCPU returns a CPU this process may run on.
func firstCPU(t *testing.T) string {
	t.Helper()
	affinity := cpus.Host().Affinity
	require.NotEmpty(t, affinity)
	return strconv.Itoa(affinity[0])
}

func TestC1_host(t *testing.T) {
	t.Parallel()
	s := cpus.Host()
	n, cores := s.Count(), s.Physical()
	require.GreaterOrEqual(t, n, 1)
	require.LessOrEqual(t, n, len(s.Affinity))
	require.GreaterOrEqual(t, cores, 1)
	require.LessOrEqual(t, cores, n)
	require.Equal(t, cores, s.Physical(), "asked again")
	fromChild, coresFromChild := newChild(t).ask(t, "")
	require.Equal(t, []int{n, cores}, []int{fromChild, coresFromChild})
}

func TestC2_taskset(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("taskset")
	if err != nil {
		t.Skip("needs taskset, of util-linux:", err)
	}
	n, cores := newChild(t, path, "-c", firstCPU(t)).ask(t, "")
	require.Equal(t, []int{1, 1}, []int{n, cores})
}

func TestC2_setaffinity(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	before, _ := c.ask(t, "")
	require.Equal(t, cpus.Host().Count(), before)
	n, cores := c.ask(t, "pin "+firstCPU(t))
	require.Equal(t, []int{1, 1}, []int{n, cores}, "the mask is asked for each time")
}

// A group is a control group of the kernel's, made for a test.
type group struct {
	dir string
	v2  bool
}

// newGroup makes one at the root of what this process sees, or skips the test.
func newGroup(t *testing.T) group {
	t.Helper()
	var reasons []string
	for _, root := range []group{{"/sys/fs/cgroup", true}, {"/sys/fs/cgroup/unified", true}, {"/sys/fs/cgroup/cpu", false}, {"/sys/fs/cgroup/cpu,cpuacct", false}} {
		if root.v2 { // where the directory is anything else, mkdir would make something else
			if _, err := os.Stat(filepath.Join(root.dir, "cgroup.controllers")); err != nil {
				reasons = append(reasons, err.Error())
				continue
			}
		}
		dir := filepath.Join(root.dir, fmt.Sprintf("sandpool-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		t.Cleanup(func() { require.NoError(t, unix.Rmdir(dir)) })
		g := group{dir, root.v2}
		if _, err := os.Stat(g.quotaFile()); err != nil {
			reasons = append(reasons, "no cpu controller: "+err.Error())
			continue
		}
		return g
	}
	t.Skip("needs a control group with the cpu controller, which takes root and a delegated hierarchy:", strings.Join(reasons, "; "))
	return group{}
}

// child makes a group below.
func (g group) child(t *testing.T) group {
	t.Helper()
	if g.v2 {
		require.NoError(t, os.WriteFile(filepath.Join(g.dir, "cgroup.subtree_control"), []byte("+cpu"), 0))
	}
	below := group{filepath.Join(g.dir, "child"), g.v2}
	require.NoError(t, os.Mkdir(below.dir, 0o755))
	t.Cleanup(func() { require.NoError(t, unix.Rmdir(below.dir)) })
	return below
}

func (g group) quotaFile() string {
	if g.v2 {
		return filepath.Join(g.dir, "cpu.max")
	}
	return filepath.Join(g.dir, "cpu.cfs_quota_us")
}

// limit sets the quota in microseconds of each 100 ms, 0 for none.
func (g group) limit(t *testing.T, quota int) {
	t.Helper()
	text := strconv.Itoa(quota)
	switch {
	case quota == 0 && g.v2:
		text = "max"
	case quota == 0:
		text = "-1"
	}
	require.NoError(t, os.WriteFile(g.quotaFile(), []byte(text), 0))
}

// add moves a process into the group until the test ends.
func (g group) add(t *testing.T, c *child) {
	t.Helper()
	procs := filepath.Join(g.dir, "cgroup.procs")
	require.NoError(t, os.WriteFile(procs, []byte(strconv.Itoa(c.cmd.Process.Pid)), 0))
	t.Cleanup(func() { // before the group is removed
		c.in.Close()
		_ = c.cmd.Wait()
	})
}

func TestC3_cgroup(t *testing.T) {
	t.Parallel()
	all := cpus.Host().Count()
	parent := newGroup(t)
	own := parent.child(t)
	c := newChild(t)
	own.add(t, c)
	for _, test := range []struct{ parent, own, want int }{
		{0, 0, all},
		{0, 50_000, 1},
		{0, 150_000, min(all, 2)},
		{50_000, 50_000, 1},
		{0, 0, all},
		{100_000, 0, 1},
		{150_000, 0, min(all, 2)},
		{150_000, 100_000, 1},
		{0, 0, all},
	} {
		own.limit(t, 0) // version 1 refuses a child more than its parent has
		parent.limit(t, test.parent)
		own.limit(t, test.own)
		n, cores := c.ask(t, "")
		require.Equal(t, test.want, n, "%+v", test)
		require.LessOrEqual(t, cores, n, "%+v", test)
	}
}

// What only a real kernel shows: the files are found through a directory file
// system, links included.
func TestHost_files(t *testing.T) {
	t.Parallel()
	_, err := fs.Stat(cpus.Host().Root, "proc/self/mountinfo")
	require.NoError(t, err)
}

func BenchmarkCount(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = cpus.Host().Count()
	}
}

func BenchmarkPhysical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = cpus.Host().Physical()
	}
}
