package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// killsOwnWorker is a host function that kills the worker of the first n guests that
// call it, and then echoes.
func killsOwnWorker(t *testing.T, ex **executor.Executor, n int32) hostFunction {
	t.Helper()
	var calls atomic.Int32
	return func(ctx context.Context, in []byte) ([]byte, error) {
		if calls.Add(1) > n {
			return in, nil
		}
		for pid := range executor.PIDs(*ex) {
			if err := kill(pid); err != nil {
				return nil, err
			}
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	for name, tc := range map[string]struct {
		retries    int
		deaths     int32
		idempotent bool
		attempts   int
		good       bool
	}{
		"not idempotent":       {0, 1, false, 1, false},
		"once":                 {0, 1, true, 2, true},
		"twice":                {0, 2, true, 3, true},
		"poison":               {0, 100, true, 3, false},
		"never":                {-1, 1, true, 1, false},
		"one, poison":          {1, 100, true, 2, false},
		"many, and then works": {5, 5, true, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ex *executor.Executor
			ex = newExecutor(t, executor.Options{Workers: 1, Retries: tc.retries, Host: host(t, killsOwnWorker(t, &ex, tc.deaths))})
			fn := viaHost(t)
			fn.Idempotent = tc.idempotent
			f := executor.Submit(t.Context(), ex, fn, []byte("x"))
			out, err := wait(t, f)
			require.Equal(t, tc.attempts, f.Usage().Attempts)
			deaths := tc.attempts - 1
			if tc.good {
				require.NoError(t, err)
				require.Equal(t, "x", string(out))
			} else {
				deaths++
				var we *executor.WorkerError
				require.ErrorAs(t, err, &we)
				require.Equal(t, tc.attempts, we.Attempts)
				require.Equal(t, f.Usage().PID, we.PID)
			}
			require.Eventually(t, func() bool { return ex.Stats().WorkersDied == uint64(deaths) }, hang, time.Millisecond)
			require.EqualValues(t, tc.attempts-1, ex.Stats().Retried)
		})
	}
}

func TestBreak(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	ex, hold := newHolder(t, executor.Options{Workers: 2, CrashPolicy: executor.Break})
	spin := spinFunc(t)
	spin.Limits.Wall = 50 * time.Millisecond
	_, err := call(t, ex, spin, nil)
	require.ErrorIs(t, err, &executor.LimitError{Limit: "wall"})
	cancelled := executor.Submit(t.Context(), ex, hold.fn, nil)
	hold.begun(t)
	cancelled.Cancel()
	_, err = call(t, ex, echoFunc(t), nil)
	require.NoError(t, err, "workers that the executor kills break nothing")

	var futures []*executor.Future[[]byte]
	for range 5 {
		futures = append(futures, executor.Submit(t.Context(), ex, hold.fn, nil))
	}
	hold.begun(t)
	hold.begun(t)
	pid := futures[0].Usage().PID
	require.NoError(t, kill(pid))
	seen := make(map[error]bool)
	check := func(f *executor.Future[[]byte]) {
		t.Helper()
		_, err := wait(t, f)
		require.ErrorIs(t, err, executor.ErrBroken)
		require.NotErrorIs(t, err, executor.ErrShutdown)
		var we *executor.WorkerError
		require.ErrorAs(t, err, &we)
		require.Equal(t, pid, we.PID)
		require.Equal(t, "SIGKILL", we.Signal)
		require.False(t, seen[err], "an error value of its own")
		seen[err] = true
	}
	for _, f := range futures {
		check(f)
	}
	for range 2 {
		check(executor.Submit(t.Context(), ex, hold.fn, nil))
	}
	require.ErrorIs(t, ex.Resize(3), executor.ErrBroken)
	require.ErrorIs(t, ex.Prewarm(t.Context(), 1), executor.ErrBroken)
	_, err = executor.Describe(t.Context(), ex, hold.fn.Module)
	require.ErrorIs(t, err, executor.ErrBroken)
	require.NoError(t, ex.Shutdown(t.Context()))
	require.NoError(t, ex.Close())
	check(executor.Submit(t.Context(), ex, hold.fn, nil))
	require.Zero(t, ex.Stats().Workers)
	require.EqualValues(t, 1, ex.Stats().WorkersDied)
}

func TestBreak_idle(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	ex, echo := newExecutor(t, executor.Options{Workers: 1, CrashPolicy: executor.Break}), echoFunc(t)
	f := executor.Submit(t.Context(), ex, echo, nil)
	_, err := wait(t, f)
	require.NoError(t, err)
	require.NoError(t, kill(f.Usage().PID))
	require.Eventually(t, func() bool { return ex.Stats().WorkersDied == 1 }, hang, time.Millisecond)
	_, err = call(t, ex, echo, nil)
	require.ErrorIs(t, err, executor.ErrBroken)
}

// TestBreak_notByRecycling retires workers in every way there is.
func TestBreak_notByRecycling(t *testing.T) {
	t.Parallel()
	ex, echo := newExecutor(t, executor.Options{Workers: 2, CrashPolicy: executor.Break, CallsPerWorker: 3, IdleTimeout: time.Millisecond}), echoFunc(t)
	for i := range 60 {
		f := executor.Submit(t.Context(), ex, echo, nil)
		if i%3 == 0 {
			f.Cancel()
		}
		if i%10 == 0 {
			require.NoError(t, ex.Resize(1+i/10%2))
		}
		_, err := wait(t, f)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	eventually(t, ex, func(s executor.Stats) bool { return s.Workers == 0 })
	_, err := call(t, ex, echo, nil)
	require.NoError(t, err)
	require.Zero(t, ex.Stats().WorkersDied)
}

// TestT12_panicInExecutor is loky's queue manager that dies: a fault of the
// executor itself must not leave anybody waiting.
func TestT12_panicInExecutor(t *testing.T) {
	t.Parallel()
	ex, hold := newHolder(t, executor.Options{Workers: 1})
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, hold.fn, nil))
	}
	hold.begun(t)
	pid := futures[0].Usage().PID
	called := make(chan error, 1)
	futures[2].OnDone(func(f *executor.Future[[]byte]) { called <- f.Err() })
	executor.Panic(ex, "the queue is upside down")
	futures = append(futures, executor.Submit(t.Context(), ex, hold.fn, nil))
	for _, f := range futures {
		_, err := wait(t, f)
		require.ErrorIs(t, err, executor.ErrBroken)
		require.ErrorContains(t, err, "the queue is upside down")
	}
	require.ErrorIs(t, <-called, executor.ErrBroken)
	for _, err := range executor.Map(t.Context(), ex, hold.fn, func(yield func([]byte) bool) { yield(nil) }) {
		require.ErrorIs(t, err, executor.ErrBroken)
	}
	require.NoError(t, ex.Close())
	require.False(t, alive(pid))
	executor.Panic(ex, "and again")
	require.NoError(t, ex.Shutdown(t.Context()))
}

// TestStart_recovers has no worker start until the program is there.
func TestStart_recovers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the worker is a shell script")
	}
	path := filepath.Join(t.TempDir(), "worker")
	ex, echo := newExecutor(t, executor.Options{Workers: 2, WorkerPath: path, StartMethod: "fresh"}), echoFunc(t)
	var futures []*executor.Future[[]byte]
	for range 3 {
		futures = append(futures, executor.Submit(t.Context(), ex, echo, nil))
	}
	seen := make(map[*executor.StartError]bool)
	for _, f := range futures {
		_, err := wait(t, f)
		var se *executor.StartError
		require.ErrorAs(t, err, &se)
		require.False(t, seen[se], "an error value of its own")
		seen[se] = true
	}
	require.Zero(t, ex.Stats().Workers)
	worker := guesttest.Worker(t)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+strconv.Quote(worker)+" \"$@\"\n"), 0o700))
	out, err := call(t, ex, echo, []byte("at last"))
	require.NoError(t, err)
	require.Equal(t, "at last", string(out))
}

// TestStart_oneOfMany has starts fail while there is a worker: calls wait for it.
func TestStart_oneOfMany(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the worker is a shell script")
	}
	path := filepath.Join(t.TempDir(), "worker")
	worker := guesttest.Worker(t)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+strconv.Quote(worker)+" \"$@\"\n"), 0o700))
	s := newStay()
	ex := newExecutor(t, executor.Options{Workers: 2, WorkerPath: path, StartMethod: "fresh", Host: host(t, s.call)})
	f := executor.Submit(t.Context(), ex, viaHost(t), nil)
	s.enter(t)
	require.NoError(t, os.Remove(path))
	queued := executor.Submit(t.Context(), ex, echoFunc(t), nil)
	require.Eventually(t, func() bool { return executor.StartFailures(ex) >= 6 }, hang, time.Millisecond)
	require.Equal(t, executor.Queued, queued.State())
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nexec "+strconv.Quote(worker)+" \"$@\"\n"), 0o700))
	_, err := wait(t, queued)
	require.NoError(t, err)
	require.Equal(t, executor.Running, f.State())
}

func TestInitializer(t *testing.T) {
	t.Parallel()
	type setup struct {
		Value string
		Count int
	}
	m := fixture(t)
	value := executor.Func[struct{}, setup]{Module: m, Name: "setupvalue"}
	ex := newExecutor(t, executor.Options{Workers: 1, Initializer: executor.Initializer{Name: "setup", Input: "ready"}})
	for _, method := range []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, startmethod.LokyInitMain, ""} {
		fn := value
		fn.StartMethod = method
		for range 2 {
			out, err := call(t, ex, fn, struct{}{})
			require.NoError(t, err, method)
			require.Equal(t, setup{"ready", 1}, out, "once in each instance")
		}
	}
	out, err := call(t, newExecutor(t, executor.Options{Workers: 1}), value, struct{}{})
	require.NoError(t, err)
	require.Zero(t, out)
	_, err = call(t, ex, echoFunc(t), nil)
	require.Error(t, err, "a module that does not register it cannot be called")
	_, err = call(t, ex, value, struct{}{})
	require.NoError(t, err, "the failure is that module's")
}

// TestInitializer_fails has calls refused for a while after several failures, and
// then tried again.
func TestInitializer_fails(t *testing.T) {
	t.Parallel()
	m := fixture(t)
	for name, text := range map[string]string{"setupfail": "boo: hoo", "setuppanic": "hoo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{Workers: 1, Batch: -1, Initializer: executor.Initializer{Name: name, Input: "hoo"}})
			upper := executor.Func[string, string]{Module: m, Name: "upper"}
			refused, ran := 0, 0
			seen := make(map[*executor.StartError]bool)
			for i := 0; refused < 20 || ran < 8; i++ {
				f := executor.Submit(t.Context(), ex, upper, "x")
				_, err := wait(t, f)
				var se *executor.StartError
				require.ErrorAs(t, err, &se)
				require.Equal(t, "initializer", se.Stage)
				var ge *executor.GuestError
				require.ErrorAs(t, err, &ge)
				require.Equal(t, name, ge.Func)
				require.Contains(t, ge.Message, text)
				require.False(t, seen[se])
				seen[se] = true
				if f.Usage().Attempts == 0 {
					refused++
				} else {
					ran++
				}
				if refused == 0 {
					require.LessOrEqual(t, i, 1000)
				} else {
					require.GreaterOrEqual(t, ran, 5, "refused only after several")
				}
			}
			require.Zero(t, ex.Stats().WorkersDied)
		})
	}
}
