package escape_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/startmethod"
)

// nobody is the user of the second run.
const nobody = 65534

// variants are the columns of the table.
var variants = []string{"none", "landlock", "seccomp", "all"}

// TestEscape has native code in a worker try to get out. In the column of no walls an
// attempt shows that it would work, so that its failure says something.
func TestEscape(t *testing.T) {
	goal := surroundings(t)
	columns := make(map[string]map[string]string)
	for _, v := range variants {
		columns[v] = attack(t, v, goal)
	}
	print(t, columns)
	for name, a := range attempts {
		if a.control {
			require.Equal(t, succeeded, columns["none"][name], "%s: proves nothing, as it fails without a sandbox too", name)
		}
		if _, ok := accepted[name]; !ok {
			require.NotEqual(t, succeeded, columns["all"][name], name)
		}
	}
}

// TestLies has a worker that was taken over lie to its host: the call fails, and the next
// one is served.
func TestLies(t *testing.T) {
	goal := surroundings(t)
	ex := newExecutor(t, "all")
	for name := range lies {
		goal.Attempt = name
		text, err := call(t, ex, goal)
		if name == "answer a call twice" {
			require.NoError(t, err)
			require.Equal(t, "one", text)
		} else {
			var we *executor.WorkerError
			require.ErrorAs(t, err, &we, name)
			t.Logf("%-40s %v", name, err)
		}
		goal.Attempt = "become root"
		text, err = call(t, ex, goal)
		if name == "answer a call twice" && err != nil {
			text, err = call(t, ex, goal) // the second answer was found in front of this one's
		}
		require.NoError(t, err, "after "+name)
		require.Contains(t, text, "not implemented")
	}
}

// TestEscape_unprivileged is the same for a user without rights.
func TestEscape_unprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is the run of an unprivileged user already")
	}
	dir, err := os.MkdirTemp("", "sandpool-escape-") //nolint:usetesting // the parent of t.TempDir is closed to the other user
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chown(dir, nobody, nobody))
	args := []string{"-test.run=^(TestEscape|TestLies)$", "-test.count=1", "-test.v"}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
}

// surroundings makes what attempts are about.
func surroundings(t *testing.T) target {
	t.Helper()
	dir := t.TempDir()
	g := target{Host: os.Getpid(), Secret: filepath.Join(dir, "secret"), Cache: filepath.Join(dir, "cache")}
	require.NoError(t, os.Mkdir(g.Cache, 0o700))
	require.NoError(t, os.WriteFile(g.Secret, []byte("secret"), 0o600))
	require.NoError(t, os.WriteFile(g.Secret+".bait", nil, 0o600))
	f, err := os.Open(g.Secret)
	require.NoError(t, err)
	// Without O_CLOEXEC, and beyond the numbers that a worker's own have.
	g.Leaked, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD, 200)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	t.Cleanup(func() { _ = unix.Close(g.Leaked) })

	g.Socket, g.Abstract = filepath.Join(dir, "socket"), "@sandpool-escape-"+filepath.Base(dir)+strconv.Itoa(os.Getpid())
	for _, address := range []string{g.Socket, g.Abstract} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "unix", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = tcp.Close() })
	udp, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = udp.Close() })
	g.TCP, g.UDP = tcp.Addr().(*net.TCPAddr).Port, udp.LocalAddr().(*net.UDPAddr).Port
	g.Victim = startVictim(t)
	return g
}

func startVictim(t *testing.T) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", victim)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return cmd.Process.Pid
}

func newExecutor(t *testing.T, variant string) *executor.Executor {
	t.Helper()
	ex, err := executor.New(&executor.Options{
		Workers: 1, Batch: -1, CacheDir: executor.NoCacheDir, StartMethod: startmethod.Precompiled, CallsPerWorker: -1,
		Env: []string{wallsEnv + "=" + variant}, Limits: executor.Limits{Wall: 20 * time.Second, Output: 1 << 20},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex
}

func call(t *testing.T, ex *executor.Executor, goal target) (string, error) {
	t.Helper()
	m, err := serialize.NewModule("echo", guesttest.TinyEcho())
	require.NoError(t, err)
	in, err := json.Marshal(goal)
	require.NoError(t, err)
	out, err := executor.Submit(t.Context(), ex, executor.Func[[]byte, []byte]{Module: m, Name: "echo"}, in).Wait(t.Context())
	return string(out), err
}

// attack makes all attempts behind some walls and returns what came of them.
func attack(t *testing.T, variant string, goal target) map[string]string {
	t.Helper()
	ex := newExecutor(t, variant)
	results := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(attempts)) {
		goal.Attempt = name
		require.NoError(t, os.WriteFile(goal.Secret+".bait", nil, 0o600))
		text, err := call(t, ex, goal)
		if we := (*executor.WorkerError)(nil); errors.As(err, &we) {
			if text = cmp.Or(we.Signal, fmt.Sprintf("exit %d", we.ExitCode)); we.ExitCode == escapedCode {
				text = succeeded
			} else if we.Reason != "" {
				require.Equal(t, executor.ReasonSeccomp, we.Reason)
			} else {
				t.Logf("%s, %s: %v", variant, name, err)
			}
		} else {
			require.NoError(t, err, "%s, %s", variant, name)
		}
		results[name] = text
	}
	return results
}

// print prints the table.
func print(t *testing.T, columns map[string]map[string]string) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "attempt (uid %d)\tno sandbox\tall but seccomp\tall but Landlock\tall\tstopped by\n", os.Getuid())
	for _, name := range slices.Sorted(maps.Keys(attempts)) {
		fmt.Fprint(w, name)
		for _, v := range variants {
			fmt.Fprint(w, "\t", outcome(columns[v][name]))
		}
		fmt.Fprint(w, "\t", stopper(name, columns), "\n")
	}
	require.NoError(t, w.Flush())
	t.Logf("\n%s", b.String())
}

// outcome shortens what an attempt came to.
func outcome(text string) string {
	if text == succeeded {
		return "SUCCEEDED"
	}
	for e := syscall.Errno(1); e < 134; e++ {
		if strings.HasSuffix(text, e.Error()) {
			return unix.ErrnoName(e)
		}
	}
	return text
}

// stopper names what stopped an attempt.
func stopper(name string, columns map[string]map[string]string) string {
	switch {
	case columns["all"][name] == succeeded:
		return "nothing: " + accepted[name]
	case columns["none"][name] != succeeded:
		return "the system, and seccomp"
	}
	var by []string
	if columns["seccomp"][name] != succeeded && slices.Contains([]string{"ENOSYS", "SIGSYS"}, outcome(columns["seccomp"][name])) {
		by = append(by, "seccomp")
	}
	switch outcome(columns["landlock"][name]) {
	case "SUCCEEDED":
	case "EACCES", "EPERM":
		by = append(by, "Landlock or lost capabilities")
	case "EBADF":
		by = append(by, "closed descriptors")
	default:
		by = append(by, "resource limits")
	}
	return strings.Join(by, "; ")
}
