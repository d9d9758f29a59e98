package executor_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guestabi"
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
	if os.Getenv(executor.TransportEnv) == "pipe" {
		t.Skip("no call is lent: this one may not have reached the worker, and is run again then")
	}
	for range 5 {
		ex, fn := lent(t, guesttest.TinyLimits(false, false), "limits", []byte{guesttest.LimitsCount})
		first := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsCount})
		_, err := first.Wait(t.Context())
		require.NoError(t, err)
		pid := first.Usage().PID
		require.Eventually(t, func() bool { return executor.Asleep(ex) }, hang, time.Millisecond) // else it might never reach the worker
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

// A wait sleeps in the owner's place while a call takes long. Whatever happens meanwhile
// gets through to the worker, and the call comes to its end.
func TestDirect_sleeps(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	count, spin := []byte{guesttest.LimitsCount}, []byte{guesttest.LimitsSpin}
	for name, tc := range map[string]struct {
		meanwhile func(t *testing.T, ex *executor.Executor, fn raw, f *executor.Future[[]byte], cancel context.CancelCauseFunc)
		err       error
	}{
		"cancelled": {func(_ *testing.T, _ *executor.Executor, _ raw, f *executor.Future[[]byte], _ context.CancelCauseFunc) {
			f.Cancel()
		}, context.Canceled},
		"its context ends": {func(_ *testing.T, _ *executor.Executor, _ raw, _ *executor.Future[[]byte], cancel context.CancelCauseFunc) {
			cancel(enough)
		}, enough},
		"closed": {func(_ *testing.T, ex *executor.Executor, _ raw, _ *executor.Future[[]byte], _ context.CancelCauseFunc) {
			_ = ex.Close()
		}, executor.ErrShutdown},
		"killed": {func(_ *testing.T, ex *executor.Executor, _ raw, _ *executor.Future[[]byte], _ context.CancelCauseFunc) {
			for pid := range executor.PIDs(ex) {
				_ = kill(pid)
			}
		}, nil},
		"others come": {func(t *testing.T, ex *executor.Executor, fn raw, f *executor.Future[[]byte], _ context.CancelCauseFunc) {
			t.Helper()
			var more []*executor.Future[[]byte]
			for range 20 {
				more = append(more, executor.Submit(context.Background(), ex, fn, count))
			}
			<-time.After(20 * time.Millisecond)
			f.Cancel()
			for _, m := range more {
				_, err := m.Wait(context.Background())
				assert.NoError(t, err)
			}
		}, context.Canceled},
		"it is late": {func(*testing.T, *executor.Executor, raw, *executor.Future[[]byte], context.CancelCauseFunc) {}, &executor.LimitError{Limit: guestabi.LimitWall}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, fn := lent(t, guesttest.TinyLimits(false, false), "limits", count)
			if name == "it is late" {
				fn.Limits.Wall = 100 * time.Millisecond
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f := executor.Submit(ctx, ex, fn, spin)
			var both sync.WaitGroup
			defer both.Wait()
			both.Go(func() {
				<-time.After(30 * time.Millisecond) // for it to sleep, which nothing depends on
				tc.meanwhile(t, ex, fn, f, cancel)
			})
			ended := make(chan error, 1)
			both.Go(func() {
				_, err := f.Wait(context.Background())
				ended <- err
			})
			select {
			case err := <-ended:
				if tc.err != nil {
					require.ErrorIs(t, err, tc.err)
				} else {
					require.ErrorAs(t, err, new(*executor.WorkerError))
				}
			case <-time.After(hang):
				t.Fatal("the wait does not end")
			}
		})
	}
}

// The end of a wait's context ends the wait alone, also while it sleeps.
func TestDirect_sleepEnds(t *testing.T) {
	t.Parallel()
	ex, fn := lent(t, guesttest.TinyLimits(false, false), "limits", []byte{guesttest.LimitsCount})
	for range 5 {
		f := executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsSpin})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := f.Wait(ctx)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, executor.Running, f.State())
		f.Cancel()
		_, err = executor.Submit(t.Context(), ex, fn, []byte{guesttest.LimitsCount}).Wait(t.Context())
		require.NoError(t, err, "the worker goes on")
	}
	require.Zero(t, ex.Stats().WorkersKilled)
}
