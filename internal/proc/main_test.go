package proc_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/proc"
)

// roleEnv says what the test binary does when it is started as a worker.
const roleEnv = "SANDPOOL_TEST_ROLE"

// hang is how long a test waits for what must happen.
const hang = time.Minute

func TestMain(m *testing.M) {
	if proc.Marked() {
		role := roles[os.Getenv(roleEnv)]
		if role == nil {
			os.Exit(90)
		}
		in, err := proc.Inherit()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(91)
		}
		os.Exit(role(in))
	}
	goleak.VerifyTestMain(census.Checked(m))
}

// roles are what a child does; the result is its exit status.
var roles = map[string]func(in *proc.Inherited) int{
	"echo": func(in *proc.Inherited) int {
		if _, err := io.Copy(in.Replies, in.Requests); err != nil {
			return 1
		}
		return 0
	},
	"exit": func(*proc.Inherited) int {
		code, _ := strconv.Atoi(os.Getenv("CODE"))
		return code
	},
	"hang": func(*proc.Inherited) int { time.Sleep(time.Hour); return 0 },
	"control": func(in *proc.Inherited) int {
		n, err := in.Control.Read(make([]byte, 1))
		if n != 0 || err != io.EOF { // the bare value is the point
			return 1
		}
		return 7
	},
	"stderr": func(*proc.Inherited) int {
		size, _ := strconv.Atoi(os.Getenv("SIZE"))
		for i := range size / 10 {
			fmt.Fprintf(os.Stderr, "%09d\n", i)
		}
		fmt.Println("the end") // standard output goes the same way
		return 3
	},
	"controlled": func(in *proc.Inherited) int {
		if _, err := io.Copy(in.Replies, in.Control); err != nil {
			return 1
		}
		return 7
	},
	"environment": func(in *proc.Inherited) int {
		fmt.Fprintf(in.Replies, "%s\n%s", os.Args[0], strings.Join(os.Environ(), "\n"))
		return 0
	},
	"noblob": func(in *proc.Inherited) int {
		_, err := in.ReceiveBlob()
		fmt.Fprint(in.Replies, err)
		return 0
	},
}

// A worker is a child that the test waits for.
type worker struct {
	*proc.Process

	exit func() proc.Exit
}

// start starts a child in a role; it is gone when the test ends.
func start(t *testing.T, role string, env ...string) worker {
	t.Helper()
	l := proc.NewLauncher()
	t.Cleanup(l.Close)
	return startFrom(t, l, role, env...)
}

func startFrom(t *testing.T, l *proc.Launcher, role string, env ...string) worker {
	t.Helper()
	if testing.CoverMode() != "" {
		env = append(env, "GOCOVERDIR="+t.TempDir()) // or the child complains on its standard error
	}
	p, err := l.Start(proc.Spec{Name: "sandpool-test", Env: append(env, roleEnv+"="+role)})
	require.NoError(t, err)
	w := worker{p, sync.OnceValue(p.Wait)}
	t.Cleanup(func() { p.Kill(); w.exit() })
	return w
}

// replies reads until the child closes its end.
func (w worker) replies(t *testing.T) string {
	t.Helper()
	b, err := io.ReadAll(w.Replies)
	require.NoError(t, err)
	return string(b)
}

// exited waits for the end of its standard error.
func (w worker) exited(t *testing.T) {
	t.Helper()
	select {
	case <-w.Exited():
	case <-time.After(hang):
		t.Fatal("the child hangs")
	}
}
