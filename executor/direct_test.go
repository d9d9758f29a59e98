package executor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

func newModule(t *testing.T, name string, wasm []byte) *serialize.Module {
	t.Helper()
	m, err := serialize.NewModule(name, wasm)
	require.NoError(t, err)
	return m
}

// lent returns an executor of one worker that has served a call, so that the next is
// sent by its Submit, and a function for it.
func lent(t *testing.T, wasm []byte, name string, warmUp []byte) (*executor.Executor, raw) {
	t.Helper()
	ex, err := executor.New(&executor.Options{Workers: 1, CacheDir: executor.NoCacheDir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	fn := raw{Module: newModule(t, name, wasm), Name: name}
	for range 2 {
		_, err := executor.Submit(t.Context(), ex, fn, warmUp).Wait(t.Context())
		require.NoError(t, err)
	}
	return ex, fn
}

// Whatever is asked of a future whose call was sent by Submit, and if nothing is, the call
// gets done.
func TestDirect_attended(t *testing.T) {
	t.Parallel()
	ex, echo := lent(t, guesttest.TinyEcho(), "echo", []byte("a"))
	for name, ask := range map[string]func(f *executor.Future[[]byte]){
		"wait": func(f *executor.Future[[]byte]) {
			out, err := f.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, "in", string(out))
		},
		"done": func(f *executor.Future[[]byte]) { <-f.Done() },
		"callback": func(f *executor.Future[[]byte]) {
			done := make(chan struct{})
			f.OnDone(func(*executor.Future[[]byte]) { close(done) })
			<-done
		},
		"usage": func(f *executor.Future[[]byte]) {
			require.Eventually(t, func() bool { return f.Usage().Run > 0 }, hang, time.Millisecond)
		},
		"state": func(f *executor.Future[[]byte]) {
			require.Eventually(t, func() bool { return f.State() == executor.Done }, hang, time.Millisecond)
		},
		"the next": func(*executor.Future[[]byte]) {
			_, err := executor.Submit(t.Context(), ex, echo, nil).Wait(t.Context())
			require.NoError(t, err)
		},
		"nothing": func(*executor.Future[[]byte]) {},
	} {
		before := ex.Stats().Succeeded
		f := executor.Submit(t.Context(), ex, echo, []byte("in"))
		ask(f)
		require.Eventually(t, func() bool { return ex.Stats().Succeeded > before }, hang, time.Millisecond, name)
		out, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "in", string(out))
	}
}

// A wait that ends early leaves the call to its worker.
func TestDirect_waitEnds(t *testing.T) {
	t.Parallel()
	ex, fn := lent(t, guesttest.TinyLimits(false, false), "limits", []byte{guesttest.LimitsCount})
	f := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsSpin})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, executor.Running, f.Cancel())
	_, err = f.Wait(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	_, err = executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsCount}).Wait(t.Context())
	require.NoError(t, err, "the worker goes on")
}

// A worker that is killed while its call is lent fails this call, which may have begun,
// and does not run it again.
func TestDirect_killed(t *testing.T) {
	t.Parallel()
	for range 5 {
		ex, fn := lent(t, guesttest.TinyLimits(false, false), "limits", []byte{guesttest.LimitsCount})
		first := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsCount})
		_, err := first.Wait(t.Context())
		require.NoError(t, err)
		pid := first.Usage().PID
		f := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsSpin})
		require.NoError(t, kill(pid))
		_, err = f.Wait(t.Context())
		w, ok := errors.AsType[*executor.WorkerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 1, w.Attempts)
	}
}

// Many callers, each with one call at a time, and each answer theirs.
func TestDirect_callers(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		ex, err := executor.New(&executor.Options{Workers: workers, CacheDir: executor.NoCacheDir})
		require.NoError(t, err)
		fn := raw{Module: newModule(t, "echo", guesttest.TinyEcho()), Name: "echo"}
		var callers sync.WaitGroup
		for caller := range 3 {
			callers.Go(func() {
				for i := range 300 {
					in := []byte{byte(caller), byte(i), byte(i >> 8)}
					f := executor.Submit(context.Background(), ex, fn, in)
					if i%7 == caller {
						f.Cancel()
					} else if out, err := f.Wait(context.Background()); err != nil || string(out) != string(in) {
						t.Errorf("%v became %v: %v", in, out, err)
					}
				}
			})
		}
		callers.Wait()
		require.NoError(t, ex.Close())
	}
}
