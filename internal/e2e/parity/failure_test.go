package parity_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

func TestE9_terminatedWorker(t *testing.T) {
	t.Parallel()
	if !haveSignals {
		t.Skip("a process's end does not tell its signal here")
	}
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex, h := newHolder(t, executor.Options{StartMethod: method})
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		other := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		h.begun(t)
		pid := running(t, f)
		require.NoError(t, terminate(pid))
		_, err := wait(t, f)
		we, ok := errors.AsType[*executor.WorkerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, pid, we.PID)
		require.Equal(t, "SIGTERM", we.Signal)
		require.ErrorContains(t, err, "SIGTERM")
		echoes(t, ex) // loky's executor would be broken
		require.Equal(t, executor.Running, other.State(), "nor is another call touched")
		require.EqualValues(t, 1, ex.Stats().WorkersDied)
	})
}

func TestE10_exit(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		ex := newExecutor(t, executor.Options{StartMethod: method, Workers: 1})
		exit := tinyFunc(t, "exit", guesttest.TinyExit(42))
		f := executor.Submit(t.Context(), ex, exit, nil)
		_, err := wait(t, f)
		ge, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, executor.CodeExit, ge.Code)
		require.EqualValues(t, 42, ge.ExitCode)
		require.ErrorContains(t, err, "42")

		after := executor.Submit(t.Context(), ex, echoFunc(t), nil)
		_, err = wait(t, after)
		require.NoError(t, err)
		require.Equal(t, f.Usage().PID, after.Usage().PID, "the worker lives on")
	})
	t.Run("worker", func(t *testing.T) {
		t.Parallel()
		if !haveSignals {
			t.Skip("nothing tells a worker to exit here")
		}
		ex, h := newHolder(t, withTrait(t, executor.Options{Workers: 1}, exits42))
		f := executor.Submit(t.Context(), ex, h.fn, nil)
		h.begun(t)
		pid := running(t, f)
		require.NoError(t, prompt(pid))
		_, err := wait(t, f)
		we, ok := errors.AsType[*executor.WorkerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, pid, we.PID)
		require.Equal(t, 42, we.ExitCode)
		require.Empty(t, we.Signal)
		require.ErrorContains(t, err, "exited with code 42")
		require.ErrorContains(t, err, lastWords)
		echoes(t, ex)
	})
}

// TestE12_guestStack wants the place where a guest failed.
func TestE12_guestStack(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		_, err := call(t, ex, executor.Func[string, struct{}]{Module: fixture(t), Name: "panic"}, "ouch")
		ge, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, executor.CodePanic, ge.Code)
		require.Equal(t, "ouch", ge.Message)
		require.Contains(t, ge.Stack, "main.panics(")
		require.Contains(t, ge.Stack, "failures.go:", "the source line")
	})
	eachMethod(t, func(t *testing.T, method startmethod.Method) {
		fn := tinyFunc(t, "named", namedGuest())
		fn.StartMethod = method
		_, err := call(t, ex, fn, nil)
		ge, ok := errors.AsType[*executor.GuestError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, executor.CodeTrap, ge.Code)
		require.Equal(t, "unreachable", ge.Message)
		require.Regexp(t, `(?s)divide_by_nothing.*the_caller`, ge.Stack, "the innermost function first")
	})
}
