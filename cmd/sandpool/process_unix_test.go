//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// patience bounds what takes no time unless something is wrong.
const patience = time.Minute

// A session is the tool at work, its standard error read line by line.
type session struct {
	*exec.Cmd
	stderr *bufio.Reader
	seen   strings.Builder // of the standard error
}

func start(t *testing.T, prepare func(*exec.Cmd), args ...string) *session {
	t.Helper()
	s := &session{Cmd: tool(t, cacheDir(t), args...)}
	stderr, err := s.StderrPipe()
	require.NoError(t, err)
	s.stderr = bufio.NewReader(stderr)
	if prepare != nil {
		prepare(s.Cmd)
	}
	require.NoError(t, s.Start())
	timer := time.AfterFunc(patience, func() { _ = s.Process.Kill() })
	t.Cleanup(func() { timer.Stop() })
	return s
}

var startedWorker = regexp.MustCompile(`msg="worker started" worker=\d+ pid=(\d+)`)

// worker waits until a worker has started and returns its process.
func (s *session) worker(t *testing.T) int {
	t.Helper()
	for {
		if m := startedWorker.FindStringSubmatch(s.line(t)); m != nil {
			pid, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			return pid
		}
	}
}

// line returns the next line of the standard error.
func (s *session) line(t *testing.T) string {
	t.Helper()
	line, err := s.stderr.ReadString('\n')
	s.seen.WriteString(line)
	require.NoError(t, err, "%s", &s.seen)
	return line
}

// status waits for the tool's end and returns its exit status.
func (s *session) status(t *testing.T) int {
	t.Helper()
	rest, err := io.ReadAll(s.stderr)
	require.NoError(t, err)
	s.seen.Write(rest)
	err = s.Wait()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	return exit.ExitCode()
}

// requireGone checks that a process has ended and was waited for. Where the tool
// itself was killed, init waits for its children, some time later.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}, patience, time.Millisecond, "process %d is left", pid)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	fixture := guesttest.Build(t, "fixture")
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		status int
		says   string
	}{
		{"SIGINT", syscall.SIGINT, 130, "sandpool: interrupted\n"},
		{"SIGTERM", syscall.SIGTERM, 143, "sandpool: ended by signal: terminated\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil, "run", "-v", "--timeout", "10m", fixture, "spin", "null")
			pid := s.worker(t)
			require.NoError(t, s.Process.Signal(test.signal))
			require.Equal(t, test.status, s.status(t), "%s", &s.seen)
			require.Contains(t, s.seen.String(), test.says)
			requireGone(t, pid)
		})
	}
}

// A signal has to end a tool that waits for its standard input, too.
func TestInterrupt_silentStdin(t *testing.T) {
	t.Parallel()
	fixture := guesttest.Build(t, "fixture")
	var stdin io.WriteCloser
	s := start(t, func(cmd *exec.Cmd) { stdin = pipe(t, cmd) }, "run", "-v", fixture, "upper")
	_, err := io.WriteString(stdin, `"a"`+"\n")
	require.NoError(t, err)
	pid := s.worker(t)
	require.NoError(t, s.Process.Signal(os.Interrupt))
	require.Equal(t, 130, s.status(t), "%s", &s.seen)
	requireGone(t, pid)
}

func pipe(t *testing.T, cmd *exec.Cmd) io.WriteCloser {
	t.Helper()
	w, err := cmd.StdinPipe()
	require.NoError(t, err)
	return w
}

func TestWorkerDeath(t *testing.T) {
	t.Parallel()
	// The guest says that it runs: a worker that dies before is replaced without a
	// word.
	g := guesttest.NewTiny()
	body := new(guesttest.Code).I32(0).Append(g.Text("at work")).Call(g.Log).Loop().Br(0).End().Unreachable()
	module := filepath.Join(t.TempDir(), "hold.wasm")
	require.NoError(t, os.WriteFile(module, g.Finish("hold", [2]uint32{1, 1}, nil, body), 0o600))
	s := start(t, nil, "run", "-v", "--raw", "--timeout", "10m", module, "hold", "x")
	pid := s.worker(t)
	for !strings.Contains(s.line(t), "at work") {
		continue
	}
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Equal(t, 4, s.status(t), "%s", &s.seen)
	require.Regexp(t, `(?m)^sandpool: worker process \d+ was killed by SIGKILL$`, s.seen.String())
}

// A partner that waits for an answer before it goes on must get it.
func TestConversation(t *testing.T) {
	t.Parallel()
	fixture := guesttest.Build(t, "fixture")
	var stdin io.WriteCloser
	var stdout *bufio.Reader
	s := start(t, func(cmd *exec.Cmd) {
		stdin = pipe(t, cmd)
		r, err := cmd.StdoutPipe()
		require.NoError(t, err)
		stdout = bufio.NewReader(r)
	}, "run", fixture, "upper")
	for _, word := range []string{"one", "two", "three"} {
		_, err := io.WriteString(stdin, strconv.Quote(word)+"\n")
		require.NoError(t, err)
		line, err := stdout.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, strconv.Quote(strings.ToUpper(word))+"\n", line)
	}
	require.NoError(t, stdin.Close())
	require.Zero(t, s.status(t), "%s", &s.seen)
}

// An endless input ends with the reader of the output, quietly.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	fixture := guesttest.Build(t, "fixture")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	s := start(t, func(cmd *exec.Cmd) {
		cmd.Stdin = endless(t)
		cmd.Stdout = w
	}, "run", fixture, "upper")
	require.NoError(t, w.Close())
	line, err := bufio.NewReaderSize(r, 16).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "\"A\"\n", line)
	require.NoError(t, r.Close())
	require.Equal(t, -1, s.status(t)) // killed by SIGPIPE, as any tool
	require.Equal(t, syscall.SIGPIPE, s.ProcessState.Sys().(syscall.WaitStatus).Signal())
	require.Empty(t, s.seen.String())
}

// endless returns a pipe that JSON values come from for ever.
func endless(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { // exits when the read ends are closed
		defer close(done)
		for block := bytes.Repeat([]byte("\"a\"\n"), 1024); err == nil; {
			_, err = w.Write(block)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, r.Close())
		<-done
		require.NoError(t, w.Close())
	})
	return r
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full:", err)
	}
	defer full.Close()
	s := start(t, func(cmd *exec.Cmd) { cmd.Stdout = full }, "run", guesttest.Build(t, "fixture"), "upper", `"x"`)
	require.Equal(t, 4, s.status(t), "%s", &s.seen)
	require.Regexp(t, `^sandpool: output: .*no space left on device\n$`, s.seen.String())
}
