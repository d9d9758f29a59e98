package parity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	prepareWorker()
	wasmworker.Main()
	if runHost() {
		return
	}
	goleak.VerifyTestMain(census.Checked(hostsChecked{m}))
}

// hang is how long a test waits for what must happen.
const hang = 2 * time.Minute

// options fills in what an executor of these tests needs. Calls have no wall
// limit, so that an endless one ends by what the test does or not at all.
func options(t *testing.T, o executor.Options) executor.Options {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = guesttest.CodeCache(t)
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.WorkerPath == "" {
		o.WorkerPath = guesttest.Worker(t)
	}
	if o.Limits.Wall == 0 {
		o.Limits.Wall = -1
	}
	return o
}

// newExecutor returns an executor that the test closes.
func newExecutor(t *testing.T, o executor.Options) *executor.Executor {
	t.Helper()
	o = options(t, o)
	ex, err := executor.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex
}

// eachMethod runs a subtest for every start method, as loky runs its tests in
// every context.
func eachMethod(t *testing.T, run func(t *testing.T, method startmethod.Method)) {
	t.Helper()
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			run(t, method)
		})
	}
}

// ended returns a context that has ended, by errOver.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	return ctx
}

var errOver = errors.New("over before it began")

// call submits and waits.
func call[In, Out any](t *testing.T, ex *executor.Executor, fn executor.Func[In, Out], in In) (Out, error) {
	t.Helper()
	return wait(t, executor.Submit(t.Context(), ex, fn, in))
}

// echoes checks that the executor serves.
func echoes(t *testing.T, ex *executor.Executor) {
	t.Helper()
	out, err := call(t, ex, echoFunc(t), []byte("served"))
	require.NoError(t, err)
	require.Equal(t, "served", string(out))
}

// wait fails the test when f takes too long.
func wait[T any](t *testing.T, f *executor.Future[T]) (T, error) {
	t.Helper()
	select {
	case <-f.Done():
	case <-time.After(hang):
		t.Fatalf("the call hangs, %v", f.State())
	}
	return f.Wait(t.Context())
}

// returns runs f, which must not hang.
func returns(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(hang):
		t.Fatal(what + " hangs")
	}
}

// running waits until a worker has the call and returns the worker's process.
func running[T any](t *testing.T, f *executor.Future[T]) int {
	t.Helper()
	require.Eventually(t, func() bool { return f.State() != executor.Queued }, hang, time.Millisecond)
	require.Equal(t, executor.Running, f.State(), "%v", f.Err())
	return f.Usage().PID
}

// processGone waits until no process has the number.
func processGone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, hang, time.Millisecond, "process %d is still there", pid)
	}
}

// workerKilled checks that err is of a worker that kill has ended.
func workerKilled(t *testing.T, err error, pid int) {
	t.Helper()
	we, ok := errors.AsType[*executor.WorkerError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, pid, we.PID)
	if haveSignals {
		require.Equal(t, "SIGKILL", we.Signal)
		require.ErrorContains(t, err, "SIGKILL")
	}
}
