package executor_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
)

// TestBatch_behindHostFunction hands calls to a worker behind one that stays in a
// host function: another worker gets them.
func TestBatch_behindHostFunction(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no signals on Windows")
	}
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	host, err := executor.NewHostModule(executor.HostFunc("gate", func(ctx context.Context, in []byte) ([]byte, error) {
		if string(in) == "slow" {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
			}
		}
		return in, nil
	}))
	require.NoError(t, err)
	ex := newExecutor(t, executor.Options{Workers: 1, Host: host})
	fn := raw{Module: tiny(t, "hostcall", guesttest.TinyHostCall("gate")), Name: "hostcall"}
	fn.Grants.Host = []string{"gate"}
	fn.Idempotent = true // a call may reach the worker that the test kills
	var pid int
	for range 100 { // until the function counts as short
		f := executor.Submit(t.Context(), ex, fn, []byte("quick"))
		_, err := wait(t, f)
		require.NoError(t, err)
		pid = f.Usage().PID
	}
	require.NoError(t, kill(pid)) // the queue fills while its successor starts
	slow := executor.Submit(t.Context(), ex, fn, []byte("slow"))
	var quick []*executor.Future[[]byte]
	for range 10 {
		quick = append(quick, executor.Submit(t.Context(), ex, fn, []byte("quick")))
	}
	select {
	case <-entered:
	case <-slow.Done():
		t.Fatal(slow.Err())
	case <-time.After(hang):
		t.Fatal("the slow call does not begin")
	}
	require.NoError(t, ex.Resize(2))
	for _, f := range quick {
		out, err := wait(t, f)
		require.NoError(t, err)
		require.Equal(t, "quick", string(out))
	}
	require.Equal(t, executor.Running, slow.State())
	close(leave)
	out, err := wait(t, slow)
	require.NoError(t, err, "it goes on in its worker")
	require.Equal(t, "slow", string(out))
	require.EqualValues(t, 1, ex.Stats().WorkersDied, "the one that the test has killed")
}
