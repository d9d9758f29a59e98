package executor_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

func TestShutdown(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2}), echoFunc(t)
	var futures []*executor.Future[[]byte]
	for range 50 {
		futures = append(futures, executor.Submit(t.Context(), ex, echo, []byte("x")))
	}
	require.NoError(t, ex.Shutdown(t.Context()))
	for _, f := range futures {
		require.Equal(t, executor.Done, f.State())
		require.NoError(t, f.Err(), "what was queued is done")
	}
	require.ErrorIs(t, executor.Submit(t.Context(), ex, echo, nil).Err(), executor.ErrShutdown)
	s := ex.Stats()
	require.Zero(t, s.Workers)
	require.Zero(t, s.WorkersDied, "workers were sent home")
	require.NoError(t, ex.Shutdown(t.Context()), "again")
	require.NoError(t, ex.Close())
}

func TestShutdown_unused(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{})
	require.NoError(t, ex.Shutdown(t.Context()))
	require.Zero(t, ex.Stats().WorkersStarted)
}

func TestShutdown_deadline(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{Workers: 1})
	f := executor.Submit(t.Context(), ex, spinFunc(t), nil)
	pid := running(t, f)
	reason := errors.New("no more patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	require.ErrorIs(t, ex.Shutdown(ctx), reason)
	require.Equal(t, executor.Running, f.State(), "the rest is left running")
	require.NoError(t, ex.Close())
	require.ErrorIs(t, f.Err(), executor.ErrShutdown)
	require.False(t, alive(pid), "Close has reaped it")
}

func TestClose(t *testing.T) {
	t.Parallel()
	ex, spin := newExecutor(t, executor.Options{Workers: 2}), spinFunc(t)
	var futures []*executor.Future[[]byte]
	for range 20 {
		futures = append(futures, executor.Submit(t.Context(), ex, spin, nil))
	}
	pid := running(t, futures[0])
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := ex.Close(); err != nil || alive(pid) {
				t.Errorf("Close returned %v, process alive: %v", err, alive(pid))
			}
		})
	}
	wg.Wait()
	for _, f := range futures {
		require.ErrorIs(t, f.Err(), executor.ErrShutdown)
	}
	require.ErrorIs(t, executor.Submit(t.Context(), ex, spin, nil).Err(), executor.ErrShutdown)
	require.Zero(t, ex.Stats().Workers)
}

func TestClose_whileStarting(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		ex := newExecutor(t, executor.Options{Workers: 3})
		var futures []*executor.Future[[]byte]
		for range 10 {
			futures = append(futures, executor.Submit(t.Context(), ex, echoFunc(t), nil))
		}
		if i%2 == 0 {
			runtime.Gosched()
		}
		require.NoError(t, ex.Close())
		for _, f := range futures {
			if err := f.Err(); err != nil {
				require.ErrorIs(t, err, executor.ErrShutdown)
			} else {
				require.Equal(t, executor.Done, f.State())
			}
		}
	}
}

func TestClose_whileCompiling(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{CacheDir: executor.NoCacheDir})
	f := executor.Submit(t.Context(), ex, executor.Func[string, string]{Module: fixture(t), Name: "upper"}, "x")
	require.NoError(t, ex.Close())
	require.ErrorIs(t, f.Err(), executor.ErrShutdown)
}

func TestShutdown_whileCompilingForNobody(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{CacheDir: executor.NoCacheDir})
	f := executor.Submit(t.Context(), ex, executor.Func[string, string]{Module: fixture(t), Name: "upper"}, "x")
	require.Equal(t, executor.Queued, f.Cancel())
	require.NoError(t, ex.Shutdown(t.Context()))
	require.ErrorIs(t, f.Err(), context.Canceled)
}

func TestForgotten(t *testing.T) {
	t.Parallel()
	pid, f := func() (int, *executor.Future[[]byte]) {
		o := executor.Options{Workers: 1, CacheDir: guesttest.CodeCache(t)}
		ex, err := executor.New(&o)
		require.NoError(t, err)
		first := executor.Submit(t.Context(), ex, echoFunc(t), nil)
		_, err = wait(t, first)
		require.NoError(t, err)
		return first.Usage().PID, executor.Submit(t.Context(), ex, echoFunc(t), []byte("kept"))
	}()
	out, err := wait(t, f)
	require.NoError(t, err, "a call that is not done keeps its executor")
	require.Equal(t, "kept", string(out))
	require.Eventually(t, func() bool {
		runtime.GC()
		return !alive(pid)
	}, hang, 10*time.Millisecond, "the worker of a forgotten executor")
}
