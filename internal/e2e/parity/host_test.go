package parity_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// hostEnv makes the test binary a program that embeds Sandpool, hostWorker and
// hostCache are that program's WorkerPath and CacheDir.
const (
	hostEnv    = "SANDPOOL_PARITY_HOST"
	hostWorker = "SANDPOOL_PARITY_WORKER"
	hostCache  = "SANDPOOL_PARITY_CACHE"
)

// A host is the main function of a program that embeds Sandpool, for what only
// shows when a whole program ends. The test binary runs it in a process of its own.
type host struct {
	main func()
	used atomic.Bool
}

// hosts are all of them, by name.
var hosts = make(map[string]*host)

// newHost makes main one of hosts.
func newHost(name string, main func()) *host {
	h := &host{main: main}
	hosts[name] = h
	return h
}

// runHost is the host's main function, if this process is one. It returns when
// that does, so that the program can end as a program does.
func runHost() bool {
	name := os.Getenv(hostEnv)
	if name == "" {
		return false
	}
	hosts[name].main()
	return true
}

// hostOptions are the options for an executor of a host.
func hostOptions(o executor.Options) *executor.Options {
	o.WorkerPath, o.CacheDir = os.Getenv(hostWorker), os.Getenv(hostCache)
	return &o
}

// command is the host as a program that has not been started.
func (h *host) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	h.used.Store(true)
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	for name, other := range hosts {
		if other == h {
			cmd.Env = append(os.Environ(), hostEnv+"="+name, hostCache+"="+guesttest.CodeCache(t), hostWorker+"="+guesttest.Worker(t))
		}
	}
	return cmd
}

// must ends a host that cannot go on.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// hostsChecked runs the tests and fails a full run that left a host unused.
type hostsChecked struct{ m *testing.M }

// Run implements census.Runner.
func (c hostsChecked) Run() int {
	code := c.m.Run()
	for name, h := range hosts {
		if code == 0 && !h.used.Load() && !filtered() {
			fmt.Printf("no test used the host %s\n", name)
			return 1
		}
	}
	return code
}

// filtered reports whether this run leaves tests out.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench", "test.fuzz", "test.short"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" && f.Value.String() != "false" {
			return true
		}
	}
	return false
}
