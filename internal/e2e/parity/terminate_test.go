package parity_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/startmethod"
)

func TestK1_closeEndsCalls(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		echo := echoFunc(t)
		var done, endless []*future
		for i := range 100 {
			done = append(done, executor.Submit(t.Context(), ex, echo, fmt.Append(nil, i)))
		}
		for _, f := range done {
			finished(t, f)
		}
		for range 100 {
			endless = append(endless, executor.Submit(t.Context(), ex, h.fn, nil))
		}
		h.begun(t)
		h.begun(t)
		pids := []int{running(t, endless[0]), running(t, endless[1])}

		start := time.Now()
		require.NoError(t, ex.Close())
		require.Less(t, time.Since(start), 5*time.Second)
		for i, f := range done {
			out, err := f.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), string(out))
		}
		for _, f := range endless {
			require.Equal(t, executor.Done, f.State())
			require.ErrorIs(t, f.Err(), executor.ErrShutdown)
		}
		requireReaped(t, pids)
		require.EqualValues(t, 2, ex.Stats().WorkersKilled)
		require.Zero(t, ex.Stats().WorkersDied)
	})
}

func TestK2_killedWhileShuttingDown(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method, Workers: 1})
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		pid := running(t, f)
		pending := executor.Submit(t.Context(), ex, echoFunc(t), []byte("pending"))
		stopped := make(chan error, 1)
		go func() { stopped <- ex.Shutdown(context.WithoutCancel(t.Context())) }()
		eventually(t, func() bool {
			return errors.Is(executor.Submit(t.Context(), ex, echoFunc(t), nil).Err(), executor.ErrShutdown)
		}, "it is shutting down")

		require.NoError(t, kill(pid))
		_, err := wait(t, f)
		workerKilled(t, err, pid)
		out, err := wait(t, pending)
		require.NoError(t, err, "what was accepted has another worker")
		require.Equal(t, "pending", string(out))
		returns(t, "Shutdown", func() { require.NoError(t, <-stopped) })
		requireReaped(t, []int{pid, pending.Usage().PID})
	})
}

func TestK3_newOptionsKill(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		r, h := newReusable(t), newHold(t)
		old := executor.Options{StartMethod: method, Workers: 1, GuestLog: h.log}
		ex := get(t, r, old)
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		pid := running(t, f)
		pending := executor.Submit(t.Context(), ex, echoFunc(t), nil)

		changed := old
		changed.Retries, changed.Replace = 7, executor.Kill
		next := get(t, r, changed)
		for _, f := range []*future{f, pending} {
			_, err := wait(t, f)
			require.ErrorIs(t, err, executor.ErrShutdown)
		}
		processGone(t, pid)
		echoes(t, next)
		echoes(t, ex) // a handle is never stale
		require.EqualValues(t, 2, next.Stats().ID)
	})
}

// TestK4_diesAfterAnswer has workers die with their answers given.
func TestK4_diesAfterAnswer(t *testing.T) {
	t.Parallel()
	needsSignals(t)
	for name, end := range map[string]func(pid int) error{"exit": terminate, "crash": kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachMethod(t, func(t *testing.T, method startmethod.Method) {
				ex, echo := newExecutor(t, executor.Options{StartMethod: method, Workers: 1}), echoFunc(t)
				again := echo
				again.Idempotent = true
				for i := range 10 {
					f := executor.Submit(t.Context(), ex, echo, []byte("first"))
					finished(t, f)
					pid := f.Usage().PID
					require.NoError(t, end(pid))
					out, err := f.Wait(t.Context())
					require.NoError(t, err, "the answer was given")
					require.Equal(t, "first", string(out))

					reaped := func() {
						eventually(t, func() bool { return !exists(pid) }, "process %d is reaped", pid)
					}
					next := again
					if i%2 == 0 {
						// Once the worker is known to be gone, no call is lost with it.
						next = echo
						reaped()
					}
					f = executor.Submit(t.Context(), ex, next, []byte("next"))
					out, err = wait(t, f)
					require.NoError(t, err)
					require.Equal(t, "next", string(out))
					if i%2 == 0 {
						require.NotEqual(t, pid, f.Usage().PID)
					}
					reaped()
				}
			})
		})
	}
	t.Run("by Break", breaksAfterAnswer)
}

// breaksAfterAnswer has the next call come while the worker's death is not known
// yet that breaks the executor.
func breaksAfterAnswer(t *testing.T) {
	t.Helper()
	t.Parallel()
	for range 20 {
		ex, echo := newExecutor(t, executor.Options{Workers: 1, CrashPolicy: executor.Break}), echoFunc(t)
		f := executor.Submit(t.Context(), ex, echo, nil)
		finished(t, f)
		require.NoError(t, kill(f.Usage().PID))
		next := executor.Submit(t.Context(), ex, echo, nil)
		if _, err := wait(t, next); err != nil { // else it was the quicker one
			require.ErrorIs(t, err, executor.ErrBroken)
			killedBy("SIGKILL")(t, err)
		}
		returns(t, "Shutdown", func() { require.NoError(t, ex.Shutdown(t.Context())) })
		require.Zero(t, ex.Stats().Workers)
	}
}

// occupied is a host with two endless calls. It prints their workers' processes
// and "ready", and then does what its second argument says until it is ended.
var occupied = newHost("occupied", func() {
	l := newLines()
	ex := must(executor.New(hostOptions(executor.Options{Workers: 2, GuestLog: slog.New(l)})))
	for range 2 {
		f := executor.Submit(context.Background(), ex, hostFunc("hold"), nil)
		<-l
		fmt.Println(f.Usage().PID)
	}
	switch os.Args[2] {
	case "shutdown":
		go func() { must(0, ex.Shutdown(context.Background())) }()
		for !errors.Is(executor.Submit(context.Background(), ex, hostFunc("hold"), nil).Err(), executor.ErrShutdown) {
			time.Sleep(time.Millisecond)
		}
	case "work":
	default:
		panic(os.Args[2])
	}
	fmt.Println("ready")
	select {}
})

// processes starts a host that prints the numbers of its workers' processes, one a
// line, and then "ready". The host is killed when the test ends, if not before.
func processes(t *testing.T, cmd *exec.Cmd) (pids []int, stdout *bufio.Scanner) {
	t.Helper()
	r, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { endHost(cmd) })
	stdout = bufio.NewScanner(r)
	for stdout.Scan() && stdout.Text() != "ready" {
		pid, err := strconv.Atoi(stdout.Text())
		require.NoError(t, err)
		require.True(t, alive(pid))
		pids = append(pids, pid)
	}
	require.Equal(t, "ready", stdout.Text())
	return pids, stdout
}

// endHost kills a host and waits for it, if that has not been done.
func endHost(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestK5_hostKilled(t *testing.T) {
	t.Parallel()
	for _, doing := range []string{"work", "shutdown"} {
		t.Run(doing, func(t *testing.T) {
			t.Parallel()
			cmd := occupied.command(t, moduleFile(t, holdGuest()), doing)
			cmd.Stderr = io.Discard
			pids, _ := processes(t, cmd)
			require.Len(t, pids, 2)
			endHost(cmd)
			require.Eventually(t, func() bool { return !alive(pids[0]) && !alive(pids[1]) }, time.Second, time.Millisecond,
				"workers %v outlive their host by a second", pids)
		})
	}
}
