package proc_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/shm"
)

func TestProcess_pipes(t *testing.T) {
	t.Parallel()
	w := start(t, "echo")
	buf := make([]byte, 5)
	for _, word := range []string{"first", "again"} {
		_, err := w.Requests.WriteString(word)
		require.NoError(t, err)
		_, err = io.ReadFull(w.Replies, buf)
		require.NoError(t, err)
		require.Equal(t, word, string(buf))
	}
	require.NoError(t, w.Requests.Close())
	require.Empty(t, w.replies(t))
	require.Equal(t, proc.Exit{PID: w.PID}, w.exit())
	require.Positive(t, w.PID)
	require.NotEqual(t, os.Getpid(), w.PID)
}

func TestProcess_exitCode(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1, 42, 255} {
		w := start(t, "exit", fmt.Sprintf("CODE=%d", code))
		require.Equal(t, proc.Exit{PID: w.PID, Code: code}, w.exit())
	}
}

func TestProcess_killAfterWait(t *testing.T) {
	t.Parallel()
	w := start(t, "exit")
	w.exit()
	w.Kill()
	w.Kill()
	w.Stop()
}

func TestProcess_stop(t *testing.T) {
	t.Parallel()
	w := start(t, "control")
	w.Stop()
	w.Stop()
	require.Equal(t, 7, w.exit().Code)
}

func TestProcess_control(t *testing.T) {
	t.Parallel()
	w := start(t, "controlled")
	for _, frame := range []string{strings.Repeat("a", 32), strings.Repeat("b", 32)} {
		require.NoError(t, w.Control([]byte(frame)))
		buf := make([]byte, len(frame))
		_, err := io.ReadFull(w.Replies, buf)
		require.NoError(t, err)
		require.Equal(t, frame, string(buf))
	}
	w.Stop()
	require.ErrorIs(t, w.Control(make([]byte, 32)), os.ErrClosed)
	require.Equal(t, 7, w.exit().Code, "its end still asks to exit")
	require.Error(t, w.Control(make([]byte, 32)))
}

func TestProcess_controlAfterExit(t *testing.T) {
	t.Parallel()
	w := start(t, "exit")
	w.exited(t)
	require.Error(t, w.Control(make([]byte, 32)), "nobody reads any more")
	w.exit()
	require.ErrorIs(t, w.Control(make([]byte, 32)), os.ErrClosed)
}

// TestProcess_controlRaces: any goroutine may write while another one stops and
// reaps the process.
func TestProcess_controlRaces(t *testing.T) {
	t.Parallel()
	w := start(t, "controlled")
	go func() { _, _ = io.Copy(io.Discard, w.Replies) }() // exits when exit closes the pipe
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for w.Control(make([]byte, 32)) == nil {
				time.Sleep(time.Microsecond)
			}
		})
	}
	w.Stop()
	wg.Wait()
	w.exit()
}

func TestProcess_exited(t *testing.T) {
	t.Parallel()
	w := start(t, "hang")
	select {
	case <-w.Exited():
		t.Fatal("it has not")
	default:
	}
	w.Kill()
	w.exited(t)
}

func TestProcess_stderr(t *testing.T) {
	t.Parallel()
	const kept, gap = 2 << 10, "\n[…]\n" // at each end
	for _, size := range []int{0, 10, 2040, 4080, 4090, 100_000} {
		w := start(t, "stderr", fmt.Sprintf("SIZE=%d", size))
		var all strings.Builder
		for i := range size / 10 {
			fmt.Fprintf(&all, "%09d\n", i)
		}
		all.WriteString("the end\n")
		want := all.String()
		if over := len(want) - 2*kept; over > 0 {
			want = want[:kept] + gap + want[kept+over:]
		}
		exit := w.exit()
		require.Equal(t, want, exit.Stderr, "%d bytes", size)
		require.Equal(t, 3, exit.Code)
	}
}

func TestProcess_environment(t *testing.T) {
	t.Setenv("SANDPOOL_TEST_SECRET", "not for workers")
	w := start(t, "environment", "MINE=1", "GOMAXPROCS=3", proc.Marker+"=forged")
	lines := strings.Split(w.replies(t), "\n")
	require.Equal(t, "sandpool-test", lines[0])
	env := lines[1:]
	env = slices.DeleteFunc(env, func(e string) bool {
		return strings.HasPrefix(e, "SYSTEMROOT=") || strings.HasPrefix(e, "GOCOVERDIR=")
	})
	names := make([]string, len(env))
	for i, e := range env {
		names[i], _, _ = strings.Cut(e, "=")
	}
	require.ElementsMatch(t, []string{"GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "MINE", roleEnv, proc.Marker}, names)
	require.Contains(t, env, "GOMAXPROCS=3", "a Spec may change the defaults")
	require.NotContains(t, env, proc.Marker+"=forged")
}

//nolint:paralleltest // counts this process's descriptors
func TestStart_missingProgram(t *testing.T) {
	l := proc.NewLauncher()
	defer l.Close()
	before := census.Take()
	for range 3 {
		p, err := l.Start(proc.Spec{Path: filepath.Join(t.TempDir(), "missing"), Name: "missing"})
		require.ErrorIs(t, err, os.ErrNotExist)
		require.Nil(t, p)
	}
	require.Equal(t, before, census.Take())
}

func TestStart_notAProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, []byte("no program"), 0o600))
	l := proc.NewLauncher()
	defer l.Close()
	_, err := l.Start(proc.Spec{Path: path, Name: "text"})
	require.Error(t, err)
}

//nolint:paralleltest // counts this process's descriptors
func TestWait_releasesEverything(t *testing.T) {
	before := census.Take()
	l := proc.NewLauncher()
	for range 3 {
		p, err := l.Start(proc.Spec{Name: "sandpool-test", Env: []string{roleEnv + "=hang"}})
		require.NoError(t, err)
		p.Kill()
		p.Wait()
	}
	l.Close()
	require.Equal(t, before, census.Take())
}

func TestLauncher_close(t *testing.T) {
	t.Parallel()
	unused := proc.NewLauncher()
	unused.Close()
	unused.Close()
	require.PanicsWithValue(t, "proc: Start after Close", func() { _, _ = unused.Start(proc.Spec{}) })

	used := proc.NewLauncher()
	p, err := used.Start(proc.Spec{Name: "x", Env: []string{roleEnv + "=exit"}})
	require.NoError(t, err)
	p.Wait()
	used.Close()
	used.Close()
	require.PanicsWithValue(t, "proc: Start after Close", func() { _, _ = used.Start(proc.Spec{}) })
}

func TestLauncher_concurrent(t *testing.T) {
	t.Parallel()
	l := proc.NewLauncher()
	defer l.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				p, err := l.Start(proc.Spec{Name: "x", Env: []string{roleEnv + "=exit", "CODE=5"}})
				if err != nil {
					t.Error(err)
					return
				}
				if exit := p.Wait(); exit.Code != 5 || exit.PID != p.PID {
					t.Errorf("%+v of process %d", exit, p.PID)
				}
			}
		})
	}
	wg.Wait()
}

func TestSendsBlobs(t *testing.T) {
	t.Parallel()
	w := start(t, "hang")
	blob, err := shm.NewBlob("test", []byte("x"))
	require.NoError(t, err)
	defer blob.Close()
	require.Equal(t, blob.File() != nil, w.SendsBlobs(blob))
	require.Equal(t, blob.File() != nil, w.SendsBlobs(blob, blob))
}

func TestReceiveBlob_nothingSent(t *testing.T) {
	t.Parallel()
	w := start(t, "noblob")
	text := make(chan string, 1)
	go func() { text <- w.replies(t) }()
	select {
	case got := <-text:
		require.NotEqual(t, "<nil>", got)
	case <-time.After(hang):
		t.Fatal("it blocks")
	}
}

func TestHooked(t *testing.T) {
	t.Parallel()
	proc.SetHooked()
	proc.SetHooked()
	require.True(t, proc.Hooked())
}

func TestMarked(t *testing.T) {
	require.False(t, proc.Marked())
	t.Setenv(proc.Marker, "3,4,5")
	require.True(t, proc.Marked())
}
