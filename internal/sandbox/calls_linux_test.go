//go:build amd64 || arm64

package sandbox_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandpool/sandpool/internal/sandbox"
)

// calling is a launch with an argument for its role.
func calling(arg string) launch {
	l := hardened()
	l.env = append(l.env, argEnv+"="+arg)
	return l
}

var profiles = map[string]sandbox.Profile{
	"worker": sandbox.WorkerProfile, "template": sandbox.TemplateProfile,
	"worker with directories": sandbox.WorkerProfile | sandbox.DirsProfile,
}

// TestProfile_allowed makes every call that a profile allows, without the C library
// and the vDSO, and again with what its conditions forbid.
func TestProfile_allowed(t *testing.T) {
	t.Parallel()
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes []Outcome
			require.NoError(t, json.Unmarshal([]byte(calling(strconv.Itoa(int(p))).succeed(t, "allowed")), &outcomes))
			require.Greater(t, len(outcomes), 25)
			open := make(map[string]bool) // calls that are allowed with any arguments
			for _, o := range outcomes {
				if len(o.Refused) == 0 {
					open[o.Name] = true
				}
			}
			for _, o := range outcomes {
				require.NotEqual(t, unix.ENOSYS, o.Errno, o.Name)
				for _, e := range o.Refused {
					if !open[o.Name] {
						require.Equal(t, unix.ENOSYS, e, "%s with other arguments", o.Name)
					}
				}
			}
		})
	}
}

// TestProfile_allowedEnds makes the calls that do not return.
func TestProfile_allowedEnds(t *testing.T) {
	t.Parallel()
	require.Empty(t, calling(strconv.Itoa(unix.SYS_EXIT_GROUP)).succeed(t, "exit"))
	_, _, err := calling(strconv.Itoa(unix.SYS_RT_SIGRETURN)).run(t, "exit")
	requireSignal(t, err, syscall.SIGSEGV)
	require.Equal(t, strconv.Itoa(32<<20), calling("").succeed(t, "threads"), "threads begin and end")
}

func TestProfile_refused(t *testing.T) {
	t.Parallel()
	for _, p := range []sandbox.Profile{sandbox.WorkerProfile, sandbox.TemplateProfile} {
		var outcomes []Outcome
		require.NoError(t, json.Unmarshal([]byte(calling(strconv.Itoa(int(p))).succeed(t, "refused")), &outcomes))
		require.Greater(t, len(outcomes), len(refused)-5)
		for _, o := range outcomes {
			require.Equal(t, unix.ENOSYS, o.Errno, o.Name)
		}
	}
}

func TestProfile_killed(t *testing.T) {
	t.Parallel()
	type death struct{ role, arg string }
	deaths := map[string]death{
		"a process":                 {"clone", strconv.Itoa(int(unix.SIGCHLD))},
		"a vfork":                   {"clone", strconv.Itoa(unix.CLONE_VM | unix.CLONE_VFORK | int(unix.SIGCHLD))},
		"a process in a namespace":  {"clone", strconv.Itoa(unix.CLONE_NEWUSER | int(unix.SIGCHLD))},
		"a thread with other flags": {"clone", strconv.Itoa(unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND)},
	}
	for name, nr := range sandbox.KilledCalls() {
		deaths[name] = death{"one", strconv.Itoa(int(nr))}
	}
	if runtime.GOARCH == "amd64" {
		deaths["x32"] = death{"one", strconv.Itoa(unix.SYS_GETPID | 0x40000000)}
	}
	require.Greater(t, len(deaths), 40)
	for name, d := range deaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, _, err := calling(d.arg).run(t, d.role)
			require.Error(t, err, stdout)
			requireSignal(t, err, syscall.SIGSYS)
		})
	}
}

func requireSignal(t *testing.T, err error, want syscall.Signal) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, want, status.Signal(), exit.String())
}

// TestApply_filters: each thread has lost its rights, also those that were there.
func TestApply_filters(t *testing.T) {
	t.Parallel()
	var got struct {
		Report sandbox.Report
		Open   string
	}
	check := func(l launch) {
		require.NoError(t, json.Unmarshal([]byte(l.succeed(t, "filters")), &got))
		require.Contains(t, got.Report.InForce, sandbox.Landlock, "%v", got.Report.Missing)
		require.Contains(t, got.Report.InForce, sandbox.Caps)
		require.Equal(t, "open /: permission denied", got.Open)
	}
	check(calling(""))
	if os.Getuid() == 0 {
		l := calling("")
		l.attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		check(l)
	}
}

// TestThreads: a call in the handler of a signal reaches every thread, as it has to
// in programs with cgo.
func TestThreads(t *testing.T) {
	t.Parallel()
	l := calling("")
	l.env = l.env[1:] // without no_new_privs
	require.Equal(t, "true <nil> 0 thread", l.succeed(t, "signals")[:len("true <nil> 0 thread")])
}

func TestApply_report(t *testing.T) {
	t.Parallel()
	var r sandbox.Report
	l := calling("")
	l.env = l.env[1:]
	require.NoError(t, json.Unmarshal([]byte(l.succeed(t, "report")), &r))
	require.ElementsMatch(t, sandbox.Required(), r.InForce, "%v", r.Missing)
	require.Empty(t, r.Missing)
}

// BenchmarkApply starts a process without and with the filters: the difference is what they cost.
func BenchmarkApply(b *testing.B) {
	for _, role := range []string{"nothing", "report"} {
		b.Run(role, func(b *testing.B) {
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
				cmd.Env = []string{roleEnv + "=" + role, noPrivsEnv + "=1", "GOMAXPROCS=2"}
				cmd.ExtraFiles = []*os.File{os.Stdin, os.Stdin, os.Stdin}
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
